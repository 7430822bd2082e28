"""Diversity, near-duplicates and copies, on sets whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from designkit.evaluation.sets import (
    COPY_RATIO,
    mean_pairwise_distance,
    memorisation_ratios,
    near_duplicate_groups,
    nearest,
    vendi_score,
)


def rows(count: int, width: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, width))


def test_the_mean_distance_of_pairs_agrees_with_scipy() -> None:
    assert mean_pairwise_distance(rows(40)) == pytest.approx(pdist(rows(40)).mean(), abs=1e-6)
    assert mean_pairwise_distance(np.ones((4, 3))) == 0
    with pytest.raises(ValueError, match="two pictures"):
        mean_pairwise_distance(rows(1))


@pytest.mark.parametrize(("features", "count"), [
    (np.eye(6), 6.0), (np.ones((6, 3)), 1.0), (np.repeat(np.eye(3), 4, axis=0), 3.0), (np.zeros((5, 4)), 1.0),
    (np.repeat(np.eye(3), 400, axis=0), 3.0),
])  # fmt: skip
def test_the_vendi_score_counts_what_differs(features: np.ndarray, count: float) -> None:
    assert vendi_score(features) == pytest.approx(count)


def test_near_duplicates_are_the_clusters_of_single_linkage() -> None:
    points = rows(120, 2)
    for threshold in (0.05, 0.15, 0.3):
        labels = fcluster(linkage(points, "single"), threshold, "distance")
        wanted = sorted(sorted(np.flatnonzero(labels == label)) for label in set(labels))
        assert near_duplicate_groups(points, threshold) == [group for group in wanted if len(group) > 1]
    assert near_duplicate_groups(np.array([[0.0], [9.0], [1.0], [2.0], [9.5]]), 1.0) == [[0, 2, 3], [1, 4]]
    assert near_duplicate_groups(np.zeros((0, 3)), 1.0) == []


def test_the_nearest_row_is_found_in_parts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    indices, distances = nearest(rows(30), rows(50, seed=1))
    gaps = np.linalg.norm(rows(30)[:, None] - rows(50, seed=1)[None], axis=2)
    assert indices.tolist() == gaps.argmin(axis=1).tolist()
    assert distances == pytest.approx(gaps.min(axis=1), abs=1e-6)


def test_a_copy_of_a_training_picture_stands_out() -> None:
    training = rows(60, 8)
    copies = training[:5] + 0.01
    ratios = memorisation_ratios(np.vstack([copies, rows(20, 8, seed=3)]), training)
    assert (ratios[:5] < 0.05).all()
    assert (ratios[5:] > COPY_RATIO).all()
    gaps = np.sort(np.linalg.norm(copies[:, None] - training[None], axis=2), axis=1)
    assert ratios[:5] == pytest.approx(gaps[:, 0] / gaps[:, 1], abs=1e-6)


def test_a_copy_is_found_behind_near_duplicates_among_the_training_pictures() -> None:
    training = rows(60, 8)
    twice = np.vstack([training, training[:5] + 0.001])
    copies = training[:5] + 0.01
    assert (memorisation_ratios(copies, twice) > COPY_RATIO).all()
    groups = near_duplicate_groups(twice, 0.1)
    assert groups == [[index, 60 + index] for index in range(5)]
    assert (memorisation_ratios(copies, twice, groups) < 0.05).all()


def test_nothing_stands_out_among_one_picture() -> None:
    assert memorisation_ratios(rows(3), rows(1)).tolist() == [1, 1, 1]
    assert memorisation_ratios(np.zeros((1, 2)), np.zeros((3, 2))).tolist() == [0]
