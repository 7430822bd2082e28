"""From a survey of pictures to what is learned from: each with its caption, at the size nearest to its own shape.

brand = choose_examples(found, recipe.data, sizes=card.native_sizes, grid_px=32, is_any_size=False)
order = BucketOrder([example.size for example in brand.training], seed=0)
rows = order.rows(step, 4)                     # numbers of pictures of one size
"""

# pyright: basic
from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from designkit.errors import InputRefused, Problem
from designkit.files import write_durably
from designkit.generators.base import ModelCard
from designkit.generators.catalog import read_facts
from designkit.training.data import Survey, to_tensor
from designkit.training.finetuning.recipe import FinetuneData
from designkit.training.pictures import decode, flatten
from designkit.training.sources import Item
from designkit.training.splits import held_out, order
from designkit.values import Size

if TYPE_CHECKING:
    import torch

PICTURES_FILE = "pictures.json"
MAX_ASPECT = 4.0
"""No bucket is longer than this times its width; longer pictures lose their ends."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One picture with what it is learned by: its caption, its size in training, its weight in the loss.

    `is_own`: the model drew it itself, and is to go on seeing it as it did.
    """

    item: Item
    sha256: str
    caption: str
    source: Size
    size: Size
    weight: float = 1.0
    is_own: bool = False

    @property
    def cropped_share(self) -> float:
        """The share of the picture's area that is cut off to bring it to its size."""
        scale = max(self.size.width / self.source.width, self.size.height / self.source.height)
        return 1.0 - self.size.width * self.size.height / (self.source.width * self.source.height * scale**2)


@dataclass(frozen=True, kw_only=True)
class BrandPictures:
    """What is learned from, and what is held out; near-duplicates are on one side."""

    training: tuple[Example, ...]
    held_out: tuple[Example, ...]

    def text(self) -> str:
        """What was decided, as lines for a person."""
        training = {example.item.name: example for example in self.training}.values()
        everything = (*training, *self.held_out)
        sizes: dict[str, int] = {}
        for example in everything:
            sizes[str(example.size)] = sizes.get(str(example.size), 0) + 1
        shown = ", ".join(f"{size} ({count})" for size, count in sorted(sizes.items()))
        most = max(everything, key=lambda example: example.cropped_share)
        lines = [f"  {len(training)} to learn from, {len(self.held_out)} held out; sizes: {shown}"]
        if len(self.training) > len(training):
            lines.append(f"  folders say how often: {len(self.training)} pictures in a round")
        if most.cropped_share > 0.1:
            lines.append(f"  {most.item.name} loses {most.cropped_share:.0%} of its area to its size, the most of all")
        return "\n".join(lines)


def brand_pictures(found: Survey, data: FinetuneData, card: ModelCard) -> BrandPictures:
    """The pictures of a survey as a model of this card learns from them; needs no weights. Raises InputRefused."""
    folder = card.folder
    facts = read_facts(folder) if folder is not None and folder.is_dir() else None
    is_any_size = facts is None or not facts.native_sizes or facts.any_size
    return choose_examples(
        found, data, sizes=card.native_sizes, grid_px=max(8, card.size_multiple), is_any_size=is_any_size
    )


def caption_of(item: Item, data: FinetuneData) -> str | None:
    """What a picture is learned by: its own caption, else the instance prompt, else the words of its kohya folder."""
    return (item.caption or "").strip() or data.instance_prompt or (item.kohya.caption if item.kohya else None)


def choose_examples(
    found: Survey, data: FinetuneData, *, sizes: Sequence[Size], grid_px: int, is_any_size: bool
) -> BrandPictures:
    """Captions, sizes and held-out part of the pictures of a survey.

    `sizes` are the model's own, of which the first gives the area; where it takes any size, shapes are on a grid of
    `grid_px`. Raises InputRefused with every picture that has no caption, unless there is an instance prompt.
    """
    found.check()
    captions = [caption_of(entry.item, data) for entry in found.entries]
    problems = [
        Problem(
            code="caption-missing", file=entry.item.name, message="has no caption",
            fix="write one into a .txt file of its name or metadata.jsonl, or caption all such pictures with "
            "--instance-prompt 'lumen brand design'",
        )
        for entry, caption in zip(found.entries, captions, strict=True)
        if caption is None
    ]  # fmt: skip
    if problems:
        raise InputRefused(problems)
    area = (data.resolution_px or math.isqrt(sizes[0].width * sizes[0].height)) ** 2
    examples = [
        Example(
            item=entry.item, sha256=entry.sha256, caption=caption or "",
            source=(source := Size(width=entry.width, height=entry.height)),
            size=free_size(source, area, grid_px) if is_any_size else nearest_size(source, sizes),
        )
        for entry, caption in zip(found.entries, captions, strict=True)
    ]  # fmt: skip
    hashes = [entry.sha256 for entry in found.entries]
    kept_back = held_out(hashes, found.duplicates, [None] * len(hashes), share=data.held_out)
    repeats = [entry.item.kohya.repeats if entry.item.kohya else 1 for entry in found.entries]
    common = math.gcd(*repeats)  # what all have in common changes nothing: a round is as long as is needed
    return BrandPictures(
        training=tuple(
            example
            for example, is_out, times in zip(examples, kept_back, repeats, strict=True)
            for _ in range(0 if is_out else times // common)
        ),
        held_out=tuple(example for example, is_out in zip(examples, kept_back, strict=True) if is_out),
    )


def write_picture_list(brand: BrandPictures, place: Path, folder: Path) -> None:
    """Write `pictures.json`: which pictures were learned from and which held out, for whoever reports on the adapter.

    It stays in the adapter's folder; the adapter's own file names no picture. Raises StorageError.
    """
    by_name = {example.item.name: example for example in brand.training}
    sizes = [str(example.size) for example in brand.training]
    rows = [
        {"file": example.item.name, "sha256": example.sha256, "caption": example.caption, "held_out": is_held_out}
        for examples, is_held_out in ((by_name.values(), False), (brand.held_out, True))
        for example in examples
    ]
    listed = {"place": str(place.resolve()), "size": max(sorted(set(sizes)), key=sizes.count), "pictures": rows}
    write_durably(folder / PICTURES_FILE, (json.dumps(listed, ensure_ascii=False, indent=1) + "\n").encode())


def nearest_size(source: Size, sizes: Sequence[Size]) -> Size:
    """Of a model's own sizes the one whose shape is nearest to the picture's."""
    shape = math.log(source.width / source.height)
    return min(sizes, key=lambda size: abs(math.log(size.width / size.height) - shape))


def free_size(source: Size, area: int, grid_px: int) -> Size:
    """The size of about `area` pixels, at most the picture's own, on the grid, of the shape nearest to the picture's.

    Never larger than the picture, but for sides below one step of the grid.
    """
    shape = min(MAX_ASPECT, max(1 / MAX_ASPECT, source.width / source.height))
    step = max(grid_px, math.isqrt(area) // 16 // grid_px * grid_px)
    width = min(math.sqrt(area * shape), source.width)
    height = min(math.sqrt(area / shape), source.height, width / shape)
    width = min(width, height * shape)
    # Up by a rounding at most, and never above the picture itself.
    sides = [
        max(grid_px, min(round(side / step) * step, limit // grid_px * grid_px))
        for side, limit in ((width, source.width), (height, source.height))
    ]
    return Size(width=sides[0], height=sides[1])


def read_pixels(example: Example, *, ground: str) -> torch.Tensor:
    """The picture at its size in training, [3, H, W] float32 in [-1, 1]; what does not fit is cut off evenly."""
    picture = flatten(decode(example.item.read(), suffix=example.item.suffix).image, ground).convert("RGB")
    return to_tensor(np.asarray(fill(picture, example.size))[None])[0]


def fill(picture: Image.Image, size: Size) -> Image.Image:
    """The picture scaled until it fills the size, its middle cut out."""
    from PIL import ImageOps

    return ImageOps.fit(picture, (size.width, size.height), Image.Resampling.LANCZOS)


class BucketOrder:
    """Which pictures make up each step: all of one size, and in the long run each picture as often as any other.

    Goes in rounds of as many steps as there are pictures. In a round, a size has as many steps as it has pictures,
    so that each of its pictures is learned from `batch size` times; none is dropped for being alone in its size.
    A function of the step alone.
    """

    def __init__(self, sizes: Sequence[Size], *, seed: int) -> None:
        self.seed = seed
        self.members: dict[Size, list[int]] = {}
        for number, size in enumerate(sizes):
            self.members.setdefault(size, []).append(number)
        self._slots = [size for size, members in self.members.items() for _ in members]

    def rows(self, step: int, batch_size: int) -> list[int]:
        """The numbers of the pictures of optimizer step `step`."""
        turn, place = divmod(step, len(self._slots))
        plan = self._plan(turn)
        size = plan[place]
        members = self.members[size]
        visit = turn * len(members) + plan[:place].count(size)
        picked = order(visit, batch_size, len(members), seed=self.seed)
        return [members[int(index)] for index in picked]

    @lru_cache(maxsize=2)  # noqa: B019 - lives as long as the training
    def _plan(self, turn: int) -> tuple[Size, ...]:
        shuffled = np.random.default_rng((self.seed, 1, turn)).permutation(len(self._slots))
        return tuple(self._slots[int(index)] for index in shuffled)
