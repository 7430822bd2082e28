"""The values that pass between the stages; plain data, no torch.

A *variant* is one filled-in prompt, a *request* is a variant at one size and one seed (everything that
sets the pixels), a *run* is a folder of pictures, a *record* is one line of its manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from designkit.errors import ImageFailed

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_SEED = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class Size:
    """Width and height of a picture in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """A LoRA file or folder laid over the model, and its strength (1.0 is as trained)."""

    path: str
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """Everything that sets the pixels of one image, and the id that is the hash of it all.

    `size` is what is delivered; `drawn` is the size the model draws before the picture is enlarged and
    cropped to `size`. `choices` records the value taken on each axis, by the axis' key. `steps`,
    `guidance` and `scheduler` are None where the model has no such setting or keeps its own. `name` is what
    its file's name begins with (its choices where empty); `copies` are sets of texts that are to be laid over
    the picture, by their names. Neither changes the picture or its id.
    """

    id: str
    prompt: str
    negative: str = ""
    size: Size
    drawn: Size
    seed: int
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    adapters: tuple[Adapter, ...] = ()
    choices: Mapping[str, str] = field(default_factory=dict[str, str])
    file: str | None = None
    name: str = ""
    copies: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class GeneratedImage:
    """What a generator yields for one request: a picture, or the reason why there is none.

    `picture` is RGB (or RGBA) of exactly `request.size`. `seconds` is its share of the time of the batches
    that were drawn together with it, so that the seconds of all images add up to about what a run took.
    """

    request: ImageRequest
    picture: Image | None
    failure: str | None = None
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()

    @property
    def image(self) -> Image:
        """The picture; raises ImageFailed with the reason where there is none."""
        if self.picture is None:
            raise ImageFailed(f"image {self.request.id} could not be made: {self.failure}")
        return self.picture

    def save(self, folder: str | Path) -> Path:
        """Write `<id>.png` into `folder` (made if missing) and return its path; raises ImageFailed."""
        path = Path(folder) / f"{self.request.id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.image.save(path)
        return path


@dataclass(frozen=True, kw_only=True)
class Record:
    """One line of a run's manifest: what was asked for, what was made, and how to make it again.

    `status` is "done" or "failed". `file` is relative to the run folder, None when failed. `settings`
    holds steps, guidance, scheduler, adapters, precision, batch size and drawn size; `model` the name,
    revision and licence. `copies` are the sets of texts that are to be laid over the picture.
    """

    id: str
    status: str
    file: str | None
    file_sha256: str | None
    pixels_sha256: str | None
    prompt: str
    negative: str
    choices: Mapping[str, str]
    seed: int
    width: int
    height: int
    settings: Mapping[str, Any]
    model: Mapping[str, Any]
    seconds: float
    warnings: tuple[str, ...] = ()
    failure: str | None = None
    copies: tuple[Mapping[str, str], ...] = ()
