# pyright: basic
"""Fetching from the Hub: only what a pipeline is loaded from, and every way in which it can fail."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from designkit.errors import ModelRefused
from designkit.generators import open_generator
from designkit.generators.download import fetch

FILES = [
    ".gitattributes", "README.md", "model_index.json", "v1-5-pruned.safetensors", "v1-5-pruned.ckpt", "setup.py",
    "scheduler/scheduler_config.json", "tokenizer/vocab.json", "tokenizer/merges.txt",
    "unet/config.json", "unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.safetensors",
    "unet/diffusion_pytorch_model.fp16.safetensors", "unet/modeling.py", "unet/deeper/config.json",
    "vae/config.json", "vae/diffusion_pytorch_model.safetensors", "sample.png",
]  # fmt: skip
PLAIN = {
    "README.md", "model_index.json", "scheduler/scheduler_config.json", "tokenizer/vocab.json", "tokenizer/merges.txt",
    "unet/config.json", "vae/config.json",
}  # fmt: skip


@pytest.fixture
def hub(monkeypatch):
    """A Hub that has one model and remembers what was asked of it."""
    asked: dict[str, Any] = {}

    def model_info(self, model_id, *, revision=None):
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in asked.get("files", FILES)])

    def snapshot_download(model_id, *, revision=None, allow_patterns):
        asked.update(model=model_id, revision=revision, wanted=set(allow_patterns))
        return "/cache/commit"

    monkeypatch.setattr(HfApi, "model_info", model_info)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    return asked


def test_only_what_a_pipeline_is_loaded_from_is_fetched(hub):
    assert fetch("acme/soda", "v2") == Path("/cache/commit")
    weights = {"unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"}
    assert hub == {"model": "acme/soda", "revision": "v2", "wanted": PLAIN | weights}


def test_the_flavour_asked_for_is_fetched_where_there_is_one(hub):
    fetch("acme/soda", variant="fp16")
    weights = {"unet/diffusion_pytorch_model.fp16.safetensors", "vae/diffusion_pytorch_model.safetensors"}
    assert hub["wanted"] == PLAIN | weights


def test_a_configuration_is_fetched_without_weights(hub):
    fetch("acme/soda", has_weights=False)
    assert hub["wanted"] == PLAIN


def test_a_model_in_another_layout_is_refused(hub):
    hub["files"] = ["config.json", "model.safetensors"]
    with pytest.raises(ModelRefused, match=r"acme/soda has no model_index\.json"):
        fetch("acme/soda")
    assert "wanted" not in hub


def test_a_model_that_is_pickled_is_refused_before_anything_is_fetched(hub):
    hub["files"] = [name for name in FILES if name != "vae/diffusion_pytorch_model.safetensors"] + ["vae/model.bin"]
    with pytest.raises(ModelRefused, match=r"acme/soda has vae as pickles only, which can run code"):
        fetch("acme/soda")
    assert "wanted" not in hub


def test_a_model_that_arrives_without_a_part_is_refused_with_its_name(tiny_model, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "models--acme--soda" / "snapshots" / commit
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE")

    def arrive(model_id, revision, *, variant):
        shutil.copytree(tiny_model("StableDiffusionPipeline"), snapshot, ignore=shutil.ignore_patterns("vae"))
        return snapshot

    monkeypatch.setattr("designkit.generators.diffusion.fetch", arrive)
    with pytest.raises(ModelRefused, match=r"the model's vae \(AutoencoderKL\) is missing"):
        open_generator(f"acme/soda@{commit}", precision="fp32", threads=1)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (GatedRepoError, r"accepted its terms.*https://huggingface.co/acme/soda.*hf auth login"),
        (RepositoryNotFoundError, r"neither on this disk nor on the Hub.*check its spelling"),
        (RevisionNotFoundError, r"has no revision 'v2'"),
    ],
)
def test_what_the_hub_refuses_is_explained(error, message, monkeypatch):
    response = httpx2.Response(404, request=httpx2.Request("GET", "https://huggingface.co"))

    def refuse(self, model_id, *, revision=None):
        raise error("no", response=response)

    monkeypatch.setattr(HfApi, "model_info", refuse)
    with pytest.raises(ModelRefused, match=message):
        fetch("acme/soda", "v2")


def test_without_a_network_the_reason_is_told(monkeypatch):
    with pytest.raises(ModelRefused, match=r"is not on this disk, and fetching it failed.*check the network"):
        fetch("acme/soda")  # Tests run with HF_HUB_OFFLINE.


def test_a_model_id_that_cannot_be_one_is_refused():
    with pytest.raises(ModelRefused, match="is neither on this disk nor on the Hub"):
        fetch("acme/soda/pop")
