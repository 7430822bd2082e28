"""Named sizes and pixels."""

from __future__ import annotations

import re
from datetime import date

import pytest

from designkit.design.formats import FORMATS, MAX_AREA_PX, MAX_SIDE_PX, resolve_size
from designkit.errors import InputRefused
from designkit.values import Size


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


def test_every_format_says_what_it_is_for_where_it_comes_from_and_when_that_was_checked():
    for name, entry in FORMATS.items():
        assert entry.name == name
        assert re.fullmatch(r"(?:[a-z]+/)?[a-z0-9]+", name)
        assert entry.use
        assert entry.source
        assert date.fromisoformat(entry.checked)


def test_every_format_can_be_made():
    for name, entry in FORMATS.items():
        assert resolve_size(name) == entry.size
        assert max(entry.size.width, entry.size.height) <= MAX_SIDE_PX
        assert entry.size.width * entry.size.height <= MAX_AREA_PX


def test_a_name_that_holds_pixels_is_that_size():
    for name, entry in FORMATS.items():
        pixels = re.fullmatch(r"\w+/(\d+x\d+)", name)
        assert not pixels or pixels[1] == str(entry.size)


def test_paper_is_three_hundred_pixels_an_inch():
    for name, millimetres in {"print/a4": (210, 297), "print/a5": (148, 210), "print/a6": (105, 148)}.items():
        expected = tuple(round(side / 25.4 * 300) for side in millimetres)
        assert (FORMATS[name].size.width, FORMATS[name].size.height) == expected
    card = FORMATS["branding/card"].size
    assert (card.width, card.height) == (round(85.60 / 25.4 * 300), round(53.98 / 25.4 * 300))
