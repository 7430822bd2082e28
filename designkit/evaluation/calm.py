# pyright: basic
"""Where in a picture words can go: the largest calm rectangle, and how well words would stand out there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from designkit.evaluation.colour import contrast_ratio, relative_luminance
from designkit.evaluation.resampling import Array

GRID = 24
"""The picture's longer side in cells; a rectangle is made of whole cells."""

MAX_DETAIL = 6.0
"""The mean step from pixel to pixel, in 8-bit levels, up to which a cell is calm."""

MAX_SPREAD = 24.0
"""How far the lightest and the darkest pixel of a calm cell may be apart, in 8-bit levels."""


@dataclass(frozen=True, kw_only=True)
class CalmArea:
    """The largest rectangle without detail: left, top, right and bottom as shares of the sides, and its luminance.

    `darkest` and `lightest` are the 2nd and 98th percentile of the relative luminance in it. An empty one
    (`share` 0) has no place and counts as contrast 1.
    """

    left: float
    top: float
    right: float
    bottom: float
    darkest: float
    lightest: float

    @property
    def share(self) -> float:
        """Its part of the picture's area, 0 to 1."""
        return (self.right - self.left) * (self.bottom - self.top)


def calm_area(rgb: Array) -> CalmArea:
    """The largest rectangle of calm cells in a picture `[height, width, 3]` uint8.

    A cell is calm where neighbouring pixels differ little (the mean of the largest step in any channel) and all of it
    is about equally light; the largest rectangle is found row by row (the maximal rectangle of a histogram).
    """
    pixels = np.asarray(rgb, np.float64)
    height, width = pixels.shape[:2]
    cell = max(1.0, max(height, width) / GRID)
    rows, columns = max(1, round(height / cell)), max(1, round(width / cell))
    tops = np.linspace(0, height, rows + 1).round().astype(int)
    lefts = np.linspace(0, width, columns + 1).round().astype(int)
    steps = _steps(pixels)
    # What lies beyond the edge of a cell is not in it.
    steps[:, lefts[1:] - 1] = steps[tops[1:] - 1] = 0
    detail = _cell_means(steps, tops, lefts)
    calm = (detail <= MAX_DETAIL) & (_cell_spread(pixels.mean(axis=2), tops, lefts) <= MAX_SPREAD)
    box = _largest_rectangle(calm)
    if box is None:
        return CalmArea(left=0, top=0, right=0, bottom=0, darkest=0, lightest=1)
    top, bottom, left, right = tops[box[0]], tops[box[1]], lefts[box[2]], lefts[box[3]]
    luminance = relative_luminance(pixels[top:bottom, left:right])
    darkest, lightest = np.quantile(luminance, (0.02, 0.98))
    return CalmArea(
        left=float(left / width), top=float(top / height), right=float(right / width), bottom=float(bottom / height),
        darkest=float(darkest), lightest=float(lightest),
    )  # fmt: skip


def copy_contrast(
    area: CalmArea, copy_rgb: Sequence[Sequence[int]] = ((0, 0, 0), (255, 255, 255))
) -> tuple[int, float]:
    """Which colour for words stands out best in a calm area, and its contrast ratio against the worst spot there.

    Colours are sRGB in [0, 255]; the ratio is WCAG 2.2's, 1 to 21. A colour between the area's darkest and lightest
    has 1.
    """
    if not area.share:
        return 0, 1.0
    ratios: list[float] = []
    for luminance in relative_luminance(np.asarray(copy_rgb, np.float64)):
        within = area.darkest <= luminance <= area.lightest
        worst = min(contrast_ratio(luminance, area.darkest), contrast_ratio(luminance, area.lightest))
        ratios.append(1.0 if within else float(worst))
    best = int(np.argmax(ratios))
    return best, ratios[best]


def _steps(pixels: Array) -> Array:
    """The largest difference of each pixel to the one right of or below it, over the channels: [height, width]."""
    steps = np.zeros(pixels.shape[:2])
    across, down = np.abs(np.diff(pixels, axis=1)).max(axis=2), np.abs(np.diff(pixels, axis=0)).max(axis=2)
    steps[:, :-1] = across
    steps[:-1] = np.maximum(steps[:-1], down)
    return steps


def _cell_means(values: Array, tops: Array, lefts: Array) -> Array:
    sums = np.add.reduceat(np.add.reduceat(values, tops[:-1], axis=0), lefts[:-1], axis=1)
    return sums / np.outer(np.diff(tops), np.diff(lefts))


def _cell_spread(values: Array, tops: Array, lefts: Array) -> Array:
    high = np.maximum.reduceat(np.maximum.reduceat(values, tops[:-1], axis=0), lefts[:-1], axis=1)
    low = np.minimum.reduceat(np.minimum.reduceat(values, tops[:-1], axis=0), lefts[:-1], axis=1)
    return high - low


def _largest_rectangle(calm: Array) -> tuple[int, int, int, int] | None:
    """Top, bottom, left and right (ends excluded) of the largest rectangle of true cells; the first of equal ones."""
    heights = [0] * calm.shape[1]
    best, best_area = None, 0
    for row in range(calm.shape[0]):
        heights = [heights[column] + 1 if calm[row, column] else 0 for column in range(len(heights))]
        stack: list[tuple[int, int]] = []  # start column, height
        for column, height in enumerate([*heights, 0]):
            start = column
            while stack and stack[-1][1] >= height:
                start, tall = stack.pop()
                if tall * (column - start) > best_area:
                    best_area = tall * (column - start)
                    best = (row + 1 - tall, row + 1, start, column)
            stack.append((start, height))
    return best
