"""A contact sheet of grids: the values of one axis across, those of another down, what a grid shares above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from PIL import Image, ImageDraw

from designkit.gallery.canvas import (
    DETAIL_PX,
    GROUND,
    HEADER_PX,
    INK,
    LINE,
    LINE_PX,
    MARGIN_PX,
    MIN_WIDTH_PX,
    PAGE_PX,
    SOFT,
    TITLE_PX,
    place_picture,
    write_heading,
)
from designkit.gallery.grid import Block, Grid, facets
from designkit.gallery.lettering import font, legible, shorten, wrap
from designkit.runs.folder import RunContents
from designkit.values import Record

_GAP_PX, _BLOCK_GAP_PX, _LABEL_GAP_PX = 12, 52, 18
_CELLS_PX = range(180, 430, 20)
_USUAL_CELL_PX, _USUAL_RATIO = 280, 1.35
_MAX_LABEL_PX, _MIN_LABEL_PX = 220, 70
_MAX_TALLNESS = 1.6


@dataclass(frozen=True, kw_only=True)
class _Table:
    """A block with its measures in pixels: cells, heights of the rows, and what is written above and beside them."""

    block: Block
    cell_px: int
    label_px: int
    row_heights: tuple[int, ...]
    headings: tuple[tuple[str, ...], ...]
    sides: tuple[tuple[str, ...], ...]
    top_px: int

    @property
    def width(self) -> int:
        return self.label_px + len(self.headings) * (self.cell_px + _GAP_PX) - _GAP_PX

    @property
    def height(self) -> int:
        return self.top_px + sum(self.row_heights) + _GAP_PX * (len(self.row_heights) - 1)


def draw_grid(run: RunContents, grid: Grid, blocks: Sequence[Block], place: str = "") -> Image.Image:
    """One page of grids, RGB: they stand side by side where there is room, the next row of them below."""
    shelves = _shelves(blocks, grid)
    width, height = _extent(shelves)
    width = max(MIN_WIDTH_PX, width + 2 * MARGIN_PX)
    page = Image.new("RGB", (width, HEADER_PX + height), GROUND)
    shared = _shared([record for block in blocks for record in block.cells.values()], grid, run.records)
    write_heading(ImageDraw.Draw(page), width, run, *shared, place)
    top = HEADER_PX
    for shelf in shelves:
        left = MARGIN_PX
        for table in shelf:
            _draw_table(page, run, grid, table, left, top)
            left += table.width + _BLOCK_GAP_PX
        top += max(table.height for table in shelf) + _BLOCK_GAP_PX
    return page


def _shelves(blocks: Sequence[Block], grid: Grid) -> list[list[_Table]]:
    """The grids in rows that fit the page, with cells of the size that gives the page the most usual shape."""
    num_columns = max(len(block.columns) for block in blocks)
    widest = (PAGE_PX - 2 * MARGIN_PX - _MAX_LABEL_PX + _GAP_PX) // num_columns - _GAP_PX
    ways = [_placed(blocks, grid, cell_px) for cell_px in sorted({min(cell_px, widest) for cell_px in _CELLS_PX})]

    def strangeness(shelves: list[list[_Table]]) -> float:
        width, height = _extent(shelves)
        return (
            abs(log((width + 2 * MARGIN_PX) / (height + HEADER_PX) / _USUAL_RATIO))
            + abs(shelves[0][0].cell_px - _USUAL_CELL_PX) / 400
        )

    return min(ways, key=strangeness)


def _placed(blocks: Sequence[Block], grid: Grid, cell_px: int) -> list[list[_Table]]:
    shelves: list[list[_Table]] = [[]]
    for table in (_measured(block, grid, cell_px) for block in blocks):
        taken = sum(each.width + _BLOCK_GAP_PX for each in shelves[-1])
        if shelves[-1] and taken + table.width > PAGE_PX - 2 * MARGIN_PX:
            shelves.append([])
        shelves[-1].append(table)
    return shelves


def _extent(shelves: Sequence[Sequence[_Table]]) -> tuple[int, int]:
    """Width and height of all tables with the gaps between them."""
    widths = [sum(table.width + _BLOCK_GAP_PX for table in shelf) - _BLOCK_GAP_PX for shelf in shelves]
    return max(widths), sum(max(table.height for table in shelf) + _BLOCK_GAP_PX for shelf in shelves)


def _measured(block: Block, grid: Grid, cell_px: int) -> _Table:
    faces = font(TITLE_PX), font(DETAIL_PX)
    headings = tuple(tuple(wrap(value, faces[0], cell_px, max_lines=2)) for value in block.columns)
    longest = max(faces[0].getlength(legible(value)) for value in block.rows)
    label = max(_MIN_LABEL_PX, min(_MAX_LABEL_PX - _LABEL_GAP_PX, longest, 2 * cell_px / 3))
    label = max(label, min(faces[1].getlength(legible(grid.down)), _MAX_LABEL_PX - _LABEL_GAP_PX))
    sides = tuple(tuple(wrap(value, faces[0], label, max_lines=4)) for value in block.rows)
    heights: list[int] = []
    for row in block.rows:
        records = [block.cells[column, row] for column in block.columns if (column, row) in block.cells]
        heights.append(max(round(cell_px * min(_MAX_TALLNESS, record.height / record.width)) for record in records))
    above = (38 if block.label else 0) + LINE_PX + LINE_PX * max(map(len, headings)) + 8
    return _Table(
        block=block,
        cell_px=cell_px,
        label_px=int(label) + _LABEL_GAP_PX,
        row_heights=tuple(heights),
        headings=headings,
        sides=sides,
        top_px=above,
    )


def _draw_table(page: Image.Image, run: RunContents, grid: Grid, table: _Table, left: int, top: int) -> None:
    draw = ImageDraw.Draw(page)
    block, cells_left = table.block, left + table.label_px
    if block.label:
        _write_label(draw, block, left, top, table.width)
    foot = top + table.top_px - 8
    name = shorten(legible(grid.across), font(DETAIL_PX), table.width - table.label_px)
    draw.text((cells_left, top + (38 if block.label else 0)), name, fill=SOFT, font=font(DETAIL_PX), anchor="la")
    name = shorten(legible(grid.down), font(DETAIL_PX), table.label_px - _LABEL_GAP_PX)
    draw.text((left, foot - 5), name, fill=SOFT, font=font(DETAIL_PX), anchor="ls")
    for number, lines in enumerate(table.headings):
        x = cells_left + number * (table.cell_px + _GAP_PX)
        for line_number, line in enumerate(lines):
            y = foot - LINE_PX * (len(lines) - line_number)
            draw.text((x, y), line, fill=INK, font=font(TITLE_PX), anchor="la")
    top += table.top_px
    for row, lines, height in zip(block.rows, table.sides, table.row_heights, strict=True):
        y = top + (height - LINE_PX * len(lines)) / 2
        for line_number, line in enumerate(lines):
            draw.text((left, y + LINE_PX * line_number), line, fill=INK, font=font(TITLE_PX), anchor="la")
        for number, column in enumerate(block.columns):
            box = (cells_left + number * (table.cell_px + _GAP_PX), top, table.cell_px, height)
            record = block.cells.get((column, row))
            if record is None:
                _draw_empty(draw, box)
            else:
                place_picture(page, run.path, record, box, is_centred=True)
        top += height + _GAP_PX


def _write_label(draw: ImageDraw.ImageDraw, block: Block, left: int, top: int, width: int) -> None:
    """What all pictures of a block share: the names of the axes softly, their values clearly."""
    x, end, face = float(left), left + width, font(TITLE_PX)
    for name, value in block.label:
        room = end - x
        if room < 100:
            break
        name = shorten(legible(name), face, room * 0.4)
        draw.text((x, top), name, fill=SOFT, font=face, anchor="la")
        x += face.getlength(name) + 8
        value = shorten(legible(value), face, end - x)
        draw.text((x, top), value, fill=INK, font=face, anchor="la", stroke_width=0.5, stroke_fill=INK)
        x += face.getlength(value) + 22


def _draw_empty(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> None:
    """A place for which there is no picture, because it was ruled out or not drawn from."""
    left, top, width, height = box
    draw.rounded_rectangle((left, top, left + width - 1, top + height - 1), 8, outline=LINE)


def _shared(records: Sequence[Record], grid: Grid, everything: Sequence[Record]) -> list[str]:
    """Size and seed of the pictures, where the whole run has but one."""
    found: list[str] = []
    for name in ("size", "seed"):
        values = {facets(record)[name] for record in everything}
        if len(values) == 1 and name not in (grid.across, grid.down) and records and name not in records[0].choices:
            found.append(values.pop() if name == "size" else f"seed {values.pop()}")
    return found
