"""From prompt files to variants: pure, ordered, lazy, and countable without expanding.

Every variant has a position and is computed from that position alone, so a sample out of a million million
costs no more than its own size.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from designkit.errors import InputRefused, Problem
from designkit.prompts.combinations import Combination, Fork, Line, Slot, Space, TooEntangled
from designkit.prompts.entries import AxisValue, Entry
from designkit.prompts.file import PromptFile
from designkit.prompts.sampling import sample_positions, sample_size
from designkit.prompts.template import Choice, Phrase, Placeholder, Text


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One filled-in prompt; `choices` holds the key of the value taken on each axis.

    A choice `{a|b}` is an axis without a name: its key is its number in order of appearance, from "1".
    `entry` is the index of the file's entry that it was made from.
    """

    prompt: str
    negative: str
    choices: Mapping[str, str]
    entry: int = 0


def count_variants(file: PromptFile) -> int:
    """How many variants the file asks for, exactly, after `exclude` and `sample`."""
    return sample_size(Expansion(file).total, file.sample)


def expand(file: PromptFile, words: Mapping[str, str]) -> Iterator[Variant]:
    """The variants that the file asks for, one by one; `words` are those of its brand (`brand.style`, ...)."""
    return Expansion(file).sample(words)


class Expansion:
    """All variants of a file: entry after entry, and within an entry as `combinations` orders them.

    `total` is their number before sampling, `counts` that of each entry. Raises InputRefused where they
    cannot be counted.
    """

    def __init__(self, file: PromptFile) -> None:
        self.file = file
        self._spaces: dict[object, Space] = {}
        self.counts = tuple(1 if _is_plain(entry) else self._space(entry).count for entry in file.entries)
        self._ends = tuple(accumulate(self.counts))
        self.total = self._ends[-1]

    def sample(self, words: Mapping[str, str]) -> Iterator[Variant]:
        """The variants that the file's `sample` takes, one by one."""
        for position in sample_positions(self.total, self.file.sample):
            yield self.variant(position, words)

    def entry_at(self, position: int) -> int:
        """The index of the entry that the variant at a position belongs to."""
        return bisect_right(self._ends, position)

    def variant(self, position: int, words: Mapping[str, str]) -> Variant:
        """The variant at a position from 0 to `total` - 1."""
        index = self.entry_at(position)
        entry = self.file.entries[index]
        if _is_plain(entry):
            filling = _Filling(entry, Combination({}, {}), words)
            prompt, negative = filling.phrase(entry.prompt.tree), filling.phrase(entry.negative.tree)
        else:
            space = self._space(entry)
            filling = _Filling(entry, space[position - (self._ends[index - 1] if index else 0)], words)
            prompt, negative = filling.line(space.prompt), filling.line(space.negative)
        return Variant(prompt=prompt.strip(), negative=negative.strip(), choices=filling.choices(), entry=index)

    def _space(self, entry: Entry) -> Space:
        """The combinations of an entry; rows of a table that share a prompt and what varies share them too."""
        shape = tuple((axis.name, len(axis.values)) for axis in entry.axes)
        key = (entry.prompt.source, entry.negative.source, shape, id(entry) if self.file.exclude else None)
        if key not in self._spaces:
            try:
                self._spaces[key] = Space(entry, self.file.exclude)
            except TooEntangled:
                raise InputRefused(self._entangled(entry)) from None
        return self._spaces[key]

    def _entangled(self, entry: Entry) -> Problem:
        message = "its combinations overlap in too many ways to be counted"
        if self.file.exclude:
            return self.file.problem("exclude", message, key="exclude", fix="exclude fewer of them, or use two files")
        fix = "put fewer axes inside {a|b} choices"
        return Problem(code="choices", message=message, file=self.file.source, line=entry.line, key="prompt", fix=fix)


class _Filling:
    """Fills the texts of an entry with one combination of its values."""

    def __init__(self, entry: Entry, combination: Combination, words: Mapping[str, str]) -> None:
        self._combination = combination
        self._words = words
        self._axes = entry.axes
        self._values: dict[str, AxisValue] = {
            axis.name: axis.values[combination.values.get(axis.name, 0)]
            for axis in entry.axes
            if axis.name in combination.values or axis.is_column
        }
        self._options: dict[int, str] = {}

    def line(self, line: Line) -> str:
        """A text with its slots filled and its options taken."""
        texts: list[str] = []
        for part in line.parts:
            if isinstance(part, str):
                texts.append(part)
            elif isinstance(part, Slot):
                texts.append(self._slot(part.name))
            else:
                texts.append(self._fork(part))
        return "".join(texts)

    def phrase(self, phrase: Phrase) -> str:
        """A text without choices with its placeholders filled."""
        return "".join(
            part.text if isinstance(part, Text) else self._slot(part.name)
            for part in phrase.parts
            if isinstance(part, Text | Placeholder)
        )

    def choices(self) -> dict[str, str]:
        """The keys of the values taken: axes as written, then the choices in order of appearance."""
        named = {axis.name: self._values[axis.name].key for axis in self._axes if axis.name in self._values}
        return named | {str(number): self._options[number].strip() for number in sorted(self._options)}

    def _slot(self, name: str) -> str:
        value = self._values.get(name)
        return self._words[name] if value is None else self.phrase(value.text)

    def _fork(self, fork: Fork) -> str:
        text = self.line(fork.options[self._combination.options[fork.number]])
        self._options[fork.number] = text
        return text


def _is_plain(entry: Entry) -> bool:
    """Whether an entry is a single variant: text and words of the brand, without axes or choices."""
    return not entry.axes and not any(
        isinstance(part, Choice) for tree in (entry.prompt.tree, entry.negative.tree) for part in tree.parts
    )
