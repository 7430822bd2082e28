# pyright: reportPrivateUsage=false
"""The variants of a file as rows of levels: which factor each decision is, and which variant a row stands for.

Factors are the entry (where there are several), every axis, and every choice `{a|b}`: of those within each other that
nothing else depends on, the outermost, with each of its fillings as a level. Axes of the same name and values are one
factor in all entries. This file reads the places of a `Space`, which `combinations` describes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, product

from designkit.prompts.combinations import Decide, Fork, Run, Space, Switch, _Place, switches_of
from designkit.prompts.factors import UNUSED, Factors, Row, TooEntangled
from designkit.prompts.lines import Part, Slot, Word

MAX_LEVELS = 20_000
"""A factor with more levels than this is not for samples that count levels."""

_MAX_SWITCHED = 2_000

_Key = tuple[object, ...]


class Population:
    """All variants of a file's entries, in their order, as rows.

    `spaces` holds the combinations of each entry, None for an entry that is a single variant. Raises TooEntangled
    where choices have too many fillings to be levels.
    """

    def __init__(self, spaces: Sequence[Space | None]) -> None:
        self._spaces = spaces
        self._ends = tuple(accumulate(1 if space is None else space.count for space in spaces))
        self._sizes: list[int] = []
        self._reached: list[set[tuple[int, int]] | None] = []
        self._number: dict[_Key, int] = {}
        self._signatures: dict[int, dict[str, _Key]] = {}
        self._rules: dict[frozenset[tuple[int, frozenset[int]]], None] = {}
        self._seen: set[tuple[int, tuple[int, int] | None]] = set()
        if len(spaces) > 1:
            self._factor(("entry",), len(spaces), None)
        for entry, space in enumerate(spaces):
            if space is not None:
                condition = (0, entry) if len(spaces) > 1 else None
                self._visit(space, space._start[0], space._end, condition)
                self._add_rules(space)
        everywhere = {(0, entry) for entry in range(len(spaces))}
        self.total = self._ends[-1]
        self.factors = Factors(
            sizes=tuple(self._sizes),
            reached_by=tuple(
                None if reached is None or (len(spaces) > 1 and reached >= everywhere) else frozenset(reached)
                for reached in self._reached
            ),
            rules=tuple(dict(rule) for rule in self._rules),
        )

    def row_at(self, position: int) -> Row:
        """The levels of the variant at a position."""
        entry = bisect_right(self._ends, position)
        row = [UNUSED] * len(self.factors.sizes)
        if len(self._spaces) > 1:
            row[0] = entry
        space = self._spaces[entry]
        if space is not None:
            self._walk(space, position - (self._ends[entry - 1] if entry else 0), row)
        return tuple(row)

    def position_of(self, row: Row) -> int:
        """The position of the variant that has these levels."""
        entry = row[0] if len(self._spaces) > 1 else 0
        space = self._spaces[entry]
        return (self._ends[entry - 1] if entry else 0) + (0 if space is None else self._index(space, row))

    # The factors

    def _factor(self, key: _Key, size: int, condition: tuple[int, int] | None) -> int:
        """The number of a factor, which one more condition brings into play (None: it always is)."""
        if size > MAX_LEVELS:
            raise TooEntangled
        if key not in self._number:
            self._number[key] = len(self._sizes)
            self._sizes.append(size)
            self._reached.append(set())
        number = self._number[key]
        reached = self._reached[number]
        if condition is None:
            self._reached[number] = None
        elif reached is not None:
            reached.add(condition)
        return number

    def _axis_key(self, space: Space, leader: str) -> _Key:
        known = self._signatures.setdefault(id(space), {})
        if leader not in known:
            known[leader] = ("axis", leader, tuple(value.key for value in space._axis[leader].values))
        return known[leader]

    def _visit(self, space: Space, place: _Place, stop: _Place, condition: tuple[int, int] | None) -> None:
        """Add the decisions from one place to another, which a condition brings into play."""
        while place is not stop and (id(place), condition) not in self._seen:
            self._seen.add((id(place), condition))
            segment, following = place.segment, place.following
            assert following is not None, "only the end has nothing behind it"
            if isinstance(segment, Decide):
                axes = [space._axis[name] for name in space._members(segment.axis)]
                factor = self._factor(self._axis_key(space, segment.axis), len(axes[0].values), condition)
                for index in range(len(axes[0].values)):
                    start = following
                    for axis in reversed(axes):
                        if space._is_nested(axis, index):
                            start = space._place(axis.values[index].text, start)
                    self._visit(space, start, following, (factor, index))
            elif isinstance(segment, Fork):
                factor = self._factor(("fork", id(place)), len(segment.options), condition)
                for index, option in enumerate(segment.options):
                    self._visit(space, space._place(option, following), following, (factor, index))
            elif isinstance(segment, Switch):
                switch = self._number[self._axis_key(space, space._leader(segment.axis))]
                for index, line in enumerate(segment.lines):
                    self._visit(space, space._place(line, following), following, (switch, index))
            elif isinstance(segment, Run) and not segment.is_fixed:
                for number, part in enumerate(segment.parts):
                    if not isinstance(part, str | Slot | Word):
                        self._add_part(space, ("part", id(place), number), part, condition)
            place = following

    def _add_part(self, space: Space, key: _Key, part: Part, condition: tuple[int, int] | None) -> None:
        """A choice whose fillings are its levels; where their number depends on axes, rules tell how many there are."""
        leaders = sorted({space._leader(name) for name in switches_of(part)} - set(space.given))
        ranges = [range(len(space._axis[leader].values)) for leader in leaders]
        nums: dict[tuple[int, ...], int] = {}
        for indices in product(*ranges):
            if len(nums) >= _MAX_SWITCHED:
                raise TooEntangled
            values = dict(space.given)
            for leader, index in zip(leaders, indices, strict=True):
                values |= dict.fromkeys(space._members(leader), index)
            nums[indices] = space.num_ways(part, values)
        size = max(nums.values())
        if size == 1:
            return
        factor = self._factor(key, size, condition)
        for indices, num in nums.items():
            if num < size:
                rule = {
                    self._number[self._axis_key(space, leader)]: frozenset({index})
                    for leader, index in zip(leaders, indices, strict=True)
                }
                self._rules[frozenset({**rule, factor: frozenset(range(num, size))}.items())] = None

    def _add_rules(self, space: Space) -> None:
        """What the file excludes, and values that need others."""
        for rule in space._rules[: space._num_exclusions]:
            levels = {self._number.get(self._axis_key(space, leader)): indices for leader, indices in rule.items()}
            if None not in levels and all(levels.values()):
                self._rules[frozenset(levels.items())] = None  # pyright: ignore[reportArgumentType]
        for name in space.used:
            for index, value in enumerate(space._axis[name].values):
                for other, need in value.given:
                    ours, theirs = (self._axis_key(space, space._leader(each)) for each in (name, other))
                    if ours in self._number and theirs in self._number:
                        others = frozenset(range(self._sizes[self._number[theirs]])) - {need}
                        rule = {self._number[ours]: frozenset({index}), self._number[theirs]: others}
                        self._rules[frozenset(rule.items())] = None

    # Rows and numbers

    def _walk(self, space: Space, index: int, row: list[int]) -> None:
        """Note the levels of the combination with a number."""
        values: dict[str, int] = dict(space.given)
        place, state = space._start
        while place is not space._end:
            step = space._steps.get((id(place), state)) or space._solved(place, state)
            if step.choices:
                way = bisect_right(step.ends, index)
                index -= step.ends[way - 1] if way else 0
                following = step.choices[way]
            else:
                way, index = divmod(index, step.each)
                following = step.following
            segment = place.segment
            if step.axis is not None:
                row[self._number[self._axis_key(space, step.axis)]] = way
            elif isinstance(segment, Fork):
                row[self._number["fork", id(place)]] = way
            elif isinstance(segment, Run) and not segment.is_fixed:
                for number, num in reversed(list(self._nums(space, segment, values))):
                    way, level = divmod(way, num)
                    factor = self._number.get(("part", id(place), number))
                    if factor is not None:
                        row[factor] = level
            space._note(step, way, values, [])
            assert following is not None, "an excluded combination has no number"
            place, state = following

    def _index(self, space: Space, row: Row) -> int:
        """The number of the combination with these levels."""
        values: dict[str, int] = dict(space.given)
        place, state = space._start
        index = 0
        while place is not space._end:
            step = space._steps.get((id(place), state)) or space._solved(place, state)
            segment = place.segment
            way = 0
            if step.axis is not None:
                way = row[self._number[self._axis_key(space, step.axis)]]
            elif isinstance(segment, Fork):
                way = row[self._number["fork", id(place)]]
            elif isinstance(segment, Run) and not segment.is_fixed:
                for number, num in self._nums(space, segment, values):
                    factor = self._number.get(("part", id(place), number))
                    way = way * num + (0 if factor is None else row[factor])
            if step.choices:
                index += step.ends[way - 1] if way else 0
                following = step.choices[way]
            else:
                index += way * step.each
                following = step.following
            space._note(step, way, values, [])
            assert following is not None, "a row that a rule forbids has no number"
            place, state = following
        return index

    @staticmethod
    def _nums(space: Space, run: Run, values: Mapping[str, int]) -> Iterator[tuple[int, int]]:
        """How many fillings each part of a run has that has any."""
        for number, part in enumerate(run.parts):
            if not isinstance(part, str | Slot | Word):
                yield number, space.num_ways(part, values)
