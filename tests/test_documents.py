"""YAML with a place for every value, and errors in the words of the person who wrote it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from designkit.documents import Node, parse_document, read_model, validate
from designkit.errors import InputRefused, Problem


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(InputRefused) as caught:
        parse_document(text, name="file.yaml")
    return caught.value.problems


def test_scalars_keep_the_characters_that_were_written():
    text = "a: [NO, 1.50, 012, 1:30, 2026-01-02, ~, null, 1e3, '7', yes]\n"
    assert parse_document(text, name="").plain() == {
        "a": ["NO", "1.50", "012", "1:30", "2026-01-02", "~", "null", "1e3", "7", "yes"]
    }


def test_every_value_knows_the_line_of_its_key():
    root = parse_document("a: 1\nb:\n  c:\n    - x\n    -\n      y\n\nd: |\n  text\n", name="file.yaml")
    assert [root.get(*keys).line for keys in (["a"], ["b"], ["b", "c"], ["d"])] == [1, 2, 3, 8]  # pyright: ignore[reportOptionalMemberAccess]
    items = root.get("b", "c")
    assert items
    assert isinstance(items.value, tuple)
    assert [item.line for item in items.value] == [4, 6]
    assert root.get("d") == Node(value="text\n", file="file.yaml", line=8, text_line=9)


def test_an_empty_file_is_an_empty_mapping():
    assert parse_document("# only a comment\n", name="").plain() == {}


def test_all_duplicate_keys_are_reported_at_once_with_their_lines():
    found = problems("a: 1\nb: {c: 1, c: 2}\na: 2\n")
    assert [(problem.code, problem.line, problem.key) for problem in found] == [
        ("duplicate-key", 2, "c"),
        ("duplicate-key", 3, "a"),
    ]
    assert "first on line 1" in found[1].message


@pytest.mark.parametrize(
    ("text", "code", "line", "words"),
    [
        ("a: 1\naxes:\n\tb: [1]\n\tc: [2]\n", "tab-indentation", 3, "also on line 4"),
        ("a: 'never closed\nb: 1\n", "yaml-syntax", 1, "never closed"),
        ("a: [1, 2\nb: 3\n", "yaml-syntax", 1, "bracket"),
        ("a: b\nprompt: {product} on a table\n", "yaml-syntax", 2, "behind a closing bracket"),
        ("a: the time: noon\n", "yaml-syntax", 1, "second ': '"),
        ("a: 1\n b: 2\n", "yaml-syntax", 2, "second ': '"),
        ("a:\n  - b\n c: d\n", "yaml-syntax", 3, "indentation"),
        ("a: 1\n@b: 2\n", "yaml-syntax", 2, "'@'"),
        ("a: 50%\nb: %x\n", "yaml-syntax", 2, "'%'"),
        ("a: 1\nb\nc: 2\n", "yaml-syntax", 2, "stands among keys"),
        ("a: 1\n---\nb: 2\n", "yaml-documents", 2, "second document"),
        ("a: &x 1\n", "yaml-alias", 1, "anchors"),
        ("a: !!python/object/apply:os.system [ls]\n", "yaml-tag", 1, "python"),
        ('a: "\\0"\n', "control-character", 1, "U+0000"),
        ('a: "\\ud800"\n', "control-character", 1, "U+D800"),
        ("? [a, b]\n: c\n", "yaml-key", 1, "key"),
    ],
)
def test_broken_yaml_is_explained_at_its_line(text: str, code: str, line: int, words: str):
    first = problems(text)[0]
    assert (first.code, first.file, first.line) == (code, "file.yaml", line)
    assert words in first.message
    assert first.fix


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\n"
        + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)),
        "base: &b {a: 1}\nc: {<<: *b}\n",
        "[" * 100_000,
        "{a: " * 100_000,
        "- " * 50_000,
        "a: " + "9" * 5000 + "\n!x",
        "\n".join("? " * 2000 for _ in range(20)),
    ],
    ids=["aliases", "merge", "brackets", "braces", "dashes", "digits", "questions"],
)
def test_a_bomb_is_refused_within_a_second_and_never_crashes(text: str):
    began = time.process_time()
    found = problems(text)
    assert time.process_time() - began < 1
    assert all(problem.line for problem in found)


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    steps: int = Field(default=20, ge=1, le=50)
    rate: float = 1.0


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    inner: Inner = Inner()
    tags: list[str] = []
    flag: bool = False


def test_a_valid_document_becomes_the_model():
    root = parse_document("name: NO\ninner: {steps: 012, rate: 1e-3}\nflag: true\n", name="")
    assert validate(Outer, root) == Outer(name="NO", inner=Inner(steps=12, rate=0.001), flag=True)


def test_every_mistake_is_reported_at_its_own_place():
    text = "nmae: x\ninner:\n  steps: many\n  stpes: 3\n  rate: [1]\ntags: a\nflag: maybe\n"
    found = validate(Outer, parse_document(text, name="f"))
    assert isinstance(found, list)
    assert {(problem.line, problem.key, problem.message, problem.fix) for problem in found} == {
        (1, "name", "the key 'name' is missing", "add a line 'name: ...'"),
        (1, "nmae", "unknown key 'nmae'", "did you mean 'name'?"),
        (3, "inner.steps", "'many' is not a whole number", "write digits only, such as 20"),
        (4, "inner.stpes", "unknown key 'stpes'", "did you mean 'steps'?"),
        (5, "inner.rate", "a list is not a number", "write a number such as 4.5"),
        (6, "tags", "expected a list, found 'a'", "write [first, second]"),
        (7, "flag", "'maybe' is neither true nor false", "write true or false"),
    }


def test_a_key_at_the_wrong_level_is_sent_home():
    found = validate(Outer, parse_document("name: x\nsteps: 3\ninner: {flag: true}\n", name="f"))
    assert isinstance(found, list)
    assert {str(problem) for problem in found} == {
        "f:2:steps: unknown key 'steps' Fix: it belongs under inner",
        "f:3:inner.flag: unknown key 'flag' Fix: it belongs at the top of the file, not indented",
    }


def test_a_number_out_of_range_is_told_the_range():
    found = validate(Outer, parse_document("name: x\ninner: {steps: 0}\n", name="f"))
    assert isinstance(found, list)
    assert [str(problem) for problem in found] == [
        "f:2:inner.steps: '0' must be at least 1 Fix: write a number at least 1"
    ]


def test_a_key_without_a_value_is_a_mistake_even_where_a_default_exists():
    found = validate(Outer, parse_document("name: x\ninner:\ntags: [a,\n  ]\n", name="f"))
    assert isinstance(found, list)
    assert [(problem.code, problem.line, problem.key) for problem in found] == [("empty-value", 2, "inner")]


def test_an_unquoted_colour_is_recognised_as_a_comment():
    found = validate(Outer, parse_document("name: #008080\n", name="f"))
    assert isinstance(found, list)
    assert "quote one that begins with #" in str(found[0])


def test_a_file_is_read_into_a_model_in_one_call(tmp_path: Path):
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x\ntags: [a]\n")
    assert read_model(Outer, path) == Outer(name="x", tags=["a"])
    path.write_text("name: x\ntagz: [a]\n")
    with pytest.raises(InputRefused, match=r"recipe\.yaml:2:tagz: unknown key 'tagz'"):
        read_model(Outer, path)
