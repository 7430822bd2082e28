"""Colours, palettes and contrast agree with published values and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from designkit.evaluation.colour import (
    Colours,
    colour_difference,
    colour_differences,
    colourfulness,
    contrast_ratio,
    earth_movers_distance,
    main_colours,
    palette_area,
    palette_distance,
    picture_colours,
    relative_luminance,
    to_lab,
)

TEAL, CREAM, RED = (11, 122, 117), (244, 236, 216), (200, 30, 30)


def stripes(*parts: tuple[tuple[int, int, int], int]) -> np.ndarray:
    """Stripes of plain colours, each so many of 100 pixels wide: [20, 100, 3] uint8."""
    row = [colour for colour, width in parts for _ in range(width)]
    return np.tile(np.array(row, np.uint8)[None], (20, 1, 1))


# Sharma, Wu & Dalal 2005, table 1: pairs 1, 7, 13, 17, 25 and 34.
@pytest.mark.parametrize(("first", "second", "difference"), [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425), ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, -0.0010, 2.49), (50, 0.0011, -2.49), 4.7461), ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
])  # fmt: skip
def test_differences_are_those_of_the_published_table(first, second, difference: float) -> None:
    found = float(colour_difference(np.array(first, float), np.array(second, float)))
    assert found == pytest.approx(difference, abs=1e-4)


def test_lab_has_its_known_points() -> None:
    assert to_lab(np.array([[255, 255, 255], [0, 0, 0]])) == pytest.approx(np.array([[100, 0, 0], [0, 0, 0]]), abs=0.02)
    assert to_lab(np.array([255, 0, 0])) == pytest.approx(np.array([53.24, 80.09, 67.20]), abs=0.02)


def test_the_colours_of_a_picture_are_counted_exactly() -> None:
    found = picture_colours(stripes((TEAL, 70), (CREAM, 25), (RED, 5)))
    assert found.shares.tolist() == [0.70, 0.25, 0.05]
    assert found.lab == pytest.approx(to_lab(np.array([TEAL, CREAM, RED])))


def test_a_palette_joins_shades_and_keeps_small_accents() -> None:
    shade = (TEAL[0] + 4, TEAL[1] + 6, TEAL[2] + 6)
    palette = main_colours(picture_colours(stripes((TEAL, 40), (shade, 30), (CREAM, 25), (RED, 5))))
    assert palette.shares == pytest.approx([0.70, 0.25, 0.05])
    assert (np.diag(colour_differences(palette.lab, to_lab(np.array([TEAL, CREAM, RED])))) < 3).all()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    busy = main_colours(picture_colours(noise), num_colours=5)
    assert len(busy.shares) == 5
    assert busy.shares.sum() == pytest.approx(1)
    alone = main_colours(picture_colours(stripes((RED, 100))))
    assert alone.shares.tolist() == [1.0]


def test_the_distance_to_a_palette_is_weighted_by_area() -> None:
    colours = picture_colours(stripes((TEAL, 75), (RED, 25)))
    brand = to_lab(np.array([TEAL, CREAM], float))
    off = float(colour_differences(to_lab(np.array([RED], float)), brand).min())
    assert palette_distance(colours, brand) == pytest.approx(0.25 * off)
    assert palette_area(colours, brand, 10) == pytest.approx(0.75)
    assert palette_area(colours, to_lab(np.array([RED])), 10) == pytest.approx(0.25)
    assert palette_area(colours, to_lab(np.array([RED, TEAL])), 10) == pytest.approx(1)


def grey(levels: list[float], shares: list[float]) -> Colours:
    return Colours(lab=np.array([[level, 0.0, 0.0] for level in levels]), shares=np.array(shares))


def test_moving_colour_costs_area_times_difference() -> None:
    whole = picture_colours(stripes((TEAL, 100)))
    other = picture_colours(stripes((RED, 100)))
    between = float(colour_difference(whole.lab[0], other.lab[0]))
    assert earth_movers_distance(whole, other) == pytest.approx(between)
    half = picture_colours(stripes((TEAL, 60), (RED, 40)))
    assert earth_movers_distance(half, whole) == pytest.approx(0.4 * between)
    assert earth_movers_distance(half, half) == pytest.approx(0, abs=1e-9)
    assert earth_movers_distance(half, other) == pytest.approx(earth_movers_distance(other, half))


def test_moving_greys_is_the_distance_on_a_line() -> None:
    # Near L = 50 CIEDE2000 of greys is nearly their difference in L, so that scipy's one-dimensional distance holds.
    first, second = grey([49.0, 50.0, 50.6], [0.2, 0.5, 0.3]), grey([49.4, 51.0], [0.55, 0.45])
    on_a_line = scipy.stats.wasserstein_distance(first.lab[:, 0], second.lab[:, 0], first.shares, second.shares)
    assert earth_movers_distance(first, second) == pytest.approx(on_a_line, rel=2e-3)


def test_colourfulness_is_nothing_for_grey_and_high_for_bright_stripes() -> None:
    assert colourfulness(stripes(((90, 90, 90), 50), ((200, 200, 200), 50))) == 0
    # Half red, half blue: red-green is 255 and 0, yellow-blue 127.5 and -255.
    spread, mean = np.hypot(127.5, 191.25), np.hypot(127.5, -63.75)
    assert colourfulness(stripes(((255, 0, 0), 50), ((0, 0, 255), 50))) == pytest.approx(spread + 0.3 * mean)


def test_contrast_has_its_published_ends() -> None:
    black, white, mid = relative_luminance(np.array([[0, 0, 0], [255, 255, 255], [119, 119, 119]]))
    assert contrast_ratio(black, white) == pytest.approx(21)
    assert contrast_ratio(white, white) == 1
    # #777777 on white is the classic grey that just misses 4.5.
    assert float(contrast_ratio(mid, white)) == pytest.approx(4.478, abs=1e-3)
