"""From the picture that a model drew to the exact pixels that were asked for."""

from __future__ import annotations

from PIL import Image

from designkit.values import Size


def fit_picture(picture: Image.Image, size: Size) -> Image.Image:
    """The picture enlarged or reduced until it covers `size`, then cropped around its middle to exactly that."""
    if (picture.width, picture.height) == (size.width, size.height):
        return picture
    scale = max(size.width / picture.width, size.height / picture.height)
    width, height = size.width / scale, size.height / scale
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    return picture.resize(
        (size.width, size.height), Image.Resampling.LANCZOS, box=(left, top, left + width, top + height)
    )
