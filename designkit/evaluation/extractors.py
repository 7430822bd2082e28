# pyright: basic
"""What turns a picture into numbers: the protocol, and the extractors that need no network.

Every score that compares sets names its extractor, because scores of different extractors say different things:
`FD[randconv:1a2b3c4d]`. Only Inception's are called FID and KID.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from designkit.evaluation.calm import CalmArea, calm_area
from designkit.evaluation.colour import Colours, colourfulness, picture_colours, to_lab
from designkit.evaluation.resampling import Array
from designkit.evaluation.texture import GREY_LEVELS, LBP_RINGS, Texture, co_occurrence_statistics, texture

if TYPE_CHECKING:
    from PIL.Image import Image

LOOK_PX = 256
"""Colours and calm areas are measured on pictures of at most this many pixels a side."""

TEXTURE_PX = 160
"""Textures are measured on pictures of at most this many pixels a side."""

MAX_COLOURS = 512
THUMBNAIL_PX = 32


class Extractor(Protocol):
    """Turns pictures into one vector each."""

    @property
    def name(self) -> str:
        """Exactly which numbers these are; changes whenever they would."""
        ...

    @property
    def resize(self) -> str:
        """How a picture is brought to the extractor's size, in words."""
        ...

    @property
    def licence(self) -> str | None:
        """The licence of its weights; None where it has none."""
        ...

    @property
    def batch_size(self) -> int:
        """How many pictures it takes at once; 1 for one that may be called in several threads."""
        ...

    def features(self, pictures: Sequence[Image]) -> list[Array]:
        """One float32 vector for each RGB picture."""
        ...


class TextExtractor(Extractor, Protocol):
    """An extractor that also says how well a picture fits a text."""

    @property
    def text_title(self) -> str:
        """What its score is called in tables: `CLIP score`, ..."""
        ...

    def text_scores(self, pictures: Sequence[Image], prompts: Sequence[str]) -> list[float]:
        """How well each picture fits its prompt; higher is better, comparable within one extractor alone."""
        ...


@dataclass(frozen=True)
class ColourCounter:
    """All colours of a picture with their areas: rows of Lab and share, as one vector [4 n].

    Of more than `MAX_COLOURS` the largest are kept, as if there were no others.
    """

    name: str = "colours:1"
    resize: str = f"box, to at most {LOOK_PX} a side"
    licence: str | None = None
    batch_size: int = 1

    def features(self, pictures: Sequence[Image]) -> list[Array]:
        """The rows of each picture, to be read by `unpack_colours`."""
        vectors: list[Array] = []
        for picture in pictures:
            found = picture_colours(np.asarray(reduced(picture)))
            shares = found.shares[:MAX_COLOURS]
            rows = np.column_stack([found.lab[:MAX_COLOURS], shares / shares.sum()])
            vectors.append(rows.astype(np.float32).ravel())
        return vectors


def unpack_colours(vector: Array) -> Colours:
    """The colours in a vector of `ColourCounter`."""
    rows = vector.reshape(-1, 4).astype(np.float64)
    return Colours(lab=rows[:, :3], shares=rows[:, 3] / rows[:, 3].sum())


@dataclass(frozen=True)
class Looker:
    """The calm area and the colourfulness of a picture: [7]."""

    name: str = "look:1"
    resize: str = f"box, to at most {LOOK_PX} a side"
    licence: str | None = None
    batch_size: int = 1

    def features(self, pictures: Sequence[Image]) -> list[Array]:
        """Left, top, right, bottom, darkest and lightest of the calm area, then colourfulness."""
        vectors: list[Array] = []
        for picture in pictures:
            pixels = np.asarray(reduced(picture))
            area = calm_area(pixels)
            place = (area.left, area.top, area.right, area.bottom, area.darkest, area.lightest)
            vectors.append(np.asarray([*place, colourfulness(pixels)], np.float32))
        return vectors


def unpack_calm_area(vector: Array) -> CalmArea:
    """The calm area in a vector of `Looker`."""
    left, top, right, bottom, darkest, lightest = (float(value) for value in vector[:6])
    return CalmArea(left=left, top=top, right=right, bottom=bottom, darkest=darkest, lightest=lightest)


@dataclass(frozen=True)
class TextureReader:
    """The texture of a picture: local binary patterns, grey-level co-occurrence and Gabor energies as one vector."""

    name: str = "texture:1"
    resize: str = f"box, to at most {TEXTURE_PX} a side"
    licence: str | None = None
    batch_size: int = 1

    def features(self, pictures: Sequence[Image]) -> list[Array]:
        """The statistics of each picture, to be read by `unpack_texture`."""
        vectors: list[Array] = []
        for picture in pictures:
            found = texture(np.asarray(_at_least(reduced(picture, TEXTURE_PX).convert("L"), 8)) / 255.0)
            parts = (found.patterns, found.co_occurrence.ravel(), found.energies)
            vectors.append(np.concatenate(parts).astype(np.float32))
        return vectors


def unpack_texture(vector: Array) -> Texture:
    """The texture in a vector of `TextureReader`."""
    num_patterns = sum(points + 2 for points, _ in LBP_RINGS)
    patterns, matrix, energies = np.split(vector.astype(np.float64), [num_patterns, num_patterns + GREY_LEVELS**2])
    return Texture(patterns=patterns, co_occurrence=matrix.reshape(GREY_LEVELS, GREY_LEVELS), energies=energies)


@dataclass(frozen=True)
class Thumbnailer:
    """The picture as 32 x 32 Lab pixels [3072]: what near-duplicates are found by, and what pixel PCA starts from."""

    name: str = "pixels:1"
    resize: str = f"box, to {THUMBNAIL_PX}x{THUMBNAIL_PX}"
    licence: str | None = None
    batch_size: int = 1

    def features(self, pictures: Sequence[Image]) -> list[Array]:
        """Lab values divided by 32, so that the distance of two vectors is the root mean square difference in Lab."""
        vectors: list[Array] = []
        for picture in pictures:
            lab = to_lab(np.asarray(squeezed(picture, THUMBNAIL_PX, "box")))
            vectors.append((lab.ravel() / THUMBNAIL_PX).astype(np.float32))
        return vectors


@dataclass(frozen=True)
class DesignDescriber:
    """Descriptors of design in one vector [322]: colour, pattern, texture and layout, each about equally heavy.

    Root shares of a Lab histogram (4 x 6 x 6 cells), root shares of local binary patterns, co-occurrence
    statistics, root Gabor energies, and root histograms of oriented gradients in 4 x 4 cells (Dalal & Triggs
    2005). Roots of shares turn the Euclidean distance into Hellinger's.
    """

    name: str = "design:1"
    resize: str = f"box, to at most {LOOK_PX} a side (texture: {TEXTURE_PX}; gradients: bicubic, to 64x64)"
    licence: str | None = None
    batch_size: int = 1

    def features(self, pictures: Sequence[Image]) -> list[Array]:
        """One vector for each picture."""
        return [_describe(picture) for picture in pictures]


def principal_components(reference: Array, *, num_components: int = 64) -> tuple[str, Array, Array]:
    """The main directions of the reference's thumbnails: a name with their hash, the mean [d], the directions [k, d].

    The `pixel-pca` extractor: project with `(rows - mean) @ directions.T`. At most one direction less than pictures.
    Directions are scaled alike, so that the reference varies by 1 a direction on average.
    """
    rows = np.asarray(reference, np.float64)
    mean = rows.mean(axis=0)
    _, _, directions = np.linalg.svd(rows - mean, full_matrices=False)
    directions = directions[: max(1, min(num_components, len(rows) - 1))]
    # The sign of a direction is free; its largest entry is made positive, so that equal data give equal hashes.
    largest = np.abs(directions).argmax(axis=1)
    directions = directions * np.sign(directions[np.arange(len(directions)), largest])[:, None]
    spread = (((rows - mean) @ directions.T) ** 2).mean()
    directions = directions / np.sqrt(spread) if spread > 0 else directions
    rounded = b"".join(np.round(part, 3).astype("<f4").tobytes() for part in (mean, directions))
    return f"pixel-pca:{hashlib.sha256(rounded).hexdigest()[:8]}", mean, directions


def reduced(picture: Image, limit: int = LOOK_PX) -> Image:
    """The picture with at most `limit` pixels a side, its shape kept, by averages; smaller ones stay as they are."""
    from PIL import Image

    scale = limit / max(picture.size)
    if scale >= 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BOX)


def squeezed(picture: Image, side: int, kind: str = "bicubic") -> Image:
    """The picture as a square of `side` pixels, its shape given up; both filters count every pixel."""
    from PIL import Image

    filters = {"bicubic": Image.Resampling.BICUBIC, "box": Image.Resampling.BOX}
    return picture.resize((side, side), filters[kind])


def _describe(picture: Image) -> Array:
    from skimage.feature import hog

    small = reduced(picture)
    lab = to_lab(np.asarray(small)).reshape(-1, 3)
    cells, _ = np.histogramdd(lab, bins=(4, 6, 6), range=((0, 100.001), (-100, 100), (-110, 110)))
    grain = texture(np.asarray(_at_least(reduced(picture, TEXTURE_PX).convert("L"), 8)) / 255.0)
    contrast, dissimilarity, homogeneity, energy, correlation, entropy = co_occurrence_statistics(grain.co_occurrence)
    statistics = np.asarray([
        np.sqrt(contrast) / GREY_LEVELS, np.sqrt(dissimilarity / GREY_LEVELS), homogeneity, energy, correlation,
        entropy / np.log(GREY_LEVELS**2),
    ])  # fmt: skip
    outline = np.asarray(squeezed(picture, 64).convert("L")) / 255.0
    gradients = hog(outline, orientations=8, pixels_per_cell=(16, 16), cells_per_block=(1, 1), block_norm="L1")
    blocks = (
        np.sqrt(cells.ravel() / len(lab)),
        np.sqrt(grain.patterns / len(LBP_RINGS)),
        statistics / np.sqrt(len(statistics)),
        np.sqrt(grain.energies),
        np.sqrt(np.maximum(gradients, 0) / 16),
    )
    return np.concatenate(blocks).astype(np.float32)


def _at_least(picture: Image, side: int) -> Image:
    """The picture, enlarged where it has fewer pixels a side than a statistic needs."""
    return picture.resize((max(side, picture.width), max(side, picture.height)))
