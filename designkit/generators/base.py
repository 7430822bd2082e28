"""The one protocol that every family of models satisfies, and the card that tells what a model can do.

Text goes in, pictures come out, one by one. A card is read from files without loading any weights (and
without importing torch), so that a plan can refuse what the model cannot do before any time is spent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from designkit.values import GeneratedImage, ImageRequest, Size

Setting = Literal["negative", "steps", "guidance", "scheduler", "size", "adapters", "word_weights"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a model is and what it accepts.

    `revision` names the exact weights: a Hub commit, or a fingerprint of the files. `native_sizes` are the
    sizes it makes best, the first being the default; `size_multiple` is the step in pixels that a drawn
    side must keep; `max_pixels` the largest area it draws well. `accepts` lists the request settings that
    are honoured. `folder` is None for models that are not on this disk (yet) or need no files.
    """

    name: str
    family: str
    revision: str
    licence: str
    native_sizes: tuple[Size, ...]
    size_multiple: int = 8
    min_side_px: int = 64
    max_pixels: int = 1024 * 1024
    accepts: frozenset[Setting] = frozenset()
    default_steps: int | None = None
    default_guidance: float | None = None
    pipeline: str | None = None
    folder: Path | None = None
    num_parameters: int | None = None
    commercial_use: Literal["yes", "no", "ask"] = "ask"
    notes: tuple[str, ...] = field(default=())


class Generator(Protocol):
    """A model that is ready to draw."""

    card: ModelCard

    @property
    def settings(self) -> dict[str, object]:
        """How pictures are computed here: device, precision, batch size, threads; recorded with every run."""
        ...

    def generate(self, requests: Sequence[ImageRequest]) -> Iterator[GeneratedImage]:
        """Draw every request and yield each image as soon as it exists.

        Images may come in another order than the requests. A request that fails yields an image whose
        `failure` says why, and the others go on. The bytes of an image depend on its request and on
        `settings` alone, never on its neighbours.
        """
        ...
