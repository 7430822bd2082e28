"""Named sizes and pixels."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from designkit.design.formats import (
    BUILT_IN,
    MAX_AREA_PX,
    MAX_SIDE_PX,
    SafeZone,
    built_in,
    read_formats,
    resolve_size,
)
from designkit.errors import InputRefused
from designkit.values import Size

# Names that prompt files have used since the first version, and the pixels that their pictures' ids hang on.
FIRST_NAMES = {
    "square": "1080x1080", "portrait": "1080x1350", "landscape": "1200x628", "story": "1080x1920",
    "wide": "1920x1080", "pin": "1000x1500", "iab/970x250": "970x250", "iab/970x90": "970x90",
    "iab/728x90": "728x90", "iab/300x1050": "300x1050", "iab/300x250": "300x250", "iab/160x600": "160x600",
    "iab/320x50": "320x50", "iab/300x50": "300x50", "iab/120x60": "120x60", "iab/1080x1920": "1080x1920",
    "iab/750x1334": "750x1334", "iab/640x1136": "640x1136", "google/468x60": "468x60",
    "google/336x280": "336x280", "google/300x600": "300x600", "google/250x250": "250x250",
    "google/200x200": "200x200", "google/120x600": "120x600", "packaging/label": "1200x800",
    "packaging/wrap": "2400x800", "packaging/front": "1200x1600", "packaging/pattern": "1024x1024",
    "branding/mark": "1024x1024", "branding/card": "1011x638", "branding/cover": "1500x500",
    "print/a4": "2480x3508", "print/a5": "1748x2480", "print/a6": "1240x1748",
}  # fmt: skip


def write(folder: Path, text: str, name: str = "my-sizes.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path) -> list[tuple[int | None, str | None, str]]:
    with pytest.raises(InputRefused) as caught:
        read_formats([path])
    assert all(problem.file == str(path) and problem.fix for problem in caught.value.problems)
    return [(problem.line, problem.key, problem.code) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("square", (1080, 1080)),
        ("story", (1080, 1920)),
        ("iab/300x250", (300, 250)),
        ("IAB/300x250 ", (300, 250)),
        ("1024x768", (1024, 768)),
        ("1024 x 768", (1024, 768)),
        ("1024×768", (1024, 768)),
        ("8X16384", (8, 16384)),
    ],
)
def test_a_name_or_pixels_are_a_size(text: str, size: tuple[int, int]):
    assert resolve_size(text) == Size(width=size[0], height=size[1])


@pytest.mark.parametrize(
    ("text", "code", "fix"),
    [
        ("sqare", "unknown-size", "did you mean 'square'?"),
        ("iab/300x251", "unknown-size", "did you mean 'iab/300x250'?"),
        ("a4", "unknown-size", "did you mean 'print/a4'?"),
        ("", "unknown-size", "write pixels (1024x768) or a name: "),
        ("1024", "unknown-size", "write pixels (1024x768) or a name: "),
        ("1e3x5", "unknown-size", "write pixels (1024x768) or a name: "),
        ("../x", "unknown-size", "write pixels (1024x768) or a name: "),
        ("0x512", "size-out-of-range", "write 8x512"),
        ("-5x512", "size-out-of-range", "write 8x512"),
        ("100000x8", "size-out-of-range", "write 16384x8"),
        ("16000x16000", "size-out-of-range", "write 10000x10000"),
        ("9" * 30 + "x5", "unknown-size", "write pixels (1024x768) or a name: "),
    ],
)
def test_what_is_no_size_is_refused_with_the_nearest_that_is(text: str, code: str, fix: str):
    with pytest.raises(InputRefused) as caught:
        resolve_size(text)
    (problem,) = caught.value.problems
    assert problem.code == code
    assert repr(text) in problem.message
    assert problem.fix
    assert problem.fix.startswith(fix)


def test_the_first_names_mean_the_same_pixels_for_ever():
    assert {name: str(resolve_size(name)) for name in FIRST_NAMES} == FIRST_NAMES


def test_every_format_says_what_it_is_for_where_it_comes_from_and_when_that_was_checked():
    assert len(built_in()) >= 100
    for entry in built_in():
        assert re.fullmatch(r"(?:[a-z]+/)?[a-z0-9-]+", entry.name)
        assert entry.name.rpartition("/")[0] == entry.group
        assert entry.use
        assert entry.source
        assert entry.title
        assert date.fromisoformat(entry.checked)
        assert not entry.address or entry.address.startswith("https://")


def test_no_name_is_given_twice_and_every_one_is_found():
    names = [entry.name for entry in built_in()]
    assert len(set(names)) == len(names)
    assert [BUILT_IN.find(name) for name in names] == list(built_in())


def test_every_format_can_be_made():
    for entry in built_in():
        assert resolve_size(entry.name) == entry.size
        assert max(entry.size.width, entry.size.height) <= MAX_SIDE_PX
        assert entry.size.width * entry.size.height <= MAX_AREA_PX


def test_every_format_keeps_its_own_limits_and_leaves_something_between_its_margins():
    for entry in built_in():
        for limit, sign in ((entry.min_size, 1), (entry.max_size, -1)):
            if limit is not None:
                assert sign * (entry.size.width - limit.width) >= 0, entry.name
                assert sign * (entry.size.height - limit.height) >= 0, entry.name
        if entry.safe is not None:
            assert entry.safe.top + entry.safe.bottom < 1
            assert entry.safe.left + entry.safe.right < 1


def test_a_name_that_holds_pixels_or_a_ratio_is_that_size():
    for entry in built_in():
        pixels = re.fullmatch(r"\w+/(\d+x\d+)", entry.name)
        assert not pixels or pixels[1] == str(entry.size)
        ratio = re.fullmatch(r"\w+/flex-(\d+)x(\d+)", entry.name)
        assert not ratio or entry.ratio == f"{ratio[1]}:{ratio[2]}"


def test_the_pixels_of_paper_follow_from_millimetres_resolution_and_bleed():
    a4, bled = BUILT_IN.find("print/a4"), BUILT_IN.find("print/a4-bleed")
    assert a4
    assert bled
    assert (a4.size.width, a4.size.height) == (round(210 / 25.4 * 300), round(297 / 25.4 * 300))
    assert (bled.size.width, bled.size.height) == (round(216 / 25.4 * 300), round(303 / 25.4 * 300))
    assert (bled.trim_mm, bled.bleed_mm, bled.dpi) == ((210, 297), 3, 300)
    assert bled.safe
    assert bled.safe.left == pytest.approx((3 + 5) / 216)
    card = resolve_size("branding/card")
    assert (card.width, card.height) == (round(85.60 / 25.4 * 300), round(53.98 / 25.4 * 300))


def test_weights_and_safe_zones_are_as_published():
    weights = {"iab/300x250": 150_000, "iab/320x50": 50_000, "iab/970x250": 250_000, "google/728x90": 150_000}
    for name, max_bytes in weights.items():
        entry = BUILT_IN.find(name)
        assert entry
        assert entry.max_bytes == max_bytes
    reel = BUILT_IN.find("meta/reel")
    assert reel
    assert reel.safe == SafeZone(top=0.14, right=0.06, bottom=0.35, left=0.06)
    assert str(reel.safe) == "top 14 %, right 6 %, bottom 35 %, left 6 %"


def test_own_sizes_are_added_to_those_that_come_with_designkit(tmp_path: Path):
    path = write(
        tmp_path,
        """\
group: shop
title: Our shops
checked: 2026-11-01
sizes:
  600x200: {use: counter}
  window: {mm: 800x1200, dpi: 50, bleed_mm: 5, safe_mm: 20, source: "manual, page 12"}
  screen: {px: 1920x1080, max_kb: 300.5, safe: {bottom: 12%, left: 0.1}}
""",
    )
    formats = read_formats([path])
    window, screen = formats.find("shop/window"), formats.find("SHOP/screen")
    assert formats.resolve("shop/600x200") == Size(width=600, height=200)
    assert formats.resolve("square") == Size(width=1080, height=1080)
    assert window
    assert (window.size.width, window.size.height) == (round(810 / 25.4 * 50), round(1210 / 25.4 * 50))
    assert (window.source, window.checked, window.title) == ("manual, page 12", "2026-11-01", "Our shops")
    assert screen
    assert (screen.max_bytes, screen.safe, screen.source) == (300_500, SafeZone(bottom=0.12, left=0.1), path.name)
    assert [entry.name for entry in formats][:3] == ["shop/600x200", "shop/window", "shop/screen"]
    assert (len(list(formats)), formats.replaced) == (len(built_in()) + 3, ())
    with pytest.raises(InputRefused, match="did you mean 'shop/window'"):
        formats.resolve("shop/windw")
    with pytest.raises(InputRefused):
        resolve_size("shop/window")


def test_an_own_size_takes_the_place_of_one_that_comes_with_designkit(tmp_path: Path):
    formats = read_formats([write(tmp_path, "sizes: {square: {px: 900x900}}\n")])
    assert (formats.resolve("square"), formats.replaced) == (Size(width=900, height=900), ("square",))
    assert len(list(formats)) == len(built_in())


def test_every_mistake_in_own_sizes_is_told_at_its_line(tmp_path: Path):
    path = write(
        tmp_path,
        """\
checked: yesterday
sizes:
  300x250: {use: means these pixels already}
  Big One: {px: 10x10}
  none: {use: nothing}
  both:
    px: 10x10
    mm: 10x10
  inches: {mm: 3in}
  bled: {px: 10x10, bleed_mm: 3}
  huge: {px: 90000x10}
  dated: {px: 10x10, checked: 2026-13-01}
""",
    )
    assert refused(path) == [
        (1, "checked", "date"),
        (3, "sizes.300x250", "size-name"),
        (4, "sizes.Big One", "size-name"),
        (5, "sizes.none", "missing"),
        (7, "sizes.both.px", "size-unit"),
        (9, "sizes.inches.mm", "size-unit"),
        (10, "sizes.bled.bleed_mm", "size-unit"),
        (11, "sizes.huge.px", "size-out-of-range"),
        (12, "sizes.dated.checked", "date"),
    ]


def test_unknown_keys_and_values_of_another_kind_are_told_at_their_line(tmp_path: Path):
    path = write(tmp_path, "sizes:\n  a: {px: 10x10, max_kb: lots}\n  b: {px: 10x10, wieght: 3, safe: {top: 200%}}\n")
    with pytest.raises(InputRefused) as caught:
        read_formats([path])
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [
        (2, "sizes.a.max_kb"),
        (3, "sizes.b.safe.top"),
        (3, "sizes.b.wieght"),
    ]
    assert refused(write(tmp_path, "sizes: {}\n", "empty.yaml"))


def test_a_name_in_two_files_and_a_missing_file_are_told_together(tmp_path: Path):
    first = write(tmp_path, "sizes: {shop: {px: 10x10}}\n", "first.yaml")
    second = write(tmp_path, "sizes: {shop: {px: 20x20}}\n", "second.yaml")
    with pytest.raises(InputRefused) as caught:
        read_formats([first, second, tmp_path / "none.yaml"])
    assert [problem.file for problem in caught.value.problems] == [str(second), str(tmp_path / "none.yaml")]
    assert caught.value.problems[0].code == "duplicate-size"
