"""Small finished runs to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from designkit.runs.folder import RunContents, open_run, read_run
from designkit.runs.picture import encode_png
from designkit.values import Record
from tests.runs.records import record


def finished_run(folder: Path, records: Sequence[Record], *, outside: Sequence[Record] = ()) -> RunContents:
    """A run folder with a plain picture for each record that is not a failure."""
    with open_run(folder) as run:
        run.describe(
            {
                "plan": {"images": [each.id for each in records]},
                "model": {"name": "draft", "revision": "1", "licence": "CC0-1.0"},
            }
        )
        for number, each in enumerate([*records, *outside]):
            colour = (40 * number % 256, 90, 160)
            run.add(each, encode_png(Image.new("RGB", (each.width, each.height), colour), {}) if each.file else None)
    return read_run(folder)


def numbered(count: int, *, width: int = 64, height: int = 64, **changes: object) -> list[Record]:
    """So many records that differ in id and seed."""
    return [record(f"{number:012x}", seed=number, width=width, height=height, **changes) for number in range(count)]
