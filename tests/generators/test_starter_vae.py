"""The VAE that ships: it opens by its name, offline and without options, and draws grounds and places as asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from designkit.generators import open_generator
from designkit.generators.catalog import SHIPPED, find_card, list_cards
from designkit.starter.colours import COLOURS, nearest_colour
from designkit.values import Size
from tests.generators.requests import ask

pytestmark = pytest.mark.skipif(not SHIPPED["starter-vae"].is_dir(), reason="this installation came without it")
NATIVE = Size(width=128, height=128)
PLACES = {"on the left": (-1, 0), "on the right": (1, 0), "at the top": (0, -1), "at the bottom": (0, 1)}


def test_it_is_listed_with_its_licence_and_what_it_reads():
    card = find_card("starter-vae")
    assert card in list_cards()
    assert (card.family, card.licence, card.commercial_use, card.reads) == ("vae", "apache-2.0", "yes", "text")
    assert card.native_sizes == (NATIVE,)
    assert sum(path.stat().st_size for path in SHIPPED["starter-vae"].iterdir()) <= 3.5e6


def draw(prompts: list[str], *, first_seed: int = 0) -> list[np.ndarray]:
    own: dict[str, Any] = {"size": NATIVE, "drawn": NATIVE, "steps": None, "guidance": None}
    requests = [ask(seed, prompt=prompt, **own) for seed, prompt in enumerate(prompts, start=first_seed)]
    drawn = list(open_generator("starter-vae", threads=1).generate(requests))
    assert all(image.failure is None for image in drawn)
    return [np.asarray(image.image, np.float64) for image in drawn]


def ground_of(pixels: np.ndarray) -> np.ndarray:
    return np.median(np.concatenate([pixels[:6].reshape(-1, 3), pixels[-6:].reshape(-1, 3)]), axis=0)


def test_grounds_have_the_colour_that_is_asked_for_and_seeds_make_other_pictures():
    drawn = draw([f"a cat on a plain {colour} background" for colour in COLOURS])
    named: list[str] = []
    for pixels in drawn:
        red, green, blue = (int(value) for value in ground_of(pixels))
        named.append(nearest_colour((red, green, blue)))
    assert sum(found == asked for found, asked in zip(named, COLOURS, strict=True)) >= len(COLOURS) - 2
    first, second = draw(["a red heart on a plain white background"] * 2, first_seed=50)
    assert not np.array_equal(first, second)


def test_things_lie_where_they_are_asked_for():
    drawn = draw([f"a red heart {place} on a plain white background" for place in PLACES])
    for pixels, (across, down) in zip(drawn, PLACES.values(), strict=True):
        away = np.abs(pixels - ground_of(pixels)).sum(axis=2)
        away[away < 60] = 0  # soft edges and uneven ground
        rows, columns = np.mgrid[: len(away), : len(away[0])] / 63.5 - 1
        centre = np.array([(columns * away).sum(), (rows * away).sum()]) / away.sum()
        assert centre @ (across, down) > 0.15
