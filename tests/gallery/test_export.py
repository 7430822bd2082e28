"""An export holds what was chosen, with ratings and untouched pixels, and never overwrites what people made of it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from designkit.errors import InputRefused
from designkit.gallery.export import export_review, verdict_table
from designkit.runs.folder import RunContents
from designkit.runs.reviews import ReviewLog
from tests.cli.commands import run_json
from tests.gallery.drafts import draft_run


@pytest.fixture
def soda(tmp_path: Path) -> tuple[RunContents, ReviewLog]:
    """Six pictures: two picked (one with stars), one with five stars, one rejected with five, one failed, one open."""
    run = draft_run(tmp_path / "soda", 6, side=40, failed=1)
    log = ReviewLog(run.path)
    ids = [record.id for record in run.records]
    log.judge(ids[0], reviewer="Ana", flag="pick", stars=4)
    log.judge(ids[1], reviewer="Ana", flag="pick")
    log.judge(ids[2], reviewer="Ben", stars=5)
    log.judge(ids[3], reviewer="Ben", flag="reject", stars=5)
    log.vote(ids[0], ids[1], "left", reviewer="Ana")
    log.vote(ids[1], ids[2], "tie", reviewer="Ana")
    return run, log


def names(run: RunContents, *numbers: int) -> tuple[str, ...]:
    return tuple(sorted(Path(str(run.records[number].file)).name for number in numbers))


def rating(path: Path) -> dict[str, str]:
    with Image.open(path) as picture:
        picture.load()
        (found,) = ElementTree.fromstring(picture.info["xmp"]).iter(
            "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"
        )
    return {
        name.rpartition("}")[2]: value
        for name, value in found.attrib.items()
        if name.startswith("{http://ns.adobe.com/xap/1.0/}") and not name.endswith("CreatorTool")
    }


def pixels_and_texts(path: Path) -> tuple[bytes, dict[str, str]]:
    with Image.open(path) as picture:
        picture.load()
        texts = {key: value for key, value in picture.info.items() if key in ("parameters", "designkit")}
        return picture.tobytes(), texts


def test_picks_are_copied_with_ratings_and_nothing_else_changes(
    soda: tuple[RunContents, ReviewLog], tmp_path: Path
) -> None:
    run, log = soda
    report = export_review(run, log, tmp_path / "out")
    assert (report.copies, report.removed, report.warnings) == (names(run, 0, 1), (), ())
    first, second = (tmp_path / "out" / Path(str(run.records[number].file)).name for number in (0, 1))
    assert rating(first) == {"Rating": "4", "Label": "Green"}
    assert rating(second) == {"Label": "Green"}
    for copy in (first, second):
        original = run.path / "images" / copy.name
        assert pixels_and_texts(copy) == pixels_and_texts(original)
        assert b"trainedAlgorithmicMedia" in copy.read_bytes()
        assert rating(original) == {}


def test_what_has_enough_stars_is_copied_but_for_rejects(soda: tuple[RunContents, ReviewLog], tmp_path: Path) -> None:
    run, log = soda
    report = export_review(run, log, tmp_path / "out", min_stars=4)
    assert report.copies == names(run, 0, 2)


def test_exporting_again_follows_the_choice_and_leaves_alone_what_people_changed(
    soda: tuple[RunContents, ReviewLog], tmp_path: Path
) -> None:
    run, log = soda
    out = tmp_path / "out"
    export_review(run, log, out)
    (out / "notes.txt").write_text("ours")
    worked_on, dropped = (out / name for name in (Path(str(run.records[n].file)).name for n in (0, 1)))
    worked_on.write_bytes(b"retouched")
    log.judge(run.records[1].id, reviewer="Ana", flag="none")
    log.judge(run.records[2].id, reviewer="Ana", flag="pick")
    report = export_review(run, log, out)
    assert report.removed == (dropped.name,)
    assert not dropped.exists()
    assert worked_on.read_bytes() == b"retouched"
    assert any(worked_on.name in warning for warning in report.warnings)
    assert (out / "notes.txt").read_text() == "ours"
    log.judge(run.records[0].id, reviewer="Ana", flag="reject")
    again = export_review(run, log, out)
    assert worked_on.read_bytes() == b"retouched"
    assert "stays" in "".join(again.warnings)
    # A rating that has changed since is written into our own copy.
    log.judge(run.records[2].id, reviewer="Ana", stars=1)
    export_review(run, log, out)
    assert rating(out / Path(str(run.records[2].file)).name) == {"Rating": "1", "Label": "Green"}


def test_a_file_that_was_there_before_is_never_overwritten(soda: tuple[RunContents, ReviewLog], tmp_path: Path) -> None:
    run, log = soda
    (tmp_path / "out").mkdir()
    theirs = tmp_path / "out" / names(run, 0)[0]
    theirs.write_bytes(b"another picture")
    report = export_review(run, log, tmp_path / "out")
    assert theirs.read_bytes() == b"another picture"
    assert theirs.name in "".join(report.warnings)


@pytest.mark.parametrize("place", [".", "images", "images/x"])
def test_the_runs_own_folders_are_refused(soda: tuple[RunContents, ReviewLog], place: str) -> None:
    run, log = soda
    with pytest.raises(InputRefused, match="among the pictures"):
        export_review(run, log, run.path / place)


def test_a_damaged_picture_is_copied_without_rating_or_left_out_and_named(
    soda: tuple[RunContents, ReviewLog], tmp_path: Path
) -> None:
    run, log = soda
    damaged, gone = (run.path / str(run.records[number].file) for number in (0, 1))
    damaged.write_bytes(damaged.read_bytes()[:-20])
    gone.unlink()
    report = export_review(run, log, tmp_path / "out")
    assert report.copies == (damaged.name,)
    assert (tmp_path / "out" / damaged.name).read_bytes() == damaged.read_bytes()
    assert [damaged.name in report.warnings[0], gone.name in report.warnings[1]] == [True, True]


def test_the_table_lists_every_picture_with_verdict_and_rank(soda: tuple[RunContents, ReviewLog]) -> None:
    run, log = soda
    table = verdict_table(run, log)
    assert table.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))
    assert [(row["verdict"], row["stars"], row["rank"], row["product"]) for row in rows] == [
        ("pick", "4", "1", "soda can"),
        ("pick", "", "3", "soda can"),
        ("", "5", "2", "soda can"),
        ("reject", "5", "", "soda can"),
        ("", "", "", "soda can"),
        ("", "", "", "soda can"),
    ]
    assert float(rows[0]["preferred_low"]) < float(rows[0]["preferred"]) < float(rows[0]["preferred_high"])
    assert [row["id"] for row in rows] == [record.id for record in run.records]


def test_no_text_of_the_table_is_a_formula(soda: tuple[RunContents, ReviewLog]) -> None:
    run, log = soda
    hostile = replace(run.records[0], prompt='=HYPERLINK("x")', choices={"=1+1": "@cmd", "seed": "-2", "rank": "+3"})
    table = verdict_table(replace(run, records=(hostile,)), log).decode("utf-8-sig")
    head, row = csv.reader(io.StringIO(table))
    assert {"'=1+1", "axis seed", "axis rank", "prompt"} <= set(head)
    assert {"'@cmd", "'-2", "'+3", '\'=HYPERLINK("x")'} <= set(row)
    assert not [cell for cell in (*head, *row) if cell.startswith(("=", "@", "+", "-"))]


def test_the_command_exports_without_serving(soda: tuple[RunContents, ReviewLog], tmp_path: Path) -> None:
    run, _ = soda
    said = run_json("review", "soda", "--export", "out", "--stars", "4", cwd=tmp_path)
    assert tuple(said["copies"]) == names(run, 0, 2)
    assert Path(tmp_path / said["table"]).read_bytes() == (tmp_path / "out" / "verdicts.csv").read_bytes()
    assert json.dumps(said["warnings"]) == "[]"
