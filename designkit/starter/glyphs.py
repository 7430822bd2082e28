"""The sprites of the subjects, cut from the sheets that ship with the package.

Two sets draw the same subjects: `fluent` (flat Fluent Emoji, MIT), which the starter was trained on, and
`noto` (Noto Color Emoji, OFL 1.1), which it never saw.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import Image

from designkit.starter.subjects import SUBJECTS

CELL_PX = 112
COLUMNS = 12
SHEETS = {name: Path(__file__).parent / f"glyphs-{name}.webp" for name in ("fluent", "noto")}


@cache
def sprites(glyph_set: str = "fluent") -> dict[str, Image.Image]:
    """Every subject's name with its sprite, RGBA of 112 x 112 pixels, centred. `glyph_set`: fluent | noto."""
    with Image.open(SHEETS[glyph_set]) as opened:
        sheet = opened.convert("RGBA")
    cells: dict[str, Image.Image] = {}
    for index, subject in enumerate(SUBJECTS):
        row, column = divmod(index, COLUMNS)
        left, top = column * CELL_PX, row * CELL_PX
        cells[subject.name] = sheet.crop((left, top, left + CELL_PX, top + CELL_PX))
    return cells
