"""The GAN that ships: it opens by its name, offline and without options, and draws what prompts ask of the ground."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from designkit.generators import open_generator
from designkit.generators.catalog import SHIPPED, find_card, list_cards
from designkit.starter.colours import COLOURS, nearest_colour
from designkit.values import Size
from tests.generators.requests import ask

pytestmark = pytest.mark.skipif(not SHIPPED["starter-gan"].is_dir(), reason="this installation came without it")
NATIVE = Size(width=128, height=128)


def test_it_is_listed_with_its_licence_and_what_it_reads():
    card = find_card("starter-gan")
    assert card in list_cards()
    assert (card.family, card.licence, card.commercial_use, card.reads) == ("gan", "apache-2.0", "yes", "text")
    assert card.native_sizes == (NATIVE,)
    assert sum(path.stat().st_size for path in SHIPPED["starter-gan"].iterdir()) <= 4.5e6


def test_grounds_have_the_colour_that_is_asked_for_and_seeds_and_things_make_other_pictures():
    prompts = [
        f"a {thing} on a plain {colour} background"
        for colour, thing in zip(COLOURS, ["strawberry", "cat"] * 7, strict=True)
    ]
    own: dict[str, Any] = {"size": NATIVE, "drawn": NATIVE, "steps": None, "guidance": None}
    requests = [ask(index, prompt=prompt, **own) for index, prompt in enumerate(prompts)]
    once_more = [ask(seed, prompt=prompts[0], **own) for seed in (50, 51)]
    drawn = list(open_generator("starter-gan", threads=1).generate([*requests, *once_more]))
    assert all(image.failure is None for image in drawn)
    named = {}
    for colour, image in zip(COLOURS, drawn, strict=False):
        pixels = np.asarray(image.image)
        edge = np.concatenate([pixels[:6].reshape(-1, 3), pixels[-6:].reshape(-1, 3)])
        red, green, blue = (int(value) for value in np.median(edge, axis=0))
        named[colour] = nearest_colour((red, green, blue))
    assert sum(found == colour for colour, found in named.items()) >= 13
    assert len({image.image.tobytes() for image in drawn}) == len(drawn)
