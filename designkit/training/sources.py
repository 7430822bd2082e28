"""Where pictures lie, with what is said about them: folders, MNIST's idx files, parquet files."""

# pyright: basic
from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from designkit.errors import DesignkitError, InputRefused, Problem
from designkit.files import read_text
from designkit.training.pictures import SUFFIXES

MAX_CAPTION_BYTES = 100_000
MAX_METADATA_BYTES = 500_000_000

_SPLITS = frozenset(("train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"))
_SIDE_FILES = frozenset((".txt", ".jsonl", ".json", ".csv", ".yaml", ".yml", ".md", ".toml", ".caption", ".html"))
_IDX = re.compile(r".*(images[-.]idx3|labels[-.]idx1)-ubyte(\.gz)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Item:
    """One file or row that may be a picture; `read` gives its bytes, `stamp` changes when they do (None: unknown)."""

    name: str
    read: Callable[[], bytes]
    suffix: str = ""
    stamp: str | None = None
    label: str | None = None
    caption: str | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """What was found at a place, before any picture was opened."""

    kind: str
    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()


def find_items(place: Path) -> Source:
    """Every file or row at a place that may be a picture, in the order of its name.

    A place is a folder of pictures (searched to its end, hidden files left out), a folder or file of MNIST's idx
    files (`*-images-idx3-ubyte`, gzipped or not), or a folder or file of parquet (a column `image`, and `label`,
    `text` where there are any). In a folder of pictures the folders of the first level are classes, if there are
    several and no pictures beside them; captions come from `metadata.jsonl` (`file_name`, `text`, `label`), then
    from a `.txt` of the picture's name. Raises InputRefused with every mistake in what is said about the pictures.
    """
    if not place.exists():
        raise InputRefused(
            Problem(
                code="file-missing", message="there is no such folder or file", file=str(place), fix="check the path"
            )
        )
    files = [place] if place.is_file() else list(_walk(place))
    idx = [file for file in files if _IDX.fullmatch(file.name)]
    parquet = [file for file in files if file.suffix.lower() == ".parquet"]
    if idx:
        return _from_idx(idx)
    if parquet:
        return _from_parquet(parquet)
    return _from_folder(place if place.is_dir() else place.parent, files)


def _walk(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(names):
            if not name.startswith(".") and name not in ("Thumbs.db", "desktop.ini"):
                yield Path(here) / name


def _from_folder(folder: Path, files: list[Path]) -> Source:
    problems: list[Problem] = []
    notes: list[str] = []
    said: dict[Path, dict[str, Any]] = {}
    for file in files:
        if file.name == "metadata.jsonl":
            said |= _read_metadata(file, problems)
    candidates = [file for file in files if file.suffix.lower() not in _SIDE_FILES]
    present = set(candidates)
    for path, entry in said.items():
        if path not in present:
            problems.append(
                Problem(
                    code="metadata", file=entry["file"], line=entry["line"],
                    message=f"there is no file {os.fsencode(path.name).decode(errors='backslashreplace')!r}",
                    fix="correct file_name (relative to metadata.jsonl), or remove the line",
                )
            )  # fmt: skip
    labels = _class_folders(folder, candidates, notes)
    texts = {file.with_suffix("") for file in files if file.suffix.lower() == ".txt"}
    items: list[Item] = []
    for file in candidates:
        entry = said.get(file, {})
        caption = entry.get("text")
        if caption is None and file.with_suffix("") in texts:
            caption = _read_caption(file.with_suffix(".txt"), problems, notes)
        try:
            status = file.stat()
            stamp = f"{status.st_size}-{status.st_mtime_ns}"
        except OSError:
            stamp = None  # A link that leads nowhere, say; reading it tells.
        items.append(
            Item(
                name=_shown(file.relative_to(folder)), read=file.read_bytes, suffix=file.suffix, stamp=stamp,
                label=entry.get("label") or labels.get(file), caption=caption,
            )
        )  # fmt: skip
    if problems:
        raise InputRefused(problems)
    return Source(kind="folder", items=tuple(items), notes=tuple(notes))


def _class_folders(folder: Path, candidates: list[Path], notes: list[str]) -> dict[Path, str]:
    """The class of each file: its folder of the first level, or of the second where the first are splits."""
    pictures = [file for file in candidates if file.suffix.lower() in SUFFIXES]
    parts = {file: file.relative_to(folder).parts[:-1] for file in candidates}
    for level in (0, 1):
        names = {parts[file][level] if len(parts[file]) > level else "" for file in pictures}
        if level == 0 and names and names <= _SPLITS:
            notes.append(f"the folders {', '.join(sorted(names))} are taken for splits, not classes: all are used")
            continue
        if len(names) < 2 or "" in names:
            return {}
        return {file: _shown(Path(part[level])) for file, part in parts.items() if len(part) > level}
    return {}


def _read_metadata(file: Path, problems: list[Problem]) -> dict[Path, dict[str, Any]]:
    """{picture: {"text", "label", "file", "line"}} of a metadata.jsonl; mistakes go to `problems`."""
    entries: dict[Path, dict[str, Any]] = {}
    for number, line in enumerate(read_text(file, max_bytes=MAX_METADATA_BYTES).split("\n"), 1):
        if not line.strip():
            continue

        def mistake(message: str, fix: str, number: int = number) -> None:
            problems.append(Problem(code="metadata", message=message, file=str(file), line=number, fix=fix))

        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            mistake("this line is not JSON", 'write one object a line: {"file_name": "a.png", "text": "..."}')
            continue
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            mistake("file_name is missing", 'write {"file_name": "a.png", "text": "..."}')
            continue
        path = file.parent / name
        if Path(os.path.normpath(path)) != path or Path(name).is_absolute():
            mistake(f"file_name {name!r} leads out of its folder", "name a file below metadata.jsonl")
            continue
        text, label = entry.get("text"), entry.get("label")
        if text is not None and not isinstance(text, str):
            mistake(f"text is {type(text).__name__}, not text", "put the caption in quotes")
            continue
        if path in entries:
            mistake(f"{name!r} stands on line {entries[path]['line']} already", "keep one of the two")
            continue
        label = None if label is None else str(label)
        entries[path] = {"text": text or None, "label": label, "file": str(file), "line": number}
    return entries


def _read_caption(file: Path, problems: list[Problem], notes: list[str]) -> str | None:
    try:
        text = " ".join(read_text(file, max_bytes=MAX_CAPTION_BYTES).split())
    except DesignkitError as error:
        problems.extend(error.problems)
        return None
    if not text:
        notes.append(f"the caption file {_shown(Path(file.name))} is empty")
    return text or None


def _from_idx(files: list[Path]) -> Source:
    images = [file for file in files if re.search("images[-.]idx3", file.name, re.IGNORECASE)]
    labels = {file.name.lower().removesuffix(".gz"): file for file in files}
    items: list[Item] = []
    notes: list[str] = []
    for file in images:
        pixels = _read_idx(file, num_axes=3)
        twin = file.name.lower().removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
        classes = _read_idx(labels[twin], num_axes=1) if twin in labels else None
        if classes is None:
            notes.append(f"{file.name} has no labels beside it ({twin})")
        elif len(classes) != len(pixels):
            raise InputRefused(
                Problem(
                    code="idx", message=f"{len(classes)} labels for {len(pixels)} pictures", file=str(labels[twin]),
                    fix="take the two files of one set",
                )
            )  # fmt: skip
        _, height, width = pixels.shape
        header = f"P5 {width} {height} 255\n".encode()  # a plain grey picture in the PNM format
        items += [
            Item(
                name=f"{file.name}[{row}]",
                read=lambda header=header, pixels=pixels, row=row: header + pixels[row].tobytes(),
                label=None if classes is None else str(classes[row]),
            )
            for row in range(len(pixels))
        ]
    return Source(kind="MNIST files", items=tuple(items), notes=tuple(notes))


def _read_idx(file: Path, *, num_axes: int) -> np.ndarray:
    """A uint8 array in the idx format: two zeros, type 8, the number of axes, their lengths as big-endian int32."""
    try:
        data = file.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError) as error:
        raise InputRefused(_idx_problem(file, f"cannot be read: {error}")) from None
    if data[:4] != bytes((0, 0, 8, num_axes)):
        raise InputRefused(_idx_problem(file, f"is no idx file of bytes with {num_axes} axes"))
    shape = tuple(np.frombuffer(data, ">i4", num_axes, 4).tolist())
    begin = 4 + 4 * num_axes
    if len(data) - begin != int(np.prod(shape, dtype=np.int64)) or min(shape) < 0:
        raise InputRefused(_idx_problem(file, f"is cut off: {len(data) - begin:,} bytes for {shape}"))
    return np.frombuffer(data, np.uint8, offset=begin).reshape(shape)


def _idx_problem(file: Path, message: str) -> Problem:
    return Problem(code="idx", message=message, file=str(file), fix="download it again")


def _from_parquet(files: list[Path]) -> Source:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise InputRefused(
            Problem(
                code="parquet", message="reading parquet files needs pyarrow", file=str(files[0]),
                fix="pip install 'designkit[parquet]'",
            )
        ) from None  # fmt: skip
    items: list[Item] = []
    for file in files:
        try:
            table = parquet.read_table(file)
        except (OSError, ValueError) as error:
            raise InputRefused(
                Problem(code="parquet", message=f"cannot be read: {error}", file=str(file), fix="download it again")
            ) from None
        if "image" not in table.column_names:
            raise InputRefused(
                Problem(
                    code="parquet", message=f"has no column `image`; it has {', '.join(table.column_names)}",
                    file=str(file), fix="rename the column that holds the pictures",
                )
            )  # fmt: skip
        images, rows = table.column("image"), range(table.num_rows)
        labels = table.column("label").to_pylist() if "label" in table.column_names else [None for _ in rows]
        texts = table.column("text").to_pylist() if "text" in table.column_names else [None for _ in rows]
        items += [
            Item(
                name=f"{file.name}[{row}]",
                read=lambda images=images, row=row: _cell_bytes(images[row].as_py()),
                label=None if labels[row] is None else str(labels[row]),
                caption=texts[row],
            )
            for row in rows
        ]
    return Source(kind="parquet", items=tuple(items))


def _cell_bytes(cell: Any) -> bytes:
    """The file's bytes in a cell: itself, or under `bytes` as the datasets library writes it."""
    found = cell.get("bytes") if isinstance(cell, dict) else cell
    return found if isinstance(found, bytes) else b""


def _shown(path: Path) -> str:
    """A path as text that can be printed: bytes that are no UTF-8 and control characters are escaped."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
