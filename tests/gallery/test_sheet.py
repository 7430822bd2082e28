"""Contact sheets show every picture once, in order, and are drawn again only where something changed."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from designkit.errors import StorageError
from designkit.gallery.sheet import PICTURES_PER_PAGE, draw_sheet, sheet_names, write_sheets
from tests.gallery.runs import finished_run, numbered
from tests.runs.records import record


def area(page: Image.Image, colour: tuple[int, int, int]) -> int:
    """How many pixels of the page have nearly that colour."""
    distance = ImageChops.difference(page, Image.new("RGB", page.size, colour)).convert("L")
    return sum(distance.histogram()[:3])


def test_every_picture_is_on_the_sheet_in_its_own_shape(tmp_path: Path) -> None:
    shapes = [(64, 64), (30, 90), (160, 40)]
    records = [record(f"{number:012x}", width=width, height=height) for number, (width, height) in enumerate(shapes)]
    run = finished_run(tmp_path / "run", records)
    (sheet,) = write_sheets(run)
    with Image.open(sheet) as page:
        heights = []
        for number, (width, height) in enumerate(shapes):
            colour = (40 * number % 256, 90, 160)
            box = _box(page, colour)
            assert box is not None
            assert (box[2] - box[0]) / (box[3] - box[1]) == pytest.approx(width / height, rel=0.05)
            heights.append(box[3] - box[1])
        assert max(heights) - min(heights) <= 2
        assert 220 <= heights[0] <= 500


def _box(page: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int] | None:
    distance = ImageChops.difference(page, Image.new("RGB", page.size, colour)).convert("L")
    return distance.point([255] + [0] * 255).getbbox()


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (finished_run(tmp_path / place / "run", numbered(5)) for place in ("here", "there"))
    (one,), (two,) = write_sheets(first), write_sheets(second)
    assert one.read_bytes() == two.read_bytes()


def test_a_sheet_is_drawn_again_only_when_its_pictures_change(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", numbered(3))
    (sheet,) = write_sheets(run)
    before = sheet.stat()
    write_sheets(run)
    assert sheet.stat().st_ino == before.st_ino
    longer = finished_run(tmp_path / "run", numbered(4))
    (sheet,) = write_sheets(longer)
    assert sheet.stat().st_ino != before.st_ino
    sheet.write_bytes(sheet.read_bytes()[:2000])
    (sheet,) = write_sheets(longer)
    with Image.open(sheet) as page:
        page.load()


def test_long_runs_go_over_pages_and_short_ones_leave_none_behind(tmp_path: Path) -> None:
    many = numbered(PICTURES_PER_PAGE + 1, width=8, height=8)
    run = finished_run(tmp_path / "run", many)
    assert [path.name for path in write_sheets(run)] == ["contact-sheet.png", "contact-sheet-2.png"]
    short = finished_run(tmp_path / "run", many[:2])
    assert [path.name for path in write_sheets(short)] == ["contact-sheet.png"]
    assert not (tmp_path / "run" / "contact-sheet-2.png").exists()


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (1, 1), (60, 1), (61, 2), (120, 2), (121, 3)])
def test_as_many_pages_as_needed(count: int, pages: int) -> None:
    assert len(sheet_names(count)) == pages


def test_no_row_is_wider_than_the_page_whatever_the_shapes(tmp_path: Path) -> None:
    shapes = itertools.product((20, 60, 300), (20, 60, 300))
    records = [record(f"{number:012x}", width=width, height=height) for number, (width, height) in enumerate(shapes)]
    run = finished_run(tmp_path / "run", records)
    assert draw_sheet(run, run.records).width <= 2100
    lone = finished_run(tmp_path / "lone", [record("aaaaaaaaaaaa", width=2000, height=20)])
    assert draw_sheet(lone, lone.records).width <= 2100


def test_failed_and_vanished_pictures_leave_a_frame_with_the_reason(tmp_path: Path) -> None:
    failed = record(
        "bbbbbbbbbbbb", status="failed", file=None, failure="the picture came out black", width=64, height=64
    )
    run = finished_run(tmp_path / "run", [*numbered(2), failed])
    with_reason = draw_sheet(run, run.records)
    assert area(with_reason, (164, 38, 44)) > 50
    (tmp_path / "run" / "images" / "000000000001.png").unlink()
    assert area(draw_sheet(run, run.records), (164, 38, 44)) > area(with_reason, (164, 38, 44))


def test_transparent_pictures_lie_on_white(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", numbered(1, width=100, height=100))
    Image.new("RGBA", (100, 100), (255, 0, 0, 0)).save(tmp_path / "run" / "images" / "000000000000.png")
    page = draw_sheet(run, run.records)
    assert area(page, (255, 255, 255)) > 200 * 200
    assert area(page, (255, 0, 0)) == 0


def test_an_empty_run_still_has_a_sheet(tmp_path: Path) -> None:
    (sheet,) = write_sheets(finished_run(tmp_path / "run", []))
    with Image.open(sheet) as page:
        assert page.size[0] >= 760


def test_long_and_foreign_captions_stay_within_their_places(tmp_path: Path) -> None:
    words = {"a": "Crème brûlée × 3 – 夏の飲み物", "b": "unbreakable" * 20, "c": "many words " * 30}
    long, short = (
        record("aaaaaaaaaaaa", width=40, height=40, choices=words),
        record("bbbbbbbbbbbb", width=40, height=40),
    )
    run = finished_run(tmp_path / ("long" * 50), [long, short])
    page = draw_sheet(run, run.records)
    ink = page.convert("L").point([255 if level < 120 else 0 for level in range(256)])
    left, _, right, bottom = ink.getbbox() or (0, 0, 0, 0)
    assert left >= 50
    assert right <= page.width - 50
    assert bottom <= page.height - 20


def test_a_sheet_in_the_way_that_cannot_be_removed_is_told(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", numbered(1))
    (tmp_path / "run" / "contact-sheet-9.png").mkdir()
    with pytest.raises(StorageError, match=r"contact-sheet-9\.png"):
        write_sheets(run)
