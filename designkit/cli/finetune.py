"""`designkit finetune`: a brand's pictures to an adapter; `designkit models convert`: adapters for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from designkit.cli.console import note, say, say_json
from designkit.cli.planning import AsJson, Overrides
from designkit.cli.training_progress import is_main, run_training
from designkit.errors import InputRefused, Problem

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
    from designkit.training.data import survey
    from designkit.training.finetuning.begin import RECIPE_FILE, keep_recipe, model_card, open_recipe

    folder = out or Path("outputs") / f"{pictures.resolve().name}-{method}"
    found = survey(pictures, cache=folder / "cache" if is_main() else None)
    if is_main():
        note(found.text())
    found.check()
    if (folder / RECIPE_FILE).exists():
        note(f"going on with {folder / RECIPE_FILE}")
    recipe = open_recipe(pictures, found, folder, model=model, method=method, overrides=overrides or ())
    card = model_card(recipe.model)

    from designkit.models.device import free_cores  # before torch: it decides how idle threads wait
    from designkit.training.finetuning import card as written
    from designkit.training.finetuning.finetune import finetune as learn
    from designkit.training.finetuning.finetune import look_at_pictures

    brand = look_at_pictures(recipe, card, found)
    if is_main():
        note(brand.text())
        keep_recipe(recipe, folder)
    num_steps = run_training(learn(recipe, folder, threads=free_cores(), found=found))
    if not is_main():
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
