"""All combinations of an entry's axes and choices, numbered: counted exactly, and each found from its number alone.

The named axes that every combination has come first, as written, the first varying slowest; then the choices
of the prompt from left to right; then the axes that only some of those choices reach. What is excluded has no
number. Counting multiplies and adds; nothing is ever expanded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

from designkit.prompts.entries import Entry, Exclusion
from designkit.prompts.template import Choice, Phrase, Placeholder, Text

MAX_STATES = 60_000
MAX_REACHES = 200_000

State = frozenset[int]
"""The exclusions (by number) that have matched on every axis so far."""

Reach = Mapping[frozenset[str], int]
"""How many fillings of a text's choices reach each set of axes that not every filling reaches."""


class TooEntangled(Exception):
    """The exclusions of an entry, or the axes inside its choices, overlap in more ways than can be counted."""


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """A placeholder; `reached` is its axis where not every filling reaches it, else empty."""

    name: str
    reached: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Fork:
    """A choice with its number in order of appearance, from 1; `reach` sums up its options."""

    number: int
    options: tuple[Line, ...]
    reach: Reach


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A prompt, a negative prompt, or an option, with its choices numbered."""

    parts: tuple[str | Slot | Fork, ...]
    reach: Reach


@dataclass(frozen=True, slots=True)
class Combination:
    """The index of the value taken on each axis in play, and of the option taken in each choice by its number."""

    values: Mapping[str, int]
    options: Mapping[int, int]


class Space:
    """The combinations of one entry, from 0 to `count` - 1; raises TooEntangled."""

    def __init__(self, entry: Entry, exclude: Sequence[Exclusion]) -> None:
        trees = (entry.prompt.tree, entry.negative.tree)
        used = {placeholder.name for tree in trees for placeholder in tree.placeholders()}
        always = {placeholder.name for tree in trees for placeholder in tree.placeholders(nested=False)}
        names = [axis.name for axis in entry.axes]
        self._sizes = {axis.name: len(axis.values) for axis in entry.axes}
        self._always = tuple(name for name in names if name in always)
        self._sometimes = tuple(name for name in names if name in used - always)
        self._rules = [_indexed(rule, entry) for rule in exclude if used.issuperset(rule)]
        numbered = _Numbering(frozenset(self._sometimes))
        self.prompt, self.negative = (numbered.line(tree) for tree in trees)
        both = Line((*self.prompt.parts, *self.negative.parts), _joined(self.prompt.reach, self.negative.reach))
        self._both = both
        self._afters = dict(_reach_after(both, {frozenset[str](): 1}))
        self._tails: dict[frozenset[str], _Chain] = {}
        self._option_ends: dict[tuple[int, frozenset[str], State], tuple[int, ...]] = {}
        self._head = _Chain(self._always, self._sizes, self._rules, after=self._count_behind)
        self.count = self._head.count(0, frozenset())

    def __getitem__(self, index: int) -> Combination:
        values: dict[str, int] = {}
        options: dict[int, int] = {}
        index, state = self._head.find(index, frozenset(), values)
        index, reached = self._walk(self._both, index, state, frozenset(), options)
        self._tail(reached).find(index, state, values)
        return Combination(values, options)

    def _count_behind(self, state: State) -> int:
        """How many combinations there are once the axes that are always used have their values."""
        return sum(count * self._count_tail(reached, state) for reached, count in self._both.reach.items())

    def _count_tail(self, reached: frozenset[str], state: State) -> int:
        return self._tail(reached).count(0, state)

    def _tail(self, reached: frozenset[str]) -> _Chain:
        """The axes that some choices reach, once it is known which."""
        if reached not in self._tails:
            names = tuple(name for name in self._sometimes if name in reached)
            self._tails[reached] = _Chain(names, self._sizes, self._rules, before=self._always)
        return self._tails[reached]

    def _walk(
        self, line: Line, index: int, state: State, reached: frozenset[str], options: dict[int, int]
    ) -> tuple[int, frozenset[str]]:
        """Take the options that an index stands for; returns what is left of it, and the axes reached."""
        for part in line.parts:
            if isinstance(part, Slot):
                reached |= part.reached
            elif isinstance(part, Fork):
                ends = self._ends(part, state, reached)
                option = bisect_right(ends, index)
                index -= ends[option - 1] if option else 0
                options[part.number] = option
                index, reached = self._walk(part.options[option], index, state, reached, options)
        return index, reached

    def _ends(self, fork: Fork, state: State, reached: frozenset[str]) -> tuple[int, ...]:
        """Running totals of the combinations under each option of a choice."""
        key = (fork.number, reached, state)
        if key not in self._option_ends:
            after = self._afters[fork.number]
            counts = (
                sum(
                    count * self._count_tail(reached | more, state)
                    for more, count in _joined(option.reach, after).items()
                )
                for option in fork.options
            )
            self._option_ends[key] = tuple(accumulate(counts))
        return self._option_ends[key]


class _Numbering:
    """Numbers the choices of an entry's texts, and finds which of the `sometimes` axes their fillings reach."""

    def __init__(self, sometimes: frozenset[str]) -> None:
        self._sometimes = sometimes
        self._last = 0

    def line(self, phrase: Phrase) -> Line:
        parts: list[str | Slot | Fork] = []
        reach: Reach = {frozenset(): 1}
        for part in phrase.parts:
            if isinstance(part, Text):
                parts.append(part.text)
                continue
            if isinstance(part, Placeholder):
                slot = Slot(part.name, self._sometimes & {part.name})
                parts.append(slot)
                reach = _joined(reach, {slot.reached: 1})
            else:
                fork = self.fork(part)
                parts.append(fork)
                reach = _joined(reach, fork.reach)
        return Line(tuple(parts), reach)

    def fork(self, choice: Choice) -> Fork:
        self._last += 1
        number = self._last
        options = tuple(self.line(option) for option in choice.options)
        sums: dict[frozenset[str], int] = {}
        for reached, count in chain.from_iterable(option.reach.items() for option in options):
            sums[reached] = sums.get(reached, 0) + count
        return Fork(number, options, sums)


@dataclass(frozen=True, slots=True)
class _Step:
    """Where the values of an axis lead from one state.

    `states` holds the state behind each value (None: excluded) and `ends` running totals of the combinations;
    where all values lead to the same state, both are empty and each value has `each` combinations behind it.
    """

    count: int
    each: int = 0
    states: tuple[State | None, ...] = ()
    ends: tuple[int, ...] = ()


class _Chain:
    """Axes in a row, with the state of the exclusions between them.

    Combinations are counted by state rather than one by one, so counting is exact however long the axes are.
    `before` names the axes that were decided earlier; `after` weighs each combination by its final state.
    """

    def __init__(
        self,
        names: Sequence[str],
        sizes: Mapping[str, int],
        rules: Sequence[Mapping[str, frozenset[int]]],
        *,
        before: Sequence[str] = (),
        after: Callable[[State], int] | None = None,
    ) -> None:
        self._names = tuple(names)
        self._sizes = tuple(sizes[name] for name in names)
        self._rules = rules
        self._num_before = len(before)
        self._after = after
        places = {name: place for place, name in enumerate((*before, *names))}
        # A rule on an axis that is not here (yet) never matches in full: its last place lies beyond.
        beyond = len(places)
        self._first = [min(places.get(name, beyond) for name in rule) for rule in rules]
        self._last = [max(places.get(name, beyond) for name in rule) for rule in rules]
        self._steps: dict[tuple[int, State], _Step] = {}

    def count(self, place: int, state: State) -> int:
        """The number of combinations of the axes from `place` on."""
        if place == len(self._names):
            return self._after(state) if self._after else 1
        return self._step(place, state).count

    def find(self, index: int, state: State, values: dict[str, int]) -> tuple[int, State]:
        """Take the values that an index stands for; returns what is left of the index, and the final state."""
        for place, name in enumerate(self._names):
            step = self._step(place, state)
            if not step.states:
                values[name], index = divmod(index, step.each)
                continue
            value = bisect_right(step.ends, index)
            index -= step.ends[value - 1] if value else 0
            values[name] = value
            below = step.states[value]
            assert below is not None, "an excluded combination has no number"
            state = below
        return index, state

    def _step(self, place: int, state: State) -> _Step:
        key = (place, state)
        if key not in self._steps:
            if len(self._steps) >= MAX_STATES:
                raise TooEntangled
            self._steps[key] = self._make_step(place, state)
        return self._steps[key]

    def _make_step(self, place: int, state: State) -> _Step:
        name, here = self._names[place], self._num_before + place
        open_rules = [
            number
            for number, rule in enumerate(self._rules)
            if name in rule and (number in state or self._first[number] == here)
        ]
        if not open_rules:
            each = self.count(place + 1, state)
            return _Step(each * self._sizes[place], each)
        matched: dict[int, set[int]] = {}
        for number in open_rules:
            for value in self._rules[number][name]:
                matched.setdefault(value, set()).add(number)
        unmatched = state.difference(open_rules)
        states: list[State | None] = [unmatched] * self._sizes[place]
        for value, numbers in matched.items():
            is_excluded = any(self._last[number] == here for number in numbers)
            states[value] = None if is_excluded else unmatched | numbers
        counts = {below: self.count(place + 1, below) for below in set(states) if below is not None}
        ends = tuple(accumulate(0 if below is None else counts[below] for below in states))
        return _Step(ends[-1], 0, tuple(states), ends)


def _indexed(rule: Exclusion, entry: Entry) -> dict[str, frozenset[int]]:
    """An exclusion with the indices of the values that it names, by their keys or by what was written."""
    return {
        axis.name: frozenset(
            index for index, value in enumerate(axis.values) if {value.key, value.written} & rule[axis.name]
        )
        for axis in entry.axes
        if axis.name in rule
    }


def _joined(left: Reach, right: Reach) -> Reach:
    """The reach of two texts that follow each other."""
    if len(left) == len(right) == 1:
        ((first, first_count),), ((second, second_count),) = left.items(), right.items()
        return {first | second: first_count * second_count}
    if len(left) * len(right) > MAX_REACHES:
        raise TooEntangled
    sums: dict[frozenset[str], int] = {}
    for first, first_count in left.items():
        for second, second_count in right.items():
            reached = first | second
            sums[reached] = sums.get(reached, 0) + first_count * second_count
    return sums


def _reach_after(line: Line, after: Reach) -> Iterator[tuple[int, Reach]]:
    """By the number of each choice, the reach of everything behind it; `after` is that of what follows the line."""
    for part in reversed(line.parts):
        if isinstance(part, Fork):
            yield part.number, after
            for option in part.options:
                yield from _reach_after(option, after)
            after = _joined(part.reach, after)
        elif isinstance(part, Slot):
            after = _joined({part.reached: 1}, after)
