"""Which seeds a prompt file asks for, kept as ranges so that millions cost nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from designkit.values import MAX_SEED

_NUMBER = re.compile(r"\d{1,10}")
_RANGE = re.compile(r"(\d{1,10})\s*-\s*(\d{1,10})")
_COUNTED = re.compile(r"(\d{1,10})\s*#\s*(\d{1,10})")


@dataclass(frozen=True)
class Seeds:
    """Seeds in the order in which they were written; no seed comes twice."""

    ranges: tuple[range, ...]

    def __len__(self) -> int:
        return sum(map(len, self.ranges))

    def __iter__(self) -> Iterator[int]:
        for numbers in self.ranges:
            yield from numbers


def parse_seeds(written: str | Sequence[str] | None, *, base: int = 0) -> Seeds:
    """The seeds that a file's `seeds` stands for; `base` is its `seed`.

    None is the base seed alone, a single number that many seeds counted up from the base. In a list a number
    is that seed. `100-119` is a range, both ends included, `20#1000` twenty seeds counted up from 1000.
    Raises ValueError with every mistake, one a line.
    """
    if written is None:
        return Seeds((range(base, base + 1),))
    if isinstance(written, str) and _NUMBER.fullmatch(written.strip()):
        return Seeds((_counted(int(written), base),))
    ranges: list[range] = []
    mistakes: list[str] = []
    for item in [written] if isinstance(written, str) else written:
        try:
            ranges.append(_parse_item(item.strip()))
        except ValueError as error:
            mistakes.append(str(error))
    if not ranges and not mistakes:
        mistakes.append("no seed is given")
    ordered = sorted(ranges, key=lambda numbers: numbers.start)
    for before, after in pairwise(ordered):
        if after.start < before.stop:
            mistakes.append(f"seed {after.start} is given twice")
    if mistakes:
        raise ValueError("\n".join(dict.fromkeys(mistakes)))
    return Seeds(tuple(ranges))


def _parse_item(item: str) -> range:
    if _NUMBER.fullmatch(item):
        return _checked(int(item), int(item))
    if match := _RANGE.fullmatch(item):
        first, last = int(match[1]), int(match[2])
        if last < first:
            raise ValueError(f"{item!r} counts down; write {last}-{first}")
        return _checked(first, last)
    if match := _COUNTED.fullmatch(item):
        return _counted(int(match[1]), int(match[2]))
    raise ValueError(f"{item!r} is no seed; seeds are whole numbers from 0 to {MAX_SEED}")


def _counted(count: int, base: int) -> range:
    if count == 0:
        raise ValueError("0 seeds would make no images; seeds must be at least 1")
    return _checked(base, base + count - 1)


def _checked(first: int, last: int) -> range:
    if last > MAX_SEED:
        raise ValueError(f"seed {last} is larger than {MAX_SEED}")
    return range(first, last + 1)
