"""Draw a scene as a picture: the data that the starter model learned from.

Shapes are drawn at twice the size and reduced, so that edges are smooth; glyphs are resized from the
sprite sheet. The same scene, size and glyph set give the same pixels.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from designkit.starter.colours import COLOURS
from designkit.starter.glyphs import sprites
from designkit.starter.scenes import Scene
from designkit.values import Size

Colour = tuple[int, int, int]
_SMOOTH = 2  # shapes are drawn at this multiple of the final size


def render(scene: Scene, size: Size, *, glyph_set: str = "fluent") -> Image.Image:
    """Draw `scene` at `size` pixels. Returns RGB. Raises KeyError for a name that the scene grammar lacks."""
    rng = random.Random(scene.jitter)
    canvas = _background(scene, size, rng).convert("RGBA")
    for shown, box in zip(_shown(scene), _boxes(scene, size, rng), strict=True):
        if scene.product:
            _paste_product(canvas, shown, box, rng, glyph_set)
        else:
            _paste_subject(canvas, shown, box, rng, glyph_set)
    return canvas.convert("RGB")


def _shown(scene: Scene) -> list[Scene]:
    """The scene once for each box, the last one with the other subject where there is one."""
    if scene.other is None:
        return [scene] * scene.count
    return [scene, replace(scene, subject=scene.other, colour=scene.other_colour)]


def centres(scene: Scene, size: Size) -> list[tuple[float, float]]:
    """Where the middle of each subject lies, in pixels from the top left (an `other` subject's last): the truth."""
    rng = random.Random(scene.jitter)
    _background(scene, size, rng)
    middles: list[tuple[float, float]] = []
    for left, top, side in _boxes(scene, size, rng):
        offset = _LABEL_DROP[scene.product] * side if scene.product else 0.0
        middles.append((left + side / 2, top + side / 2 + offset))
    return middles


def _tinted(name: str, rng: random.Random, amount: int = 7) -> Colour:
    red, green, blue = (max(0, min(255, channel + rng.randint(-amount, amount))) for channel in COLOURS[name])
    return red, green, blue


def _background(scene: Scene, size: Size, rng: random.Random) -> Image.Image:
    first = _tinted(scene.first, rng)
    second = _tinted(scene.second, rng) if scene.second else first
    width, height = size.width * _SMOOTH, size.height * _SMOOTH
    phase = rng.random()
    if scene.background == "plain":
        return Image.new("RGB", (size.width, size.height), first)
    if scene.background == "gradient":
        return _gradient(size, first, second, angle=rng.choice((0, 90, 45, 135)))
    picture = Image.new("RGB", (width, height), first)
    draw = ImageDraw.Draw(picture)
    short = min(width, height)
    if scene.background == "striped":
        step = short / rng.choice((4, 5, 6))
        slant = rng.choice((0, 1)) * height
        position = -height - phase * 2 * step
        while position < width + height:
            draw.polygon(
                [(position, 0), (position + step, 0), (position + step + slant, height), (position + slant, height)],
                fill=second,
            )
            position += 2 * step
    elif scene.background == "dotted":
        step = short / rng.choice((4, 5, 6))
        radius = step * 0.24
        rows = int(height / step) + 2
        for row in range(rows):
            for column in range(int(width / step) + 2):
                x = (column + 0.5 * (row % 2)) * step
                y = (row + 0.5) * step - phase * step * 0.5
                draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=second)
    else:
        rays, reach = rng.choice((8, 10, 12)), width + height
        for ray in range(rays):
            start = (ray + phase) * 2 * math.pi / rays
            stop = start + math.pi / rays
            middle = (width / 2, height / 2)
            points = [middle]
            points += [(middle[0] + reach * math.cos(a), middle[1] + reach * math.sin(a)) for a in (start, stop)]
            draw.polygon(points, fill=second)
    return picture.reduce(_SMOOTH)


def _gradient(size: Size, first: Colour, second: Colour, *, angle: int) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 1, size.width), np.linspace(0, 1, size.height))
    radians = math.radians(angle)
    along = x * math.cos(radians) + y * math.sin(radians)
    along = (along - along.min()) / (along.max() - along.min())
    mix = np.asarray(first) + along[..., None] * (np.asarray(second, dtype=float) - np.asarray(first))
    return Image.fromarray(mix.round().astype(np.uint8), "RGB")


def _boxes(scene: Scene, size: Size, rng: random.Random) -> list[tuple[float, float, float]]:
    """Left, top and side of the square that each subject (or product) fills."""
    short = min(size.width, size.height)
    count = len(_shown(scene))
    if count > 1:
        along_width = size.width >= size.height
        length = max(size.width, size.height)
        side = min(length * 0.92 / count, short * 0.62) * rng.uniform(0.88, 0.98)
        cell = min(length / count, side * 1.25)
        start = (length - cell * count) / 2
        across = (short - side) / 2 + rng.uniform(-0.03, 0.03) * short
        offsets = [start + cell * (index + 0.5) - side / 2 for index in range(count)]
        return [(offset, across, side) if along_width else (across, offset, side) for offset in offsets]
    large = 0.66 if scene.position == "center" else 0.5
    if scene.product:
        large *= 1.2
    side = short * large * rng.uniform(0.9, 1.06)
    x = (size.width - side) / 2 + rng.uniform(-0.03, 0.03) * short
    y = (size.height - side) / 2 + rng.uniform(-0.03, 0.03) * short
    edge = short * rng.uniform(0.03, 0.07)
    x = {"left": edge, "right": size.width - side - edge}.get(scene.position, x)
    y = {"top": edge, "bottom": size.height - side - edge}.get(scene.position, y)
    return [(x, y, side)]


def _paste_subject(
    canvas: Image.Image, scene: Scene, box: tuple[float, float, float], rng: random.Random, glyph_set: str
) -> None:
    left, top, side = box
    if scene.badge:
        _ellipse(canvas, (left, top, left + side, top + side), _tinted(scene.badge, rng))
        left, top, side = left + side * 0.17, top + side * 0.17, side * 0.66
    side_px = max(8, round(side))
    glyph = _glyph(scene.subject, side_px, glyph_set)
    if scene.colour:
        tint = _tinted(scene.colour, rng)
        glyph = _filled(glyph, tint) if scene.style == "silhouette" else _recoloured(glyph, tint)
    x, y = round(left), round(top)
    shift = max(1, round(side * 0.035))
    if scene.style == "sticker":
        glyph, shadow = _with_outline(glyph, max(2, round(side * 0.045)))
        _paste(canvas, _filled(shadow, (0, 0, 0), opacity=0.22), x - (glyph.width - side_px) // 2 + shift // 2,
               y - (glyph.height - side_px) // 2 + shift)  # fmt: skip
        x, y = x - (glyph.width - side_px) // 2, y - (glyph.height - side_px) // 2
    elif scene.style == "paper cut":
        _paste(canvas, _filled(glyph, (0, 0, 0), opacity=0.45), x + round(1.8 * shift), y + round(1.8 * shift))
    _paste(canvas, glyph, x, y)


# How far below the middle of its box each product's label sits, in box sides.
_LABEL_DROP = {"bottle": 0.17, "can": 0.0, "box": 0.04, "pouch": 0.06, "cup": 0.06, None: 0.0}


def _paste_product(
    canvas: Image.Image, scene: Scene, box: tuple[float, float, float], rng: random.Random, glyph_set: str
) -> None:
    assert scene.product
    assert scene.product_colour
    left, top, side = box
    body = _tinted(scene.product_colour, rng)
    layer = Image.new("RGBA", (round(side) * _SMOOTH, round(side) * _SMOOTH))
    _PRODUCT_SHAPES[scene.product](ImageDraw.Draw(layer), float(layer.width), body)
    layer = layer.reduce(_SMOOTH)
    _paste(canvas, layer, round(left), round(top))
    mark_px = max(8, round(side * 0.4))
    glyph = _glyph(scene.subject, mark_px, glyph_set)
    if scene.colour:
        glyph = _recoloured(glyph, _tinted(scene.colour, rng))
    middle = top + side / 2 + _LABEL_DROP[scene.product] * side
    _paste(canvas, glyph, round(left + side / 2 - mark_px / 2), round(middle - mark_px / 2))


def _darker(colour: Colour, factor: float = 0.78) -> Colour:
    red, green, blue = (round(channel * factor) for channel in colour)
    return red, green, blue


_LABEL: Colour = (250, 248, 242)


def _bottle(draw: ImageDraw.ImageDraw, s: float, body: Colour) -> None:
    draw.rectangle([0.41 * s, 0.0, 0.59 * s, 0.1 * s], fill=_darker(body, 0.6))
    draw.rectangle([0.43 * s, 0.08 * s, 0.57 * s, 0.32 * s], fill=body)
    draw.rounded_rectangle([0.27 * s, 0.24 * s, 0.73 * s, s - 1], radius=0.11 * s, fill=body)
    draw.rectangle([0.27 * s, 0.44 * s, 0.73 * s, 0.9 * s], fill=_LABEL)


def _can(draw: ImageDraw.ImageDraw, s: float, body: Colour) -> None:
    draw.rounded_rectangle([0.27 * s, 0.03 * s, 0.73 * s, 0.97 * s], radius=0.06 * s, fill=(205, 210, 216))
    draw.rounded_rectangle([0.22 * s, 0.1 * s, 0.78 * s, 0.9 * s], radius=0.05 * s, fill=body)
    draw.ellipse([0.26 * s, 0.26 * s, 0.74 * s, 0.74 * s], fill=_LABEL)


def _box(draw: ImageDraw.ImageDraw, s: float, body: Colour) -> None:
    front_left, front_right, back_right, top, fold, base = 0.14 * s, 0.86 * s, 0.97 * s, 0.03 * s, 0.13 * s, 0.97 * s
    lid = [(front_left, fold), (front_left + 0.11 * s, top), (back_right, top), (front_right, fold)]
    flank = [(front_right, fold), (back_right, top), (back_right, base - 0.1 * s), (front_right, base)]
    draw.polygon(lid, fill=_darker(body, 0.9))
    draw.polygon(flank, fill=_darker(body, 0.7))
    draw.rectangle([front_left, fold, front_right, base], fill=body)
    draw.rectangle([0.25 * s, 0.29 * s, 0.75 * s, 0.79 * s], fill=_LABEL)


def _pouch(draw: ImageDraw.ImageDraw, s: float, body: Colour) -> None:
    draw.polygon([(0.24 * s, 0.08 * s), (0.76 * s, 0.08 * s), (0.84 * s, 0.97 * s), (0.16 * s, 0.97 * s)], fill=body)
    draw.rectangle([0.23 * s, 0.03 * s, 0.77 * s, 0.14 * s], fill=_darker(body))
    draw.ellipse([0.25 * s, 0.31 * s, 0.75 * s, 0.81 * s], fill=_LABEL)


def _cup(draw: ImageDraw.ImageDraw, s: float, body: Colour) -> None:
    draw.rounded_rectangle([0.17 * s, 0.05 * s, 0.83 * s, 0.17 * s], radius=0.04 * s, fill=_darker(body, 0.6))
    draw.polygon([(0.21 * s, 0.16 * s), (0.79 * s, 0.16 * s), (0.7 * s, 0.97 * s), (0.3 * s, 0.97 * s)], fill=body)
    draw.ellipse([0.27 * s, 0.33 * s, 0.73 * s, 0.79 * s], fill=_LABEL)


_PRODUCT_SHAPES = {"bottle": _bottle, "can": _can, "box": _box, "pouch": _pouch, "cup": _cup}


@lru_cache(maxsize=4096)
def _glyph(subject: str, side_px: int, glyph_set: str) -> Image.Image:
    return sprites(glyph_set)[subject].resize((side_px, side_px), Image.Resampling.LANCZOS)


def _paste(canvas: Image.Image, layer: Image.Image, x: int, y: int) -> None:
    canvas.paste(layer, (x, y), layer)


def _filled(glyph: Image.Image, colour: Colour, *, opacity: float = 1.0) -> Image.Image:
    alpha = glyph.getchannel("A")
    if opacity < 1:
        alpha = alpha.point([round(value * opacity) for value in range(256)])
    flat = Image.new("RGBA", glyph.size, colour)
    flat.putalpha(alpha)
    return flat


def _recoloured(glyph: Image.Image, colour: Colour) -> Image.Image:
    """Keep the drawing's light and shade, replace its hues: dark parts go darker, light parts paler."""
    pixels = np.asarray(glyph).astype(np.float32)
    light = pixels[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    painted = pixels[..., 3] > 128
    middle = np.median(light[painted]) if painted.any() else 128.0
    offset = np.clip((light - middle) / 150.0, -0.75, 0.75)[..., None]
    base = np.asarray(colour, np.float32)
    shaded = np.where(offset < 0, base * (1 + offset), base + (255 - base) * offset)
    out = np.concatenate([shaded, pixels[..., 3:]], axis=-1)
    return Image.fromarray(out.round().clip(0, 255).astype(np.uint8), "RGBA")


def _with_outline(glyph: Image.Image, width_px: int) -> tuple[Image.Image, Image.Image]:
    """The glyph on a white die-cut border, and that border alone (for its shadow)."""
    padded = Image.new("RGBA", (glyph.width + 2 * width_px, glyph.height + 2 * width_px))
    padded.paste(glyph, (width_px, width_px))
    alpha = padded.getchannel("A").filter(ImageFilter.MaxFilter(2 * width_px + 1))
    alpha = ImageChops.lighter(alpha.filter(ImageFilter.GaussianBlur(0.8)), padded.getchannel("A"))
    border = Image.new("RGBA", padded.size, (255, 255, 255, 0))
    border.putalpha(alpha)
    return Image.alpha_composite(border, padded), border


def _ellipse(canvas: Image.Image, box: tuple[float, float, float, float], colour: Colour) -> None:
    left, top, right, _ = box
    side = max(2, round(right - left) * _SMOOTH)
    disc = Image.new("L", (side, side))
    ImageDraw.Draw(disc).ellipse([0, 0, side - 1, side - 1], fill=255)
    disc = disc.reduce(_SMOOTH)
    canvas.paste(Image.new("RGBA", disc.size, (*colour, 255)), (round(left), round(top)), disc)
