"""Colours as text, their difference as people see it, and what people call them.

Colours are `#RRGGBB` in sRGB everywhere; other notations are read once, at the edge. Neither torch nor numpy: a plan
needs these for a handful of colours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from math import atan2, cos, degrees, exp, hypot, radians, sin, sqrt

Rgb = tuple[int, int, int]
Lab = tuple[float, float, float]

_HEX = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)

# What people say to a colour: the xkcd colour survey (2010, CC0), the names that are common in captions. sRGB.
COLOUR_NAMES: Mapping[str, str] = {
    "amber": "#FEB308", "apricot": "#FFB16D", "aqua": "#13EAC9", "aquamarine": "#04D8B2", "azure": "#069AF3",
    "baby blue": "#A2CFFE", "beige": "#E6DAA6", "black": "#000000", "blue": "#0343DF", "blue grey": "#607C8E",
    "brick red": "#8F1402", "bright blue": "#0165FC", "bright green": "#01FF07", "bright red": "#FF000D",
    "brown": "#653700", "burgundy": "#610023", "burnt orange": "#C04E01", "burnt sienna": "#B04E0F",
    "canary yellow": "#FFFE40", "caramel": "#AF6F09", "cerise": "#DE0C62", "chartreuse": "#C1F80A",
    "charcoal": "#343837", "dark blue grey": "#1F3B4D", "dark slate blue": "#214761",
    "chocolate brown": "#411900", "cobalt blue": "#030AA7", "copper": "#B66325",
    "coral": "#FC5A50", "cornflower blue": "#5170D7", "cream": "#FFFFC2", "crimson": "#8C000F",
    "cyan": "#00FFFF", "dark blue": "#00035B", "dark brown": "#341C02", "dark green": "#033500",
    "dark grey": "#363737", "dark pink": "#CB416B", "dark purple": "#35063E", "dark red": "#840000",
    "dark teal": "#014D4E", "deep blue": "#040273", "deep green": "#02590F", "deep pink": "#CB0162",
    "deep purple": "#36013F", "deep red": "#9A0200", "deep teal": "#00555A", "dusty pink": "#D58A94",
    "dusty rose": "#C0737A", "eggplant": "#380835", "eggshell": "#FFFFD4", "emerald green": "#028F1E",
    "forest green": "#06470C", "fuchsia": "#ED0DD9", "gold": "#DBB40C", "golden yellow": "#FEC615",
    "grass green": "#3F9B0B", "green": "#15B01A", "grey": "#929591", "hot pink": "#FF028D", "ice blue": "#D7FFFE",
    "indigo": "#380282", "ivory": "#FFFFCB", "khaki": "#AAA662", "lavender": "#C79FEF", "lemon yellow": "#FDFF38",
    "light blue": "#95D0FC", "light brown": "#AD8150", "light green": "#96F97B", "light grey": "#D8DCD6",
    "light pink": "#FFD1DF", "light purple": "#BF77F6", "lilac": "#CEA2FD", "lime green": "#89FE05",
    "magenta": "#C20078", "mahogany": "#4A0100", "maroon": "#650021", "mauve": "#AE7181", "midnight blue": "#020035",
    "mint green": "#8FFF9F", "moss green": "#658B38", "mustard": "#CEB301", "navy blue": "#001146",
    "ochre": "#BF9005", "off white": "#FFFFE4", "olive": "#6E750E", "olive green": "#677A04", "orange": "#F97306",
    "orange red": "#FD411E", "orchid": "#C875C4", "pale blue": "#D0FEFE", "pale green": "#C7FDB5",
    "pale pink": "#FFCFDC", "pale yellow": "#FFFF84", "peach": "#FFB07C", "periwinkle": "#8E82FE",
    "pine green": "#0A481E", "pink": "#FF81C0", "plum": "#580F41", "powder blue": "#B1D1FC", "purple": "#7E1E9C",
    "raspberry": "#B00149", "red": "#E50000", "rose": "#CF6275", "royal blue": "#0504AA", "royal purple": "#4B006E",
    "rust": "#A83C09", "sage green": "#88B378", "salmon": "#FF796C", "sand": "#E2CA76", "scarlet": "#BE0119",
    "silver": "#C5C9C7", "sky blue": "#75BBFD", "slate blue": "#5B7C99", "slate grey": "#59656D",
    "steel blue": "#5A7D9A", "tan": "#D1B26F", "tangerine": "#FF9408", "taupe": "#B9A281", "teal": "#029386",
    "terracotta": "#CA6641", "tomato red": "#EC2D01", "turquoise": "#06C2AC", "ultramarine": "#2000B1",
    "vermillion": "#F4320C", "violet": "#9A0EEA", "wheat": "#FBDD7E", "white": "#FFFFFF", "wine red": "#7B0323",
    "yellow": "#FFFF14",
}  # fmt: skip

# A plain name that is hardly farther than the nearest one is better known to any model.
_PLAIN = ("blue", "brown", "green", "orange", "pink", "purple", "red", "teal", "yellow")
_PLAIN_BONUS = 2.0  # CIEDE2000


def read_colour(text: str) -> str | None:
    """`#RRGGBB` of a colour written as `#abc`, `#aabbcc` or in any way of CSS (`teal`, `oklch(60% 0.1 200)`).

    None for what is no colour, and for one that is transparent. A colour outside sRGB becomes the nearest inside.
    """
    text = text.strip()
    if _HEX.fullmatch(text):
        digits = text[1:].upper()
        return "#" + ("".join(digit * 2 for digit in digits) if len(digits) == 3 else digits)
    if not text or len(text) > 200:
        return None
    from coloraide import Color

    try:
        colour = Color(text)
    except (ValueError, TypeError):
        return None
    if colour.alpha(nans=False) < 1:
        return None
    return colour.convert("srgb").fit().to_string(hex=True).upper()


def to_rgb(colour: str) -> Rgb:
    """Red, green and blue (0 to 255) of `#RRGGBB`."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def to_hex(rgb: tuple[float, float, float]) -> str:
    """`#RRGGBB` of red, green and blue (0 to 1, cut off outside)."""
    return "#" + "".join(f"{round(min(max(channel, 0.0), 1.0) * 255):02X}" for channel in rgb)


@cache
def to_lab(colour: str) -> Lab:
    """CIE L*a*b* of `#RRGGBB` under D65, the white of sRGB (IEC 61966-2-1, CIE 15)."""
    red, green, blue = (_linear(channel / 255) for channel in to_rgb(colour))
    x = (0.4123907993 * red + 0.3575843394 * green + 0.1804807884 * blue) / 0.9504559271
    y = 0.2126390059 * red + 0.7151686788 * green + 0.0721923154 * blue
    z = (0.0193308187 * red + 0.1191947798 * green + 0.9505321522 * blue) / 1.0890577508
    fx, fy, fz = (_root(value) for value in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def colour_difference(first: str, second: str) -> float:
    """CIEDE2000 between two `#RRGGBB`: about 1 is just seen side by side, above 10 are two colours."""
    return ciede2000(to_lab(first), to_lab(second))


def ciede2000(first: Lab, second: Lab) -> float:
    """The CIEDE2000 difference of two L*a*b* colours, all weights 1.

    Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula" (2005), equations 2 to 22, with their names.
    """
    l1, a1, b1 = first
    l2, a2, b2 = second
    mean_c = (hypot(a1, b1) + hypot(a2, b2)) / 2
    g = 0.5 * (1 - sqrt(mean_c**7 / (mean_c**7 + 25.0**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = hypot(a1, b1), hypot(a2, b2)
    h1, h2 = degrees(atan2(b1, a1)) % 360, degrees(atan2(b2, a2)) % 360
    has_hue = c1 * c2 != 0
    dh = (h2 - h1 + 180) % 360 - 180 if has_hue else 0.0
    if has_hue and h2 - h1 == 180:
        dh = 180.0
    delta_l, delta_c, delta_h = l2 - l1, c2 - c1, 2 * sqrt(c1 * c2) * sin(radians(dh / 2))
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    if not has_hue:
        mean_h = h1 + h2
    elif abs(h1 - h2) <= 180:
        mean_h = (h1 + h2) / 2
    else:
        mean_h = (h1 + h2 + (360 if h1 + h2 < 360 else -360)) / 2
    t = (
        1
        - 0.17 * cos(radians(mean_h - 30))
        + 0.24 * cos(radians(2 * mean_h))
        + 0.32 * cos(radians(3 * mean_h + 6))
        - 0.20 * cos(radians(4 * mean_h - 63))
    )
    s_l = 1 + 0.015 * (mean_l - 50) ** 2 / sqrt(20 + (mean_l - 50) ** 2)
    s_c = 1 + 0.045 * mean_c
    s_h = 1 + 0.015 * mean_c * t
    r_c = 2 * sqrt(mean_c**7 / (mean_c**7 + 25.0**7))
    r_t = -sin(radians(60 * exp(-(((mean_h - 275) / 25) ** 2)))) * r_c
    l_term, c_term, h_term = delta_l / s_l, delta_c / s_c, delta_h / s_h
    return sqrt(max(l_term**2 + c_term**2 + h_term**2 + r_t * c_term * h_term, 0.0))


def name_colour(colour: str) -> str:
    """What people call `#RRGGBB`: the nearest name, or a plainer one that is hardly farther."""
    distances = {name: colour_difference(colour, known) for name, known in COLOUR_NAMES.items()}
    for name in _PLAIN:
        distances[name] -= _PLAIN_BONUS
    return min(distances, key=distances.__getitem__)


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _root(value: float) -> float:
    return value ** (1 / 3) if value > 216 / 24389 else (24389 / 27 * value + 16) / 116
