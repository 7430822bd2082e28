r"""The grammar of a prompt as a tree with positions; `GRAMMAR.md` beside this file explains it to its users.

    template    = (text | escape | comment | placeholder | choice | wildcard | variable | assignment | wrapper)*
    placeholder = "{" name ("." name)* "}"                         stands for an axis, a variable or a word of the brand
    choice      = "{" [sampler] [count] option ("|" option)* "}"   one of its options; they nest and may be empty
    option      = [weight "::"] template
    sampler     = "~" | "!" | "@"
    count       = (n | n"-"m | "-"m | n"-") "$$" [separator "$$"]
    wildcard    = "__" [sampler] path ["(" name "=" template ("," name "=" template)* ")"] "__"
    variable    = "${" name [":" template] "}"
    assignment  = "${" name ("=" | "=!" | "?=" | "?=!") template "}"     outside all choices
    wrapper     = "%{" template "$$" template "}"
    escape      = "\" followed by one of { } | $ % # _ : \             elsewhere a backslash is a backslash
    comment     = "# ..." at the start of a line

Everything else is text: `$9.99`, `50%`, `#FF6600`, a `|` outside braces. What looks like grammar and cannot be read
is a mistake rather than text, so that it never ends up in a picture by accident.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_NESTING = 20
MAX_MISTAKES = 5

NAME = r"[^\W\d][\w-]*"
"""What an axis or a variable may be called: a letter or underscore, then letters, digits, `_` and `-`."""

DEFAULT_SEPARATOR = ", "
"""What stands between the options that `{2$$a|b|c}` takes."""


@dataclass(frozen=True, slots=True)
class Text:
    """Characters that stand for themselves."""

    text: str


@dataclass(frozen=True, slots=True)
class Placeholder:
    """`{name}`: the value of an axis or variable, or a word of the brand; `start` is its offset in the source."""

    name: str
    start: int


@dataclass(frozen=True, slots=True)
class Choice:
    """`{a|b}`: one option, or with a count `low` to `high` of them in any order (`high` None: all of them).

    `weights` is empty where none is written; `mark` is the sampler `~`, `!` or `@`; `start` is the offset of
    the brace in the source.
    """

    options: tuple[Phrase, ...]
    start: int
    weights: tuple[float, ...] = ()
    low: int = 1
    high: int | None = 1
    separator: str = DEFAULT_SEPARATOR
    mark: str = ""

    @property
    def is_counted(self) -> bool:
        """Whether other than exactly one option is asked for."""
        return (self.low, self.high) != (1, 1)


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`__path(name=value)__`: one value of every collection whose name the path matches."""

    path: Phrase
    parameters: tuple[tuple[str, Phrase], ...]
    start: int
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Variable:
    """`${name}` or `${name:default}`."""

    name: str
    default: Phrase | None
    start: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """`${name=value}`; `is_once` (`=!`) chooses one value for all uses, `keeps` (`?=`) leaves one that is there."""

    name: str
    value: Phrase
    start: int
    is_once: bool = False
    keeps: bool = False


@dataclass(frozen=True, slots=True)
class Wrapper:
    """`%{before ... after$$inner}`: the inner text takes the place of the `...`."""

    around: Phrase
    inner: Phrase
    start: int


Part = Text | Placeholder | Choice | Wildcard | Variable | Assignment | Wrapper


@dataclass(frozen=True, slots=True)
class Phrase:
    """Parts that follow each other."""

    parts: tuple[Part, ...]

    def is_text(self) -> bool:
        """Whether nothing in it is looked up or chosen."""
        return all(isinstance(part, Text) for part in self.parts)

    def text(self) -> str:
        """Its characters, where `is_text`."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    def assignments(self) -> Iterator[Assignment]:
        """The variables that it sets, in order; assignments stand outside choices."""
        return (part for part in self.parts if isinstance(part, Assignment))


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
    return Template(source, parser.parse(0, len(source))), parser.mistakes


def read_weight(written: str) -> tuple[float | None, str]:
    """The weight in front of a value (`3::red`), None where there is none, and the value without it."""
    match = _WEIGHT.match(written)
    return (float(match[1]), written[match.end() :]) if match else (None, written)


_PATH = r"(?:(?!__)[\w./*?\[\]!'&+,\ -]|\$\{[^{}\n]{0,200}\}|\{[^{}\n]{0,200}\}){1,200}"
_ARGUMENTS = r"\((?:[^(){}\n]|\([^(){}\n]*\)|\{(?:[^{}\n]|\{[^{}\n]*\})*\}){1,2000}+\)"

_TOKEN = re.compile(
    rf"""
      (?P<comment>^\#(?:[ \t][^\n]*)?(?:\n|\Z))
    | (?P<escape>\\[{{}}|$%\#_:\\])
    | (?P<variable>\$\{{)
    | (?P<wrap>%\{{)
    | (?P<double>\$\$)
    | __(?P<mark>[~!@]?)(?![_\ ])(?P<path>{_PATH})(?<!\ )(?:\ ?(?P<arguments>{_ARGUMENTS}))?(?P<wildcard>__)
    | (?P<open>\{{)
    | (?P<close>\}})
    | (?P<bar>\|)
    | (?P<text>[^\\$%_{{}}|\n]+|\n|.)
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)

_PLACEHOLDER = re.compile(rf"\s*({NAME}(?:\.{NAME})*)\s*")
_WEIGHT = re.compile(r"\s*(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})::")
_MARK = re.compile(r"[~!@]")
_COUNT = re.compile(r"\s*(?:(\d{1,9})(-)?(\d{1,9})?|-(\d{1,9}))\$\$(?:((?:\\[{}|$%#_:\\]|[^${}\\\n])*)\$\$)?")
_HEADER = re.compile(rf"\s*({NAME})\s*(?:(\?)?(=)(!)?|(:)|(?=\}}))")
_ESCAPE = re.compile(r"\\([{}|$%#_:\\])")


class _Parser:
    """Reads one template; a stack of open braces instead of recursion, but for what stands inside a wildcard."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.mistakes: list[Mistake] = []

    def parse(self, position: int, end: int, depth: int = 0) -> Phrase:
        """The tree of a stretch of the source."""
        stack = [_Group(kind="all", start=position - 1, inside=position)]
        while position < end:
            token = _TOKEN.match(self.source, position, end)
            assert token is not None, "every character is text at least"
            kind, text, start = token.lastgroup, token[0], position
            position = token.end()
            group = stack[-1]
            if kind == "text":
                group.add_text(text)
            elif kind == "escape":
                group.add_text(text[1])
            elif kind == "open" or kind == "wrap" or kind == "variable":
                if depth + len(stack) > MAX_NESTING:
                    self.mistake(start, f"braces nest deeper than {MAX_NESTING} levels", "write it with axes")
                    return Phrase(())
                opened = _Group(kind=kind, start=start, inside=position)
                position = self.open(opened, position, end)
                stack.append(opened)
            elif kind == "close":
                if len(stack) == 1:
                    self.mistake(start, "this } closes nothing", r"remove it, or write \} for a plain brace")
                else:
                    stack.pop()
                    self.close(group, start, stack)
            elif kind == "bar":
                position = self.bar(group, start, position, end)
            elif kind == "double":
                if group.kind == "wrap" and len(group.options) == 1:
                    group.next_option()
                else:
                    group.add_text(text)
            elif kind == "wildcard":
                group.add(self.wildcard(token, depth + len(stack)))
        for group in stack[1:]:
            self.mistake(group.start, f"this {group.opening} is never closed", group.advice)
        return stack[0].options[0].finish()

    def open(self, group: _Group, position: int, end: int) -> int:
        """Read what may stand right behind an opening; returns where the text inside begins."""
        if group.kind == "variable":
            group.header = _HEADER.match(self.source, position, end)
            if group.header is None:
                fix = r"write ${name}, ${name=value} or ${name:default}, or \${ for these characters"
                self.mistake(group.start, "this ${ is not followed by a name and =, : or }", fix)
                return position
            return group.header.end()
        if group.kind == "wrap":
            return position
        if mark := _MARK.match(self.source, position, end):
            group.mark, position = mark[0], mark.end()
        if count := _COUNT.match(self.source, position, end):
            group.count, position = count, count.end()
        return self.weigh(group, position, end)

    def weigh(self, group: _Group, position: int, end: int) -> int:
        """Read the weight of the option that begins here, if it has one."""
        if weight := _WEIGHT.match(self.source, position, end):
            group.weights[len(group.options) - 1] = float(weight[1])
            return weight.end()
        return position

    def bar(self, group: _Group, start: int, position: int, end: int) -> int:
        if group.kind == "all":
            group.add_text("|")
        elif group.kind == "open":
            group.next_option()
            return self.weigh(group, position, end)
        else:
            self.mistake(start, f"a | stands alone inside {group.opening}", r"write {a|b}, or \| for a plain bar")
        return position

    def close(self, group: _Group, end: int, stack: list[_Group]) -> None:
        """Add what a pair of braces stands for to the group around it."""
        if group.kind == "open":
            part = self.choice(group, end)
        elif group.kind == "wrap":
            part = self.wrapper(group)
        else:
            part = self.variable(group, is_outside=len(stack) == 1)
        if part is not None:
            stack[-1].add(part)

    def choice(self, group: _Group, end: int) -> Part | None:
        inside = self.source[group.inside : end]
        options = tuple(option.finish() for option in group.options)
        is_marked = bool(group.mark or group.count or group.weights)
        if len(options) == 1:
            name = _PLACEHOLDER.fullmatch(inside)
            if name and options[0].is_text():
                return Placeholder(name[1], group.start)
            if not inside.strip():
                self.mistake(group.start, "{} names no axis", r"write {name} or {a|b}, or \{\} for plain braces")
                return None
            if not is_marked and options[0].is_text():
                fix = r"write {name} or {a|b}, or \{ and \} for plain braces"
                self.mistake(group.start, f"{{{_shorten(inside)}}} is neither an axis nor a choice", fix)
                return None
        weights = tuple(group.weights.get(place, 1.0) for place in range(len(options))) if group.weights else ()
        low, high, separator = _bounds(group.count)
        return Choice(options, group.start, weights, low, high, separator, group.mark)

    def wrapper(self, group: _Group) -> Part | None:
        if len(group.options) == 1:
            fix = r"write %{before ... after$$inner}, or \%{ for these characters"
            self.mistake(group.start, "this %{ has no $$ between the wrapper and what it is put around", fix)
            return None
        around, inner = (_trimmed(option.finish()) for option in group.options)
        return Wrapper(around, inner, group.start)

    def variable(self, group: _Group, *, is_outside: bool) -> Part | None:
        if group.header is None:
            return None
        name, keeps, sets, is_once, has_default = group.header.groups()
        value = _trimmed(group.options[0].finish())
        if not sets:
            return Variable(name, value if has_default else None, group.start)
        if not is_outside:
            fix = "set it at the start of the prompt"
            self.mistake(group.start, f"the variable {name} is set inside other braces", fix)
            return None
        return Assignment(name, value, group.start, is_once=bool(is_once), keeps=bool(keeps))

    def wildcard(self, token: re.Match[str], depth: int) -> Part:
        start, mark = token.start(), token["mark"]
        path = self.parse(*token.span("path"), depth)
        parameters: dict[str, Phrase] = {}
        for first, last in self.arguments(token) if token["arguments"] else ():
            name, equals, _ = self.source[first:last].partition("=")
            if not equals or not re.fullmatch(NAME, name.strip()):
                fix = "write __name(parameter=value)__, with commas between several"
                self.mistake(first, f"{_shorten(self.source[first:last].strip())!r} sets no parameter", fix)
            elif name.strip() in parameters:
                self.mistake(first, f"the parameter {name.strip()} is given twice", "keep one")
            else:
                parameters[name.strip()] = _trimmed(self.parse(first + len(name) + 1, last, depth))
        return Wildcard(path, tuple(parameters.items()), start, mark)

    def arguments(self, token: re.Match[str]) -> Iterator[tuple[int, int]]:
        """Where each parameter begins and ends: between commas that stand outside all braces."""
        first, last = token.start("arguments") + 1, token.end("arguments") - 1
        depth = 0
        for place in range(first, last):
            character = self.source[place]
            depth += (character in "{(") - (character in "})")
            if character == "," and depth == 0:
                yield first, place
                first = place + 1
        yield first, last

    def mistake(self, start: int, message: str, fix: str) -> None:
        """Note a mistake; the first few of a template are enough to see what is wrong with it."""
        if len(self.mistakes) < MAX_MISTAKES:
            self.mistakes.append(Mistake(start, message, fix))


class _Group:
    """A pair of braces (or the whole template) that is being read."""

    def __init__(self, *, kind: str, start: int, inside: int) -> None:
        self.kind = kind
        self.start = start
        self.inside = inside
        self.options = [_Option()]
        self.mark = ""
        self.count: re.Match[str] | None = None
        self.header: re.Match[str] | None = None
        self.weights: dict[int, float] = {}

    @property
    def opening(self) -> str:
        return {"variable": "${", "wrap": "%{"}.get(self.kind, "{")

    @property
    def advice(self) -> str:
        meaning = "a plain brace" if self.kind == "open" else "these characters"
        return rf"add }}, or write \{self.opening} for {meaning}"

    def add_text(self, text: str) -> None:
        self.options[-1].text.append(text)

    def add(self, part: Part) -> None:
        option = self.options[-1]
        option.flush()
        option.parts.append(part)

    def next_option(self) -> None:
        self.options.append(_Option())


class _Option:
    """One option of a choice that is being read."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.parts: list[Part] = []

    def flush(self) -> None:
        if self.text:
            self.parts.append(Text("".join(self.text)))
            self.text = []

    def finish(self) -> Phrase:
        self.flush()
        return Phrase(tuple(self.parts))


def _bounds(count: re.Match[str] | None) -> tuple[int, int | None, str]:
    """How many options are taken at least and at most, and what stands between them."""
    if count is None:
        return 1, 1, DEFAULT_SEPARATOR
    first, dash, second, upper, written = count.groups()
    separator = DEFAULT_SEPARATOR if written is None else _ESCAPE.sub(r"\1", written)
    if upper is not None:
        low, high = 1, int(upper)
    elif not dash:
        low = high = int(first)
    elif second is None:
        return int(first), None, separator
    else:
        low, high = int(first), int(second)
    return min(low, high), max(low, high), separator


def _trimmed(phrase: Phrase) -> Phrase:
    """A phrase without the spaces at its ends."""
    parts = list(phrase.parts)
    if parts and isinstance(parts[0], Text):
        parts[0] = Text(parts[0].text.lstrip())
    if parts and isinstance(parts[-1], Text):
        parts[-1] = Text(parts[-1].text.rstrip())
    return Phrase(tuple(part for part in parts if part != Text("")))


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
