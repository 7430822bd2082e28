"""From prompt files to variants: pure, ordered, lazy, and countable without expanding.

Every variant has a position and is computed from that position alone, so a sample out of a million million
costs no more than its own size.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate

from designkit.errors import InputRefused, Problem
from designkit.prompts import factors
from designkit.prompts.combinations import Combination, Rules, Space
from designkit.prompts.covering import TooManyRows
from designkit.prompts.draws import Draws
from designkit.prompts.entries import Entry, Settings
from designkit.prompts.file import PromptFile
from designkit.prompts.filling import Filling
from designkit.prompts.flat import Flat, compile_flat
from designkit.prompts.lines import Line, Word
from designkit.prompts.picks import TooEntangled
from designkit.prompts.population import Population
from designkit.prompts.sampling import Pairwise, TooFew, sample_positions, sample_size, spread_positions

MIN_FLAT = 16
"""Fewer variants than this are filled in one by one; more, from the texts of all values."""

MAX_COPIES = 1000
"""The most sets of copy texts that one picture may have."""

COPY = "copy."


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One filled-in prompt; `choices` holds the key of the value taken on each axis.

    A choice `{a|b}` is an axis without a name: its key is its number in order of appearance, from "1"; wildcards
    and variables have their names. `entry` is the index of the file's entry that it was made from, `settings`
    what holds for this variant. `name` begins the names of its files, if the entry has a pattern for them.
    `copies` are the sets of texts that are to be set on the picture, which do not change it.
    """

    prompt: str
    negative: str
    choices: Mapping[str, str]
    entry: int = 0
    settings: Settings = field(default_factory=Settings, compare=False)
    name: str = ""
    copies: tuple[Mapping[str, str], ...] = ()


def count_variants(file: PromptFile) -> int:
    """How many variants the file asks for, exactly, after `exclude` and `sample`."""
    return Expansion(file).num_sampled


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
        # By entry; None where there is nothing to choose.
        self._by_entry = tuple(None if _is_plain(entry) else self._space(entry) for entry in file.entries)
        self._flat_words: Mapping[str, str] | None = None
        self._flats: dict[int, Flat | None] = {}
        self._settings: dict[int, Settings] = {}
        self.counts = tuple(1 if space is None else space.count for space in self._by_entry)
        self._ends = tuple(accumulate(self.counts))
        self.total = self._ends[-1]

    def sample(self, words: Mapping[str, str]) -> Iterator[Variant]:
        """The variants that the file's `sample` takes, one by one."""
        for position in self.positions():
            yield self.variant(position, words)

    def positions(self) -> Iterator[int]:
        """The positions that the file's `sample` takes, each once; at random by the weights that are written."""
        sample = self.file.sample
        if sample.method == "pairwise":
            return iter(self.pairwise)
        if sample.method in ("balanced", "latin"):
            return spread_positions(self.population, sample)
        if sample.method != "random" or not self.is_weighted or sample_size(self.total, sample) == self.total:
            return sample_positions(self.total, sample)
        return self._weighted_positions()

    @property
    def num_sampled(self) -> int:
        """How many variants the file's `sample` takes; raises InputRefused for one that cannot be taken."""
        if self.file.sample.method in ("balanced", "latin"):
            _ = self.population
        return (
            self.pairwise.size if self.file.sample.method == "pairwise" else sample_size(self.total, self.file.sample)
        )

    @cached_property
    def population(self) -> Population:
        """The variants as rows of levels; raises InputRefused where choices have too many fillings for that."""
        entries = self.file.entries
        try:
            return Population([None if _is_plain(entry) else self._space(entry) for entry in entries])
        except factors.TooEntangled:
            method = self.file.sample.method
            message = f"the choices in it are too large or too entangled for {method} sampling"
            fix = "use method: random, or make axes of them"
            raise InputRefused(self.file.problem("sample-method", message, key="sample", fix=fix)) from None

    @cached_property
    def pairwise(self) -> Pairwise:
        """The variants that show every pair of values; raises InputRefused."""
        try:
            return Pairwise(self.population, self.file.sample)
        except TooFew as error:
            (needed,) = error.args
            message = f"{self.file.sample.count:,} variants cannot show every pair of values; {needed:,} can"
            fix = f"write count: {needed} or more, leave the count out, or use method: balanced"
            code = "sample-count"
        except TooManyRows as error:
            (needed,) = error.args
            message = f"to show every pair of values takes at least {needed:,} variants, more than anyone looks at"
            code, fix = "sample-method", "use method: balanced with a count, or fewer values"
        except factors.TooEntangled:
            message = "what is excluded overlaps in too many ways for pairwise sampling"
            code, fix = "sample-method", "use method: balanced or random with a count, or exclude less"
        raise InputRefused(self.file.problem(code, message, key="sample", fix=fix))

    @property
    def is_weighted(self) -> bool:
        """Whether some variants are to be drawn more often than others."""
        return any(space.is_weighted for space in self._spaces.values())

    def entry_at(self, position: int) -> int:
        """The index of the entry that the variant at a position belongs to."""
        return bisect_right(self._ends, position)

    def variant(self, position: int, words: Mapping[str, str]) -> Variant:
        """The variant at a position from 0 to `total` - 1."""
        index = self.entry_at(position)
        entry = self.file.entries[index]
        space = self._by_entry[index]
        if space is None:
            prompt, negative = (_plain_text(entry.texts.lines[key], words) for key in ("prompt", "negative"))
            name = _plain_text(entry.texts.lines["name"], words) if "name" in entry.texts.lines else ""
            copies = self._copies(entry, None, Combination({}, ()), words) if entry.has_copy else ()
            return Variant(
                prompt=prompt.strip(),
                negative=negative.strip(),
                choices={},
                entry=index,
                settings=entry.settings,
                name=name.strip(),
                copies=copies,
            )
        number = position - (self._ends[index - 1] if index else 0)
        flat = self._flat(index, entry, space, words)
        if flat is not None:
            prompt, negative, choices = flat.fill(number)
            return Variant(
                prompt=prompt, negative=negative, choices=choices, entry=index, settings=self._settings[index]
            )
        combination = space[number]
        key = None
        if entry.texts.has_samplers:
            # What is sampled depends on everything else that was chosen, so that it stays when others are added.
            draft = Filling(space, entry.axes, combination, words)
            before = [draft.line(line) for line in space.lines]
            key = f"{self.file.sample.seed} {sorted(draft.choices(entry.texts.labels).items())} {before}"
        filling = Filling(space, entry.axes, combination, words, number=number, key=key)
        prompt, negative, *sizes = [filling.line(line) for line in space.lines]
        name = filling.line(entry.texts.lines["name"]) if "name" in entry.texts.lines else ""
        return Variant(
            prompt=prompt.strip(),
            negative=negative.strip(),
            choices=filling.choices(entry.texts.labels),
            entry=index,
            settings=entry.settings_for(tuple(sizes), combination.rules),
            name=name.strip(),
            copies=self._copies(entry, space, combination, words) if entry.has_copy else (),
        )

    def _flat(self, index: int, entry: Entry, space: Space, words: Mapping[str, str]) -> Flat | None:
        """The entry ready to be filled in, if nothing in it depends on anything and it has variants enough."""
        if words is not self._flat_words:
            self._flat_words, self._flats, self._settings = words, {}, {}
        if index not in self._flats:
            self._flats[index] = compile_flat(entry, space, words) if space.count >= MIN_FLAT else None
            self._settings[index] = entry.settings
        return self._flats[index]

    def settings_counts(self) -> Iterator[tuple[Settings, int]]:
        """How many variants of the full list there are for each set of settings."""
        for entry, space, count in zip(self.file.entries, self._by_entry, self.counts, strict=True):
            if space is None or not entry.varies_settings:
                yield entry.settings, count
                continue
            try:
                classes = [(dict(values), rules, number) for values, rules, number in space.classes()]
            except TooEntangled:
                raise InputRefused(self._entangled(entry, "")) from None
            for values, rules, number in classes:
                filling = Filling(space, entry.axes, Combination(values, (), rules), {})
                sizes = tuple(filling.line(line) for line in space.lines[2:])
                yield entry.settings_for(sizes, rules), number

    def _weighted_positions(self) -> Iterator[int]:
        """Positions drawn by weight, without repetition; when the likely ones are used up, the others follow."""
        size, seed = sample_size(self.total, self.file.sample), self.file.sample.seed
        seen: set[int] = set()
        draws = Draws(f"sample {seed}")
        num_vain = 0
        while len(seen) < size and num_vain < 100 + 10 * size:
            index = bisect_right(self._ends, draws.below(self.total))
            space = self._by_entry[index]
            position = self._ends[index - 1] if index else 0
            position += 0 if space is None else space.draw(draws)
            if position in seen:
                num_vain += 1
                continue
            seen.add(position)
            yield position
        if len(seen) < size:
            rest = sample_positions(self.total, replace(self.file.sample, count=None))
            for position in rest:
                if position not in seen:
                    seen.add(position)
                    yield position
                if len(seen) == size:
                    return

    def _copies(
        self, entry: Entry, space: Space | None, combination: Combination, words: Mapping[str, str]
    ) -> tuple[Mapping[str, str], ...]:
        """The sets of copy texts of one picture: one for each combination of the axes that only they use."""
        lines = {key.removeprefix(COPY): line for key, line in entry.texts.lines.items() if key.startswith(COPY)}
        try:
            copies = Space(entry.axes, tuple(lines.values()), self._rules(entry), given=combination.values)
        except TooEntangled:
            raise InputRefused(self._entangled(entry, "")) from None
        if copies.count > MAX_COPIES:
            message = f"one picture gets {copies.count:,} sets of copy texts; at most {MAX_COPIES:,} can be made"
            fix = "use fewer choices in them"
            raise InputRefused(self.file.problem("copy", message, key="copy", fix=fix))
        made: list[Mapping[str, str]] = []
        for number in range(copies.count):
            taken = copies[number]
            filling = Filling(
                copies,
                entry.axes,
                replace(taken, values={**combination.values, **taken.values}),
                words,
                number=number,
                key=f"{self.file.sample.seed} {sorted(combination.values.items())} copy {number}",
            )
            made.append({name: filling.line(line).strip() for name, line in lines.items()})
        return tuple(made)

    def _space(self, entry: Entry) -> Space:
        """The combinations of an entry; rows of a table that share a prompt and what varies share them too."""
        shape = tuple((axis.name, len(axis.values)) for axis in entry.axes)
        is_shared = not (self.file.exclude or entry.when) and all(
            value.text.constant is not None for axis in entry.axes for value in axis.values
        )
        key = (id(entry.texts), shape, None if is_shared else id(entry))
        if key not in self._spaces:
            lines = [entry.texts.lines["prompt"], entry.texts.lines["negative"]]
            sizes = [line for name, line in entry.texts.lines.items() if name.startswith("sizes.")]
            kept = frozenset[str]().union(*(line.anywhere for line in sizes))
            try:
                self._spaces[key] = Space(entry.axes, (*lines, *sizes), self._rules(entry), kept)
            except TooEntangled as error:
                raise InputRefused(self._entangled(entry, str(error))) from None
        return self._spaces[key]

    def _rules(self, entry: Entry) -> Rules:
        return Rules(exclude=self.file.exclude, when=[each.condition for each in entry.when], zipped=self.file.zipped)

    def _entangled(self, entry: Entry, message: str) -> Problem:
        key = "exclude" if self.file.exclude and not message else "prompt"
        message = message or "its combinations overlap in too many ways to be counted"
        if key == "exclude":
            return self.file.problem("exclude", message, key="exclude", fix="exclude fewer of them, or use two files")
        fix = "use fewer choices within each other, or several files"
        return Problem(code="choices", message=message, file=self.file.source, line=entry.line, key=key, fix=fix)


def _is_plain(entry: Entry) -> bool:
    """Whether an entry is a single variant: text and words of the brand, without axes or choices."""
    return (
        not entry.axes
        and not entry.varies_settings
        and all(isinstance(part, str | Word) for key in ("prompt", "negative") for part in entry.texts.lines[key].parts)
    )


def _plain_text(line: Line, words: Mapping[str, str]) -> str:
    """A line of text and words of the brand."""
    return "".join(
        part if isinstance(part, str) else words[part.name] for part in line.parts if isinstance(part, str | Word)
    )
