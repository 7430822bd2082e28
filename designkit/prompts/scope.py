"""What the names in the texts of a prompt file mean: axes, variables, wildcards and words of the brand, looked up once.

All texts of an entry share one scope: a variable set in the prompt holds in the negative prompt and in the copy too.
Everything that cannot be looked up is a problem at its line, with the nearest name: missing wildcards, unknown
variables, names that lead back to themselves, and nestings too large to count.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from designkit.documents import Node, suggest
from designkit.errors import Problem
from designkit.prompts import template
from designkit.prompts.lines import (
    EMPTY,
    MAX_AXIS_VALUES,
    MAX_LENGTH,
    Axis,
    AxisValue,
    Filling,
    Fork,
    Line,
    Part,
    Picks,
    Sampled,
    Slot,
    Switch,
    Texts,
    TooMany,
    Word,
    Wrapped,
    fillings,
    find_cycle,
    holds_samplers,
    make_line,
    make_picks,
)
from designkit.prompts.template import (
    Assignment,
    Choice,
    Phrase,
    Placeholder,
    Template,
    Text,
    Variable,
    Wildcard,
    Wrapper,
)
from designkit.prompts.wildcards import FOLDER, Value, Wildcards

BRAND_WORDS = ("brand.name", "brand.style", "brand.avoid")

MAX_DEPTH = 60
MAX_PARTS = 500_000
MAX_PROBLEMS = 50


AnyResult = TypeVar("AnyResult")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a template stands: the node of its text, and the key that it was written under."""

    node: Node
    source: str
    key: str | None

    def problem(self, offset: int, code: str, message: str, fix: str | None) -> Problem:
        """A Problem at an offset of the text, which may run over several lines."""
        node, line = self.node, self.node.line
        if node.text_line is not None and node.text_line != node.line:
            line = node.text_line + self.source.count("\n", 0, offset)
        return Node(value=None, file=node.file, line=line).problem(code, message, key=self.key, fix=fix)


@dataclass(frozen=True, slots=True)
class WrittenValue:
    """A value of an axis as it was written; `is_keyed` where it has a name of its own."""

    key: str
    template: Template
    place: Place
    weight: float = 1.0
    is_keyed: bool = False


@dataclass(frozen=True, slots=True)
class WrittenAxis:
    """An axis as it was written."""

    name: str
    values: tuple[WrittenValue, ...]
    place: Place
    is_column: bool = False


@dataclass(frozen=True, slots=True)
class WrittenText:
    """A text of an entry: its key (`prompt`, `negative`, `copy.headline`, ...), template and place."""

    key: str
    template: Template
    place: Place


@dataclass(frozen=True, slots=True, eq=False)
class _Binding:
    """A variable or parameter: what it stands for, and the scope in which that is read; `axis` if chosen once."""

    name: str
    value: Phrase
    scope: Mapping[str, _Binding]
    place: Place
    is_once: bool = False


class _GiveUp(Exception):
    """Looking further makes no sense: everything of use has been reported."""


class Scope:
    """The names that the texts of one entry (or of many that share axes and variables) can use.

    Mistakes gather in `problems`; `used` are the axes that texts or other axes mention.
    """

    def __init__(
        self,
        axes: Sequence[WrittenAxis],
        texts: Sequence[WrittenText],
        *,
        brand_words: Collection[str] | None,
        wildcards: Wildcards,
    ) -> None:
        self.problems: list[Problem] = []
        self.used: set[str] = set()
        self._written = {axis.name: axis for axis in axes}
        self._words: Collection[str] = () if brand_words is None else brand_words
        self._wildcards = wildcards
        self._bindings: dict[str, _Binding] = {}
        self._axes: dict[str, Axis] = {}
        self._once: dict[int, str] = {}
        self._memo: dict[tuple[int, int], Line] = {}
        self._forks: dict[tuple[tuple[str, ...], int], Fork] = {}
        self._kept: list[object] = []
        self._texts: dict[tuple[str, ...], Texts] = {}
        self._active: list[tuple[object, str]] = []
        self._labels: set[str] | None = None
        self._order: list[str] = []
        self._repeats: dict[str, int] = {}
        self._num_choices = 0
        self._num_parts = 0
        self._depth = 0
        self._bind(texts)

    # What others ask for

    def axes(self, own: Sequence[WrittenAxis] = ()) -> tuple[Axis, ...]:
        """The axes as written, then the variables that are chosen once; `own` are the columns of a row."""
        for axis in own:
            self._written[axis.name] = axis
            self._axes.pop(axis.name, None)
        for name in self._written:
            self._guarded(partial(self._axis, name))
        for binding in self._bindings.values():
            if binding.is_once:
                self._guarded(partial(self._once_axis, binding))
        axes = tuple(self._axes[name] for name in (*self._written, *self._once.values()) if name in self._axes)
        cycle = find_cycle({axis.name: _mentioned(axis) for axis in axes})
        if cycle and not self.problems:
            self._report_cycle(self._written[cycle[0]].place if cycle[0] in self._written else None, 0, cycle)
        return axes

    def texts(self, written: Sequence[WrittenText]) -> Texts:
        """The texts of an entry, their choices numbered in order of appearance."""
        key = tuple(part for text in written for part in (text.key, text.template.source))
        if key in self._texts:
            return self._texts[key]
        num_problems = len(self.problems)
        self._labels, self._num_choices, self._order, self._repeats = {*self._written}, 0, [], {}
        lines = {
            text.key: self._guarded(partial(self._phrase, text.template.tree, self._bindings, text.place)) or EMPTY
            for text in written
        }
        lines.setdefault("negative", EMPTY)
        labels, self._labels = tuple(self._order), None
        for text in written:
            if lines[text.key].length > MAX_LENGTH + 2 * len(text.template.source):
                message = f"its wildcards and variables can make it longer than {MAX_LENGTH:,} characters"
                fix = "use fewer of them within each other"
                self.problems.append(text.place.problem(0, "too-long", message, fix))
        axis_lines = (value.text for axis in self._axes.values() for value in axis.values)
        texts = Texts(lines, labels, holds_samplers((*lines.values(), *axis_lines)))
        if len(self.problems) == num_problems:
            self._texts[key] = texts
        return texts

    # Variables

    def _bind(self, texts: Sequence[WrittenText]) -> None:
        """Note the variables that the texts set; they hold for all texts, whatever their order."""
        for text in texts:
            for part in text.template.tree.assignments():
                if part.name in self._written:
                    if not part.keeps:
                        message, fix = f"{part.name} is an axis already", "give the variable another name"
                        self.problems.append(text.place.problem(part.start, "variable-name", message, fix))
                elif not (part.keeps and part.name in self._bindings):
                    binding = _Binding(part.name, part.value, self._bindings, text.place, part.is_once)
                    self._bindings[part.name] = binding

    def _variable(self, binding: _Binding, place: Place, start: int) -> Iterator[Part]:
        if binding.is_once:
            axis = self._once_axis(binding)
            if axis is not None:
                self.used.add(axis)
                yield Slot(axis)
            return
        with _Step(self, binding, f"${{{binding.name}}}", place, start):
            line = self._shared(binding.value, binding.scope, binding.place)
        yield from self._named(line, binding.name)

    def _once_axis(self, binding: _Binding) -> str | None:
        """The name of the axis that a variable chosen once is; its values are listed when it is first used."""
        if id(binding) in self._once:
            return self._once[id(binding)]
        taken = {*self._written, *self._once.values()}
        name, number = binding.name, 2
        while name in taken:
            name, number = f"{binding.name} {number}", number + 1
        with _Step(self, binding, f"${{{binding.name}}}", binding.place, 0):
            line = self._shared(binding.value, binding.scope, binding.place)
        values: dict[object, AxisValue] = {}
        try:
            for filling in fillings(line, MAX_AXIS_VALUES):
                key = _spelled(filling)
                value = AxisValue(key, key, make_line(filling.parts), filling.weight, filling.given)
                values.setdefault((key, filling.given), value)
        except TooMany:
            message = f"the variable {binding.name} can be chosen in more than {MAX_AXIS_VALUES:,} ways"
            self._report(binding.place, 0, "axis-values", message, "set several variables, or use = instead of =!")
            return None
        self._once[id(binding)] = name
        self._kept.append(binding)
        self._axes[name] = Axis(name, tuple(values.values()))
        return name

    def _axis(self, name: str) -> Axis:
        """An axis as written, its values with all that their choices make of them."""
        if name in self._axes or name not in self._written:
            return self._axes[name]
        written = self._written[name]
        values: list[AxisValue] = []
        with _Step(self, written, f"{{{name}}}", written.place, 0):
            for value in written.values:
                if value.template.tree.is_text():
                    line = make_line((value.template.tree.text(),))
                    values.append(AxisValue(value.key, value.template.source, line, value.weight))
                else:
                    values += self._axis_values(value)
        self._axes[name] = Axis(name, tuple(values), written.is_column)
        return self._axes[name]

    def _axis_values(self, value: WrittenValue) -> Iterator[AxisValue]:
        line = self._shared(value.template.tree, self._bindings, value.place)
        try:
            found = fillings(line, MAX_AXIS_VALUES)
        except TooMany:
            message = f"the choices in it make more than {MAX_AXIS_VALUES:,} values"
            self._report(value.place, 0, "axis-values", message, "use several axes")
            return
        for filling in found:
            key = value.key if value.is_keyed or len(found) == 1 else _spelled(filling)
            weight = value.weight * filling.weight
            yield AxisValue(key, value.template.source, make_line(filling.parts), weight, filling.given)

    # Texts

    def _shared(self, phrase: Phrase, scope: Mapping[str, _Binding], place: Place) -> Line:
        """A text in which no choice is recorded on its own; made once for each scope that it is read in."""
        key = (id(phrase), id(scope))
        if key not in self._memo:
            labels, self._labels = self._labels, None
            try:
                self._memo[key] = self._phrase(phrase, scope, place)
            finally:
                self._labels = labels
            self._kept += (phrase, scope)
        return self._memo[key]

    def _phrase(self, phrase: Phrase, scope: Mapping[str, _Binding], place: Place) -> Line:
        self._num_parts += 1 + len(phrase.parts)
        self._depth += 1
        if self._num_parts > MAX_PARTS:
            message = "its wildcards and variables stand for too much to be read"
            self._report(place, 0, "too-large", message, "use fewer of them within each other")
            raise _GiveUp
        if self._depth > MAX_DEPTH:
            message = f"wildcards, variables and braces nest deeper than {MAX_DEPTH} levels"
            self._report(place, 0, "circular-reference", message, "check that none of them leads back to itself")
            raise _GiveUp
        line = make_line(part for each in phrase.parts for part in self._part(each, scope, place))
        self._depth -= 1
        return line

    def _part(self, part: template.Part, scope: Mapping[str, _Binding], place: Place) -> Iterator[Part]:
        if isinstance(part, Text):
            yield part.text
        elif isinstance(part, Placeholder | Variable):
            yield from self._name(part, scope, place)
        elif isinstance(part, Choice):
            yield from self._choice(part, scope, place)
        elif isinstance(part, Wildcard):
            yield from self._wildcard(part, scope, place)
        elif isinstance(part, Wrapper):
            yield Wrapped(self._phrase(part.around, scope, place), self._phrase(part.inner, scope, place))
        else:
            assert isinstance(part, Assignment), "every other part stands for something"

    def _name(self, part: Placeholder | Variable, scope: Mapping[str, _Binding], place: Place) -> Iterator[Part]:
        """What `{name}`, `${name}` or `${name:default}` stands for."""
        name = part.name
        if name in scope:
            yield from self._variable(scope[name], place, part.start)
        elif name in self._written:
            self.used.add(name)
            yield Slot(name)
        elif name in self._words:
            yield Word(name)
        elif isinstance(part, Variable) and part.default is not None:
            yield from self._named(self._shared(part.default, scope, place), name)
        else:
            self._add(self._unknown(part, scope, place))

    def _unknown(self, part: Placeholder | Variable, scope: Mapping[str, _Binding], place: Place) -> Problem:
        name, known = part.name, [*scope, *self._written, *self._words]
        if name.startswith("brand.") and not self._words:
            message = f"{{{name}}} needs a brand, and the file names none"
            return place.problem(part.start, "no-brand", message, "add a line 'brand: FOLDER'")
        if isinstance(part, Variable):
            fix = suggest(name, known) if known else rf"set it with ${{{name}=...}}, or write \${{ for these characters"
            return place.problem(part.start, "unknown-variable", f"${{{name}}} is not set anywhere", fix)
        fix = suggest(name, known) if known else r"define it under axes, or write \{ and \} for plain braces"
        return place.problem(part.start, "unknown-axis", f"{{{name}}} is not an axis of this file", fix)

    def _choice(self, choice: Choice, scope: Mapping[str, _Binding], place: Place) -> Iterator[Part]:
        label = None
        if self._labels is not None and (len(choice.options) > 1 or choice.is_counted):
            self._num_choices += 1
            label = str(self._num_choices)
            self._order.append(label)
        options = [self._phrase(option, scope, place) for option in choice.options]
        if choice.is_counted:
            part = self._counted(choice, options, choice.weights, label, place)
            parts: Sequence[Part] = () if part is None else (part,)
        elif len(options) > 1:
            parts = (Fork(tuple(options), choice.weights, label),)
        else:
            parts = options[0].parts
        yield from (_sampled(part, choice.mark) for part in parts) if choice.mark in ("~", "@") else parts

    def _counted(
        self, choice: Choice, options: Sequence[Line], weights: Sequence[float], label: str | None, place: Place
    ) -> Part | None:
        """`{2$$...}`: a count over options, over the values of one wildcard, or over the texts of one phrase."""
        try:
            if len(options) == 1:
                (only,) = options
                parts = [part for part in only.parts if not isinstance(part, str) or part.strip()]
                sole = parts[0] if len(parts) == 1 else None
                if isinstance(sole, Switch):
                    below = [self._counted(choice, [line], (), label, place) for line in sole.lines]
                    return Switch(sole.axis, tuple(make_line(() if part is None else (part,)) for part in below))
                if isinstance(sole, Fork):
                    label = sole.label or label
                    if len(sole.options) == 1 and sole.options[0].constant is None:
                        return self._counted(choice, sole.options, (), label, place)
                    options, weights = sole.options, sole.weights
                else:
                    found = fillings(only, MAX_AXIS_VALUES)
                    if any(filling.given for filling in found):
                        raise TooMany
                    options = [make_line(filling.parts) for filling in found]
            return make_picks(options, weights, choice.low, choice.high, choice.separator, label)
        except TooMany:
            message = "this count has more results than can be listed"
            self._report(place, choice.start, "choices", message, "let its options differ, or use several choices")
            return None

    # Wildcards

    def _wildcard(self, part: Wildcard, scope: Mapping[str, _Binding], place: Place) -> Iterator[Part]:
        inner = scope
        if part.parameters:
            inner = {**scope, **{name: _Binding(name, value, scope, place) for name, value in part.parameters}}
            self._kept.append(inner)
        labels, self._labels = self._labels, None
        try:
            line = self._phrase(part.path, scope, place)
            ways = fillings(line, 1000)
        except TooMany:
            message = "the name of the wildcard can be chosen in more than 1,000 ways"
            self._report(place, part.start, "choices", message, "use fewer choices in it")
            return
        finally:
            self._labels = labels
        label = self._label("".join(_path_text(each) for each in part.path.parts))
        found = [each for way in ways if (each := self._values_of(way.parts, (), part, inner, place)) is not None]
        if len(found) == 1:
            (sole,) = found
        elif found:
            sole = Fork(tuple(make_line((each,)) for each in found))
        else:
            return
        if label is not None:
            sole = Fork(sole.options, sole.weights, label) if isinstance(sole, Fork) else sole
            if isinstance(sole, Switch):
                sole = Fork((make_line((sole,)),), (), label)
        yield _sampled(sole, part.mark) if part.mark in ("~", "@") else sole

    def _values_of(
        self, path: Sequence[Part], before: tuple[str, ...], part: Wildcard, scope: Mapping[str, _Binding], place: Place
    ) -> Part | None:
        """The values of the lists that a path means; a switch where it depends on an axis."""
        if not path:
            return self._collection("".join(before), part, scope, place)
        head, rest = path[0], path[1:]
        if isinstance(head, str):
            return self._values_of(rest, (*before, head), part, scope, place)
        if not isinstance(head, Slot):
            message, fix = "the name of a wildcard can hold text, axes, variables and choices only", "write it out"
            self._report(place, part.start, "wildcard-name", message, fix)
            return None
        lines: list[Line] = []
        for value in self._axis(head.axis).values:
            text = value.text.constant
            name = value.key if text is None else text
            if all(isinstance(each, str) for each in rest):
                # A value with a key of its own may name its list by it.
                whole = "".join((*before, name, *(each for each in rest if isinstance(each, str))))
                name = name if self._wildcards.find(whole) else value.key
            below = self._values_of(rest, (*before, name), part, scope, place)
            lines.append(make_line(() if below is None else (below,)))
        return Switch(head.axis, tuple(lines))

    def _collection(self, name: str, part: Wildcard, scope: Mapping[str, _Binding], place: Place) -> Part | None:
        names = self._wildcards.find(name)
        if not names:
            self._add(self._missing(name, part, place))
            return None
        key = (names, id(scope))
        if key in self._forks:
            return self._forks[key]
        options: dict[str, tuple[Line, float | None]] = {}
        with _Step(self, (names, id(scope)), f"__{name}__", place, part.start):
            for each in names:
                for value in self._wildcards.values(each):
                    if value.template.source not in options and len(self.problems) < MAX_PROBLEMS:
                        options[value.template.source] = (self._value(value, scope), value.weight)
        if not options:
            return None
        weights = [weight for _, weight in options.values()]
        is_weighted = any(weight is not None for weight in weights)
        self._kept.append(scope)
        self._forks[key] = Fork(
            tuple(line for line, _ in options.values()),
            tuple(1.0 if weight is None else weight for weight in weights) if is_weighted else (),
        )
        return self._forks[key]

    def _value(self, value: Value, scope: Mapping[str, _Binding]) -> Line:
        tree = value.template.tree
        if tree.is_text():
            return make_line((tree.text(),))
        place = Place(Node(value=None, file=value.file, line=value.line), value.template.source, None)
        inner = scope
        for part in tree.assignments():
            if not (part.keeps and (part.name in inner or part.name in self._written)):
                inner = {**inner}
                inner[part.name] = _Binding(part.name, part.value, inner, place, part.is_once)
        if inner is not scope:
            key = (id(tree), id(scope))
            if key not in self._memo:
                self._memo[key] = self._shared(tree, inner, place)
                self._kept += (inner, tree, scope)
            return self._memo[key]
        return self._shared(tree, scope, place)

    def _missing(self, name: str, part: Wildcard, place: Place) -> Problem:
        known = self._wildcards.names()
        message = f"there is no wildcard __{name}__"
        if self._wildcards.folder is None or not self._wildcards.folder.is_dir():
            folder = self._wildcards.folder or FOLDER
            fix = rf"add {folder}/{name}.txt with a value a line, or write \__ for these characters"
            return place.problem(part.start, "unknown-wildcard", message, fix)
        fix = suggest(name, known) if known else f"add {name}.txt to the folder {self._wildcards.folder}"
        return place.problem(part.start, "unknown-wildcard", message, fix)

    # Names of choices, problems

    def _named(self, line: Line, name: str) -> Iterator[Part]:
        """What a variable stands for, recorded under its name where it varies by itself."""
        if all(isinstance(part, str | Slot | Word) for part in line.parts) and len(line.parts) < 10:
            yield from line.parts
        else:
            yield Fork((line,), (), self._label(name))

    def _label(self, name: str) -> str | None:
        if self._labels is None:
            return None
        label = name
        while label in self._labels:
            self._repeats[name] = self._repeats.get(name, 1) + 1
            label = f"{name} {self._repeats[name]}"
        self._labels.add(label)
        self._order.append(label)
        return label

    def _guarded(self, work: Callable[[], AnyResult]) -> AnyResult | None:
        """The result of a look-up; None where it was given up."""
        depth, num_active = self._depth, len(self._active)
        try:
            return work()
        except _GiveUp:
            self._depth = depth
            del self._active[num_active:]
            return None

    def _report(self, place: Place, offset: int, code: str, message: str, fix: str) -> None:
        self._add(place.problem(offset, code, message, fix))

    def _add(self, problem: Problem) -> None:
        """Note a problem; after many of them, what else is wrong is not looked for."""
        self.problems.append(problem)
        if len(self.problems) >= MAX_PROBLEMS:
            raise _GiveUp

    def _report_cycle(self, place: Place | None, offset: int, names: Sequence[str]) -> None:
        message = f"it leads back to itself: {' -> '.join(names)}"
        node = Place(Node(value=None, file="the variables"), "", None) if place is None else place
        self._report(node, offset, "circular-reference", message, "break the circle")


class _Step:
    """One name that is being looked up: a circle is found when the same one comes again below it."""

    def __init__(self, scope: Scope, identity: object, name: str, place: Place, start: int) -> None:
        self._scope = scope
        self._identity = identity
        self._name = name
        self._place = place
        self._start = start

    def __enter__(self) -> None:
        active = self._scope._active  # pyright: ignore[reportPrivateUsage]
        for number, (identity, _) in enumerate(active):
            if identity is self._identity or identity == self._identity:
                names = [name for _, name in active[number:]]
                self._scope._report_cycle(self._place, self._start, [*names, self._name])  # pyright: ignore[reportPrivateUsage]
                raise _GiveUp
        active.append((self._identity, self._name))

    def __exit__(self, *_: object) -> None:
        self._scope._active.pop()  # pyright: ignore[reportPrivateUsage]


def _mentioned(axis: Axis) -> frozenset[str]:
    """The axes that the values of an axis need."""
    names: set[str] = set()
    for value in axis.values:
        names |= value.text.anywhere
        names.update(name for name, _ in value.given)
    return frozenset(names)


def _sampled(part: Part, mark: str) -> Part:
    if isinstance(part, Fork | Picks):
        return Sampled(part, mark)
    if isinstance(part, Switch):
        return Switch(part.axis, tuple(make_line(_sampled(each, mark) for each in line.parts) for line in part.lines))
    return part


def _spelled(filling: Filling) -> str:
    """A text in which open axes and words stand in braces."""
    texts = (
        part
        if isinstance(part, str)
        else f"{{{part.axis}}}"
        if isinstance(part, Slot)
        else f"{{{part.name}}}"
        if isinstance(part, Word)
        else "{~}"
        for part in filling.parts
    )
    return "".join(texts).strip()


def _path_text(part: object) -> str:
    if isinstance(part, Text):
        return part.text
    return part.name if isinstance(part, Placeholder | Variable) else "*"
