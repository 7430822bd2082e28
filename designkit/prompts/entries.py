"""From the rows of a source to entries: parsed prompts, their axes and settings, with every mistake in them.

An *entry* is one prompt template with everything that holds for it. Its variants are its template filled in
with each combination of the values on its axes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from designkit.documents import Node, describe, suggest, validate
from designkit.errors import InputRefused, Problem
from designkit.prompts.schema import PromptDocument, RowDocument
from designkit.prompts.seeds import Seeds, parse_seeds
from designkit.prompts.sources import Source
from designkit.prompts.template import NAME, Choice, Phrase, Placeholder, Template, Text, parse_template

BRAND_WORDS = ("brand.name", "brand.style", "brand.avoid")
MAX_AXIS_VALUES = 10_000

CheckSize = Callable[[str], object]
"""Raises InputRefused for a text that names no size."""

_ROW_SETTINGS = frozenset(RowDocument.model_fields) | {"size"}
_FILE_KEYS = frozenset(PromptDocument.model_fields) - _ROW_SETTINGS - {"kind", "brand"}
_OPTION = re.compile(r"(?:^|\s)(--[a-z][\w-]*)")


@dataclass(frozen=True, slots=True)
class AxisValue:
    """One value of an axis: what reports call it, what was written, and what stands in the prompt."""

    key: str
    written: str
    text: Phrase


@dataclass(frozen=True, slots=True)
class Axis:
    """What varies under one name; `is_column` marks a table's column, which has one value in each row."""

    name: str
    values: tuple[AxisValue, ...]
    is_column: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One prompt and everything that holds for it; empty `sizes` mean the model's own size."""

    prompt: Template
    negative: Template
    axes: tuple[Axis, ...] = ()
    sizes: tuple[str, ...] = ()
    seeds: Seeds = field(default_factory=lambda: Seeds((range(1),)))
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    line: int | None = None


Exclusion = Mapping[str, frozenset[str]]
"""A combination that is not made: for each axis named, the keys (or texts) of its values."""


@dataclass(kw_only=True)
class Reading:
    """What became of a source: entries that are of use only where there are no problems."""

    entries: list[Entry] = field(default_factory=list[Entry])
    axes: tuple[Axis, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    problems: list[Problem] = field(default_factory=list[Problem])
    warnings: list[Problem] = field(default_factory=list[Problem])


def read_entries(source: Source, document: PromptDocument | None, check_size: CheckSize | None) -> Reading:
    """Read every row of a source. `document` is its checked form, None where that failed (rows are read still)."""
    return _Reader(source, document or PromptDocument(), check_size).read()


class _Reader:
    def __init__(self, source: Source, document: PromptDocument, check_size: CheckSize | None) -> None:
        self.source = source
        self.root = source.document
        self.document = document
        self.check_size = check_size
        self.result = Reading()
        self.templates: dict[str, Template] = {}
        self.checked_sizes: set[tuple[str, int | None]] = set()
        self.used_names: set[str] = set()
        self.words = BRAND_WORDS if self.root.get("brand") else ()

    def read(self) -> Reading:
        """Everything, file first, then row by row."""
        self.result.axes = self.read_axes()
        self.exclude_names = dict[str, set[str]]()
        for axis in self.result.axes:
            self.note_values(axis)
        for row in self.source.rows:
            entry = self.read_row(row)
            if entry is not None:
                self.result.entries.append(entry)
        self.result.exclude = tuple(self.read_exclude())
        self.warn_unused()
        self.result.problems = list(dict.fromkeys(self.result.problems))
        return self.result

    def report(self, node: Node, code: str, message: str, *, key: str | None = None, fix: str | None = None) -> None:
        """Note a mistake."""
        self.result.problems.append(node.problem(code, message, key=key, fix=fix))

    # Axes

    def read_axes(self) -> tuple[Axis, ...]:
        """The axes of the document, in the order in which they were written."""
        node = self.root.get("axes")
        axes: list[Axis] = []
        for name, below in node.items() if node else ():
            key = f"axes.{name}"
            if not re.fullmatch(NAME, name) or "__" in name:
                message = f"{name!r} cannot be the name of an axis"
                self.report(below, "axis-name", message, key=key, fix="use letters, digits and single _ or -")
            elif isinstance(below.value, tuple):
                axes.append(Axis(name, tuple(self.listed_values(below, key))))
            elif isinstance(below.value, Mapping):
                axes.append(Axis(name, tuple(self.keyed_values(below, key))))
            elif below.value is not None:
                message = f"an axis needs a list of values, found {describe(below)}"
                self.report(
                    below, "axis-values", message, key=key, fix="write [first, second], or one '- value' a line"
                )
            if isinstance(below.value, tuple | Mapping) and not below.value:
                self.report(below, "axis-values", "the axis has no values", key=key, fix="write at least one value")
        return tuple(axes)

    def listed_values(self, node: Node, key: str) -> Iterator[AxisValue]:
        """The values of `[first, second]`, each its own key."""
        seen: set[str] = set()
        for item in node.value or ():
            if not isinstance(item, Node) or item.value is None:
                continue
            if not isinstance(item.value, str):
                fix = "quote text that holds ': ' or begins with {, or write 'key: value' lines without dashes"
                self.report(item, "axis-values", "a value must be text", key=key, fix=fix)
            elif item.value in seen:
                self.report(item, "duplicate-value", f"{describe(item)} is given twice", key=key, fix="keep one")
            else:
                seen.add(item.value)
                yield from self.values(item.value, item, item.value, key)

    def keyed_values(self, node: Node, key: str) -> Iterator[AxisValue]:
        """The values of `{key: value}`."""
        for name, item in node.items():
            if isinstance(item.value, str):
                yield from self.values(name, item, item.value, f"{key}.{name}")
            elif item.value is not None:
                fix = "put text that begins with { or [ in quotes"
                self.report(item, "axis-values", "a value must be text", key=f"{key}.{name}", fix=fix)

    def values(self, name: str, node: Node, written: str, key: str) -> Iterator[AxisValue]:
        """One written value as the values that its `{a|b}` choices make of it."""
        template = self.template(node, written, key)
        for placeholder in template.tree.placeholders():
            if placeholder.name in BRAND_WORDS:
                self.check_placeholder(node, template, placeholder, key, names=())
            else:
                message = f"a value cannot hold another axis: {{{placeholder.name}}}"
                fix = r"put the axis into the prompt, or write \{ and \} for plain braces"
                self.report(self.at(node, template, placeholder.start), "axis-in-value", message, key=key, fix=fix)
        if _num_texts(template.tree) > MAX_AXIS_VALUES:
            message = f"the choices in it make more than {MAX_AXIS_VALUES:,} values"
            self.report(node, "axis-values", message, key=key, fix="use several axes")
            return
        for text in _texts(template.tree):
            yield AxisValue(name, written, text)

    # Rows

    def read_row(self, row: Node) -> Entry | None:
        """The entry of one row."""
        settings, columns = dict[str, Node](), dict[str, Node]()
        for key, node in row.items():
            (settings if key in _ROW_SETTINGS else columns)[key] = node
        if "size" in settings:
            settings.setdefault("sizes", settings.pop("size"))
        empty = [key for key, node in settings.items() if node.value in ("", None) and self.source.is_table]
        for key in empty:
            del settings[key]
        valid = RowDocument()
        if self.source.is_table:
            checked = validate(RowDocument, Node(value=settings, file=row.file, line=row.line))
            if isinstance(checked, list):
                self.result.problems += checked
            else:
                valid = checked
        axes = self.result.axes + tuple(self.read_columns(columns))
        names = [axis.name for axis in axes]
        prompt = self.read_prompt("prompt", settings.get("prompt") or self.root.get("prompt"), row, names)
        negative = self.read_prompt("negative", settings.get("negative") or self.root.get("negative"), row, names)
        sizes = self.read_sizes(settings.get("sizes") or self.root.get("sizes"))
        seeds = self.read_seeds(settings.get("seeds"), settings.get("seed"), valid)
        if prompt is None or negative is None:
            return None
        model = self.document.model
        return Entry(
            prompt=prompt,
            negative=negative,
            axes=axes,
            sizes=sizes,
            seeds=seeds,
            steps=valid.steps if valid.steps is not None else model.steps,
            guidance=valid.guidance if valid.guidance is not None else model.guidance,
            scheduler=valid.scheduler or model.scheduler,
            line=row.line,
        )

    def read_columns(self, columns: Mapping[str, Node]) -> Iterator[Axis]:
        """The columns of a row that are axes, each with the row's one value."""
        for name, node in columns.items():
            near = name.casefold()
            if near in _ROW_SETTINGS and name != near:
                message = f"unknown column {name!r}"
                self.report(node, "column-name", message, key=name, fix=f"write it as {near!r}, or rename the column")
            elif not re.fullmatch(NAME, name) or "__" in name:
                fix = "name it with letters, digits and single _ or -, without spaces"
                self.report(node, "column-name", f"{name!r} cannot be the name of an axis", key=name, fix=fix)
            elif not isinstance(node.value, str):
                message = "a value must be text or a number, not a list or an object"
                self.report(node, "axis-values", message, key=name, fix="give each value a row of its own")
            else:
                axis = Axis(name, tuple(self.values(node.value, node, node.value, name)), is_column=True)
                self.note_values(axis)
                yield axis

    def read_prompt(self, key: str, node: Node | None, row: Node, names: Sequence[str]) -> Template | None:
        """The prompt or negative prompt of a row; None where it has none that can be read."""
        if node is None:
            if key == "negative":
                return Template("", Phrase(()))
            fix = "add a column \"prompt\", or --set 'prompt=...'" if self.source.is_table else 'write prompt: "..."'
            place = Node(value=None, file=self.source.place, line=self.root.line)
            self.report(place, "missing", "there is no prompt", key=key, fix=fix)
            return None
        if not isinstance(node.value, str):
            return None
        template = self.template(node, node.value, key)
        if not node.value.strip() and key == "prompt":
            self.report(node, "empty-prompt", "the prompt is empty", key=key, fix="write what is to be seen")
        for placeholder in template.tree.placeholders():
            self.check_placeholder(node, template, placeholder, key, names=names)
        option = _OPTION.search(node.value)
        if option:
            message = f"{option[1]} is read as part of the prompt, not as an option"
            fix = "set it in a .yaml file, in a column of a .csv file, or with --set"
            self.result.warnings.append(node.problem("option-in-prompt", message, key=key, fix=fix))
        return template

    def check_placeholder(
        self, node: Node, template: Template, placeholder: Placeholder, key: str, *, names: Sequence[str]
    ) -> None:
        """Report a placeholder that stands for nothing."""
        name = placeholder.name
        self.used_names.add(name)
        if name in names or name in self.words:
            return
        node = self.at(node, template, placeholder.start)
        if name in BRAND_WORDS:
            fix = "add a line 'brand: FOLDER'"
            self.report(node, "no-brand", f"{{{name}}} needs a brand, and the file names none", key=key, fix=fix)
        else:
            known = [*names, *self.words]
            advice = suggest(name, known) if known else r"define it under axes, or write \{ and \} for plain braces"
            self.report(node, "unknown-axis", f"{{{name}}} is not an axis of this file", key=key, fix=advice)

    # Settings

    def read_sizes(self, node: Node | None) -> tuple[str, ...]:
        """The names of the sizes, each checked once."""
        sizes: list[str] = []
        for item in _items(node):
            if not isinstance(item.value, str):
                continue
            sizes.append(item.value.strip())
            if self.check_size is None or (item.value, item.line) in self.checked_sizes:
                continue
            self.checked_sizes.add((item.value, item.line))
            try:
                self.check_size(item.value)
            except InputRefused as error:
                for problem in error.problems:
                    self.report(item, problem.code, problem.message, key="sizes", fix=problem.fix)
        return tuple(dict.fromkeys(sizes))

    def read_seeds(self, seeds: Node | None, seed: Node | None, valid: RowDocument) -> Seeds:
        """The seeds of a row: its own, or those of the file."""
        node = seeds or self.root.get("seeds")
        base = valid.seed if valid.seed is not None else self.document.seed
        written = None if node is None else node.plain()
        if node is not None and not _is_text(written):
            return Seeds((range(1),))
        base_node = seed or self.root.get("seed")
        if base_node is not None and node is not None and not re.fullmatch(r"\s*\d+\s*", str(written)):
            fix = "remove one of the two; 'seeds: 4' counts up from 'seed'"
            self.report(base_node, "seed-unused", "seed has no effect, because seeds lists them", key="seed", fix=fix)
        try:
            return parse_seeds(written, base=base)
        except ValueError as error:
            for message in str(error).splitlines():
                fix = "write 4 (how many), [1, 2], 100-119, or 20#1000"
                self.report(node or self.root, "seeds", message, key="seeds", fix=fix)
            return Seeds((range(1),))

    def read_exclude(self) -> Iterator[Exclusion]:
        """The combinations that are not made, with unknown axes and values reported."""
        for rule in _items(self.root.get("exclude")):
            if not isinstance(rule.value, Mapping):
                continue
            if not rule.value:
                fix = "write {axis: value}, or remove it"
                self.report(rule, "exclude", "this combination is empty", key="exclude", fix=fix)
            parts: dict[str, frozenset[str]] = {}
            for name, node in rule.items():
                known = self.exclude_names.get(name)
                if known is None:
                    message, fix = f"{name!r} is not an axis of this file", suggest(name, list(self.exclude_names))
                    self.report(node, "unknown-axis", message, key=f"exclude.{name}", fix=fix)
                    continue
                words = [item.value for item in _items(node) if isinstance(item.value, str)]
                for word in words:
                    if word not in known:
                        message, fix = f"{word!r} is not a value of {name}", suggest(word, sorted(known))
                        self.report(node, "unknown-value", message, key=f"exclude.{name}", fix=fix)
                parts[name] = frozenset(words)
            yield parts

    def note_values(self, axis: Axis) -> None:
        """Remember what `exclude` may name."""
        known = self.exclude_names.setdefault(axis.name, set())
        for value in axis.values:
            known.update((value.key, value.written))

    def warn_unused(self) -> None:
        """Warn of axes that no prompt uses: they multiply nothing."""
        for axis in self.result.axes:
            if axis.name not in self.used_names:
                node = self.root.get("axes", axis.name) or self.root
                message, fix = "no prompt uses this axis", f"write {{{axis.name}}} in the prompt, or remove the axis"
                self.result.warnings.append(node.problem("unused-axis", message, key=f"axes.{axis.name}", fix=fix))
        columns = {name for row in self.source.rows for name, _ in row.items()} if self.source.is_table else set[str]()
        for name in sorted(columns & _FILE_KEYS - self.used_names):
            message = f"the column {name!r} changes nothing: all rows share one {name}"
            fix = f"give it once, with --set {name}=..."
            node = Node(value=None, file=self.source.place, line=1)
            self.result.warnings.append(node.problem("unused-column", message, key=name, fix=fix))

    # Text

    def template(self, node: Node, written: str, key: str) -> Template:
        """A parsed text; its mistakes are reported where they stand."""
        if written in self.templates:
            return self.templates[written]
        template, mistakes = parse_template(written)
        for mistake in mistakes:
            place = self.at(node, template, mistake.start)
            self.report(place, "template", mistake.message, key=key, fix=mistake.fix)
        if not mistakes:
            self.templates[written] = template
        return template

    def at(self, node: Node, template: Template, offset: int) -> Node:
        """The place of an offset in a text that may run over several lines."""
        line = node.line
        if node.text_line is not None and node.text_line != node.line:
            line = node.text_line + template.source.count("\n", 0, offset)
        return Node(value=None, file=node.file, line=line)


def _items(node: Node | None) -> tuple[Node, ...]:
    """The nodes of a list; a value that stands alone is a list of one."""
    if node is None or node.value is None:
        return ()
    return node.value if isinstance(node.value, tuple) else (node,)


def _is_text(value: Any) -> bool:
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    return all(isinstance(item, str) for item in values)


def _num_texts(phrase: Phrase) -> int:
    count = 1
    for part in phrase.parts:
        if isinstance(part, Choice):
            count *= sum(map(_num_texts, part.options))
    return count


@lru_cache(maxsize=4096)
def _texts(phrase: Phrase) -> tuple[Phrase, ...]:
    """Every text that the choices of a phrase make, the leftmost choice varying slowest."""
    texts: list[tuple[Text | Placeholder, ...]] = [()]
    for part in phrase.parts:
        if isinstance(part, Choice):
            options = [text.parts for option in part.options for text in _texts(option)]
            texts = [(*before, *option) for before in texts for option in options]  # pyright: ignore[reportAssignmentType]
        else:
            texts = [(*before, part) for before in texts]
    return tuple(Phrase(text) for text in texts)
