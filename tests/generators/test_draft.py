"""Placeholders: exact size, the prompt's own colours, and always the same pixels."""

from __future__ import annotations

import time

import pytest

from designkit.generators import open_generator
from designkit.generators.draft import COLOURS, draw_draft, key_words
from designkit.values import Size
from tests.generators.requests import ask, pixels

DELIVERABLES = [(1, 1), (8, 40), (88, 31), (160, 600), (300, 250), (512, 512), (728, 90), (970, 250), (1080, 1920)]


@pytest.mark.parametrize(("width", "height"), DELIVERABLES)
def test_any_size_is_drawn_exactly(width, height):
    picture = draw_draft("lemonade bottle, orange sunburst", Size(width=width, height=height), 3)
    assert (picture.mode, picture.size) == ("RGB", (width, height))


def test_the_same_request_gives_the_same_pixels_and_another_seed_others():
    generator = open_generator("draft")
    requests = [ask(seed) for seed in range(12)]
    drawn = pixels(generator, requests)
    assert pixels(generator, requests[::-1]) == drawn
    assert len(set(drawn.values())) == len(requests)


def test_colour_words_choose_the_palette():
    for word in ("teal", "crimson", "gold"):
        for seed in range(8):
            picture = draw_draft(f"tin on {word}", Size(width=256, height=256), seed)
            counted = picture.getcolors(256 * 256)
            assert counted is not None
            assert max(count for count, colour in counted if colour == COLOURS[word]) > 256


def test_key_words_name_things():
    prompt = "A soda can on a plain teal background, soda-pop style with the Lumen logo and more words"
    assert key_words(prompt) == ("soda", "can", "soda-pop", "Lumen")


@pytest.mark.parametrize("prompt", ["", "   ", "on a teal", "漢字 только", "Süße Äpfel — 2 €", "x" * 500, "a\nb\tc"])
def test_any_text_can_be_drawn(prompt):
    assert draw_draft(prompt, Size(width=200, height=120), 0).size == (200, 120)


def test_long_words_stay_inside_the_picture():
    picture = draw_draft("unbelievablylongproductnamewithoutspaces", Size(width=256, height=256), 1)
    ground = picture.getpixel((255, 200))
    assert all(picture.getpixel((x, y)) == ground for x in (0, 255) for y in range(160, 256))


def test_a_draft_takes_milliseconds():
    started = time.process_time()
    for seed in range(20):
        draw_draft("soda can, plain teal background", Size(width=256, height=256), seed)
    assert (time.process_time() - started) / 20 < 0.02
