"""Finding and checking the LoRA file that a request names, before any model is loaded."""

from __future__ import annotations

from pathlib import Path

from designkit.errors import ModelRefused, Problem
from designkit.generators.folder import pickle_problem
from designkit.generators.weights import PICKLE_SUFFIXES, read_header
from designkit.values import Adapter

FILE_NAME = "pytorch_lora_weights.safetensors"
"""What diffusers and its training scripts call an adapter inside its folder."""

MARKS = ("lora_down", "lora_up", "lora_A", "lora_B", "lora.down", "lora.up", "lora_linear_layer", "hada_w1", "lokr_w1")
"""One of these is part of some tensor's name in every adapter file."""


def adapter_file(adapter: Adapter) -> Path:
    """The safetensors file that `adapter` means; raises ModelRefused when there is none, or it holds no adapter."""
    path = Path(adapter.path).expanduser()
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        path = path / FILE_NAME if (path / FILE_NAME) in files or len(files) != 1 else files[0]
    if path.suffix in PICKLE_SUFFIXES:
        raise ModelRefused(pickle_problem(path))
    if not path.is_file():
        raise ModelRefused(
            Problem(
                code="adapter-missing",
                file=str(path),
                message="there is no such adapter",
                fix="name a .safetensors file, or a folder that has one",
            )
        )
    if not any(mark in name for name in read_header(path) for mark in MARKS):
        raise ModelRefused(
            Problem(
                code="adapter-unknown-kind",
                file=str(path),
                message="none of its tensors belongs to a LoRA, LoHa or LoKr adapter",
                fix="name a whole model as `model.name`, and only adapters under `model.adapters`",
            )
        )
    return path
