"""How sure a number is: seeded bootstrap intervals, and whether the best of several groups leads beyond chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

CONFIDENCE = 0.95
NUM_RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The mean of `count` values with its 95 % interval; the interval of a single value is the value itself."""

    value: float
    low: float
    high: float
    count: int


def mean_interval(values: Sequence[float] | Array, *, seed: int = 0) -> Mean:
    """The mean with its bootstrap percentile interval (Efron & Tibshirani 1993, chapter 13), equal for equal seeds.

    The spread of resampled means is widened by sqrt(n / (n - 1)): that of a handful of values is too small otherwise.
    """
    data = np.asarray(values, np.float64)
    count = len(data)
    mean = float(data.mean())
    if count < 2:
        return Mean(value=mean, low=mean, high=mean, count=count)
    rng = np.random.default_rng(seed)
    chunk = max(1, 4_000_000 // count)
    means = np.concatenate([
        data[rng.integers(0, count, (min(chunk, NUM_RESAMPLES - start), count))].mean(axis=1)
        for start in range(0, NUM_RESAMPLES, chunk)
    ])  # fmt: skip
    means = mean + (means - mean) * np.sqrt(count / (count - 1))
    low, high = np.clip(np.quantile(means, _tails()), data.min(), data.max())
    return Mean(value=mean, low=float(low), high=float(high), count=count)


def spread_interval(
    measure: Callable[[Array, Array], float],
    value: float,
    sets: tuple[Array, Array],
    *,
    seed: int = 0,
    num_resamples: int = 100,
) -> tuple[float, float]:
    """The bootstrap interval of a distance between two sets of rows, of which both are resampled.

    A resample repeats pictures, and a distance takes repeated pictures for a narrower distribution, so resampled
    values lie too high. Their spread is therefore laid around `value` (the bootstrap's bias correction).
    """
    rng = np.random.default_rng(seed)
    values = np.asarray([
        measure(*(rows[rng.integers(0, len(rows), len(rows))] for rows in sets)) for _ in range(num_resamples)
    ])  # fmt: skip
    low, high = np.quantile(values - values.mean() + value, _tails())
    return float(low), float(high)


def lead_p_value(
    values: Sequence[float] | Array, groups: Sequence[str], *, is_higher_better: bool, seed: int = 0
) -> float:
    """How likely the best group would lead by as much if the groups made no difference.

    The larger of two: of its lead over all others, and of its lead over the second best alone.

    A permutation test of the largest standardised lead of any group over the mean of all (max-T; Westfall & Young
    1993), so that having picked the best group afterwards is accounted for. In (0, 1]; 1 where all values or groups
    are alike.
    """
    data = np.asarray(values, np.float64)
    if not is_higher_better:
        data = -data
    labels = np.asarray(groups)
    means = {name: data[labels == name].mean() for name in sorted(set(groups))}
    if len(means) < 2:
        return 1.0
    best, second = sorted(means, key=lambda name: -means[name])[:2]
    both = (labels == best) | (labels == second)
    return max(_largest_lead_p_value(data, groups, seed), _largest_lead_p_value(data[both], labels[both], seed))


def adjusted_p_values(p_values: Sequence[float]) -> list[float]:
    """The p-values with Holm's correction for having looked at all of them (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = largest
    return adjusted


def _largest_lead_p_value(data: Array, groups: Sequence[str] | Array, seed: int) -> float:
    names = sorted(set(groups))
    if np.ptp(data) < 1e-12:
        return 1.0
    member = np.asarray([[group == name for name in names] for group in groups], np.float64)  # [values, groups]
    sizes = member.sum(axis=0)
    weights = member / sizes / np.sqrt(1 / sizes - 1 / len(data))
    centred = data - data.mean()
    observed = (centred @ weights).max()
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(centred, (NUM_RESAMPLES, 1)), axis=1)
    num_as_large = int(((orders @ weights).max(axis=1) >= observed - 1e-12).sum())
    return (num_as_large + 1) / (NUM_RESAMPLES + 1)


def _tails() -> tuple[float, float]:
    return (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
