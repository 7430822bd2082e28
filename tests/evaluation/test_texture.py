"""Textures agree with scikit-image's own functions, and like is told from unlike."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern
from skimage.filters import gabor

from designkit.evaluation.texture import (
    GABOR_FREQUENCIES,
    GLCM_PROPERTIES,
    binary_patterns,
    co_occurrence,
    co_occurrence_statistics,
    gabor_energies,
    texture,
    texture_similarity,
)

BRICK, GRASS = skimage.data.brick() / 255.0, skimage.data.grass() / 255.0


def test_patterns_are_scikit_images_histograms() -> None:
    area = BRICK[:120, :90]
    levels = np.round(area * 255).astype(np.uint8)
    theirs = [
        np.histogram(local_binary_pattern(levels, points, radius, "uniform"), bins=points + 2, range=(0, points + 2))[0]
        / area.size
        for points, radius in ((8, 1), (16, 2))
    ]
    assert binary_patterns(area) == pytest.approx(np.concatenate(theirs), abs=1e-12)


def test_co_occurrence_and_its_statistics_are_scikit_images() -> None:
    area = BRICK[:120, :90]
    levels = (np.round(area * 255) // 8).astype(np.uint8)
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    theirs = graycomatrix(levels, [1, 2, 4], angles, 32, symmetric=True, normed=True).mean(axis=(2, 3))
    ours = co_occurrence(area)
    assert ours == pytest.approx(theirs, abs=1e-12)
    assert ours.sum() == pytest.approx(1)
    statistics = co_occurrence_statistics(ours)
    for value, name in zip(statistics, GLCM_PROPERTIES[:-1], strict=False):
        assert value == pytest.approx(graycoprops(theirs[:, :, None, None], name)[0, 0], abs=1e-9)
    assert co_occurrence_statistics(np.full((32, 32), 1 / 1024))[-1] == pytest.approx(np.log(1024))


def test_gabor_energies_are_those_of_scikit_images_filter() -> None:
    area = GRASS[:96, :110]
    ours = gabor_energies(area).reshape(len(GABOR_FREQUENCIES), 4)
    for row, frequency in enumerate(GABOR_FREQUENCIES):
        if frequency < 0.2:
            continue  # Their kernels are wider than the mirror of ours, and leave the mean in.
        for column in range(4):
            real, imaginary = gabor(area - area.mean(), frequency, theta=np.pi * column / 4, mode="mirror")  # pyright: ignore[reportArgumentType]
            assert ours[row, column] == pytest.approx(np.hypot(real, imaginary).mean(), rel=0.01)


def test_flat_areas_have_no_energy_and_stripes_answer_at_their_own_frequency() -> None:
    assert gabor_energies(np.full((64, 64), 0.7)) == pytest.approx(np.zeros(16), abs=1e-9)
    columns = 0.5 + 0.5 * np.cos(2 * np.pi * 0.2 * np.arange(128))
    energies = gabor_energies(np.tile(columns, (128, 1))).reshape(4, 4)
    assert np.unravel_index(energies.argmax(), energies.shape) == (2, 0)


def test_like_textures_have_more_in_common_than_unlike_ones() -> None:
    brick, more_brick, grass = texture(BRICK[:128, :128]), texture(BRICK[200:328, 100:228]), texture(GRASS[:128, :128])
    same = texture_similarity(brick, brick)
    assert (same.patterns, same.co_occurrence, same.energies) == pytest.approx((1, 1, 1))
    alike, unlike = texture_similarity(brick, more_brick), texture_similarity(brick, grass)
    assert alike.patterns > unlike.patterns
    assert alike.co_occurrence > unlike.co_occurrence
    assert alike.energies > unlike.energies
    assert alike.mean > unlike.mean + 0.2
    plain = texture(np.full((32, 32), 0.2))
    assert texture_similarity(plain, plain).mean == pytest.approx(1)


@pytest.mark.parametrize("shape", [(7, 30), (30, 30, 3)])
def test_what_has_no_texture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="8 x 8"):
        texture(np.zeros(shape))
