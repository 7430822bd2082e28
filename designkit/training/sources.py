"""Where pictures lie, with what is said about them: folders, MNIST's idx files, parquet files."""

# pyright: basic
from __future__ import annotations

import gzip
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from designkit.errors import InputRefused, Problem
from designkit.training.captions import (
    CAPTION_SUFFIXES,
    METADATA_FILES,
    KohyaFolder,
    Said,
    kohya_folder,
    read_caption,
    read_metadata,
    shown,
)
from designkit.training.pictures import SUFFIXES

_SPLITS = frozenset(("train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"))
_SIDE_FILES = frozenset((".txt", ".jsonl", ".json", ".csv", ".yaml", ".yml", ".md", ".toml", ".caption", ".html"))
_IDX = re.compile(r".*(images[-.]idx3|labels[-.]idx1)-ubyte(\.gz)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Item:
    """One file or row that may be a picture; `read` gives its bytes, `stamp` changes when they do (None: unknown).

    `caption_from` names the file that the caption stands in; `kohya` is what the name of its folder says. `creator`,
    `licence` and `source` are what a metadata file says of it.
    """

    name: str
    read: Callable[[], bytes]
    suffix: str = ""
    stamp: str | None = None
    label: str | None = None
    caption: str | None = None
    caption_from: str | None = None
    kohya: KohyaFolder | None = None
    creator: str | None = None
    licence: str | None = None
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """What was found at a place, before any picture was opened; `layout` says where its captions are."""

    kind: str
    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()
    layout: str = ""


def find_items(place: Path) -> Source:
    """Every file or row at a place that may be a picture, in the order of its name.

    A place is a folder of pictures (searched to its end, hidden files left out), a folder or file of MNIST's idx
    files (`*-images-idx3-ubyte`, gzipped or not), or a folder or file of parquet (a column `image`, and `label`,
    `text` where there are any). In a folder of pictures the folders of the first level are classes, if there are
    several and no pictures beside them; captions come from `metadata.jsonl` or `metadata.csv` (see captions.py), then
    from a `.txt` or `.caption` of the picture's name; folders named as kohya's tools want it are known. Raises
    InputRefused with every mistake in what is said about the pictures.
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
    said: dict[Path, Said] = {}
    for file in files:
        if file.name in METADATA_FILES:
            said |= read_metadata(file, problems, notes)
    candidates = [file for file in files if file.suffix.lower() not in _SIDE_FILES]
    present = set(candidates)
    for path, entry in said.items():
        if path not in present:
            problems.append(
                Problem(
                    code="metadata", file=entry.file, line=entry.line,
                    message=f"there is no file {os.fsencode(path.name).decode(errors='backslashreplace')!r}",
                    fix="correct file_name (relative to its metadata file), or remove the line",
                )
            )  # fmt: skip
    labels = _class_folders(folder, candidates, notes)
    kohya = _kohya_folders(folder, candidates, notes)
    texts = {file.with_suffix(""): file for file in reversed(files) if file.suffix.lower() in CAPTION_SUFFIXES}
    items: list[Item] = []
    num_double = 0
    for file in candidates:
        entry = said.get(file) or Said(file="", line=0)
        caption, caption_from = entry.caption, f"{Path(entry.file).name}:{entry.line}"
        text = texts.get(file.with_suffix(""))
        num_double += caption is not None and text is not None
        if caption is None and text is not None:
            caption, caption_from = read_caption(text, problems, notes), shown(Path(text.name))
        items.append(
            Item(
                name=shown(file.relative_to(folder)), read=file.read_bytes, suffix=file.suffix, stamp=_stamp(file),
                label=entry.label or labels.get(file), caption=caption, kohya=kohya.get(file),
                caption_from=None if caption is None else caption_from, creator=entry.creator, licence=entry.licence,
                source=entry.source,
            )
        )  # fmt: skip
    if problems:
        raise InputRefused(problems)
    if num_double:
        notes.append(
            f"{num_double} pictures have a caption in a metadata file and in one of their own: the first counts"
        )
    layout = _layout(items, kohya, labels)
    return Source(kind="folder", items=tuple(items), notes=tuple(notes), layout=layout)


def _stamp(file: Path) -> str | None:
    try:
        status = file.stat()
    except OSError:
        return None  # A link that leads nowhere, say; reading it tells.
    # The time of the last change to the file itself, which nobody can set: copies may bring an old time along.
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"


def _layout(items: list[Item], kohya: dict[Path, KohyaFolder], labels: dict[Path, str]) -> str:
    """Where captions were found, in words."""
    files = {(item.caption_from or "").partition(":")[0] for item in items} - {""}
    found = [name for name in METADATA_FILES if name in files]
    found += [
        f"{suffix} captions"
        for suffix in CAPTION_SUFFIXES
        if any(name.lower().endswith(suffix) and name not in METADATA_FILES for name in files)
    ]
    if kohya:
        found.append("kohya folders")
    return " + ".join(found) or ("class folders, no captions" if labels else "plain folder, no captions")


def _kohya_folders(folder: Path, candidates: list[Path], notes: list[str]) -> dict[Path, KohyaFolder]:
    """What kohya's folder names say, by picture: those below the folder, or the folder's own."""
    pictures = [file for file in candidates if file.suffix.lower() in SUFFIXES]
    found: dict[Path, KohyaFolder] = {}
    others: dict[str, None] = {}
    for file in pictures:
        parts = file.relative_to(folder).parts[:-1]
        said = kohya_folder(parts[0]) if parts else kohya_folder(folder.resolve().name)
        if said is None:
            others[parts[0] if parts else "."] = None
        else:
            found[file] = said
    if found and others:
        notes.append(
            f"the folders {', '.join(map(repr, list(others)[:6]))} are not named <repeats>_<words> as the others are; "
            "their pictures are used once"
        )
    return found


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
        return {file: shown(Path(part[level])) for file, part in parts.items() if len(part) > level}
    return {}


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
                caption_from=None if texts[row] is None else f"{file.name}[{row}]",
            )
            for row in rows
        ]
    return Source(kind="parquet", items=tuple(items), layout="parquet: column `text`")


def _cell_bytes(cell: Any) -> bytes:
    """The file's bytes in a cell: itself, or under `bytes` as the datasets library writes it."""
    found = cell.get("bytes") if isinstance(cell, dict) else cell
    return found if isinstance(found, bytes) else b""
