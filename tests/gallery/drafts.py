"""Runs of drafts to review: drawn in milliseconds, with axes, sizes and metadata like any other run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from designkit.generators.draft import draw_draft
from designkit.runs.folder import RunContents, open_run, read_run
from designkit.runs.metadata import picture_texts
from designkit.runs.picture import encode_png
from designkit.values import Record, Size
from tests.runs.records import record

AXES = {
    "product": ("soda can", "tea box", "coffee bag", "juice carton"),
    "scene": ("teal", "sunburst", "dotted"),
    "style": ("flat", "paper cut"),
}


def draft_run(folder: Path, count: int, *, side: int = 128, failed: int = 0, **changes: object) -> RunContents:
    """A run of `count` drafts of squares and portraits; the last `failed` of them could not be made."""
    records = draft_records(count, side=side)
    records = [replace(each, **changes) for each in records]  # type: ignore[arg-type]
    for number in range(count - failed, count):
        records[number] = replace(records[number], status="failed", file=None, failure="the picture came out black")
    with open_run(folder) as run:
        run.describe(
            {
                "plan": {"images": [each.id for each in records]},
                "model": {"name": "draft", "revision": "1", "licence": "CC0-1.0"},
            }
        )
        for each in records:
            png = None
            if each.file:
                size = Size(width=each.width, height=each.height)
                png = encode_png(draw_draft(each.prompt, size, each.seed), picture_texts(each))
            run.add(each, png)
    return read_run(folder)


def draft_records(count: int, *, side: int) -> list[Record]:
    """The first so many records of a run of drafts."""
    return list(itertools.islice(_records(side), count))


def _records(side: int) -> Iterator[Record]:
    for number, (product, scene, style) in enumerate(itertools.cycle(itertools.product(*AXES.values()))):
        slug = f"{product}-{scene}-{style}-s{number}".replace(" ", "-")
        yield record(
            f"{number:016x}",
            prompt=f"a {product} on a {scene} background, {style} style",
            choices={"product": product, "scene": scene, "style": style},
            file=f"images/{slug}-{number:016x}.png",
            seed=number,
            width=side,
            height=side if number % 3 else side * 3 // 2,
        )
