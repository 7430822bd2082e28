"""`designkit train`: a folder of pictures, or a recipe file, to a model folder.

A family is one entry of FAMILIES; what it brings is the same for each:

    recipe  pydantic model of its recipe file, with `kind`, `name` and, where it learns from pictures, `data.folder`
    preset  preset(folder: str, num_pictures: int, *, side_px: int, name: str) -> recipe, the best settings known for a
            folder of so many pictures; None where there is no learning from a folder
    train   train(recipe, out: Path, *, threads: int) -> Generator[StageReport]: trains what is not finished and writes
            the model folder; its checkpoints and curves are below `out`, decoded pictures in `out / "cache"`
            (`training.data.open_pictures`), so that what is surveyed here is not surveyed again

Closing the iterator saves (see training/loop.py); that is how a signal ends it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from designkit.cli.console import note, say, say_json
from designkit.cli.planning import AsJson, Overrides
from designkit.cli.training_progress import is_main, run_training
from designkit.errors import InputRefused, Problem

if TYPE_CHECKING:
    from designkit.training.data import Survey
    from designkit.training.loop import StageReport

RECIPE_SUFFIXES = (".yaml", ".yml")
SIDES_PX = (8, 16, 28, 32, 64)
"""Sides that a preset trains at: the largest that half of the pictures fill."""

train_app = typer.Typer(help="Train a model of your own.", no_args_is_help=True)

Data = Annotated[
    Path, typer.Argument(metavar="DATA|RECIPE.yaml", help="A folder of pictures, or a recipe from prompts/train/.")
]
Recipe = Annotated[Path, typer.Argument(metavar="RECIPE.yaml", help="The recipe, such as prompts/train/starter.yaml.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="The model folder; outputs/<name of the recipe or folder> unless given.")
]


@dataclass(frozen=True, kw_only=True)
class Family:
    """What can be trained, loaded only when it is asked for."""

    load_recipe: Callable[[], type[Any]]
    load_preset: Callable[[], Callable[..., Any]] | None
    load_train: Callable[[], Callable[..., Generator[StageReport]]]


@train_app.command("gan")
def train_gan_command(data: Data, out: Out = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Train a generative adversarial network; the same command again goes on where it stopped."""
    _train("gan", data, out, overrides or (), as_json=as_json)


@train_app.command("vae")
def train_vae_command(data: Data, out: Out = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Train a variational autoencoder; the same command again goes on where it stopped."""
    _train("vae", data, out, overrides or (), as_json=as_json)


@train_app.command("diffusion")
def train_diffusion_command(
    recipe: Recipe, out: Out = None, overrides: Overrides = None, as_json: AsJson = False
) -> None:
    """Train a small text-to-image model from nothing; the same command again goes on where it stopped."""
    _train("diffusion", recipe, out, overrides or (), as_json=as_json)


@train_app.command("detector")
def train_detector_command(
    recipe: Recipe, out: Out = None, overrides: Overrides = None, as_json: AsJson = False
) -> None:
    """Train the detector that DesignBench judges with; the same command again goes on where it stopped."""
    _train("detector", recipe, out, overrides or (), as_json=as_json)


def _gan_recipe() -> type[Any]:
    from designkit.training.gan_recipe import GanRecipe

    return GanRecipe


def _gan_preset() -> Callable[..., Any]:
    from designkit.training.gan_recipe import gan_preset

    return gan_preset


def _train_gan() -> Callable[..., Generator[StageReport]]:
    from designkit.training.recipes.gan import train_gan

    return train_gan


def _vae_recipe() -> type[Any]:
    from designkit.training.vae_recipe import VaeRecipe

    return VaeRecipe


def _vae_preset() -> Callable[..., Any]:
    from designkit.training.vae_recipe import vae_preset

    return vae_preset


def _train_vae() -> Callable[..., Generator[StageReport]]:
    from designkit.training.recipes.vae import train_vae

    return train_vae


def _diffusion_recipe() -> type[Any]:
    from designkit.training.config import DiffusionRecipe

    return DiffusionRecipe


def _train_diffusion() -> Callable[..., Generator[StageReport]]:
    from designkit.training.recipes.diffusion import train_diffusion

    return train_diffusion


def _detector_recipe() -> type[Any]:
    from designkit.training.config import DetectorRecipe

    return DetectorRecipe


def _train_detector() -> Callable[..., Generator[StageReport]]:
    from designkit.training.recipes.detector import train_detector

    return train_detector


FAMILIES: dict[str, Family] = {
    "gan": Family(load_recipe=_gan_recipe, load_preset=_gan_preset, load_train=_train_gan),
    "vae": Family(load_recipe=_vae_recipe, load_preset=_vae_preset, load_train=_train_vae),
    "diffusion": Family(load_recipe=_diffusion_recipe, load_preset=None, load_train=_train_diffusion),
    "detector": Family(load_recipe=_detector_recipe, load_preset=None, load_train=_train_detector),
}


def _train(kind: str, data: Path, out: Path | None, overrides: Sequence[str], *, as_json: bool) -> None:
    from designkit.training.config import read_recipe

    family = FAMILIES[kind]
    found: Survey | None = None
    if data.suffix.lower() in RECIPE_SUFFIXES:
        recipe = read_recipe(data, overrides, model=family.load_recipe())
        folder = out or Path("outputs") / recipe.name
        pictures = getattr(getattr(recipe, "data", None), "folder", None)
        if pictures is not None:
            found = _survey(Path(pictures), folder)
    else:
        folder = out or Path("outputs") / f"{data.resolve().name}-{kind}"
        found = _survey(data, folder)
        recipe = _recipe_for(family, kind, data, found, folder, overrides)
    _keep(folder, recipe, found)
    from designkit.models.device import free_cores  # before torch: it decides how idle threads wait

    num_steps = run_training(family.load_train()(recipe, folder, threads=free_cores()))
    if not is_main():
        return
    if as_json:
        say_json({"model": str(folder), "steps": num_steps, "data": found.summary() if found else None})
    else:
        say(f"The model is in {folder}. Draw with it: designkit generate PROMPTS --model {folder}")


def _survey(place: Path, folder: Path) -> Survey:
    """Look at every picture before anything runs, and say what was found."""
    from designkit.training.data import survey

    found = survey(place, cache=folder / "cache" if is_main() else None)
    if is_main():
        note(found.text())
    found.check()
    return found


def _recipe_for(family: Family, kind: str, data: Path, found: Survey, folder: Path, overrides: Sequence[str]) -> Any:
    """The recipe that this folder was begun with, or the preset for so many pictures; overrides laid over it."""
    from designkit.training.config import change_recipe, read_recipe

    if family.load_preset is None:
        raise InputRefused(
            Problem(
                code="recipe", message=f"train {kind} needs a recipe file", file=str(data),
                fix="give one, such as prompts/train/starter.yaml",
            )
        )  # fmt: skip
    begun = folder / "recipe.yaml"
    if begun.exists():
        note(f"going on with {begun}")
        return read_recipe(begun, overrides, model=family.load_recipe())
    sides = sorted(min(entry.width, entry.height) for entry in found.entries)
    middle = sides[len(sides) // 2] if sides else SIDES_PX[0]
    side_px = max(side for side in SIDES_PX if side <= max(middle, SIDES_PX[0]))
    preset = family.load_preset()(str(data), len(found.entries), side_px=side_px, name=folder.name)
    return change_recipe(preset, overrides)


def _keep(folder: Path, recipe: Any, found: Survey | None) -> None:
    """Write down with which recipe and on which pictures the model is trained."""
    from designkit.files import write_durably
    from designkit.runs.folder import make_folder
    from designkit.training.config import recipe_text

    if not is_main():
        return
    make_folder(folder)
    write_durably(folder / "recipe.yaml", recipe_text(recipe).encode())
    if found is not None:
        write_durably(folder / "data.json", (json.dumps(found.summary(), ensure_ascii=False, indent=1) + "\n").encode())
