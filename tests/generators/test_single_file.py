# pyright: basic, reportPrivateImportUsage=false
"""Checkpoints in one `.safetensors` file, in the layout that Stable Diffusion was first published in."""

from __future__ import annotations

import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from designkit.errors import ModelRefused
from designkit.generators.catalog import find_card
from tests.generators.requests import ask, open_tiny, pixels

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "down_blocks.0.resnets.0": "input_blocks.1.0",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
    "down_blocks.1.resnets.0": "input_blocks.3.0",
    "down_blocks.1.attentions.0": "input_blocks.3.1",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "up_blocks.0.resnets.0": "output_blocks.0.0",
    "up_blocks.0.attentions.0": "output_blocks.0.1",
    "up_blocks.0.resnets.1": "output_blocks.1.0",
    "up_blocks.0.attentions.1": "output_blocks.1.1",
    "up_blocks.0.upsamplers.0.conv": "output_blocks.1.2.conv",
    "up_blocks.1.resnets.0": "output_blocks.2.0",
    "up_blocks.1.resnets.1": "output_blocks.3.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
VAE = {
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0.group_norm": "mid.attn_1.norm",
    "mid_block.attentions.0.to_q": "mid.attn_1.q",
    "mid_block.attentions.0.to_k": "mid.attn_1.k",
    "mid_block.attentions.0.to_v": "mid.attn_1.v",
    "mid_block.attentions.0.to_out.0": "mid.attn_1.proj_out",
    "conv_shortcut": "nin_shortcut",
    "conv_norm_out": "norm_out",
}


def first_published_layout(folder):
    """The tensors of a tiny Stable Diffusion under the names of its first publication."""
    tensors = {}
    for name, value in load_file(folder / "unet" / "diffusion_pytorch_model.safetensors").items():
        block = max((block for block in UNET if name.startswith(block + ".")), key=len)
        rest = name.removeprefix(block)
        if ".resnets." in f".{block}":
            inner, _, kind = rest[1:].rpartition(".")
            rest = f".{RESNET[inner]}.{kind}"
        tensors[f"model.diffusion_model.{UNET[block]}{rest}"] = value
    for name, value in load_file(folder / "vae" / "diffusion_pytorch_model.safetensors").items():
        new = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
        new = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", new)
        new = re.sub(r"up_blocks\.(\d)\.resnets", lambda match: f"up.{3 - int(match[1])}.block", new)
        new = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda match: f"up.{3 - int(match[1])}.upsample", new)
        for ours, theirs in VAE.items():
            new = new.replace(f"{ours}.", f"{theirs}.")
        is_attention = re.search(r"attn_1\.(q|k|v|proj_out)\.weight", new)
        tensors[f"first_stage_model.{new}"] = value[:, :, None, None] if is_attention else value
    for name, value in load_file(folder / "text_encoder" / "model.safetensors").items():
        tensors[f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"] = value
    return {name: value.contiguous() for name, value in tensors.items()}


@pytest.fixture(scope="module")
def checkpoint(tiny_model, tmp_path_factory):
    """A single file, and beside it the folder that describes its parts."""
    source, place = tiny_model("StableDiffusionPipeline"), tmp_path_factory.mktemp("single")
    save_file(first_published_layout(source), place / "tiny.safetensors")
    shutil.copytree(source, place / "tiny", ignore=shutil.ignore_patterns("*.safetensors"))
    return place / "tiny.safetensors"


def test_a_single_file_draws_what_its_folder_draws(checkpoint, tiny_model):
    requests = [ask(0, negative="lemon"), ask(1)]
    expected = pixels(open_tiny(tiny_model("StableDiffusionPipeline")), requests)
    assert pixels(open_tiny(checkpoint), requests) == expected


def test_the_card_of_a_single_file_tells_its_kind(checkpoint):
    card = find_card(str(checkpoint))
    assert (card.pipeline, card.licence, card.commercial_use) == ("StableDiffusionPipeline", "unknown", "ask")
    assert card.folder == checkpoint
    assert "Stable Diffusion 1" in card.notes[0]


def test_a_file_whose_configuration_is_nowhere_is_refused(checkpoint, tmp_path):
    alone = tmp_path / "alone.safetensors"
    shutil.copy(checkpoint, alone)
    with pytest.raises(ModelRefused, match="stable-diffusion-v1-5/stable-diffusion-v1-5"):
        open_tiny(alone)


def test_a_file_of_unknown_tensors_is_refused_with_the_kinds_that_work(tmp_path):
    path = tmp_path / "strange.safetensors"
    save_file({"layers.0.weight": torch.zeros(2)}, path)
    with pytest.raises(ModelRefused, match=r"no whole model of a kind.*Stable Diffusion XL"):
        find_card(str(path))


def test_an_adapter_is_no_model(tmp_path):
    path = tmp_path / "style.safetensors"
    save_file({"unet.to_q.lora_A.weight": torch.zeros(2)}, path)
    with pytest.raises(ModelRefused, match=r"LoRA adapter, not a whole model.*model\.adapters"):
        find_card(str(path))
