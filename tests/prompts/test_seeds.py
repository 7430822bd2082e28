"""Seeds as people write them."""

from __future__ import annotations

import pytest

from designkit.prompts.seeds import parse_seeds
from designkit.values import MAX_SEED


@pytest.mark.parametrize(
    ("written", "base", "seeds"),
    [
        (None, 0, [0]),
        (None, 7, [7]),
        ("1", 0, [0]),
        ("3", 100, [100, 101, 102]),
        (["3"], 100, [3]),
        (["1", "2"], 0, [1, 2]),
        ("100-103", 0, [100, 101, 102, 103]),
        ("5-5", 0, [5]),
        ("3#1000", 0, [1000, 1001, 1002]),
        (["9", "1-2", "2#4"], 0, [9, 1, 2, 4, 5]),
        ("012", 0, list(range(12))),
        ([str(MAX_SEED)], 0, [MAX_SEED]),
    ],
)
def test_seeds_are_read_in_the_order_in_which_they_are_written(
    written: str | list[str] | None, base: int, seeds: list[int]
):
    parsed = parse_seeds(written, base=base)
    assert list(parsed) == seeds
    assert len(parsed) == len(seeds)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("0", "at least 1"),
        ("0#5", "at least 1"),
        ("-1", "no seed"),
        ("1.5", "no seed"),
        ("many", "no seed"),
        ("", "no seed"),
        ("9-3", "write 3-9"),
        (str(MAX_SEED + 2), "larger than 4294967295"),
        ([str(MAX_SEED + 1)], "larger than 4294967295"),
        (["1", "1"], "seed 1 is given twice"),
        (["5", "1-9"], "given twice"),
        ([], "no seed"),
        (["99999999999"], "no seed"),
    ],
)
def test_what_is_no_seed_is_refused(written: str | list[str], words: str):
    with pytest.raises(ValueError, match=words):
        parse_seeds(written)


def test_every_mistake_of_a_list_is_told():
    with pytest.raises(ValueError, match=r"'a' is no seed.*\n'b' is no seed.*"):
        parse_seeds(["a", "1", "b"])


def test_all_seeds_that_there_are_cost_nothing():
    seeds = parse_seeds(f"0-{MAX_SEED}")
    assert len(seeds) == 2**32
    assert next(iter(seeds)) == 0
