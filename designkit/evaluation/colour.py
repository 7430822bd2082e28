# pyright: basic
"""The colours of a picture, and how they agree with other colours: palettes, areas, contrast.

Colours are sRGB in [0, 255] or CIE Lab under D65, as each function says. A difference of colours is CIEDE2000 (ISO/CIE
11664-6; Sharma, Wu & Dalal 2005): about 1 is just seen side by side, 10 is another shade, 50 another colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from designkit.evaluation.resampling import Array

DIFFERENT_SHADE = 10.0
"""Colours of a palette that are nearer to each other than this are one colour."""

_BITS = 5


@dataclass(frozen=True, kw_only=True)
class Colours:
    """Colours with the share of the area that each covers: `lab` [n, 3], `shares` [n] that sum to 1."""

    lab: Array
    shares: Array


def to_lab(rgb: Array) -> Array:
    """sRGB colours `[..., 3]` in [0, 255] as CIE Lab."""
    from skimage.color import rgb2lab

    return rgb2lab(np.asarray(rgb, np.float64) / 255.0)


def colour_difference(first: Array, second: Array) -> Array:
    """CIEDE2000 between Lab colours `[..., 3]` that broadcast against each other."""
    from skimage.color import deltaE_ciede2000

    return deltaE_ciede2000(first, second)


def colour_differences(first: Array, second: Array) -> Array:
    """CIEDE2000 between each of `[n, 3]` and each of `[m, 3]` Lab colours: [n, m]."""
    return colour_difference(first[:, None, :], second[None, :, :])


def picture_colours(rgb: Array) -> Colours:
    """All colours of a picture `[height, width, 3]` uint8 with their areas, most of the area first.

    Pixels whose channels agree in their upper five bits count as one colour, which is their mean.
    """
    pixels = np.asarray(rgb, np.uint8).reshape(-1, 3)
    codes = (pixels >> (8 - _BITS)).astype(np.int64) @ np.asarray([1 << 2 * _BITS, 1 << _BITS, 1])
    _, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(inverse, weights=pixels[:, channel]) for channel in range(3)], axis=1)
    order = np.argsort(-counts, kind="stable")
    return Colours(lab=to_lab(sums[order] / counts[order, None]), shares=counts[order] / len(pixels))


def main_colours(colours: Colours, *, num_colours: int = 6) -> Colours:
    """A palette of at most so many colours, largest area first; colours nearer than `DIFFERENT_SHADE` are joined.

    Weighted k-means in Lab from seeds that are chosen one by one as the largest area furthest from those before; the
    same colours always give the same palette.
    """
    lab, shares = colours.lab, colours.shares
    seeds = [int(shares.argmax())]
    gaps = ((lab - lab[seeds[0]]) ** 2).sum(axis=1)
    while len(seeds) < num_colours and (gaps * shares).max() > 1e-9:
        seeds.append(int((gaps * shares).argmax()))
        gaps = np.minimum(gaps, ((lab - lab[seeds[-1]]) ** 2).sum(axis=1))
    centres = lab[seeds]
    for _ in range(20):
        owner = ((lab[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
        areas = np.bincount(owner, weights=shares, minlength=len(centres))
        is_owner = owner[None] == np.arange(len(centres))[:, None]  # [centres, colours]
        moved = np.where(areas[:, None] > 0, (is_owner * shares) @ lab / np.maximum(areas, 1e-12)[:, None], centres)
        if np.allclose(moved, centres, atol=1e-3):
            break
        centres = moved
    return _joined(Colours(lab=centres[areas > 0], shares=areas[areas > 0]))


def palette_distance(colours: Colours, palette: Array) -> float:
    """The mean CIEDE2000 from the picture's area to the nearest colour of a palette `[n, 3]` in Lab; 0 is all on it."""
    return float(colours.shares @ colour_differences(colours.lab, palette).min(axis=1))


def palette_area(colours: Colours, palette: Array, tolerance: float) -> float:
    """The share of the area whose colour is within `tolerance` (CIEDE2000) of a colour of the palette `[n, 3]`.

    The brand's palette gives its adherence, the colours that it forbids their area.
    """
    near = (colour_differences(colours.lab, palette) <= tolerance).any(axis=1)
    return float(np.clip(colours.shares[near].sum(), 0.0, 1.0))


def earth_movers_distance(first: Colours, second: Colours) -> float:
    """How far colour must be moved, in CIEDE2000 per unit of area, to turn one set of colours into the other.

    The transportation problem of Rubner, Tomasi & Guibas 2000 (eq. 4), solved exactly. Take `main_colours` of a picture
    first: the time grows fast with the number of colours.
    """
    from scipy.optimize import linprog
    from scipy.sparse import eye_array, kron, vstack

    rows, columns = len(first.shares), len(second.shares)
    costs = colour_differences(first.lab, second.lab)
    leaving = kron(eye_array(rows), np.ones((1, columns)))
    arriving = kron(np.ones((1, rows)), eye_array(columns))
    # One of the constraints follows from the others.
    amounts = np.concatenate([first.shares / first.shares.sum(), second.shares / second.shares.sum()])
    constraints = vstack([leaving, arriving]).tocsr()[:-1]
    solved = linprog(costs.ravel(), A_eq=constraints, b_eq=amounts[:-1], bounds=(0, None), method="highs")
    assert solved.status == 0, solved.message
    return max(0.0, float(solved.fun))


def colourfulness(rgb: Array) -> float:
    """How colourful a picture `[height, width, 3]` in [0, 255] looks: 0 is grey, 15 slightly, 60 quite, 100 very much.

    Hasler & Suesstrunk 2003, "Measuring colourfulness in natural images", eq. for M(3).
    """
    red, green, blue = np.moveaxis(np.asarray(rgb, np.float64), -1, 0)
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))


def relative_luminance(rgb: Array) -> Array:
    """The relative luminance in [0, 1] of sRGB colours `[..., 3]` in [0, 255] (WCAG 2.2, definition)."""
    values = np.asarray(rgb, np.float64) / 255.0
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return linear @ np.asarray([0.2126, 0.7152, 0.0722])


def contrast_ratio(first: Array | float, second: Array | float) -> Array:
    """The contrast of two relative luminances, 1 to 21 (WCAG 2.2): text needs 4.5, large text 3."""
    lighter, darker = np.maximum(first, second), np.minimum(first, second)
    return (lighter + 0.05) / (darker + 0.05)


def _joined(colours: Colours) -> Colours:
    lab, shares = colours.lab, colours.shares
    while len(lab) > 1:
        differences = colour_differences(lab, lab)
        np.fill_diagonal(differences, np.inf)
        first, second = np.unravel_index(differences.argmin(), differences.shape)
        if differences[first, second] >= DIFFERENT_SHADE:
            break
        total = shares[first] + shares[second]
        lab = lab.copy()
        shares = shares.copy()
        lab[first] = (shares[first] * lab[first] + shares[second] * lab[second]) / total
        shares[first] = total
        lab, shares = np.delete(lab, second, axis=0), np.delete(shares, second)
    order = np.argsort(-shares, kind="stable")
    return Colours(lab=lab[order], shares=shares[order])
