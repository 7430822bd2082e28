"""Full fine-tuning: all of the denoiser learns, and a whole model folder comes of it."""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from designkit.errors import InputRefused, Problem, StorageError
from designkit.files import sync_folder
from designkit.generators.base import ModelCard
from designkit.training.finetuning.families import TunedFamily
from designkit.training.finetuning.learning import Learning, freeze
from designkit.training.finetuning.recipe import FinetuneRecipe

MODEL_FOLDER = "model"
"""Where below the folder of a full fine-tuning its model lies, apart from what training keeps."""


def begin_whole(pipeline: Any, family: TunedFamily, recipe: FinetuneRecipe) -> Learning:
    """All weights of the denoiser, in fp32 whatever they were; raises InputRefused where text encoders are to learn."""
    if recipe.text_encoder:
        raise InputRefused(
            Problem(
                code="finetune-text-encoder", key="text_encoder", message="full learns the denoiser alone",
                fix="leave text_encoder out; or choose --method lora",
            )
        )  # fmt: skip
    freeze(pipeline)
    denoiser = getattr(pipeline, family.denoiser)
    denoiser.float().requires_grad_(True)
    weights = {f"{family.denoiser}.{name}": weight for name, weight in denoiser.named_parameters()}

    @contextmanager
    def resting() -> Iterator[None]:
        place = denoiser.device
        denoiser.to("cpu")  # Room for the one that is read again.
        try:
            yield
        finally:
            setattr(pipeline, family.denoiser, denoiser.to(place))

    def tensors() -> dict[str, Tensor]:
        return {name: weight.detach().cpu().clone() for name, weight in weights.items()}

    return Learning(parts={family.denoiser: denoiser}, weights=weights, tensors=tensors, resting=resting)


def write_whole(pipeline: Any, learning: Learning, header: Mapping[str, str], folder: Path) -> None:
    """Write the denoiser alone, as diffusers lays it out below a model's folder."""
    (name,) = learning.parts
    denoiser: Any = learning.parts[name]
    denoiser.save_pretrained(folder / MODEL_FOLDER / name, safe_serialization=True)


@contextmanager
def read_whole_again(pipeline: Any, learning: Learning, card: ModelCard, folder: Path) -> Iterator[None]:
    """Within, the pipeline has the denoiser of the folder."""
    (name,) = learning.parts
    own: Any = learning.parts[name]
    place = own.device
    with learning.resting():
        other = type(own).from_pretrained(folder / MODEL_FOLDER / name, torch_dtype=torch.float32)
        setattr(pipeline, name, other.to(place).eval())
        yield


def deliver_whole(
    pipeline: Any, learning: Learning, header: Mapping[str, str], card: ModelCard, out: Path
) -> None:  # fmt: skip
    """Write `model/` in diffusers' layout, whole or not at all, with what the base model's `designkit.json` says."""
    final, partial = out / MODEL_FOLDER, out / "partial-model"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        pipeline.save_pretrained(partial, safe_serialization=True)
        facts = card.folder / "designkit.json" if card.folder is not None else None
        if facts is not None and facts.is_file():
            shutil.copy(facts, partial / facts.name)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        sync_folder(out)
    except OSError as error:
        raise StorageError(f"the model {final} could not be written: {error}", fix="free space, run again") from error
