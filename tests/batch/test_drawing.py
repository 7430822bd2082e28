"""The size at which a model draws."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from designkit.batch.drawing import choose_drawn_size, enlargement
from designkit.generators.base import ModelCard
from designkit.generators.catalog import DRAFT_CARD
from designkit.values import Size


def size(text: str) -> Size:
    width, height = map(int, text.split("x"))
    return Size(width=width, height=height)


FREE = ModelCard(
    name="free",
    family="sdxl",
    revision="1",
    licence="x",
    native_sizes=(size("1024x1024"),),
    size_multiple=8,
    min_side_px=256,
    max_pixels=1536 * 1536,
    accepts=frozenset({"size"}),
)
FIXED = replace(FREE, accepts=frozenset(), native_sizes=tuple(map(size, ("128x128", "160x96", "96x160", "320x192"))))


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ("128x128", "128x128"),
        ("512x512", "128x128"),
        ("64x64", "128x128"),
        ("1080x1920", "96x160"),
        ("150x90", "160x96"),
        ("200x120", "320x192"),
        ("1000x600", "320x192"),
        ("970x90", "320x192"),
    ],
)
def test_a_model_of_fixed_sizes_draws_the_nearest_shape_that_covers(asked: str, drawn: str):
    assert choose_drawn_size(size(asked), FIXED) == size(drawn)


@pytest.mark.parametrize(
    ("asked", "drawn", "why"),
    [
        ("1024x1024", "1024x1024", "native"),
        ("512x512", "1024x1024", "small pictures are drawn at native area"),
        ("1280x1280", "1280x1280", "larger than native, but still drawn well"),
        ("1279x1281", "1280x1288", "sides are rounded up to the model's step"),
        ("1080x1920", "1080x1920", "as asked"),
        ("4096x4096", "1536x1536", "the largest of this shape"),
        ("300x250", "1128x936", "this shape at native area"),
        ("970x90", "3368x312", "a long banner"),
        ("16384x100", "9216x256", "the short side cannot be thinner"),
        ("100x16384", "256x9216", "the short side cannot be thinner"),
    ],
)
def test_a_model_of_any_size_draws_the_shape_where_it_is_best(asked: str, drawn: str, why: str):
    assert choose_drawn_size(size(asked), FREE) == size(drawn), why


def test_a_model_without_a_grain_draws_exactly_what_is_asked_for():
    assert choose_drawn_size(size("301x7"), DRAFT_CARD) == size("301x7")


SIDES = st.integers(8, 16384)


@given(width=SIDES, height=SIDES, step=st.sampled_from([8, 16, 32, 64]))
def test_whatever_is_asked_for_the_model_can_draw_it(width: int, height: int, step: int):
    card = replace(FREE, size_multiple=step)
    drawn = choose_drawn_size(Size(width=width, height=height), card)
    assert drawn.width % step == drawn.height % step == 0
    assert min(drawn.width, drawn.height) >= card.min_side_px
    assert drawn.width * drawn.height <= card.max_pixels
    if max(width, height) <= 4 * min(width, height):
        assert abs(log(drawn.width / drawn.height) - log(width / height)) < 2 * step / min(drawn.width, drawn.height)


@given(width=st.integers(8, 1536), height=st.integers(8, 1472))
def test_nothing_is_enlarged_that_the_model_can_draw(width: int, height: int):
    asked = Size(width=width, height=height)
    assert enlargement(asked, choose_drawn_size(asked, FREE)) <= 1


def test_enlargement_is_what_covers_the_size():
    assert enlargement(size("512x512"), size("128x128")) == 4
    assert enlargement(size("100x300"), size("200x100")) == 3
    assert enlargement(size("64x64"), size("128x128")) == 0.5
