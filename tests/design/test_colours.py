"""Colours against an independent library and the published test data of CIEDE2000."""

from __future__ import annotations

import random

import pytest
from coloraide import Color

from designkit.design.colours import (
    COLOUR_NAMES,
    ciede2000,
    colour_difference,
    name_colour,
    read_colour,
    to_hex,
    to_lab,
    to_rgb,
)

# Pairs and differences from table 1 of Sharma, Wu and Dalal (2005): those on which implementations go astray.
SHARMA = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0009), 7.1792),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0011), 7.2195),
    ((50.0, -0.001, 2.49), (50.0, 0.0011, -2.49), 4.7461),
    ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("first", "second", "expected"), SHARMA)
def test_the_published_differences_are_met_both_ways(first, second, expected):
    assert ciede2000(first, second) == pytest.approx(expected, abs=5e-5)
    assert ciede2000(second, first) == pytest.approx(expected, abs=5e-5)


def test_labs_and_differences_are_those_of_another_library():
    rng = random.Random(0)
    for _ in range(300):
        first, second = ("#" + "".join(f"{rng.randrange(256):02X}" for _ in range(3)) for _ in range(2))
        other = Color(first).convert("lab-d65")
        assert to_lab(first) == pytest.approx([other["l"], other["a"], other["b"]], abs=1e-4)
        expected = Color(first).delta_e(Color(second), method="2000", space="lab-d65")
        assert colour_difference(first, second) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#abc", "#AABBCC"),
        (" #0B7a75 ", "#0B7A75"),
        ("teal", "#008080"),
        ("rgb(255 0 0)", "#FF0000"),
        ("hsl(120, 100%, 25%)", "#008000"),
        ("color(srgb 1 0.5 0)", "#FF8000"),
        ("", None),
        ("creme", None),
        ("#12345", None),
        ("#FF000080", None),
        ("rgb(1 2 3 / 50%)", None),
        ("x" * 1000, None),
    ],
)
def test_colours_are_read_in_every_way_of_css(text, expected):
    assert read_colour(text) == expected


def test_a_colour_outside_srgb_becomes_one_inside():
    colour = read_colour("color(display-p3 0 1 0)")
    assert colour
    assert colour_difference(colour, "#00FF00") < 6


def test_rgb_and_hexadecimal_are_inverse():
    assert to_hex((1.0, 0.5, -0.2)) == "#FF8000"
    for colour in COLOUR_NAMES.values():
        red, green, blue = to_rgb(colour)
        assert to_hex((red / 255, green / 255, blue / 255)) == colour


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ("#00555A", "deep teal"),
        ("#0F172A", "midnight blue"),
        ("#E50000", "red"),
        ("#FFFFFF", "white"),
        ("#F2C14E", "golden yellow"),
        ("#808080", "grey"),
    ],
)
def test_colours_are_called_what_people_call_them(colour, name):
    assert name_colour(colour) == name


def test_every_name_is_its_own_or_a_plainer_one():
    for name, colour in COLOUR_NAMES.items():
        assert colour_difference(COLOUR_NAMES[name_colour(colour)], colour) <= 2, name
