"""Rows that spread evenly over the levels of every factor, without ever holding all rows.

*Balanced*: each level equally often, to within one, after every row. *Latin*: each level equally often over the whole
sample, and where a factor has more levels than there are rows, one from each of as many equal stretches of them.
Where rules allow no such thing, the nearest that they allow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from math import prod
from random import Random
from typing import Protocol

from designkit.prompts.factors import UNUSED, Factors, Row
from designkit.prompts.permutation import Permutation

_LOOK_BACK = 48
_MAX_CANDIDATES = 24
_MAX_REPAIRED = 10_000
_SMALL_TOTAL = 4096


class Rows(Protocol):
    """All rows that there are: how many, and each by its position."""

    @property
    def factors(self) -> Factors:
        """What varies in the rows."""
        ...

    @property
    def total(self) -> int:
        """How many rows there are."""
        ...

    def row_at(self, position: int, /) -> Row:
        """The row at a position from 0 to `total` - 1."""
        ...


def balanced_rows(population: Rows, count: int, seed: int) -> Iterator[Row]:
    """`count` different rows. Up to half of all rows, a larger count goes on where a smaller one ended.

    More than half are all rows but a balanced sample: what is left of equal shares are equal shares.
    """
    total = population.total
    if count >= total:
        yield from map(population.row_at, range(total))
    elif 2 * count > total:
        left_out = set(_balanced(population, total - count, seed))
        yield from (row for row in map(population.row_at, range(total)) if row not in left_out)
    else:
        yield from _balanced(population, count, seed)


def latin_rows(population: Rows, count: int, seed: int) -> Iterator[Row]:
    """`count` different rows; another count takes others."""
    total, sizes = population.total, population.factors.sizes
    if count >= total:
        yield from map(population.row_at, range(total))
        return
    if 2 * count > total and population.factors.are_independent:
        left_out = set(latin_rows(population, total - count, seed))
        yield from (row for row in map(population.row_at, range(total)) if row not in left_out)
        return
    orders = [Permutation(count, f"{seed} latin {factor}") for factor in range(len(sizes))]
    random, seen = Random(seed), set[Row]()
    wanted = (
        [order[number] * size // count for order, size in zip(orders, sizes, strict=True)] for number in range(count)
    )
    if population.factors.are_independent and count <= _MAX_REPAIRED:
        wanted = _all_different([list(row) for row in wanted], random)
    for levels in wanted:
        row = _nearest(population.factors, levels, random)
        if row is None or row in seen:
            row = _unseen(population, seen, seed)
        seen.add(row)
        yield row


def _all_different(rows: list[list[int]], random: Random) -> list[list[int]]:
    """The rows with levels swapped between them until no two are the same, or until that no longer helps."""
    times = Counter(map(tuple, rows))
    for _ in range(100 * len(rows)):
        if len(times) == len(rows):
            break
        one = _pick(random, [number for number, row in enumerate(rows) if times[tuple(row)] > 1])
        other = int(random.random() * len(rows))
        factor = int(random.random() * len(rows[one]))
        before = [tuple(rows[one]), tuple(rows[other])]
        rows[one][factor], rows[other][factor] = rows[other][factor], rows[one][factor]
        num_before = len(times)
        times.subtract(before)
        times.update((tuple(rows[one]), tuple(rows[other])))
        times += Counter()
        if len(times) < num_before:
            times.subtract((tuple(rows[one]), tuple(rows[other])))
            times.update(before)
            times += Counter()
            rows[one][factor], rows[other][factor] = rows[other][factor], rows[one][factor]
    return rows


def _balanced(population: Rows, count: int, seed: int) -> Iterator[Row]:
    """At most half of the rows, one by one."""
    rows = _evenly if population.factors.are_independent else _evenly_as_allowed
    yield from islice(rows(population, count, seed), count)


class _Counts:
    """How often each level, and each pair of levels, has been taken."""

    def __init__(self, factors: Factors) -> None:
        self.levels = [[0] * size for size in factors.sizes]
        self.pairs: dict[tuple[int, int, int, int], int] = {}
        self.with_pairs = sum(factors.sizes) <= 200

    def add(self, row: Row, number: int) -> None:
        for factor, level in enumerate(row):
            if level != UNUSED:
                self.levels[factor][level] += number
                for other in range(factor if self.with_pairs else 0):
                    key = (other, row[other], factor, level)
                    self.pairs[key] = self.pairs.get(key, 0) + number

    def least(self, factor: int) -> list[int]:
        counts = self.levels[factor]
        fewest = min(counts)
        return [level for level, count in enumerate(counts) if count == fewest]

    def repeats(self, factor: int, level: int, row: Sequence[int]) -> int:
        """How often a level has met the levels of a row."""
        if not self.with_pairs:
            return 0
        met = 0
        for other, its_level in enumerate(row):
            if its_level != UNUSED and other != factor:
                key = (other, its_level, factor, level) if other < factor else (factor, level, other, its_level)
                met += self.pairs.get(key, 0)
        return met


def _evenly(population: Rows, count: int, seed: int) -> Iterator[Row]:
    """Rows of the levels that are behind; where those rows are all taken, the last few rows are chosen anew."""
    factors, random = population.factors, Random(seed)
    counts, seen = _Counts(factors), set[Row]()
    # Small samples are always made whole, so that the rows of a smaller count are those of a larger one.
    half = population.total // 2
    num_rows = half if population.total <= _SMALL_TOTAL else min(half, count + _LOOK_BACK)
    held: list[tuple[Row, Iterator[Row]]] = []
    num_emitted, num_backs = 0, 0
    candidates = _candidates(factors, counts, seen, random)
    while num_emitted + len(held) < num_rows:
        row = next(candidates, None)
        if row is None and held and num_backs < 20 * _LOOK_BACK:
            num_backs += 1
            back, candidates = held.pop()
            counts.add(back, -1)
            seen.remove(back)
            continue
        if row is None:
            row = _unseen(population, seen, seed)
        counts.add(row, 1)
        seen.add(row)
        held.append((row, candidates))
        if len(held) > _LOOK_BACK:
            yield held.pop(0)[0]
            num_emitted += 1
            num_backs = 0
        candidates = _candidates(factors, counts, seen, random)
    yield from (row for row, _ in held)


def _candidates(factors: Factors, counts: _Counts, seen: set[Row], random: Random) -> Iterator[Row]:
    """Untaken rows of the levels that are behind, at random but for a liking of pairs that have met less often."""
    least = [counts.least(factor) for factor in range(len(factors.sizes))]
    tried: set[Row] = set()
    if prod(map(len, least)) <= 4 * _MAX_CANDIDATES:
        yield from _shuffled([row for row in _product(least) if row not in seen], random, counts)
        return
    for _ in range(_MAX_CANDIDATES):
        row = [UNUSED] * len(least)
        for factor in _random_order(factors, random):
            levels = least[factor]
            keys = [(counts.repeats(factor, level, row), random.random()) for level in levels]
            row[factor] = levels[min(range(len(levels)), key=keys.__getitem__)]
        found = tuple(row)
        if found not in seen and found not in tried:
            tried.add(found)
            yield found


def _evenly_as_allowed(population: Rows, count: int, seed: int) -> Iterator[Row]:
    """Rows that the rules allow, each the one of several that is least ahead."""
    factors, random = population.factors, Random(seed)
    counts, seen = _Counts(factors), set[Row]()

    def ranked(factor: int, row: Sequence[int]) -> list[int]:
        keys = [
            (number, counts.repeats(factor, level, row), random.random())
            for level, number in enumerate(counts.levels[factor])
        ]
        return sorted(range(len(keys)), key=keys.__getitem__)

    def ahead(row: Row) -> int:
        return sum(
            (counts.levels[factor][level] - min(counts.levels[factor])) ** 2
            for factor, level in enumerate(row)
            if level != UNUSED
        )

    for _ in range(count):
        best: Row | None = None
        for _ in range(_MAX_CANDIDATES):
            row = factors.fill({}, _random_order(factors, random), ranked)
            if row is not None and row not in seen and (best is None or ahead(row) < ahead(best)):
                best = row
                if ahead(best) == 0:
                    break
        row = best or _unseen(population, seen, seed)
        counts.add(row, 1)
        seen.add(row)
        yield row


def _nearest(factors: Factors, wanted: Sequence[int], random: Random) -> Row | None:
    """The wanted levels where the rules allow them, else those next to them."""
    if factors.are_independent:
        return tuple(wanted)
    return factors.fill(
        {},
        _random_order(factors, random),
        lambda factor, _: sorted(range(factors.sizes[factor]), key=lambda level: abs(level - wanted[factor])),
    )


def _unseen(population: Rows, seen: set[Row], seed: int) -> Row:
    """A row at random that is not taken yet; there is one, because no sample is larger than the population."""
    shuffle = Permutation(population.total, f"{seed} unseen {len(seen)}")
    return next(
        row for row in map(population.row_at, map(shuffle.__getitem__, range(population.total))) if row not in seen
    )


def _random_order(factors: Factors, random: Random) -> list[int]:
    """The factors at random, those that bring others into play before these."""
    keys = [(depth, random.random()) for depth in factors.depths]
    return sorted(range(len(keys)), key=keys.__getitem__)


def _product(levels: Sequence[Sequence[int]]) -> Iterator[Row]:
    if not levels:
        yield ()
        return
    for row in _product(levels[:-1]):
        for level in levels[-1]:
            yield (*row, level)


def _shuffled(rows: list[Row], random: Random, counts: _Counts) -> list[Row]:
    keys = [
        (sum(counts.repeats(factor, level, row[:factor]) for factor, level in enumerate(row)), random.random())
        for row in rows
    ]
    return [rows[place] for place in sorted(range(len(rows)), key=keys.__getitem__)]


def _pick(random: Random, items: Sequence[int]) -> int:
    return items[int(random.random() * len(items))]
