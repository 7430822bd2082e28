"""How strongly pictures, or the values of an axis, are preferred: Bradley-Terry strengths from votes on pairs.

The model says that i is preferred to j with the probability `1 / (1 + exp(u_j - u_i))` (Bradley & Terry 1952,
Biometrika 39, eq. 1 with `pi = exp(u)`). Each picture has its own strength u; or u is the sum of the strengths of its
values on the axes, so that a value is not praised for the company it was seen in. A tie counts as half a preference
each way. Strengths have a normal prior around zero, so that a picture that has won everything stays finite;
the mode is found by Newton's method (the posterior is concave), and intervals come from the inverse of its curvature,
that is Fisher's information plus the prior's.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from designkit.runs.reviews import Vote

PRIOR_SPREAD = 1.5
"""Standard deviation of the prior on a strength; two items typically differ by 2.1 then, odds of 8 to 1."""

MAX_CANDIDATES = 400
"""Among how many pictures at most the next pair is looked for."""

_NORMAL_95 = 1.959963984540054
_PROBIT_SCALE = 1.702  # The logistic function is closest to the normal distribution function at this scale.

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Contest:
    """One vote on two different items: `score` is 1 where the left one was preferred, 0 the right one, 0.5 a tie."""

    left: str
    right: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Strength:
    """How strongly one item is preferred, on the scale of log odds against the average of all that are compared.

    `low` and `high` are the ends of the 95 % interval. `preferred` is how often the item would be preferred to an
    average one, with its interval: the same numbers through the logistic function. Equally strong items share a `rank`.
    """

    name: str
    rank: int
    value: float
    low: float
    high: float
    num_won: int
    num_lost: int
    num_tied: int

    @property
    def preferred(self) -> tuple[float, float, float]:
        """Probability of being preferred to an average item, and its interval."""
        return _logistic(self.value), _logistic(self.low), _logistic(self.high)


def contests_of(votes: Iterable[Vote]) -> list[Contest]:
    """The votes in which something was said: without those that were skipped."""
    scores = {"left": 1.0, "right": 0.0, "tie": 0.5}
    return [
        Contest(left=vote.left, right=vote.right, score=scores[vote.result])
        for vote in votes
        if vote.result in scores and vote.left != vote.right
    ]


def rank_items(contests: Sequence[Contest], *, prior_spread: float = PRIOR_SPREAD) -> list[Strength]:
    """The items that contests were about, the most preferred first."""
    names = sorted({name for contest in contests for name in (contest.left, contest.right)})
    if not names:
        return []
    values, covariance = _fit(names, contests, None, prior_spread)
    # The prior holds the average only loosely; against that average of all, its share of the variance drops out.
    deviations = np.sqrt(np.maximum(np.diag(covariance) - prior_spread**2 / len(names), 0))
    return _strengths(names, values, deviations, contests)


def rank_axis_values(
    contests: Sequence[Contest], choices: Mapping[str, Mapping[str, str]], *, prior_spread: float = PRIOR_SPREAD
) -> dict[str, list[Strength]]:
    """For each axis its values, the most preferred first, at equal values on all other axes.

    `choices` gives the value that each item has on each axis. Axes on which all items are the same are left out; an
    item without a value on an axis counts as one whose value is empty.
    """
    names = sorted({name for contest in contests for name in (contest.left, contest.right)})
    axes = list(dict.fromkeys(axis for name in names for axis in choices[name]))
    levels = {axis: sorted({choices[name].get(axis, "") for name in names}) for axis in axes}
    levels = {axis: values for axis, values in levels.items() if len(values) > 1}
    columns = [(axis, value) for axis, values in levels.items() for value in values]
    if not columns:
        return {}
    position = {column: number for number, column in enumerate(columns)}
    features = np.zeros((len(names), len(columns)))  # [items, values of all axes], one 1 for each axis
    for row, name in enumerate(names):
        for axis in levels:
            features[row, position[axis, choices[name].get(axis, "")]] = 1
    values, covariance = _fit(names, contests, features, prior_spread)
    ranking: dict[str, list[Strength]] = {}
    for axis, axis_levels in levels.items():
        places = [position[axis, level] for level in axis_levels]
        variances = np.diag(covariance)[places] - prior_spread**2 / len(places)
        of_values = [
            Contest(left=left, right=right, score=contest.score)
            for contest in contests
            if (left := choices[contest.left].get(axis, "")) != (right := choices[contest.right].get(axis, ""))
        ]
        ranking[axis] = _strengths(axis_levels, values[places], np.sqrt(np.maximum(variances, 0)), of_values)
    return ranking


def next_pair(
    pool: Collection[str],
    contests: Sequence[Contest],
    chance: random.Random,
    *,
    avoid: Collection[frozenset[str]] = (),
    prior_spread: float = PRIOR_SPREAD,
) -> tuple[str, str] | None:
    """The two of the pool whose vote would tell most, in random order; None where every pair is to be avoided.

    What a vote would tell is the information that its outcome holds about the strengths: Houlsby, Huszar, Ghahramani
    & Lengyel 2011 (arXiv 1112.5745), eq. 3, with the logistic function taken as a scaled probit. Among equal
    pairs chance decides. Of a pool of more than MAX_CANDIDATES, a random part is looked at.
    """
    candidates = sorted(set(pool))
    if len(candidates) > MAX_CANDIDATES:
        candidates = chance.sample(candidates, MAX_CANDIDATES)
    # In random order, so that the first of equal pairs is a random one.
    chance.shuffle(candidates)
    if len(candidates) < 2:
        return None
    voted = {name for contest in contests for name in (contest.left, contest.right)}
    names = [*candidates, *sorted(voted - set(candidates))]
    values, covariance = _fit(names, contests, None, prior_spread)
    count = len(candidates)
    means = values[:count, None] - values[None, :count]  # [candidates, candidates]
    variances = np.diag(covariance)[:count]
    spread = variances[:, None] + variances[None, :] - 2 * covariance[:count, :count]
    told = vote_information(means, np.maximum(spread, 0))
    told[np.tril_indices(count)] = -np.inf
    position = {name: number for number, name in enumerate(candidates)}
    for pair in avoid:
        if len(pair) == 2 and pair <= position.keys():
            first, second = sorted(position[name] for name in pair)
            told[first, second] = -np.inf
    # Rounding must not decide between pairs that are equally good.
    best = int(np.argmax(np.round(told, 9)))
    if told.flat[best] == -np.inf:
        return None
    pair = [candidates[best // count], candidates[best % count]]
    chance.shuffle(pair)
    return pair[0], pair[1]


def vote_information(means: Floats, variances: Floats) -> Floats:
    """Bits that a vote on two items tells, whose difference in strength is normal with these means and variances."""
    means, variances = means / _PROBIT_SCALE, variances / _PROBIT_SCALE**2
    c2 = math.pi * math.log(2) / 2
    # The average over the normal distribution of the entropy of a vote, Houlsby et al. eq. 3, second term.
    known_entropy = np.sqrt(c2 / (variances + c2)) * np.exp(-(means**2) / (2 * (variances + c2)))
    return _binary_entropy(_normal_cdf(means / np.sqrt(variances + 1))) - known_entropy


def _fit(
    names: Sequence[str], contests: Sequence[Contest], features: Floats | None, prior_spread: float
) -> tuple[Floats, Floats]:
    """Mode [K] and covariance [K, K] of the strengths of the items, or of the columns of `features` [items, K]."""
    position = {name: number for number, name in enumerate(names)}
    left = np.array([position[contest.left] for contest in contests], dtype=np.intp)
    right = np.array([position[contest.right] for contest in contests], dtype=np.intp)
    scores = np.array([contest.score for contest in contests], dtype=np.float64)
    precision = 1 / prior_spread**2

    def utilities(values: Floats) -> Floats:
        return values if features is None else features @ values

    def log_posterior(values: Floats) -> float:
        margins = utilities(values)[left] - utilities(values)[right]
        return float(np.sum(scores * margins - np.logaddexp(0, margins)) - precision / 2 * values @ values)

    def slope_and_curvature(values: Floats) -> tuple[Floats, Floats]:
        margins = utilities(values)[left] - utilities(values)[right]
        odds = 0.5 * (1 + np.tanh(margins / 2))
        slope, information = np.zeros(len(names)), np.zeros((len(names), len(names)))
        np.add.at(slope, left, scores - odds)
        np.add.at(slope, right, odds - scores)
        weights = odds * (1 - odds)
        for rows, columns, sign in ((left, left, 1), (right, right, 1), (left, right, -1), (right, left, -1)):
            np.add.at(information, (rows, columns), sign * weights)
        if features is not None:
            slope, information = features.T @ slope, features.T @ information @ features
        return slope - precision * values, information + precision * np.eye(len(values))

    values: Floats = np.zeros(len(names) if features is None else features.shape[1])
    for _ in range(100):
        slope, curvature = slope_and_curvature(values)
        step = np.linalg.solve(curvature, slope)
        if np.max(np.abs(step)) < 1e-10:
            break
        size, before = 1.0, log_posterior(values)
        while log_posterior(values + size * step) < before - 1e-9 and size > 1e-6:
            size /= 2
        values = values + size * step
    _, curvature = slope_and_curvature(values)
    covariance: Floats = np.asarray(np.linalg.inv(curvature), dtype=np.float64)
    return values, covariance


def _strengths(names: Sequence[str], values: Floats, deviations: Floats, contests: Sequence[Contest]) -> list[Strength]:
    won, lost, tied = (dict.fromkeys(names, 0) for _ in range(3))
    for contest in contests:
        if contest.score == 0.5:
            tied[contest.left] += 1
            tied[contest.right] += 1
        else:
            winner, loser = (contest.left, contest.right) if contest.score > 0.5 else (contest.right, contest.left)
            won[winner] += 1
            lost[loser] += 1
    strengths = [
        Strength(
            name=name,
            rank=1 + sum(other > value + 1e-9 for other in values.tolist()),
            value=value,
            low=value - _NORMAL_95 * deviation,
            high=value + _NORMAL_95 * deviation,
            num_won=won[name],
            num_lost=lost[name],
            num_tied=tied[name],
        )
        for name, value, deviation in zip(names, values.tolist(), deviations.tolist(), strict=True)
    ]
    return sorted(strengths, key=lambda strength: (strength.rank, strength.name))


def _logistic(value: float) -> float:
    return 0.5 * (1 + math.tanh(value / 2))


def _normal_cdf(values: Floats) -> Floats:
    return 0.5 * (1 + np.vectorize(math.erf, otypes=[np.float64])(values / math.sqrt(2)))


def _binary_entropy(odds: Floats) -> Floats:
    """Entropy in bits of an event of these odds."""
    odds = np.clip(odds, 1e-12, 1 - 1e-12)
    return -(odds * np.log2(odds) + (1 - odds) * np.log2(1 - odds))
