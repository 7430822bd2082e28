"""At which size a model draws a picture that is then scaled and cropped to the size asked for."""

from __future__ import annotations

from math import ceil, log, sqrt

from designkit.generators.base import ModelCard
from designkit.values import Size


def choose_drawn_size(size: Size, card: ModelCard) -> Size:
    """The size of this shape that the model makes best.

    A model that only knows its native sizes draws the one nearest in shape, and of those the smallest that
    covers the size asked for. One that takes any size draws this shape at its native area or, where more is
    asked for, as large as asked (sides rounded up to its step), up to the largest area that it draws well. A
    model without a native grain (a step of one pixel) draws exactly what is asked for.
    """
    if "size" not in card.accepts:
        return min(card.native_sizes, key=lambda native: _nearness(native, size))
    if card.size_multiple == 1 and _fits(size, card):
        return size
    native = next((native for native in card.native_sizes if _same_shape(native, size)), None)
    if native is not None and _covers(native, size):
        return native
    return _shaped(size, card)


def enlargement(size: Size, drawn: Size) -> float:
    """How many times a drawn picture must be enlarged to cover the size asked for; 1 or less is none."""
    return max(size.width / drawn.width, size.height / drawn.height)


def _nearness(native: Size, size: Size) -> tuple[float, bool, int]:
    """Sorts native sizes: nearest in shape, then those that cover the size, then the smallest (else the largest)."""
    mismatch = round(abs(log(native.width / native.height) - log(size.width / size.height)), 6)
    covers = _covers(native, size)
    area = native.width * native.height
    return mismatch, not covers, area if covers else -area


def _shaped(size: Size, card: ModelCard) -> Size:
    """The size of this shape between the model's native area and its largest one."""
    native = card.native_sizes[0]
    asked_area, native_area = size.width * size.height, native.width * native.height
    area = min(max(asked_area, native_area), card.max_pixels)
    step, smallest = card.size_multiple, _round_up(card.min_side_px, card.size_multiple)
    scale = sqrt(area / asked_area)
    # Rounded up, so that the picture covers the size asked for; rounded down where that would be too much.
    for rounded in (_round_up, _round_down):
        width = max(rounded(size.width * scale, step), smallest)
        height = max(rounded(size.height * scale, step), smallest)
        if width * height <= card.max_pixels:
            return Size(width=width, height=height)
    # Too long for its area: the short side cannot be thinner, so the long one is shortened (and cropped less).
    longest = max(_round_down(card.max_pixels / smallest, step), smallest)
    if width >= height:
        return Size(width=min(width, longest), height=smallest)
    return Size(width=smallest, height=min(height, longest))


def _fits(size: Size, card: ModelCard) -> bool:
    return min(size.width, size.height) >= card.min_side_px and size.width * size.height <= card.max_pixels


def _covers(drawn: Size, size: Size) -> bool:
    return drawn.width >= size.width and drawn.height >= size.height


def _same_shape(first: Size, second: Size) -> bool:
    return first.width * second.height == second.width * first.height


def _round_up(side: float, step: int) -> int:
    # A side that is a multiple but for rounding stays as it is.
    return ceil(side / step - 1e-9) * step


def _round_down(side: float, step: int) -> int:
    return int(side / step + 1e-9) * step
