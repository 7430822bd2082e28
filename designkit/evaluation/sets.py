# pyright: basic
"""What one set of pictures is like within itself, and how near it comes to the pictures a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from designkit.evaluation.distances import pairwise_distances
from designkit.evaluation.resampling import Array

COPY_RATIO = 1 / 3
"""Below this `memorisation_ratios` calls a picture a copy (Yoon et al. 2023: a third of the distance to the next)."""


def mean_pairwise_distance(features: Array) -> float:
    """The mean Euclidean distance between two different pictures of the set; 0 where all are alike."""
    count = len(features)
    if count < 2:
        raise ValueError("at least two pictures are needed")
    return float(pairwise_distances(features, features).sum() / (count * (count - 1)))


def vendi_score(features: Array) -> float:
    """The effective number of different pictures: 1 where all are alike, their number where none resembles another.

    exp of the entropy of the eigenvalues of K / n, with the cosine similarity as kernel K (Friedman & Dieng 2023, arXiv
    2210.02410, definition 3.1). Rows without length count as alike.
    """
    rows = np.asarray(features, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.where(lengths > 0, rows / np.maximum(lengths, 1e-300), 1 / np.sqrt(rows.shape[1]))
    # K = rows rows' and rows' rows have the same eigenvalues: the smaller one is taken.
    gram = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    shares = np.clip(np.linalg.eigvalsh(gram / len(rows)), 0, None)
    shares = shares[shares > 1e-12]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def near_duplicate_groups(features: Array, threshold: float) -> list[list[int]]:
    """Groups of two or more rows that hang together by distances of at most `threshold`, in order of their first row.

    Single linkage: of three in a row, the first and the last may be further apart.
    """
    rows = np.asarray(features, np.float64)
    parents = list(range(len(rows)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    step = max(1, 20_000_000 // max(1, len(rows)))
    for start in range(0, len(rows), step):
        distances = pairwise_distances(rows[start : start + step], rows)
        # What rounding may have pushed over the threshold is measured again, one by one.
        for first, second in np.argwhere(distances <= threshold * 1.001 + 1e-4):
            one, two = int(first) + start, int(second)
            if one < two and float(np.linalg.norm(rows[one] - rows[two])) <= threshold:
                one, two = root(one), root(two)
                parents[max(one, two)] = min(one, two)
    groups: dict[int, list[int]] = {}
    for index in range(len(rows)):
        groups.setdefault(root(index), []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def nearest(features: Array, others: Array) -> tuple[Array, Array]:
    """For each row its nearest row among `others`: their indices and distances."""
    step = max(1, 20_000_000 // max(1, len(others)))
    parts = [pairwise_distances(features[start : start + step], others) for start in range(0, len(features), step)]
    indices = np.concatenate([part.argmin(axis=1) for part in parts])
    return indices, np.concatenate([part.min(axis=1) for part in parts])


def memorisation_ratios(features: Array, training: Array, groups: Sequence[Sequence[int]] = ()) -> Array:
    """How much nearer each picture is to one training picture than to any other: [num_pictures] in [0, 1].

    Distance to the nearest training picture over that to the nearest other one (Yoon et al. 2023, "Diffusion
    probabilistic models generalize when they fail to memorize"; Carlini et al. 2023, arXiv 2301.13188, section 4.2).
    Near 1 is a new picture, 0 an exact copy; below `COPY_RATIO` it is called a copy. `groups` are near-duplicates
    among the training pictures, which would hide a copy of one of them: others of the nearest's group are passed
    over. 1 where no other is left.
    """
    rows, training = np.asarray(features, np.float64), np.asarray(training, np.float64)
    group_of = np.arange(len(training))
    for group in groups:
        group_of[list(group)] = min(group)
    ratios = np.ones(len(rows))
    step = max(1, 20_000_000 // max(1, len(training)))
    for start in range(0, len(rows), step):
        distances = pairwise_distances(rows[start : start + step], training)
        first = distances.argmin(axis=1)
        nearest_distance = distances.min(axis=1)
        distances[group_of[None] == group_of[first][:, None]] = np.inf
        other = distances.min(axis=1)
        ratios[start : start + step] = np.where(
            np.isinf(other), 1.0, nearest_distance / np.where(other > 0, other, 1.0)
        )
    return np.clip(ratios, 0.0, 1.0)
