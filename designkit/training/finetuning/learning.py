"""What a method of fine-tuning is: what learns in a pipeline, and how that is written and read again."""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from designkit.generators.base import ModelCard
from designkit.training.finetuning.families import TunedFamily
from designkit.training.finetuning.recipe import FinetuneRecipe


@dataclass(frozen=True, kw_only=True)
class Learning:
    """What learns in a pipeline.

    `parts` are the networks that training runs, by name; `weights` what learns of them, by part and name. `tensors()`
    is what the adapter's file holds of them now. Within `resting()` another adapter may take their place; within
    `unlearned()` the pipeline does what it did before anything was learned (None where the weights learn themselves, so
    that nothing knows any more). `header` is what the file has to say of its layers.
    """

    parts: dict[str, nn.Module]
    weights: dict[str, nn.Parameter]
    tensors: Callable[[], dict[str, Tensor]]
    resting: Callable[[], AbstractContextManager[None]]
    unlearned: Callable[[], AbstractContextManager[None]] | None = None
    header: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class TunedMethod:
    """How one method learns.

    `begin` freezes everything else and changes nothing yet; `write` puts what was learned into a folder, and within
    `read_again` the pipeline does what the folder says; `deliver` writes what users open. `kind` is ModelSpec's word.
    """

    kind: str
    begin: Callable[[Any, TunedFamily, FinetuneRecipe], Learning]
    write: Callable[[Any, Learning, Mapping[str, str], Path], None]
    read_again: Callable[[Any, Learning, ModelCard, Path], AbstractContextManager[None]]
    deliver: Callable[[Any, Learning, Mapping[str, str], ModelCard, Path], None]


def freeze(pipeline: Any) -> None:
    """Let nothing in the pipeline learn."""
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            part.requires_grad_(False)
