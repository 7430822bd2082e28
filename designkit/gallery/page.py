"""The page of a run: `index.html`, one file beside the pictures that opens from the disk and loads nothing else.

Everything the page shows is in one block of JSON inside it, from which its script builds the page as text.
Style and script are named by their hashes in the page's policy, so that nothing else can run there.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

from designkit.files import write_durably
from designkit.gallery.labels import picture_detail, picture_title, run_facts
from designkit.gallery.scores import Scores, read_scores
from designkit.gallery.sheet import sheet_names, sheet_pages
from designkit.runs.folder import RunContents
from designkit.runs.metadata import bare_name
from designkit.runs.reviews import ReviewLog, Standing
from designkit.values import Record

PAGE = "index.html"

_STATIC = Path(__file__).parent / "static"
_UNJUDGED = Standing()


def write_page(run: RunContents) -> Path:
    """Write the page of a run into its folder and return its path; raises StorageError.

    The same pictures and verdicts give the same bytes: neither the day nor the time that a picture took are on it.
    """
    path = run.path / PAGE
    write_durably(path, page_html(run).encode())
    return path


def page_html(run: RunContents) -> str:
    """The text of the page."""
    style, script, template = (_static(name) for name in ("page.css", "page.js", "page.html"))
    # `self` does not cover pages opened from the disk in every browser; `file:` does.
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src 'self' file:; "
        f"style-src '{_source_hash(style)}'; script-src '{_source_hash(script)}'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(run.name),
        "style": style,
        "data": _script_safe_json(_page_data(run)),
        "script": script,
    }
    page = template
    # What was put in is never searched for marks again: each step goes on behind it.
    done = ""
    for name, value in parts.items():
        before, _, page = page.partition("{{" + name + "}}")
        done += before + value
    return done + page


def _page_data(run: RunContents) -> dict[str, Any]:
    everything = (*run.records, *run.outside)
    verdicts = ReviewLog(run.path).standings()
    judged = [verdicts.get(record.id, _UNJUDGED) for record in everything]
    varying = {
        "verdict": any(verdict.flag != "none" for verdict in judged),
        "stars": any(verdict.stars for verdict in judged),
        "size": len({(record.width, record.height) for record in everything}) > 1,
        "seed": len({record.seed for record in everything}) > 1,
        "plan": bool(run.outside),
    }
    scores = read_scores(run.path)
    images = [
        _image_data(record, varying, scores, verdict, is_earlier=number >= len(run.records))
        for number, (record, verdict) in enumerate(zip(everything, judged, strict=True))
    ]
    pages = sheet_pages(run.records)
    return {
        "name": run.name,
        "facts": run_facts(run),
        "sheets": sheet_names(len(pages)),
        "grid": [pages[0].grid.across, pages[0].grid.down] if pages[0].grid else None,
        "scores": scores.page,
        "images": images,
    }


def _image_data(
    record: Record, varying: dict[str, bool], scores: Scores, verdict: Standing, *, is_earlier: bool
) -> dict[str, Any]:
    extra = {
        "verdict": {"pick": "picked", "reject": "rejected", "none": "no verdict"}[verdict.flag],
        "stars": "★" * verdict.stars or "no stars",
        "size": f"{record.width} × {record.height}",
        "seed": str(record.seed),
        "plan": "earlier" if is_earlier else "current",
    }
    return {
        "id": record.id,
        "file": record.file,
        "failure": record.failure,
        "width": record.width,
        "height": record.height,
        "prompt": record.prompt,
        "negative": record.negative,
        "choices": dict(record.choices),
        "extra": {name: value for name, value in extra.items() if varying[name] and name not in record.choices},
        "earlier": is_earlier,
        "flag": verdict.flag,
        "stars": verdict.stars,
        "title": picture_title(record),
        "detail": picture_detail(record),
        "settings": [[name, str(value)] for name, value in _settings(record)],
        "scores": dict(scores.values.get(record.id, {})),
        "rated": scores.rows.get(record.id, []),
    }


def _settings(record: Record) -> Iterator[tuple[str, object]]:
    """Name and value of everything the viewer lists for one picture, in order."""
    settings, model = record.settings, record.model
    yield from record.choices.items()
    yield "Seed", record.seed
    yield "Size", f"{record.width} × {record.height}"
    if settings.get("drawn") not in (None, f"{record.width}x{record.height}"):
        yield "Drawn at", str(settings["drawn"]).replace("x", " × ")
    yield from _known(settings, (("Steps", "steps"), ("Guidance", "guidance"), ("Scheduler", "scheduler")))
    for adapter in settings.get("adapters", ()):
        yield "Adapter", f"{PurePath(adapter['path']).name} at {adapter['weight']:g}"
    yield "Model", bare_name(model["name"])
    yield "Revision", str(model["revision"])[:12]
    yield "Licence", model["licence"]
    yield from _known(settings, (("Precision", "precision"), ("Device", "device")))
    for warning in record.warnings:
        yield "Note", warning
    yield "File", PurePath(record.file).name if record.file else f"none: {record.failure}"


def _known(settings: Any, names: Sequence[tuple[str, str]]) -> Iterable[tuple[str, object]]:
    return ((title, settings[key]) for title, key in names if settings.get(key) is not None)


def _script_safe_json(data: object) -> str:
    """JSON that can stand in a script element: whatever could end the element or open a comment is escaped."""
    text = json.dumps(data, ensure_ascii=False)
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def _source_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _static(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")
