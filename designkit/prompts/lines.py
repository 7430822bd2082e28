"""Lines: what texts of a prompt file become once every name in them is looked up, ready to be counted and filled in.

A template says `${look}`, `__colours__`, `{product}`; a line holds what these mean. Variables that are set anew at
each use, and the values of wildcards, become forks; what is chosen once becomes an axis; a wildcard whose name
depends on an axis becomes a switch. Lines are shared, so that a value that is used a thousand times costs as
little as one that is used once; each knows the axes that it mentions and how long it can become.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

from designkit.prompts.picks import TooEntangled, num_picks

MAX_AXIS_VALUES = 50_000
"""The most values that an axis, a variable that is chosen once, or the phrase of a count may have."""

MAX_LENGTH = 100_000
"""The most characters that wildcards and variables may add to one text."""

MAX_LISTED_LENGTH = 5_000_000
"""The most characters that texts which are listed one by one may have together."""

_MAX_COMPARED = 10_000
_WRAP_MARK = re.compile(r"[\u2026\u1801\u22ee-\u22f1\ufe19]+|\.{3,}")

Given = frozenset[tuple[str, int]]
"""What must have been chosen for a value to be possible: indices of values by axis."""

NOTHING = frozenset[str]()


class TooMany(Exception):
    """More than can be listed one by one."""


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """Stands for the value of an axis."""

    axis: str


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """Stands for a word of the brand."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Fork:
    """One of its options; `weights` is empty where none are written, `label` what records call the choice."""

    options: tuple[Line, ...]
    weights: tuple[float, ...] = ()
    label: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Picks:
    """`low` to `high` of its options in any order, none twice, with a separator between them."""

    options: tuple[Line, ...]
    weights: tuple[float, ...]
    low: int
    high: int
    separator: str
    label: str | None = None

    def join(self, texts: Sequence[str]) -> str:
        """The texts of the options taken, without those that are empty."""
        return self.separator.join(text for text in texts if text.strip())


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """One filling of a choice that multiplies nothing: drawn (`~`) or taken in turn (`@`)."""

    inner: Fork | Picks
    mark: str


@dataclass(frozen=True, slots=True, eq=False)
class Switch:
    """A line for each value of an axis."""

    axis: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Wrapped:
    """A text around another, which takes the place of its first `...`."""

    around: Line
    inner: Line


Part = str | Slot | Word | Fork | Picks | Sampled | Switch | Wrapped


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Parts that follow each other.

    `anywhere` are the axes that it mentions, `outside` those that every filling reaches, `switches` those that its
    shape depends on; `length` bounds the characters and parts of a filling; `constant` is its text where it has
    only one.
    """

    parts: tuple[Part, ...]
    anywhere: frozenset[str]
    outside: frozenset[str]
    switches: frozenset[str]
    length: int
    constant: str | None


@dataclass(frozen=True, slots=True)
class AxisValue:
    """One value of an axis: what reports call it, what was written, and what stands in the prompt.

    `weight` counts in random samples. A value is possible only where everything in `given` was chosen.
    """

    key: str
    written: str
    text: Line
    weight: float = 1.0
    given: Given = frozenset()


@dataclass(frozen=True, slots=True)
class Axis:
    """What varies under one name; `is_column` marks a table's column, which has one value in each row."""

    name: str
    values: tuple[AxisValue, ...]
    is_column: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """The texts of an entry as lines, by their keys; shared by all entries that read alike.

    `labels` are what its choices are called, in order of appearance.
    """

    lines: Mapping[str, Line]
    labels: tuple[str, ...] = ()
    has_samplers: bool = False


@dataclass(frozen=True, slots=True)
class Filling:
    """One text of a line, in which only axes and words of the brand are open."""

    parts: tuple[Part, ...]
    given: Given = frozenset()
    weight: float = 1.0


@dataclass(slots=True)
class _Sum:
    """The mentions of a row of parts."""

    anywhere: set[str] = field(default_factory=set[str])
    outside: set[str] = field(default_factory=set[str])
    switches: set[str] = field(default_factory=set[str])
    length: int = 0

    def add(self, line: Line) -> None:
        self.anywhere |= line.anywhere
        self.outside |= line.outside
        self.switches |= line.switches
        self.length += line.length


def make_line(parts: Iterable[Part]) -> Line:
    """A line of these parts, neighbouring texts joined."""
    joined: list[Part] = []
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        if texts:
            joined.append("".join(texts))
            texts = []
        joined.append(part)
    joined += ["".join(texts)] if any(texts) else []
    mentions = _Sum()
    for part in joined:
        _add_mentions(part, mentions)
    sole = joined[0] if joined else ""
    return Line(
        tuple(joined),
        frozenset(mentions.anywhere) or NOTHING,
        frozenset(mentions.outside) or NOTHING,
        frozenset(mentions.switches) or NOTHING,
        mentions.length,
        sole if len(joined) < 2 and isinstance(sole, str) else None,
    )


def _add_mentions(part: Part, total: _Sum) -> None:
    if isinstance(part, str):
        total.length += len(part)
        return
    total.length += 1
    if isinstance(part, Slot):
        total.anywhere.add(part.axis)
        total.outside.add(part.axis)
    elif isinstance(part, Wrapped):
        total.add(part.around)
        total.add(part.inner)
    elif isinstance(part, Fork):
        for option in part.options:
            total.anywhere |= option.anywhere
            total.switches |= option.switches
        if len(part.options) == 1:
            total.outside |= part.options[0].outside
        total.length += max((option.length for option in part.options), default=0)
    elif isinstance(part, Switch):
        total.anywhere.add(part.axis)
        total.outside.add(part.axis)
        total.switches.add(part.axis)
        for line in part.lines:
            total.anywhere |= line.anywhere
            total.switches |= line.switches
        total.length += max((line.length for line in part.lines), default=0)
    elif isinstance(part, Picks | Sampled):
        # Which of them is taken is not known before everything else is, so that all their axes are in play.
        inner = part.inner if isinstance(part, Sampled) else part
        below = make_line([inner]) if isinstance(part, Sampled) else None
        for option in inner.options:
            total.anywhere |= option.anywhere
            total.outside |= option.anywhere
            total.switches |= option.switches
        if below is not None:
            total.length += below.length
        elif isinstance(inner, Picks):
            longest = sorted((option.length for option in inner.options), reverse=True)[: inner.high]
            total.length += sum(longest) + len(inner.separator) * inner.high


EMPTY = make_line(())


def make_picks(
    options: Sequence[Line],
    weights: Sequence[float],
    low: int,
    high: int | None,
    separator: str,
    label: str | None,
) -> Part:
    """A count over options, such that no two picks read alike; raises TooMany."""
    texts = _texts_of(options)
    if texts is not None:
        flat = [text for each in texts for text in each]
        if len(set(flat)) < len(flat):
            if all(len(each) == 1 for each in texts):
                kept = {text: place for place, text in reversed(list(enumerate(flat)))}
                places = sorted(kept.values())
                options = [options[place] for place in places]
                weights = [weights[place] for place in places] if weights else ()
            else:
                return _listed(options, low, high, separator, label)
    num_options = len(options)
    most = num_options if high is None else min(high, num_options)
    return Picks(tuple(options), tuple(weights), min(low, most), most, separator, label)


def _texts_of(options: Sequence[Line]) -> list[list[object]] | None:
    """What each option can read, axes by their names; None where that is too much to compare."""
    texts: list[list[object]] = []
    left = _MAX_COMPARED
    try:
        for option in options:
            found = list(dict.fromkeys(map(_readable, fillings(option, left))))
            left -= len(found)
            texts.append(list(found))
    except TooMany:
        return None
    return texts


def _readable(filling: Filling) -> object:
    return tuple(
        part if isinstance(part, str) else ("slot", part.axis) if isinstance(part, Slot) else id(part)
        for part in filling.parts
    )


def _listed(options: Sequence[Line], low: int, high: int | None, separator: str, label: str | None) -> Part:
    """Every result of a count whose options can read alike, each once."""
    most = len(options) if high is None else min(high, len(options))
    picks = Picks(tuple(options), (), min(low, most), most, separator, label)
    results: dict[object, Line] = {}
    for filling in fillings(make_line([picks]), MAX_AXIS_VALUES, distinct=True):
        results.setdefault(_readable(filling), make_line(filling.parts))
    return Fork(tuple(results.values()) or (EMPTY,), (), label)


def fillings(line: Line, limit: int, *, distinct: bool = False) -> list[Filling]:
    """Every text that a line makes, the leftmost choice varying slowest; raises TooMany beyond `limit`.

    With `distinct`, counts leave out results in which two picks read alike.
    """
    count = _num_fillings(line, {}, limit)
    if count > limit or count * line.length > MAX_LISTED_LENGTH:
        raise TooMany
    found = [Filling(())]
    for part in line.parts:
        if isinstance(part, str | Slot | Word | Sampled):
            found = [Filling((*each.parts, part), each.given, each.weight) for each in found]
            continue
        endings = list(_endings(part, limit, distinct))
        if len(found) * len(endings) > limit:
            raise TooMany
        found = [joined for before in found for after in endings if (joined := _joined(before, after)) is not None]
    if len(found) > limit:
        raise TooMany
    return found


def _num_fillings(line: Line, known: dict[int, int], limit: int) -> int:
    """How many texts a line makes at most, exact up to a limit."""
    if id(line) in known:
        return known[id(line)]
    total = 1
    for part in line.parts:
        if isinstance(part, Fork):
            total *= sum(_num_fillings(option, known, limit) for option in part.options)
        elif isinstance(part, Switch):
            total *= sum(_num_fillings(each, known, limit) for each in part.lines)
        elif isinstance(part, Wrapped):
            total *= _num_fillings(part.around, known, limit) * _num_fillings(part.inner, known, limit)
        elif isinstance(part, Picks):
            counts = [_num_fillings(option, known, limit) for option in part.options]
            try:
                total *= sum(num_picks(counts, size) for size in range(part.low, part.high + 1))
            except TooEntangled:
                raise TooMany from None
        if total > limit:
            break
    known[id(line)] = min(total, limit + 1)
    return known[id(line)]


def _joined(before: Filling, after: Filling) -> Filling | None:
    """Two texts in a row; None where they need different values of an axis."""
    if not before.given and not after.given:
        return Filling((*before.parts, *after.parts), before.given, before.weight * after.weight)
    given = before.given | after.given
    if len({axis for axis, _ in given}) < len(given):
        return None
    return Filling((*before.parts, *after.parts), given, before.weight * after.weight)


def _endings(part: Fork | Picks | Switch | Wrapped, limit: int, distinct: bool) -> Iterator[Filling]:
    for number, filling in enumerate(_each_ending(part, limit, distinct)):
        if number >= limit:
            raise TooMany
        yield filling


def _each_ending(part: Fork | Picks | Switch | Wrapped, limit: int, distinct: bool) -> Iterator[Filling]:
    if isinstance(part, Fork):
        for place, option in enumerate(part.options):
            weight = part.weights[place] if part.weights else 1.0
            for filling in fillings(option, limit, distinct=distinct):
                yield Filling(filling.parts, filling.given, filling.weight * weight)
    elif isinstance(part, Switch):
        for place, line in enumerate(part.lines):
            for filling in fillings(line, limit, distinct=distinct):
                joined = _joined(Filling((), frozenset({(part.axis, place)})), filling)
                if joined is not None:
                    yield joined
    elif isinstance(part, Wrapped):
        inner = fillings(part.inner, limit, distinct=distinct)
        for around in fillings(part.around, limit, distinct=distinct):
            before, after = split_wrapper(around.parts)
            for filling in inner:
                joined = _joined(Filling((*before, *filling.parts, *after), around.given, around.weight), filling)
                if joined is not None:
                    yield Filling((*before, *filling.parts, *after), joined.given, joined.weight)
    else:
        num_tried = 0
        for size in range(part.low, part.high + 1):
            for picked in permutations(part.options, size):
                for results in _products([fillings(option, limit, distinct=distinct) for option in picked]):
                    num_tried += 1
                    if num_tried > 2 * limit:
                        raise TooMany
                    if distinct and len(set(map(_readable, results))) < len(results):
                        continue
                    filled = [each for each in results if each.parts]
                    total: Filling | None = Filling(())
                    for place, each in enumerate(filled):
                        between = Filling((part.separator,) if place else ())
                        total = _joined(total, between) if total else None
                        total = _joined(total, each) if total else None
                    if total is not None:
                        yield total


def _products(each: Sequence[Sequence[Filling]]) -> Iterator[tuple[Filling, ...]]:
    if not each:
        yield ()
        return
    for first in each[0]:
        for rest in _products(each[1:]):
            yield (first, *rest)


def split_wrapper(parts: Sequence[Part]) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """The parts before and behind the first `...`; without one everything is before."""
    for place, part in enumerate(parts):
        mark = _WRAP_MARK.search(part) if isinstance(part, str) else None
        if mark is not None and isinstance(part, str):
            return (*parts[:place], part[: mark.start()]), (part[mark.end() :], *parts[place + 1 :])
    return tuple(parts), ()


def split_text(text: str) -> tuple[str, str]:
    """A wrapper's text before and behind its first `...`; without one all of it is before."""
    mark = _WRAP_MARK.search(text)
    return (text, "") if mark is None else (text[: mark.start()], text[mark.end() :])


def holds_samplers(lines: Iterable[Line]) -> bool:
    """Whether a sampler stands anywhere in the lines."""
    seen: set[int] = set()
    stack = list(lines)
    while stack:
        for part in stack.pop().parts:
            below: Sequence[Line] = ()
            if isinstance(part, Sampled):
                return True
            if isinstance(part, Fork | Picks):
                below = part.options
            elif isinstance(part, Switch):
                below = part.lines
            elif isinstance(part, Wrapped):
                below = (part.around, part.inner)
            for line in below:
                if id(line) not in seen and line.constant is None:
                    seen.add(id(line))
                    stack.append(line)
    return False


def find_cycle(mentions: Mapping[str, frozenset[str]]) -> tuple[str, ...] | None:
    """Names that lead back to the first of them, if any do."""
    done: set[str] = set()
    for start in mentions:
        path: list[str] = []
        stack: list[tuple[str, Iterator[str]]] = []
        if start not in done:
            stack.append((start, iter(sorted(mentions[start]))))
            path.append(start)
        while stack:
            name, below = stack[-1]
            following = next(below, None)
            if following is None:
                stack.pop()
                path.pop()
                done.add(name)
            elif following in path:
                return (*path[path.index(following) :], following)
            elif following not in done and following in mentions:
                stack.append((following, iter(sorted(mentions[following]))))
                path.append(following)
    return None
