"""How heavy a file may be for the formats that were asked for, and which of those that were made are too heavy.

Ad servers refuse files above the weight limit of a placement; the pictures of a run are PNG files, which are the
heaviest way to deliver one. A kilobyte is 1000 bytes here, the stricter reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from designkit.design.formats import Format, Formats
from designkit.errors import Problem
from designkit.prompts.file import PromptFile
from designkit.values import Record, Size

TOO_HEAVY = "too-heavy"


def weight_limits(file: PromptFile, formats: Formats) -> dict[Size, Format]:
    """For each size that has a weight limit, the strictest of the named formats that a file asks for."""
    limits: dict[Size, Format] = {}
    for name in dict.fromkeys(name for entry in file.entries for name in entry.all_sizes):
        entry = formats.find(name)
        if entry is None or entry.max_bytes is None:
            continue
        before = limits.get(entry.size)
        if before is None or before.max_bytes is None or entry.max_bytes < before.max_bytes:
            limits[entry.size] = entry
    return limits


def weight_warning(num_bytes: int, size: Size, limits: Mapping[Size, Format]) -> str | None:
    """A sentence about a file that is heavier than its format allows; None where it is not."""
    limit = limits.get(size)
    if limit is None or limit.max_bytes is None or num_bytes <= limit.max_bytes:
        return None
    return f"{TOO_HEAVY}: {_kilobytes(num_bytes)}, and {limit.name} allows {_kilobytes(limit.max_bytes)}"


def weight_problems(made: Iterable[tuple[Record, int]], limits: Mapping[Size, Format]) -> tuple[Problem, ...]:
    """One warning for each format that some of the files, given with their bytes, are too heavy for."""
    counts: dict[str, list[int]] = {}
    totals: dict[str, int] = {}
    for record, num_bytes in made:
        size = Size(width=record.width, height=record.height)
        limit = limits.get(size)
        if limit is None:
            continue
        totals[limit.name] = totals.get(limit.name, 0) + 1
        if weight_warning(num_bytes, size, limits):
            counts.setdefault(limit.name, []).append(num_bytes)
    by_name = {limit.name: limit for limit in limits.values()}
    problems: list[Problem] = []
    for name, heavy in counts.items():
        most, allowed = _kilobytes(max(heavy)), _kilobytes(by_name[name].max_bytes or 0)
        files = f"{len(heavy)} of {totals[name]} file{'' if totals[name] == 1 else 's'} of {name}"
        verb = "is" if len(heavy) == 1 else "are"
        message = f"{files} {verb} heavier than the {allowed} that it allows (the heaviest {most})"
        fix = "deliver these as JPEG or WebP, or with fewer colours"
        problems.append(Problem(code=TOO_HEAVY, message=message, fix=fix))
    return tuple(problems)


def _kilobytes(num_bytes: int) -> str:
    return f"{num_bytes / 1000:,.0f} kB"
