"""Distances of sets agree with closed forms and with independent implementations on the same arrays."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.spatial import KDTree
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from designkit.evaluation.distances import (
    compare_frechet,
    compare_kernel,
    coverage_scores,
    frechet_distance,
    inception_score,
    kernel_distance,
    pairwise_distances,
)

TOLERANCE = 1e-4


class Flat(torch.nn.Module):
    """Features that are the numbers of the picture itself, so that torchmetrics sees our arrays."""

    num_features = 24

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.flatten(1)


def features(count: int, width: int = 24, *, seed: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).standard_normal((width, width)) / np.sqrt(width)
    return (rng.standard_normal((count, width)) @ mix * scale + shift).astype(np.float32)


def as_pictures(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(rows).reshape(len(rows), 3, 2, -1)


def frechet_by_matrix_root(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first.astype(np.float64), second.astype(np.float64)
    one, two = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    shift = first.mean(0) - second.mean(0)
    return float(shift @ shift + np.trace(one + two - 2 * scipy.linalg.sqrtm(one @ two)).real)


def test_the_frechet_distance_agrees_with_the_matrix_root_and_with_torchmetrics() -> None:
    first, second = features(300, seed=1), features(200, seed=2, scale=1.3, shift=0.2)
    ours = frechet_distance(first, second)
    assert ours == pytest.approx(frechet_by_matrix_root(first, second), abs=TOLERANCE)
    theirs = FrechetInceptionDistance(feature=Flat(), normalize=True, input_img_size=(3, 2, 4))
    theirs.update(as_pictures(second), real=True)
    theirs.update(as_pictures(first), real=False)
    assert ours == pytest.approx(float(theirs.compute()), abs=TOLERANCE)


def test_fewer_pictures_than_features_are_no_trouble() -> None:
    first, second = features(20, 200, seed=1), features(31, 200, seed=2, shift=0.1)
    assert frechet_distance(first, second) == pytest.approx(frechet_by_matrix_root(first, second), abs=TOLERANCE)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    tall = features(500, 200, seed=3)
    assert frechet_distance(first, tall) == pytest.approx(frechet_by_matrix_root(first, tall), abs=TOLERANCE)


def test_closed_forms_of_the_frechet_distance() -> None:
    rows = features(400, 8, seed=5)
    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-9)
    shift = np.array([2.0, 0, 0, 0, 0, 0, 0, -2.0])
    assert frechet_distance(rows, rows.astype(np.float64) + shift) == pytest.approx(8.0, abs=1e-9)
    # N(0, C) against N(0, s^2 C): (s - 1)^2 tr C, exactly, for a set and its own multiple about the mean.
    centred = rows.astype(np.float64) - rows.astype(np.float64).mean(axis=0)
    trace = np.trace(np.cov(centred, rowvar=False))
    assert frechet_distance(centred, 3 * centred) == pytest.approx(4 * trace, abs=1e-9)
    other = features(300, 8, seed=6, scale=2)
    assert frechet_distance(rows, other) == pytest.approx(frechet_distance(other, rows), abs=1e-9)


def test_features_of_very_different_size_keep_their_digits() -> None:
    scales = np.logspace(0, -9, 24)
    first, second = features(300, seed=1) * scales, features(200, seed=2, scale=1.3) * scales
    assert frechet_distance(first, second) == pytest.approx(frechet_by_matrix_root(first, second), abs=1e-9)
    small = [rows[:, 8:] * 1e6 for rows in (first, second)]
    assert frechet_distance(*small) == pytest.approx(frechet_by_matrix_root(*small), rel=1e-6)


def test_features_that_never_vary_or_repeat_give_no_complex_numbers() -> None:
    rows = features(100, 6, seed=1)
    flat = np.hstack([rows, np.zeros((100, 3)), rows[:, :1]])
    assert frechet_distance(flat, flat[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(np.zeros((5, 4)), np.ones((5, 4))) == pytest.approx(4)


@pytest.mark.parametrize("rows", [np.zeros((1, 4)), np.zeros((5, 3)), np.zeros(4)])
def test_sets_that_cannot_be_compared_are_refused(rows: np.ndarray) -> None:
    with pytest.raises(ValueError, match="pictures"):
        frechet_distance(rows, np.zeros((5, 4)))


@pytest.mark.filterwarnings("ignore:Metric:UserWarning")
def test_the_kernel_distance_agrees_with_torchmetrics_and_its_definition() -> None:
    first, second = features(90, seed=1), features(90, seed=2, scale=1.2)
    theirs = KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=90, normalize=True)
    theirs.update(as_pictures(second), real=True)
    theirs.update(as_pictures(first), real=False)
    assert kernel_distance(first, second) == pytest.approx(float(theirs.compute()[0]), abs=TOLERANCE)

    def kernel(one: np.ndarray, two: np.ndarray) -> float:
        return (float(one.astype(np.float64) @ two) / len(one) + 1) ** 3

    def mean(pairs) -> float:
        return float(np.mean([kernel(one, two) for one, two in pairs]))

    by_hand = (
        mean(itertools.permutations(first, 2))
        + mean(itertools.permutations(second, 2))
        - 2 * mean(itertools.product(first, second))
    )
    assert kernel_distance(first, second) == pytest.approx(by_hand, abs=1e-9)


def test_the_kernel_distance_has_no_bias_and_may_be_negative() -> None:
    values = [kernel_distance(features(30, seed=seed), features(30, seed=1000 + seed)) for seed in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)
    assert min(values) < 0


def test_subsets_of_the_kernel_distance_are_seeded_and_near_the_whole() -> None:
    first, second = features(400, seed=1), features(300, seed=2, shift=0.5)
    whole = kernel_distance(first, second)
    parts = kernel_distance(first, second, num_subsets=60, subset_size=100, seed=4)
    assert parts == kernel_distance(first, second, num_subsets=60, subset_size=100, seed=4)
    assert parts == pytest.approx(whole, rel=0.1)


def test_precision_recall_density_and_coverage_agree_with_a_tree_search() -> None:
    first, second = features(150, 4, seed=1), features(120, 4, seed=2, scale=0.6)
    ours = coverage_scores(first, second)
    generated, reference = KDTree(first), KDTree(second)
    wide = reference.query(second, k=4)[0][:, -1]
    narrow = reference.query(second, k=6)[0][:, -1]
    own = generated.query(first, k=4)[0][:, -1]
    within_wide = reference.sparse_distance_matrix(generated, 100.0).toarray()  # [reference, generated]
    assert ours.precision == pytest.approx((within_wide <= wide[:, None]).any(axis=0).mean(), abs=TOLERANCE)
    assert ours.recall == pytest.approx((within_wide <= own[None]).any(axis=1).mean(), abs=TOLERANCE)
    assert ours.density == pytest.approx((within_wide <= narrow[:, None]).sum(axis=0).mean() / 5, abs=TOLERANCE)
    assert ours.coverage == pytest.approx((generated.query(second, k=1)[0] <= narrow).mean(), abs=TOLERANCE)


def test_precision_and_recall_tell_narrow_from_wide_and_near_from_far() -> None:
    reference = features(300, 4, seed=2)
    same = coverage_scores(reference, reference)
    assert (same.precision, same.recall, same.coverage) == (1.0, 1.0, 1.0)
    assert same.density >= 1
    far = coverage_scores(reference + 100, reference)
    assert (far.precision, far.recall, far.density, far.coverage) == (0.0, 0.0, 0.0, 0.0)
    narrow = coverage_scores(features(300, 4, seed=3, scale=0.2), reference)
    assert narrow.precision > 0.95
    assert narrow.recall < 0.2
    with pytest.raises(ValueError, match="at least 6"):
        coverage_scores(reference[:5], reference)


@pytest.mark.filterwarnings("ignore:Metric:UserWarning", "ignore:std:UserWarning")
def test_the_inception_score_agrees_with_torchmetrics_and_its_ends() -> None:
    logits = features(80, seed=7, scale=2)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    theirs = InceptionScore(feature=Flat(), splits=1)
    theirs.update(as_pictures(logits))
    assert inception_score(probabilities) == pytest.approx(float(theirs.compute()[0]), abs=TOLERANCE)
    assert inception_score(np.full((10, 7), 1 / 7)) == pytest.approx(1.0)
    assert inception_score(np.eye(7)) == pytest.approx(7.0)
    with pytest.raises(ValueError, match="sum to 1"):
        inception_score(logits)


def test_a_comparison_states_interval_and_floor_at_one_size() -> None:
    reference = features(200, 6, seed=1)
    alike = compare_frechet(features(60, 6, seed=2), reference)
    assert alike.floor_size == 60
    assert alike.low < alike.value < alike.high
    assert alike.floor is not None
    assert alike.value_at_floor == pytest.approx(alike.floor, abs=0.15)
    # Fewer pictures alone raise the distance: the reason why the floor is stated at the same size.
    assert alike.floor > compare_frechet(reference, reference[::-1]).value + 0.05
    other = compare_frechet(features(60, 6, seed=2, shift=1.0), reference)
    assert other.value_at_floor is not None
    assert other.low > 10 * alike.floor
    assert other == compare_frechet(features(60, 6, seed=2, shift=1.0), reference)
    kernel = compare_kernel(features(60, 6, seed=2, shift=1.0), reference)
    assert kernel.floor is not None
    assert kernel.low > kernel.floor
    alone = compare_frechet(features(5, 6, seed=2), reference[:3])
    assert (alone.floor, alone.value_at_floor, alone.floor_size) == (None, None, 1)


def test_distances_keep_their_digits_far_from_zero() -> None:
    rows = features(50, 6, seed=1).astype(np.float64)
    far = pairwise_distances(rows + 1e6, rows + 1e6)
    assert far == pytest.approx(pairwise_distances(rows, rows), abs=1e-5)
