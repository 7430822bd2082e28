"""The review page of a run and the server behind it, for one person on this machine: `designkit review`.

The page is plain HTML, style and script from `static/`; it asks for the list of pictures once, for small pictures as
they come into sight, and for what other windows have said every few seconds. Who may ask at all is in guard.py.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import uvicorn
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from designkit.errors import DesignkitError, StorageError
from designkit.gallery.export import export_review
from designkit.gallery.guard import BODY, Door, Guard
from designkit.gallery.labels import picture_detail, picture_title, run_facts
from designkit.gallery.thumbnails import PictureMissing, thumbnail, whole_picture
from designkit.runs.folder import MANIFEST, RunContents, read_run
from designkit.runs.preferences import Strength, contests_of, next_pair, rank_axis_values, rank_items
from designkit.runs.reviews import MAX_STARS, ReviewLog, Standing, Vote
from designkit.values import Record

PICKS = "picks"
"""The folder, inside a run folder, that the page exports to."""

MAX_CONNECTIONS = 128
HEADER_SECONDS = 10.0
"""How long a request may take until its headers are there."""

_STATIC = Path(__file__).parent / "static"
_FILES = {
    "/": ("review.html", "text/html; charset=utf-8"),
    "/review.css": ("review.css", "text/css; charset=utf-8"),
    "/review.js": ("review.js", "text/javascript; charset=utf-8"),
    "/review-store.js": ("review-store.js", "text/javascript; charset=utf-8"),
    "/review-grid.js": ("review-grid.js", "text/javascript; charset=utf-8"),
    "/review-views.js": ("review-views.js", "text/javascript; charset=utf-8"),
    "/review-vote.js": ("review-vote.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("review-icon.svg", "image/svg+xml"),
}

DOORS = {
    **{path: Door(method="GET") for path in _FILES},
    "/api/run": Door(method="GET"),
    "/api/ranking": Door(method="GET"),
    "/thumbnail": Door(method="GET", takes_id=True),
    "/image": Door(method="GET", takes_id=True),
    "/api/changes": Door(method="POST"),
    "/api/verdict": Door(method="POST"),
    "/api/pair": Door(method="POST"),
    "/api/vote": Door(method="POST"),
    "/api/undo": Door(method="POST"),
    "/api/redo": Door(method="POST"),
    "/api/export": Door(method="POST"),
}
"""Everything that can be asked for."""

PictureId = Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{1,64}$")]
Reviewer = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,60}$")]
Version = Annotated[int, Field(ge=0, le=2**53)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Changes(_Body):
    since: Version


class _Verdict(_Body):
    image: PictureId
    reviewer: Reviewer
    since: Version
    flag: Literal["pick", "reject", "none"] | None = None
    stars: Annotated[int, Field(ge=0, le=MAX_STARS)] | None = None


class _Pair(_Body):
    reviewer: Reviewer
    pool: Annotated[list[PictureId], Field(max_length=500)]


class _Vote(_Body):
    left: PictureId
    right: PictureId
    result: Literal["left", "right", "tie", "skip"]
    reviewer: Reviewer
    since: Version


class _Turn(_Body):
    reviewer: Reviewer
    since: Version


class _Export(_Body):
    min_stars: Annotated[int, Field(ge=1, le=MAX_STARS)] | None = None


class _BadRequest(Exception):
    """A request whose content cannot be used; says why."""


B = TypeVar("B", bound=_Body)


class Review:
    """One run under review: its pictures, its log, and an answer to each question that the page asks."""

    def __init__(self, path: Path, *, reviewer: str) -> None:
        self.path = path
        self.reviewer = reviewer
        self.log = ReviewLog(path)
        self._chance = random.SystemRandom()
        self._turn = threading.Lock()
        self._manifest: tuple[int, int] | None = None
        self._contents: RunContents | None = None
        self._records: Mapping[str, Record] = {}
        # Few, so that a page full of pictures to be made leaves room for verdicts.
        num_painters = min(4, os.cpu_count() or 1)
        self._painters = ThreadPoolExecutor(num_painters, thread_name_prefix="thumbnail")
        self._painting = asyncio.Semaphore(num_painters)

    def contents(self) -> RunContents:
        """The run as it is now, read again when pictures have been added; raises DesignkitError."""
        with self._turn:
            try:
                status = (self.path / MANIFEST).stat()
                manifest = (status.st_mtime_ns, status.st_size)
            except OSError:
                manifest = (0, 0)
            if self._contents is None or manifest != self._manifest:
                contents = read_run(self.path)
                self._records = {record.id: record for record in (*contents.records, *contents.outside)}
                self._manifest, self._contents = manifest, contents
            return self._contents

    def application(self) -> Starlette:
        """What answers the requests that the guard lets through."""
        handlers: dict[str, Any] = {
            "/api/run": self._run,
            "/api/ranking": self._ranking,
            "/thumbnail": self._thumbnail,
            "/image": self._image,
            "/api/changes": self._changes,
            "/api/verdict": self._verdict,
            "/api/pair": self._pair,
            "/api/vote": self._vote,
            "/api/undo": self._undo,
            "/api/redo": self._redo,
            "/api/export": self._export,
            **{path: _static_file(*file) for path, file in _FILES.items()},
        }
        routes = [Route(path, handlers[path], methods=[door.method]) for path, door in DOORS.items()]
        return Starlette(
            routes=routes,
            exception_handlers={_BadRequest: _refuse, PictureMissing: _refuse, DesignkitError: _fail},
        )

    def close(self) -> None:
        """Give up small pictures that nobody waits for any more."""
        self._painters.shutdown(wait=True, cancel_futures=True)

    def _run(self, request: Request) -> Response:
        run = self.contents()
        self.log.refresh()
        version, _ = self.log.changes(0)
        sizes = {(record.width, record.height) for record in self._records.values()}
        document = {
            "name": run.name,
            "facts": run_facts(run),
            "reviewer": self.reviewer,
            "picks": str((self.path / PICKS).resolve()),
            "version": version,
            "votes": len(contests_of(self.log.votes())),
            "standings": _standings_json(self.log.standings()),
            "images": [_image_json(record, len(sizes) > 1) for record in self._records.values()],
        }
        return JSONResponse(document)

    def _ranking(self, request: Request) -> Response:
        self.contents()
        self.log.refresh()
        records, votes = self._records, self.log.votes()
        contests = [contest for contest in contests_of(votes) if contest.left in records and contest.right in records]
        sizes = {(record.width, record.height) for record in records.values()}
        choices = {id: _facets(record, len(sizes) > 1) for id, record in records.items()}
        ranking = rank_axis_values(contests, choices)
        sides = [contest.score for contest in contests if contest.score != 0.5]
        return JSONResponse(
            {
                "votes": len(contests),
                "ties": len(contests) - len(sides),
                "left": sum(score == 1 for score in sides),
                "images": [_strength_json(strength) for strength in rank_items(contests)],
                "axes": {axis: [_strength_json(strength) for strength in each] for axis, each in ranking.items()},
            }
        )

    async def _thumbnail(self, request: Request) -> Response:
        record = self._asked_for(request)
        async with self._painting:
            # Whoever scrolls on does not wait any more, and must not hold up those who do.
            if await request.is_disconnected():
                raise PictureMissing("nobody waits for it any more")
            data = await asyncio.get_running_loop().run_in_executor(self._painters, thumbnail, self.path, record)
        return Response(data, media_type="image/webp", headers={"cache-control": "private, max-age=600"})

    def _image(self, request: Request) -> Response:
        data = whole_picture(self.path, self._asked_for(request))
        return Response(data, media_type="image/png", headers={"cache-control": "private, max-age=600"})

    def _changes(self, request: Request) -> Response:
        body = _parse(_Changes, request)
        self.contents()
        self.log.refresh()
        return self._changes_since(body.since)

    def _verdict(self, request: Request) -> Response:
        body = _parse(_Verdict, request)
        self._known(body.image)
        if body.flag is None and body.stars is None:
            raise _BadRequest("a verdict is a flag, stars, or both")
        self.log.judge(body.image, reviewer=body.reviewer, flag=body.flag, stars=body.stars)
        return self._changes_since(body.since)

    def _pair(self, request: Request) -> Response:
        body = _parse(_Pair, request)
        for id in body.pool:
            self._known(id)
        self.log.refresh()
        votes = self.log.votes()
        # A pair that this reviewer would not decide is not shown again, and no pair twice in a row.
        skipped = {
            frozenset((vote.left, vote.right))
            for vote in votes
            if vote.result == "skip" and vote.reviewer == body.reviewer
        }
        last = {frozenset((vote.left, vote.right)) for vote in votes[-1:]}
        contests = [each for each in contests_of(votes) if each.left in self._records and each.right in self._records]
        pair = next_pair(body.pool, contests, self._chance, avoid=skipped | last)
        if pair is None:
            pair = next_pair(body.pool, contests, self._chance, avoid=skipped)
        return JSONResponse({"pair": pair})

    def _vote(self, request: Request) -> Response:
        body = _parse(_Vote, request)
        self._known(body.left)
        self._known(body.right)
        if body.left == body.right:
            raise _BadRequest("a vote is on two different pictures")
        self.log.vote(body.left, body.right, body.result, reviewer=body.reviewer)
        return self._changes_since(body.since)

    def _undo(self, request: Request) -> Response:
        body = _parse(_Turn, request)
        return self._changes_since(body.since, undone=_act_json(self.log.undo(body.reviewer)))

    def _redo(self, request: Request) -> Response:
        body = _parse(_Turn, request)
        return self._changes_since(body.since, redone=_act_json(self.log.redo(body.reviewer)))

    def _export(self, request: Request) -> Response:
        body = _parse(_Export, request)
        self.log.refresh()
        report = export_review(self.contents(), self.log, self.path / PICKS, min_stars=body.min_stars)
        return JSONResponse({**asdict(report), "folder": str(report.folder.resolve())})

    def _changes_since(self, since: int, **more: object) -> Response:
        version, changed = self.log.changes(since)
        document: dict[str, object] = {
            "version": version,
            "standings": _standings_json(changed),
            "votes": len(contests_of(self.log.votes())),
            "images": len(self._records),
            **more,
        }
        return JSONResponse(document)

    def _asked_for(self, request: Request) -> Record:
        return self._known(request.query_params["id"])

    def _known(self, id: str) -> Record:
        if id not in self._records:
            self.contents()
        try:
            return self._records[id]
        except KeyError:
            raise PictureMissing("the run has no picture of this id") from None


def serve(review: Review, announce: Callable[[str], None]) -> None:
    """Serve the page on a free port of this machine alone until a signal comes; `announce` is told its address.

    The address holds a token that works once. Raises StorageError where no port is to be had.
    """
    review.contents()
    with _listen() as listener:
        port = listener.getsockname()[1]
        guard = Guard(review.application(), DOORS, port=port)
        config = uvicorn.Config(
            guard,
            http=_PatientProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=logging.CRITICAL,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=16 * 1024,
        )
        announce(f"http://127.0.0.1:{port}/?token={guard.token}")
        try:
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            review.close()


class _PatientProtocol(H11Protocol):
    """HTTP/1.1 that hangs up on a client whose request does not arrive in time, which would hold its place for ever."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take in what has come; wait on while it is not a whole head of a request."""
        super().data_received(data)
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._stop_waiting()
        elif self._deadline is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """An idle connection is closed by the server's own timer, which any byte would stop: ours goes on."""
        super().on_response_complete()
        self._stop_waiting()

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _listen() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise StorageError(f"no port of this machine can be served on: {error}") from error
    return listener


def _static_file(name: str, media_type: str) -> Callable[[Request], Response]:
    data = (_STATIC / name).read_bytes()
    return lambda request: Response(data, headers={"content-type": media_type})


def _parse(model: type[B], request: Request) -> B:
    try:
        return model.model_validate_json(request.scope[BODY])
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _BadRequest(f"{place}: {first['msg']}" if place else first["msg"]) from None


def _facets(record: Record, with_size: bool) -> dict[str, str]:
    """What pictures are filtered and compared by."""
    facets = dict(record.choices)
    if with_size:
        facets.setdefault("size", f"{record.width} × {record.height}")
    return facets


def _image_json(record: Record, with_size: bool) -> dict[str, Any]:
    return {
        "id": record.id,
        "width": record.width,
        "height": record.height,
        "title": picture_title(record),
        "detail": picture_detail(record),
        "prompt": record.prompt,
        "negative": record.negative,
        "facets": _facets(record, with_size),
        "failure": record.failure if record.file is None else None,
    }


def _standings_json(standings: Mapping[str, Standing]) -> dict[str, Any]:
    return {id: [each.flag, each.stars, each.reviewer] for id, each in standings.items()}


def _strength_json(strength: Strength) -> dict[str, Any]:
    preferred, low, high = strength.preferred
    return {
        "name": strength.name,
        "rank": strength.rank,
        "preferred": round(preferred, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "won": strength.num_won,
        "lost": strength.num_lost,
        "tied": strength.num_tied,
    }


def _act_json(act: object) -> dict[str, Any] | None:
    """What an undo or redo was about: a picture, or a vote."""
    if act is None:
        return None
    if isinstance(act, Vote):
        return {"kind": "vote", "result": act.result}
    return {"kind": "verdict", "image": getattr(act, "image", "")}


def _refuse(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 404 if isinstance(error, PictureMissing) else 400)


def _fail(request: Request, error: Exception) -> Response:
    """A full disk, or a run that somebody took away: the page shows it, and nothing counts that is not on the disk."""
    return JSONResponse({"error": str(error)}, 507 if isinstance(error, StorageError) else 409)
