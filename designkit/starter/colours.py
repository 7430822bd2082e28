"""The colours that the starter knows by name, and the name of any other colour."""

from __future__ import annotations

Colour = tuple[int, int, int]

# sRGB, far enough apart that a picture's colour can be named back.
COLOURS: dict[str, Colour] = {
    "red": (222, 44, 48), "orange": (248, 136, 34), "yellow": (252, 212, 56), "green": (66, 166, 74),
    "teal": (24, 150, 150), "blue": (44, 110, 222), "navy": (26, 40, 92), "purple": (132, 70, 184),
    "pink": (246, 142, 184), "brown": (128, 82, 50), "cream": (248, 234, 204), "white": (252, 252, 252),
    "gray": (148, 152, 158), "black": (26, 26, 30),
}  # fmt: skip


def nearest_colour(colour: Colour) -> str:
    """The name of the known colour that looks most like `colour` (sRGB, 0..255): least distance in Oklab."""
    wanted = oklab(colour)
    return min(COLOURS, key=lambda name: sum((a - b) ** 2 for a, b in zip(wanted, oklab(COLOURS[name]), strict=True)))


def oklab(colour: Colour) -> tuple[float, float, float]:
    """Lightness (0..1), green-red and blue-yellow of an sRGB colour: Ottosson's Oklab (2020)."""
    red, green, blue = (_linear(channel / 255) for channel in colour)
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    medium = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
