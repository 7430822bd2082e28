"""What a model's prompts call the colours of a brand: words that the model knows.

The starters know fourteen colours, and are given the nearest one. Every other model is given what people call the
colour, or the word that the kit itself gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from designkit.design.colours import COLOUR_NAMES, colour_difference, name_colour, to_hex, to_rgb
from designkit.generators.base import ModelCard
from designkit.generators.catalog import SHIPPED

if TYPE_CHECKING:
    from designkit.design.brand import Brand, BrandColour

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
    if card.name in SHIPPED:
        return _starter_word(colour)
    if colour.word:
        return ColourWord(colour=colour.colour, word=colour.word, difference=0.0)
    word = name_colour(colour.colour)
    difference = colour_difference(colour.colour, COLOUR_NAMES[word])
    return ColourWord(colour=colour.colour, word=word, difference=difference)


def colour_words(brand: Brand, card: ModelCard) -> dict[str, ColourWord]:
    """The words for every colour and role of a brand, by name (`primary` for `{brand.primary}`)."""
    return {name: colour_word(colour, card) for name, colour in brand.named_colours().items()}


def brand_words(brand: Brand, card: ModelCard) -> dict[str, str]:
    """What `{brand.name}`, `{brand.style}`, `{brand.primary}` and their like stand for in a model's prompts."""
    words = brand.words()
    colours = {f"brand.{name}": found.word for name, found in colour_words(brand, card).items()}
    return {**colours, **words}


def placeholder_names(brand: Brand) -> tuple[str, ...]:
    """Every name that a prompt can use of a brand: `brand.name`, `brand.style`, `brand.avoid` and its colours."""
    return (*brand.words(), *(f"brand.{name}" for name in brand.named_colours()))


def far_words(brand: Brand, card: ModelCard, names: Iterable[str]) -> Iterator[str]:
    """A sentence about each of `names` whose word means a colour far from the brand's."""
    colours = brand.named_colours()
    for name in names:
        colour = colours.get(name.removeprefix("brand."))
        if colour is None or name in brand.words():
            continue
        found = colour_word(colour, card)
        if found.difference > FAR_DIFFERENCE:
            yield (
                f"{{{name}}} is {found.colour}, and the nearest colour that {card.name} knows is {found.word!r}, "
                f"which is far from it (CIEDE2000 {found.difference:.0f})"
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
