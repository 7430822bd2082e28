"""The outcome of a review as files that travel: copies of what was chosen, with ratings, and a table of all verdicts.

A copy has the pixels and texts of its picture, and the rating in its XMP packet. Exporting again into the same folder
makes it show the choice as it is now; a copy that somebody has worked on since is left alone, and named.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from designkit.errors import InputRefused, Problem
from designkit.files import storage_error, write_durably
from designkit.gallery.thumbnails import PictureMissing, picture_bytes
from designkit.runs.folder import RunContents
from designkit.runs.preferences import contests_of, rank_items
from designkit.runs.rating import LABEL_PICKED, RATING_REJECTED, rate_png
from designkit.runs.reviews import ReviewLog, Standing
from designkit.values import Record

TABLE = "verdicts.csv"

_LIST = ".export.json"  # Which copies are ours: their names, with the hashes they may have.
_COLUMNS = ("file", "verdict", "stars", "reviewer", "time", "rank", "preferred", "preferred_low", "preferred_high",
    "votes_won", "votes_lost", "votes_tied")  # fmt: skip
_LAST_COLUMNS = ("prompt", "negative", "seed", "width", "height", "id")


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What an export did: the copies that are there now, those it took away, and what a user should know."""

    folder: Path
    copies: tuple[str, ...]
    removed: tuple[str, ...]
    warnings: tuple[str, ...]


def export_review(run: RunContents, log: ReviewLog, folder: Path, *, min_stars: int | None = None) -> ExportReport:
    """Copy the picks of a run into `folder`, or what has at least `min_stars` stars and is not rejected.

    Raises InputRefused where the folder is the run's own or holds the pictures, StorageError where it cannot be
    written. The table lists every picture of the run, judged or not.
    """
    _check_folder(run, folder)
    standings = log.standings()
    chosen = [record for record in _pictures(run) if _is_chosen(standings.get(record.id, Standing()), min_stars)]
    _make_folder(folder)
    warnings: list[str] = []
    copies: dict[str, bytes] = {}
    ours = _read_list(folder)
    kept: list[str] = []
    for record in chosen:
        name = PurePosixPath(cast(str, record.file)).name
        data = _rated_copy(run, record, standings.get(record.id, Standing()), warnings)
        if data is None:
            continue
        before = _sha256(folder / name)
        new = hashlib.sha256(data).hexdigest()
        if before not in (None, new, *ours.get(name, ())):
            warnings.append(f"{name}: was changed since it was exported, and is left as it is")
            kept.append(name)
            continue
        if before != new:
            # Said before it is done, so that a copy that a crash leaves behind is known as ours.
            ours[name] = [*ours.get(name, ()), new]
            copies[name] = data
        else:
            ours[name] = [new]
            kept.append(name)
    _write_list(folder, ours)
    for name, data in copies.items():
        write_durably(folder / name, data)
        ours[name] = [hashlib.sha256(data).hexdigest()]
    wanted = {*copies, *kept}
    removed = _remove_others(folder, ours, wanted, warnings)
    write_durably(folder / TABLE, verdict_table(run, log))
    _write_list(folder, {name: sums for name, sums in ours.items() if name in wanted})
    return ExportReport(
        folder=folder, copies=tuple(sorted(wanted)), removed=tuple(removed), warnings=tuple(dict.fromkeys(warnings))
    )


def verdict_table(run: RunContents, log: ReviewLog) -> bytes:
    """Every picture of the run with its verdict and votes, as CSV (UTF-8 with the mark that spreadsheets look for).

    A text that a spreadsheet would take for a formula is preceded by an apostrophe.
    """
    records = [*run.records, *run.outside]
    standings = log.standings()
    known = {record.id for record in records}
    ranking = rank_items([each for each in contests_of(log.votes()) if {each.left, each.right} <= known])
    strengths = {strength.name: strength for strength in ranking}
    axes = list(dict.fromkeys(axis for record in records for axis in record.choices))
    headings = [f"axis {axis}" if axis in (*_COLUMNS, *_LAST_COLUMNS) else axis for axis in axes]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(_inert, [*_COLUMNS, *headings, *_LAST_COLUMNS]))
    for record in records:
        standing = standings.get(record.id, Standing())
        verdict = {"pick": "pick", "reject": "reject", "none": ""}[standing.flag]
        row: list[object] = [record.file or "", verdict, standing.stars or "", standing.reviewer, standing.time]
        if record.id in strengths:
            strength = strengths[record.id]
            row += [strength.rank, *(f"{odds:.3f}" for odds in strength.preferred)]
            row += [strength.num_won, strength.num_lost, strength.num_tied]
        else:
            row += [""] * 7
        row += [record.choices.get(axis, "") for axis in axes]
        row += [record.prompt, record.negative, record.seed, record.width, record.height, record.id]
        writer.writerow(map(_inert, row))
    return b"\xef\xbb\xbf" + file.getvalue().encode(errors="backslashreplace")


def _pictures(run: RunContents) -> Iterator[Record]:
    return (record for record in (*run.records, *run.outside) if record.file is not None)


def _is_chosen(standing: Standing, min_stars: int | None) -> bool:
    if min_stars is None:
        return standing.flag == "pick"
    return standing.stars >= min_stars and standing.flag != "reject"


def _rated_copy(run: RunContents, record: Record, standing: Standing, warnings: list[str]) -> bytes | None:
    """The bytes of the picture with its rating; without one where the file cannot take it."""
    rating = RATING_REJECTED if standing.flag == "reject" else (standing.stars or None)
    try:
        data = picture_bytes(run.path, record)
    except PictureMissing as missing:
        warnings.append(f"{record.file}: {missing}")
        return None
    try:
        return rate_png(data, rating=rating, label=LABEL_PICKED if standing.flag == "pick" else None)
    except ValueError as error:
        warnings.append(f"{record.file}: copied without its rating: {error}")
        return data


def _remove_others(folder: Path, ours: dict[str, list[str]], wanted: set[str], warnings: list[str]) -> list[str]:
    """Take away copies that are not chosen any more; those that somebody changed stay."""
    removed: list[str] = []
    for name in sorted(ours.keys() - wanted):
        found = _sha256(folder / name)
        if found is None:
            continue
        if found not in ours[name]:
            warnings.append(f"{name}: is not chosen any more, but was changed since it was exported, and stays")
            continue
        try:
            (folder / name).unlink()
        except OSError as error:
            raise storage_error(folder / name, error) from error
        removed.append(name)
    return removed


def _check_folder(run: RunContents, folder: Path) -> None:
    place, home = folder.resolve(), run.path.resolve()
    if place == home or place.is_relative_to(home / "images"):
        raise InputRefused(
            Problem(
                code="export-into-run",
                message="the copies would lie among the pictures of the run",
                file=str(folder),
                fix=f"choose another folder, such as {run.path / 'picks'}",
            )
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error


def _read_list(folder: Path) -> dict[str, list[str]]:
    """The names and hashes of the copies that earlier exports made; only plain names of PNG files."""
    try:
        found: Any = json.loads((folder / _LIST).read_bytes())
        return {
            name: [str(each) for each in sums]
            for name, sums in found["copies"].items()
            if PurePosixPath(name).name == name and name.endswith(".png")
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_list(folder: Path, ours: dict[str, list[str]]) -> None:
    write_durably(folder / _LIST, json.dumps({"copies": ours}, indent=1, sort_keys=True).encode() + b"\n")


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _inert(value: object) -> object:
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
