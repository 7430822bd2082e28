"""Samples that spread evenly: exact shares where every row is allowed, allowed rows alone everywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice, product
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from designkit.prompts.factors import Factors, Row
from designkit.prompts.spread import balanced_rows, latin_rows

SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@dataclass(frozen=True)
class Population:
    """Rows in any order."""

    factors: Factors
    total: int
    row_at: Callable[[int], Row]


def population(sizes: tuple[int, ...]) -> Population:
    """Every row, the last factor varying fastest."""

    def row_at(position: int) -> Row:
        row: list[int] = []
        for size in reversed(sizes):
            position, level = divmod(position, size)
            row.append(level)
        return tuple(reversed(row))

    return Population(Factors(sizes=sizes), prod(sizes), row_at)


def unevenness(rows: list[Row], sizes: tuple[int, ...]) -> int:
    """By how many the commonest level of a factor is ahead of its rarest."""
    counts = [Counter(row[factor] for row in rows) for factor in range(len(sizes))]
    return max(
        max(count.values()) - min(count[level] for level in range(size))
        for count, size in zip(counts, sizes, strict=True)
    )


@settings(max_examples=150, deadline=None)
@given(SIZES, st.data())
def test_balanced_takes_every_value_equally_often_to_within_one_for_any_count(
    sizes: tuple[int, ...], data: st.DataObject
):
    count = data.draw(st.integers(1, prod(sizes)))
    rows = list(balanced_rows(population(sizes), count, data.draw(st.integers(0, 5))))
    assert len(set(rows)) == len(rows) == count
    assert unevenness(rows, sizes) <= 1


@pytest.mark.parametrize("method", [balanced_rows])
@pytest.mark.parametrize("sizes", [(4, 4, 3, 2), (40, 30, 20, 10)])
def test_a_larger_count_goes_on_where_a_smaller_one_ended(method, sizes: tuple[int, ...]):
    longer = list(method(population(sizes), 48, 3))
    assert [list(method(population(sizes), count, 3)) for count in (1, 7, 24)] == [longer[:1], longer[:7], longer[:24]]


def test_balanced_shows_other_pairs_before_it_repeats_one():
    rows = list(balanced_rows(population((4, 4, 3, 3)), 12, 0))
    assert min(len({(row[i], row[j]) for row in rows}) for i, j in ((0, 1), (0, 2), (0, 3), (2, 3))) >= 8


@settings(max_examples=100, deadline=None)
@given(SIZES, st.data())
def test_latin_takes_one_value_of_each_stretch_or_every_value_equally_often(
    sizes: tuple[int, ...], data: st.DataObject
):
    half = max(1, prod(sizes) // 3)
    count = data.draw(st.integers(1, half))
    rows = list(latin_rows(population(sizes), count, data.draw(st.integers(0, 5))))
    assert len(set(rows)) == len(rows) == count
    if prod(sizes) >= 4 * count:
        for factor, size in enumerate(sizes):
            assert sorted(row[factor] for row in rows) == [stretch * size // count for stretch in range(count)]


def test_latin_spreads_over_a_long_axis():
    rows = list(latin_rows(population((100, 50)), 10, 1))
    assert [sorted(row[factor] for row in rows) for factor in (0, 1)] == [
        list(range(0, 100, 10)),
        list(range(0, 50, 5)),
    ]


@pytest.mark.parametrize("method", [balanced_rows, latin_rows])
def test_no_row_that_a_rule_forbids_is_taken_and_none_twice(method):
    sizes, rules = (4, 3, 3), ({0: frozenset({0, 1}), 1: frozenset({0})}, {2: frozenset({2}), 1: frozenset({1})})
    allowed = [
        row for row in product(*map(range, sizes))
        if not any(all(row[factor] in levels for factor, levels in rule.items()) for rule in rules)
    ]  # fmt: skip
    whole = Population(factors=Factors(sizes=sizes, rules=rules), total=len(allowed), row_at=allowed.__getitem__)
    for count in (1, 6, 12, len(allowed) - 1, len(allowed), len(allowed) + 5):
        rows = list(method(whole, count, 0))
        assert set(rows) <= set(allowed)
        assert len(set(rows)) == len(rows) == min(count, len(allowed))
    assert unevenness(list(balanced_rows(whole, 12, 0)), sizes) <= 1


def test_a_large_sample_streams():
    rows = balanced_rows(population((100, 100, 100, 100)), 10**6, 0)
    assert len(set(islice(rows, 200))) == 200
