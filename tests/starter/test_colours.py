"""Names of colours."""

import random

import pytest

from designkit.starter.colours import COLOURS, nearest_colour, oklab


def test_every_known_colour_keeps_its_name_under_the_renderers_tint():
    rng = random.Random(0)
    for name, (red, green, blue) in COLOURS.items():
        for _ in range(50):
            tinted = tuple(max(0, min(255, channel + rng.randint(-7, 7))) for channel in (red, green, blue))
            assert nearest_colour(tinted) == name  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("colour", "expected"),
    [((255, 255, 255), (1.0, 0.0, 0.0)), ((255, 0, 0), (0.627955, 0.224863, 0.125846)), ((0, 0, 0), (0.0, 0.0, 0.0))],
)
def test_oklab_agrees_with_published_values(colour: tuple[int, int, int], expected: tuple[float, float, float]):
    assert oklab(colour) == pytest.approx(expected, abs=2e-4)
