"""Learning curves as one picture, drawn with Pillow alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

Curve = Sequence[tuple[int, float]]

_PANEL_WIDTH, _PANEL_HEIGHT, _COLUMNS = 460, 250, 3
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 16, 34, 30
_PAPER, _INK, _GRID = (252, 251, 248), (40, 40, 46), (226, 224, 216)
_RAW, _SMOOTH = (168, 198, 214), (24, 96, 140)
_MAX_POINTS = 1500
_MAX_PANELS = 24


def draw_curves(curves: Mapping[str, Curve]) -> Image.Image:
    """One panel a curve, in their order: every value in pale, its smoothed course in dark, over the steps.

    A curve is (step, value) in the order of time; values that are no numbers leave gaps. Where all values are
    positive and nine tenths of them span more than two decades the axis is logarithmic.
    """
    shown = {name: curve for name, curve in curves.items() if curve}
    names = list(shown)[:_MAX_PANELS]
    columns = min(_COLUMNS, max(1, len(names)))
    rows = max(1, -(-len(names) // columns))
    sheet = Image.new("RGB", (columns * _PANEL_WIDTH, rows * _PANEL_HEIGHT), _PAPER)
    for number, name in enumerate(names):
        row, column = divmod(number, columns)
        sheet.paste(_panel(name, _thin(shown[name])), (column * _PANEL_WIDTH, row * _PANEL_HEIGHT))
    return sheet


def smooth(values: Sequence[float], *, span: int) -> list[float]:
    """Exponential mean over about `span` values, unbiased at its start; gaps are passed over."""
    share = 2 / (span + 1)
    mean = weight = 0.0
    result: list[float] = []
    for value in values:
        if math.isfinite(value):
            mean, weight = mean + share * (value - mean), weight + share * (1 - weight)
        result.append(mean / weight if weight else math.nan)
    return result


def ticks(low: float, high: float, *, most: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) between two bounds, at most so many."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(step * factor for factor in (1, 2, 5, 10, 20) if (high - low) / (step * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _thin(curve: Curve) -> list[tuple[int, float]]:
    """At most `_MAX_POINTS` points: means over equal stretches."""
    length = -(-len(curve) // _MAX_POINTS)
    parts = [curve[start : start + length] for start in range(0, len(curve), length)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]


def _panel(name: str, curve: list[tuple[int, float]]) -> Image.Image:
    scale = 2  # Drawn larger and averaged down, for smooth lines.
    panel = Image.new("RGB", (_PANEL_WIDTH * scale, _PANEL_HEIGHT * scale), _PAPER)
    draw = ImageDraw.Draw(panel)

    def text(x: float, y: float, words: str, anchor: str, size: int = 12) -> None:
        draw.text((x * scale, y * scale), words, fill=_INK, anchor=anchor, font_size=size * scale)

    finite = sorted(value for _, value in curve if math.isfinite(value))
    text(_LEFT, _TOP / 2, name, "lm", 14)
    if not finite:
        text(_PANEL_WIDTH / 2, _PANEL_HEIGHT / 2, "no finite value", "mm")
        return panel.reduce(scale)
    is_logarithmic = finite[0] > 0 and finite[int(0.95 * len(finite))] > 100 * finite[int(0.05 * len(finite))]
    steps = [step for step, _ in curve]
    values = [value for _, value in curve]
    span = max(1, len(values) // 40)
    course = smooth(smooth(values, span=span)[::-1], span=span)[::-1]  # there and back, so that it does not lag

    def height(value: float) -> float:
        return math.log10(value) if is_logarithmic else value

    low, high = height(finite[0]), height(finite[-1])
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    low, high = low - margin, high + margin
    first, last = min(steps), max(max(steps), min(steps) + 1)

    def place(step: int, value: float) -> tuple[float, float]:
        x = _LEFT + (step - first) / (last - first) * (_PANEL_WIDTH - _LEFT - _RIGHT)
        y = _PANEL_HEIGHT - _BOTTOM - (height(value) - low) / (high - low) * (_PANEL_HEIGHT - _TOP - _BOTTOM)
        return x * scale, y * scale

    for tick in ticks(low, high):
        value = 10**tick if is_logarithmic else tick
        x, y = place(first, value)
        draw.line((x, y, (_PANEL_WIDTH - _RIGHT) * scale, y), fill=_GRID, width=scale)
        text(_LEFT - 6, y / scale, f"{value:.3g}", "rm", 11)
    for tick in ticks(first, last):
        x, _ = place(round(tick), finite[0])
        text(x / scale, _PANEL_HEIGHT - _BOTTOM + 14, f"{tick:,.0f}", "mm", 11)
    for line, colour, width in ((values, _RAW, scale), (course, _SMOOTH, 2 * scale)):
        stretch: list[tuple[float, float]] = []
        for step, value in [*zip(steps, line, strict=True), (last, math.nan)]:
            if math.isfinite(value) and (value > 0 or not is_logarithmic):
                stretch.append(place(step, value))
                continue
            if len(stretch) == 1:
                x, y = stretch[0]
                draw.ellipse((x - width, y - width, x + width, y + width), fill=colour)
            elif stretch:
                draw.line(stretch, fill=colour, width=width, joint="curve")
            stretch = []
    return panel.reduce(scale)
