"""YAML documents as trees in which every value knows its place, checked against pydantic models.

Only what a prompt file, a brand or a recipe needs is read: mappings, lists and text. A scalar keeps the
characters that were written (`NO`, `1.50`, `012` and `1:30` are text until a model's field says otherwise).
Tags, anchors, aliases, several documents in one file and deep nesting are refused, each with its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from designkit.errors import InputRefused, Problem
from designkit.files import find_control_character, read_text

MAX_DEPTH = 32
MAX_DOCUMENT_BYTES = 5_000_000

AnyModel = TypeVar("AnyModel", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Node:
    """One value of a document and where it was written.

    `value` is text, None (nothing was written after the colon or dash), a mapping, or a list. `line` is that
    of the key, or of the value itself where it has none; `text_line` is where the text begins, which for a
    block (`|`) is the line below.
    `file` is the path as the user gave it, or what stands in for it (`--set model.steps`).
    """

    value: str | Mapping[str, Node] | tuple[Node, ...] | None
    file: str
    line: int | None = None
    text_line: int | None = None

    def plain(self) -> Any:
        """The same tree as dicts, lists, text and None."""
        if isinstance(self.value, Mapping):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, tuple):
            return [node.plain() for node in self.value]
        return self.value

    def get(self, *keys: str) -> Node | None:
        """The node below that a row of mapping keys leads to, or None."""
        node = self
        for key in keys:
            below = node.value.get(key) if isinstance(node.value, Mapping) else None
            if below is None:
                return None
            node = below
        return node

    def items(self) -> Iterator[tuple[str, Node]]:
        """The keys and nodes of a mapping; nothing for any other value."""
        if isinstance(self.value, Mapping):
            yield from self.value.items()

    def problem(self, code: str, message: str, *, key: str | None = None, fix: str | None = None) -> Problem:
        """A Problem at this place; the key is left out where the place ends in it already (`--set model.steps`)."""
        is_named = key is None or self.file.endswith(f" {key}")
        return Problem(
            code=code, message=message, file=self.file, line=self.line, key=None if is_named else key, fix=fix
        )


def read_document(path: Path) -> Node:
    """Read a YAML file of at most 5 MB as `parse_document` does; raises InputRefused."""
    return parse_document(read_text(path, max_bytes=MAX_DOCUMENT_BYTES), name=str(path))


def parse_document(text: str, *, name: str, has_lines: bool = True) -> Node:
    """The tree of one YAML document; an empty text is an empty mapping.

    `name` is what errors call the source; with `has_lines` False they name no lines. Raises InputRefused
    with the mistake in the syntax, or with all duplicate keys, tags and aliases at once.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    builder = _Builder(name, has_lines)
    try:
        root = builder.build(YAML(typ="safe", pure=True).parse(text))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    except MarkedYAMLError as error:
        _refuse_syntax(error, text, name, has_lines)
    except (YAMLError, ValueError, OverflowError) as error:
        raise InputRefused(Problem(code="yaml-syntax", message=str(error).splitlines()[0], file=name)) from None
    if builder.problems:
        raise InputRefused(builder.problems)
    return root or Node(value={}, file=name, line=1 if has_lines else None)


def validate(model: type[AnyModel], root: Node) -> AnyModel | list[Problem]:
    """The document as an instance of `model`, or every mistake in it, each at its place.

    A key or dash with nothing behind it is a mistake: what was forgotten is not taken for a default.
    """
    problems = list(_empty_places(root, ()))
    try:
        valid = model.model_validate(root.plain())
    except ValidationError as error:
        problems += [_explain(dict(detail), model, root) for detail in error.errors(include_url=False)]
    else:
        if not problems:
            return valid
    return list(dict.fromkeys(problem for problem in problems if problem))


def read_model(model: type[AnyModel], path: Path) -> AnyModel:
    """A YAML file as an instance of `model`; raises InputRefused with every mistake in it."""
    checked = validate(model, read_document(path))
    if isinstance(checked, list):
        raise InputRefused(checked)
    return checked


def with_value(node: Node, keys: Sequence[str], value: Node) -> Node:
    """The tree with `value` at a row of keys, the mappings on the way made where they are missing."""
    if not keys:
        return value
    if not isinstance(node.value, Mapping) and node.value is not None:
        found = "a list" if isinstance(node.value, tuple) else "a plain value"
        fix = f"set {value.file.removeprefix('--set ').rsplit('.', len(keys))[0]} as a whole"
        raise InputRefused(value.problem("override", f"there is nothing named {keys[0]!r} in {found}", fix=fix))
    below = node.get(keys[0]) or Node(value={}, file=value.file)
    if keys[0] == "model" and len(keys) > 1 and isinstance(below.value, str):
        below = Node(value={"name": below}, file=below.file, line=below.line)
    values = {**dict(node.items()), keys[0]: with_value(below, keys[1:], value)}
    return Node(value=values, file=node.file, line=node.line)


def nearest(word: str, choices: Sequence[str]) -> str | None:
    """The choice that `word` was most likely meant to be, if any is close."""
    import difflib

    by_fold = {choice.casefold(): choice for choice in choices}
    found = difflib.get_close_matches(word.casefold(), list(by_fold), n=1, cutoff=0.6)
    return by_fold[found[0]] if found else None


def suggest(word: str, choices: Sequence[str]) -> str:
    """What to do about a word that is none of `choices`: the nearest one, or all of them."""
    near = nearest(word, choices)
    if near is not None:
        return f"did you mean {near!r}?"
    listed = ", ".join(list(choices)[:12]) + (", ..." if len(choices) > 12 else "")
    return f"choose from: {listed}" if choices else "remove it"


def describe(node: Node) -> str:
    """A value as an error names it: its text in quotes, cut short, or what it is instead of text."""
    if isinstance(node.value, Mapping):
        return "a mapping"
    if isinstance(node.value, tuple):
        return "a list"
    if node.value is None:
        return "nothing"
    return repr(node.value if len(node.value) <= 40 else node.value[:37] + "...")


class _Builder:
    """Turns the parser's events into nodes without recursion, and collects what is refused on the way."""

    def __init__(self, name: str, has_lines: bool) -> None:
        self.name = name
        self.has_lines = has_lines
        self.problems: list[Problem] = []

    def build(self, events: Any) -> Node | None:
        """The root node; None for a stream without a document."""
        root: Node | None = None
        num_documents = 0
        open_nodes: list[_Open] = []
        for event in events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                num_documents += 1
                if num_documents == 2:
                    self._refuse(event, "yaml-documents", "a second document starts here", "keep one, remove '---'")
                    break
                continue
            if kind in ("MappingStartEvent", "SequenceStartEvent"):
                self._check_marks(event)
                open_nodes.append(_Open(event, is_mapping=kind == "MappingStartEvent"))
                if len(open_nodes) > MAX_DEPTH:
                    self._refuse(
                        event, "yaml-depth", f"nested deeper than {MAX_DEPTH} levels", "write it flatter", key=None
                    )
                    break
                continue
            if kind in ("MappingEndEvent", "SequenceEndEvent"):
                closed = open_nodes.pop()
                value = closed.mapping if closed.is_mapping else tuple(closed.items)
                node = self._node(closed.event, value)
            elif kind in ("ScalarEvent", "AliasEvent"):
                self._check_marks(event)
                node = self._scalar(event)
            else:
                continue
            if open_nodes:
                self._add(open_nodes[-1], node, event)
            else:
                root = node
        return root

    def _scalar(self, event: Any) -> Node:
        text: str = getattr(event, "value", "")
        style = getattr(event, "style", None)
        stranger = find_control_character(text)
        if stranger is not None:
            message = f"the text holds the control character U+{ord(text[stranger]):04X}"
            self._refuse(event, "control-character", message, "remove its escape")
        starts_below = style == "|"
        return self._node(event, None if not text and style is None else text, text_below=starts_below)

    def _node(self, event: Any, value: Any, *, text_below: bool = False) -> Node:
        line: int | None = event.start_mark.line + 1 if self.has_lines else None
        text_line = line + 1 if line is not None and text_below else line
        return Node(value=value, file=self.name, line=line, text_line=text_line)

    def _add(self, parent: _Open, node: Node, event: Any) -> None:
        if not parent.is_mapping:
            parent.items.append(node)
        elif parent.key is None:
            if not isinstance(node.value, str):
                self._refuse(event, "yaml-key", "a key must be a word", "put text that begins with { or [ in quotes")
            elif node.value in parent.mapping:
                first = parent.mapping[node.value].line
                where = f" (first on line {first})" if first is not None else ""
                self._refuse(event, "duplicate-key", f"the key is given twice{where}", "keep one", key=node.value)
            parent.key = node
        else:
            text = parent.key.value if isinstance(parent.key.value, str) else repr(parent.key.line)
            keyed = Node(value=node.value, file=node.file, line=parent.key.line, text_line=node.text_line)
            parent.mapping.setdefault(text, keyed)
            parent.key = None

    def _check_marks(self, event: Any) -> None:
        if type(event).__name__ == "AliasEvent" or getattr(event, "anchor", None):
            self._refuse(event, "yaml-alias", "anchors (&) and aliases (*) are not read", "write the value out")
        tag = getattr(event, "tag", None)
        if tag and tag != "!":
            self._refuse(event, "yaml-tag", f"the tag {str(tag)!r} is not read", "remove it, or put the text in quotes")

    def _refuse(self, event: Any, code: str, message: str, fix: str, *, key: str | None = None) -> None:
        line = event.start_mark.line + 1 if self.has_lines else None
        self.problems.append(Problem(code=code, message=message, file=self.name, line=line, key=key, fix=fix))


class _Open:
    """A mapping or list that is being read."""

    def __init__(self, event: Any, *, is_mapping: bool) -> None:
        self.event = event
        self.is_mapping = is_mapping
        self.mapping: dict[str, Node] = {}
        self.items: list[Node] = []
        self.key: Node | None = None


_UNQUOTED_BRACE = re.compile(r"\s*(?:- +)?(?:[\w.\"'-]+ *: +)?[{\[]")


def _refuse_syntax(error: Any, text: str, name: str, has_lines: bool) -> NoReturn:
    """Say in plain words what the YAML parser stumbled over."""
    mark = error.problem_mark or error.context_mark
    line: int = mark.line + 1 if mark else 1
    lines = text.split("\n")
    written = lines[line - 1] if line <= len(lines) else ""
    problem = str(error.problem or error.context)
    code, column = "yaml-syntax", f" (column {mark.column + 1})" if mark else ""
    if "'\\t'" in problem:
        tabbed = [number for number, row in enumerate(lines, 1) if re.match(r"\s*\t", row)] or [line]
        code, line = "tab-indentation", tabbed[0] if line in tabbed else line
        others = ", ".join(map(str, tabbed[1:6])) + (", ..." if len(tabbed) > 6 else "")
        message = "a tab is used for spacing" + (f", also on line {others}" if others else "")
        fix = "replace each tab by two spaces"
    elif "mapping values are not allowed" in problem:
        message = f"a second ': ' stands on this line{column}, or the line is indented too far"
        fix = "put text that holds ': ' in quotes, and align the keys"
    elif _UNQUOTED_BRACE.match(written) and "<block end>" in problem:
        message = f"text goes on behind a closing bracket{column}"
        fix = 'put text that begins with { or [ in quotes: "{product} on a table"'
    elif "unexpected end of stream" in problem and "quoted" in str(error.context):
        line = error.context_mark.line + 1
        message, fix = "the quote that opens here is never closed", "close it at the end of the text"
    elif error.context and "flow" in str(error.context):
        line = error.context_mark.line + 1
        message, fix = "the bracket that opens here is not closed properly", "check its commas and its closing bracket"
    elif "<block end>" in problem:
        message, fix = f"this line does not fit the indentation above it{column}", "align it with its neighbours"
    elif "cannot start any token" in problem:
        message, fix = f"unquoted text cannot begin with {_offender(written, mark)}{column}", "put the text in quotes"
    elif "could not find expected ':'" in problem:
        line = error.context_mark.line + 1
        message, fix = "a line without ': ' stands among keys", "write 'key: value', or indent it under its key"
    else:
        message, fix = f"this is not YAML: {problem}{column}", "see the line, and the one above it"
    raise InputRefused(
        Problem(code=code, message=message, file=name, line=line if has_lines else None, fix=fix)
    ) from None


def _offender(written: str, mark: Any) -> str:
    return repr(written[mark.column]) if mark and mark.column < len(written) else "this character"


def _empty_places(node: Node, keys: tuple[str, ...]) -> Iterator[Problem]:
    """A Problem for every None of the tree."""
    if node.value is None:
        fix = "write a value (quote one that begins with #), or remove the line"
        yield node.problem("empty-value", "nothing is written here", key=".".join(keys) or None, fix=fix)
    elif isinstance(node.value, tuple):
        for item in node.value:
            yield from _empty_places(item, keys)
    else:
        for key, below in node.items():
            yield from _empty_places(below, (*keys, key))


def _explain(detail: dict[str, Any], model: type[BaseModel], root: Node) -> Problem | None:
    """One pydantic error as a Problem at the node that it is about; None where nothing is written there."""
    node, missing = root, ""
    words: list[str] = []
    for part in detail["loc"]:
        if isinstance(part, str):
            words.append(part)
        below: Node | None = None
        if isinstance(part, int) and isinstance(node.value, tuple) and part < len(node.value):
            below = node.value[part]
        elif isinstance(node.value, Mapping):
            below = node.value.get(str(part))
        if below is None:
            missing = str(part)
            break
        node = below
    if node.value is None:
        return None
    message, fix = _wording(detail, model, node, missing or (words[-1] if words else ""))
    return node.problem(str(detail["type"]).replace("_", "-"), message, key=".".join(words) or None, fix=fix)


def _wording(detail: dict[str, Any], model: type[BaseModel], node: Node, last: str) -> tuple[str, str | None]:
    """What is wrong, and what to do, in the words of the person who wrote the file."""
    kind: str = detail["type"]
    context: dict[str, Any] = detail.get("ctx") or {}
    found = describe(node)
    if kind == "extra_forbidden":
        home = _home_of(last, model)
        known = _keys_at(model, detail["loc"][:-1])
        return f"unknown key {last!r}", f"it belongs {home}" if home else suggest(last, known)
    if kind == "missing":
        return f"the key {last!r} is missing", f"add a line '{last}: ...'"
    if kind in ("int_parsing", "int_type", "int_from_float", "int_parsing_size"):
        return f"{found} is not a whole number", "write digits only, such as 20"
    if kind in ("float_parsing", "float_type", "finite_number"):
        return f"{found} is not a number", "write a number such as 4.5"
    if kind in ("bool_parsing", "bool_type"):
        return f"{found} is neither true nor false", "write true or false"
    if kind == "string_type":
        return f"expected text, found {found}", "put text that begins with { or [ in quotes"
    if kind in ("dict_type", "model_type", "model_attributes_type", "mapping_type"):
        return f"expected 'key: value' lines, found {found}", "indent 'key: value' lines under it"
    if kind in ("list_type", "tuple_type"):
        return f"expected a list, found {found}", "write [first, second]"
    if kind in ("literal_error", "enum"):
        choices = [choice.strip(" '") for choice in re.split(r", | or ", str(context.get("expected", "")))]
        return f"{found} is not possible here", suggest(str(node.value), choices)
    limits = {"greater_than_equal": ("at least", "ge"), "less_than_equal": ("at most", "le")}
    limits |= {"greater_than": ("more than", "gt"), "less_than": ("less than", "lt")}
    if kind in limits:
        words, name = limits[kind]
        return f"{found} must be {words} {context[name]:g}", f"write a number {words} {context[name]:g}"
    if kind == "value_error":
        return str(context.get("error", detail["msg"])), None
    if kind in ("too_short", "string_too_short"):
        return "nothing is written here", "write at least one value, or remove the line"
    return str(detail["msg"]), context.get("fix")


def _keys_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The keys that the model knows at a place inside it; places in lists and keys of free mappings are passed over."""
    here: type[BaseModel] | None = model
    is_free = False
    for part in location:
        if isinstance(part, int) or is_free:
            is_free = False
            continue
        field = here.model_fields.get(part) if here is not None else None
        here = next(_models_in(field.annotation), None) if field else None
        is_free = field is not None and _is_mapping(field.annotation)
    if here is None:
        return []
    return [field.alias or name for name, field in here.model_fields.items()]


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(map(_is_mapping, get_args(annotation)))


def _home_of(key: str, model: type[BaseModel]) -> str | None:
    """Where a key belongs that was only written at the wrong level."""
    if key in model.model_fields:
        return "at the top of the file, not indented"
    for name, field in model.model_fields.items():
        if any(key in section.model_fields for section in _models_in(field.annotation)):
            return f"under {name}"
    return None


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
