"""The page of an evaluated run shows its scores and sorts by them; a file that is none of ours shows nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from designkit.gallery.page import page_html, write_page
from designkit.gallery.scores import Scores, read_scores
from designkit.runs.folder import read_run
from tests.gallery.browser import open_browser
from tests.gallery.runs import finished_run, numbered
from tests.gallery.test_page import Page, data_of


def measure(key: str, better: str | None, **changes: Any) -> dict[str, Any]:
    numbers = {"mean": 0.5, "low": 0.4, "high": 0.6}
    return {
        "key": key,
        "title": key.title(),
        "better": better,
        "digits": 1,
        "about": f"{key} <b>",
        **numbers,
        **changes,
    }


def document(**changes: Any) -> dict[str, Any]:
    entries = [
        {"value": name, "mean": mean, "low": mean, "high": mean, "count": 2} for name, mean in (("b", 3.0), ("a", 1.0))
    ]
    return {
        "measures": [measure("calm", "higher"), measure("off", "lower"), measure("taste", None, mean=None)],
        "images": [
            {"id": f"{number:012x}", "values": {"calm": value, "off": value, "taste": None}}
            for number, value in enumerate([2.0, 9.0, 4.0])
        ],
        "axes": [{"axis": "ground", "measure": "calm", "values": entries, "p": 0.0123, "leads": True}],
        "sets": [{"score": "FD[x]", "value": 12.3456, "low": 11, "high": 13, "value_at_floor": 14, "floor": 2}],
        "reference": {"name": "shop"},
        **changes,
    }


def evaluated(folder: Path, found: object) -> Path:
    finished_run(folder, numbered(4))
    (folder / "metrics.json").write_text(json.dumps(found))
    return folder


def test_scores_are_read_as_texts(tmp_path: Path) -> None:
    scores = read_scores(evaluated(tmp_path / "run", document()))
    assert scores.values["000000000001"] == {"calm": 9.0, "off": 9.0}
    assert scores.rows["000000000001"] == [["Calm", "9.0"], ["Off", "9.0"]]
    assert scores.page == {
        "sorts": [["calm", "Calm", True], ["off", "Off", False]],
        "measures": [["Calm", "0.5", "0.4 to 0.6", "calm <b>"], ["Off", "0.5", "0.4 to 0.6", "off <b>"]],
        "axes": [
            {
                "axis": "ground",
                "columns": ["a", "b"],
                "rows": [
                    {
                        "title": "Calm",
                        "cells": [["1.0", "1.0 to 1.0"], ["3.0", "3.0 to 3.0"]],
                        "best": 1,
                        "leads": True,
                        "p": "0.012",
                    }
                ],
            }
        ],
        "sets": [["FD[x]", "12.35", "11 to 13", "14", "2"]],
        "reference": "shop",
    }


@pytest.mark.parametrize("found", [
    None, [], {}, 3, "text", document(measures=3), document(images=[{"id": 1}]), document(sets=[{"score": "x"}]),
    document(axes=[{"axis": "a", "measure": "none", "values": []}]),
    document(measures=[measure("calm", "x", digits="y")]),
])  # fmt: skip
def test_a_file_that_is_none_of_ours_shows_nothing(tmp_path: Path, found: object) -> None:
    run = evaluated(tmp_path / "run", found)
    assert read_scores(run) == Scores()
    data = data_of(Page(page_html(read_run(run))))
    assert data["scores"] is None
    assert [image["scores"] for image in data["images"]] == [{}] * 4
    (run / "metrics.json").write_bytes(b"\xff{")
    assert read_scores(run) == Scores()
    assert read_scores(tmp_path / "nowhere") == Scores()


def test_the_page_sorts_by_a_score_and_shows_the_tables(tmp_path: Path) -> None:
    run = evaluated(tmp_path / "run", document())
    titles = (
        "[...document.querySelectorAll('.card .detail')].map((each) => each.textContent.split('seed ')[1]).join(' ')"
    )
    choose = (
        "(() => {{ const sort = document.getElementById('sort'); sort.value = '{}'; "
        "sort.dispatchEvent(new Event('change')) }})()"
    )
    with open_browser() as browser:
        page = browser.page()
        page.go(write_page(read_run(run)).as_uri())
        page.until("document.querySelectorAll('.card').length === 4")
        assert page.run(titles) == "0 1 2 3"
        page.run(choose.format("calm"))
        # The picture without a score comes last, whichever way is better.
        assert page.run(titles) == "1 2 0 3"
        page.run(choose.format("off"))
        assert page.run(titles) == "0 2 1 3"
        page.run("document.querySelector('.card').click()")
        assert page.run("document.getElementById('settings').textContent").endswith("Calm2.0Off2.0")
        page.run("document.getElementById('viewer').close()")
        page.run(choose.format(""))
        assert page.run(titles) == "0 1 2 3"
        page.run("document.querySelector('#scores summary').click()")
        text = page.run("document.getElementById('scores').innerText")
        for words in ("calm <b>", "b leads (p 0.012)", "against shop", "FD[x]"):
            assert words in text
        assert page.complaints() == []
