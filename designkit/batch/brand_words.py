"""What a model's prompts call the colours of a brand: words that the model knows.

The starter knows fourteen colours, and is given the nearest one. Every other model is given what people call the
colour, or the word that the kit itself gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from designkit.design.brand import Brand, BrandColour
from designkit.design.colours import COLOUR_NAMES, colour_difference, name_colour, to_hex, to_rgb
from designkit.errors import Problem
from designkit.generators.base import ModelCard

FAR_DIFFERENCE = 15.0
"""CIEDE2000 above which a word means another colour than the brand's."""


@dataclass(frozen=True, kw_only=True)
class ColourWord:
    """A colour of a brand, the word that stands for it, and how far (CIEDE2000) what the word means is from it."""

    colour: str
    word: str
    difference: float


def colour_word(colour: BrandColour, card: ModelCard) -> ColourWord:
    """The word for one colour."""
    if card.name == "starter":
        return _starter_word(colour)
    if colour.word:
        return ColourWord(colour=colour.colour, word=colour.word, difference=0.0)
    word = name_colour(colour.colour)
    difference = colour_difference(colour.colour, COLOUR_NAMES[word])
    return ColourWord(colour=colour.colour, word=word, difference=difference)


def colour_words(brand: Brand, card: ModelCard) -> dict[str, ColourWord]:
    """The words for every colour and role of a brand, by name (`primary` for `{brand.primary}`)."""
    return {name: colour_word(colour, card) for name, colour in brand.named_colours().items()}


def brand_words(brand: Brand, card: ModelCard, names: Iterable[str]) -> dict[str, str]:
    """What the placeholders of a brand stand for: its name and words, and those of `names` that are colours.

    A name that is no word of the brand is left out.
    """
    words = brand.words()
    colours = brand.named_colours()
    for name in names:
        key = name.removeprefix("brand.")
        if name not in words and key in colours:
            words[name] = colour_word(colours[key], card).word
    return words


def word_problem(brand: Brand, name: str) -> Problem | None:
    """Why `{brand.xyz}` stands for nothing, with the nearest name that does; None where it does."""
    known = [*brand.words(), *(f"brand.{colour}" for colour in brand.named_colours())]
    if name in known:
        return None
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    fix = f"did you mean {{{near[0]}}}?" if near else f"the brand has: {', '.join(known[:12])}"
    return Problem(code="unknown-brand-word", message=f"the brand {brand.name} has no {{{name}}}", fix=fix)


def far_words(brand: Brand, card: ModelCard, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Those of `names` whose word means a colour far from the brand's, each with a sentence about it."""
    colours = brand.named_colours()
    for name in names:
        colour = colours.get(name.removeprefix("brand."))
        if colour is None or name in brand.words():
            continue
        found = colour_word(colour, card)
        if found.difference > FAR_DIFFERENCE:
            yield (
                name,
                f"{{{name}}} is {found.colour}, and the nearest colour that {card.name} knows is {found.word!r}, "
                f"which is far from it (CIEDE2000 {found.difference:.0f})",
            )


def _starter_word(colour: BrandColour) -> ColourWord:
    """The nearest of the starter's colours, or the kit's own word where the starter knows it."""
    from designkit.starter.captions import COLOUR_WORDS
    from designkit.starter.colours import COLOURS, nearest_colour

    meanings = {word: name for name in COLOURS for word in (name, *COLOUR_WORDS.get(name, ()))}
    name = meanings.get(colour.word or "")
    word = colour.word if colour.word and name else nearest_colour(to_rgb(colour.colour))
    red, green, blue = (channel / 255 for channel in COLOURS[name or word])
    difference = colour_difference(colour.colour, to_hex((red, green, blue)))
    return ColourWord(colour=colour.colour, word=word, difference=difference)
