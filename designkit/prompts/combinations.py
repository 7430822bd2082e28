"""All combinations of an entry's axes and choices, numbered: counted exactly, and each found from its number alone.

The named axes that every combination has come first, as written, the first varying slowest; then the choices
of the texts from left to right, and the axes that only some of those choices or values reach, where they are first
reached. What is excluded has no number. Counting multiplies and adds along places; nothing is ever expanded.

A *place* is something still to be decided (the value of an axis, an option, everything up to the next such
thing), a *state* what of the decisions so far still matters: two ways that lead to the same state are counted once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import prod
from typing import cast

from designkit.prompts.draws import Draws
from designkit.prompts.lines import Axis, Fork, Line, Part, Picks, Sampled, Slot, Switch, Word, Wrapped
from designkit.prompts.picks import MAX_COUNT_BITS, TooEntangled, num_picks, number_of_picks

MAX_WORK = 40_000

Exclusion = Mapping[str, frozenset[str]]
"""A combination by its values: for each axis named, the keys (or texts) of its values."""

Fact = tuple[str, str, int] | tuple[str, str] | tuple[str, int, str] | tuple[str, int]
"""("is", axis): decided. ("value", axis, index). ("part", rule, axis): a rule that matches so far. ("all", rule)."""

State = frozenset[Fact]

Values = Mapping[str, int]
"""The index of the value taken, by axis."""

_NOTHING: State = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Parts in a row that are filled in independently of everything that is still open; in one way if `is_fixed`."""

    parts: tuple[Part, ...]
    switches: bool
    is_fixed: bool


@dataclass(frozen=True, slots=True, eq=False)
class Decide:
    """The value of an axis, unless it has one already."""

    axis: str


Segment = Run | Decide | Fork | Switch | Wrapped


@dataclass(slots=True, eq=False)
class _Place:
    """Something to be decided; `open` may be decided here or later, the values of `needed` matter here or later."""

    segment: Segment | None
    following: _Place | None
    open: frozenset[str]
    needed: frozenset[str]


@dataclass(slots=True, eq=False)
class _Step:
    """What can be decided at a place in a state.

    With `choices` empty there are `num` ways that all lead to `following`; else each way leads where it says
    (None: it is excluded). `axis` is what gets its value, `is_traced` whether the way taken must be remembered.
    """

    num: int = 1
    following: tuple[_Place, State] | None = None
    choices: tuple[tuple[_Place, State] | None, ...] = ()
    axis: str | None = None
    is_traced: bool = False
    count: int = 0
    each: int = 0
    ends: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Combination:
    """The index of the value taken on each axis in play, the ways taken in order, and the rules of `when` that hold."""

    values: Values
    trace: tuple[int, ...]
    rules: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What restricts and follows from combinations: those excluded, those noted (`when`), axes that move together."""

    exclude: Sequence[Exclusion] = ()
    when: Sequence[Exclusion] = ()
    zipped: Sequence[Sequence[str]] = ()


@dataclass(eq=False)
class Space:
    """The combinations of some lines, from 0 to `count` - 1; raises TooEntangled.

    `kept` are axes whose values `classes` tells apart. Axes in `given` were decided elsewhere.
    """

    axes: Sequence[Axis]
    lines: Sequence[Line]
    rules: Rules = field(default_factory=Rules)
    kept: frozenset[str] = frozenset()
    given: Values = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        self._axis = {axis.name: axis for axis in self.axes}
        self._group = {name: tuple(group) for group in self.rules.zipped for name in group}
        self._counts: dict[tuple[object, ...], int] = {}
        self._fixed_counts: dict[int, int] = {}
        self._texts: dict[int, tuple[str, ...] | None] = {}
        self._segments: dict[int, tuple[Segment, ...]] = {}
        self._places: dict[tuple[int, int, int], _Place] = {}
        self._steps: dict[tuple[int, State], _Step] = {}
        self._alive: list[object] = []
        self._work = 0
        used = self._closure({name for line in self.lines for name in line.anywhere} | set(self.kept))
        always = self._closure({name for line in self.lines for name in line.outside} | set(self.kept), nested=False)
        self.used = frozenset(used)
        self.sometimes = frozenset(used - always - set(self.given))
        self._rules = [rule for each in self.rules.exclude if (rule := self._indexed(each)) is not None]
        self._num_exclusions = len(self._rules)
        self._numbers = list(range(len(self._rules)))
        for number, each in enumerate(self.rules.when):
            rule = self._indexed(each)
            if rule is not None:
                self._rules.append(rule)
                self._numbers.append(number)
        self._by_axis: dict[str, list[int]] = {}
        for number, rule in enumerate(self._rules):
            for name in rule:
                self._by_axis.setdefault(name, []).append(number)
        self._named: dict[str, Mapping[int, tuple[int, ...]]] = {}
        self._needed = self._find_needed()
        end = _Place(None, None, frozenset(), frozenset(map(self._leader, self.kept)))
        following = end
        for line in reversed(self.lines):
            following = self._place(line, following)
        for name in reversed(self._ordered(always - set(self.given))):
            following = self._decide(name, following)
        self._always = frozenset(map(self._leader, always | set(self.given)))
        self._end = end
        self._start = (following, self._start_state(following))
        self.count = self._solve(self._start)

    def __getitem__(self, index: int) -> Combination:
        values: dict[str, int] = {}
        trace: list[int] = []
        place, state = self._start
        while place is not self._end:
            step = self._steps.get((id(place), state)) or self._solved(place, state)
            if step.choices:
                way = bisect_right(step.ends, index)
                index -= step.ends[way - 1] if way else 0
                following = step.choices[way]
            else:
                way, index = divmod(index, step.each)
                following = step.following
            self._note(step, way, values, trace)
            assert following is not None, "an excluded combination has no number"
            place, state = following
        return Combination(values, tuple(trace), self._rules_in(state))

    def draw(self, draws: Draws) -> int:
        """A number drawn by the weights that are written; where none are, every combination is as likely."""
        values: dict[str, int] = dict(self.given)
        place, state = self._start
        index = 0
        while place is not self._end:
            step = self._steps.get((id(place), state)) or self._solved(place, state)
            way = self._draw_way(place, step, draws, values)
            if step.choices:
                index += step.ends[way - 1] if way else 0
                following = step.choices[way]
            else:
                index += way * step.each
                following = step.following
            self._note(step, way, values, [])
            assert following is not None, "what is excluded has no weight"
            place, state = following
        return index

    @property
    def is_weighted(self) -> bool:
        """Whether weights are written anywhere in it."""
        values = (value for name in self.used for value in self._axis[name].values)
        return any(value.weight != 1 for value in values) or any(map(has_weights, self.lines))

    def classes(self) -> Iterator[tuple[Values, frozenset[int], int]]:
        """How many combinations there are for each set of values of the axes kept, and of rules of `when` that hold."""
        for state, number in self._distribution().items():
            values = self._state_values(state)
            yield {name: values[name] for name in self.kept if name in values}, self._rules_in(state), number

    def segments(self, line: Line) -> tuple[Segment, ...]:
        """The parts of a line, gathered by what is decided in them."""
        if id(line) not in self._segments:
            self._segments[id(line)] = tuple(self._make_segments(line))
            self._alive.append(line)
        return self._segments[id(line)]

    def fixed_texts(self, fork: Fork) -> tuple[str, ...] | None:
        """The texts of a choice between plain texts; None for any other."""
        if id(fork) not in self._texts:
            texts = tuple(option.constant for option in fork.options if option.constant is not None)
            self._texts[id(fork)] = texts if len(texts) == len(fork.options) else None
            self._alive.append(fork)
        return self._texts[id(fork)]

    def num_ways(self, part: Part | Line, values: Values) -> int:
        """How many fillings a part or line has that is independent of what is open; raises TooEntangled."""
        known = self._fixed_counts.get(id(part))
        if known is not None:
            return known
        if isinstance(part, str | Slot | Word | Sampled):
            return 1
        switches = part.switches if isinstance(part, Line) else switches_of(part)
        if not switches:
            key = (id(part),)
        else:
            key = (id(part), *((name, values[name]) for name in sorted(switches) if name in values))
        if key not in self._counts:
            count = self._num_ways(part, values)
            if count.bit_length() > MAX_COUNT_BITS:
                raise TooEntangled("there are more than 10^1200 combinations")
            self._counts[key] = count
            if not switches:
                self._fixed_counts[id(part)] = count
            self._alive.append(part)
        return self._counts[key]

    # The axes

    def _leader(self, name: str) -> str:
        """The name under which an axis is decided: that of the first of those that move together."""
        return self._group[name][0] if name in self._group else name

    def _members(self, leader: str) -> tuple[str, ...]:
        return self._group.get(leader, (leader,))

    def _closure(self, names: set[str], *, nested: bool = True) -> set[str]:
        """Axes with those that they bring along: zipped ones, those that they depend on, those in their values."""
        found: set[str] = set()
        left = list(names)
        while left:
            name = left.pop()
            if name in found:
                continue
            found.add(name)
            left += self._members(self._leader(name))
            for value in self._axis[name].values:
                left += (axis for axis, _ in value.given)
                if nested:
                    left += value.text.anywhere
        return found

    def _ordered(self, names: set[str]) -> list[str]:
        """The axes to decide, as written, but behind those that they depend on."""
        ordered: list[str] = []

        def add(name: str) -> None:
            leader = self._leader(name)
            if leader in ordered:
                return
            for member in self._members(leader):
                for axis in dict.fromkeys(axis for value in self._axis[member].values for axis, _ in value.given):
                    if axis not in self.given:
                        add(axis)
            if leader not in ordered:
                ordered.append(leader)

        for axis in self.axes:
            if axis.name in names:
                add(axis.name)
        return ordered

    def _indexed(self, rule: Exclusion) -> dict[str, frozenset[int]] | None:
        """A rule by the indices of values; None where it names an axis that is never in play."""
        if not self.used.union(self.given).issuperset(rule):
            return None
        indexed: dict[str, frozenset[int]] = {}
        for name, words in rule.items():
            values = self._axis[name].values
            found = frozenset(index for index, value in enumerate(values) if {value.key, value.written} & words)
            leader = self._leader(name)
            indexed[leader] = indexed.get(leader, found) & found
        return indexed

    def _find_needed(self) -> dict[str, frozenset[str]]:
        """For each axis, those whose values must be known when it is decided."""
        return {
            axis.name: frozenset(self._leader(name) for value in axis.values for name, _ in value.given)
            for axis in self.axes
        }

    # The places

    def _make_segments(self, line: Line) -> list[Segment]:
        segments: list[Segment] = []
        run: list[Part] = []

        def flush() -> None:
            if run:
                switches = any(not isinstance(part, str | Slot | Word) and switches_of(part) for part in run)
                is_fixed = all(isinstance(part, str | Slot | Word | Sampled) for part in run)
                segments.append(Run(tuple(run), switches, is_fixed))
                run.clear()

        for part in line.parts:
            names = make_mentions(part)
            open_names = {self._leader(name) for name in names & self.sometimes}
            if isinstance(part, Slot | Picks | Sampled | Switch) and open_names:
                flush()
                first = {part.axis} & self.sometimes if isinstance(part, Slot | Switch) else open_names
                segments += map(Decide, self._ordered(set(first)))
            is_open = bool(open_names)
            if isinstance(part, Switch):
                is_open = any(each.anywhere & self.sometimes for each in part.lines)
            if isinstance(part, Fork | Switch | Wrapped) and is_open:
                flush()
                segments.append(part)
            else:
                run.append(part)
        flush()
        return segments

    def _place(self, line: Line, following: _Place) -> _Place:
        """Where a line begins that is followed by something."""
        for number, segment in reversed(list(enumerate(self.segments(line)))):
            key = (id(line), number, id(following))
            if key not in self._places:
                self._spend(1)
                self._places[key] = self._segment_place(segment, following)
                self._alive += (line, following)
            following = self._places[key]
        return following

    def _segment_place(self, segment: Segment, following: _Place) -> _Place:
        if isinstance(segment, Decide):
            return self._decide(segment.axis, following)
        if isinstance(segment, Run):
            names = frozenset(
                self._leader(name)
                for part in segment.parts
                if segment.switches and not isinstance(part, str)
                for name in switches_of(part)
            )
            return _Place(segment, following, following.open, following.needed | names)
        if isinstance(segment, Wrapped):
            return self._place(segment.around, self._place(segment.inner, following))
        lines = segment.options if isinstance(segment, Fork) else segment.lines
        names = {self._leader(name) for line in lines for name in line.anywhere & self.sometimes}
        needed = {self._leader(name) for line in lines for name in line.switches}
        needed |= {leader for name in names for leader in self._needed[name]}
        if isinstance(segment, Switch):
            needed.add(self._leader(segment.axis))
        return _Place(segment, following, following.open | names, following.needed | needed)

    def _decide(self, leader: str, following: _Place) -> _Place:
        nested: set[str] = set()
        needed: set[str] = set()
        for name in self._members(leader):
            needed |= self._needed[name]
            for value in self._axis[name].values:
                nested |= {self._leader(axis) for axis in value.text.anywhere & self.sometimes}
        nested = {self._leader(name) for name in self._closure(nested) & self.sometimes} if nested else nested
        needed |= {need for name in nested for need in self._needed[name]}
        return _Place(Decide(leader), following, following.open | nested | {leader}, following.needed | needed)

    def _start_state(self, place: _Place) -> State:
        """What was decided elsewhere, as far as it matters."""
        facts: set[Fact] = set()
        for name, index in self.given.items():
            if name == self._leader(name):
                added = self._matched(frozenset(facts), name, index)
                facts = set(added or ()) | {("value", name, index)}
        return self._kept_facts(facts, place)

    def _kept_facts(self, facts: set[Fact] | State, place: _Place) -> State:
        """The facts that still matter at a place."""
        if not facts:
            return _NOTHING
        kept: set[Fact] = set()
        for fact in facts:
            kind = fact[0]
            if kind == "value":
                if fact[1] in place.needed:
                    kept.add(fact)
                elif fact[1] in place.open:
                    kept.add(("is", fact[1]))
            elif kind == "is":
                if fact[1] in place.open:
                    kept.add(fact)
            elif kind == "part":
                number = _rule_of(fact)
                matched = {other[-1] for other in facts if other[0] == "part" and other[1] == number}
                if all(name in place.open for name in self._rules[number] if name not in matched):
                    kept.add(fact)
            else:
                kept.add(fact)
        return frozenset(kept)

    def _matched(self, state: State, leader: str, index: int) -> set[Fact] | None:
        """The facts about rules once an axis has a value; None where the combination is excluded."""
        facts = set(state)
        for number in self._by_axis.get(leader, ()):
            rule = self._rules[number]
            parts = {fact for fact in facts if fact[0] == "part" and fact[1] == number}
            if index not in rule[leader]:
                facts -= parts
                continue
            if len(parts) + 1 < len(rule):
                facts.add(("part", number, leader))
            elif number < self._num_exclusions:
                return None
            else:
                facts -= parts
                facts.add(("all", number))
        return facts

    # Counting

    def _spend(self, work: int) -> None:
        self._work += work
        if self._work > MAX_WORK:
            raise TooEntangled

    def _solved(self, place: _Place, state: State) -> _Step:
        self._solve((place, state))
        return self._steps[id(place), state]

    def _solve(self, start: tuple[_Place, State]) -> int:
        """The number of combinations from a place on; a stack of what is open instead of recursion."""
        if start[0] is self._end:
            return 1
        open_steps: dict[tuple[int, State], _Step] = {}
        stack = [start]
        while stack:
            place, state = stack[-1]
            key = (id(place), state)
            if key in self._steps:
                stack.pop()
                continue
            step = open_steps.get(key)
            if step is None:
                step = open_steps[key] = self._make_step(place, state)
                below = step.choices or (step.following,)
                missing = [
                    each
                    for each in dict.fromkeys(below)
                    if each is not None and each[0] is not self._end and (id(each[0]), each[1]) not in self._steps
                ]
                if missing:
                    stack += missing
                    continue
            self._total(step)
            self._steps[key] = step
            stack.pop()
        return self._steps[id(start[0]), start[1]].count

    def _total(self, step: _Step) -> None:
        if step.choices:
            counts = {each: self._known(each) for each in dict.fromkeys(step.choices)}
            step.ends = tuple(accumulate(counts[each] for each in step.choices))
            step.count = step.ends[-1]
        else:
            step.each = self._known(step.following)
            step.count = step.num * step.each
        if step.count.bit_length() > MAX_COUNT_BITS:
            raise TooEntangled("there are more than 10^1200 combinations")

    def _known(self, where: tuple[_Place, State] | None) -> int:
        if where is None:
            return 0
        return 1 if where[0] is self._end else self._steps[id(where[0]), where[1]].count

    def _make_step(self, place: _Place, state: State) -> _Step:
        self._spend(1)
        segment, following = place.segment, place.following
        assert following is not None
        if isinstance(segment, Run):
            values = self._state_values(state) if segment.switches else self.given
            num = prod(self.num_ways(part, values) for part in segment.parts)
            return _Step(num, (following, self._kept_facts(state, following)), is_traced=not segment.is_fixed)
        if isinstance(segment, Fork):
            starts = [self._place(option, following) for option in segment.options]
            self._spend(len(starts))
            return _Step(choices=tuple((start, self._kept_facts(state, start)) for start in starts), is_traced=True)
        if isinstance(segment, Switch):
            start = self._place(segment.lines[self._state_values(state)[segment.axis]], following)
            return _Step(1, (start, self._kept_facts(state, start)))
        assert isinstance(segment, Decide)
        return self._decide_step(segment.axis, following, state)

    def _decide_step(self, leader: str, following: _Place, state: State) -> _Step:
        if leader in self.sometimes and any(fact[0] in ("is", "value") and fact[1] == leader for fact in state):
            return _Step(1, (following, self._kept_facts(state, following)))
        axes = [self._axis[name] for name in self._members(leader)]
        size = len(axes[0].values)
        is_simple = (
            leader not in self._by_axis
            and leader not in following.needed
            and not any(value.given or value.text.anywhere & self.sometimes for axis in axes for value in axis.values)
        )
        if is_simple:
            facts = state | {("is", leader)} if leader in self.sometimes else state
            return _Step(size, (following, self._kept_facts(facts, following)), axis=leader)
        self._spend(1 + size // 20)
        values = self._state_values(state)
        is_needed = leader in following.needed or any(value.given for axis in axes for value in axis.values)
        by_value = self._rules_by_value(leader)
        alike: dict[tuple[int, ...], tuple[_Place, State] | None] = {}
        choices: list[tuple[_Place, State] | None] = []
        for index in range(size):
            numbers = by_value.get(index, ())
            is_plain = not is_needed and not any(self._is_nested(axis, index) for axis in axes)
            if is_plain and numbers in alike:
                choices.append(alike[numbers])
                continue
            choice = self._decided(leader, index, following, state, values)
            if is_plain:
                alike[numbers] = choice
            choices.append(choice)
        return _Step(choices=tuple(choices), axis=leader)

    def _decided(
        self, leader: str, index: int, following: _Place, state: State, values: Values
    ) -> tuple[_Place, State] | None:
        """Where a value of an axis leads; None where it is excluded or not possible."""
        axes = [self._axis[name] for name in self._members(leader)]
        facts = self._matched(state, leader, index)
        if facts is None or any(values[name] != need for axis in axes for name, need in axis.values[index].given):
            return None
        start = following
        for axis in reversed(axes):
            start = self._place(axis.values[index].text, start) if self._is_nested(axis, index) else start
        return start, self._kept_facts(facts | {("value", leader, index)}, start)

    def _rules_by_value(self, leader: str) -> Mapping[int, tuple[int, ...]]:
        """The rules that name each value of an axis, for the values that any rule names."""
        if leader not in self._named:
            named: dict[int, tuple[int, ...]] = {}
            for number in self._by_axis.get(leader, ()):
                for index in self._rules[number][leader]:
                    named[index] = (*named.get(index, ()), number)
            self._named[leader] = named
        return self._named[leader]

    def _is_nested(self, axis: Axis, index: int) -> bool:
        return bool(axis.values[index].text.anywhere & self.sometimes)

    def _state_values(self, state: State) -> Values:
        values = dict(self.given)
        for leader, index in _values_in(state):
            values |= dict.fromkeys(self._members(leader), index)
        return values

    def _num_ways(self, part: Fork | Picks | Switch | Wrapped | Line, values: Values) -> int:
        if isinstance(part, Line):
            return prod(self.num_ways(each, values) for each in part.parts)
        if isinstance(part, Fork):
            return sum(self.num_ways(option, values) for option in part.options)
        if isinstance(part, Switch):
            return self.num_ways(part.lines[values[part.axis]], values)
        if isinstance(part, Wrapped):
            return self.num_ways(part.around, values) * self.num_ways(part.inner, values)
        counts = [self.num_ways(option, values) for option in part.options]
        return sum(num_picks(counts, size) for size in range(part.low, part.high + 1))

    def _distribution(self) -> Counter[State]:
        """How many combinations end in each state."""
        found: dict[tuple[int, State], Counter[State]] = {}
        stack = [self._start]
        while stack:
            place, state = stack[-1]
            key = (id(place), state)
            if place is self._end:
                found[key] = Counter({state: 1})
            if key in found:
                stack.pop()
                continue
            step = self._steps[key]
            below = (
                Counter(each for each in step.choices if each) if step.choices else Counter({step.following: step.num})
            )
            missing = [each for each in below if each and (id(each[0]), each[1]) not in found]
            if missing:
                stack += missing
                continue
            total: Counter[State] = Counter()
            for each, times in below.items():
                assert each is not None
                ends = found[id(each[0]), each[1]]
                self._spend(len(ends))
                for state_at_end, number in ends.items():
                    total[state_at_end] += times * number
            found[key] = total
        return found[id(self._start[0]), self._start[1]]

    # Single combinations

    def _note(self, step: _Step, way: int, values: dict[str, int], trace: list[int]) -> None:
        if step.axis is not None:
            if step.axis in self._group:
                values.update(dict.fromkeys(self._group[step.axis], way))
            else:
                values[step.axis] = way
        elif step.is_traced:
            trace.append(way)

    def _rules_in(self, state: State) -> frozenset[int]:
        return frozenset(self._numbers[_rule_of(fact)] for fact in state if fact[0] == "all")

    def _draw_way(self, place: _Place, step: _Step, draws: Draws, values: Values) -> int:
        """One of the ways at a place, by their weights, or by what is behind each where it has none."""
        segment = place.segment
        if isinstance(segment, Run):
            way = 0
            for part in segment.parts:
                way = way * self.num_ways(part, values) + self._draw_part(part, draws, values)
            return way
        weights: Sequence[float] = ()
        if step.axis is not None:
            axes = [self._axis[name] for name in self._members(step.axis)]
            weights = [prod(axis.values[way].weight for axis in axes) for way in range(len(axes[0].values))]
            weights = weights if set(weights) != {1.0} else ()
        elif isinstance(segment, Fork):
            weights = segment.weights
        if not step.choices:
            return draws.weighted(weights) if weights else draws.below(step.num)
        if weights:
            counts = [self._known(each) for each in step.choices]
            return draws.weighted(
                [weight if count else 0.0 for weight, count in zip(weights, counts, strict=True)], counts
            )
        return bisect_right(step.ends, draws.below(step.count))

    def _draw_part(self, part: Part | Line, draws: Draws, values: Values) -> int:
        """The number of a filling of a part that is drawn by weights."""
        if isinstance(part, str | Slot | Word | Sampled):
            return 0
        if isinstance(part, Line | Wrapped):
            way = 0
            for each in part.parts if isinstance(part, Line) else (part.around, part.inner):
                way = way * self.num_ways(each, values) + self._draw_part(each, draws, values)
            return way
        if isinstance(part, Switch):
            return self._draw_part(part.lines[values[part.axis]], draws, values)
        counts = [self.num_ways(option, values) for option in part.options]
        if isinstance(part, Fork):
            option = draws.weighted(part.weights, counts) if part.weights else draws.weighted_exactly(counts)
            return sum(counts[:option]) + self._draw_part(part.options[option], draws, values)
        size = part.low + draws.below(part.high - part.low + 1)
        left = list(range(len(counts)))
        picked: list[tuple[int, int]] = []
        for _ in range(size):
            weights = [part.weights[place] if part.weights else 1.0 for place in left]
            place = left.pop(draws.weighted(weights))
            picked.append((place, self._draw_part(part.options[place], draws, values)))
        before = sum(num_picks(counts, smaller) for smaller in range(part.low, size))
        return before + number_of_picks(counts, picked)

    def drawn(self, part: Fork | Picks, draws: Draws, values: Values) -> int:
        """The number of a filling of a sampled choice, drawn by its weights."""
        return self._draw_part(part, draws, values)


def switches_of(part: Part) -> frozenset[str]:
    """The axes that the shape of a part depends on."""
    if isinstance(part, str | Slot | Word):
        return frozenset()
    if isinstance(part, Sampled):
        return switches_of(part.inner)
    if isinstance(part, Switch):
        return frozenset({part.axis}).union(*(line.switches for line in part.lines))
    lines = (part.around, part.inner) if isinstance(part, Wrapped) else part.options
    return frozenset[str]().union(*(line.switches for line in lines))


def make_mentions(part: Part) -> frozenset[str]:
    """The axes that a part mentions."""
    if isinstance(part, str | Word):
        return frozenset()
    if isinstance(part, Slot):
        return frozenset({part.axis})
    if isinstance(part, Sampled):
        return make_mentions(part.inner)
    if isinstance(part, Switch):
        return frozenset({part.axis}).union(*(line.anywhere for line in part.lines))
    lines = (part.around, part.inner) if isinstance(part, Wrapped) else part.options
    return frozenset[str]().union(*(line.anywhere for line in lines))


def has_weights(line: Line) -> bool:
    """Whether a choice anywhere in a line has weights, but for those in samplers, which draw by themselves."""
    seen: set[int] = set()
    stack = [line]
    while stack:
        for part in stack.pop().parts:
            below: Sequence[Line] = ()
            if isinstance(part, Fork | Picks):
                if part.weights and len(set(part.weights)) > 1:
                    return True
                below = part.options
            elif isinstance(part, Switch):
                below = part.lines
            elif isinstance(part, Wrapped):
                below = (part.around, part.inner)
            for each in below:
                if id(each) not in seen:
                    seen.add(id(each))
                    stack.append(each)
    return False


def _rule_of(fact: Fact) -> int:
    return cast("int", fact[1])


def _values_in(state: State) -> Iterator[tuple[str, int]]:
    """The axes whose values a state knows, with their indices."""
    for fact in state:
        if fact[0] == "value":
            yield cast("tuple[str, int]", fact[1:])
