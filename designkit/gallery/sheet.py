"""The contact sheet of a run: labelled thumbnails on pages that print and mail well.

A page holds up to sixty pictures in the order of the plan. It remembers what it shows, so that a page whose
pictures have not changed is not drawn again.
"""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from designkit.files import storage_error, write_durably
from designkit.gallery.labels import picture_detail, picture_title, run_facts
from designkit.runs.folder import RunContents
from designkit.runs.picture import encode_png
from designkit.values import Record

PICTURES_PER_PAGE = 60

_LOOK = "1"  # Changed with anything below that changes how a page looks.
_GROUND, _PAPER, _INK, _SOFT, _LINE, _WARN = "#f5f4f1", "#ffffff", "#1b1b1f", "#6d6c74", "#dedcd6", "#a4262c"
_PAGE_PX, _MARGIN_PX, _GAP_PX, _HEADER_PX = 2000, 56, 26, 136
_ROW_HEIGHTS_PX = range(220, 400, 10)
_USUAL_ROW_PX, _MIN_CELL_PX, _MAX_STRETCH = 300, 150, 1.25
_TITLE_PX, _DETAIL_PX, _LINE_PX, _MAX_TITLE_LINES = 19, 16, 25, 3
_SPELT = str.maketrans({"×": "x", "–": "-", "—": "-", "€": "EUR", "£": "GBP", "ß": "ss", "Æ": "AE", "æ": "ae", "Ø": "O",
    "ø": "o", "Œ": "OE", "œ": "oe", "Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "ı": "i"})  # fmt: skip
_DIGEST_KEY = "designkit-sheet"


@dataclass(frozen=True, kw_only=True)
class _Row:
    """Pictures side by side at one height; `widths` are those of their places, in pixels."""

    records: tuple[Record, ...]
    widths: tuple[int, ...]
    height: int

    @property
    def width(self) -> int:
        return sum(self.widths) + _GAP_PX * (len(self.widths) - 1)

    def captions(self) -> list[list[str]]:
        """The lines beneath each picture: what sets it apart, then its size and seed."""
        return [
            [
                *_wrap(picture_title(record), _font(_TITLE_PX), width, max_lines=_MAX_TITLE_LINES),
                _shorten(_legible(picture_detail(record)), _font(_DETAIL_PX), width),
            ]
            for record, width in zip(self.records, self.widths, strict=True)
        ]


def write_sheets(run: RunContents) -> tuple[Path, ...]:
    """Draw the contact sheets of a run into its folder and return their paths, in order.

    Pages that an earlier, longer run left over are taken away. Raises StorageError.
    """
    names = sheet_names(len(run.records))
    for number, name in enumerate(names):
        records = run.records[number * PICTURES_PER_PAGE : (number + 1) * PICTURES_PER_PAGE]
        place = f"page {number + 1} of {len(names)}" if len(names) > 1 else ""
        digest = _digest(run, records, place)
        if _shown_digest(run.path / name) != digest:
            page = draw_sheet(run, records, place)
            write_durably(run.path / name, encode_png(page, {_DIGEST_KEY: digest}))
    for path in run.path.glob("contact-sheet*.png"):
        if path.name not in names:
            try:
                path.unlink()
            except OSError as error:
                raise storage_error(path, error) from error
    return tuple(run.path / name for name in names)


def sheet_names(num_pictures: int) -> tuple[str, ...]:
    """The file names of the contact sheets for that many pictures: at least one."""
    num_pages = max(1, math.ceil(num_pictures / PICTURES_PER_PAGE))
    return tuple("contact-sheet.png" if page == 1 else f"contact-sheet-{page}.png" for page in range(1, num_pages + 1))


def draw_sheet(run: RunContents, records: Sequence[Record], place: str = "") -> Image.Image:
    """One page, RGB: a heading, then each picture with what sets it apart beneath it."""
    rows = _rows(records)
    captions = [row.captions() for row in rows]
    heights = [row.height + 10 + _LINE_PX * max(map(len, lines)) for row, lines in zip(rows, captions, strict=True)]
    width = max([760, *(row.width + 2 * _MARGIN_PX for row in rows)])
    height = _HEADER_PX + sum(height + _GAP_PX for height in heights) - _GAP_PX + _MARGIN_PX
    page = Image.new("RGB", (width, height), _GROUND)
    draw = ImageDraw.Draw(page)
    _write_heading(draw, page.width, run, place)
    top = _HEADER_PX
    for row, row_captions, row_height in zip(rows, captions, heights, strict=True):
        left = _MARGIN_PX
        for record, cell_width, lines in zip(row.records, row.widths, row_captions, strict=True):
            _place_picture(page, draw, run.path, record, (left, top, cell_width, row.height))
            _write_caption(draw, lines, left, top + row.height + 10)
            left += cell_width + _GAP_PX
        top += row_height + _GAP_PX
    return page


def _rows(records: Sequence[Record]) -> list[_Row]:
    """The pictures in order, in rows that all but the last fill the page; pictures of one row are equally high.

    Of all usual row heights the one is taken that leaves the least of the last row empty.
    """
    if not records:
        return []
    ways = [(_break_rows(records, height), abs(height - _USUAL_ROW_PX)) for height in _ROW_HEIGHTS_PX]
    room = _PAGE_PX - 2 * _MARGIN_PX

    def emptiness(way: tuple[list[_Row], int]) -> float:
        rows, strangeness = way
        last = rows[-1].width / room if len(rows) > 1 else 1.0
        return (1 - last) + strangeness / 400

    return min(ways, key=emptiness)[0]


def _break_rows(records: Sequence[Record], height: float) -> list[_Row]:
    room = _PAGE_PX - 2 * _MARGIN_PX
    rows: list[list[Record]] = [[]]
    for record in records:
        natural = sum(_cell_width(each, height) + _GAP_PX for each in (*rows[-1], record)) - _GAP_PX
        if rows[-1] and natural > room * 1.06:
            rows.append([])
        rows[-1].append(record)
    finished: list[_Row] = []
    stretch = 1.0
    for number, row in enumerate(rows):
        gaps = _GAP_PX * (len(row) - 1)
        fitting = (room - gaps) / sum(_cell_width(record, height) for record in row)
        # The last row keeps the height of the row above, unless it is too full for it.
        stretch = min(fitting, _MAX_STRETCH if number < len(rows) - 1 else stretch)
        widths = tuple(int(_cell_width(record, height * stretch)) for record in row)
        finished.append(_Row(records=tuple(row), widths=widths, height=round(height * stretch)))
    return finished


def _cell_width(record: Record, height: float) -> float:
    return max(_MIN_CELL_PX, record.width / record.height * height)


def _write_heading(draw: ImageDraw.ImageDraw, width: int, run: RunContents, place: str) -> None:
    room = width - 2 * _MARGIN_PX
    title = _shorten(_legible(run.name), _font(38), room)
    draw.text((_MARGIN_PX, 40), title, fill=_INK, font=_font(38), anchor="lt", stroke_width=0.6, stroke_fill=_INK)
    facts = f"{run_facts(run)} · {place}" if place else run_facts(run)
    draw.text((_MARGIN_PX, 88), _shorten(_legible(facts), _font(19), room), fill=_SOFT, font=_font(19), anchor="lt")


def _place_picture(
    page: Image.Image, draw: ImageDraw.ImageDraw, folder: Path, record: Record, box: tuple[int, int, int, int]
) -> None:
    """The picture as large as the box allows, at its left and foot; a failed one as an empty frame."""
    left, top, width, height = box
    picture = _open_picture(folder, record)
    if picture is None:
        draw.rounded_rectangle((left, top, left + width - 1, top + height - 1), 8, fill=_PAPER, outline=_LINE)
        reason = f"failed: {record.failure}" if record.failure else "the picture is not there any more"
        lines = _wrap(reason, _font(_DETAIL_PX), width - 32, max_lines=5)
        draw.multiline_text(
            (left + width / 2, top + height / 2), "\n".join(lines), fill=_WARN, font=_font(_DETAIL_PX), anchor="mm"
        )
        return
    scale = min(width / picture.width, height / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    thumb = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    top += height - size[1]
    page.paste(thumb, (left, top))
    draw.rectangle((left - 1, top - 1, left + size[0], top + size[1]), outline=_LINE)


def _open_picture(folder: Path, record: Record) -> Image.Image | None:
    """The record's picture as RGB on white, None where there is none."""
    if record.file is None:
        return None
    try:
        with Image.open(folder / record.file, formats=["PNG"]) as picture:
            shown = Image.new("RGB", picture.size, _PAPER)
            shown.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
            return shown
    except (OSError, SyntaxError):
        return None


def _write_caption(draw: ImageDraw.ImageDraw, lines: Sequence[str], left: int, top: int) -> None:
    *title, detail = lines
    for line in title:
        draw.text((left, top), line, fill=_INK, font=_font(_TITLE_PX), anchor="la")
        top += _LINE_PX
    draw.text((left, top), detail, fill=_SOFT, font=_font(_DETAIL_PX), anchor="la")


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: float, *, max_lines: int) -> list[str]:
    """The text over at most `max_lines` lines of `width` pixels; what does not fit ends in an ellipsis."""
    lines = [""]
    for word in _legible(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or font.getlength(longer) <= width:
            lines[-1] = longer
        elif len(lines) < max_lines:
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return [_shorten(line, font, width) for line in lines]


def _shorten(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    shortened = [text[:length].rstrip(" ·") + "…" for length in range(1, len(text))]
    num_fitting = bisect_right(shortened, width, key=font.getlength)
    return shortened[max(0, num_fitting - 1)]


def _legible(text: str) -> str:
    """The text with each character that the built-in typeface lacks as a plainer one, or as a question mark."""
    text = unicodedata.normalize("NFC", text.translate(_SPELT))
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
    ImageDraw.Draw(picture).text((4, 4), letter, fill=255, font=_font(24))
    return picture.tobytes()


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


def _digest(run: RunContents, records: Sequence[Record], place: str) -> str:
    """A hash of all that a page shows."""
    pictures = [
        (picture_title(record), picture_detail(record), record.width, record.height, record.file_sha256, record.failure)
        for record in records
    ]
    shown = json.dumps([_LOOK, run.name, run_facts(run), place, pictures])
    return hashlib.sha256(shown.encode()).hexdigest()


def _shown_digest(path: Path) -> str | None:
    """The hash that the page at `path` was drawn for, None where there is no such page."""
    try:
        with Image.open(path) as page:
            page.load()
            return page.info.get(_DIGEST_KEY)
    except (OSError, SyntaxError, ValueError):
        return None
