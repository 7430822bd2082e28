"""Going through a training on the terminal: a bar with losses and time left, or lines; a signal saves and ends it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING

from designkit.cli.console import LINE_SECONDS, duration, note
from designkit.cli.stopping import check_stopped, hold_signals

if TYPE_CHECKING:
    from designkit.training.loop import StageReport, StepReport


@contextlib.contextmanager
def show_training(*, is_shown: bool) -> Generator[Callable[[StageReport], None]]:
    """Give a function that shows one step's report; notes are always told, the rest as far as there is room."""
    if not is_shown:
        yield lambda report: None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield _lines()


def _lines() -> Callable[[StageReport], None]:
    last = -LINE_SECONDS

    def show(step: StageReport) -> None:
        nonlocal last
        report = step.report
        for text in report.notes:
            note(f"{step.stage}: {text}")
        if time.monotonic() - last >= LINE_SECONDS or report.progress >= 1:
            last = time.monotonic()
            left = f"  {duration(report.seconds_left)} left" if report.progress < 1 else ""
            note(f"{step.stage}  step {report.step:,}  {report.progress:4.0%}  {_measured(report)}{left}")

    return show


@contextlib.contextmanager
def _bar() -> Generator[Callable[[StageReport], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        TextColumn("{task.fields[measured]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4) as progress:
        bars: dict[str, TaskID] = {}

        def show(step: StageReport) -> None:
            report = step.report
            for text in report.notes:
                progress.console.print(f"{step.stage}: {text}", markup=False, highlight=False)
            left = f"{duration(report.seconds_left)} left" if report.progress < 1 else "done"
            measured = _measured(report)
            if step.stage not in bars:
                bars[step.stage] = progress.add_task(step.stage, total=1.0, left=left, measured=measured)
            progress.update(bars[step.stage], completed=report.progress, left=left, measured=measured)

        yield show


def _measured(report: StepReport) -> str:
    losses = "  ".join(f"{name} loss {loss:.4f}" for name, loss in report.losses.items())
    metrics = "  ".join(f"{name} {value:.4f}" for name, value in list(report.metrics.items())[:4])
    return "  ".join(part for part in (losses, metrics, f"{report.samples_per_second:,.0f} samples/s") if part)


def run_training(steps: Generator[StageReport]) -> int:
    """Show each step of a training and return how many there were; a signal lets the step end, and saves."""
    num_steps = 0
    with closing(steps):
        first = next(steps, None)  # Making ready may take long and has nothing to save: a signal ends it at once.
        with hold_signals() as is_stopping, show_training(is_shown=is_main()) as show:
            for step in chain([first] if first else [], steps):
                num_steps += 1
                show(step)
                if _agreed(is_stopping()):
                    break
    check_stopped()
    return num_steps


def is_main() -> bool:
    """Whether this is the one process that speaks, of those that `accelerate launch` has started."""
    return os.environ.get("RANK", "0") == "0"


def _agreed(is_stopping: bool) -> bool:
    """Whether any process has been asked to stop: all of them stop after the same step, or the rest would wait."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return is_stopping
    from designkit.training.processes import is_any, state

    return is_any(state(), is_stopping)
