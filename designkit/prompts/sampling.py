"""Which of all variants a file asks for, as positions in the full list, without ever holding that list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from designkit.prompts.covering import cover_pairs
from designkit.prompts.factors import Row
from designkit.prompts.permutation import Permutation
from designkit.prompts.spread import Rows, balanced_rows, latin_rows

Method = Literal["full", "random", "balanced", "pairwise", "latin"]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A way of choosing variants; `count` None takes all of them, or as many as the method needs.

    `full` takes them in order, `random` draws without repetition. `balanced` takes every value of every axis equally
    often, to within one. `pairwise` shows every two values of two axes together at least once, in few variants.
    `latin` spreads its count over each axis from its first value to its last.
    """

    method: Method = "full"
    count: int | None = None
    seed: int = 0


class NumberedRows(Rows, Protocol):
    """Variants as rows of levels, with the way back from a row to its position."""

    def position_of(self, row: Row) -> int:
        """The position of the variant that a row stands for."""
        ...


class TooFew(Exception):
    """A count is smaller than the number of variants that show every pair; the argument is that number."""


class Pairwise:
    """The positions of variants that show every pair of values; a larger count is topped up at random.

    Raises TooFew, TooManyRows and TooEntangled.
    """

    def __init__(self, rows: NumberedRows, sample: Sample) -> None:
        self._total = rows.total
        self._seed = sample.seed
        self.positions = tuple(rows.position_of(row) for row in cover_pairs(rows.factors, sample.seed))
        if sample.count is not None and sample.count < len(self.positions):
            raise TooFew(len(self.positions))
        self.size = min(rows.total, sample.count or len(self.positions))

    def __iter__(self) -> Iterator[int]:
        yield from self.positions
        taken, missing = frozenset(self.positions), self.size - len(self.positions)
        shuffle = Permutation(self._total, self._seed)
        for place in range(self._total):
            if missing == 0:
                return
            if shuffle[place] not in taken:
                yield shuffle[place]
                missing -= 1


def sample_size(total: int, sample: Sample) -> int:
    """How many of `total` variants the sample takes, but for `pairwise`, whose array must be made to know."""
    return total if sample.count is None else min(total, sample.count)


def sample_positions(total: int, sample: Sample) -> Iterator[int]:
    """The positions that a full or random sample takes out of `range(total)`, each at most once, one by one.

    A larger count continues where a smaller one ended, so raising it adds images and replaces none.
    """
    places = range(sample_size(total, sample))
    if sample.method == "random":
        shuffle = Permutation(total, sample.seed)
        for place in places:
            yield shuffle[place]
    else:
        yield from places


def spread_positions(rows: NumberedRows, sample: Sample) -> Iterator[int]:
    """The positions that a balanced or latin sample takes, one by one; may raise TooEntangled."""
    spread = balanced_rows if sample.method == "balanced" else latin_rows
    for row in spread(rows, sample_size(rows.total, sample), sample.seed):
        yield rows.position_of(row)
