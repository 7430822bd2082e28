"""From the picture that a model drew to the exact pixels that were asked for.

Enlarged flat art keeps crisp edges: enlarging alone would spread each edge over as many pixels as one pixel
has become. Photographs and paintings, whose soft transitions are their own, are only resampled. A banner is
far longer than what a model draws: where the ground is plain it is continued, elsewhere the middle is cut out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from designkit.values import Size

FLAT_SHARE = 0.5
"""A picture is flat art when at least this share of its pixels lies in areas of one colour."""

MIN_KEPT_SHARE = 0.7
"""A crop that would keep less of the picture than this is avoided where the ground can be continued."""

_PLAIN_RANGE = 32  # Levels by which the edge of a plain ground may differ from the rest of it, nearly everywhere.
_FLAT_RANGE = 12  # Levels by which the pixels around one may differ in an area of one colour: a model's noise.
_MIN_ENLARGEMENT = 1.5  # Below this, edges are crisp enough.
_STEEPNESS = 0.55  # Of the enlargement; 1 would leave one pixel for an edge, and stairs along slanted ones.
_MAX_STEEPNESS = 6.0


def fit_picture(picture: Image.Image, size: Size) -> Image.Image:
    """The picture enlarged or reduced until it covers `size`, then cropped around its middle to exactly that.

    Where that would keep less than `MIN_KEPT_SHARE` of it, and its ground is plain to the edge, it is shown
    whole in the middle and the ground continues on either side.
    """
    if (picture.width, picture.height) == (size.width, size.height):
        return picture
    if kept_share(Size(width=picture.width, height=picture.height), size) < MIN_KEPT_SHARE:
        picture = _with_longer_ground(picture, size)
    scale = max(size.width / picture.width, size.height / picture.height)
    width, height = size.width / scale, size.height / scale
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    box = (left, top, left + width, top + height)
    if scale >= _MIN_ENLARGEMENT and picture.mode == "RGB" and is_flat_art(picture):
        return _enlarge_flat_art(picture, size, box, scale)
    return picture.resize((size.width, size.height), Image.Resampling.LANCZOS, box=box)


def kept_share(drawn: Size, size: Size) -> float:
    """The share of a drawn picture (0..1) that a crop to the shape of `size` keeps."""
    return min(drawn.width * size.height, drawn.height * size.width) / max(
        drawn.width * size.height, drawn.height * size.width
    )


def _with_longer_ground(picture: Image.Image, size: Size) -> Image.Image:
    """The picture with the shape of `size`, its plain ground continued; itself where the ground is not plain."""
    wider = size.width * picture.height > size.height * picture.width
    pixels: NDArray[np.uint8] = np.asarray(picture)
    pixels = pixels if wider else pixels.swapaxes(0, 1)  # [across, along, channels], to be made longer along
    margin = max(2, pixels.shape[1] // 8)
    rim = np.concatenate([pixels[:, :2], pixels[:, -2:]], axis=1).reshape(-1, pixels.shape[-1]).astype(np.float32)
    ground = np.median(np.concatenate([pixels[:, :margin], pixels[:, -margin:]], axis=1), axis=(0, 1))
    if np.quantile(np.abs(rim - ground).max(axis=1), 0.98) > _PLAIN_RANGE:
        return picture
    across, along = pixels.shape[:2]
    ratio = size.width / size.height if wider else size.height / size.width
    added = max(0, round(across * ratio) - along)
    longer = np.tile(ground.astype(np.float32), (across, along + added, 1))
    # Towards its ends the picture's own ground turns into the even one little by little, so that no seam shows.
    fade = np.array([min(place, along - 1 - place) / margin for place in range(along)])
    off = pixels.astype(np.float32) - ground.astype(np.float32)
    is_ground = np.abs(off).max(axis=2, keepdims=True) <= _PLAIN_RANGE
    off *= np.where(is_ground, np.minimum(fade, 1)[None, :, None], 1)
    longer[:, added // 2 : added // 2 + along] += off
    made = longer.round().astype(np.uint8)
    return Image.fromarray(made if wider else np.ascontiguousarray(made.swapaxes(0, 1)))


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
