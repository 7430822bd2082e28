"""The model's own pictures, to learn from beside a brand's, so that it goes on drawing them as before.

Prior preservation is DreamBooth's (arXiv 2208.12242), which draws one class. Here they are as many prompts as are
named, and what is to be predicted of such a picture is what the model without its adapter predicts (task.py): in the
mean over noise that is what the picture's own noise would teach, without the scatter.
"""

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
    pipeline: Any, card: ModelCard, beside: Sequence[Example], recipe: FinetuneRecipe, folder: Path
) -> list[Example]:
    """The pictures of the class and of what is to be kept that the recipe asks for, at the sizes of the brand's.

    Drawn by the model as it is before anything is learned, one seed each, into `folder`; those that are there already
    stay. None where the recipe names no prompts.
    """
    data = recipe.data
    prompts = [data.class_prompt] * data.num_class_pictures if data.class_prompt is not None else []
    prompts += data.keep
    sizes = [example.size for example in beside]
    folder = folder / hashlib.sha256(repr((card.revision, prompts)).encode()).hexdigest()[:12]
    examples: list[Example] = []
    for first in range(0, len(prompts), _AT_ONCE):
        size = sizes[first // _AT_ONCE % len(sizes)]
        now = prompts[first : first + _AT_ONCE]
        files = [folder / f"{size}-{first + number}.png" for number in range(len(now))]
        if not all(file.is_file() for file in files):
            folder.mkdir(parents=True, exist_ok=True)
            settings = FinetunePreviews(count=len(now), steps=recipe.previews.steps)
            drawn = Previews(pipeline, card, now, size, settings, folder, first_seed=10**6 + first).draw()
            for file, picture in zip(files, drawn, strict=True):
                picture.save(file)
        examples += [_example(file, prompt, size, data.prior_weight) for file, prompt in zip(files, now, strict=True)]
    return examples


def _example(file: Path, prompt: str, size: Size, weight: float) -> Example:
    item = Item(name=file.name, read=file.read_bytes, suffix=file.suffix, caption=prompt)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return Example(item=item, sha256=sha256, caption=prompt, source=size, size=size, weight=weight, is_own=True)
