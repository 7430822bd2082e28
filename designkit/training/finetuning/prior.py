"""The model's own pictures of a class, to learn from beside a brand's (prior preservation, arXiv 2208.12242)."""

# pyright: basic
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from designkit.generators.base import ModelCard
from designkit.training.finetuning.pictures import Example
from designkit.training.finetuning.previews import Previews
from designkit.training.finetuning.recipe import FinetunePreviews, FinetuneRecipe
from designkit.training.sources import Item
from designkit.values import Size

_AT_ONCE = 4


def draw_prior(
    pipeline: Any, card: ModelCard, prompt: str, beside: Sequence[Example], recipe: FinetuneRecipe, folder: Path
) -> list[Example]:
    """So many pictures of the prompt as the recipe asks for, at the sizes of the brand's; kept in `folder`.

    Drawn by the model as it is before anything is learned, one seed each; those that are there already stay.
    """
    sizes = [example.size for example in beside]
    folder = folder / hashlib.sha256(f"{card.revision}/{prompt}".encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    examples: list[Example] = []
    for first in range(0, recipe.data.num_class_pictures, _AT_ONCE):
        size = sizes[first // _AT_ONCE % len(sizes)]
        count = min(_AT_ONCE, recipe.data.num_class_pictures - first)
        files = [folder / f"{size}-{first + number}.png" for number in range(count)]
        if not all(file.is_file() for file in files):
            settings = FinetunePreviews(count=count, steps=recipe.previews.steps)
            drawn = Previews(pipeline, card, [prompt], size, settings, folder, first_seed=10**6 + first).draw()
            for file, picture in zip(files, drawn, strict=True):
                picture.save(file)
        examples += [_example(file, prompt, size, recipe.data.prior_weight) for file in files]
    return examples


def _example(file: Path, prompt: str, size: Size, weight: float) -> Example:
    item = Item(name=file.name, read=file.read_bytes, suffix=file.suffix, caption=prompt)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return Example(item=item, sha256=sha256, caption=prompt, source=size, size=size, weight=weight)
