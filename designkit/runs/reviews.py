"""What people said about the pictures of a run: `reviews.jsonl`, one JSON line an act, only ever added to.

    verdict   a flag (pick, reject, none) or stars (0 to 5) for one picture; the last one of each counts
    vote      which of two pictures shown side by side was preferred: left, right, tie or skip
    undo      takes an earlier act back; taking back an undo brings its act again

An act is on the disk before anybody is told that it counts. A last line that a crash cut short never counted, and
is cut off before the next one is added. Several windows, and several programs, may add to one file: they take
turns by `flock`, and each reads on where it stopped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import secrets
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from designkit.files import append_durably, storage_error, sync_folder

REVIEWS = "reviews.jsonl"
MAX_STARS = 5

Flag = Literal["pick", "reject", "none"]
Result = Literal["left", "right", "tie", "skip"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One picture was flagged or given stars; what is None stays as it was."""

    act: str
    time: str
    reviewer: str
    image: str
    flag: Flag | None = None
    stars: int | None = None


@dataclass(frozen=True, kw_only=True)
class Vote:
    """Two pictures were shown side by side without their names, and this is what was said."""

    act: str
    time: str
    reviewer: str
    left: str
    right: str
    result: Result


@dataclass(frozen=True, kw_only=True)
class Undo:
    """An earlier act is taken back."""

    act: str
    time: str
    reviewer: str
    undoes: str


Act = Verdict | Vote | Undo

_KINDS: dict[str, type[Verdict] | type[Vote] | type[Undo]] = {"verdict": Verdict, "vote": Vote, "undo": Undo}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What counts for one picture now, who said it last, and when (UTC, ISO 8601)."""

    flag: Flag = "none"
    stars: int = 0
    reviewer: str = ""
    time: str = ""


class ReviewLog:
    """The acts of one run, as far as they have been read; safe to use from several threads.

    `version` counts up whenever something that counts has changed.
    """

    def __init__(self, run_folder: Path) -> None:
        self.path = run_folder / REVIEWS
        self.version = 0
        self._acts: list[Act] = []
        self._standings: dict[str, Standing] = {}
        self._votes: tuple[Vote, ...] = ()
        self._changed: dict[str, int] = {}
        self._file: tuple[int, int] | None = None  # Which file was read, and up to which byte.
        self._turn = threading.RLock()
        self.refresh()

    def refresh(self) -> None:
        """Read what has been added since; raises StorageError."""
        with self._turn:
            try:
                with self.path.open("rb") as file:
                    status = os.fstat(file.fileno())
                    if self._file == (status.st_ino, status.st_size):
                        return
                    start = self._file[1] if self._file and self._file[0] == status.st_ino else 0
                    if start > status.st_size:
                        start = 0
                    file.seek(start)
                    data = file.read()
            except FileNotFoundError:
                if self._file is None:
                    return
                start, data, status = 0, b"", None
            except OSError as error:
                raise storage_error(self.path, error) from error
            if start == 0:
                self._acts.clear()
            end = data.rfind(b"\n") + 1
            self._acts += [act for line in data[:end].split(b"\n") if (act := _parse(line)) is not None]
            self._file = (status.st_ino, start + end) if status else None
            self._replay()

    def standings(self) -> Mapping[str, Standing]:
        """What counts for each picture that anything was said about."""
        with self._turn:
            return dict(self._standings)

    def votes(self) -> tuple[Vote, ...]:
        """The votes that count, in order."""
        return self._votes

    def changes(self, since: int) -> tuple[int, dict[str, Standing]]:
        """The version now, and what counts for those pictures where that has changed after version `since`."""
        with self._turn:
            changed = [image for image, version in self._changed.items() if version > since]
            return self.version, {image: self._standings.get(image, Standing()) for image in changed}

    def judge(self, image: str, *, reviewer: str, flag: Flag | None = None, stars: int | None = None) -> Verdict:
        """Give a picture a flag, stars, or both; raises StorageError."""
        assert flag in (None, *get_args(Flag)), flag
        assert stars is None or 0 <= stars <= MAX_STARS, stars
        verdict = Verdict(**_new_act(reviewer), image=image, flag=flag, stars=stars)
        self._append(lambda: verdict)
        return verdict

    def vote(self, left: str, right: str, result: Result, *, reviewer: str) -> Vote:
        """Record which of two pictures was preferred, and on which side each was; raises StorageError."""
        assert result in get_args(Result), result
        vote = Vote(**_new_act(reviewer), left=left, right=right, result=result)
        self._append(lambda: vote)
        return vote

    def undo(self, reviewer: str) -> Act | None:
        """Take back the reviewer's last act that counts, and return it; None where there is none."""
        return self._take_back(reviewer, self._last_act)

    def redo(self, reviewer: str) -> Act | None:
        """Bring back what the reviewer's last undo took, and return it; None once something new was said."""
        undo = self._take_back(reviewer, self._last_undo)
        return None if undo is None else next(act for act in self._acts if act.act == getattr(undo, "undoes", None))

    def _take_back(self, reviewer: str, find: Callable[[str], Act | None]) -> Act | None:
        taken: Act | None = None

        def undoing() -> Act | None:
            nonlocal taken
            taken = find(reviewer)
            return Undo(**_new_act(reviewer), undoes=taken.act) if taken else None

        self._append(undoing)
        return taken

    def _last_act(self, reviewer: str) -> Act | None:
        gone = _taken_back(self._acts)
        own = (act for act in reversed(self._acts) if act.reviewer == reviewer and not isinstance(act, Undo))
        return next((act for act in own if act.act not in gone), None)

    def _last_undo(self, reviewer: str) -> Act | None:
        gone = _taken_back(self._acts)
        undos = {act.act for act in self._acts if isinstance(act, Undo)}
        for act in reversed(self._acts):
            if act.reviewer != reviewer:
                continue
            if not isinstance(act, Undo):
                if act.act not in gone:
                    return None
            elif act.act not in gone and act.undoes not in undos:
                return act
        return None

    def _append(self, make: Callable[[], Act | None]) -> None:
        """Add the act that `make` returns, made when nobody else can add one and all others have been read."""
        with self._turn, self._file_turn():
            self.refresh()
            act = make()
            if act is None:
                return
            kind = next(name for name, each in _KINDS.items() if isinstance(act, each))
            fields = {name: value for name, value in dataclasses.asdict(act).items() if value is not None}
            append_durably(self.path, json.dumps({"kind": kind, **fields}, ensure_ascii=False).encode() + b"\n")
            self.refresh()

    @contextlib.contextmanager
    def _file_turn(self) -> Generator[None]:
        """Keep every other process from adding, and cut off what one that was killed left unfinished."""
        try:
            is_new = not self.path.exists()
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise storage_error(self.path, error) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                _cut_torn_line(descriptor)
            except OSError as error:
                raise storage_error(self.path, error) from error
            if is_new:
                sync_folder(self.path.parent)
            yield
        finally:
            os.close(descriptor)

    def _replay(self) -> None:
        """Work out anew what counts, and note at which version it changed for which picture."""
        gone = _taken_back(self._acts)
        standings: dict[str, Standing] = {}
        votes: list[Vote] = []
        for act in self._acts:
            if act.act in gone:
                continue
            if isinstance(act, Vote):
                votes.append(act)
            elif isinstance(act, Verdict):
                before = standings.get(act.image, Standing())
                standings[act.image] = Standing(
                    flag=before.flag if act.flag is None else act.flag,
                    stars=before.stars if act.stars is None else act.stars,
                    reviewer=act.reviewer,
                    time=act.time,
                )
        different = [
            image
            for image in standings.keys() | self._standings.keys()
            if standings.get(image) != self._standings.get(image)
        ]
        if different or len(votes) != len(self._votes):
            self.version += 1
            self._changed |= dict.fromkeys(different, self.version)
        self._standings, self._votes = standings, tuple(votes)


def _taken_back(acts: Sequence[Act]) -> set[str]:
    """The acts that an undo which counts has taken back."""
    gone: set[str] = set()
    for act in reversed(acts):
        if isinstance(act, Undo) and act.act not in gone:
            gone.add(act.undoes)
    return gone


def _new_act(reviewer: str) -> dict[str, str]:
    return {
        "act": secrets.token_hex(6),
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "reviewer": reviewer,
    }


def _cut_torn_line(descriptor: int) -> None:
    """End the file with a whole line; a last line without its end was never said to count."""
    size = end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - 4096)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)


def _parse(line: bytes) -> Act | None:
    """One line as an act, None where it is damaged or of a kind that is not known here."""
    try:
        fields: dict[str, Any] = json.loads(line)
        act = _KINDS[fields.pop("kind")](**fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    texts = [getattr(act, field.name) for field in dataclasses.fields(act) if field.name not in ("flag", "stars")]
    if not all(isinstance(text, str) for text in texts):
        return None
    if isinstance(act, Vote) and act.result not in get_args(Result):
        return None
    if isinstance(act, Verdict):
        is_known_flag = act.flag is None or act.flag in get_args(Flag)
        are_stars = act.stars is None or (type(act.stars) is int and 0 <= act.stars <= MAX_STARS)
        return act if is_known_flag and are_stars else None
    return act
