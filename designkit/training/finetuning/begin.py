"""Beginning a fine-tuning, or going on with one: the recipe of a folder, and the whole way for scripts.

import designkit

for step in designkit.finetune("brand-pictures", out="outputs/lumen-lora", settings=["training.steps=300"]):
    print(f"{step.report.progress:.0%}", step.report.loss)
"""

# pyright: basic
from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from designkit.errors import InputRefused, Problem
from designkit.files import write_durably
from designkit.generators.base import ModelCard
from designkit.generators.catalog import find_card
from designkit.runs.folder import make_folder
from designkit.training.config import change_recipe, read_recipe, recipe_text
from designkit.training.data import Survey, survey
from designkit.training.finetuning.check import check_pictures, write_check
from designkit.training.finetuning.recipe import FinetuneRecipe, Method, finetune_preset

if TYPE_CHECKING:
    from designkit.training.loop import StageReport

RECIPE_FILE = "recipe.yaml"


def finetune(
    pictures: str | Path, *, model: str | None = None, method: Method = "lora", out: str | Path,
    settings: Sequence[str] = (), threads: int | None = None,
) -> Generator[StageReport]:  # fmt: skip
    """Learn an adapter from a folder of captioned pictures and write it to the folder `out`; a report a step.

    `model` is the starter unless given; `settings` are `key=value` of the recipe, as after `--set`. Closing this
    saves, and the same call again goes on. Raises InputRefused for pictures or settings that cannot be used,
    ModelRefused for a model that is not there or is of no known family, TrainingStopped, StorageError.
    """
    folder = Path(out)
    found = survey(Path(pictures), cache=folder / "cache")
    found.check()
    recipe = open_recipe(Path(pictures), found, folder, model=model, method=method, overrides=settings)
    card = model_card(recipe.model)

    from designkit.models.device import free_cores  # before torch: it decides how idle threads wait
    from designkit.training.finetuning.finetune import finetune as learn

    keep_recipe(recipe, folder)
    write_check(check_pictures(found, recipe.data, card), folder)
    yield from learn(recipe, folder, threads=threads or free_cores(), found=found)


def open_recipe(
    pictures: Path, found: Survey, folder: Path, *, model: str | None, method: Method, overrides: Sequence[str]
) -> FinetuneRecipe:
    """The recipe that a folder was begun with, or the preset for so many pictures; overrides laid over it.

    Raises InputRefused where the folder was begun with another model, method or other pictures.
    """
    begun = folder / RECIPE_FILE
    if begun.exists():
        recipe = read_recipe(begun, overrides, model=FinetuneRecipe)
        asked: dict[str, Any] = {"model": model or recipe.model, "method": method, "data.folder": str(pictures)}
        now = {"model": recipe.model, "method": recipe.method, "data.folder": recipe.data.folder}
        differing = [f"{key} was {now[key]}, not {asked[key]}" for key in now if asked[key] != now[key]]
        if differing:
            raise InputRefused(
                Problem(
                    code="recipe-changed", file=str(begun), message=f"was begun otherwise: {'; '.join(differing)}",
                    fix="choose another place with --out",
                )
            )  # fmt: skip
        return recipe
    name = model or "starter"
    preset = finetune_preset(
        str(pictures), len(found.entries), model=name, num_parameters=find_card(name).num_parameters, method=method,
        name=folder.name,
    )  # fmt: skip
    return change_recipe(preset, [*_suited(overrides), *overrides])


def keep_recipe(recipe: FinetuneRecipe, folder: Path) -> None:
    """Write down with which recipe a folder is begun; raises StorageError."""
    make_folder(folder)
    write_durably(folder / RECIPE_FILE, recipe_text(recipe).encode())


def model_card(name: str) -> ModelCard:
    """The card of a model, which is downloaded where it is on the Hub alone; raises ModelRefused."""
    card = find_card(name)
    if card.folder is not None:
        return card
    from designkit.generators.download import fetch

    model_id, _, revision = name.partition("@")
    fetch(model_id, revision or None)
    return find_card(name)


def _suited(overrides: Sequence[str]) -> list[str]:
    """What goes with an optimizer that is asked for: Prodigy finds the rate, schedule-free averages by itself."""
    if "training.optimizer=prodigy" in overrides:
        return ["training.learning_rate=1"]
    if "training.optimizer=schedule-free" in overrides:
        return ["training.cooldown=0", "training.ema_decay=0"]
    return []
