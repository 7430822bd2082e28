"""Covering arrays against brute force: every pair that any allowed row shows is shown, by allowed rows only."""

from __future__ import annotations

from itertools import product
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from designkit.prompts.covering import TooManyRows, cover_pairs, least_rows, pairs_of
from designkit.prompts.factors import UNUSED, Factors, Row


def is_allowed(row: Row, factors: Factors) -> bool:
    """Whether a row gives a level to exactly the factors in play, and matches no rule."""
    in_play = all((level != UNUSED) == factors.is_used(factor, row) for factor, level in enumerate(row))
    return in_play and not any(all(row[factor] in levels for factor, levels in rule.items()) for rule in factors.rules)


def every_row(factors: Factors) -> list[Row]:
    reached = factors.reached_by or (None,) * len(factors.sizes)
    ranges = [range(0 if above is None else UNUSED, size) for size, above in zip(factors.sizes, reached, strict=True)]
    return [row for row in product(*ranges) if is_allowed(row, factors)]


@st.composite
def some_factors(draw: st.DrawFn) -> Factors:
    """A few factors, some only in play with levels of earlier ones, and a few rules over up to three of them."""
    sizes = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=5)))
    reached: list[frozenset[tuple[int, int]] | None] = []
    for factor in range(len(sizes)):
        levels = [(other, level) for other in range(factor) for level in range(sizes[other])]
        above = draw(st.frozensets(st.sampled_from(levels), min_size=1, max_size=2)) if levels else frozenset()
        reached.append(above if above and draw(st.integers(0, 3)) == 0 else None)
    rules: list[dict[int, frozenset[int]]] = []
    for _ in range(draw(st.integers(0, 4))):
        named = draw(st.lists(st.sampled_from(range(len(sizes))), min_size=1, max_size=3, unique=True))
        rules.append({
            factor: draw(st.frozensets(st.integers(0, sizes[factor] - 1), min_size=1, max_size=2)) for factor in named
        })  # fmt: skip
    return Factors(sizes=sizes, reached_by=tuple(reached), rules=tuple(rules))


@settings(max_examples=100, deadline=None)
@given(some_factors(), st.integers(0, 3))
def test_every_pair_that_may_stand_together_does(factors: Factors, seed: int):
    allowed = every_row(factors)
    rows = cover_pairs(factors, seed)
    assert set(rows) <= set(allowed)
    assert len(set(rows)) == len(rows)
    assert {pair for row in rows for pair in pairs_of(row)} == {pair for row in allowed for pair in pairs_of(row)}
    shown = {(factor, level) for row in rows for factor, level in enumerate(row) if level != UNUSED}
    assert shown == {(factor, level) for row in allowed for factor, level in enumerate(row) if level != UNUSED}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=7), st.integers(0, 9))
def test_without_rules_no_array_is_longer_than_trying_everything_nor_shorter_than_can_be(sizes: list[int], seed: int):
    factors = Factors(sizes=tuple(sizes))
    rows = cover_pairs(factors, seed)
    pairs = {
        (i, a, j, b) for j in range(len(sizes)) for i in range(j) for a in range(sizes[i]) for b in range(sizes[j])
    }
    assert {pair for row in rows for pair in pairs_of(row)} == pairs
    assert least_rows(factors) <= len(rows) <= prod(sizes)


@pytest.mark.parametrize(
    ("sizes", "best"),
    [((3,) * 4, 9), ((3,) * 13, 15), ((10,) * 4, 100), ((2,) * 10, 6), ((2,) * 100, 10), ((4, 3, 3, 3, 3), 12),
     ((7, 6, 5, *(4,) * 6, *(3,) * 8, 2, 2, 2), 42), ((6, 5, *(4,) * 6, *(3,) * 8, 2, 2, 2), 30)],
)  # fmt: skip
def test_sizes_reach_the_smallest_known(sizes: tuple[int, ...], best: int):
    assert len(cover_pairs(Factors(sizes=sizes), seed=0)) == best


def test_the_mixed_benchmark_stays_at_what_was_reached():
    assert len(cover_pairs(Factors(sizes=(4, *(3,) * 5, *(2,) * 8)), seed=0)) <= 14


def test_a_seed_gives_one_array_and_another_seed_another():
    factors = Factors(sizes=(4, 3, 2, 2))
    assert cover_pairs(factors, 1) == cover_pairs(factors, 1) != cover_pairs(factors, 2)


def test_the_first_rows_tell_the_most():
    rows = cover_pairs(Factors(sizes=(5, 4, 3, 2)), seed=0)
    seen: set[tuple[int, int, int, int]] = set()
    gains: list[int] = []
    for row in rows:
        gains.append(len(set(pairs_of(row)) - seen))
        seen.update(pairs_of(row))
    assert gains[0] == 6
    assert gains == sorted(gains, reverse=True)


def test_an_array_that_nobody_would_draw_is_refused_with_its_length():
    with pytest.raises(TooManyRows) as caught:
        cover_pairs(Factors(sizes=(500, 400, 3)), seed=0)
    assert caught.value.args == (200_000,)
