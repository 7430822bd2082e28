# pyright: basic
"""The web UI's notation for how much words count: weights, brackets, BREAK, adapter tags, and what is refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from designkit.generators.strength import MAX_NESTING, AdapterTag, Piece, escape_strength, parse_strength, without_tags
from designkit.prompts.template import Text, parse_template


def weights(prompt):
    """The one section of a prompt as (text, weight) pairs."""
    (section,) = parse_strength(prompt).sections
    return [(piece.text, round(piece.weight, 4)) for piece in section]


# What the web UI's own documentation says of its notation.
@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a (word)", [("a ", 1), ("word", 1.1)]),
        ("a ((word))", [("a ", 1), ("word", 1.21)]),
        ("a [word]", [("a ", 1), ("word", 0.9091)]),
        ("a (word:1.5)", [("a ", 1), ("word", 1.5)]),
        ("a (word:0.25)", [("a ", 1), ("word", 0.25)]),
        ("a (word: .5 )", [("a ", 1), ("word", 0.5)]),
        (r"a \(word\)", [("a (word)", 1)]),
        (r"\[a\] \\(b)", [("[a] \\", 1), ("b", 1.1)]),
        ("(a (very:1.5) big:0.5) can", [("a ", 0.5), ("very", 0.75), (" big", 0.5), (" can", 1)]),
        ("(unbalanced", [("(unbalanced", 1)]),
        ("smile :) and (: too", [("smile :) and (: too", 1)]),
        ("a:1.3) b", [("a:1.3) b", 1)]),
        ("(a [b)", [("(a [b)", 1)]),
        ("ratio 16:9, a|b, C:\\x", [("ratio 16:9, a|b, C:\\x", 1)]),
        ("[soda: cold]", [("soda: cold", 0.9091)]),
        ("", [("", 1)]),
    ],
)
def test_weights_are_read_as_the_web_ui_reads_them(prompt, expected):
    assert weights(prompt) == expected
    assert parse_strength(prompt).mistakes == ()


def test_break_begins_a_section_and_is_no_part_of_other_words():
    strength = parse_strength("one  BREAK\n(two:1.2), BREAKFAST")
    assert strength.sections == ((Piece("one"),), (Piece("two", 1.2), Piece(", BREAKFAST")))
    assert strength.text == strength.plain == "one two, BREAKFAST"
    assert strength.is_weighted
    assert not strength.is_even


@pytest.mark.parametrize("prompt", ["[a:b:0.5]", "[a:0.5]", "[:b: 3]", "x [a|b] y", "[(red:1.2):(blue):0.3]", "[16:9]"])
def test_prompts_that_change_while_drawing_are_a_mistake_with_a_fix(prompt):
    (mistake,) = parse_strength(prompt).mistakes
    assert mistake.code == "prompt-scheduling"
    assert r"\[" in mistake.fix


def test_weights_beyond_reason_are_a_mistake():
    (mistake,) = parse_strength("a (very loud word:13)").mistakes
    assert (mistake.code, mistake.message) == ("word-weight", "(very loud word:13) counts too strongly to be drawn")


def test_adapter_tags_are_taken_out_with_the_comma_before_them():
    strength = parse_strength("a can, <lora:brand/teal v2:0.8>, flat <lora:soft>")
    assert strength.tags == (
        AdapterTag("<lora:brand/teal v2:0.8>", "brand/teal v2", 0.8), AdapterTag("<lora:soft>", "soft", 1.0),
    )  # fmt: skip
    assert strength.text == strength.plain == without_tags("a can, <lora:brand/teal v2:0.8>, flat <lora:soft>")
    assert strength.text == "a can, flat"
    assert without_tags("<lora:x:1>") == ""
    assert without_tags("a < b > c") == "a < b > c"


@pytest.mark.parametrize("tag", ["<lora:>", "<lora::1>", "<lora:a:strong>", "<lora:a:0.5:0.7>", "<lora:a:99>"])
def test_tags_that_name_no_adapter_and_strength_are_a_mistake(tag):
    strength = parse_strength(f"a can {tag}")
    assert [mistake.code for mistake in strength.mistakes] == ["adapter-tag"]
    assert strength.tags == ()


def test_encoders_that_cannot_weigh_read_bare_brackets_and_no_numbers():
    strength = parse_strength(r"a (red:1.3) can (cold), [wet] \(sic\) BREAK ((new:1.2))")
    assert strength.plain == "a red can (cold), [wet] (sic) (new)"
    assert parse_strength("no (weights:1.0) here").is_weighted is False


def test_brackets_without_a_partner_are_named():
    assert sorted(parse_strength("((a) b] c").unmatched) == ["(", "]"]
    assert parse_strength("(a) [b]").unmatched == ""


def test_template_escapes_come_first_and_weights_after():
    template, mistakes = parse_template(r"(a \{b\}:1.2) \(c\) \\(d\\)")
    assert mistakes == []
    (text,) = template.tree.parts
    assert isinstance(text, Text)
    assert weights(text.text) == [("a {b}", 1.2), (" (c) (d)", 1)]


@given(st.text(alphabet="a ,:.1()[]\\|<>B", max_size=30))
def test_any_text_is_read_and_its_escaped_form_stands_for_itself(text):
    parse_strength(text)
    escaped = parse_strength(escape_strength(text))
    assert escaped.text.strip() == without_tags(text).strip()
    assert escaped.is_even
    assert escaped.mistakes == ()


def test_huge_and_deeply_nested_prompts_are_read_in_no_time():
    began = time.perf_counter()
    deep = parse_strength("(" * (MAX_NESTING + 10) + "a" + ")" * (MAX_NESTING + 10))
    parse_strength("(" * 50_000)
    parse_strength("[a:" * 10_000 + "(b:" * 10_000)
    assert time.perf_counter() - began < 2
    assert len(deep.unmatched) == 20
