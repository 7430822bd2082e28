"""From the words of a command line to plans: what `plan` and `generate` do before they part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from designkit.errors import DesignkitError, InputRefused, ModelRefused

if TYPE_CHECKING:
    from designkit.batch.plan import Plan
    from designkit.generators.base import ModelCard
    from designkit.prompts.file import PromptFile

Prompts = Annotated[
    list[str], typer.Argument(help="Prompt files (.yaml .txt .csv .jsonl), - for standard input, or a bare prompt.")
]
OptionalPrompts = Annotated[
    list[str] | None,
    typer.Argument(help="Prompt files (.yaml .txt .csv .jsonl), - for standard input, or a bare prompt."),
]
Model = Annotated[
    str | None,
    typer.Option("--model", help="starter, draft, a Hub id (with @revision), a folder or a .safetensors file."),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most this many images of each prompt file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the file: model.steps=8, 'sizes=[512x512]'."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one machine-readable document.")]


def make_plans(
    prompts: Sequence[str], *, model: str | None, limit: int | None, overrides: Sequence[str] | None
) -> tuple[Plan, ...]:
    """One plan for each prompt file; raises InputRefused or ModelRefused with the mistakes of all of them."""
    from designkit.batch.plan import make_plan, read_prompts

    plans: list[Plan] = []
    refusals: list[DesignkitError] = []
    for file in read_prompts(prompts, overrides=overrides or ()):
        if model is not None:
            file = replace(file, model=replace(file.model, name=model, variant=None))
        try:
            plans.append(make_plan(file, card=_find_card(file, is_from_option=model is not None), limit=limit))
        except (InputRefused, ModelRefused) as error:
            refusals.append(error)
    if refusals:
        problems = [problem for error in refusals for problem in error.problems]
        raise type(refusals[0])(dict.fromkeys(problems))
    return tuple(plans)


def _find_card(file: PromptFile, *, is_from_option: bool) -> ModelCard:
    """The card of the file's model; what is wrong with the model is told at the place where it is named."""
    from designkit.generators.catalog import find_card

    try:
        return find_card(file.model.name)
    except ModelRefused as error:
        if is_from_option:
            raise
        raise ModelRefused(
            file.problem(each.code, each.message, key="model.name", fix=each.fix) if each.file is None else each
            for each in error.problems
        ) from None
