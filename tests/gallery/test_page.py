"""The page of a run holds everything it shows, says nothing of the day, and runs nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from designkit.gallery.page import page_html, write_page
from designkit.runs.reviews import ReviewLog
from tests.gallery.runs import finished_run, numbered
from tests.runs.records import record

HOSTILE = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)> {{script}} \u2028 & \" ' 夏 ${x} \\"


class Page(html.parser.HTMLParser):
    """The parts of a page as a browser divides them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.policy = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "style", "onclick") and value]
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"] or ""
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        if self._inside == "style":
            self.styles.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


def page_of(folder: Path, records: list[Any], **options: Any) -> Page:
    return Page(page_html(finished_run(folder, records, **options)))


def data_of(page: Page) -> dict[str, Any]:
    return json.loads(page.scripts[0])


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    hostile = record(
        "aaaaaaaaaaaa",
        prompt=HOSTILE,
        negative=HOSTILE,
        choices={HOSTILE: HOSTILE},
        width=8,
        height=8,
        warnings=(HOSTILE,),
    )
    plain = page_of(tmp_path / "plain", numbered(1))
    page = page_of(tmp_path / HOSTILE.replace("/", "")[:60], [hostile])
    assert page.tags == plain.tags
    assert page.scripts[1:] == plain.scripts[1:]
    (image,) = data_of(page)["images"]
    assert (image["prompt"], image["negative"], image["choices"]) == (HOSTILE, HOSTILE, {HOSTILE: HOSTILE})
    assert "<" not in page.scripts[0]


def test_the_policy_names_the_pages_own_style_and_script_and_nothing_else(tmp_path: Path) -> None:
    page = page_of(tmp_path / "run", numbered(2))

    def named(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    rules = dict(rule.strip().split(" ", 1) for rule in page.policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "img-src": "'self' file:",
        "style-src": named("".join(page.styles)),
        "script-src": named(page.scripts[1]),
    }


def test_nothing_is_loaded_from_anywhere_else(tmp_path: Path) -> None:
    text = page_html(finished_run(tmp_path / "run", numbered(2)))
    assert Page(text).links == ["contact-sheet.png"]
    assert re.findall(r"https?:|//[a-z]|@import|url\(", re.sub(r"// Everything on the page[^\n]*", "", text)) == []
    assert "innerHTML" not in text


def test_the_page_is_the_same_whenever_and_wherever_the_run_was_made(tmp_path: Path) -> None:
    quick = [replace(each, seconds=0.1) for each in numbered(3)]
    slow = [replace(each, seconds=9.9) for each in numbered(3)]
    one = write_page(finished_run(tmp_path / "here" / "run", quick))
    two = write_page(finished_run(tmp_path / "there" / "run", slow))
    assert one == tmp_path / "here" / "run" / "index.html"
    assert one.read_bytes() == two.read_bytes()
    assert str(tmp_path) not in one.read_text()


def test_sizes_seeds_and_earlier_plans_are_filters_only_where_they_differ(tmp_path: Path) -> None:
    same = [record("aaaaaaaaaaaa", width=8, height=8), record("bbbbbbbbbbbb", width=8, height=8)]
    images = data_of(page_of(tmp_path / "same", same))["images"]
    assert [image["extra"] for image in images] == [{}, {}]
    differing = [record("aaaaaaaaaaaa", width=8, height=8), record("bbbbbbbbbbbb", width=8, height=16, seed=8)]
    old = record("cccccccccccc", width=8, height=8)
    images = data_of(page_of(tmp_path / "differing", differing, outside=[old]))["images"]
    assert [image["extra"] for image in images] == [
        {"size": "8 × 8", "seed": "7", "plan": "current"},
        {"size": "8 × 16", "seed": "8", "plan": "current"},
        {"size": "8 × 8", "seed": "7", "plan": "earlier"},
    ]
    assert [image["earlier"] for image in images] == [False, False, True]


def test_verdicts_are_shown_and_filtered_by_once_there_are_any(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", numbered(3))
    assert "verdict" not in json.dumps(data_of(Page(page_html(run)))["images"])
    log = ReviewLog(run.path)
    log.judge(run.records[0].id, reviewer="Ana", flag="pick", stars=4)
    log.judge(run.records[1].id, reviewer="Ana", flag="reject")
    images = data_of(Page(page_html(run)))["images"]
    assert [(image["flag"], image["stars"]) for image in images] == [("pick", 4), ("reject", 0), ("none", 0)]
    assert [(image["extra"]["verdict"], image["extra"]["stars"]) for image in images] == [
        ("picked", "★★★★"),
        ("rejected", "no stars"),
        ("no verdict", "no stars"),
    ]
    assert "Ana" not in page_html(run)


def test_a_failed_image_is_shown_with_its_reason(tmp_path: Path) -> None:
    failed = record("aaaaaaaaaaaa", status="failed", file=None, failure="the picture came out black")
    page = data_of(page_of(tmp_path / "run", [failed]))
    assert (page["images"][0]["file"], page["images"][0]["failure"]) == (None, "the picture came out black")
    assert page["facts"] == "0 pictures · 1 failed · drawn by draft · licence CC0-1.0"


def test_a_picture_without_choices_is_called_by_its_prompt(tmp_path: Path) -> None:
    words = "a soda can " * 30
    (image,) = data_of(
        page_of(tmp_path / "run", [record("aaaaaaaaaaaa", prompt=words, choices={}, width=8, height=8)])
    )["images"]
    assert image["title"] == ("a soda can " * 8).strip() + " a …"
    assert image["detail"] == "8 × 8 · seed 7"


def test_the_viewer_lists_all_that_set_the_pixels_without_folders(tmp_path: Path) -> None:
    settings = {
        "steps": 20,
        "guidance": 4.0,
        "scheduler": "euler",
        "adapters": [{"path": "/home/ana/lumen.safetensors", "weight": 0.8}],
        "drawn": "16x16",
        "device": "cpu",
        "precision": "fp32",
        "batch_size": 4,
    }
    model = {"name": "/home/ana/models/brand", "revision": "1234567890abcdef", "licence": "Apache-2.0"}
    shown = record("aaaaaaaaaaaa", width=8, height=8, settings=settings, warnings=("enlarged",), model=model)
    (image,) = data_of(page_of(tmp_path / "run", [shown]))["images"]
    assert image["settings"] == [
        ["product", "soda can"],
        ["scene", "teal"],
        ["Seed", "7"],
        ["Size", "8 × 8"],
        ["Drawn at", "16 × 16"],
        ["Steps", "20"],
        ["Guidance", "4.0"],
        ["Scheduler", "euler"],
        ["Adapter", "lumen.safetensors at 0.8"],
        ["Model", "brand"],
        ["Revision", "1234567890ab"],
        ["Licence", "Apache-2.0"],
        ["Precision", "fp32"],
        ["Device", "cpu"],
        ["Note", "enlarged"],
        ["File", "aaaaaaaaaaaa.png"],
    ]


def test_the_page_knows_which_axes_make_a_grid(tmp_path: Path) -> None:
    pairs = [("can", "teal"), ("can", "pink"), ("cat", "teal"), ("cat", "pink"), ("hat", "teal"), ("hat", "pink")]
    records = [
        record(f"{number:012x}", choices={"hero": hero, "ground": ground}, width=8, height=8)
        for number, (hero, ground) in enumerate(pairs)
    ]
    page = page_of(tmp_path / "run", records)
    assert data_of(page)["grid"] == ["hero", "ground"]
    assert [image["choices"] for image in data_of(page)["images"]] == [
        {"hero": hero, "ground": ground} for hero, ground in pairs
    ]
    assert data_of(page_of(tmp_path / "seeds", numbered(3)))["grid"] is None
