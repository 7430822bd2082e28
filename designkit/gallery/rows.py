"""A contact sheet of rows: pictures in order, equally high side by side, with what sets each apart beneath it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from designkit.gallery.canvas import (
    DETAIL_PX,
    GAP_PX,
    GROUND,
    HEADER_PX,
    INK,
    LINE_PX,
    MARGIN_PX,
    MIN_WIDTH_PX,
    PAGE_PX,
    SOFT,
    TITLE_PX,
    place_picture,
    write_heading,
)
from designkit.gallery.labels import picture_detail, picture_title
from designkit.gallery.lettering import font, legible, shorten, wrap
from designkit.runs.folder import RunContents
from designkit.values import Record

_ROW_HEIGHTS_PX = range(220, 400, 10)
_USUAL_ROW_PX, _MIN_CELL_PX, _MAX_STRETCH, _MAX_TITLE_LINES = 300, 150, 1.25, 3


@dataclass(frozen=True, kw_only=True)
class _Row:
    """Pictures side by side at one height; `widths` are those of their places, in pixels."""

    records: tuple[Record, ...]
    widths: tuple[int, ...]
    height: int

    @property
    def width(self) -> int:
        return sum(self.widths) + GAP_PX * (len(self.widths) - 1)

    def captions(self) -> list[list[str]]:
        """The lines beneath each picture: what sets it apart, then its size and seed."""
        return [
            [
                *wrap(picture_title(record), font(TITLE_PX), width, max_lines=_MAX_TITLE_LINES),
                shorten(legible(picture_detail(record)), font(DETAIL_PX), width),
            ]
            for record, width in zip(self.records, self.widths, strict=True)
        ]


def draw_rows(run: RunContents, records: Sequence[Record], place: str = "") -> Image.Image:
    """One page, RGB: a heading, then each picture with what sets it apart beneath it."""
    rows = _rows(records)
    captions = [row.captions() for row in rows]
    heights = [row.height + 10 + LINE_PX * max(map(len, lines)) for row, lines in zip(rows, captions, strict=True)]
    width = max([MIN_WIDTH_PX, *(row.width + 2 * MARGIN_PX for row in rows)])
    height = HEADER_PX + sum(height + GAP_PX for height in heights) - GAP_PX + MARGIN_PX
    page = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(page)
    write_heading(draw, page.width, run, place)
    top = HEADER_PX
    for row, row_captions, row_height in zip(rows, captions, heights, strict=True):
        left = MARGIN_PX
        for record, cell_width, lines in zip(row.records, row.widths, row_captions, strict=True):
            place_picture(page, run.path, record, (left, top, cell_width, row.height))
            _write_caption(draw, lines, left, top + row.height + 10)
            left += cell_width + GAP_PX
        top += row_height + GAP_PX
    return page


def _rows(records: Sequence[Record]) -> list[_Row]:
    """The pictures in order, in rows that all but the last fill the page; pictures of one row are equally high.

    Of all usual row heights the one is taken that leaves the least of the last row empty.
    """
    if not records:
        return []
    ways = [(_break_rows(records, height), abs(height - _USUAL_ROW_PX)) for height in _ROW_HEIGHTS_PX]
    room = PAGE_PX - 2 * MARGIN_PX

    def emptiness(way: tuple[list[_Row], int]) -> float:
        rows, strangeness = way
        last = rows[-1].width / room if len(rows) > 1 else 1.0
        return (1 - last) + strangeness / 400

    return min(ways, key=emptiness)[0]


def _break_rows(records: Sequence[Record], height: float) -> list[_Row]:
    room = PAGE_PX - 2 * MARGIN_PX
    rows: list[list[Record]] = [[]]
    for record in records:
        natural = sum(_cell_width(each, height) + GAP_PX for each in (*rows[-1], record)) - GAP_PX
        if rows[-1] and natural > room * 1.06:
            rows.append([])
        rows[-1].append(record)
    finished: list[_Row] = []
    stretch = 1.0
    for number, row in enumerate(rows):
        gaps = GAP_PX * (len(row) - 1)
        fitting = (room - gaps) / sum(_cell_width(record, height) for record in row)
        # The last row keeps the height of the row above, unless it is too full for it.
        stretch = min(fitting, _MAX_STRETCH if number < len(rows) - 1 else stretch)
        widths = tuple(int(_cell_width(record, height * stretch)) for record in row)
        finished.append(_Row(records=tuple(row), widths=widths, height=round(height * stretch)))
    return finished


def _cell_width(record: Record, height: float) -> float:
    return max(_MIN_CELL_PX, record.width / record.height * height)


def _write_caption(draw: ImageDraw.ImageDraw, lines: Sequence[str], left: int, top: int) -> None:
    *title, detail = lines
    for line in title:
        draw.text((left, top), line, fill=INK, font=font(TITLE_PX), anchor="la")
        top += LINE_PX
    draw.text((left, top), detail, fill=SOFT, font=font(DETAIL_PX), anchor="la")
