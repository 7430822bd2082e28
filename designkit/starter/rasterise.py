"""Rasterise the two glyph sets into the sprite sheets that the scene renderer reads.

Run once, when the list of subjects changes:

    python -m designkit.starter.rasterise FLUENT_FLAT_FOLDER NOTO_COLOR_EMOJI_TTF

The first is the `icons/flat` folder of the npm package `fluentui-emoji` (MIT, artwork by Microsoft), the
second the font of Debian's package `fonts-noto-color-emoji` (OFL 1.1). Needs `resvg-py` for the SVG files.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from designkit.starter.glyphs import CELL_PX, COLUMNS, SHEETS
from designkit.starter.subjects import SUBJECTS, Subject

_NOTO_PX = 109  # the one size in the font's bitmap table


def _fit(glyph: Image.Image) -> Image.Image:
    """Crop to what is painted, then centre it in a cell with a margin of two pixels."""
    glyph = glyph.crop(glyph.getchannel("A").getbbox())
    side = CELL_PX - 4
    scale = side / max(glyph.size)
    glyph = glyph.resize(
        (max(1, round(glyph.width * scale)), max(1, round(glyph.height * scale))), Image.Resampling.LANCZOS
    )
    cell = Image.new("RGBA", (CELL_PX, CELL_PX))
    cell.paste(glyph, ((CELL_PX - glyph.width) // 2, (CELL_PX - glyph.height) // 2))
    return cell


def _fluent(folder: Path, subject: Subject) -> Image.Image:
    import resvg_py

    picture = resvg_py.svg_to_bytes(svg_string=(folder / f"{subject.fluent}.svg").read_text(), width=512, height=512)
    return Image.open(io.BytesIO(bytes(picture))).convert("RGBA")


def _noto(font: ImageFont.FreeTypeFont, subject: Subject) -> Image.Image:
    cell = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(cell).text((12, 12), chr(subject.codepoint), font=font, embedded_color=True)
    return cell


def rasterise(fluent_folder: Path, noto_font: Path) -> None:
    """Write both sheets beside this file: rows of `COLUMNS` cells in the order of `SUBJECTS`, lossless WebP."""
    font = ImageFont.truetype(str(noto_font), _NOTO_PX)
    num_rows = -(-len(SUBJECTS) // COLUMNS)
    drawn = {
        "fluent": [_fluent(fluent_folder, subject) for subject in SUBJECTS],
        "noto": [_noto(font, subject) for subject in SUBJECTS],
    }
    for name, glyphs in drawn.items():
        sheet = Image.new("RGBA", (COLUMNS * CELL_PX, num_rows * CELL_PX))
        for index, glyph in enumerate(glyphs):
            row, column = divmod(index, COLUMNS)
            sheet.paste(_fit(glyph), (column * CELL_PX, row * CELL_PX))
        sheet.save(SHEETS[name], lossless=True, quality=100, method=6)


if __name__ == "__main__":
    rasterise(Path(sys.argv[1]), Path(sys.argv[2]))
