"""Covering arrays: few rows in which every pair of levels that can stand together does, at least once.

Where all rows are allowed and the levels suit, the array is an algebraic one. Otherwise rows are built one by one, each
the best of several for the pairs still missing (as AETG does; Cohen, Dalal, Fredman and Patton 1997), and then
rows are taken away while a tabu search (Nurmela 2004) can bring back the pairs that went with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

from designkit.prompts.factors import UNUSED, Factors, Row
from designkit.prompts.orthogonal import covering_array, num_binary_rows

MAX_ROWS = 10_000
"""Nobody draws longer arrays, and searching them takes long."""

# Work is limited in steps rather than seconds, so that every machine finds the same array.
_GREEDY_STEPS = 1_200_000
_MAX_CANDIDATES = 40
_SEARCH_STEPS = 6_000_000
_SEARCH_STEPS_PER_PAIR = 20_000


class TooManyRows(Exception):
    """An array would need more than MAX_ROWS rows; the argument is how many at least."""


def least_rows(factors: Factors) -> int:
    """A bound below: no covering array of these factors has fewer rows, unless rules forbid some of their pairs."""
    sizes = sorted(
        (size for size, depth in zip(factors.sizes, factors.depths, strict=True) if depth == 0), reverse=True
    )
    sizes = [size for size in sizes if size > 1]
    if not sizes:
        return 1
    least = sizes[0] * (sizes[1] if len(sizes) > 1 else 1)
    return max(least, num_binary_rows(len(sizes))) if len(sizes) > 1 else least


def cover_pairs(factors: Factors, seed: int) -> list[Row]:
    """Rows that show every pair of levels that any allowed row shows, the most telling rows first.

    The same factors and seed give the same rows on every machine. Raises TooManyRows, and TooEntangled where
    the rules overlap in more ways than can be searched.
    """
    least = 0 if factors.rules else least_rows(factors)
    if least > MAX_ROWS or (factors.rules and least_rows(factors) > 4 * MAX_ROWS):
        raise TooManyRows(least_rows(factors))
    random = Random(seed)
    rows = _algebraic(factors)
    if rows is None or len(rows) > least:
        built = _Greedy(factors, random).build()
        if rows is None or len(built) <= len(rows):
            rows = built
        rows = _shortened(rows, factors, max(least, _least_for(rows)), random)
    if factors.are_independent:
        rows = _relabelled(rows, factors.sizes, random)
    return _most_telling_first(rows)


def pairs_of(row: Row) -> Iterator[tuple[int, int, int, int]]:
    """Every pair of levels in a row: factor, level, later factor, level."""
    used = [(factor, level) for factor, level in enumerate(row) if level != UNUSED]
    for place, (factor, level) in enumerate(used):
        for other, its_level in used[place + 1 :]:
            yield factor, level, other, its_level


def _algebraic(factors: Factors) -> list[Row] | None:
    """The smallest array known by algebra whose columns have at least as many levels as the factors."""
    if not factors.are_independent:
        return None
    varying = [factor for factor, size in enumerate(factors.sizes) if size > 1]
    if len(varying) < 2:
        return [
            tuple(level if factor in varying else 0 for factor in range(len(factors.sizes)))
            for level in range(max(factors.sizes, default=1))
        ]
    levels = max(factors.sizes)
    arrays = [
        array
        for more in range(levels, levels + max(3, levels // 8))
        if (array := covering_array(len(varying), more)) is not None
    ]
    if len(varying) == 2:
        first, second = (factors.sizes[factor] for factor in varying)
        arrays = [[(x, y) for x in range(first) for y in range(second)]]
    if not arrays:
        return None
    rows: list[Row] = []
    for array_row in min(arrays, key=len):
        row = [0] * len(factors.sizes)
        for factor, level in zip(varying, array_row, strict=True):
            row[factor] = level if level < factors.sizes[factor] else level % factors.sizes[factor]
        rows.append(tuple(row))
    return list(dict.fromkeys(rows))


class _Greedy:
    """Builds rows one by one.

    `missing` holds, by the bit of each level, the bits of the levels that it is yet to meet, and its own until it is
    shown.
    """

    def __init__(self, factors: Factors, random: Random) -> None:
        self.factors = factors
        self.random = random
        self.first_bits = _first_bits(factors.sizes)
        self.factor_of = [factor for factor, size in enumerate(factors.sizes) for _ in range(size)]
        everything = (1 << len(self.factor_of)) - 1
        self.missing: list[int] = []
        for factor, size in enumerate(factors.sizes):
            own = ((1 << size) - 1) << self.first_bits[factor]
            self.missing += [everything & ~own | 1 << self.first_bits[factor] + level for level in range(size)]
        self.num_missing = [mask.bit_count() for mask in self.missing]
        rows = max(1, least_rows(factors)) * 1.5
        # Looking for rows that the rules allow costs about six times as much as taking any.
        steps = _GREEDY_STEPS if factors.are_independent else _GREEDY_STEPS // 6
        self.num_candidates = int(min(_MAX_CANDIDATES, max(1, steps / (rows * len(self.factor_of)))))

    def build(self) -> list[Row]:
        rows: list[Row] = []
        while any(self.num_missing):
            row = self.best_row()
            if row is None:
                continue
            rows.append(row)
            self.note(row)
            if len(rows) > MAX_ROWS:
                raise TooManyRows(len(rows))
        return rows

    def best_row(self) -> Row | None:
        """The best of several rows around one missing pair; None where no row shows that pair (it is crossed out)."""
        most = max(self.num_missing)
        bit = self.pick([bit for bit, number in enumerate(self.num_missing) if number == most])
        partners = _bits(self.missing[bit])
        most = max(self.num_missing[partner] for partner in partners)
        partner = self.pick([partner for partner in partners if self.num_missing[partner] == most])
        wanted = {self.factor_of[each]: each - self.first_bits[self.factor_of[each]] for each in (bit, partner)}
        best, best_gain = None, 0
        for _ in range(self.num_candidates):
            row = self.row(wanted)
            if row is None:
                self.cross_out(bit, partner)
                return None
            gain = self.gain(row)
            if gain > best_gain:
                best, best_gain = row, gain
        return best

    def row(self, wanted: dict[int, int]) -> Row | None:
        """A row around a pair, each level the one that meets the most levels it is yet to meet."""
        chosen = sum(1 << (self.first_bits[factor] + level) for factor, level in wanted.items())
        if not self.factors.are_independent:
            return self.factors.fill(wanted, self.order(), self.ranked)
        row = [0] * len(self.factors.sizes)
        for factor, level in wanted.items():
            row[factor] = level
        for factor in self.order():
            if factor not in wanted:
                first = self.first_bits[factor]
                gains = [
                    (mask & chosen).bit_count() for mask in self.missing[first : first + self.factors.sizes[factor]]
                ]
                most = max(gains)
                level = self.pick([level for level, gain in enumerate(gains) if gain == most])
                row[factor] = level
                chosen |= 1 << (first + level)
        return tuple(row)

    def ranked(self, factor: int, row: Sequence[int]) -> list[int]:
        """The levels of a factor, those first that meet the most levels of the row that they are yet to meet."""
        chosen = sum(1 << (self.first_bits[other] + level) for other, level in enumerate(row) if level != UNUSED)
        first = self.first_bits[factor]
        keys = [
            ((mask & chosen).bit_count(), self.num_missing[first + level], self.random.random())
            for level, mask in enumerate(self.missing[first : first + self.factors.sizes[factor]])
        ]
        return sorted(range(len(keys)), key=keys.__getitem__, reverse=True)

    def order(self) -> list[int]:
        """The factors in a random order, those that bring others into play before these."""
        keys = [(depth, self.random.random()) for depth in self.factors.depths]
        return sorted(range(len(keys)), key=keys.__getitem__)

    def gain(self, row: Row) -> int:
        """How many missing pairs a row shows, each counted from both sides."""
        bits = self.bits(row)
        chosen = sum(1 << bit for bit in bits)
        return sum((self.missing[bit] & chosen).bit_count() for bit in bits)

    def note(self, row: Row) -> None:
        """Cross out the pairs that a row shows."""
        bits = self.bits(row)
        others = ~sum(1 << bit for bit in bits)
        for bit in bits:
            self.missing[bit] &= others
            self.num_missing[bit] = self.missing[bit].bit_count()

    def cross_out(self, bit: int, partner: int) -> None:
        """Note that no row shows a pair."""
        for one, other in ((bit, partner), (partner, bit)):
            self.missing[one] &= ~(1 << other)
            self.num_missing[one] = self.missing[one].bit_count()

    def bits(self, row: Row) -> list[int]:
        return [self.first_bits[factor] + level for factor, level in enumerate(row) if level != UNUSED]

    def pick(self, items: Sequence[int]) -> int:
        return items[int(self.random.random() * len(items))]


def _shortened(rows: list[Row], factors: Factors, least: int, random: Random) -> list[Row]:
    """The array with as many rows taken away as the search can do without."""
    max_steps = min(_SEARCH_STEPS, _SEARCH_STEPS_PER_PAIR * len({pair for row in rows for pair in pairs_of(row)}))
    while len(rows) > max(1, least):
        shorter = _Search(rows, factors, random).run(max_steps)
        if shorter is None:
            break
        rows = shorter
    return rows


def _least_for(rows: Sequence[Row]) -> int:
    """No array that shows the pairs of these rows has fewer rows than two of its factors have pairs."""
    num_pairs = Counter((factor, other) for factor, _, other, _ in {pair for row in rows for pair in pairs_of(row)})
    return max(num_pairs.values(), default=0)


class _Search:
    """Looks for an array with one row fewer that shows the same pairs, by changing one cell at a time.

    `rows_with` holds, for each level, the rows that show it as bits; two levels meet where these have a bit in common.
    A level that no row shows is missing as a pair of its own.
    """

    def __init__(self, rows: Sequence[Row], factors: Factors, random: Random) -> None:
        self.factors = factors
        self.random = random
        self.num_steps = 0
        self.first_bits = _first_bits(factors.sizes)
        self.rows = [
            [UNUSED if level == UNUSED else self.first_bits[factor] + level for factor, level in enumerate(row)]
            for row in rows
        ]
        self.factor_of = [factor for factor, size in enumerate(factors.sizes) for _ in range(size)]
        self.rows_with = [0] * (len(self.factor_of) + 1)  # The last is that of UNUSED, and stays 0.
        for number, row in enumerate(self.rows):
            for level in row:
                if level != UNUSED:
                    self.rows_with[level] |= 1 << number
        self.missing: list[tuple[int, int]] = []
        self.place_of: dict[tuple[int, int], int] = {}
        self.take_away(min(range(len(self.rows)), key=self.num_only_here))

    def num_only_here(self, number: int) -> int:
        """How many pairs no other row shows."""
        bit, masks = 1 << number, [self.rows_with[level] for level in self.rows[number] if level != UNUSED]
        return sum(one & other == bit for place, one in enumerate(masks) for other in masks[: place + 1])

    def take_away(self, number: int) -> None:
        """Take a row away, and note the pairs that are gone with it."""
        gone = [level for level in self.rows[number] if level != UNUSED]
        last = len(self.rows) - 1
        self.rows[number] = self.rows[last]
        self.rows.pop()
        for level in gone:
            self.rows_with[level] &= ~(1 << number)
        if number != last:
            for level in self.rows[number]:
                if level != UNUSED:
                    self.rows_with[level] = self.rows_with[level] & ~(1 << last) | 1 << number
        for place, one in enumerate(gone):
            for other in gone[place:]:
                if not self.rows_with[one] & self.rows_with[other]:
                    self.add_missing(one, other)

    def run(self, max_steps: int) -> list[Row] | None:
        """The shorter array, None where it is not found within that many steps (pairs looked at)."""
        tabu: dict[tuple[int, int], int] = {}
        turn, fewest = 0, len(self.missing)
        patience = 0
        while self.missing:
            if self.num_steps > max_steps:
                return None
            turn += 1
            one, other = self.missing[int(self.random.random() * len(self.missing))]
            best: list[tuple[int, int]] = []
            best_change = 1 << 30
            for number, level in self.moves(one, other):
                change = self.change(number, level)
                if tabu.get((number, self.factor_of[level]), 0) > turn and len(self.missing) + change >= fewest:
                    continue
                if change < best_change:
                    best, best_change = [(number, level)], change
                elif change == best_change:
                    best.append((number, level))
            if not best:
                patience += 1
                if patience > 200:
                    return None
                continue
            patience = 0
            number, level = best[int(self.random.random() * len(best))]
            self.set_cell(number, level)
            tabu[number, self.factor_of[level]] = turn + 2 + int(self.random.random() * 8)
            fewest = min(fewest, len(self.missing))
        return [
            tuple(UNUSED if level == UNUSED else level - self.first_bits[factor] for factor, level in enumerate(row))
            for row in self.rows
        ]

    def moves(self, one: int, other: int) -> Iterator[tuple[int, int]]:
        """The changes of one cell that make a pair meet, or bring back a level that no row shows any more."""
        found = False
        for present, level in ((one, other), (other, one)):
            for number in _bits(self.rows_with[present]):
                if self.is_allowed(number, level):
                    found = True
                    yield number, level
        if not found:
            level = one if self.random.random() < 0.5 else other
            for number in range(len(self.rows)):
                if self.is_allowed(number, level) and self.rows[number][self.factor_of[level]] != level:
                    yield number, level

    def is_allowed(self, number: int, level: int) -> bool:
        """Whether a row may take a level: its factor is in play, decides over no others, and no rule forbids it."""
        if self.factors.are_independent:
            return True
        factor, row = self.factor_of[level], self.rows[number]
        if row[factor] == UNUSED or self.factors.has_below[factor]:
            return False
        if not self.factors.rules_of[factor]:
            return True
        self.num_steps += 8 * len(row)  # Costs about as much as looking at so many pairs.
        levels = [UNUSED if bit == UNUSED else bit - self.first_bits[place] for place, bit in enumerate(row)]
        return not self.factors.is_ruled_out(factor, level - self.first_bits[factor], levels)

    def change(self, number: int, level: int) -> int:
        """By how many the missing pairs grow when a row takes a level."""
        row, bit = self.rows[number], 1 << number
        factor = self.factor_of[level]
        rows_with = self.rows_with
        old, new = rows_with[row[factor]], rows_with[level]
        masks = [rows_with[each] for each in row]
        masks[factor] = 0  # Meets nothing: it is neither lost nor missing once both counts below leave it out.
        self.num_steps += len(masks) + 16
        lost = [old & mask for mask in masks].count(bit)
        won = [new & mask for mask in masks].count(0) - masks.count(0)
        return lost - won + (old == bit) - (new == 0)

    def set_cell(self, number: int, level: int) -> None:
        row, bit, factor = self.rows[number], 1 << number, self.factor_of[level]
        old = row[factor]
        self.rows_with[old] &= ~bit
        if not self.rows_with[old]:
            self.add_missing(old, old)
        self.drop_missing(level, level)
        for place, each in enumerate(row):
            if place == factor or each == UNUSED:
                continue
            if not self.rows_with[old] & self.rows_with[each]:
                self.add_missing(old, each)
            self.drop_missing(level, each)
        row[factor] = level
        self.rows_with[level] |= bit

    def add_missing(self, one: int, other: int) -> None:
        pair = (one, other) if one < other else (other, one)
        if pair not in self.place_of:
            self.place_of[pair] = len(self.missing)
            self.missing.append(pair)

    def drop_missing(self, one: int, other: int) -> None:
        place = self.place_of.pop((one, other) if one < other else (other, one), None)
        if place is None:
            return
        last = self.missing.pop()
        if place < len(self.missing):
            self.missing[place] = last
            self.place_of[last] = place


def _relabelled(rows: Sequence[Row], sizes: Sequence[int], random: Random) -> list[Row]:
    """The array with the levels of each factor renamed at random, which shows the same pairs."""
    names = [sorted(range(size), key=[random.random() for _ in range(size)].__getitem__) for size in sizes]
    return [tuple(names[factor][level] for factor, level in enumerate(row)) for row in rows]


def _most_telling_first(rows: Sequence[Row]) -> list[Row]:
    """The rows in an order in which each adds as many new pairs as any that is left could (of the next few hundred)."""
    left, ordered = list(dict.fromkeys(rows)), list[Row]()
    shown: set[tuple[int, int, int, int]] = set()
    if len(left) > 200:
        return left
    pairs = {row: frozenset(pairs_of(row)) for row in left}
    while left:
        best = max(left, key=lambda row: len(pairs[row] - shown))
        ordered.append(best)
        left.remove(best)
        shown |= pairs[best]
    return ordered


def _first_bits(sizes: Sequence[int]) -> list[int]:
    bits, place = list[int](), 0
    for size in sizes:
        bits.append(place)
        place += size
    return bits


def _bits(mask: int) -> list[int]:
    """The places of the ones in a number."""
    places: list[int] = []
    while mask:
        low = mask & -mask
        places.append(low.bit_length() - 1)
        mask ^= low
    return places
