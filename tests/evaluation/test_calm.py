"""The calm area is where nothing is drawn, and its contrast is that of its worst spot."""

from __future__ import annotations

import numpy as np
import pytest

from designkit.evaluation.calm import calm_area, copy_contrast


def busy(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_the_largest_plain_rectangle_is_found() -> None:
    picture = busy(240, 360)
    picture[30:210, 210:345] = (11, 122, 117)
    picture[30:90, 15:150] = (255, 255, 255)
    area = calm_area(picture)
    assert (area.left, area.top, area.right, area.bottom) == pytest.approx((210 / 360, 30 / 240, 345 / 360, 210 / 240))
    assert area.share == pytest.approx(135 * 180 / (240 * 360))


def test_a_plain_picture_is_calm_all_over_and_noise_nowhere() -> None:
    whole = calm_area(np.full((50, 80, 3), 200, np.uint8))
    assert (whole.left, whole.top, whole.right, whole.bottom) == (0, 0, 1, 1)
    assert whole.darkest == whole.lightest
    none = calm_area(busy(96, 96))
    assert none.share == 0
    assert copy_contrast(none) == (0, 1.0)


def test_a_soft_gradient_is_calm_and_a_line_is_not() -> None:
    ramp = np.tile(np.linspace(90, 160, 240)[None, :, None], (240, 1, 3)).astype(np.uint8)
    assert calm_area(ramp).share == 1
    ramp[:, 118:122] = 0
    assert calm_area(ramp).share < 0.5


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (7, 400), (300, 2)])
def test_any_shape_has_an_answer(shape: tuple[int, int]) -> None:
    assert calm_area(np.zeros((*shape, 3), np.uint8)).share == pytest.approx(1)


def test_contrast_is_that_of_the_worst_spot() -> None:
    white, black = (255, 255, 255), (0, 0, 0)
    light = calm_area(np.full((60, 60, 3), 255, np.uint8))
    assert copy_contrast(light, (black, white)) == (0, pytest.approx(21))
    halves = np.full((60, 60, 3), 255, np.uint8)
    ramp = np.tile(np.linspace(90, 160, 240)[None, :, None], (240, 1, 3)).astype(np.uint8)
    area = calm_area(ramp)
    best, ratio = copy_contrast(area, (white, black))
    assert (best, ratio) == (1, pytest.approx((area.darkest + 0.05) / 0.05))
    # A colour that the area passes through cannot be read somewhere in it.
    assert copy_contrast(area, ((125, 125, 125),)) == (0, 1.0)
    assert copy_contrast(calm_area(halves), (white,)) == (0, pytest.approx(1))
