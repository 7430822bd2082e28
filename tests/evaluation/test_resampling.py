"""Intervals hold the truth as often as they say, and a lead by chance is called one."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from designkit.evaluation.resampling import adjusted_p_values, lead_p_value, mean_interval, spread_interval


def test_the_interval_of_a_mean_is_that_of_scipys_bootstrap() -> None:
    values = np.random.default_rng(0).exponential(size=200)
    ours = mean_interval(values, seed=1)
    theirs = scipy.stats.bootstrap((values,), np.mean, method="percentile", rng=0).confidence_interval
    assert ours.value == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.015)
    assert ours == mean_interval(values, seed=1)
    shares = mean_interval([0.0] * 9 + [0.1])
    assert (shares.low, shares.high <= 0.1) == (0, True)


def test_intervals_of_small_groups_hold_the_truth_nearly_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    intervals = [mean_interval(rng.standard_normal(8), seed=seed) for seed in range(300)]
    share = np.mean([interval.low <= 0 <= interval.high for interval in intervals])
    assert 0.88 <= share <= 0.99


def test_one_value_has_no_spread() -> None:
    alone = mean_interval([3.0])
    assert (alone.value, alone.low, alone.high, alone.count) == (3, 3, 3, 1)


def test_the_interval_of_a_distance_lies_around_its_value() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.standard_normal((200, 1)), rng.standard_normal((200, 1)) + 1

    def gap(one: np.ndarray, two: np.ndarray) -> float:
        return float(two.mean() - one.mean())

    low, high = spread_interval(gap, gap(first, second), (first, second), num_resamples=400)
    assert low < gap(first, second) < high
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(2 / 200), rel=0.2)


def test_a_lead_by_chance_is_called_one_as_often_as_promised() -> None:
    rng = np.random.default_rng(5)
    groups = [name for name in "abcde" for _ in range(6)]
    p_values = [lead_p_value(rng.standard_normal(30), groups, is_higher_better=True, seed=seed) for seed in range(200)]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.09


def test_a_true_lead_is_found_in_the_right_direction() -> None:
    rng = np.random.default_rng(5)
    groups = ["teal"] * 8 + ["red"] * 8
    values = np.concatenate([rng.standard_normal(8) + 4, rng.standard_normal(8)])
    assert lead_p_value(values, groups, is_higher_better=True) < 0.01
    shifted = np.concatenate([values, rng.standard_normal(8) + 2])
    assert lead_p_value(-shifted, [*groups, *["x"] * 8], is_higher_better=False) < 0.01


def test_two_that_are_equally_good_do_not_lead_each_other() -> None:
    rng = np.random.default_rng(5)
    values = np.concatenate([rng.standard_normal(20) + 4, rng.standard_normal(20) + 4, rng.standard_normal(20)])
    assert lead_p_value(values, [name for name in "abc" for _ in range(20)], is_higher_better=True) > 0.05


@pytest.mark.parametrize(("values", "groups"), [([1, 2, 3], ["a", "a", "a"]), ([2, 2, 2], ["a", "b", "b"])])
def test_where_nothing_differs_nothing_leads(values: list[float], groups: list[str]) -> None:
    assert lead_p_value(values, groups, is_higher_better=True) == 1.0


def test_two_pictures_against_two_prove_nothing() -> None:
    assert lead_p_value([9, 8, 1, 2], ["a", "a", "b", "b"], is_higher_better=True) > 0.1


def test_looking_at_many_is_corrected_for() -> None:
    assert adjusted_p_values([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert adjusted_p_values([]) == []
