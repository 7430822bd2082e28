# pyright: basic
"""Damaged and dangerous models: refused by their files, before any library is asked to load them."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from pathlib import Path

import pytest

from designkit.errors import ModelRefused
from designkit.generators import open_generator
from designkit.generators.catalog import find_card
from designkit.generators.weights import WHOLE_FILE_BYTES, choose_flavour, fingerprint, read_header

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def model(tiny_model, tmp_path):
    """A copy of a tiny model that a test may damage."""
    return Path(shutil.copytree(tiny_model("StableDiffusionPipeline"), tmp_path / "model"))


def refusals(name: Path | str) -> list[str]:
    """The codes of everything that is wrong with a model; opening it must fail in the same way."""
    with pytest.raises(ModelRefused) as refusal:
        find_card(str(name))
    assert refusal.value.exit_code == 7
    assert all(problem.message and problem.file for problem in refusal.value.problems)
    with pytest.raises(ModelRefused):
        open_generator(str(name))
    return [problem.code for problem in refusal.value.problems]


class Canary:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.pth", "model.bin", "model.pkl"])
def test_a_pickle_is_refused_unread(name, tmp_path):
    path, canary = tmp_path / name, tmp_path / "canary"
    path.write_bytes(pickle.dumps(Canary(canary)))
    assert refusals(path) == ["model-pickle"]
    assert not canary.exists()


def test_a_folder_whose_weights_are_pickles_is_refused_unread(model, tmp_path):
    canary = tmp_path / "canary"
    (model / "unet" / WEIGHTS).unlink()
    (model / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Canary(canary)))
    assert refusals(model) == ["model-pickle"]
    assert not canary.exists()


def test_a_folder_with_nothing_but_a_pickle_is_refused_as_such(tmp_path):
    (tmp_path / "v1-5.ckpt").write_bytes(b"PK")
    assert refusals(tmp_path) == ["model-pickle"]


@pytest.mark.parametrize(
    ("entry", "codes"),
    [
        (["evil_library", "Net"], ["model-code"]),
        (["os", "system"], ["model-code"]),
        (["../unet", "Net"], ["model-code"]),
        (["diffusers.pipelines", "Net"], ["model-code"]),
        (["diffusers", "Net", "more"], ["model-file-damaged"]),
        ([], ["model-file-damaged"]),
    ],
)
def test_a_part_that_would_come_from_elsewhere_is_refused(entry, codes, model):
    change(model / "model_index.json", unet=entry)
    assert refusals(model) == codes


@pytest.mark.parametrize(
    ("name", "code"),
    [(["my_pipeline", "Mine"], "model-code"), ("NoSuchPipeline", "model-pipeline-unknown"), (None, "model-code")],
)
def test_a_pipeline_that_diffusers_does_not_have_is_refused(name, code, model):
    change(model / "model_index.json", _class_name=name)
    assert refusals(model) == [code]


def test_all_code_in_a_model_is_found_at_once(model):
    (model / "unet" / "modeling.py").write_text("raise SystemExit")
    change(model / "text_encoder" / "config.json", auto_map={"AutoModel": "modeling.Mine"})
    change(model / "model_index.json", scheduler=["requests", "get"])
    assert refusals(model) == ["model-code"] * 3


def test_a_missing_part_is_named(model):
    shutil.rmtree(model / "vae")
    with pytest.raises(ModelRefused, match=r"the model's vae \(AutoencoderKL\) is missing"):
        find_card(str(model))


def test_a_part_without_weights_is_named(model):
    (model / "vae" / WEIGHTS).unlink()
    assert refusals(model) == ["model-part-missing"]


@pytest.mark.parametrize("shard", ["../unet/" + WEIGHTS, "/etc/passwd", "missing.safetensors"])
def test_shards_must_lie_beside_their_list(shard, model):
    index = {"metadata": {}, "weight_map": {"conv_in.weight": shard}}
    (model / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    assert refusals(model) == ["model-part-missing"]


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_file_that_is_cut_off_is_refused(keep, model):
    path = model / "unet" / WEIGHTS
    path.write_bytes(path.read_bytes()[:keep])
    assert refusals(model) == ["model-file-damaged"]


def test_a_file_with_something_behind_its_end_is_refused(model):
    path = model / "unet" / WEIGHTS
    path.write_bytes(path.read_bytes() + b"more")
    assert refusals(model) == ["model-file-damaged"]


@pytest.mark.parametrize(
    "header", [b"{", b"[]", b'{"a": 3}', b'{"a": {"data_offsets": []}}', b"\xff\xff", b"[" * 50_000]
)
def test_a_damaged_header_is_refused(header, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    assert refusals(path) == ["model-file-damaged"]


def test_a_huge_header_is_refused_without_reading_it(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    assert refusals(path) == ["model-file-damaged"]


def test_a_git_lfs_pointer_is_named_as_such(model):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"
    (model / "unet" / WEIGHTS).write_text(pointer)
    with pytest.raises(ModelRefused, match=r"is a git-LFS pointer, not the file itself.*git lfs pull"):
        find_card(str(model))
    (model / "model_index.json").write_text(pointer)
    assert refusals(model) == ["model-lfs-pointer"]


@pytest.mark.parametrize("text", ["", "[1]", "{", "nul\0"])
def test_a_damaged_index_is_refused(text, model):
    (model / "model_index.json").write_text(text)
    assert refusals(model) == ["model-file-damaged"]


def test_a_folder_that_is_no_model_says_what_is_missing(tmp_path):
    with pytest.raises(ModelRefused, match=r"no model folder: it has no model_index\.json"):
        find_card(str(tmp_path))


def test_an_adapter_folder_is_no_model(tmp_path):
    (tmp_path / "pytorch_lora_weights.safetensors").write_bytes(b"")
    with pytest.raises(ModelRefused, match=r"is an adapter, not a whole model.*model\.adapters"):
        find_card(str(tmp_path))


def test_a_file_of_another_type_is_refused(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    assert refusals(path) == ["model-file-type"]


def test_weights_that_do_not_fit_the_configuration_are_refused_when_loading(model):
    change(model / "unet" / "config.json", block_out_channels=[16, 32])
    with pytest.raises(ModelRefused, match="diffusers could not load it"):
        open_generator(str(model))


def test_a_header_tells_shapes_without_reading_weights(model):
    header = read_header(model / "unet" / WEIGHTS)
    assert header["conv_in.weight"]["shape"] == [8, 4, 3, 3]


def test_a_fingerprint_sees_changes_anywhere_in_a_large_file(tmp_path):
    path = tmp_path / "large.safetensors"
    data = bytearray(WHOLE_FILE_BYTES + 4 * 2**20)
    prints = set()
    for block in (None, 0, len(data) - 1, *range(2**20, len(data) - 2**20, 2**20)):
        changed = bytearray(data)
        if block is not None:  # Training changes every tensor; a megabyte stands for the smallest of them.
            changed[block : block + 2**20] = b"\1" * len(changed[block : block + 2**20])
        path.write_bytes(changed)
        prints.add(fingerprint([path], tmp_path))
    assert len(prints) == 3 + len(range(2**20, len(data) - 2**20, 2**20))


def test_the_flavour_asked_for_is_chosen_else_the_plain_one_else_what_there_is():
    names = ["model.fp16.safetensors", "model.safetensors"]
    assert choose_flavour(names) == ["model.safetensors"]
    assert choose_flavour(names, "fp16") == ["model.fp16.safetensors"]
    assert choose_flavour(["model.safetensors"], "fp16") == ["model.safetensors"]
    assert choose_flavour(["model.fp16.safetensors"]) == ["model.fp16.safetensors"]
    assert choose_flavour([]) == []


def change(path: Path, **entries: object) -> None:
    """Set entries of a JSON file; None removes one."""
    values = {**json.loads(path.read_text()), **entries}
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
