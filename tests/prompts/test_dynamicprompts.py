"""designkit's prompts beside dynamicprompts 0.31.0: the same strings, but for the differences listed in GRAMMAR.md.

`DESIGNKIT_TEMPLATES=2500 pytest tests/prompts/test_dynamicprompts.py` compares more templates than a quick run does.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from designkit.errors import InputRefused
from tests.prompts.oracle import Oracle, our_strings, templates, write_wildcards

GRAMMAR = Path(__file__).parents[2] / "designkit" / "prompts" / "GRAMMAR.md"
NUM_TEMPLATES = int(os.environ.get("DESIGNKIT_TEMPLATES", "40"))
FIRST_SEED = 31_000

Outcome = Sequence[str] | str
"""The strings made in order, or the exception of dynamicprompts, or the code of designkit's problem."""


@dataclass(frozen=True)
class Difference:
    """A template that the two read differently on purpose."""

    template: str
    theirs: Outcome
    ours: Outcome

    def row(self) -> str:
        """How the table in GRAMMAR.md begins its row."""
        cells = (f"`{self.template}`", _told(self.theirs), _told(self.ours))
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _told(outcome: Outcome) -> str:
    if isinstance(outcome, str):
        return f"{outcome}" if outcome.endswith(("Exception", "Error")) else f"refused: {outcome}"
    return "nothing" if not outcome else ", ".join(f"`{text}`" if text else "an empty text" for text in outcome)


LISTS = {
    "half.yaml": "half: ['0.5::x', '2::y']\n",
    "lines.txt": "3::x\ny\n",
    "other.yml": "other: [x]\n",
    "order.txt": "z\na\n",
    "latin.txt": b"caf\xe9\n",
}

DIFFERENCES = [
    Difference("$5 off {a|b}", "ParseException", ("$5 off a", "$5 off b")),
    Difference("50% {a|b}", "ParseException", ("50% a", "50% b")),
    Difference("a #FF6600 b", ("a",), ("a #FF6600 b",)),
    Difference(r"\{a\|b\}", ("\\a\\", "\\b\\"), ("{a|b}",)),
    Difference("x{a| b}", ("xa", "xb"), ("xa", "x b")),
    Difference("${v= a }[${v}]", ("[a ]",), ("[a]",)),
    Difference("%{ a ... b $$ c }", ("a c  b",), ("a c b",)),
    Difference("{a}", ("a",), "unknown-axis"),
    Difference("{a b}", ("a b",), "template"),
    Difference("a } b", ("a } b",), "template"),
    Difference("{}", ("",), "template"),
    Difference("{2$$a|b}", ("a,b", "b,a"), ("a, b", "b, a")),
    Difference("{2$$$$a|b}", "ParseException", ("ab", "ba")),
    Difference("{3$$+$$a||b}", ("a++b", "a+b", "b+a", "b++a"), ("a+b", "b+a")),
    Difference("{2$$+$$a+|b}", ("a++b", "b+a"), ("a++b", "b+a+")),
    Difference("{2$$a|a}", (), ("a",)),
    Difference("{2$$+$$__one__ {a|b}}", ("only a", "only b"), ("only a+only b", "only b+only a")),
    Difference("{2$$+$$__greeting(who=Al)__}", ("bye+hello you", "hello you+bye"), ("hello Al+bye", "bye+hello Al")),
    Difference("__greeting(who={a,b|c})__", "ParseException", ("hello a,b", "hello c", "bye")),
    Difference("${v=!{a|b}}${v}${v}", ("aa",), ("aa", "bb")),
    Difference("${a=x}${b=!${a}}${b}", "KeyError", ("x",)),
    Difference("${u}", "KeyError", "unknown-variable"),
    Difference("${v=${v}}${v}", "RecursionError", "circular-reference"),
    Difference("__{one|flat}__", ("only",), ("only", "even")),
    Difference("__nothing__", ("__nothing__",), "unknown-wildcard"),
    Difference("__half__", ("y",), ("x", "y")),
    Difference("__lines__", ("3::x", "y"), ("x", "y")),
    Difference("__other__", ("__other__",), ("x",)),
    Difference("__order__", ("a", "z"), ("z", "a")),
    Difference("__latin__", ("caf",), "file-encoding"),
]


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the wildcards of the templates and of the differences."""
    folder = tmp_path_factory.mktemp("prompts")
    root = write_wildcards(folder)
    for name, content in LISTS.items():
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@pytest.fixture(scope="module")
def oracle(lists: Path) -> Oracle:
    # In the extra `dev`; the differences and templates mean this version.
    assert version("dynamicprompts") == "0.31.0"
    return Oracle(lists / "wildcards")


@pytest.fixture(autouse=True)
def no_complaints():
    """dynamicprompts drives pyparsing in ways that warn, and logs what it does not find."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def test_generated_templates_make_the_same_strings_with_both(tmp_path: Path, oracle: Oracle):
    write_wildcards(tmp_path)
    compared = 0
    for template in templates(FIRST_SEED, NUM_TEMPLATES):
        theirs = oracle.strings(template)
        if theirs is not None:
            compared += 1
            assert our_strings(template, tmp_path) == theirs, template
    assert compared > NUM_TEMPLATES * 0.8


def test_the_generated_templates_use_the_whole_grammar():
    together = "\n".join(templates(FIRST_SEED, 60))
    marks = ("{", "|}", "::", "$$", "$$ and $$", "{1-2$$", "{2-$$", "{-2$$", "{5$$", "__places/*__", "__greeting(who=")
    marks += ("${v0=", "${v0}", "${v0:", "${unset:", "%{", "…", "...", "__[op]ne__", "{2$$ + $$__")
    assert [mark for mark in marks if mark not in together] == []


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.template)
def test_each_difference_is_as_the_table_says(difference: Difference, lists: Path, oracle: Oracle):
    def theirs() -> Outcome:
        try:
            # What it does not know it yields for ever; nothing else here has as many strings.
            found = oracle.generator.generate(difference.template, 30)
        except Exception as error:
            return type(error).__name__
        return tuple(dict.fromkeys(text.strip() for text in found))

    def ours() -> Outcome:
        try:
            return tuple(our_strings(difference.template, lists))
        except InputRefused as error:
            return error.problems[0].code

    assert (theirs(), ours()) == (difference.theirs, difference.ours)
    assert difference.row() in GRAMMAR.read_text(encoding="utf-8")
    assert theirs() != ours()


def test_the_table_lists_no_other_difference():
    table = GRAMMAR.read_text(encoding="utf-8").partition("## Differences")[2]
    rows = [line for line in table.split("\n") if line.startswith("| `")]
    assert len(rows) == len(DIFFERENCES)
