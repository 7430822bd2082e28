"""Contact sheets show every picture once, in order, and are drawn again only where something changed."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from designkit.errors import StorageError
from designkit.gallery.rows import draw_rows
from designkit.gallery.sheet import PICTURES_PER_PAGE, draw_sheet, sheet_pages, write_sheets
from designkit.values import Record
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
    assert len(sheet_pages(numbered(count))) == pages


def test_no_row_is_wider_than_the_page_whatever_the_shapes(tmp_path: Path) -> None:
    shapes = itertools.product((20, 60, 300), (20, 60, 300))
    records = [record(f"{number:012x}", width=width, height=height) for number, (width, height) in enumerate(shapes)]
    run = finished_run(tmp_path / "run", records)
    assert draw_rows(run, run.records).width <= 2100
    lone = finished_run(tmp_path / "lone", [record("aaaaaaaaaaaa", width=2000, height=20)])
    assert draw_rows(lone, lone.records).width <= 2100


def test_failed_and_vanished_pictures_leave_a_frame_with_the_reason(tmp_path: Path) -> None:
    failed = record(
        "bbbbbbbbbbbb", status="failed", file=None, failure="the picture came out black", width=64, height=64
    )
    run = finished_run(tmp_path / "run", [*numbered(2), failed])
    with_reason = draw_rows(run, run.records)
    assert area(with_reason, (164, 38, 44)) > 50
    (tmp_path / "run" / "images" / "000000000001.png").unlink()
    assert area(draw_rows(run, run.records), (164, 38, 44)) > area(with_reason, (164, 38, 44))


def test_transparent_pictures_lie_on_white(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", numbered(1, width=100, height=100))
    Image.new("RGBA", (100, 100), (255, 0, 0, 0)).save(tmp_path / "run" / "images" / "000000000000.png")
    page = draw_rows(run, run.records)
    assert area(page, (255, 255, 255)) > 200 * 200
    assert area(page, (255, 0, 0)) == 0


def test_an_empty_run_still_has_a_sheet(tmp_path: Path) -> None:
    (sheet,) = write_sheets(finished_run(tmp_path / "run", []))
    with Image.open(sheet) as page:
        assert page.size[0] >= 760


def chosen(*axes: dict[str, list[str]], **changes: object) -> list[Record]:
    """A record for each combination of the values of the axes, in order."""
    names = [name for axis in axes for name in axis]
    rows = itertools.product(*(values for axis in axes for values in axis.values()))
    return [
        record(f"{number:012x}", choices=dict(zip(names, row, strict=True)), **{"width": 48, "height": 48, **changes})
        for number, row in enumerate(rows)
    ]


HERO, GROUND, STYLE = {"hero": ["can", "cat", "hat"]}, {"ground": ["teal", "pink"]}, {"style": ["flat", "cut"]}


def test_two_axes_make_a_labelled_grid_with_each_picture_in_its_place(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", chosen(HERO, GROUND))
    (page,) = sheet_pages(run.records)
    assert page.grid is not None
    assert (page.grid.across, page.grid.down) == ("hero", "ground")
    picture = draw_sheet(run, page)
    places = [_box(picture, (40 * number, 90, 160)) for number in range(6)]
    assert all(places)
    lefts, tops = zip(*(place[:2] for place in places if place), strict=True)
    # Values of the first axis go across, those of the second down.
    assert lefts[0] == lefts[1] < lefts[2] == lefts[3] < lefts[4] == lefts[5]
    assert tops[0] == tops[2] == tops[4] < tops[1] == tops[3] == tops[5]


def test_further_axes_make_further_grids(tmp_path: Path) -> None:
    (page,) = sheet_pages(chosen(HERO, STYLE, GROUND))
    assert [(block.label, block.columns, block.rows) for block in page.blocks] == [
        ((("ground", ground),), ("can", "cat", "hat"), ("flat", "cut")) for ground in ("teal", "pink")
    ]


def test_sizes_and_seeds_are_axes_too() -> None:
    records = [
        record(f"{width:06x}{seed:06x}", seed=seed, width=width, height=32)
        for width in (32, 64)
        for seed in (1, 2, 3)
    ]  # fmt: skip
    (page,) = sheet_pages(records)
    assert page.grid is not None
    assert (page.grid.across, page.grid.down) == ("seed", "size")


def test_a_column_that_a_grid_has_nothing_for_is_left_out() -> None:
    records = [
        each for each in chosen(HERO, GROUND, STYLE) if each.choices["style"] == "flat" or each.choices["hero"] == "cat"
    ]
    (page,) = sheet_pages(records)
    assert [block.columns for block in page.blocks] == [("can", "cat", "hat"), ("cat",)]


def test_pictures_that_would_share_a_place_or_leave_most_empty_stay_in_rows() -> None:
    twice = [*chosen(HERO, GROUND), record("f" * 12, choices={"hero": "can", "ground": "teal"}, width=48, height=48)]
    sparse = chosen({"hero": [str(number) for number in range(9)]}, {"ground": [str(number) for number in range(9)]})[
        ::10
    ]
    one_axis = chosen(HERO)
    for records in (twice, sparse, one_axis):
        assert [page.grid for page in sheet_pages(records)] == [None]


@pytest.mark.parametrize(("across", "down"), [(3, 2), (10, 12), (12, 3), (25, 30), (2, 70)])
def test_every_picture_of_a_grid_is_on_exactly_one_page(across: int, down: int) -> None:
    records = chosen(
        {"a": [str(number) for number in range(across)]}, {"b": [str(number) for number in range(down)]}, GROUND
    )
    pages = sheet_pages(records)
    shown = [record.id for page in pages for record in page.records]
    assert sorted(shown) == sorted(record.id for record in records)
    assert all(len(page.records) <= PICTURES_PER_PAGE for page in pages)


def test_a_failed_picture_in_a_grid_tells_why_and_long_labels_stay_inside(tmp_path: Path) -> None:
    words = ["Crème brûlée × 3 – 夏の飲み物", "unbreakable" * 20, "many words " * 30]
    records = chosen({"a" * 90: words}, {"b" * 90: words}, {"c" * 90: words})
    records[4] = replace(records[4], status="failed", file=None, failure="the picture came out black")
    run = finished_run(tmp_path / ("long" * 50), records)
    page = draw_sheet(run, sheet_pages(run.records)[0])
    assert area(page, (164, 38, 44)) > 20
    ink = page.convert("L").point([255 if level < 90 else 0 for level in range(256)])
    left, _, right, _ = ink.getbbox() or (0, 0, 0, 0)
    assert left >= 50
    assert right <= page.width - 50


def test_long_and_foreign_captions_stay_within_their_places(tmp_path: Path) -> None:
    words = {"a": "Crème brûlée × 3 – 夏の飲み物", "b": "unbreakable" * 20, "c": "many words " * 30}
    long, short = (
        record("aaaaaaaaaaaa", width=40, height=40, choices=words),
        record("bbbbbbbbbbbb", width=40, height=40),
    )
    run = finished_run(tmp_path / ("long" * 50), [long, short])
    page = draw_rows(run, run.records)
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
