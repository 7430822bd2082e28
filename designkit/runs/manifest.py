"""The manifest of a run: one JSON line for each image that was made or failed; the last line of an id counts.

Lines are only ever added. A line that a crash cut short, or that the disk damaged, is passed over: its image
counts as missing and is made again.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from designkit.files import append_durably, storage_error
from designkit.values import Record

IMAGES = "images"
"""The folder, inside a run folder, that every picture is in."""

_FIELDS = tuple(field.name for field in dataclasses.fields(Record))


def append_record(path: Path, record: Record) -> None:
    """Add the record's line to the manifest at `path` and wait until the disk has it; raises StorageError."""
    fields = {name: getattr(record, name) for name in _FIELDS}
    append_durably(path, json.dumps(fields, ensure_ascii=False, default=_plain).encode() + b"\n")


def read_manifest(path: Path) -> dict[str, Record]:
    """The last record of each id, in the order in which the ids first came; empty where there is no manifest."""
    records: dict[str, Record] = {}
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return records
    except OSError as error:
        raise storage_error(path, error) from error
    for line in data.split(b"\n"):
        record = _parse(line)
        if record is not None:
            records[record.id] = record
    return records


def repair_manifest(path: Path) -> None:
    """End the manifest with a whole line, so that the next one does not run into what a crash cut short."""
    try:
        with path.open("r+b") as file:
            data = file.read()
            if data and not data.endswith(b"\n"):
                file.truncate(data.rfind(b"\n") + 1)
    except FileNotFoundError:
        return
    except OSError as error:
        raise storage_error(path, error) from error


def _parse(line: bytes) -> Record | None:
    try:
        line_fields = {"copies": (), **json.loads(line)}  # older runs know no copies
        fields: dict[str, Any] = {name: line_fields[name] for name in _FIELDS}
        fields |= {name: tuple(fields[name]) for name in ("warnings", "copies")}
        record = Record(**fields)
    except (ValueError, KeyError, TypeError):
        return None
    return record if record.file is None or _is_inside(record.file) else None


def _is_inside(file: str) -> bool:
    """Whether a picture's path is a plain name in the folder of pictures, and nothing that leads elsewhere."""
    parts = PurePosixPath(file).parts
    return len(parts) == 2 and parts[0] == IMAGES and parts[1] != ".." and "\\" not in file and "\0" not in file


def _plain(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return dict(mapping)
