"""`designkit train`: a recipe file to a model folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from designkit.cli.console import duration, note, say, say_json
from designkit.cli.planning import AsJson, Overrides

REPORT_SECONDS = 5.0

train_app = typer.Typer(help="Train a model of your own.", no_args_is_help=True)


@train_app.command("diffusion")
def train_diffusion_command(
    recipe: Annotated[Path, typer.Argument(help="The recipe, such as prompts/train/starter.yaml.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The model folder; outputs/<the recipe's name> unless given.")
    ] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Train a small text-to-image model from nothing; the same command again goes on where it stopped."""
    from designkit.training.config import read_recipe

    plan = read_recipe(recipe, overrides or ())
    folder = out or Path("outputs") / plan.name
    from designkit.models.device import free_cores  # before torch: it decides how idle threads wait
    from designkit.training.recipes.diffusion import train_diffusion

    last, steps = 0.0, 0
    for step in train_diffusion(plan, folder, threads=free_cores()):
        steps += 1
        report = step.report
        if time.monotonic() - last < REPORT_SECONDS and report.progress < 1:
            continue
        last = time.monotonic()
        measured = "  ".join(f"{name} {value:.4f}" for name, value in report.metrics.items())
        note(
            f"{step.stage}  step {report.step}  {report.progress:4.0%}  loss {report.loss:.4f}  {measured}  "
            f"{report.samples_per_second:.0f} samples/s  {duration(report.seconds_left)} left"
        )
    if as_json:
        say_json({"model": str(folder), "steps": steps})
    else:
        say(f"The model is in {folder}. Draw with it: designkit generate PROMPTS --model {folder}")
