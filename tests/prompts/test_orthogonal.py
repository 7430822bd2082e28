"""Arrays by algebra, checked by counting every pair of every two columns."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

from designkit.prompts.orthogonal import Array, covering_array, num_binary_rows, orthogonal_array


def pair_counts(array: Array) -> list[Counter[tuple[int, int]]]:
    columns = list(zip(*array, strict=True))
    return [Counter(zip(first, second, strict=True)) for first, second in combinations(columns, 2)]


@pytest.mark.parametrize(
    ("num_columns", "levels"),
    [(4, 3), (5, 4), (6, 5), (3, 6), (8, 7), (9, 8), (10, 9), (4, 10), (12, 11), (4, 12), (4, 15), (17, 16), (6, 25)],
)  # fmt: skip
def test_an_orthogonal_array_shows_every_pair_exactly_once(num_columns: int, levels: int):
    array = orthogonal_array(num_columns, levels)
    assert array is not None
    assert {len(row) for row in array} == {num_columns}
    every_pair = Counter({(x, y): 1 for x in range(levels) for y in range(levels)})
    assert all(counts == every_pair for counts in pair_counts(array))


@pytest.mark.parametrize(("num_columns", "levels"), [(5, 3), (4, 6), (5, 10), (5, 12), (2, 1), (2, 102)])
def test_where_no_array_is_known_there_is_none(num_columns: int, levels: int):
    assert orthogonal_array(num_columns, levels) is None


@pytest.mark.parametrize(
    ("num_columns", "levels", "num_rows"),
    [(13, 3, 15), (21, 4, 28), (31, 5, 45), (10, 2, 6), (11, 2, 7), (15, 2, 7), (16, 2, 8), (100, 2, 10), (4, 10, 100)],
)
def test_a_covering_array_shows_every_pair_in_the_rows_that_the_papers_state(
    num_columns: int, levels: int, num_rows: int
):
    array = covering_array(num_columns, levels)
    assert array is not None
    assert (len(array), {len(row) for row in array}) == (num_rows, {num_columns})
    assert all(len(counts) == levels**2 for counts in pair_counts(array))


def test_the_least_rows_of_two_levels_are_those_of_the_theorem():
    # The largest number of columns for 4 to 10 rows: 3, 4, 10, 15, 35, 56, 126.
    assert [max(k for k in range(2, 130) if num_binary_rows(k) <= rows) for rows in range(4, 11)] == [
        3, 4, 10, 15, 35, 56, 126,
    ]  # fmt: skip
