"""`designkit finetune`: a brand's pictures to an adapter or a model; `models convert`: adapters for other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from designkit.cli.console import note, plural, problem_json, say, say_json
from designkit.cli.planning import AsJson, Overrides
from designkit.cli.training_progress import is_main, run_training
from designkit.errors import InputRefused, Problem

if TYPE_CHECKING:
    from designkit.generators.base import ModelCard
    from designkit.training.data import Survey
    from designkit.training.finetuning.check import PictureCheck
    from designkit.training.finetuning.recipe import FinetuneRecipe

Pictures = Annotated[Path, typer.Argument(metavar="PICTURES", help="A folder of captioned pictures, 10 to 50.")]
Model = Annotated[
    str | None, typer.Option("--model", help="starter (the default), a Hub id (with @revision), or a model folder.")
]
Out = Annotated[
    Path | None, typer.Option("--out", help="The adapter's folder; outputs/<name of PICTURES>-<method> unless given.")
]
FinetuneMethod = Literal["lora", "dreambooth", "lokr", "textual-inversion", "full"]
Method = Annotated[FinetuneMethod, typer.Option("--method", help="What learns, and how it is kept.")]
InstancePrompt = Annotated[
    str | None,
    typer.Option("--instance-prompt", metavar="TEXT", help="Caption of pictures that have none: lumen brand design."),
]
IsCheck = Annotated[
    bool, typer.Option("--check", help="Show what is known of the pictures, score the set, and stop; no weights load.")
]
Layout = Literal["diffusers", "kohya", "comfyui"]


def finetune(
    pictures: Pictures,
    model: Model = None,
    method: Method = "lora",
    out: Out = None,
    instance_prompt: InstancePrompt = None,
    is_check: IsCheck = False,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Teach a model a brand from its pictures; the same command again goes on where it stopped."""
    from designkit.generators.catalog import find_card
    from designkit.training.data import survey
    from designkit.training.finetuning.begin import RECIPE_FILE, keep_recipe, model_card, open_recipe
    from designkit.training.finetuning.pictures import brand_pictures
    from designkit.training.finetuning.wording import check_wording, worded

    folder = out or Path("outputs") / f"{pictures.resolve().name}-{method}"
    found = survey(pictures, cache=folder / "cache" if is_main() else None)
    settings = [*(overrides or ()), *_as_setting("data.instance_prompt", instance_prompt)]
    if (folder / RECIPE_FILE).exists():
        note(f"going on with {folder / RECIPE_FILE}")
    recipe = open_recipe(pictures, found, folder, model=model, method=method, overrides=settings)
    card = find_card(recipe.model) if is_check else model_card(recipe.model)
    check = _check(found, recipe, card, folder)
    if is_main() and not (is_check and as_json):
        (say if is_check else note)(check.text(every=is_check))
    try:
        check_wording(recipe)
        brand = worded(brand_pictures(found, recipe.data, card), recipe)
    except InputRefused as refusal:
        if is_check and as_json:
            say_json({**check.to_json(), "errors": [problem_json(problem) for problem in refusal.problems]})
            raise typer.Exit(refusal.exit_code) from None
        raise refusal if as_json else _in_one(refusal, check) from None
    if is_check:
        say_json({**check.to_json(), "errors": []}) if as_json else say(brand.text())
        return

    from designkit.models.device import free_cores  # before torch: it decides how idle threads wait
    from designkit.training.finetuning import card as written
    from designkit.training.finetuning.finetune import finetune as learn

    if is_main():
        note(brand.text())
        keep_recipe(recipe, folder)
    num_steps = run_training(learn(recipe, folder, threads=free_cores(), found=found))
    if not is_main():
        return
    page = None
    if recipe.report and (num_steps or not (folder / "report.html").exists()):
        from designkit.cli.brand_report import report_after_training

        page = report_after_training(folder, num_steps=recipe.previews.steps)
    line, words = written.usage(recipe, folder), written.words_to_say(recipe)
    if as_json:
        document = {
            "adapter": str(folder),
            "steps": num_steps,
            "use": line,
            "say": words,
            "report": str(page) if page else None,
        }
        say_json({**document, "data": found.summary(), "errors": []})
    else:
        say(f"What was learned is in {folder}; beside the base model: {folder / 'preview.png'}")
        say(f"Use it in any prompt file{f' that says {words}' if words else ''}:\n  {line}")


def _as_setting(key: str, value: str | None) -> list[str]:
    """An option as the override of a recipe's key that it stands for."""
    return [] if value is None else [f"{key}={json.dumps(value, ensure_ascii=False)}"]


def _in_one(refusal: InputRefused, check: PictureCheck) -> InputRefused:
    """Of pictures without captions, which the check has listed above, one mistake instead of one each."""
    if any(problem.code != "caption-missing" for problem in refusal.problems):
        return refusal
    count = plural(len(check.without_caption), "picture")
    return InputRefused(
        Problem(
            code="caption-missing", file=str(check.place), message=f"{count} without a caption, listed above",
            fix="write captions into .txt files or metadata.jsonl, or add --instance-prompt 'lumen brand design'",
        )
    )  # fmt: skip


def _check(found: Survey, recipe: FinetuneRecipe, card: ModelCard, folder: Path) -> PictureCheck:
    """What is known of the pictures, written down in the adapter's folder."""
    from designkit.runs.folder import make_folder
    from designkit.training.finetuning.check import check_pictures, write_check

    check = check_pictures(found, recipe.data, card)
    if is_main():
        make_folder(folder)
        write_check(check, folder)
    return check


def convert(
    adapter: Annotated[Path, typer.Argument(help="An adapter's folder or .safetensors file.")],
    to: Annotated[Layout, typer.Option("--to", help="Whose names its layers get.")] = "kohya",
    out: Annotated[
        Path | None, typer.Option("--out", help="The file; beside the adapter, named after the layout, unless given.")
    ] = None,
    max_rank: Annotated[
        int, typer.Option("--max-rank", min=1, help="LoKr adapters become LoRA of this rank at most.")
    ] = 128,
    as_json: AsJson = False,
) -> None:
    """Write a LoRA or LoKr adapter as LoRA for another tool, at the same strength."""
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
    weights = read_adapter(adapter, max_rank=max_rank)
    make_folder(target.parent)
    write_adapter(target, weights, to)
    if as_json:
        say_json({"file": str(target), "layout": to, "tensors": len(weights.tensors), "errors": []})
    else:
        say(f"{target}: {len(weights.tensors) // 2} layers in {to}'s names, at the same strength")
