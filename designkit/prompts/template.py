r"""The grammar of a prompt: text, `{name}` placeholders and `{a|b}` choices, as a tree with positions.

    template    = (text | escape | comment | placeholder | choice)*
    placeholder = "{" name ("." name)* "}"          always stands for an axis or a word of the brand
    choice      = "{" template ("|" template)+ "}"  options may nest and may be empty
    escape      = "\" followed by one of { } | $ % # _ : \    elsewhere a backslash is a backslash
    comment     = "# ..." at the start of a line

Everything else is text: `$9.99`, `50%`, `#FF6600`, a `|` outside braces. What users of other tools know and
this grammar does not have (`__wildcards__`, `${variables}`, `{2$$a|b}`, `{0.5::a|b}`, `%{...}`) is a mistake
rather than text, so that it never ends up in a picture by accident.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_NESTING = 20
MAX_MISTAKES = 5

NAME = r"[^\W\d][\w-]*"
"""What an axis may be called: a letter or underscore, then letters, digits, `_` and `-`."""


@dataclass(frozen=True, slots=True)
class Text:
    """Characters that stand for themselves."""

    text: str


@dataclass(frozen=True, slots=True)
class Placeholder:
    """`{name}`: the value of an axis or a word of the brand; `start` is its offset in the source."""

    name: str
    start: int


@dataclass(frozen=True, slots=True)
class Choice:
    """`{a|b}`: an axis without a name; `start` is the offset of its brace in the source."""

    options: tuple[Phrase, ...]
    start: int


Part = Text | Placeholder | Choice


@dataclass(frozen=True, slots=True)
class Phrase:
    """Parts that follow each other."""

    parts: tuple[Part, ...]

    def placeholders(self, *, nested: bool = True) -> Iterator[Placeholder]:
        """Every placeholder in order of appearance; without `nested` only those outside all choices."""
        for part in self.parts:
            if isinstance(part, Placeholder):
                yield part
            elif isinstance(part, Choice) and nested:
                for option in part.options:
                    yield from option.placeholders()

    def choices(self) -> Iterator[Choice]:
        """Every choice, nested ones included, in order of appearance."""
        for part in self.parts:
            if isinstance(part, Choice):
                yield part
                for option in part.options:
                    yield from option.choices()


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something in a template that cannot be read, at an offset of its source."""

    start: int
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed prompt; `source` is what was written."""

    source: str
    tree: Phrase


def parse_template(source: str) -> tuple[Template, list[Mistake]]:
    """The tree of a template, and every mistake in it; the tree is of use only where there is none."""
    parser = _Parser(source)
    return Template(source, parser.parse()), parser.mistakes


_TOKEN = re.compile(
    r"""
      (?P<comment>^\#(?:[ \t][^\n]*)?(?:\n|\Z))
    | (?P<escape>\\[{}|$%\#_:\\])
    | (?P<variable>\$\{)
    | (?P<wrap>%\{)
    | (?P<wildcard>__(?!_)[\w./*?\[\]-]+?(?:\([^()\n]*\))?__)
    | (?P<open>\{)
    | (?P<close>\})
    | (?P<bar>\|)
    | (?P<text>[^\\$%_{}|\n]+|\n|.)
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)

_PLACEHOLDER = re.compile(rf"\s*({NAME}(?:\.{NAME})*)\s*")
_COUNT = re.compile(r"[~!@]?(?:\d+-?\d*|-\d+)\$\$")
_WEIGHT = re.compile(r"\s*\d*\.?\d+::")

_UNSUPPORTED = {
    "variable": ("a variable ${...} cannot be read yet", r"use an axis, or write \${ for these characters"),
    "wrap": ("a wrapper %{...} cannot be read yet", r"write the text out, or \%{ for these characters"),
    "wildcard": ("a wildcard cannot be read yet", r"list its values as an axis, or write \__ for these characters"),
}


class _Parser:
    """Reads one template; a stack of open braces instead of recursion."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.mistakes: list[Mistake] = []

    def parse(self) -> Phrase:
        stack = [_Group(start=-1)]
        for token in _TOKEN.finditer(self.source):
            kind, text, start = token.lastgroup, token[0], token.start()
            if kind == "text":
                stack[-1].add_text(text)
            elif kind == "escape":
                stack[-1].add_text(text[1])
            elif kind == "open":
                stack.append(_Group(start=start))
                if len(stack) > MAX_NESTING + 1:
                    self.mistake(start, f"braces nest deeper than {MAX_NESTING} levels", "write it with axes")
                    return Phrase(())
            elif kind == "close":
                if len(stack) == 1:
                    self.mistake(start, "this } closes nothing", r"remove it, or write \} for a plain brace")
                else:
                    group = stack.pop()
                    stack[-1].add(self.close(group, end=start))
            elif kind == "bar":
                stack[-1].next_option(start) if len(stack) > 1 else stack[-1].add_text(text)
            elif kind in _UNSUPPORTED:
                message, fix = _UNSUPPORTED[kind]
                self.mistake(start, f"{message}: {text}", fix)
                if kind != "wildcard":
                    stack.append(_Group(start=start, is_unsupported=True))
        for group in stack[1:]:
            if not group.is_unsupported:
                self.mistake(group.start, "this { is never closed", r"add }, or write \{ for a plain brace")
        return stack[0].options[0].finish()

    def close(self, group: _Group, *, end: int) -> Part:
        """What a pair of braces stands for."""
        inside = self.source[group.start + 1 : end]
        if group.is_unsupported:
            return Text("")
        if len(group.options) > 1:
            self.check_options(group)
            return Choice(tuple(option.finish() for option in group.options), group.start)
        name = _PLACEHOLDER.fullmatch(inside)
        if name:
            return Placeholder(name[1], group.start)
        if not inside.strip():
            self.mistake(group.start, "{} names no axis", r"write {name} or {a|b}, or \{\} for plain braces")
        else:
            self.mistake(
                group.start,
                f"{{{_shorten(inside)}}} is neither an axis nor a choice",
                r"write {name} or {a|b}, or \{ and \} for plain braces",
            )
        return Text("")

    def check_options(self, group: _Group) -> None:
        """Report the marks of a richer grammar, which would otherwise be read as plain words."""
        if _COUNT.match(self.source, group.start + 1):
            self.mistake(group.start, "a count ($$) cannot be read yet", r"list the combinations, or write \$")
        elif self.source[group.start + 1] in "~!@":
            mark = self.source[group.start + 1]
            self.mistake(group.start, f"the sampler {mark} cannot be read yet", "remove it, or put a space before it")
        for option in group.options:
            if _WEIGHT.match(self.source, option.start):
                self.mistake(option.start, "a weight (::) cannot be read yet", r"remove it, or write \::")

    def mistake(self, start: int, message: str, fix: str) -> None:
        """Note a mistake; the first few of a template are enough to see what is wrong with it."""
        if len(self.mistakes) < MAX_MISTAKES:
            self.mistakes.append(Mistake(start, message, fix))


class _Group:
    """A pair of braces (or the whole template) that is being read."""

    def __init__(self, *, start: int, is_unsupported: bool = False) -> None:
        self.start = start
        self.is_unsupported = is_unsupported
        self.options = [_Option(start + 1)]

    def add_text(self, text: str) -> None:
        self.options[-1].text.append(text)

    def add(self, part: Part) -> None:
        option = self.options[-1]
        option.flush()
        option.parts.append(part)

    def next_option(self, start: int) -> None:
        self.options.append(_Option(start + 1))


class _Option:
    """One option of a choice that is being read."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.text: list[str] = []
        self.parts: list[Part] = []

    def flush(self) -> None:
        if self.text:
            self.parts.append(Text("".join(self.text)))
            self.text = []

    def finish(self) -> Phrase:
        self.flush()
        return Phrase(tuple(self.parts))


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
