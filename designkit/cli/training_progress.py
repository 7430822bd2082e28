"""How a training goes, on the terminal: a bar with losses and the time left, or a plain line every few seconds."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from designkit.cli.console import LINE_SECONDS, duration, note

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
