"""Instant placeholders: the prompt's colours as a palette, its words as type, its seed as the composition.

For layout proofs and for rehearsing a run: the same requests and files as with a real model, in milliseconds
and without torch. The same request always gives the same pixels.
"""

from __future__ import annotations

import colorsys
import hashlib
import math
import random
import re
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from designkit.generators.base import ModelCard
from designkit.generators.strength import parse_strength
from designkit.values import GeneratedImage, ImageRequest, Size

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]

COLOURS: dict[str, Colour] = {
    "red": (214, 48, 49), "crimson": (176, 24, 48), "scarlet": (226, 52, 40), "maroon": (110, 26, 40),
    "burgundy": (116, 22, 50), "coral": (255, 127, 97), "salmon": (250, 150, 125), "rose": (226, 92, 122),
    "pink": (246, 138, 174), "magenta": (206, 40, 140), "fuchsia": (218, 54, 160), "orange": (243, 136, 36),
    "tangerine": (247, 118, 30), "apricot": (250, 184, 128), "peach": (253, 195, 160), "amber": (250, 176, 30),
    "yellow": (250, 208, 52), "lemon": (250, 225, 84), "gold": (206, 164, 62), "golden": (214, 170, 64),
    "mustard": (205, 160, 40), "cream": (250, 240, 216), "ivory": (250, 246, 230), "beige": (230, 214, 186),
    "sand": (222, 200, 160), "tan": (206, 172, 128), "brown": (124, 80, 50), "chocolate": (88, 54, 36),
    "coffee": (96, 64, 44), "terracotta": (200, 98, 66), "rust": (172, 74, 38), "copper": (184, 110, 66),
    "bronze": (160, 112, 56), "olive": (124, 128, 54), "lime": (160, 208, 54), "green": (56, 150, 82),
    "sage": (158, 176, 140), "mint": (150, 220, 190), "emerald": (22, 140, 100), "forest": (34, 88, 58),
    "jade": (40, 150, 116), "teal": (22, 138, 140), "turquoise": (48, 190, 186), "aqua": (96, 208, 214),
    "cyan": (40, 190, 220), "sky": (126, 196, 240), "blue": (48, 106, 210), "azure": (40, 140, 230),
    "cobalt": (26, 72, 170), "navy": (26, 38, 84), "indigo": (66, 56, 150), "violet": (128, 82, 200),
    "purple": (118, 62, 172), "lavender": (192, 176, 230), "lilac": (200, 166, 222), "plum": (120, 50, 104),
    "white": (248, 248, 246), "silver": (196, 200, 206), "grey": (134, 138, 146), "gray": (134, 138, 146),
    "charcoal": (54, 58, 64), "black": (24, 24, 28),
}  # fmt: skip
"""Colour words that a prompt may use, and the tone that each is drawn in."""

MAX_KEY_WORDS = 4

_INK: Colour = (28, 28, 34)
_PAPER: Colour = (252, 251, 248)
_SMOOTHING = 2  # Shapes are drawn this many times larger and averaged down.
_SMOOTHED_PIXELS = 2_000_000  # Above this, edges are fine enough without.
_STOP_WORDS = frozenset(
    """a an and are as at background by for from in into is it its of on or over plain style the this to under
    with""".split()  # noqa: SIM905 - one word after another reads better than fifty strings
)
_SPELT = dict(zip("ßÆæØøŒœł’–×", ("ss", "AE", "ae", "O", "o", "OE", "oe", "l", "'", "-", "x"), strict=True))
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


class DraftGenerator:
    """Draws every request at once, at the size it is delivered in; see the module's description."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    @property
    def settings(self) -> dict[str, object]:
        """Nothing here changes the pixels; the keys are those of every generator."""
        return {"device": "cpu", "precision": "none", "batch_size": 1, "threads": 1}

    def generate(self, requests: Sequence[ImageRequest]) -> Iterator[GeneratedImage]:
        """Yield one placeholder a request, in order."""
        for request in requests:
            started = time.perf_counter()
            picture = draw_draft(parse_strength(request.prompt).plain, request.size, request.seed)
            yield GeneratedImage(request=request, picture=picture, seconds=time.perf_counter() - started)


def draw_draft(prompt: str, size: Size, seed: int) -> Image.Image:
    """An RGB placeholder of exactly `size`: palette from the colour words, composition from the seed."""
    chance = random.Random(hashlib.sha256(f"{seed}:{size}:{prompt}".encode()).digest())
    palette = _palette(prompt, chance)
    frame = _Frame.of(size)
    picture = _composition(size, frame, palette, chance)
    _write(picture, frame, prompt, seed, palette)
    return picture


def key_words(prompt: str) -> tuple[str, ...]:
    """The distinct words of a prompt that name things: no filler words and no colours, at most four."""
    words = (word for word in _WORD.findall(prompt) if word.lower() not in _STOP_WORDS | COLOURS.keys())
    distinct = {word.lower(): word for word in reversed(list(words))}
    return tuple(reversed(distinct.values()))[:MAX_KEY_WORDS]


@dataclass(frozen=True, kw_only=True)
class _Palette:
    ground: Colour
    shapes: tuple[Colour, Colour, Colour]
    ink: Colour


@dataclass(frozen=True, kw_only=True)
class _Field:
    """A canvas that already has the first colour, and what an arrangement needs to draw on it."""

    draw: ImageDraw.ImageDraw
    width: int
    height: int
    shapes: tuple[Colour, Colour, Colour]

    @property
    def short_side(self) -> int:
        return min(self.width, self.height)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """Where the shapes and the words go: side by side in wide pictures, one above the other in others."""

    shapes: Box
    words: Box

    @staticmethod
    def of(size: Size) -> _Frame:
        width, height = size.width, size.height
        margin = max(2.0, 0.07 * min(width, height))
        if width > 1.5 * height:
            split = width - min(height * 1.15, width * 0.48)
            return _Frame(shapes=(split, 0, width, height), words=(margin, margin, split - margin, height - margin))
        split = height * 0.56 if height < 1.5 * width else height * 0.6
        return _Frame(shapes=(0, 0, width, split), words=(margin, split + margin, width - margin, height - margin))


def _palette(prompt: str, chance: random.Random) -> _Palette:
    named = list(dict.fromkeys(COLOURS[word] for word in re.findall(r"[a-z]+", prompt.lower()) if word in COLOURS))
    if named:
        chance.shuffle(named)
    else:
        hue = chance.random()
        named = [_tone(hue, 0.55, 0.62), _tone(hue + chance.choice((0.08, 0.42, 0.5)), 0.7, 0.55)]
    first = named[0]
    hue, lightness, saturation = colorsys.rgb_to_hls(*(part / 255 for part in first))
    third = _tone(hue + chance.choice((-0.08, 0.08)), min(saturation, 0.6), 0.35 if lightness > 0.5 else 0.72)
    shapes = (first, named[1] if len(named) > 1 else _blend(first, _PAPER, 0.45), named[2] if len(named) > 2 else third)
    is_dark = chance.random() < 0.3
    ground = _blend(first, _INK, 0.72) if is_dark else _blend(first, _PAPER, 0.82)
    return _Palette(ground=ground, shapes=shapes, ink=_PAPER if is_dark else _INK)


def _tone(hue: float, saturation: float, lightness: float) -> Colour:
    red, green, blue = colorsys.hls_to_rgb(hue % 1.0, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def _blend(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def _composition(size: Size, frame: _Frame, palette: _Palette, chance: random.Random) -> Image.Image:
    """The picture without its words: ground, a coloured field, and one of a handful of arrangements on it."""
    scale = _SMOOTHING if size.width * size.height <= _SMOOTHED_PIXELS else 1
    left, top, right, bottom = (round(edge) for edge in frame.shapes)
    shapes = Image.new("RGB", (max(1, right - left) * scale, max(1, bottom - top) * scale), palette.shapes[0])
    field = _Field(draw=ImageDraw.Draw(shapes), width=shapes.width, height=shapes.height, shapes=palette.shapes)
    chance.choice(_ARRANGEMENTS)(field, chance)
    picture = Image.new("RGB", (size.width, size.height), palette.ground)
    picture.paste(shapes.reduce(scale) if scale > 1 else shapes, (left, top))
    return picture


def _sunburst(field: _Field, chance: random.Random) -> None:
    centre_x, centre_y = field.width / 2, field.height * chance.choice((0.5, 1.0))
    reach = math.hypot(field.width, field.height)
    num_rays = chance.choice((8, 10, 12))
    turn = chance.random() * math.tau
    for ray in range(num_rays):
        start, end = (turn + math.tau * (ray + half) / num_rays for half in (0, 0.5))
        corners = [(centre_x + reach * math.cos(angle), centre_y + reach * math.sin(angle)) for angle in (start, end)]
        field.draw.polygon([(centre_x, centre_y), *corners], fill=field.shapes[1])
    field.disc(centre_x, centre_y, field.short_side * 0.27, field.shapes[2])


def _arches(field: _Field, chance: random.Random) -> None:
    centre_x, foot = field.width * chance.choice((0.32, 0.5, 0.68)), field.height
    radius = field.short_side * 0.62
    for ring, colour in enumerate((field.shapes[1], field.shapes[2], field.shapes[0], field.shapes[1])):
        share = radius * (1 - 0.24 * ring)
        field.disc(centre_x, foot - radius * 0.25, share, colour)
        field.draw.rectangle((centre_x - share, foot - radius * 0.25, centre_x + share, foot), fill=colour)


def _orbits(field: _Field, chance: random.Random) -> None:
    unit = field.short_side
    x, y = field.width * chance.uniform(0.35, 0.65), field.height * chance.uniform(0.4, 0.6)
    field.disc(x, y, unit * 0.36, field.shapes[1])
    angle = chance.random() * math.tau
    field.disc(x + unit * 0.36 * math.cos(angle), y + unit * 0.36 * math.sin(angle), unit * 0.15, field.shapes[2])
    angle += math.pi * chance.uniform(0.7, 1.3)
    field.disc(x + unit * 0.46 * math.cos(angle), y + unit * 0.46 * math.sin(angle), unit * 0.07, _PAPER)


def _stripes(field: _Field, chance: random.Random) -> None:
    pitch = field.short_side / chance.choice((2.5, 3.5, 4.5))
    lean = field.height * chance.choice((-1, 1))
    for step in range(-2 - int(field.height / pitch), 2 + int((field.width + field.height) / pitch)):
        left = step * pitch
        band = [(left, 0), (left + pitch / 2, 0), (left + pitch / 2 + lean, field.height), (left + lean, field.height)]
        field.draw.polygon(band, fill=field.shapes[1])
    field.disc(field.width * chance.uniform(0.3, 0.7), field.height / 2, field.short_side * 0.3, field.shapes[2])


def _hills(field: _Field, chance: random.Random) -> None:
    field.disc(field.width * chance.uniform(0.2, 0.8), field.height * 0.34, field.short_side * 0.2, _PAPER)
    for colour, level in ((field.shapes[1], 0.55), (field.shapes[2], 0.72)):
        x, radius = field.width * chance.uniform(0.1, 0.9), max(field.width, field.height) * chance.uniform(0.55, 0.8)
        field.disc(x, field.height * level + radius, radius, colour)
        field.disc(x + field.width * chance.choice((-0.6, 0.6)), field.height * (level + 0.08) + radius, radius, colour)


def _tiles(field: _Field, chance: random.Random) -> None:
    side = math.ceil(field.short_side / chance.choice((2, 3)))
    for top in range(0, field.height, side):
        for left in range(0, field.width, side):
            colour = chance.choice((*field.shapes, field.shapes[1]))
            field.draw.rectangle((left, top, left + side, top + side), fill=colour)
            other = chance.choice([shape for shape in (*field.shapes, _PAPER) if shape != colour])
            # A quarter disc around one of the tile's corners: 0, 90, 180, 270 degrees sweep into the tile.
            x, y, start = chance.choice(((0, 0, 0), (side, 0, 90), (side, side, 180), (0, side, 270)))
            x, y = left + x, top + y
            field.draw.pieslice((x - side, y - side, x + side, y + side), start, start + 90, fill=other)


_Arrangement = Callable[[_Field, random.Random], None]
_ARRANGEMENTS: tuple[_Arrangement, ...] = (_sunburst, _arches, _orbits, _stripes, _hills, _tiles)


def _write(picture: Image.Image, frame: _Frame, prompt: str, seed: int, palette: _Palette) -> None:
    """Set the key words large, then the whole prompt and the facts small, as far as the place allows."""
    left, top, right, bottom = frame.words
    width, height = right - left, bottom - top
    draw = ImageDraw.Draw(picture)
    draw.fontmode = "L"
    small = max(8, round(min(picture.width, picture.height) * 0.036))
    shows_facts = height >= 4.5 * small and width >= 9 * small
    small_lines: list[str] = []
    if shows_facts:
        facts = f"{picture.width} x {picture.height}   seed {seed}   draft"
        small_lines = [*_wrap(_printable(prompt), _font(small), width, max_lines=2), facts]
    small_height = len(small_lines) * small * 1.3
    words = key_words(_printable(prompt)) or ("draft",)
    lines, large = _headline(words, width, height - small_height - (small if shows_facts else 0))
    for number, line in enumerate(lines):
        draw.text(
            (left, top + number * large * 1.1), line, fill=palette.ink, font=_font(large), anchor="la",
            stroke_width=large / 40, stroke_fill=palette.ink,
        )  # fmt: skip
    soft = _blend(palette.ink, palette.ground, 0.3)
    for number, line in enumerate(small_lines):
        draw.text((left, bottom - small_height + number * small * 1.3), line, fill=soft, font=_font(small), anchor="la")


def _printable(text: str) -> str:
    """The text as far as the built-in typeface can set it: other letters lose their accents, or drop out."""
    plain = unicodedata.normalize("NFKD", "".join(_SPELT.get(letter, letter) for letter in text))
    return " ".join("".join(letter for letter in plain if " " <= letter <= "~" or letter.isspace()).split())


def _headline(words: Sequence[str], width: float, height: float) -> tuple[list[str], int]:
    """The words broken over lines, and the largest type in which these fit (dropping last words if they must)."""
    for count in range(len(words), 0, -1):
        best = max((_fit(lines, width, height), lines) for lines in _breakings(words[:count]))
        if best[0] >= 11 or count == 1:
            return best[1], max(6, best[0])
    return [], 6


def _breakings(words: Sequence[str]) -> list[list[str]]:
    """Every way of setting the words in order on one line or more."""
    ways: list[list[str]] = []
    for breaks in range(2 ** (len(words) - 1)):
        lines = [words[0]]
        for place, word in enumerate(words[1:]):
            if breaks >> place & 1:
                lines.append(word)
            else:
                lines[-1] += f" {word}"
        ways.append(lines)
    return ways


def _fit(lines: Sequence[str], width: float, height: float) -> int:
    """The largest type size in pixels at which the lines fit, as if the width grew evenly with it."""
    widest = max(_font(100).getlength(line) for line in lines) + 5
    return int(min(width / widest * 100, height / (len(lines) * 1.1), 160))


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: float, *, max_lines: int) -> list[str]:
    lines: list[str] = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > max_lines:
        lines = [*lines[: max_lines - 1], f"{lines[max_lines - 1]} …"]
    return [_shorten(line, font, width) for line in lines]


def _shorten(line: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    while font.getlength(line) > width and len(line) > 2:
        line = f"{line.rstrip('… ')[:-1].rstrip()} …"
    return line


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font
