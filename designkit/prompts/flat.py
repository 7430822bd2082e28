# pyright: reportPrivateUsage=false
"""Filling in entries in which nothing depends on anything: a position is a number whose digits are the values taken.

Most prompt files are like that, and with the texts of every value at hand a variant costs a few microseconds. What
comes out is the same as that of `filling`, which knows all of the grammar; where only that will do, there is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from designkit.prompts.combinations import Decide, Run, Space
from designkit.prompts.entries import Entry
from designkit.prompts.lines import Fork, Line, Slot, Word

_Texts = tuple[int, tuple[str, ...]]
"""The place of a digit, counted from the last, and what stands for each of its values."""


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """An entry ready to be filled in; `sizes` are those of the digits, the last first."""

    sizes: tuple[int, ...]
    prompt: str
    prompt_texts: tuple[_Texts, ...]
    negative: str
    negative_texts: tuple[_Texts, ...]
    choices: tuple[tuple[str, int, tuple[str, ...]], ...]

    def fill(self, number: int) -> tuple[str, str, dict[str, str]]:
        """Prompt, negative prompt and choices of the combination with a number."""
        digits: list[int] = []
        for size in self.sizes:
            number, digit = divmod(number, size)
            digits.append(digit)
        prompt = self.prompt % tuple([texts[digits[place]] for place, texts in self.prompt_texts])
        negative = self.negative
        if self.negative_texts:
            negative = negative % tuple([texts[digits[place]] for place, texts in self.negative_texts])
        return prompt.strip(), negative.strip(), {name: keys[digits[place]] for name, place, keys in self.choices}


def compile_flat(entry: Entry, space: Space, words: Mapping[str, str]) -> Flat | None:
    """An entry with the texts of all its values; None where some depend on others, or more than prompts vary."""
    lines, labels = entry.texts.lines, entry.texts.labels
    if entry.texts.has_samplers or entry.varies_settings or entry.has_copy or "name" in lines:
        return None
    if space._rules or space._group or space.given or len(space.lines) != 2 or len(set(labels)) < len(labels):
        return None
    axes = {axis.name: axis for axis in entry.axes}
    sizes: list[int] = []
    digit_of: dict[object, int] = {}
    place, state = space._start
    while place is not space._end:
        step = space._steps.get((id(place), state)) or space._solved(place, state)
        if step.choices or step.following is None or not isinstance(place.segment, Decide | Run):
            return None
        if isinstance(place.segment, Decide):
            if step.axis is not None:
                digit_of[step.axis] = len(sizes)
                sizes.append(step.num)
        else:
            for part in place.segment.parts:
                if isinstance(part, Fork):
                    if id(part) in digit_of or any(option.constant is None for option in part.options):
                        return None
                    digit_of[id(part)] = len(sizes)
                    sizes.append(len(part.options))
                elif not isinstance(part, str | Slot | Word):
                    return None
        place, state = step.following
    last = len(sizes) - 1
    filled: list[tuple[str, tuple[_Texts, ...]]] = []
    recorded: dict[str, tuple[int, tuple[str, ...]]] = {}
    for line in space.lines:
        pattern, texts = list[str](), list[_Texts]()
        for part in _parts(space, line):
            if isinstance(part, str | Word):
                pattern.append((part if isinstance(part, str) else words[part.name]).replace("%", "%%"))
                continue
            if isinstance(part, Slot):
                values = [value.text.constant for value in axes[part.axis].values]
            else:
                values = [option.constant for option in part.options]
            digit = digit_of.get(part.axis if isinstance(part, Slot) else id(part))
            if None in values:
                return None
            if digit is None:  # The column of a table, which has one value.
                pattern.append(str(values[0]).replace("%", "%%"))
                continue
            pattern.append("%s")
            texts.append((last - digit, tuple(map(str, values))))
            if isinstance(part, Fork) and part.label is not None:
                recorded[part.label] = (last - digit, tuple(str(value).strip() for value in values))
        filled.append(("".join(pattern), tuple(texts)))
    choices: list[tuple[str, int, tuple[str, ...]]] = []
    for axis in entry.axes:
        if axis.name in digit_of:
            choices.append((axis.name, last - digit_of[axis.name], tuple(value.key for value in axis.values)))
        elif axis.is_column or axis.name in space.used:
            return None
    choices += [(label, *recorded[label]) for label in labels if label in recorded]
    (prompt, prompt_texts), (negative, negative_texts) = filled
    if not negative_texts:
        negative = negative.replace("%%", "%")
    return Flat(tuple(reversed(sizes)), prompt, prompt_texts, negative, negative_texts, tuple(choices))


def _parts(space: Space, line: Line) -> list[str | Slot | Word | Fork]:
    return [part for each in space.segments(line) if isinstance(each, Run) for part in each.parts]  # pyright: ignore[reportReturnType]
