"""What the terminal shows: results on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any

from designkit.errors import DesignkitError, Problem

MAX_PROBLEMS = 8
"""How many mistakes a message spells out; the rest are counted."""

LINE_SECONDS = 5.0
"""How often progress is told where the terminal cannot show a bar."""


def say(text: str = "") -> None:
    """Print a line of results."""
    print(text)


def note(text: str) -> None:
    """Print a line about how things go."""
    print(text, file=sys.stderr, flush=True)


def say_json(document: Mapping[str, Any]) -> None:
    """Print one machine-readable document."""
    print(json.dumps(document, ensure_ascii=False, indent=2))


def problem_json(problem: Problem) -> dict[str, Any]:
    """A problem as `--json` gives it."""
    names = ("code", "message", "file", "line", "key", "fix")
    return {name: getattr(problem, name) for name in names}


def print_error(error: DesignkitError, *, as_json: bool) -> None:
    """Say what is wrong, where, and what to do about it, on one screen."""
    if as_json:
        say_json({"errors": [problem_json(problem) for problem in error.problems]})
        return
    note(problems_text(error.problems, "error"))


def print_warnings(problems: Iterable[Problem]) -> None:
    """Say what a user may want to know before going on."""
    text = problems_text(tuple(problems), "warning")
    if text:
        note(text)


def problems_text(problems: Sequence[Problem], title: str) -> str:
    """Problems one below the other: title, place and message, then the fix indented; at most a screenful."""
    lines: list[str] = []
    for problem in problems[:MAX_PROBLEMS]:
        place = f"{problem.place}: " if problem.place else ""
        lines.append(_cut(f"{title}: {place}{problem.message}"))
        if problem.fix:
            lines.append(_cut(f"  fix: {problem.fix}"))
    if len(problems) > MAX_PROBLEMS:
        lines.append(f"... and {len(problems) - MAX_PROBLEMS} more of the kind (all of them with --json)")
    return "\n".join(lines)


def table(rows: Iterable[tuple[str, str]], *, indent: str = "  ") -> str:
    """Names and values in two columns."""
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{indent}{name:<{width}}  {value}" for name, value in rows)


def plural(count: int, noun: str) -> str:
    """The count with its noun: `1 image`, `1,000 images`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """A time as people say it: `4 s`, `3 min`, `2.5 h`, `12 days`."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 6000:
        return f"{round(seconds / 60)} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    days = seconds / 86400
    return f"{days:,.0f} days" if days < 1000 else f"{days / 365.25:,.0f} years"


def file_size(num_bytes: float) -> str:
    """A number of bytes as people say it: `12 kB`, `3.4 MB`, `120 GB`."""
    for unit in ("kB", "MB", "GB", "TB"):
        num_bytes /= 1000
        if num_bytes < 1000 or unit == "TB":
            return f"{num_bytes:,.0f} {unit}" if num_bytes >= 10 else f"{num_bytes:.1f} {unit}"
    raise AssertionError("there is no unit after the last")


@contextlib.contextmanager
def image_progress(title: str, num_images: int) -> Generator[Callable[[], None]]:
    """Show how many images of a run are made, how fast, and how long the rest takes; call the value per image.

    A bar on a terminal, a plain line every few seconds elsewhere.
    """
    showing = _bar if sys.stderr.isatty() else _lines
    with showing(title, num_images) as advance:
        yield advance


@contextlib.contextmanager
def _bar(title: str, num_images: int) -> Generator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft
    from rich.text import Text

    class Speed(ProgressColumn):
        """Images per second, or seconds per image where that reads better."""

        def render(self, task: Task) -> Text:
            return Text(_speed(task.speed) if task.speed else "", style="progress.data.speed")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TimeLeft(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=num_images)
        yield lambda: progress.advance(task)


@contextlib.contextmanager
def _lines(title: str, num_images: int) -> Generator[Callable[[], None]]:
    began = last = time.monotonic()
    done = 0

    def advance() -> None:
        nonlocal done, last
        done += 1
        now = time.monotonic()
        if now - last >= LINE_SECONDS and done < num_images:
            last = now
            rate = done / (now - began)
            left = duration((num_images - done) / rate)
            note(f"{title}: {done} of {plural(num_images, 'image')}, {_speed(rate)}, {left} left")

    yield advance


def _speed(images_per_second: float) -> str:
    if images_per_second >= 1:
        return f"{images_per_second:.1f} images/s"
    return f"{1 / images_per_second:.1f} s/image"


def _cut(text: str) -> str:
    """A message that fits a screen, whatever was in the value that it names."""
    return text if len(text) <= 800 else f"{text[:800]} ..."
