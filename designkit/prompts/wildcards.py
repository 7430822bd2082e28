"""Wildcards: folders of lists of values, in text, YAML and JSON files, found by name or pattern.

    wildcards/colours.txt           __colours__           one value a line, `# ...` is a comment
    wildcards/places/cities.txt     __places/cities__     folders are part of the name
    wildcards/anything.yaml         __fruit/berries__     nested keys are; the name of the file is not
    wildcards/moods.json            __moods__             but for a file that is one list

A value may begin with a weight (`3::red`), and in YAML and JSON may be `{text: red, weight: 3}`. `*`, `?` and
`[...]` in a name match several lists at once (`*` also across `/`). Nothing outside the folder is ever read.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

from designkit.documents import Node, parse_document
from designkit.errors import InputRefused, Problem
from designkit.files import find_control_character, read_text
from designkit.prompts.template import Template, parse_template, read_weight

FOLDER = "wildcards"
"""The folder beside a prompt file in which its wildcards are looked for."""

MAX_FILES = 10_000
MAX_FILE_BYTES = 5_000_000
MAX_TOTAL_BYTES = 50_000_000
MAX_VALUES = 100_000
SUFFIXES = (".txt", ".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a list: its template, its weight (None where none is written), and where it stands."""

    template: Template
    weight: float | None
    file: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Collection:
    """A list of values under a name; `values` is empty until `Wildcards.values` reads it."""

    name: str
    path: Path
    written: tuple[tuple[str, float | None, int | None], ...] | None = None


@dataclass
class Wildcards:
    """The wildcards of a folder, read when they are first asked for; `folder` None knows none.

    `problems` gathers what is wrong in its files, each once.
    """

    folder: Path | None = None
    problems: list[Problem] = field(default_factory=list[Problem])
    _collections: dict[str, Collection] | None = None
    _values: dict[str, tuple[Value, ...]] = field(default_factory=dict[str, tuple[Value, ...]])
    _num_bytes: int = 0

    def names(self) -> Sequence[str]:
        """The name of every list."""
        return tuple(self._index())

    def find(self, name: str) -> tuple[str, ...]:
        """The names of the lists that a name or pattern means; one that is in a folder below counts too."""
        name = re.sub(r"[/\\]+", "/", name).strip("/")
        names = self._index()
        if name in names:
            return (name,)
        if not re.search(r"[*?\[]", name):
            return tuple(each for each in names if each.endswith(f"/{name}"))
        for pattern in (name, f"**/{name}"):
            found = tuple(each for each in names if fnmatchcase(each, pattern))
            if found:
                return found
        return ()

    def values(self, name: str) -> tuple[Value, ...]:
        """The values of a list, in the order in which they are written, none twice."""
        if name not in self._values:
            self._values[name] = tuple(self._read_values(self._index()[name]))
        return self._values[name]

    def _index(self) -> Mapping[str, Collection]:
        if self._collections is None:
            self._collections = {}
            files = self._files()
            for path in files[:MAX_FILES]:
                self._add_file(path)
            if len(files) > MAX_FILES:
                message = f"the folder holds more than {MAX_FILES:,} lists"
                self._report(str(self.folder), None, "wildcard-folder", message, "move those that are not used")
        return self._collections

    def _files(self) -> list[Path]:
        if self.folder is None:
            return []
        files: list[Path] = []
        for place, folders, names in os.walk(self.folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            files += (Path(place, name) for name in sorted(names) if not name.startswith("."))
            if len(files) > 10 * MAX_FILES:
                break
        return [path for path in files if path.suffix.lower() in SUFFIXES]

    def _add_file(self, path: Path) -> None:
        """Note the lists of a file; those of YAML and JSON are read at once, because their names are inside."""
        assert self._collections is not None
        assert self.folder is not None
        name = path.relative_to(self.folder).with_suffix("").as_posix()
        if path.suffix.lower() == ".txt":
            self._add(Collection(name, path))
            return
        text = self._read(path)
        if text is None:
            return
        try:
            root = (_parse_json if path.suffix.lower() == ".json" else parse_document)(text, name=str(path))
        except InputRefused as error:
            self.problems += error.problems
            return
        if isinstance(root.value, tuple):
            self._add(Collection(name, path, tuple(self._items(root))))
        else:
            folder = name.rpartition("/")[0]
            for below, node in self._lists(root, folder):
                self._add(Collection(below, path, tuple(self._items(node))))

    def _add(self, collection: Collection) -> None:
        assert self._collections is not None
        other = self._collections.get(collection.name)
        if other is None:
            self._collections[collection.name] = collection
        else:
            message = f"the list __{collection.name}__ is also in {other.path}"
            self._report(str(collection.path), 1, "duplicate-wildcard", message, "rename one of them")

    def _read(self, path: Path) -> str | None:
        """The text of a file inside the folder; None where it cannot be read, which is reported."""
        assert self.folder is not None
        if not path.resolve().is_relative_to(self.folder.resolve()):
            message = "the file is a link that leads out of the folder of wildcards"
            self._report(str(path), None, "wildcard-folder", message, "put the file itself there")
            return None
        try:
            text = read_text(path, max_bytes=MAX_FILE_BYTES)
        except InputRefused as error:
            self.problems += error.problems
            return None
        self._num_bytes += len(text)
        if self._num_bytes > MAX_TOTAL_BYTES:
            message = f"the wildcards hold more than {MAX_TOTAL_BYTES // 1_000_000} MB of text"
            self._report(str(path), None, "wildcard-folder", message, "move those that are not used")
            return None
        return text

    def _lists(self, node: Node, name: str) -> Iterator[tuple[str, Node]]:
        """Every list below a mapping, by its path of keys."""
        for key, below in node.items():
            path = f"{name}/{key}" if name else key
            if isinstance(below.value, Mapping):
                yield from self._lists(below, path)
            elif below.value is None:
                self._report(below.file, below.line, "wildcard-value", f"the list {path} is empty", "add a value")
            else:
                yield path, below

    def _items(self, node: Node) -> Iterator[tuple[str, float | None, int | None]]:
        """What a list holds: texts, each with its weight and line."""
        items = node.value if isinstance(node.value, tuple) else (node,)
        for item in items:
            if isinstance(item.value, str):
                weight, text = read_weight(item.value)
                yield text, weight, item.text_line
                continue
            fields = {key: below.value for key, below in item.items()}
            text = fields.pop("text", None) or fields.pop("content", None)
            written = fields.pop("weight", None)
            weight, rest = (None, "") if written is None else read_weight(f"{written}::")
            if isinstance(text, str) and not fields and not rest and (written is None or weight is not None):
                yield text, weight, item.line
            else:
                fix = "write the text, or {text: ..., weight: 2}"
                self._report(item.file, item.line, "wildcard-value", "this value is not text", fix)

    def _read_values(self, collection: Collection) -> Iterator[Value]:
        items = collection.written
        if items is None:
            text = self._read(collection.path)
            items = tuple(_text_lines(text or ""))
            if not items and text is not None:
                self._report(str(collection.path), 1, "wildcard-value", "the list is empty", "write a value a line")
        if len(items) > MAX_VALUES:
            message = f"the list __{collection.name}__ holds more than {MAX_VALUES:,} values"
            self._report(str(collection.path), 1, "wildcard-value", message, "split it")
            return
        seen: set[str] = set()
        for text, weight, line in items:
            if text in seen:
                continue
            seen.add(text)
            template, mistakes = parse_template(text)
            for mistake in mistakes:
                below = line + text.count("\n", 0, mistake.start) if line is not None else None
                self._report(str(collection.path), below, "template", mistake.message, mistake.fix)
            yield Value(template, weight, str(collection.path), line)

    def _report(self, file: str, line: int | None, code: str, message: str, fix: str) -> None:
        self.problems.append(Problem(code=code, message=message, file=file, line=line, fix=fix))


def _text_lines(text: str) -> Iterator[tuple[str, float | None, int | None]]:
    """The values of a text file, each with its weight and line."""
    for line, written in enumerate(text.split("\n"), 1):
        if written.strip() and not re.match(r"\s*#(\s|$)", written):
            weight, value = read_weight(written.strip())
            yield value, weight, line


def _parse_json(text: str, *, name: str) -> Node:
    """A JSON document as nodes; a text knows the line on which it first stands in the file."""

    def refuse(message: str, line: int | None = 1) -> InputRefused:
        fix = 'write lists of texts: {"name": ["first", "second"]}'
        return InputRefused(Problem(code="json-syntax", message=f"not JSON: {message}", file=name, line=line, fix=fix))

    def node(value: object) -> Node:
        if isinstance(value, dict):
            return Node(value={key: node(below) for key, below in cast("dict[str, Any]", value).items()}, file=name)
        if isinstance(value, list):
            return Node(value=tuple(map(node, cast("list[Any]", value))), file=name)
        if value is None:
            return Node(value=None, file=name)
        written = value if isinstance(value, str) else json.dumps(value)
        if find_control_character(written) is not None:
            raise refuse("a text holds a control character", lines.get(written))
        return Node(value=written, file=name, line=lines.get(written), text_line=lines.get(written))

    lines: dict[str, int] = {}
    try:
        root = json.loads(text)
        for number, line in enumerate(text.split("\n"), 1):
            for match in re.finditer(r'"(?:[^"\\]|\\.)*"', line):
                lines.setdefault(json.loads(match[0]), number)
        return node(root)
    except json.JSONDecodeError as error:
        raise refuse(error.msg, error.lineno) from None
    except (RecursionError, ValueError) as error:
        raise refuse(str(error) or "nested too deeply") from None
