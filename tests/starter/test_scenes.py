"""Scenes, their pictures and their sentences."""

import random
from itertools import pairwise

import numpy as np
import pytest

from designkit.starter.captions import caption, known_words, unknown_words
from designkit.starter.colours import COLOURS
from designkit.starter.glyphs import sprites
from designkit.starter.renderer import centres, render
from designkit.starter.scenes import Scene, is_held_out, pair_is_held_out, random_scene, training_scene
from designkit.starter.subjects import SUBJECTS
from designkit.values import Size

SQUARE = Size(width=128, height=128)
PLAIN = Scene(
    subject="apple", colour=None, style="flat", count=1, position="left", product=None, product_colour=None, badge=None,
    background="plain", first="teal", second=None, jitter=3,
)  # fmt: skip


def test_a_scene_renders_to_the_same_pixels_every_time_and_to_the_size_asked_for():
    wide = Size(width=160, height=96)
    first, again = render(PLAIN, wide), render(PLAIN, wide)
    assert first.size == (160, 96)
    assert first.mode == "RGB"
    assert first.tobytes() == again.tobytes()


def test_a_plain_background_has_its_named_colour_within_the_tint():
    corner = np.asarray(render(PLAIN, SQUARE))[2:6, -6:-2].reshape(-1, 3).astype(int)
    assert np.abs(corner - COLOURS["teal"]).max() <= 7


@pytest.mark.parametrize("position", ["left", "right", "top", "bottom", "center"])
def test_the_subject_stands_where_the_scene_says(position: str):
    from dataclasses import replace

    ((x, y),) = centres(replace(PLAIN, position=position), SQUARE)
    expected = {
        "left": x < 50,
        "right": x > 78,
        "top": y < 50,
        "bottom": y > 78,
        "center": abs(x - 64) + abs(y - 64) < 12,
    }
    assert expected[position]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("size", [SQUARE, Size(width=160, height=96), Size(width=96, height=160)])
def test_as_many_subjects_as_counted_stand_apart_inside_the_picture(count: int, size: Size):
    from dataclasses import replace

    middles = centres(replace(PLAIN, count=count, position="center"), size)
    assert len(middles) == count
    gaps = [abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in pairwise(middles)]
    assert min(gaps) > 30
    assert all(0 < x < size.width and 0 < y < size.height for x, y in middles)


def test_training_scenes_are_fixed_by_their_number_and_never_held_out():
    scenes = [training_scene(index) for index in range(2000)]
    assert scenes[:50] == [training_scene(index) for index in range(50)]
    assert not any(is_held_out(scene) for scene in scenes)
    assert {scene.subject for scene in scenes} == {subject.name for subject in SUBJECTS}


def test_about_a_tenth_of_subject_colour_pairs_is_held_out():
    pairs = [(subject.name, colour) for subject in SUBJECTS for colour in COLOURS]
    share = sum(pair_is_held_out(*pair) for pair in pairs) / len(pairs)
    assert 0.06 < share < 0.14  # three deviations of a fair tenth of 448 pairs


def test_no_coloured_subject_melts_into_the_ground_it_lies_on():
    rng = random.Random(1)
    for scene in (random_scene(rng) for _ in range(3000)):
        if scene.colour and not scene.product:
            ground = {scene.badge} if scene.badge else {scene.first, scene.second}
            assert scene.colour not in ground


def test_a_dense_caption_states_every_factor_and_every_word_of_it_is_known():
    rng = random.Random(2)
    for index in range(500):
        scene = training_scene(index)
        said = caption(scene, rng, "dense")
        missing = {"subject", "count", "style", "position", "background", "first", "second"} - said.said
        assert not (missing - ({"style"} if scene.product else set())), said.text
        assert unknown_words(said.text) == ()


def test_the_held_out_word_order_never_comes_up_in_training():
    rng = random.Random(3)
    held_out = {caption(training_scene(index), rng, "held-out").text for index in range(300)}
    assert all(text.startswith("on ") for text in held_out)
    assert not any(caption(training_scene(index), rng).text.startswith("on ") for index in range(2000))


def test_unknown_words_come_with_the_nearest_known_ones():
    (unknown,) = unknown_words("a red botle on a teal background")
    assert unknown.word == "botle"
    assert unknown.nearest[0] == "bottle"
    assert unknown_words("aple")[0].nearest[0] == "apple"
    assert unknown_words("Two RED apples, 4 lemons") == ()
    assert "matcha" in {entry.word for entry in unknown_words("matcha on teal")}
    assert "strawberry" in known_words()


def test_both_glyph_sets_draw_every_subject():
    for glyph_set in ("fluent", "noto"):
        drawn = sprites(glyph_set)
        assert set(drawn) == {subject.name for subject in SUBJECTS}
        assert all(np.asarray(sprite)[..., 3].mean() > 20 for sprite in drawn.values())


def test_the_model_card_lists_every_word_that_a_scene_can_name():
    from pathlib import Path

    from designkit.starter import scenes

    card = (Path(scenes.__file__).parent / "weights" / "README.md").read_text(encoding="utf-8")
    words = " ".join(card.split())
    names = [*(subject.name for subject in SUBJECTS), *COLOURS]
    names += [*scenes.STYLES, *scenes.PRODUCTS, *scenes.BACKGROUNDS, *scenes.POSITIONS]
    assert [name for name in names if name not in words] == []
