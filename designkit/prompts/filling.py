"""Filling in: the texts and the recorded choices of one combination."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from designkit.prompts.combinations import Combination, Decide, Run, Space
from designkit.prompts.draws import Draws
from designkit.prompts.lines import (
    Axis,
    AxisValue,
    Fork,
    Line,
    Part,
    Picks,
    Sampled,
    Slot,
    Switch,
    Word,
    Wrapped,
    split_text,
)
from designkit.prompts.picks import find_picks, num_picks


class Filling:
    """Fills the lines of a space with one of its combinations, in the order in which the space has them.

    `axes` are those of the entry, whose values may differ from those of the space where rows of a table share it.
    `number` is that of the combination, which `@` counts by; `key` decides what `~` draws.
    """

    def __init__(
        self,
        space: Space,
        axes: Sequence[Axis],
        combination: Combination,
        words: Mapping[str, str],
        *,
        number: int = 0,
        key: str | None = None,
    ) -> None:
        self._space = space
        self._axes = axes
        self._values = combination.values
        self._trace: Iterator[int] = iter(combination.trace)
        self._words = words
        self._number = number
        self._key = key
        self._num_sampled = 0
        self._taken: dict[str, AxisValue] = {
            axis.name: axis.values[combination.values.get(axis.name, 0)]
            for axis in axes
            if axis.name in combination.values or axis.is_column
        }
        self._texts: dict[str, str] = {}
        self._labels: dict[str, str] = {}

    def line(self, line: Line) -> str:
        """The next text."""
        constant = line.constant
        if constant is not None:
            return constant
        texts: list[str] = []
        for segment in self._space.segments(line):
            if isinstance(segment, Run):
                texts.append(self._run(segment.parts, 0 if segment.is_fixed else next(self._trace)))
            elif isinstance(segment, Fork):
                text = self.line(segment.options[next(self._trace)])
                self._record(segment.label, text)
                texts.append(text)
            elif isinstance(segment, Switch):
                texts.append(self.line(segment.lines[self._values[segment.axis]]))
            elif isinstance(segment, Wrapped):
                texts.append(_wrapped(self.line(segment.around), self.line(segment.inner)))
            else:
                assert isinstance(segment, Decide), "every other segment has text"
        return "".join(texts)

    def choices(self, order: Sequence[str]) -> dict[str, str]:
        """The keys of the values taken on axes, and the texts of other choices in this order of their labels."""
        named = {axis.name: self._taken[axis.name].key for axis in self._axes if axis.name in self._taken}
        return named | {label: self._labels[label] for label in order if label in self._labels}

    def _record(self, label: str | None, text: str) -> None:
        if label is not None:
            self._labels[label] = text.strip()

    def _run(self, parts: Sequence[Part], number: int) -> str:
        """The text of parts in a row, of all their fillings the one with a number; the last varies fastest."""
        if len(parts) == 1:
            return self._part(parts[0], number)
        texts: list[str] = []
        for part in reversed(parts):
            if isinstance(part, str):
                texts.append(part)
            elif isinstance(part, Slot):
                texts.append(self._slot(part.axis))
            elif isinstance(part, Fork) and (fixed := self._space.fixed_texts(part)) is not None:
                number, own = divmod(number, len(fixed))
                self._record(part.label, fixed[own])
                texts.append(fixed[own])
            else:
                number, own = divmod(number, self._space.num_ways(part, self._values))
                texts.append(self._part(part, own))
        texts.reverse()
        return "".join(texts)

    def _part(self, part: Part, number: int) -> str:
        if isinstance(part, str):
            return part
        if isinstance(part, Slot):
            return self._slot(part.axis)
        if isinstance(part, Word):
            return self._words[part.name]
        if isinstance(part, Sampled):
            return self._sampled(part)
        if isinstance(part, Switch):
            return self._run(part.lines[self._values[part.axis]].parts, number)
        if isinstance(part, Wrapped):
            around, inner = divmod(number, self._space.num_ways(part.inner, self._values))
            return _wrapped(self._run(part.around.parts, around), self._run(part.inner.parts, inner))
        text = self._fork(part, number) if isinstance(part, Fork) else self._picks(part, number)
        self._record(part.label, text)
        return text

    def _fork(self, fork: Fork, number: int) -> str:
        for option in fork.options:
            num = self._space.num_ways(option, self._values)
            if number < num:
                return self._run(option.parts, number)
            number -= num
        raise AssertionError("a number beyond the fillings of a choice")

    def _picks(self, picks: Picks, number: int) -> str:
        counts = [self._space.num_ways(option, self._values) for option in picks.options]
        for size in range(picks.low, picks.high + 1):
            num = num_picks(counts, size)
            if number < num:
                rows = find_picks(counts, size, number)
                return picks.join([self._run(picks.options[place].parts, filling) for place, filling in rows])
            number -= num
        raise AssertionError("a number beyond the results of a count")

    def _slot(self, name: str) -> str:
        text = self._texts.get(name)
        if text is None:
            value = self._taken.get(name)
            if value is None:  # in the name of a file, which puts no axis in play
                return ""
            line = value.text
            text = self._texts[name] = line.constant if line.constant is not None else self._run(line.parts, 0)
        return text

    def _sampled(self, part: Sampled) -> str:
        """What a sampler takes here; nothing as long as the other choices are not known."""
        self._num_sampled += 1
        if self._key is None:
            return ""
        inner = part.inner
        num = self._space.num_ways(inner, self._values)
        number = (
            self._number % num
            if part.mark == "@"
            else self._space.drawn(inner, Draws(f"{self._key} {self._num_sampled}"), self._values)
        )
        return self._part(inner, number)


def _wrapped(around: str, inner: str) -> str:
    before, after = split_text(around)
    return f"{before}{inner}{after}"
