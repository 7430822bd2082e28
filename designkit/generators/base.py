"""The one protocol that every family of models satisfies, and the card that tells what a model can do.

Text goes in, pictures come out, one by one. A card is read from files without loading any weights (and
without importing torch), so that a plan can refuse what the model cannot do before any time is spent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from designkit.values import GeneratedImage, ImageRequest, Size

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

Setting = Literal["negative", "steps", "guidance", "scheduler", "size", "adapters", "word_weights"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a model is and what it accepts.

    `revision` names the exact weights: a Hub commit, or a fingerprint of the files. `native_sizes` are the
    sizes it makes best, the first being the default; `size_multiple` is the step in pixels that a drawn
    side must keep; `max_pixels` the largest area it draws well. `accepts` lists the request settings that
    are honoured. `folder` is None for models that are not on this disk (yet) or need no files. `reads` says what of
    a prompt counts: all of its text, the name of one of `classes`, or nothing.
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
    reads: Literal["text", "classes", "nothing"] = "text"
    classes: tuple[str, ...] = ()
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


class LatentSpace(Protocol):
    """A model whose pictures are points of a space that can be walked through: GANs and VAEs.

    Latents are arrays [N, *latent_shape] float32, a point each. Prompts condition a model that reads them; one prompt
    stands for all points, and none at all for the empty one.

        latents = model.sample([1, 2], ["a red apple"])
        pictures = model.decode(model.interpolate(latents[0], latents[1], 8), ["a red apple"])
    """

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of one point."""
        ...

    def sample(
        self, seeds: Sequence[int], prompts: Sequence[str] = ("",), *, truncation: float | None = None
    ) -> np.ndarray:
        """The points that requests with these seeds and prompts draw; less `truncation` is nearer to the mean."""
        ...

    def encode(self, pictures: Sequence[Image], prompts: Sequence[str] = ("",)) -> np.ndarray:
        """The points that come nearest to these pictures."""
        ...

    def decode(self, latents: np.ndarray, prompts: Sequence[str] = ("",)) -> list[Image]:
        """The pictures of these points, at the model's native size."""
        ...

    def interpolate(self, start: np.ndarray, end: np.ndarray, count: int) -> np.ndarray:
        """`count` points on the way from one to another, both included, along which typical pictures lie."""
        ...
