"""`designkit evaluate` as its users see it: tables, numbers, the page, what is refused, and kill -9."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer

from designkit.cli import judge
from designkit.errors import InputRefused, ModelRefused, StorageError
from designkit.evaluation.extractors import DesignDescriber
from tests.cli.commands import run
from tests.evaluation.samples import draw_folder, draw_run, write_brand

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run, a reference and a brand, and a cache of its own."""
    monkeypatch.setenv("DESIGNKIT_CACHE", str(tmp_path / "cache"))
    draw_run(tmp_path / "run")
    draw_folder(tmp_path / "reference", 12)
    write_brand(tmp_path / "brand")
    return tmp_path


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the extractor that opens at once, and those that are asked for."""
    opened = judge._open_extractors

    def open_light(names: Sequence[str]):
        return opened(names) if names else [DesignDescriber()]

    monkeypatch.setattr(judge, "_open_extractors", open_light)


def test_a_run_is_measured_against_reference_and_brand(place: Path) -> None:
    draw_run(place / "small", per_ground=3)
    draw_folder(place / "reference" / "few", 6)
    done = run("evaluate", "small", "--reference", "reference/few", "--brand", "brand", cwd=place, timeout=280)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")
    assert lines[0] == "small: 6 pictures measured, brand Lumen"
    assert re.search(
        r"^  on palette +0\.9\d +0\.\d\d to 0\.\d\d +higher is better +\w+\.png$", done.stdout, re.MULTILINE
    )
    assert re.search(r"^  by ground +best +then$", done.stdout, re.MULTILINE)
    assert re.search(
        r"^  copy contrast +cream \S+ \[.*\] +teal \S+ \[.*\] +within noise \(p [\d.]+\)$", done.stdout, re.MULTILINE
    )
    assert re.search(r"^  prompt gain\[starter:\w{8}\] +-?[\d.]+ ", done.stdout, re.MULTILINE)
    assert "  against 6 pictures of few (paired by nearest by design:1)" in lines
    score = r"^  FD\[(pixel-pca|randconv|design|starter):\w+\] +\S+ +\S+ to \S+ +\S+ +\S+$"
    assert len(re.findall(score, done.stdout, re.MULTILINE)) == 4
    assert "real against real" in done.stdout
    assert "bicubic, antialiased, to 128x128" in done.stdout
    document = json.loads((place / "small" / "metrics.json").read_text())
    assert document["count"] == 6
    assert '"copy contrast"' in (place / "small" / "index.html").read_text()
    assert not (place / "reference" / "few" / "metrics.json").exists()


def test_the_brand_of_a_run_is_taken_from_it(place: Path, light: None, capsys: pytest.CaptureFixture[str]) -> None:
    description = json.loads((place / "run" / "run.json").read_text())
    description["plan"]["brand"] = str(place / "brand")
    (place / "run" / "run.json").write_text(json.dumps(description))
    judge.evaluate(place / "run")
    assert capsys.readouterr().out.startswith("run: 12 pictures measured, brand Lumen\n")


def test_broken_pictures_are_named_and_the_exit_code_tells(
    place: Path, light: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "reference" / "broken.png").write_text("no picture")
    with pytest.raises(typer.Exit) as ended:
        judge.evaluate(place / "reference", as_json=True)
    assert ended.value.exit_code == 3
    document = json.loads(capsys.readouterr().out)
    assert [each["file"] for each in document["broken"]] == ["broken.png"]
    assert (document["count"], document["page"], document["errors"]) == (12, None, [])
    assert document["metrics"] == str(place / "reference" / "metrics.json")
    with pytest.raises(typer.Exit):
        judge.evaluate(place / "reference")
    assert "\n  left out: broken.png: is no picture that can be read: " in capsys.readouterr().out


def test_what_cannot_be_measured_is_refused_before_anything_is(place: Path) -> None:
    with pytest.raises(InputRefused, match="no such folder"):
        judge.evaluate(place / "nothing")
    with pytest.raises(InputRefused, match="no brand kit"):
        judge.evaluate(place / "run", brand=place / "reference")
    with pytest.raises(ModelRefused, match="neither a folder"):
        judge.evaluate(place / "run", extractors=["./no/such/folder"])


def test_without_the_extra_it_says_what_to_install(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "find_spec", lambda name: None)
    with pytest.raises(InputRefused, match=re.escape("pip install 'designkit[evaluate]'")):
        judge.evaluate(place / "run")


def test_a_folder_that_cannot_be_written_costs_no_results(
    place: Path, light: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "run" / "metrics.json").mkdir()
    with pytest.raises(StorageError, match=r"metrics\.json"):
        judge.evaluate(place / "run")
    assert "\n  by ground " in capsys.readouterr().out


MEASURE = """
import sys
from pathlib import Path
from designkit.evaluation.cache import MeasureCache
from designkit.evaluation.measuring import measure_pictures
from designkit.evaluation.pictures import find_pictures
from designkit.evaluation.report import LIGHT
with MeasureCache() as cache:
    for measured in measure_pictures(find_pictures(Path("pictures")).pictures, LIGHT, cache):
        print(measured.sha256, flush=True)
"""


def test_what_was_measured_before_kill_9_is_there_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_folder(tmp_path / "pictures", 13)
    monkeypatch.setenv("DESIGNKIT_CACHE", str(tmp_path / "cache"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", MEASURE], cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(8)]
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    process.wait()
    with sqlite3.connect(tmp_path / "cache" / "measures-1.sqlite") as database:
        kept = {picture for (picture,) in database.execute("SELECT picture FROM results")}
    database.close()
    assert set(told) <= kept
    again = subprocess.run(
        [sys.executable, "-c", MEASURE], cwd=tmp_path, env=environment, text=True, capture_output=True, check=True
    )
    assert again.stdout.split()[:8] == told
    assert len(again.stdout.split()) == 13
