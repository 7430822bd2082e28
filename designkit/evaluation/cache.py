"""Results that are kept by the hash of the picture's file, so that no picture is measured twice.

One SQLite file for all runs. It can be deleted at any time. What is in it is safe after each commit, and several
processes may use it at once.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from designkit.evaluation.resampling import Array

_FILE = "measures-1.sqlite"
_BUSY_SECONDS = 60.0


def cache_folder() -> Path:
    """Where results are kept: `$DESIGNKIT_CACHE`, else `designkit` in the user's cache folder."""
    own = os.environ.get("DESIGNKIT_CACHE")
    if own:
        return Path(own).expanduser()
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "designkit"


class MeasureCache:
    """Vectors of float32 by (hash of the picture's file, name of the measure).

    Where the folder cannot be written, or the file is damaged beyond use, results live in memory alone and
    `warning` says why; a damaged file is moved aside first.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.warning: str | None = None
        path = (folder or cache_folder()) / _FILE
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._database = _open(path)
            except sqlite3.DatabaseError:
                if not path.is_file() or _is_database(path):
                    raise
                path.replace(path.with_suffix(".damaged"))
                for leftover in ("-wal", "-shm"):
                    path.with_name(path.name + leftover).unlink(missing_ok=True)
                self._database = _open(path)
                self.warning = f"the kept results in {path} were damaged and are made anew"
        except (OSError, sqlite3.Error) as error:
            self.warning = f"results cannot be kept in {path.parent} ({error}): a stopped evaluation begins anew"
            self._database = _open(Path(":memory:"))

    def __enter__(self) -> MeasureCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def get(self, sha256: str, measures: Sequence[str]) -> dict[str, Array]:
        """Those of the measures of a picture that are known."""
        marks = ",".join("?" * len(measures))
        query = f"SELECT measure, value FROM results WHERE picture = ? AND measure IN ({marks})"
        found: dict[str, Array] = {}
        for name, value in self._database.execute(query, (sha256, *measures)):
            if len(value) % 4 == 0:
                found[name] = np.frombuffer(value, "<f4")
        return found

    def put(self, results: Iterable[tuple[str, Mapping[str, Array]]]) -> None:
        """Keep the measures of pictures, all of them at once, and wait until the disk has them."""
        rows = [
            (sha256, name, np.ascontiguousarray(value, "<f4").tobytes())
            for sha256, values in results
            for name, value in values.items()
        ]
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            self.warning = f"some results could not be kept ({error}): a stopped evaluation measures them again"


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(str(path), timeout=_BUSY_SECONDS)
    try:
        with contextlib.suppress(sqlite3.OperationalError):
            database.execute("PRAGMA journal_mode = WAL")  # Not on every network file system.
        database.execute("PRAGMA synchronous = FULL")
        with database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS results (picture TEXT, measure TEXT, value BLOB, "
                "PRIMARY KEY (picture, measure)) WITHOUT ROWID"
            )
        database.execute("SELECT measure FROM results LIMIT 1").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def _is_database(path: Path) -> bool:
    """Whether the file begins as a database does; one that does not is no work of ours any more."""
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"
