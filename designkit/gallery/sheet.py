"""The contact sheets of a run: labelled grids where two axes make them, rows of pictures elsewhere.

A page holds up to sixty pictures in the order of the plan, and prints and mails well. It remembers what it shows, so
that a page whose pictures have not changed is not drawn again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from designkit.files import storage_error, write_durably
from designkit.gallery.grid import Block, Grid, choose_grid, split_rows
from designkit.gallery.labels import picture_detail, picture_title, run_facts
from designkit.gallery.rows import draw_rows
from designkit.gallery.table import draw_grid
from designkit.runs.folder import RunContents
from designkit.runs.picture import encode_png
from designkit.values import Record

PICTURES_PER_PAGE = 60

_LOOK = "2"  # Changed with anything that changes how a page looks.
_DIGEST_KEY = "designkit-sheet"


@dataclass(frozen=True, kw_only=True)
class SheetPage:
    """What one page shows: the blocks of a grid, or the records alone as rows."""

    records: tuple[Record, ...]
    grid: Grid | None = None
    blocks: tuple[Block, ...] = ()


def write_sheets(run: RunContents) -> tuple[Path, ...]:
    """Draw the contact sheets of a run into its folder and return their paths, in order.

    Pages that an earlier, longer run left over are taken away. Raises StorageError.
    """
    pages = sheet_pages(run.records)
    names = sheet_names(len(pages))
    for number, (name, page) in enumerate(zip(names, pages, strict=True), start=1):
        place = f"page {number} of {len(pages)}" if len(pages) > 1 else ""
        digest = _digest(run, page, place)
        if _shown_digest(run.path / name) != digest:
            write_durably(run.path / name, encode_png(draw_sheet(run, page, place), {_DIGEST_KEY: digest}))
    for path in run.path.glob("contact-sheet*.png"):
        if path.name not in names:
            try:
                path.unlink()
            except OSError as error:
                raise storage_error(path, error) from error
    return tuple(run.path / name for name in names)


def sheet_names(num_pages: int) -> tuple[str, ...]:
    """The file names of so many contact sheets."""
    return tuple("contact-sheet.png" if page == 1 else f"contact-sheet-{page}.png" for page in range(1, num_pages + 1))


def sheet_pages(records: Sequence[Record]) -> tuple[SheetPage, ...]:
    """What each contact sheet of these pictures shows, at least one page: every picture once."""
    grid = choose_grid(records)
    if grid is None:
        starts = range(0, max(1, len(records)), PICTURES_PER_PAGE)
        return tuple(SheetPage(records=tuple(records[start : start + PICTURES_PER_PAGE])) for start in starts)
    pages: list[list[Block]] = [[]]
    for block in grid.blocks:
        while len(block.columns) * len(block.rows) > PICTURES_PER_PAGE:
            first, block = split_rows(block, PICTURES_PER_PAGE // len(block.columns))
            pages += [[first], []]
        if sum(len(each.columns) * len(each.rows) for each in (*pages[-1], block)) > PICTURES_PER_PAGE:
            pages.append([])
        pages[-1].append(block)
    return tuple(
        SheetPage(
            records=tuple(record for block in blocks for record in block.cells.values()),
            grid=grid,
            blocks=tuple(blocks),
        )
        for blocks in pages
        if blocks
    )


def draw_sheet(run: RunContents, page: SheetPage, place: str = "") -> Image.Image:
    """One page, RGB: a heading, then the pictures; `place` tells which page it is."""
    if page.grid is None:
        return draw_rows(run, page.records, place)
    return draw_grid(run, page.grid, page.blocks, place)


def _digest(run: RunContents, page: SheetPage, place: str) -> str:
    """A hash of all that a page shows."""
    pictures = [
        (picture_title(record), picture_detail(record), record.width, record.height, record.file_sha256, record.failure)
        for record in page.records
    ]
    grids = [(block.label, block.columns, block.rows, list(block.cells)) for block in page.blocks]
    axes = (page.grid.across, page.grid.down) if page.grid else None
    shown = json.dumps([_LOOK, run.name, run_facts(run), place, pictures, axes, grids])
    return hashlib.sha256(shown.encode()).hexdigest()


def _shown_digest(path: Path) -> str | None:
    """The hash that the page at `path` was drawn for, None where there is no such page."""
    try:
        with Image.open(path) as page:
            page.load()
            return page.info.get(_DIGEST_KEY)
    except (OSError, SyntaxError, ValueError):
        return None
