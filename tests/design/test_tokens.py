"""Design Tokens files: what is read, what is refused, and that a kit comes back as it was."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from designkit.design.brand import Brand, BrandColour, Font, read_brand
from designkit.design.brand_tokens import brand_yaml, read_tokens, tokens_json
from designkit.design.colours import colour_difference
from designkit.design.tokens import COLOUR_SPACES, open_tokens, read_colour_value
from designkit.errors import InputRefused, Problem


def write(folder: Path, document: Any) -> Path:
    path = folder / "lumen.tokens.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document, indent=2), encoding="utf-8")
    return path


def srgb(red: float, green: float, blue: float) -> dict[str, Any]:
    return {"colorSpace": "srgb", "components": [red, green, blue]}


def values(folder: Path, document: Any) -> dict[str, Any]:
    opened = open_tokens(write(folder, document))
    found = {token.name: token.value for token in opened.tokens()}
    assert opened.problems == []
    return found


def refused(folder: Path, document: Any) -> tuple[Problem, ...]:
    with pytest.raises(InputRefused) as caught:
        read_tokens(write(folder, document))
    assert all(problem.file == str(folder / "lumen.tokens.json") for problem in caught.value.problems)
    return caught.value.problems


names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True).filter(lambda name: name not in ("color", "base"))
hexes = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06X}")
words = st.text("abcdef äñ中'\"{}:#-", min_size=1, max_size=12).map(str.strip).filter(bool)


@st.composite
def brands(draw: st.DrawFn) -> Brand:
    palette = draw(st.dictionaries(names, hexes, max_size=6))
    roles = draw(st.dictionaries(st.sampled_from(["primary", "background", "danger"]), hexes))
    roles |= {role: palette[role] for role in ("primary", "background", "danger", "dark") if role in palette}
    families = draw(st.lists(names, max_size=3, unique=True))
    return Brand(
        folder=Path(),
        name=draw(words),
        style=tuple(draw(st.lists(words, max_size=3))),
        avoid=tuple(draw(st.lists(words, max_size=3))),
        colours={
            name: BrandColour(
                name=name,
                colour=colour,
                role=draw(st.sampled_from([None, "main", "accent"])),
                share=draw(st.sampled_from([None, 0.125, 0.05])),
                tolerance=draw(st.sampled_from([5.0, 3.5])),
                word=draw(st.none() | words),
            )
            for name, colour in palette.items()
        },
        roles=roles,
        forbidden=tuple(draw(st.lists(hexes, max_size=2))),
        fonts={family: Font(family=family, source="google", licence="OFL-1.1") for family in families},
        text_fonts={"base": families[0]} if families else {},
    )


@given(brand=brands())
@settings(max_examples=50, deadline=None)
def test_a_kit_comes_back_from_tokens_and_from_yaml_as_it_was(brand: Brand, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("kit")
    path = write(folder, tokens_json(brand))
    back = replace(read_brand(path), folder=Path())
    assert back == brand
    assert tokens_json(back) == tokens_json(brand)
    (folder / "brand.yaml").write_text(brand_yaml(brand), encoding="utf-8")
    assert replace(read_brand(folder), folder=Path()) == brand


def test_a_file_of_the_2025_10_format_becomes_a_kit(tmp_path: Path):
    path = write(
        tmp_path,
        {
            "$description": "Lumen",
            "colors": {
                "$type": "color",
                "blue": {
                    "500": {"$value": srgb(0, 0.4, 1), "$description": "sky"},
                    "900": {"$value": {"colorSpace": "oklch", "components": [0.3, 0.1, 264]}},
                },
                "primary": {"$value": "{colors.blue.500}"},
                "Danger Zone": {"$value": "#c0ffee"},
                "shade": {"$value": {**srgb(0, 0, 0), "alpha": 0.4}},
            },
            "font": {"body": {"$type": "fontFamily", "$value": ["Inter", "sans-serif"]}},
            "space": {"$type": "dimension", "small": {"$value": {"value": 4, "unit": "px"}}},
        },
    )
    read = read_tokens(path)
    assert list(read.brand.palette) == ["blue-500", "blue-900", "Danger-Zone"]
    assert read.brand.palette["blue-500"] == read.brand.roles["primary"] == "#0066FF"
    assert read.brand.palette["Danger-Zone"] == "#C0FFEE"
    assert read.brand.fonts == {"Inter": Font(family="Inter")}
    assert read.brand.name == "lumen"
    (warning,) = read.warnings
    assert warning.message.endswith("passed over: 1 transparent colour, 1 of type dimension")


def test_types_come_from_the_token_the_alias_or_the_nearest_group(tmp_path: Path):
    document = {
        "$type": "number",
        "a": {"$type": "color", "deep": {"er": {"$value": "#000000"}}, "own": {"$type": "string", "$value": "x"}},
        "b": {"$value": 3},
        "c": {"$value": "{a.deep.er}"},
    }
    opened = open_tokens(write(tmp_path, document))
    assert {token.name: token.type for token in opened.tokens()} == {
        "a.deep.er": "color",
        "a.own": "string",
        "b": "number",
        "c": "color",
    }


def test_aliases_are_followed_in_every_spelling_and_at_any_depth(tmp_path: Path):
    found = values(
        tmp_path,
        {
            "$type": "color",
            "ink": {"$root": {"$value": srgb(0, 0, 0)}, "soft": {"$value": srgb(0.2, 0.2, 0.2)}},
            "a": {"$value": "{ink.soft}"},
            "b": {"$value": {"$ref": "#/ink/soft/$value"}},
            "c": {"$ref": "#/ink/soft"},
            "d": {"$value": "{ink}"},
            "e": {"$value": "{ink.$root}"},
            "f": {"$value": {"colorSpace": "srgb", "components": [{"$ref": "#/ink/soft/$value/components/0"}, 0, 1]}},
            "edge": {"$type": "border", "$value": {"color": "{a}", "width": "1px"}},
        },
    )
    soft, ink = srgb(0.2, 0.2, 0.2), srgb(0, 0, 0)
    assert [found[name] for name in "abcde"] == [soft, soft, soft, ink, ink]
    assert found["f"] == srgb(0.2, 0, 1)
    assert found["edge"] == {"color": soft, "width": "1px"}


def test_a_group_extends_another_and_keeps_its_own(tmp_path: Path):
    found = values(
        tmp_path,
        {
            "$type": "number",
            "button": {"size": {"$value": 1}, "pad": {"left": {"$value": 2}, "right": {"$value": 3}}},
            "loud": {"$extends": "{button}", "pad": {"left": {"$value": 9}}, "glow": {"$value": 7}},
            "louder": {"$extends": "#/loud", "size": {"$value": 5}},
        },
    )
    assert {name: value for name, value in found.items() if name.startswith("loud.")} == {
        "loud.size": 1,
        "loud.pad.left": 9,
        "loud.pad.right": 3,
        "loud.glow": 7,
    }
    assert (found["louder.size"], found["louder.pad.left"], found["louder.glow"]) == (5, 9, 7)


def test_every_mistake_is_told_at_its_line(tmp_path: Path):
    text = """{
  "$type": "color",
  "a": {"$value": "{b}"},
  "b": {"$value": "{a}"},
  "c": {"$value": "{teel}"},
  "teal": {"$value": "teal"},
  "x.y": {"$value": "#000000"},
  "d": 3,
  "e": {"$value": {"colorSpace": "oklhc", "components": [0, 0, 0]}},
  "f": {"$extends": "{nowhere}"},
  "g": {"$value": {"colorSpace": "srgb", "components": [0, 2, 0]}},
  "h": {"$type": "fontFamily", "$value": 3}
}
"""
    found = [(problem.line, problem.key, problem.code) for problem in refused(tmp_path, text)]
    assert found == [
        (4, "b", "token-circle"),
        (5, "c", "token-alias"),
        (6, "teal", "token-colour"),
        (7, "x.y", "token-name"),
        (8, "d", "token-value"),
        (9, "e", "token-colour"),
        (10, "f", "token-alias"),
        (11, "g", "token-colour"),
        (12, "h", "token-font"),
    ]


def test_advice_names_the_nearest_token_and_space(tmp_path: Path):
    problems = refused(tmp_path, {"$type": "color", "teal": {"$value": "#000000"}, "c": {"$value": "{teel}"}})
    assert problems[0].fix == "did you mean {teal}?"
    with pytest.raises(ValueError, match="did you mean 'oklch'"):
        read_colour_value({"colorSpace": "oklhc", "components": [0, 0, 0]})


def test_a_token_without_a_type_is_refused(tmp_path: Path):
    assert [problem.code for problem in refused(tmp_path, {"a": {"$value": "#000000"}})] == ["token-type"]


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{",
        '{"a": NaN}',
        '{"a": {"$type": "color", "$value": 1e999}}',
        "[" * 100_000,
        '{"a":' * 5_000 + "1" + "}" * 5_000,
        "\ufeff{",
        '{"a": {"$value": {"$ref": 3}, "$type": "color"}}',
        '{"a": {"$ref": "#/a", "$type": "color"}}',
        '{"$extends": "#/"}',
        '{"a": {"$extends": "{a}"}}',
        '{"a": {"x": {"$extends": "{b}"}}, "b": {"y": {"$extends": "{a}"}}}',
        '{"a": {"$type": {}, "$value": 3}}',
        json.dumps({"$type": "number", **{f"t{n}": {"$value": f"{{t{n + 1}}}"} for n in range(5_000)}}),
        json.dumps(
            {"g0": {"a": {}}, **{f"g{n}": {c: {"$extends": f"{{g{n - 1}}}"} for c in "ab"} for n in range(1, 40)}}
        ),
    ],
    ids=range(16),
)
def test_what_is_no_tokens_file_is_refused_at_once(tmp_path: Path, document: str):
    began = time.monotonic()
    assert refused(tmp_path, document)
    assert time.monotonic() - began < 2


def test_values_that_multiply_cost_nothing(tmp_path: Path):
    levels = {f"t{n}": {"$value": {"a": f"{{t{n - 1}}}", "b": f"{{t{n - 1}}}"}} for n in range(1, 40)}
    began = time.monotonic()
    found = values(tmp_path, {"$type": "shadow", "t0": {"$value": 1}, **levels})
    assert len(found) == 40
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("space", COLOUR_SPACES)
def test_every_colour_space_of_the_module_is_read(space: str):
    # One teal, converted into each space by coloraide and written with the module's ranges, must come back.
    from coloraide import Color

    teal = Color("#0B7A75").convert(space)
    scale = (1, 100, 100) if space in ("hsl", "hwb") else (1, 1, 1)
    components = [part * each for part, each in zip(teal.coords(nans=False), scale, strict=True)]
    colour, alpha = read_colour_value({"colorSpace": space, "components": components})
    assert (colour, alpha) == ("#0B7A75", 1.0)


def test_published_examples_of_colours():
    # From the Color Module 2025.10: hot pink, and red with a hue of none.
    assert read_colour_value({"colorSpace": "srgb", "components": [1, 0, 1], "alpha": 1, "hex": "#ff00ff"}) == (
        "#FF00FF",
        1.0,
    )
    pink, _ = read_colour_value({"colorSpace": "xyz-d50", "components": [0.5791, 0.2831, 0.728], "hex": "#ff00ff"})
    assert colour_difference(pink, "#FF00FF") < 1
    assert read_colour_value({"colorSpace": "hsl", "components": ["none", 0, 50]}) == ("#808080", 1.0)
    assert read_colour_value("#0B7A7580") == ("#0B7A75", 128 / 255)


def test_outside_srgb_the_hexadecimal_fallback_is_taken():
    green = {"colorSpace": "display-p3", "components": [0, 1, 0]}
    assert read_colour_value({**green, "hex": "#00f900"}) == ("#00F900", 1.0)
    fitted, _ = read_colour_value(green)
    assert colour_difference(fitted, "#00FF00") < 6


def test_colours_that_meet_under_one_name_keep_their_groups(tmp_path: Path):
    document = {
        "$type": "color",
        "brand": {"teal": {"$value": "#000001"}},
        "base": {"teal": {"$value": "#000002"}},
    }
    assert read_tokens(write(tmp_path, document)).brand.palette == {"teal": "#000001", "base-teal": "#000002"}
