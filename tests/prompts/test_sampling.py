"""Positions drawn without repetition out of any number."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from designkit.prompts.permutation import Permutation
from designkit.prompts.sampling import Sample, sample_positions, sample_size

RANDOM = Sample(method="random", count=100)


@pytest.mark.parametrize("total", [1, 2, 3, 7, 16, 17, 255, 256, 257, 1000, 4097])
def test_a_permutation_reaches_every_number_once(total: int):
    shuffled = Permutation(total, seed=3)
    assert sorted(shuffled[place] for place in range(total)) == list(range(total))


def test_full_takes_the_first_in_order():
    assert list(sample_positions(10, Sample())) == list(range(10))
    assert list(sample_positions(10, Sample(count=3))) == [0, 1, 2]
    assert list(sample_positions(2, Sample(count=3))) == [0, 1]


@pytest.mark.parametrize("total", [100, 101, 10**6, 10**12, 10**30, 10**400])
def test_random_draws_without_repetition_however_many_there_are(total: int):
    drawn = list(sample_positions(total, RANDOM))
    assert len(set(drawn)) == len(drawn) == 100
    assert all(0 <= number < total for number in drawn)


def test_a_larger_count_continues_the_smaller_one():
    longer = list(sample_positions(10**12, Sample(method="random", count=50, seed=1)))
    assert list(sample_positions(10**12, Sample(method="random", count=20, seed=1))) == longer[:20]


def test_the_draw_is_the_same_for_ever():
    # These numbers are part of what a prompt file means: a change of them would remake every sampled run.
    assert list(islice(sample_positions(10**12, RANDOM), 4)) == [421278380140, 861730929066, 913979111904, 967291492956]


def test_another_seed_draws_others():
    first, second = (set(sample_positions(10**6, Sample(method="random", count=100, seed=seed))) for seed in (0, 1))
    assert len(first & second) < 10


def test_every_number_is_drawn_about_equally_often():
    # 2,000 draws of 10 out of 40: each number is expected 500 times, with a deviation of about 19.
    times = [0] * 40
    for seed in range(2000):
        for number in sample_positions(40, Sample(method="random", count=10, seed=seed)):
            times[number] += 1
    assert all(abs(count - 500) < 100 for count in times), times


def test_every_order_of_four_comes_about_equally_often():
    # 2,400 draws over 24 orders: each is expected 100 times, with a deviation of about 10.
    orders = Counter(tuple(sample_positions(4, Sample(method="random", count=4, seed=seed))) for seed in range(2400))
    assert len(orders) == 24
    assert all(abs(count - 100) < 50 for count in orders.values()), orders


def test_a_sample_is_never_larger_than_what_there_is():
    assert sample_size(5, Sample(count=9)) == 5
    assert sample_size(10**12, Sample()) == 10**12
