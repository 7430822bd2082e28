"""The words that stand for a brand's colours in a model's prompts."""

from __future__ import annotations

from pathlib import Path

import pytest

from designkit.batch.brand_words import FAR_DIFFERENCE, brand_words, colour_word, far_words, placeholder_names
from designkit.design.brand import Brand, BrandColour
from designkit.generators.catalog import DRAFT_CARD, find_card
from designkit.starter.colours import COLOURS

STARTER = find_card("starter")


def colour(value: str, word: str | None = None) -> BrandColour:
    return BrandColour(name="it", colour=value, word=word)


def brand(**colours: BrandColour) -> Brand:
    return Brand(folder=Path(), name="Lumen", style=("flat",), colours=colours, roles={"primary": "#0B7A75"})


def test_the_starter_is_given_its_own_words():
    for name, (red, green, blue) in COLOURS.items():
        found = colour_word(colour(f"#{red:02X}{green:02X}{blue:02X}"), STARTER)
        assert (found.word, round(found.difference, 6)) == (name, 0)


@pytest.mark.parametrize(
    ("value", "word", "starter", "other"),
    [
        ("#0B7A75", None, "teal", "teal"),
        ("#0B7A75", "deep teal", "teal", "deep teal"),
        ("#1A285C", "midnight blue", "midnight blue", "midnight blue"),
        ("#D8572A", None, "red", "terracotta"),
        ("#F4ECD8", None, "cream", "off white"),
    ],
)
def test_a_kits_own_word_is_used_where_the_model_knows_it(value: str, word: str | None, starter: str, other: str):
    assert colour_word(colour(value, word), STARTER).word == starter
    assert colour_word(colour(value, word), DRAFT_CARD).word == other


def test_placeholders_stand_for_names_words_and_colours():
    kit = brand(teal=colour("#0B7A75"), cream=colour("#F4ECD8"))
    words = brand_words(kit, STARTER)
    assert words == {
        "brand.name": "Lumen",
        "brand.style": "flat",
        "brand.avoid": "",
        "brand.primary": "teal",
        "brand.teal": "teal",
        "brand.cream": "cream",
    }
    assert set(placeholder_names(kit)) == set(words)


def test_a_colour_cannot_take_the_place_of_the_brands_own_words():
    assert brand_words(brand(name=colour("#0B7A75")), STARTER)["brand.name"] == "Lumen"


def test_a_word_that_means_a_far_colour_is_told():
    kit = brand(mint=colour("#8FFF9F"), teal=colour("#0B7A75"))
    (message,) = far_words(kit, STARTER, ["brand.mint", "brand.teal", "brand.style"])
    assert message.startswith("{brand.mint} is #8FFF9F")
    assert colour_word(kit.colours["mint"], STARTER).difference > FAR_DIFFERENCE
    assert list(far_words(kit, DRAFT_CARD, ["brand.mint"])) == []
