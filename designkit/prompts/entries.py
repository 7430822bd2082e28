"""From the rows of a source to entries: parsed prompts, their axes and settings, with every mistake in them.

An *entry* is one prompt template with everything that holds for it. Its variants are its template filled in
with each combination of the values on its axes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, cast

from designkit.documents import Node, describe, suggest, validate
from designkit.errors import InputRefused, Problem
from designkit.prompts.lines import Axis, Line, Slot, Texts, TooMany, Word, fillings
from designkit.prompts.schema import PromptDocument, RowDocument, SettingsDocument
from designkit.prompts.scope import Place, Scope, WrittenAxis, WrittenText, WrittenValue
from designkit.prompts.seeds import Seeds, parse_seeds
from designkit.prompts.sources import Source
from designkit.prompts.template import NAME, Phrase, Template, parse_template, read_weight
from designkit.prompts.wildcards import FOLDER, Wildcards

MAX_SIZES = 1000

CheckSize = Callable[[str], object]
"""Raises InputRefused for a text that names no size."""

_ROW_SETTINGS = frozenset(field.alias or name for name, field in RowDocument.model_fields.items()) | {"size"}
_TABLE_SETTINGS = _ROW_SETTINGS - {"name", "copy"}
_FILE_KEYS = frozenset(PromptDocument.model_fields) - _ROW_SETTINGS - {"kind", "brand", "formats"}
_OPTION = re.compile(r"(?:^|\s)(--[a-z][\w-]*)")
_GRAMMAR = re.compile(r"[{$%\\]|__")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What holds for a variant beside its texts; empty `sizes` mean the model's own size."""

    sizes: tuple[str, ...] = ()
    seeds: Seeds = field(default_factory=lambda: Seeds((range(1),)))
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class When:
    """What holds only where a condition does; None leaves a setting as it is."""

    condition: Exclusion
    sizes: tuple[str, ...] | None = None
    seeds: Seeds | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One prompt and everything that holds for it; empty `sizes` mean the model's own size.

    `texts` are all its texts with every name looked up. `sizes` are all that its variants can have.
    """

    prompt: Template
    negative: Template
    texts: Texts = field(default_factory=lambda: Texts({}), repr=False, compare=False)
    axes: tuple[Axis, ...] = ()
    sizes: tuple[str, ...] = ()
    seeds: Seeds = field(default_factory=lambda: Seeds((range(1),)))
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    when: tuple[When, ...] = ()
    line: int | None = None

    @property
    def settings(self) -> Settings:
        """What holds for its variants where nothing depends on their choices."""
        return Settings(
            sizes=self.sizes, seeds=self.seeds, steps=self.steps, guidance=self.guidance, scheduler=self.scheduler
        )

    @property
    def varies_settings(self) -> bool:
        """Whether the settings of its variants depend on their choices."""
        return bool(self.when) or any(key.startswith("sizes.") for key in self.texts.lines)

    @property
    def has_copy(self) -> bool:
        """Whether texts are to be set on its pictures."""
        return any(key.startswith("copy.") for key in self.texts.lines)

    @property
    def all_sizes(self) -> tuple[str, ...]:
        """Every size that one of its variants can have."""
        return tuple(dict.fromkeys((*self.sizes, *(size for rule in self.when for size in rule.sizes or ()))))

    def settings_for(self, sizes: tuple[str, ...], rules: frozenset[int]) -> Settings:
        """What holds for a variant with these sizes (none: those of the entry), where rules of `when` hold."""
        if not sizes and not rules:
            return self.settings
        settings = replace(self.settings, sizes=tuple(dict.fromkeys(sizes)) or self.sizes)
        for number in sorted(rules):
            rule = self.when[number]
            names = ("sizes", "seeds", "steps", "guidance", "scheduler")
            changes: dict[str, Any] = {name: value for name in names if (value := getattr(rule, name)) is not None}
            settings = replace(settings, **changes)
        return settings


Exclusion = Mapping[str, frozenset[str]]
"""A combination that is not made: for each axis named, the keys (or texts) of its values."""


@dataclass(kw_only=True)
class Reading:
    """What became of a source: entries that are of use only where there are no problems."""

    entries: list[Entry] = field(default_factory=list[Entry])
    axes: tuple[Axis, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    zipped: tuple[tuple[str, ...], ...] = ()
    problems: list[Problem] = field(default_factory=list[Problem])
    warnings: list[Problem] = field(default_factory=list[Problem])


def read_entries(
    source: Source,
    document: PromptDocument | None,
    check_size: CheckSize | None,
    brand_words: Collection[str] | None = None,
) -> Reading:
    """Read every row of a source. `document` is its checked form, None where that failed (rows are read still)."""
    return _Reader(source, document or PromptDocument(), check_size, brand_words).read()


_NO_TEXT = Phrase(())


class _Reader:
    def __init__(
        self,
        source: Source,
        document: PromptDocument,
        check_size: CheckSize | None,
        brand_words: Collection[str] | None,
    ) -> None:
        self.source = source
        self.root = source.document
        self.document = document
        self.check_size = check_size
        self.brand_words = brand_words
        self.result = Reading()
        self.templates: dict[str, Template] = {}
        self.checked_sizes: set[tuple[str, int | None]] = set()
        self.used_names: set[str] = set()
        self.exclude_names: dict[str, set[str]] = {}
        self.conditions: list[tuple[str, str, Node, frozenset[str]]] = []
        self.scopes: dict[object, Scope] = {}
        self.written_axes: tuple[WrittenAxis, ...] = ()
        self.wildcards = Wildcards(self.find_wildcards())

    def read(self) -> Reading:
        """Everything, file first, then row by row."""
        self.written_axes = self.read_axes()
        for axis in self.written_axes:
            self.note_values(axis)
        self.read_zip()
        when = self.read_when()
        for row in self.source.rows:
            entry = self.read_row(row, when)
            if entry is not None:
                self.result.entries.append(entry)
        if self.result.entries:
            self.result.axes = tuple(axis for axis in self.result.entries[0].axes if not axis.is_column)
        self.result.exclude = tuple(self.read_exclude())
        self.check_conditions()
        self.warn_unused()
        problems = [*self.result.problems, *self.wildcards.problems]
        self.result.problems = list(dict.fromkeys(problems))
        return self.result

    def report(self, node: Node, code: str, message: str, *, key: str | None = None, fix: str | None = None) -> None:
        """Note a mistake."""
        self.result.problems.append(node.problem(code, message, key=key, fix=fix))

    def find_wildcards(self) -> Path | None:
        """The folder of wildcards: the one that the file names, or `wildcards/` beside it."""
        here = self.source.path.parent if self.source.path else Path()
        node = self.root.get("wildcards")
        if node is None or not isinstance(node.value, str):
            return here / FOLDER
        folder = here / node.value
        if not folder.is_dir():
            message, fix = f"there is no folder {folder}", "check the path; it is relative to this file"
            self.report(node, "missing-wildcards", message, key="wildcards", fix=fix)
        return folder

    # Axes

    def read_axes(self) -> tuple[WrittenAxis, ...]:
        """The axes of the document, in the order in which they were written."""
        node = self.root.get("axes")
        axes: list[WrittenAxis] = []
        for name, below in node.items() if node else ():
            key = f"axes.{name}"
            place = Place(below, "", key)
            if not re.fullmatch(NAME, name) or "__" in name:
                message = f"{name!r} cannot be the name of an axis"
                self.report(below, "axis-name", message, key=key, fix="use letters, digits and single _ or -")
            elif isinstance(below.value, tuple):
                axes.append(WrittenAxis(name, tuple(self.listed_values(below, key)), place))
            elif isinstance(below.value, Mapping):
                axes.append(WrittenAxis(name, tuple(self.keyed_values(below, key)), place))
            elif isinstance(below.value, str) and _GRAMMAR.search(below.value):
                axes.append(WrittenAxis(name, tuple(self.values(None, below, below.value, key)), place))
            elif below.value is not None:
                message = f"an axis needs a list of values, found {describe(below)}"
                self.report(
                    below, "axis-values", message, key=key, fix="write [first, second], or one '- value' a line"
                )
            if isinstance(below.value, tuple | Mapping) and not below.value:
                self.report(below, "axis-values", "the axis has no values", key=key, fix="write at least one value")
        return tuple(axes)

    def listed_values(self, node: Node, key: str) -> Iterator[WrittenValue]:
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
                yield from self.values(None, item, item.value, key)

    def keyed_values(self, node: Node, key: str) -> Iterator[WrittenValue]:
        """The values of `{key: value}`."""
        for name, item in node.items():
            if isinstance(item.value, str):
                yield from self.values(name, item, item.value, f"{key}.{name}")
            elif item.value is not None:
                fix = "put text that begins with { or [ in quotes"
                self.report(item, "axis-values", "a value must be text", key=f"{key}.{name}", fix=fix)

    def values(self, name: str | None, node: Node, written: str, key: str) -> Iterator[WrittenValue]:
        """One written value, with its weight in front of it; `name` None where it is its own key."""
        weight, text = read_weight(written)
        text = written if weight is None else text.strip()
        number = 1.0 if weight is None else weight
        is_keyed = name is not None
        key_of_value = text if name is None else name
        yield WrittenValue(key_of_value, self.template(node, text, key), Place(node, text, key), number, is_keyed)

    def read_zip(self) -> None:
        """The axes that move together, each with as many values as the others."""
        axes = {axis.name: axis for axis in self.written_axes}
        seen: set[str] = set()
        for number, group in enumerate(self.document.zip, 1):
            node = self.root.get("zip") or self.root
            groups = [item for item in _items(node) if isinstance(item.value, tuple)]
            node = groups[number - 1] if len(groups) >= number else node
            known = True
            for name in group:
                if name not in axes:
                    fix = suggest(name, list(axes))
                    self.report(node, "unknown-axis", f"{name!r} is not an axis of this file", key="zip", fix=fix)
                elif name in seen:
                    self.report(node, "zip", f"{name} is zipped twice", key="zip", fix="name each axis once")
                known = known and name in axes and name not in seen
                seen.add(name)
            if not known:
                continue
            if len(group) < 2:
                self.report(node, "zip", "one axis alone cannot be zipped", key="zip", fix="name at least two axes")
                continue
            sizes = {name: len(axes[name].values) for name in group}
            if len(set(sizes.values())) > 1:
                counts = ", ".join(f"{name} has {size}" for name, size in sizes.items())
                fix = "give them equally many values"
                self.report(node, "zip", f"zipped axes need equally many values: {counts}", key="zip", fix=fix)
                continue
            self.result.zipped += (tuple(group),)

    # Rows

    def read_row(self, row: Node, when: tuple[When, ...]) -> Entry | None:
        """The entry of one row."""
        names = _TABLE_SETTINGS if self.source.is_table else _ROW_SETTINGS
        settings, columns = dict[str, Node](), dict[str, Node]()
        for key, node in row.items():
            (settings if key in names else columns)[key] = node
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
        elif not isinstance(read := validate(RowDocument, Node(value=settings, file=row.file, line=row.line)), list):
            valid = read  # its mistakes are found with those of the document
        columns = {key: node for key, node in columns.items() if self.source.is_table or key in self.source.columns}
        own = tuple(self.read_columns(columns))
        written = list(self.read_texts(settings, row))
        node = settings.get("sizes") or self.root.get("sizes")
        is_open = any(isinstance(item.value, str) and _GRAMMAR.search(item.value) for item in _items(node))
        if is_open:
            for number, item in enumerate(_items(node)):
                if isinstance(item.value, str):
                    written.append(self.text(f"sizes.{number}", item, item.value))
        scope = self.scope(own, written)
        texts, axes = scope.texts(written), self.axes(scope, own)
        if _depends(texts, axes, {axis.name for axis in own}):
            # Which list a wildcard means depends on a column, so that no other row can share it.
            scope = self.new_scope(own, written)
            texts, axes = scope.texts(written), self.axes(scope, own)
        self.check_name(written, texts)
        sizes = (
            ()
            if is_open and scope.problems
            else self.open_sizes(texts, axes, node)
            if is_open
            else self.read_sizes(node)
        )
        seeds = self.read_seeds(settings.get("seeds"), settings.get("seed"), valid)
        if scope.problems:
            self.result.problems += scope.problems
            self.scopes.clear()
        if not written or written[0].key != "prompt":
            return None
        model = self.document.model
        templates = {text.key: text.template for text in written}
        return Entry(
            prompt=templates["prompt"],
            negative=templates["negative"] if "negative" in templates else Template("", _NO_TEXT),
            texts=texts,
            axes=axes,
            sizes=sizes,
            seeds=seeds,
            steps=valid.steps if valid.steps is not None else model.steps,
            guidance=valid.guidance if valid.guidance is not None else model.guidance,
            scheduler=valid.scheduler or model.scheduler,
            when=when,
            line=row.line,
        )

    def scope(self, own: tuple[WrittenAxis, ...], written: Sequence[WrittenText]) -> Scope:
        """What the names in a row's texts mean; rows that share it read their wildcards and axes once."""
        variables = tuple(text.template.source for text in written if any(text.template.tree.assignments()))
        if any(not value.template.tree.is_text() for axis in own for value in axis.values):
            return self.new_scope(own, written)
        key = (tuple(axis.name for axis in own), variables)
        if key not in self.scopes:
            self.scopes[key] = self.new_scope(own, written)
        return self.scopes[key]

    def new_scope(self, own: tuple[WrittenAxis, ...], written: Sequence[WrittenText]) -> Scope:
        """What the names in one row's texts mean."""
        return Scope((*self.written_axes, *own), written, brand_words=self.brand_words, wildcards=self.wildcards)

    def axes(self, scope: Scope, own: tuple[WrittenAxis, ...]) -> tuple[Axis, ...]:
        """The axes of a row: those of the file, its columns, and its variables that are chosen once."""
        axes = scope.axes(own)
        self.used_names |= scope.used
        for axis in axes:
            known = self.exclude_names.setdefault(axis.name, set())
            if len(known) < len(axis.values) or axis.is_column:
                known.update(value.key for value in axis.values)
        for group in self.result.zipped:
            by_name = {axis.name: axis for axis in axes}
            sizes = {len(by_name[name].values) for name in group if name in by_name}
            if len(sizes) > 1:
                node, fix = self.root.get("zip") or self.root, "write each value out"
                self.report(node, "zip", "the values of zipped axes cannot hold choices", key="zip", fix=fix)
        return axes

    def read_columns(self, columns: Mapping[str, Node]) -> Iterator[WrittenAxis]:
        """The columns of a row that are axes, each with the row's one value."""
        for name, node in columns.items():
            near = name.casefold()
            if near in _TABLE_SETTINGS and name != near:
                message = f"unknown column {name!r}"
                self.report(node, "column-name", message, key=name, fix=f"write it as {near!r}, or rename the column")
            elif not re.fullmatch(NAME, name) or "__" in name:
                fix = "name it with letters, digits and single _ or -, without spaces"
                self.report(node, "column-name", f"{name!r} cannot be the name of an axis", key=name, fix=fix)
            elif not isinstance(node.value, str):
                message = "a value must be text or a number, not a list or an object"
                self.report(node, "axis-values", message, key=name, fix="give each value a row of its own")
            else:
                place = Place(node, node.value, name)
                value = WrittenValue(node.value, self.template(node, node.value, name), place, is_keyed=True)
                axis = WrittenAxis(name, (value,), place, is_column=True)
                self.note_values(axis)
                yield axis

    def read_texts(self, settings: Mapping[str, Node], row: Node) -> Iterator[WrittenText]:
        """The texts of a row, its prompt first; no prompt where it has none that can be read."""
        for key in ("prompt", "negative"):
            node = settings.get(key) or self.root.get(key)
            if node is None and key == "prompt":
                fix = (
                    "add a column \"prompt\", or --set 'prompt=...'" if self.source.is_table else 'write prompt: "..."'
                )
                place = Node(
                    value=None, file=self.source.place, line=self.root.line if self.source.is_table else row.line
                )
                self.report(place, "missing", "there is no prompt", key=key, fix=fix)
            elif node is not None and isinstance(node.value, str):
                self.check_prompt(node, node.value, key)
                yield self.text(key, node, node.value)
            if key == "prompt" and (node is None or not isinstance(node.value, str)):
                return
        copy = settings.get("copy") or self.root.get("copy")
        extra = [(f"copy.{name}", node) for name, node in copy.items()] if copy else []
        name = (settings.get("name") if not self.source.is_table else None) or self.root.get("name")
        extra += [("name", name)] if name else []
        for key, node in extra:
            if isinstance(node.value, str):
                yield self.text(key, node, node.value)

    def text(self, key: str, node: Node, written: str) -> WrittenText:
        """A text of a row."""
        name = key.partition(".")[0] if key.startswith("sizes") else key
        return WrittenText(key, self.template(node, written, name), Place(node, written, name))

    def check_name(self, written: Sequence[WrittenText], texts: Texts) -> None:
        """Report choices in the name of a file, which takes only what is chosen elsewhere."""
        for text in written:
            parts = texts.lines[text.key].parts if text.key == "name" else ()
            if any(not isinstance(part, str | Slot | Word) for part in parts):
                message, fix = (
                    "the name of a file cannot hold choices of its own",
                    "use {axis}, or ${v=!...} in the prompt",
                )
                self.result.problems.append(text.place.problem(0, "name", message, fix))

    def check_prompt(self, node: Node, written: str, key: str) -> None:
        """Report an empty prompt, and options that belong on a command line."""
        if not written.strip() and key == "prompt":
            self.report(node, "empty-prompt", "the prompt is empty", key=key, fix="write what is to be seen")
        option = _OPTION.search(written)
        if option:
            message = f"{option[1]} is read as part of the prompt, not as an option"
            fix = "set it in a .yaml file, in a column of a .csv file, or with --set"
            self.result.warnings.append(node.problem("option-in-prompt", message, key=key, fix=fix))

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

    def open_sizes(self, texts: Texts, axes: Sequence[Axis], node: Node | None) -> tuple[str, ...]:
        """Every size that sizes with `{axis}` in them can become, each checked."""
        values = {axis.name: axis for axis in axes}
        names: list[str] = []
        try:
            for key, line in texts.lines.items():
                if key.startswith("sizes."):
                    names += _all_texts(line, values, MAX_SIZES)
        except TooMany:
            place = node or self.root
            fix = "use axes with fewer values in them"
            self.report(place, "sizes", f"there are more than {MAX_SIZES:,} sizes", key="sizes", fix=fix)
            return ()
        items = [Node(value=name, file=node.file, line=node.line) for name in dict.fromkeys(names)] if node else []
        return self.read_sizes(Node(value=tuple(items), file=self.source.place))

    def read_when(self) -> tuple[When, ...]:
        """The settings that hold only where a condition does."""
        rules: list[When] = []
        items = _items(self.root.get("when"))
        for number, document in enumerate(self.document.when):
            node = items[number] if number < len(items) else self.root
            condition = node.get("if") or node
            seeds = None
            if document.seeds is not None or document.seed is not None:
                seeds = self.read_seeds(node.get("seeds"), node.get("seed"), document)
            rules.append(
                When(
                    condition=self.read_condition(condition, "when"),
                    sizes=self.read_sizes(node.get("sizes")) if document.sizes else None,
                    seeds=seeds,
                    steps=document.steps,
                    guidance=document.guidance,
                    scheduler=document.scheduler,
                )
            )
            if len(node.value if isinstance(node.value, Mapping) else ()) < 2:
                fix = "add what holds there, such as steps: 30"
                self.report(node, "when", "this condition sets nothing", key="when", fix=fix)
        return tuple(rules)

    def read_seeds(self, seeds: Node | None, seed: Node | None, valid: SettingsDocument) -> Seeds:
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
            if isinstance(rule.value, Mapping):
                yield self.read_condition(rule, "exclude")

    def read_condition(self, rule: Node, key: str) -> Exclusion:
        """A combination of values, with unknown axes and values reported once all entries are read."""
        if not rule.value:
            self.conditions.append((key, "", rule, frozenset()))
        parts: dict[str, frozenset[str]] = {}
        for name, node in rule.items():
            words = frozenset(item.value for item in _items(node) if isinstance(item.value, str))
            self.conditions.append((key, name, node, words))
            parts[name] = words
        return parts

    def check_conditions(self) -> None:
        """Report axes and values that conditions name and that do not exist."""
        for key, name, node, words in self.conditions:
            if not name:
                fix = "write {axis: value}, or remove it"
                self.report(node, key, "this combination is empty", key=key, fix=fix)
                continue
            known = self.exclude_names.get(name)
            if known is None:
                message, fix = f"{name!r} is not an axis of this file", suggest(name, list(self.exclude_names))
                self.report(node, "unknown-axis", message, key=f"{key}.{name}", fix=fix)
                continue
            for word in sorted(words - known):
                message, fix = f"{word!r} is not a value of {name}", suggest(word, sorted(known))
                self.report(node, "unknown-value", message, key=f"{key}.{name}", fix=fix)

    def note_values(self, axis: WrittenAxis) -> None:
        """Remember what conditions may name."""
        known = self.exclude_names.setdefault(axis.name, set())
        for value in axis.values:
            known.update((value.key, value.template.source))

    def warn_unused(self) -> None:
        """Warn of axes that no prompt uses: they multiply nothing."""
        zipped = {name for group in self.result.zipped if self.used_names.intersection(group) for name in group}
        for axis in self.written_axes:
            if axis.name not in self.used_names | zipped:
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
            place = Place(node, written, key)
            self.result.problems.append(place.problem(mistake.start, "template", mistake.message, mistake.fix))
        if not mistakes:
            self.templates[written] = template
        return template


def _items(node: Node | None) -> tuple[Node, ...]:
    """The nodes of a list; a value that stands alone is a list of one."""
    if node is None or node.value is None:
        return ()
    return node.value if isinstance(node.value, tuple) else (node,)


def _is_text(value: Any) -> bool:
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    return all(isinstance(item, str) for item in values)


def _depends(texts: Texts, axes: Sequence[Axis], names: set[str]) -> bool:
    """Whether the shape of texts or values depends on some of the axes."""
    if not names:
        return False
    switches = {name for line in texts.lines.values() for name in line.switches}
    given = {name for axis in axes for value in axis.values for name, _ in value.given}
    return not names.isdisjoint(switches | given)


def _all_texts(line: Line, axes: Mapping[str, Axis], limit: int) -> Iterator[str]:
    """Every text that a line can become, whatever is chosen; raises TooMany."""
    for filling in fillings(line, limit):
        each: list[list[str]] = []
        count = 1
        for part in filling.parts:
            if isinstance(part, str):
                each.append([part])
            elif isinstance(part, Slot):
                values = axes[part.axis].values if part.axis in axes else ()
                each.append([text for value in values for text in _all_texts(value.text, axes, limit)])
            count *= len(each[-1]) if each else 1
            if count > limit:
                raise TooMany
        yield from ("".join(texts) for texts in product(*each))
