"""What every contact sheet has: its ground, its heading, and pictures in their places."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from designkit.gallery.labels import run_facts
from designkit.gallery.lettering import font, legible, shorten, wrap
from designkit.runs.folder import RunContents
from designkit.values import Record

GROUND, PAPER, INK, SOFT, LINE, WARN = "#f5f4f1", "#ffffff", "#1b1b1f", "#6d6c74", "#dedcd6", "#a4262c"
PAGE_PX, MARGIN_PX, GAP_PX, HEADER_PX, MIN_WIDTH_PX = 2000, 56, 26, 136, 760
TITLE_PX, DETAIL_PX, LINE_PX = 19, 16, 25


def write_heading(draw: ImageDraw.ImageDraw, width: int, run: RunContents, *more: str) -> None:
    """The name of the run, and beneath it how many pictures it holds, who drew them, and what more is said."""
    room = width - 2 * MARGIN_PX
    title = shorten(legible(run.name), font(38), room)
    draw.text((MARGIN_PX, 40), title, fill=INK, font=font(38), anchor="lt", stroke_width=0.6, stroke_fill=INK)
    facts = " · ".join((run_facts(run), *filter(None, more)))
    draw.text((MARGIN_PX, 88), shorten(legible(facts), font(19), room), fill=SOFT, font=font(19), anchor="lt")


def place_picture(
    page: Image.Image, folder: Path, record: Record, box: tuple[int, int, int, int], *, is_centred: bool = False
) -> None:
    """The picture as large as the box (left, top, width, height) allows; a failed one as an empty frame.

    It stands at the left and foot of the box, or in its middle.
    """
    draw = ImageDraw.Draw(page)
    left, top, width, height = box
    picture = _open_picture(folder, record)
    if picture is None:
        draw.rounded_rectangle((left, top, left + width - 1, top + height - 1), 8, fill=PAPER, outline=LINE)
        reason = f"failed: {record.failure}" if record.failure else "the picture is not there any more"
        lines = wrap(reason, font(DETAIL_PX), width - 32, max_lines=5)
        draw.multiline_text(
            (left + width / 2, top + height / 2), "\n".join(lines), fill=WARN, font=font(DETAIL_PX), anchor="mm"
        )
        return
    scale = min(width / picture.width, height / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    thumb = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    top += (height - size[1]) // (2 if is_centred else 1)
    left += (width - size[0]) // 2 if is_centred else 0
    page.paste(thumb, (left, top))
    draw.rectangle((left - 1, top - 1, left + size[0], top + size[1]), outline=LINE)


def _open_picture(folder: Path, record: Record) -> Image.Image | None:
    """The record's picture as RGB on white, None where there is none."""
    if record.file is None:
        return None
    try:
        with Image.open(folder / record.file, formats=["PNG"]) as picture:
            shown = Image.new("RGB", picture.size, PAPER)
            shown.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
            return shown
    except (OSError, SyntaxError):
        return None
