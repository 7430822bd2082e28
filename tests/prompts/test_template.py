"""The grammar of a prompt, one rule a test."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from designkit.prompts.template import (
    MAX_MISTAKES,
    MAX_NESTING,
    Assignment,
    Choice,
    Phrase,
    Placeholder,
    Text,
    Variable,
    Wildcard,
    Wrapper,
    parse_template,
)


def parts(source: str) -> tuple[object, ...]:
    template, mistakes = parse_template(source)
    assert mistakes == []
    return template.tree.parts


def options(*texts: str) -> tuple[Phrase, ...]:
    return tuple(Phrase((Text(text),) if text else ()) for text in texts)


@pytest.mark.parametrize(
    "text",
    [
        "a can",
        "$9.99 and 50% off",
        "#FF6600 on #fff",
        "a | b outside braces",
        "snake_case _ __",
        "____ a rule",
        "(bright:1.2) [soft] <b>",
        "C:dir n",
        "",
        "größe 你好 🎉",
        "two  spaces\nand a line",
    ],
)
def test_everything_that_is_not_grammar_is_text(text: str):
    assert parts(text) == ((Text(text),) if text else ())


@pytest.mark.parametrize("character", list("{}|$%#_:\\"))
def test_a_backslash_makes_a_sign_plain(character: str):
    assert parts(f"a\\{character}b") == (Text(f"a{character}b"),)


def test_a_backslash_before_anything_else_stays():
    assert parts(r"C:\new \q \\ \(") == (Text("C:\\new \\q \\ \\("),)


def test_escapes_keep_richer_marks_out_of_the_grammar():
    assert parts(r"\__animals__") == (Text("__animals__"),)
    assert parts(r"{0.5\::a|b}") == (Choice(options("0.5::a", "b"), 0),)


def test_braces_around_a_name_are_a_placeholder():
    assert parts("{product}, { größe-2 } {brand.style}") == (
        Placeholder("product", 0),
        Text(", "),
        Placeholder("größe-2", 11),
        Text(" "),
        Placeholder("brand.style", 23),
    )


def test_braces_around_a_bar_are_a_choice_with_its_spaces_kept():
    assert parts("{a | b}") == (Choice(options("a ", " b"), 0),)
    assert parts("{a||}") == (Choice(options("a", "", ""), 0),)


def test_choices_nest_and_hold_placeholders():
    inner = Choice(options("c", "d"), 5)
    assert parts("{a|b {c|d} {e}}") == (
        Choice((Phrase((Text("a"),)), Phrase((Text("b "), inner, Text(" "), Placeholder("e", 11)))), 0),
    )


def test_a_choice_may_have_weights_a_sampler_a_count_and_a_separator():
    assert parts("{0.5::a|b|.25::}") == (Choice(options("a", "b", ""), 0, weights=(0.5, 1.0, 0.25)),)
    assert parts("{~a|b}") == (Choice(options("a", "b"), 0, mark="~"),)
    assert parts("{@2$$ and $$a|b}") == (Choice(options("a", "b"), 0, (), 2, 2, " and ", "@"),)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [("2", 2, 2), ("1-2", 1, 2), ("3-1", 1, 3), ("-2", 1, 2), ("2-", 2, None), ("0", 0, 0)],
)
def test_a_count_is_a_number_or_a_range(count: str, low: int, high: int | None):
    assert parts(f"{{{count}$$a|b}}") == (Choice(options("a", "b"), 0, (), low, high),)


@pytest.mark.parametrize(
    ("written", "separator"), [("$$", ""), ("|$$", "|"), (r" \$ $$", " $ "), ("", ", "), (" plus $$", " plus ")]
)
def test_a_separator_may_be_anything(written: str, separator: str):
    assert parts(f"{{2$${written}a|b}}") == (Choice(options("a", "b"), 0, (), 2, 2, separator),)


def test_double_underscores_around_a_name_are_a_wildcard():
    assert parts("a_b __x/y*__ __@two words(p=1, q={a,b|c})__s") == (
        Text("a_b "),
        Wildcard(Phrase((Text("x/y*"),)), (), 4),
        Text(" "),
        Wildcard(
            Phrase((Text("two words"),)),
            (("p", Phrase((Text("1"),))), ("q", Phrase((Choice(options("a,b", "c"), 33),)))),
            13,
            "@",
        ),
        Text("s"),
    )
    assert parts("__{a|b}/${v}__") == (
        Wildcard(Phrase((Choice(options("a", "b"), 2), Text("/"), Variable("v", None, 8))), (), 0),
    )


def test_variables_are_set_and_used():
    assert parts("${a=x} ${ b =! y }${c?={z|}}${a}${b:no ${c}}") == (
        Assignment("a", Phrase((Text("x"),)), 0),
        Text(" "),
        Assignment("b", Phrase((Text("y"),)), 7, is_once=True),
        Assignment("c", Phrase((Choice(options("z", ""), 23),)), 18, keeps=True),
        Variable("a", None, 28),
        Variable("b", Phrase((Text("no "), Variable("c", None, 39))), 32),
    )


def test_a_wrapper_has_what_is_around_and_what_is_inside():
    assert parts("%{ big ... here $$ {a|b} }.") == (
        Wrapper(Phrase((Text("big ... here"),)), Phrase((Choice(options("a", "b"), 19),)), 0),
        Text("."),
    )


def test_braces_around_anything_that_varies_are_a_choice_of_one():
    assert parts("{__a__}") == (Choice((Phrase((Wildcard(Phrase((Text("a"),)), (), 1),)),), 0),)
    assert parts("{2$$a}") == (Choice(options("a"), 0, (), 2, 2),)


def test_a_line_that_begins_with_a_hash_and_a_space_is_a_comment():
    assert parts("# note {\na can\n# {b|\n#\n#fff\n #1") == (Text("a can\n#fff\n #1"),)


@pytest.mark.parametrize(
    ("source", "start", "words"),
    [
        ("a {b", 2, "never closed"),
        ("a } b", 2, "closes nothing"),
        ("a {} b", 2, "names no axis"),
        ("a {two words} b", 2, "neither an axis nor a choice"),
        ("a {1x}", 2, "neither"),
        ("a ${9.99}", 2, "not followed by a name"),
        ("a ${v=b", 2, "never closed"),
        ("a {b|${v=c}}", 5, "set inside other braces"),
        ("a ${v=b|c}", 7, "stands alone inside ${"),
        ("a %{b $$ c", 2, "never closed"),
        ("a %{b ... c}", 2, "no $$"),
        ("a %{b|c$$d}", 5, "stands alone inside %{"),
        ("a __b(c)__", 6, "sets no parameter"),
        ("a __b(c=1, c=2)__", 10, "given twice"),
        ("a __b(c={)__", 8, "never closed"),
    ],
)
def test_what_cannot_be_read_is_a_mistake_with_its_place(source: str, start: int, words: str):
    _, mistakes = parse_template(source)
    assert (mistakes[0].start, words in mistakes[0].message) == (start, True), mistakes
    assert mistakes[0].fix


def test_all_mistakes_are_found_but_only_the_first_few_are_told():
    _, mistakes = parse_template("} {} {a b} {c")
    assert [mistake.start for mistake in mistakes] == [0, 2, 5, 11]
    _, mistakes = parse_template("} " * 1000)
    assert len(mistakes) == MAX_MISTAKES


def test_braces_nest_to_a_limit():
    fine = "{a|" * MAX_NESTING + "b" + "}" * MAX_NESTING
    assert parse_template(fine)[1] == []
    _, mistakes = parse_template("{a|" + fine + "}")
    assert "deeper" in mistakes[0].message


@pytest.mark.parametrize(
    "piece",
    [
        "{",
        "}",
        "{a|b}",
        "{|",
        "_",
        "__a",
        "\\",
        "$",
        "# ",
        "a\n",
        "${",
        "%{",
        "$$",
        "__a(",
        "__a({",
        "__{",
        "{2$$",
        "1::",
    ],
)
def test_a_million_characters_are_read_in_linear_time(piece: str):
    began = time.process_time()
    parse_template(piece * (300_000 // len(piece)))
    assert time.process_time() - began < 2


@given(st.text(st.sampled_from("{}|$%#_:\\ab. \n~2"), max_size=60))
@settings(deadline=None)
def test_any_text_is_read_or_explained(source: str):
    template, mistakes = parse_template(source)
    assert template.source == source
    assert all(0 <= mistake.start <= len(source) and mistake.message and mistake.fix for mistake in mistakes)


@given(st.text(max_size=40).filter(lambda text: "\r" not in text))
def test_escaped_text_reads_back_as_itself(text: str):
    # A hash may not begin a line unescaped, so every special sign is escaped.
    escaped = "".join(f"\\{character}" if character in "{}|$%#_:\\" else character for character in text)
    assert "".join(part.text for part in parts(escaped) if isinstance(part, Text)) == text
