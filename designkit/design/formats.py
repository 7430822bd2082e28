"""Named sizes of deliverables in pixels, each with its source and the date on which it was checked.

Platforms change their sizes; a name here is a convenience, never a promise that an advertisement is accepted.
Sizes that are set in millimetres are given at 300 pixels an inch, without bleed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from designkit.errors import InputRefused, Problem
from designkit.values import Size

MIN_SIDE_PX = 8
MAX_SIDE_PX = 16_384
MAX_AREA_PX = 100_000_000

_CHECKED = "2026-11-21"
_IAB = "IAB New Ad Portfolio, fixed sizes"
_GOOGLE = "Google Ads, uploaded display ads"
_META = "Meta placements: 1:1, 4:5 and 9:16 at 1080 px across"
_RESPONSIVE = "Google responsive display ads: 1.91:1, at twice the smallest size accepted"
_PIN = "Pinterest pins: 2:3, 1000 px across"
_ISO_216 = "ISO 216 paper sizes, at 300 pixels an inch"
_ID_1 = "ISO/IEC 7810 ID-1 card, 85.60 x 53.98 mm, at 300 pixels an inch"
_OURS = "a shape that is often wanted; no standard"


@dataclass(frozen=True, kw_only=True)
class Format:
    """A named size, what it is for, and where the figure comes from."""

    name: str
    size: Size
    use: str
    source: str
    checked: str = _CHECKED


def _format(name: str, width: int, height: int, use: str, source: str) -> Format:
    return Format(name=name, size=Size(width=width, height=height), use=use, source=source)


_ALL = (
    _format("square", 1080, 1080, "feed post, 1:1", _META),
    _format("portrait", 1080, 1350, "feed post, 4:5", _META),
    _format("landscape", 1200, 628, "link and display image, 1.91:1", _RESPONSIVE),
    _format("story", 1080, 1920, "story, reel and short video cover, 9:16", _META),
    _format("wide", 1920, 1080, "screen and video frame, 16:9", _OURS),
    _format("pin", 1000, 1500, "pin, 2:3", _PIN),
    _format("iab/970x250", 970, 250, "billboard", _IAB),
    _format("iab/970x90", 970, 90, "super leaderboard", _IAB),
    _format("iab/728x90", 728, 90, "leaderboard", _IAB),
    _format("iab/300x1050", 300, 1050, "portrait", _IAB),
    _format("iab/300x250", 300, 250, "medium rectangle", _IAB),
    _format("iab/160x600", 160, 600, "skyscraper", _IAB),
    _format("iab/320x50", 320, 50, "smartphone banner", _IAB),
    _format("iab/300x50", 300, 50, "smartphone banner", _IAB),
    _format("iab/120x60", 120, 60, "button", _IAB),
    _format("iab/1080x1920", 1080, 1920, "interstitial", _IAB),
    _format("iab/750x1334", 750, 1334, "interstitial", _IAB),
    _format("iab/640x1136", 640, 1136, "interstitial", _IAB),
    _format("google/468x60", 468, 60, "banner", _GOOGLE),
    _format("google/336x280", 336, 280, "large rectangle", _GOOGLE),
    _format("google/300x600", 300, 600, "half page", _GOOGLE),
    _format("google/250x250", 250, 250, "square", _GOOGLE),
    _format("google/200x200", 200, 200, "small square", _GOOGLE),
    _format("google/120x600", 120, 600, "skyscraper", _GOOGLE),
    _format("packaging/label", 1200, 800, "front label, 3:2", _OURS),
    _format("packaging/wrap", 2400, 800, "label around a bottle or a can, 3:1", _OURS),
    _format("packaging/front", 1200, 1600, "front panel of a carton or a pouch, 3:4", _OURS),
    _format("packaging/pattern", 1024, 1024, "square for a surface pattern", _OURS),
    _format("branding/mark", 1024, 1024, "mark or icon", _OURS),
    _format("branding/card", 1011, 638, "card", _ID_1),
    _format("branding/cover", 1500, 500, "profile cover, 3:1", _OURS),
    _format("print/a4", 2480, 3508, "A4, upright", _ISO_216),
    _format("print/a5", 1748, 2480, "A5, upright", _ISO_216),
    _format("print/a6", 1240, 1748, "A6 postcard, upright", _ISO_216),
)

FORMATS: dict[str, Format] = {entry.name: entry for entry in _ALL}
"""Every named size by its name."""

_PIXELS = re.compile(r"(-?\d{1,9})\s*[x\N{MULTIPLICATION SIGN}]\s*(-?\d{1,9})", re.IGNORECASE)


def resolve_size(text: str) -> Size:
    """The size that a name (`square`, `iab/300x250`) or pixels (`1024x768`) stand for; raises InputRefused."""
    name, text = text.strip().lower(), text if len(text) <= 40 else text[:37] + "..."
    if name in FORMATS:
        return FORMATS[name].size
    pixels = _PIXELS.fullmatch(name)
    if pixels is None:
        raise InputRefused(Problem(code="unknown-size", message=f"{text!r} is not a size", fix=_advice(name)))
    width, height = int(pixels[1]), int(pixels[2])
    if not (MIN_SIDE_PX <= width <= MAX_SIDE_PX and MIN_SIDE_PX <= height <= MAX_SIDE_PX):
        message = f"{text!r} cannot be made: each side is {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels"
        fix = f"write {_clamped(width)}x{_clamped(height)}"
        raise InputRefused(Problem(code="size-out-of-range", message=message, fix=fix))
    if width * height > MAX_AREA_PX:
        message = f"{text!r} is {width * height / 1e6:.0f} megapixels; at most {MAX_AREA_PX // 10**6} can be made"
        shrink = (MAX_AREA_PX / (width * height)) ** 0.5
        fix = f"write {int(width * shrink)}x{int(height * shrink)}"
        raise InputRefused(Problem(code="size-out-of-range", message=message, fix=fix))
    return Size(width=width, height=height)


def _clamped(side: int) -> int:
    return min(max(side, MIN_SIDE_PX), MAX_SIDE_PX)


def _advice(name: str) -> str:
    """The nearest name, or how a size is written."""
    import difflib

    # The last part of a name alone (`a4`, `300x600`) is the commonest slip.
    ends = [known for known in FORMATS if name and known.partition("/")[2] == name]
    near = ends or difflib.get_close_matches(name, list(FORMATS), n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"write pixels (1024x768) or a name: {', '.join(list(FORMATS)[:8])}, ..."
