"""The pictures of a run as labelled grids: one axis across, one down, and a grid for each combination of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from designkit.values import Record

MAX_COLUMNS = 10
"""More values than this across are continued in a further grid below."""

MIN_FILLED = 0.6
"""Grids of which less is filled are harder to read than rows of pictures."""

Axes = Mapping[str, tuple[str, ...]]
"""The values of each axis that varies in a run, in the order in which they come."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """One grid: `label` says what all its pictures share, by axis; a cell without a picture is missing."""

    label: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    cells: Mapping[tuple[str, str], Record]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The axis across, the axis down, and the blocks in the order of the run."""

    across: str
    down: str
    blocks: tuple[Block, ...]


def facets(record: Record) -> dict[str, str]:
    """What sets a picture apart, by axis: the choices, then size and seed unless axes are called so."""
    extra = {"size": f"{record.width} × {record.height}", "seed": str(record.seed)}
    return {**record.choices, **{name: value for name, value in extra.items() if name not in record.choices}}


def varying_axes(records: Sequence[Record]) -> Axes:
    """The axes with more than one value, those of the choices first; a picture may lack some of them."""
    values: dict[str, dict[str, None]] = {}
    for record in records:
        for name, value in facets(record).items():
            values.setdefault(name, {})[value] = None
    ordered = sorted(values, key=lambda name: name in ("size", "seed"))
    return {name: tuple(values[name]) for name in ordered if len(values[name]) > 1}


def choose_grid(records: Sequence[Record]) -> Grid | None:
    """The grids that show most at once: the two axes with the most values; None where grids would be mostly empty.

    The axis with more values goes across while it fits, so that the grids are wide rather than tall.
    """
    axes = varying_axes(records)
    everywhere = [name for name in axes if all(name in facets(record) for record in records)]
    pairs = sorted(combinations(everywhere, 2), key=lambda pair: -len(axes[pair[0]]) * len(axes[pair[1]]))
    for first, second in pairs:
        across, down = (first, second) if _goes_across(len(axes[first]), len(axes[second])) else (second, first)
        blocks = make_blocks(records, across, down)
        if blocks and _filled(blocks) >= MIN_FILLED:
            return Grid(across=across, down=down, blocks=blocks)
    return None


def make_blocks(records: Sequence[Record], across: str, down: str) -> tuple[Block, ...]:
    """The grids of two axes; empty where two pictures would share a cell. Rows and columns without a picture go."""
    axes = varying_axes(records)
    others = [name for name in axes if name not in (across, down)]
    groups: dict[tuple[tuple[str, str], ...], dict[tuple[str, str], Record]] = {}
    for record in records:
        values = facets(record)
        label = tuple((name, values[name]) for name in others if name in values)
        cell = (values[across], values[down])
        if cell in groups.setdefault(label, {}):
            return ()
        groups[label][cell] = record
    blocks: list[Block] = []
    for label, cells in groups.items():
        columns = tuple(value for value in axes[across] if any(column == value for column, _ in cells))
        rows = tuple(value for value in axes[down] if any(row == value for _, row in cells))
        num_bands = -(-len(columns) // MAX_COLUMNS)
        per_band = -(-len(columns) // num_bands)
        for start in range(0, len(columns), per_band):
            band = columns[start : start + per_band]
            inside = {cell: record for cell, record in cells.items() if cell[0] in band}
            blocks.append(Block(label=label, columns=band, rows=rows, cells=inside))
    return tuple(blocks)


def split_rows(block: Block, num_rows: int) -> tuple[Block, Block]:
    """The first rows of a block, and the others."""
    return tuple(
        Block(
            label=block.label,
            columns=block.columns,
            rows=rows,
            cells={cell: record for cell, record in block.cells.items() if cell[1] in rows},
        )
        for rows in (block.rows[:num_rows], block.rows[num_rows:])
    )  # type: ignore[return-value]


def _goes_across(first: int, second: int) -> bool:
    """Whether the first of two axes goes across: the longer one if it fits, else the shorter one."""
    if max(first, second) <= MAX_COLUMNS:
        return first >= second
    return first <= second


def _filled(blocks: Sequence[Block]) -> float:
    places = sum(len(block.columns) * len(block.rows) for block in blocks)
    return sum(len(block.cells) for block in blocks) / places
