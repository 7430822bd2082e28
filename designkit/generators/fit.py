"""From the picture that a model drew to the exact pixels that were asked for.

Enlarged flat art keeps crisp edges: enlarging alone would spread each edge over as many pixels as one pixel
has become. Photographs and paintings, whose soft transitions are their own, are only resampled.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from designkit.values import Size

FLAT_SHARE = 0.5
"""A picture is flat art when at least this share of its pixels lies in areas of one colour."""

_FLAT_RANGE = 12  # Levels by which the pixels around one may differ in an area of one colour: a model's noise.
_MIN_ENLARGEMENT = 1.5  # Below this, edges are crisp enough.
_STEEPNESS = 0.55  # Of the enlargement; 1 would leave one pixel for an edge, and stairs along slanted ones.
_MAX_STEEPNESS = 6.0


def fit_picture(picture: Image.Image, size: Size) -> Image.Image:
    """The picture enlarged or reduced until it covers `size`, then cropped around its middle to exactly that."""
    if (picture.width, picture.height) == (size.width, size.height):
        return picture
    scale = max(size.width / picture.width, size.height / picture.height)
    width, height = size.width / scale, size.height / scale
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    box = (left, top, left + width, top + height)
    if scale >= _MIN_ENLARGEMENT and picture.mode == "RGB" and is_flat_art(picture):
        return _enlarge_flat_art(picture, size, box, scale)
    return picture.resize((size.width, size.height), Image.Resampling.LANCZOS, box=box)


def is_flat_art(picture: Image.Image) -> bool:
    """Whether an RGB picture consists mostly of areas of one colour."""
    darkest, lightest = _extremes(picture)
    ranges = np.asarray(lightest, np.int16) - np.asarray(darkest, np.int16)  # [H, W, 3]
    return bool((ranges.max(axis=2) <= _FLAT_RANGE).mean() >= FLAT_SHARE)


def _enlarge_flat_art(
    picture: Image.Image, size: Size, box: tuple[float, float, float, float], scale: float
) -> Image.Image:
    """Resample, then push each value towards the darker or the lighter side of the edge that it lies on.

    The sides are the extremes of the pixels around, so that nothing is ever brighter or darker than what the
    model drew; where they are close there is no edge, and nothing is pushed.
    """
    target, bilinear = (size.width, size.height), Image.Resampling.BILINEAR
    darkest, lightest = _extremes(picture)
    low = np.asarray(darkest.resize(target, bilinear, box=box), np.float32)  # [H, W, 3] in [0, 255]
    span = np.asarray(lightest.resize(target, bilinear, box=box), np.float32)
    span -= low
    value = np.array(picture.resize(target, Image.Resampling.BICUBIC, box=box), np.float32)
    value -= low
    np.clip(value, 0, span, out=value)
    # Around the middle between the two sides the transition becomes steeper, within the sides.
    steep = value - span / 2
    steep *= min(max(scale * _STEEPNESS, 1.0), _MAX_STEEPNESS)
    steep += span / 2
    np.clip(steep, 0, span, out=steep)
    share = span
    share -= _FLAT_RANGE
    share /= 2 * _FLAT_RANGE
    np.clip(share, 0, 1, out=share)
    steep -= value
    steep *= share
    value += steep
    value += low
    return Image.fromarray(value.round().astype("uint8"))


def _extremes(picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    """The darkest and the lightest value around each pixel, channel by channel."""
    return picture.filter(ImageFilter.MinFilter(3)), picture.filter(ImageFilter.MaxFilter(3))
