"""Text on contact sheets: in the typeface built into Pillow, wrapped and shortened to the width that there is."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

_SPELT = str.maketrans({"×": "x", "–": "-", "—": "-", "€": "EUR", "£": "GBP", "ß": "ss", "Æ": "AE", "æ": "ae", "Ø": "O",
    "ø": "o", "Œ": "OE", "œ": "oe", "Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "ı": "i"})  # fmt: skip

_MAX_LETTERS = 300  # No caption has room for more.


def wrap(text: str, face: ImageFont.FreeTypeFont, width: float, *, max_lines: int) -> list[str]:
    """The text over at most `max_lines` lines of `width` pixels; what does not fit ends in an ellipsis."""
    lines = [""]
    for word in legible(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or face.getlength(longer) <= width:
            lines[-1] = longer
        elif len(lines) < max_lines:
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return [shorten(line, face, width) for line in lines]


def shorten(text: str, face: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, cut to so many pixels and ended with an ellipsis where it is longer."""
    if face.getlength(text) <= width:
        return text
    shortened = [text[:length].rstrip(" ·") + "…" for length in range(1, len(text))]
    num_fitting = bisect_right(shortened, width, key=face.getlength)
    return shortened[max(0, num_fitting - 1)]


def legible(text: str) -> str:
    """The text with each character that the built-in typeface lacks as a plainer one, or as a question mark."""
    text = unicodedata.normalize("NFC", text[:_MAX_LETTERS].translate(_SPELT))
    return "".join(letter if letter.isspace() or _can_set(letter) else _plainer(letter) for letter in text)


def _plainer(letter: str) -> str:
    base = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    return base if base and all(_can_set(part) for part in base) else "?"


@lru_cache(maxsize=1024)
def _can_set(letter: str) -> bool:
    # A missing character is drawn as the typeface's own box, as this private one is.
    return _drawn(letter) != _drawn("\ue000")


def _drawn(letter: str) -> bytes:
    picture = Image.new("L", (48, 48))
    ImageDraw.Draw(picture).text((4, 4), letter, fill=255, font=font(24))
    return picture.tobytes()


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont:
    """The typeface at a size in pixels."""
    face = ImageFont.load_default(size)
    assert isinstance(face, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return face
