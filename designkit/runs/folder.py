"""The folder of a run: who may write in it, what is in it, and how a picture gets into it.

    run.json          what was asked for, the model, the versions; written before the first picture
    manifest.jsonl    one line an image, added after its picture is safe on the disk
    images/           the pictures
    .lock             empty; while a run is going on it is locked and tells whose run that is

The lock belongs to the open file, so the system releases it however the process ends. At every instant the
folder is whole: a picture is there entirely or not at all, and it is done once the manifest says so.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import socket
import time
import unicodedata
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from designkit.errors import InputRefused, Problem, RunInUse, StorageError
from designkit.files import TEMPORARY_PREFIX, storage_error, sync_folder, write_durably
from designkit.runs.manifest import IMAGES, append_record, read_manifest, repair_manifest
from designkit.values import ImageRequest, Record

DESCRIPTION = "run.json"
MANIFEST = "manifest.jsonl"
LOCK = ".lock"
MAX_SLUG = 80

_NUM_READERS = 4


class RunFolder:
    """A run folder that this process alone writes to; made by `open_run`.

    `records` holds the last record of every id in the manifest, whether or not its picture is still there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = read_manifest(path / MANIFEST)
        self.description = _read_description(path)

    def intact(self, ids: Iterable[str]) -> set[str]:
        """Those of the ids whose picture is there with the bytes that the manifest tells of (all are read)."""
        records = [self.records[id] for id in ids if id in self.records and self.records[id].file is not None]
        with ThreadPoolExecutor(_NUM_READERS, thread_name_prefix="verify") as readers:
            found = readers.map(self._file_sha256, records)
            return {record.id for record, sha256 in zip(records, found, strict=True) if sha256 == record.file_sha256}

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write `run.json`; raises StorageError. The same description gives the same bytes."""
        data = json.dumps(description, ensure_ascii=False, indent=2).encode() + b"\n"
        self.description = dict(description)
        path = self.path / DESCRIPTION
        with contextlib.suppress(OSError):
            if path.read_bytes() == data:
                return
        write_durably(path, data)

    def add(self, record: Record, png: bytes | None) -> Record:
        """Put a picture into the folder and then its record into the manifest; raises StorageError.

        The record is returned with the hash of its file; for a failed image `png` is None.
        """
        if png is not None:
            assert record.file is not None, "a picture needs a file name"
            write_durably(self.path / record.file, png)
            record = replace(record, file_sha256=hashlib.sha256(png).hexdigest())
        append_record(self.path / MANIFEST, record)
        self.records[record.id] = record
        return record

    def _file_sha256(self, record: Record) -> str | None:
        try:
            with (self.path / cast(str, record.file)).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None


@dataclass(frozen=True, kw_only=True)
class RunContents:
    """What a finished (or stopped) run holds: its description, and its records in the order of the plan.

    `records` are the images of the plan that have been tried; `outside` are pictures that are done but no
    longer asked for.
    """

    path: Path
    description: Mapping[str, Any]
    records: tuple[Record, ...]
    outside: tuple[Record, ...]

    @property
    def name(self) -> str:
        """The name of the run, which is that of its folder."""
        return self.path.resolve().name


@contextlib.contextmanager
def open_run(path: Path) -> Generator[RunFolder]:
    """Make or reopen the run folder at `path` and keep it to this process until the end of the `with` block.

    What a crash left unfinished is cleared away. Raises RunInUse where another process writes to it, and
    StorageError where it cannot be written or holds something else than a run.
    """
    make_folder(path)
    _check_place(path)
    with locked(path):
        make_folder(path / IMAGES)
        for folder in (path, path / IMAGES):
            _remove_unfinished(folder)
        repair_manifest(path / MANIFEST)
        yield RunFolder(path)


def read_run(path: Path) -> RunContents:
    """Look at a run folder without writing to it; raises InputRefused where there is none."""
    description = _read_description(path)
    try:
        wanted = cast(list[str], description["plan"]["images"])
        asked_for = set(wanted)
    except (KeyError, TypeError):
        raise InputRefused(
            Problem(
                code="not-a-run",
                message=f"there is no {DESCRIPTION} of a run here",
                file=str(path),
                fix="name a folder that designkit generate has made",
            )
        ) from None
    records = read_manifest(path / MANIFEST)
    return RunContents(
        path=path,
        description=description,
        records=tuple(records[id] for id in wanted if id in records),
        outside=tuple(record for id, record in records.items() if id not in asked_for and record.status == "done"),
    )


def picture_file(request: ImageRequest) -> str:
    """Where a request's picture goes, relative to the run folder: `images/<words>-<size>-s<seed>-<id>.png`.

    The words are its name, else its choices, else its prompt. Lower-case ASCII, short enough for every file
    system, and different for every id.
    """
    words = request.name or " ".join(request.choices.values()) or request.prompt
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if len(slug) > MAX_SLUG:
        slug = slug[: MAX_SLUG + 1].rpartition("-")[0] or slug[:MAX_SLUG]
    parts = (slug, str(request.size), f"s{request.seed}", request.id)
    return f"{IMAGES}/{'-'.join(part for part in parts if part)}.png"


def make_folder(folder: Path) -> None:
    """Make the folder and those above it where they are missing, and wait until the disk has them."""
    for each in (*reversed(folder.parents), folder):
        try:
            if each.is_dir():
                continue
            if each.exists():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            each.mkdir(exist_ok=True)
        except OSError as error:
            raise storage_error(each, error) from error
        sync_folder(each.parent)


def _check_place(path: Path) -> None:
    """Refuse a folder that holds something else than a run, before anything in it is written over."""
    names = {entry.name for entry in _entries(path)}
    if names and not names & {LOCK, DESCRIPTION}:
        raise StorageError(
            Problem(
                code="not-a-run",
                message="the folder is not empty and does not hold a run",
                file=str(path),
                fix="choose another place with --out, or move its files away",
            )
        )


@contextlib.contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold a folder for this process alone; raises RunInUse where another holds it, and StorageError.

    The lock goes with the process, however that ends.
    """
    lock = path / LOCK
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise storage_error(lock, error) from error
    try:
        _take_lock(descriptor, lock)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _take_lock(descriptor: int, lock: Path) -> None:
    """Lock the open file and write into it whose run this is; raises RunInUse and StorageError."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        began = time.strftime("%H:%M:%S")
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}, since {began}\n".encode(), 0)
    except BlockingIOError:
        holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        raise RunInUse(
            Problem(
                code="run-in-use",
                message=f"another designkit is writing to this run ({holder or 'it has just begun'})",
                file=str(lock.parent),
                fix="wait until it has ended, or choose another place with --out",
            )
        ) from None
    except OSError as error:
        raise storage_error(lock, error) from error


def _remove_unfinished(folder: Path) -> None:
    for entry in _entries(folder):
        if entry.name.startswith(TEMPORARY_PREFIX):
            try:
                entry.unlink(missing_ok=True)
            except OSError as error:
                raise storage_error(entry, error) from error


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise storage_error(folder, error) from error


def _read_description(path: Path) -> dict[str, Any]:
    """The content of `run.json`, empty where there is none (yet)."""
    file = path / DESCRIPTION
    try:
        return cast(dict[str, Any], json.loads(file.read_bytes()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StorageError(
            Problem(
                code="run-damaged",
                message=f"cannot be read: {error}",
                file=str(file),
                fix="delete this file and run the same command again: the pictures stay and are checked",
            )
        ) from error
