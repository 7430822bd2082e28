"""The commands and their options; what each one does is in the file it is imported from.

Typer builds the help from here, so only what is needed for that is imported.
"""

from __future__ import annotations

from typing import Annotated

import typer

from designkit.cli import design, finetune, judge, lint, make, review, show, train

app = typer.Typer(
    name="designkit",
    epilog="Begin with: designkit generate prompts/summer-soda-ad.yaml",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def designkit(
    version: Annotated[
        bool, typer.Option("--version", callback=show.print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Design variants for advertising, packaging and branding from prompt files."""


app.command("generate", short_help="Draw prompt files into run folders.")(make.generate)
app.command("plan", short_help="Count and show what would be drawn.")(show.plan)
app.command("lint", short_help="Check prompt files; say what is wrong or risky.")(lint.lint)
app.add_typer(train.train_app, name="train")
app.command("finetune", short_help="Teach a model a brand from its pictures.")(finetune.finetune)
show.models_app.command("convert", short_help="Write a LoRA adapter for another tool.")(finetune.convert)
app.add_typer(show.models_app, name="models", short_help="List models, show what one is.")
app.command("formats", short_help="List the named sizes.")(design.formats)
app.add_typer(design.brand_app, name="brand", short_help="Check brand kits; read and write Design Tokens.")
app.command("evaluate", short_help="Measure pictures: which choices score best.")(judge.evaluate)
app.command("review", short_help="Judge a run's pictures on a local page.")(review.review)
app.command("doctor", short_help="Check what this machine can do.")(show.doctor)
