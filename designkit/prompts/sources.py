"""What the arguments of a command mean: prompt files, standard input or bare prompts, read into located rows.

Whatever the format, the outcome is the same: one document that holds for the whole source, and its rows.
A YAML file has one row; a text file one for each line; a table one for each record, its columns as keys.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO, cast

from designkit.documents import MAX_DOCUMENT_BYTES, Node, parse_document, with_value
from designkit.errors import InputRefused, Problem
from designkit.files import decode_text, find_control_character, read_text

SUFFIXES = (".yaml", ".yml", ".txt", ".csv", ".jsonl")
MAX_NAME_LENGTH = 60

# Typed at a shell, these are meant as they stand: quoting braces twice would help nobody.
_TEXT_KEYS = ("prompt", "negative")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One prompt file, or what stands in for it.

    `name` is fit for a folder; `place` is what errors call the source; `document` holds the keys that are
    written once, `rows` the keys of each row. `is_table` tells that a row's unknown keys are axes; elsewhere only
    those in `columns` are.
    """

    name: str
    path: Path | None
    place: str
    document: Node
    rows: tuple[Node, ...]
    is_table: bool = False
    columns: frozenset[str] = frozenset()


def read_source(argument: str, stdin: TextIO | None) -> Source:
    """What one argument of the command line means; raises InputRefused with every mistake in its syntax.

    `-` is standard input. An argument is a file if it exists, ends in a known suffix, or has a `/` or a
    suffix and no spaces; anything else is a prompt.
    """
    if argument == "-":
        return _read_stream(stdin)
    if not _is_file(argument):
        place = "the prompt"
        text = decode_text(argument.encode("utf-8", "surrogateescape"), name=place)
        node = Node(value={"prompt": Node(value=text, file=place)}, file=place)
        return Source(name=slug(argument), path=None, place=place, document=_empty(place, None), rows=(node,))
    path = Path(argument)
    suffix = path.suffix.lower()
    text = read_text(path, max_bytes=MAX_DOCUMENT_BYTES)
    name, place = folder_name(path.stem), str(path)
    if suffix in (".yaml", ".yml"):
        return _from_yaml(text, name, path, place)
    if suffix == ".txt":
        return _from_lines(text, name, path, place)
    if suffix in (".csv", ".jsonl"):
        rows = tuple(_csv_rows(text, place) if suffix == ".csv" else _jsonl_rows(text, place))
        return Source(name=name, path=path, place=place, document=_empty(place, 1), rows=rows, is_table=True)
    if suffix:
        raise InputRefused(
            Problem(
                code="file-type",
                message=f"files ending in {path.suffix} are not read",
                file=place,
                fix=f"use one of {', '.join(SUFFIXES)}",
            )
        )
    return _from_unknown(text, name, path, place)


def apply_overrides(source: Source, overrides: Sequence[str]) -> tuple[Source, list[Problem]]:
    """The source with `--set key=value` laid over its document and rows, and every override that cannot be."""
    document, problems = source.document, list[Problem]()
    for override in overrides:
        key, equals, written = override.partition("=")
        place = f"--set {key}"
        keys = key.strip().split(".")
        if not equals or not all(keys):
            fix = "write --set key=value, such as --set model.steps=8"
            problems.append(Problem(code="override", message="no value is set", file=f"--set {override}", fix=fix))
            continue
        try:
            document = with_value(document, keys, _override_value(keys, written.strip(), place))
        except InputRefused as error:
            problems += error.problems
    # What is set on the command line holds for every row: columns of that name no longer count.
    set_keys = {
        override.partition("=")[0].strip().removeprefix("model.").removeprefix("axes.") for override in overrides
    }
    if "sizes" in set_keys:
        set_keys.add("size")
    rows = tuple(
        Node(value={key: below for key, below in row.items() if key not in set_keys}, file=row.file, line=row.line)
        for row in (source.rows if source.is_table or "prompt" not in set_keys else source.rows[:1])
    )
    return replace(source, document=document, rows=rows), problems


def slug(text: str) -> str:
    """A folder name for a prompt: its first words, and a hash where they do not hold all of it."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if words and len(words) <= MAX_NAME_LENGTH and words.replace("-", " ") == text.lower():
        return words
    short = words[: MAX_NAME_LENGTH - 9].rstrip("-") or "prompt"
    return f"{short}-{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def folder_name(stem: str) -> str:
    """The stem of a prompt file where it is fit for a folder on any system, else a slug of it."""
    return stem if re.fullmatch(r"\w[\w .-]{0,99}(?<![ .])", stem) else slug(stem)


def _is_file(argument: str) -> bool:
    if argument.lower().endswith(SUFFIXES):
        return True
    try:
        if Path(argument).exists():
            return True
    except (OSError, ValueError):  # too long for a path, or with a NUL
        return False
    has_spaces = any(character.isspace() for character in argument)
    return not has_spaces and ("/" in argument or Path(argument).suffix != "")


def _empty(place: str, line: int | None) -> Node:
    return Node(value={}, file=place, line=line)


def _read_stream(stdin: TextIO | None) -> Source:
    place = "standard input"
    stream: TextIO = sys.stdin if stdin is None else stdin
    # The bytes, where there are any: they are read with the same care as a file's.
    binary = getattr(stream, "buffer", None)
    data = binary.read(MAX_DOCUMENT_BYTES + 1) if binary else stream.read(MAX_DOCUMENT_BYTES + 1).encode()
    if len(data) > MAX_DOCUMENT_BYTES:
        fix = "give it as several files"
        raise InputRefused(Problem(code="file-too-large", message="larger than 5 MB", file=place, fix=fix))
    return _from_unknown(decode_text(data, name=place), "stdin", None, place)


def _from_unknown(text: str, name: str, path: Path | None, place: str) -> Source:
    """YAML if the text is a mapping, else one prompt a line."""
    looks_like_yaml = re.search(r"^(prompts?|axes|model|brand|kind) *:", text, re.MULTILINE) is not None
    if not looks_like_yaml:
        try:
            looks_like_yaml = isinstance(parse_document(text, name=place).value, Mapping) and ":" in text
        except InputRefused:
            looks_like_yaml = False
    return (_from_yaml if looks_like_yaml else _from_lines)(text, name, path, place)


def _from_yaml(text: str, name: str, path: Path | None, place: str) -> Source:
    document = parse_document(text, name=place)
    if not isinstance(document.value, Mapping):
        fix = 'begin with "prompt: ..."; for one prompt a line, name the file .txt'
        raise InputRefused(document.problem("not-a-mapping", "a prompt file is made of 'key: value' lines", fix=fix))
    rows = (_empty(place, 1),)
    for key in ("prompt", "prompts"):
        prompts = document.get(key)
        if prompts is not None and isinstance(prompts.value, tuple):
            rows = tuple(
                item if isinstance(item.value, Mapping) else Node(value={"prompt": item}, file=place, line=item.line)
                for item in prompts.value
            )
        elif prompts is not None and key == "prompts":
            rows = (
                prompts
                if isinstance(prompts.value, Mapping)
                else Node(value={"prompt": prompts}, file=place, line=prompts.line),
            )
    return Source(name=name, path=path, place=place, document=document, rows=rows)


def _from_lines(text: str, name: str, path: Path | None, place: str) -> Source:
    """Each line is a prompt, but for empty ones and comments (`# ...`)."""
    rows: list[Node] = []
    for line, written in enumerate(text.split("\n"), 1):
        if written.strip() and not re.match(r"#(\s|$)", written):
            node = Node(value=written.strip(), file=place, line=line, text_line=line)
            rows.append(Node(value={"prompt": node}, file=place, line=line))
    if not rows:
        fix = "write one prompt a line"
        raise InputRefused(Problem(code="no-prompts", message="there is no prompt in it", file=place, line=1, fix=fix))
    return Source(name=name, path=path, place=place, document=_empty(place, 1), rows=tuple(rows))


def _csv_rows(text: str, place: str) -> Iterator[Node]:
    """The records of a table; its first line names the columns; cells are split at commas, semicolons or tabs."""
    header_line = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    problems: list[Problem] = []
    rows: list[Node] = []
    columns: list[str] = []
    first_line = 1
    try:
        for cells in reader:
            line, first_line = first_line, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = [cell.strip() for cell in cells]
                problems += _column_problems(columns, place, line)
                continue
            if len(cells) != len(columns):
                message = f"{len(cells)} cells stand in a table of {len(columns)} columns"
                fix = 'put text that holds the separator in "quotes"'
                problems.append(Problem(code="csv-cells", message=message, file=place, line=line, fix=fix))
                continue
            values = {
                column: Node(value=cell.strip(), file=place, line=line, text_line=line)
                for column, cell in zip(columns, cells, strict=True)
            }
            rows.append(Node(value=values, file=place, line=line))
    except csv.Error as error:
        fix = 'write a quote inside a quoted cell twice: "a ""b"" c"'
        problems.append(Problem(code="csv-syntax", message=f"not CSV: {error}", file=place, line=first_line, fix=fix))
    if problems or not rows:
        fix = "write the names of the columns on the first line and one variant on each line below"
        empty = Problem(code="no-prompts", message="there is no row in it", file=place, line=1, fix=fix)
        raise InputRefused(problems or empty)
    yield from rows


def _column_problems(columns: Sequence[str], place: str, line: int) -> Iterator[Problem]:
    for number, column in enumerate(columns, 1):
        if not column:
            message, fix = f"column {number} has no name", "name it, or delete the column"
            yield Problem(code="csv-column", message=message, file=place, line=line, fix=fix)
        elif column in columns[: number - 1]:
            message, fix = f"the column {column!r} is given twice", "keep one"
            yield Problem(code="csv-column", message=message, file=place, line=line, key=column, fix=fix)


def _jsonl_rows(text: str, place: str) -> Iterator[Node]:
    """One JSON object a line; numbers keep the digits that were written."""
    problems: list[Problem] = []
    rows: list[Node] = []
    for line, written in enumerate(text.split("\n"), 1):
        if not written.strip():
            continue
        try:
            pairs = json.loads(
                written, object_pairs_hook=_Pairs, parse_int=str, parse_float=str, parse_constant=_refuse_constant
            )
            rows.append(_json_row(pairs, place, line))
        except InputRefused as error:
            problems += error.problems
        except RecursionError:
            problems.append(Problem(code="json-depth", message="nested too deeply", file=place, line=line))
        except ValueError as error:
            fix = 'write one object a line: {"prompt": "...", "seed": 1}'
            problems.append(Problem(code="json-syntax", message=f"not JSON: {error}", file=place, line=line, fix=fix))
    if problems or not rows:
        fix = 'write one object a line: {"prompt": "..."}'
        empty = Problem(code="no-prompts", message="there is no row in it", file=place, line=1, fix=fix)
        raise InputRefused(problems or empty)
    yield from rows


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with every key that was written, also those given twice."""


def _refuse_constant(name: str) -> str:
    raise ValueError(f"{name} is no value")


def _json_row(pairs: object, place: str, line: int) -> Node:
    if not isinstance(pairs, _Pairs):
        fix = 'write one object a line: {"prompt": "...", "seed": 1}'
        raise InputRefused(Problem(code="json-row", message="not an object", file=place, line=line, fix=fix))
    values: dict[str, Node] = {}
    problems: list[Problem] = []
    for key, value in pairs:
        if key in values:
            message, fix = "the key is given twice", "keep one"
            problems.append(Problem(code="duplicate-key", message=message, file=place, line=line, key=key, fix=fix))
        elif value is not None:
            values[key] = _json_node(value, place, line)
    if problems:
        raise InputRefused(problems)
    return Node(value=values, file=place, line=line)


def _json_node(value: object, place: str, line: int) -> Node:
    if isinstance(value, _Pairs):
        below = {key: _json_node(item, place, line) for key, item in value}
        return Node(value=below, file=place, line=line)
    if isinstance(value, list):
        items = tuple(_json_node(item, place, line) for item in cast("list[object]", value))
        return Node(value=items, file=place, line=line)
    if isinstance(value, bool):
        value = "true" if value else "false"
    if isinstance(value, str) and find_control_character(value) is not None:
        raise ValueError("a text holds a control character")
    return Node(value=None if value is None else str(value), file=place, line=line, text_line=line)


def _override_value(keys: Sequence[str], written: str, place: str) -> Node:
    is_plain_text = keys[0] in _TEXT_KEYS and len(keys) == 1 and written[:1] not in ('"', "'")
    if not written or is_plain_text:
        return Node(value=written, file=place)
    return parse_document(written, name=place, has_lines=False)
