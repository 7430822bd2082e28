"""`designkit finetune`: a brand's pictures to an adapter; `designkit models convert`: adapters for other tools."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from designkit.cli.console import note, say, say_json
from designkit.cli.planning import AsJson, Overrides
from designkit.errors import InputRefused, Problem

if TYPE_CHECKING:
    from designkit.generators.base import ModelCard
    from designkit.training.data import Survey
    from designkit.training.finetuning.recipe import FinetuneRecipe

Pictures = Annotated[Path, typer.Argument(metavar="PICTURES", help="A folder of captioned pictures, 10 to 50.")]
Model = Annotated[
    str | None, typer.Option("--model", help="starter (the default), a Hub id (with @revision), or a model folder.")
]
Out = Annotated[
    Path | None, typer.Option("--out", help="The adapter's folder; outputs/<name of PICTURES>-<method> unless given.")
]
FinetuneMethod = Literal["lora"]
Method = Annotated[FinetuneMethod, typer.Option("--method", help="What learns.")]
Layout = Literal["diffusers", "kohya", "comfyui"]


def finetune(
    pictures: Pictures,
    model: Model = None,
    method: Method = "lora",
    out: Out = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Teach a model a brand from its pictures; the same command again goes on where it stopped."""
    from designkit.cli.stopping import check_stopped, hold_signals
    from designkit.cli.training_progress import show_training
    from designkit.files import write_durably
    from designkit.generators.catalog import find_card
    from designkit.runs.folder import make_folder
    from designkit.training.config import recipe_text
    from designkit.training.data import survey

    folder = out or Path("outputs") / f"{pictures.resolve().name}-{method}"
    is_main = os.environ.get("RANK", "0") == "0"
    found = survey(pictures, cache=folder / "cache" if is_main else None)
    if is_main:
        note(found.text())
    found.check()
    recipe = _recipe(pictures, found, folder, model, method, overrides or ())
    card = find_card(recipe.model)
    if card.folder is None:
        note(f"fetching {recipe.model} from the Hub ...")
        card = _fetched(recipe.model)

    from designkit.models.device import free_cores  # before torch: it decides how idle threads wait
    from designkit.training.finetuning import card as written
    from designkit.training.finetuning.finetune import finetune as learn
    from designkit.training.finetuning.finetune import look_at_pictures

    brand = look_at_pictures(recipe, card, found)
    if is_main:
        note(brand.text())
        make_folder(folder)
        write_durably(folder / "recipe.yaml", recipe_text(recipe).encode())
    steps, num_steps = learn(recipe, folder, threads=free_cores(), found=found), 0
    with closing(steps):
        first = next(steps, None)  # Making ready may take long and has nothing to save: a signal ends it at once.
        with hold_signals() as is_stopping, show_training(is_shown=is_main) as show:
            for step in chain([first] if first else [], steps):
                num_steps += 1
                show(step)
                if _agreed(is_stopping()):
                    break
    check_stopped()
    if not is_main:
        return
    line = written.usage(recipe, folder)
    if as_json:
        say_json({"adapter": str(folder), "steps": num_steps, "use": line, "data": found.summary(), "errors": []})
    else:
        say(f"The adapter is in {folder}; base and adapter side by side: {folder / 'preview.png'}")
        say(f"Use it in any prompt file:\n  {line}")


def convert(
    adapter: Annotated[Path, typer.Argument(help="An adapter's folder or .safetensors file.")],
    to: Annotated[Layout, typer.Option("--to", help="Whose names its layers get.")] = "kohya",
    out: Annotated[
        Path | None, typer.Option("--out", help="The file; beside the adapter, named after the layout, unless given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a LoRA adapter for another tool, at the same strength."""
    from designkit.generators.adapter_formats import read_adapter, write_adapter
    from designkit.generators.adapters import adapter_file
    from designkit.runs.folder import make_folder
    from designkit.values import Adapter

    source = adapter_file(Adapter(path=str(adapter)))
    stem = adapter.resolve().name if adapter.is_dir() else source.stem
    target = out or (adapter.resolve().parent if adapter.is_dir() else source.parent) / f"{stem}-{to}.safetensors"
    if target.exists() and target.samefile(source):
        raise InputRefused(
            Problem(
                code="option", key="--out", message=f"{target} is the adapter itself", fix="choose another file"
            )
        )  # fmt: skip
    weights = read_adapter(adapter)
    make_folder(target.parent)
    write_adapter(target, weights, to)
    if as_json:
        say_json({"file": str(target), "layout": to, "tensors": len(weights.tensors), "errors": []})
    else:
        say(f"{target}: {len(weights.tensors) // 2} layers in {to}'s names, at the same strength")


def _recipe(
    pictures: Path, found: Survey, folder: Path, model: str | None, method: FinetuneMethod, overrides: Sequence[str]
) -> FinetuneRecipe:
    """The recipe that this folder was begun with, or the preset for so many pictures; overrides laid over it."""
    from designkit.generators.catalog import find_card
    from designkit.training.config import change_recipe, read_recipe
    from designkit.training.finetuning.recipe import FinetuneRecipe, finetune_preset

    begun = folder / "recipe.yaml"
    if begun.exists():
        recipe = read_recipe(begun, overrides, model=FinetuneRecipe)
        asked: dict[str, Any] = {"model": model or recipe.model, "method": method, "data.folder": str(pictures)}
        differing = [
            f"{key} was {now}, not {asked[key]}"
            for key, now in (("model", recipe.model), ("method", recipe.method), ("data.folder", recipe.data.folder))
            if asked[key] != now
        ]
        if differing:
            raise InputRefused(
                Problem(
                    code="recipe-changed", file=str(begun), message=f"was begun otherwise: {'; '.join(differing)}",
                    fix="choose another place with --out",
                )
            )  # fmt: skip
        note(f"going on with {begun}")
        return recipe
    card: ModelCard = find_card(model or "starter")
    preset = finetune_preset(
        str(pictures), len(found.entries), model=model or "starter", num_parameters=card.num_parameters, method=method,
        name=folder.name,
    )  # fmt: skip
    return change_recipe(preset, overrides)


def _fetched(name: str) -> ModelCard:
    from designkit.generators.catalog import find_card
    from designkit.generators.download import fetch

    model_id, _, revision = name.partition("@")
    fetch(model_id, revision or None)
    return find_card(name)


def _agreed(is_stopping: bool) -> bool:
    """Whether any process has been asked to stop: all of them stop after the same step, or the rest would wait."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return is_stopping
    from designkit.training.processes import is_any, state

    return is_any(state(), is_stopping)
