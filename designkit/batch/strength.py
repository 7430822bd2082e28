"""What filled-in prompts ask for beyond their words: adapters by name, and weights that a model may not know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from designkit.errors import InputRefused, ModelRefused, Problem
from designkit.generators.adapters import find_adapter
from designkit.generators.base import ModelCard
from designkit.generators.strength import Strength, adapter_tags, parse_strength
from designkit.prompts.expand import Variant
from designkit.prompts.file import PromptFile
from designkit.values import Adapter


class PromptAdapters:
    """The adapters that the prompts of a file name as `<lora:name:0.8>`, each looked up once.

    They lie beside the prompt file, or in `adapters/` or `loras/` beside it; for a bare prompt, in the current folder.
    """

    def __init__(self, file: PromptFile) -> None:
        self._file = file
        self._folder = file.path.parent if file.path else Path()
        self._found: dict[str, str] = {}

    def of(self, prompt: str) -> tuple[Adapter, ...]:
        """The adapters of one prompt, in order; raises ModelRefused for all that are missing or are none."""
        adapters: list[Adapter] = []
        problems: list[Problem] = []
        for tag in adapter_tags(prompt):
            try:
                adapters.append(Adapter(path=self._path(tag.name), weight=tag.weight))
            except ModelRefused as error:
                problems += error.problems
        if problems:
            raise ModelRefused(problems)
        return tuple(adapters)

    def _path(self, name: str) -> str:
        if name not in self._found:
            try:
                self._found[name] = str(find_adapter(name, self._folder))
            except ModelRefused as error:
                raise ModelRefused(
                    self._file.problem(each.code, each.message, key="prompt", fix=each.fix) for each in error.problems
                ) from None
        return self._found[name]


def check_strength(file: PromptFile, card: ModelCard, variants: Sequence[Variant]) -> None:
    """Raise InputRefused for what no picture can be drawn from, and ModelRefused for adapters that are not there."""
    problems = list(dict.fromkeys(_mistakes(file, card, variants)))
    if problems:
        raise InputRefused(problems)
    adapters, missing = PromptAdapters(file), dict[Problem, None]()
    for variant in variants:
        try:
            adapters.of(variant.prompt)
        except ModelRefused as error:
            missing |= dict.fromkeys(error.problems)
    if missing:
        raise ModelRefused(missing)


def strength_warnings(file: PromptFile, card: ModelCard, variants: Sequence[Variant]) -> Iterator[Problem]:
    """What is read otherwise than it may have been meant, each kind once with an example."""
    unmatched = weighted = None
    for key, text, strength in _texts(file, card, variants):
        unmatched = unmatched or (key, text, strength) if strength.unmatched else unmatched
        weighted = weighted or (key, text, strength) if strength.is_weighted else weighted
    if unmatched and "word_weights" in card.accepts:
        key, text, strength = unmatched
        message = f"{strength.unmatched[0]} has no partner in {_shorten(text)!r}, so it is read as a character"
        fix = r"add its partner, or write \( \) \[ \] for the characters themselves"
        yield file.problem("unmatched-bracket", message, key=key, fix=fix)
    if weighted and "word_weights" not in card.accepts:
        key, text, strength = weighted
        message = (
            f"{card.name} cannot weigh words: (word:1.3) and BREAK count as plain words, bare brackets as "
            f"punctuation; it reads {_shorten(strength.plain)!r}"
        )
        fix = "say in words what matters most, or choose a model with CLIP text encoders (Stable Diffusion 1, 2, XL)"
        yield file.problem("weights-not-accepted", message, key=key, fix=fix)


def _texts(file: PromptFile, card: ModelCard, variants: Sequence[Variant]) -> Iterator[tuple[str, str, Strength]]:
    """Every distinct text that the model reads, with its key and what it says."""
    for text in dict.fromkeys(variant.prompt for variant in variants):
        yield "prompt", text, parse_strength(text)
    if "negative" in card.accepts:
        for text in dict.fromkeys(variant.negative for variant in variants if variant.negative):
            yield "negative", text, parse_strength(text)


def _mistakes(file: PromptFile, card: ModelCard, variants: Sequence[Variant]) -> Iterator[Problem]:
    for key, _, strength in _texts(file, card, variants):
        for mistake in strength.mistakes:
            yield file.problem(mistake.code, mistake.message, key=key, fix=mistake.fix)
        if strength.tags and key == "negative":
            message = f"{strength.tags[0].written} stands in the negative prompt"
            fix = "move it into the prompt; a strength below 0 works against what the adapter learned"
            yield file.problem("adapter-tag", message, key=key, fix=fix)
        elif strength.tags and "adapters" not in card.accepts:
            message = f"{card.name} takes no adapters, and the prompt names {strength.tags[0].written}"
            fix = "remove it, or choose a model that takes them"
            yield file.problem("adapters-not-accepted", message, key=key, fix=fix)


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
