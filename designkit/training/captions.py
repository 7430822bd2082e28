"""What is said about the pictures of a folder, and where: metadata files, caption files, kohya's folder names."""

# pyright: basic
from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from designkit.errors import DesignkitError, Problem
from designkit.files import read_text

METADATA_FILES = ("metadata.jsonl", "metadata.csv")
CAPTION_SUFFIXES = (".txt", ".caption")
MAX_CAPTION_BYTES = 100_000
MAX_METADATA_BYTES = 500_000_000
MAX_REPEATS = 1000

_CAPTION_KEYS = ("text", "caption", "prompt")
_OTHER_KEYS = {
    "licence": ("licence", "license", "rights"), "creator": ("creator", "author", "artist", "photographer"),
    "source": ("source", "url", "credit"),
}  # fmt: skip
_READ = {"file_name", "label", *_CAPTION_KEYS, *(key for keys in _OTHER_KEYS.values() for key in keys)}
_KOHYA = re.compile(r"(\d{1,6})_(\S.*)")


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a line of a metadata file says about one picture."""

    file: str
    line: int
    caption: str | None = None
    label: str | None = None
    creator: str | None = None
    licence: str | None = None
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class KohyaFolder:
    """What the name of a folder such as `10_lumen can` says: its pictures count ten times, and show a lumen can."""

    repeats: int
    caption: str


def read_metadata(file: Path, problems: list[Problem], notes: list[str]) -> dict[Path, Said]:
    """What a metadata.jsonl or metadata.csv says, by picture; mistakes go to `problems`.

    A line has `file_name` and, as far as known, `text` (else `caption`, else `prompt`), `label`, `licence`, `creator`
    and `source`. Keys that are not read are told once, in `notes`.
    """
    said: dict[Path, Said] = {}
    unread: dict[str, None] = {}
    caption_keys: set[str] = set()

    def mistake(line: int, message: str, fix: str) -> None:
        problems.append(Problem(code="metadata", message=message, file=str(file), line=line, fix=fix))

    for line, entry in _rows(file, mistake):
        name = entry.get("file_name")
        if not isinstance(name, str) or not name:
            mistake(line, "file_name is missing", 'write {"file_name": "a.png", "text": "..."}')
            continue
        path = file.parent / name
        if Path(os.path.normpath(path)) != path or Path(name).is_absolute():
            mistake(line, f"file_name {name!r} leads out of its folder", "name a file below metadata.jsonl")
            continue
        key = next((key for key in _CAPTION_KEYS if entry.get(key) is not None), "text")
        text = entry.get(key)
        if text is not None and not isinstance(text, str):
            mistake(line, f"{key} is {type(text).__name__}, not text", "put the caption in quotes")
            continue
        if path in said:
            mistake(line, f"{name!r} stands on line {said[path].line} already", "keep one of the two")
            continue
        unread |= dict.fromkeys(str(other) for other in entry if other not in _READ)
        if text is not None:
            caption_keys.add(key)
        label = entry.get("label")
        said[path] = Said(
            file=str(file), line=line, caption=text or None, label=None if label is None else str(label),
            **{field: _first_text(entry, keys) for field, keys in _OTHER_KEYS.items()},
        )  # fmt: skip
    notes += [f"{file.name} has no `text`; captions are its `{key}`" for key in sorted(caption_keys - {"text"})]
    if unread:
        notes.append(f"{file.name} has keys that are not read: {', '.join(sorted(unread)[:12])}")
    return said


def read_caption(file: Path, problems: list[Problem], notes: list[str]) -> str | None:
    """The text of a caption file on one line; None, and a note, where it is empty; mistakes go to `problems`."""
    try:
        text = " ".join(read_text(file, max_bytes=MAX_CAPTION_BYTES).split())
    except DesignkitError as error:
        problems.extend(error.problems)
        return None
    if not text:
        notes.append(f"the caption file {shown(Path(file.name))} is empty")
    return text or None


def kohya_folder(name: str) -> KohyaFolder | None:
    """What a folder's name says in kohya's layout `<repeats>_<words>`; None where it is not of this kind."""
    match = _KOHYA.fullmatch(name)
    if match is None or not 1 <= int(match[1]) <= MAX_REPEATS:
        return None
    return KohyaFolder(repeats=int(match[1]), caption=match[2].strip())


def shown(path: Path) -> str:
    """A path as text that can be printed: bytes that are no UTF-8 and control characters are escaped."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _rows(file: Path, mistake: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each line's number and object; what is none is a mistake."""
    text = read_text(file, max_bytes=MAX_METADATA_BYTES)
    if file.suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text))
        for row in reader:
            yield reader.line_num, {key: value or None for key, value in row.items() if key}
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            mistake(number, "this line is not JSON", 'write one object a line: {"file_name": "a.png", "text": "..."}')
            continue
        yield number, entry if isinstance(entry, dict) else {}


def _first_text(entry: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((str(entry[key]).strip() for key in keys if entry.get(key) is not None), None) or None
