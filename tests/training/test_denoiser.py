"""The denoiser's recipe."""

# pyright: basic, reportAttributeAccessIssue=false
import math
import random

import pytest
import torch

from designkit.starter.renderer import render
from designkit.training.config import AutoencoderRecipe, Schedule
from designkit.training.recipes.autoencoder import AutoencoderTask, pictures_to_tensor
from designkit.training.recipes.denoiser import NOISIEST, SceneLatents, build_scheduler, draw_timesteps
from designkit.values import Size

WIDE = Size(width=64, height=32)


@pytest.fixture(scope="module")
def autoencoder():
    torch.manual_seed(0)
    schedule = Schedule(steps=1)
    recipe = AutoencoderRecipe(channels=(8, 8, 8, 8), norm_groups=1, training=schedule, decoder_training=schedule)
    return AutoencoderTask(recipe, seed=1).autoencoder.eval().requires_grad_(False)


def latents(autoencoder, **changes: int) -> SceneLatents:
    settings = {"capacity": 12, "num_simple": 4, "first_scene": 1000, "seed": 1, **changes}
    return SceneLatents(autoencoder, WIDE, **settings)


def test_kept_latents_are_those_of_their_scenes(autoencoder):
    scenes, drawn = latents(autoencoder).take(1, 2, 6, random.Random(0))
    pixels = pictures_to_tensor([render(scene, WIDE) for scene in scenes])
    expected = autoencoder.encode(pixels).latent_dist.mean * autoencoder.config.scaling_factor
    assert drawn.shape == (6, 4, 4, 8)
    assert torch.allclose(drawn, expected, atol=0.05)  # kept in half precision, computed in bfloat16


def test_a_run_that_goes_on_at_a_later_visit_draws_what_it_would_have_drawn_to_the_last_bit(autoencoder):
    whole = latents(autoencoder, capacity=40)
    for visit in range(12):
        expected = whole.take(visit, 2, 6, random.Random(visit))
    resumed = latents(autoencoder, capacity=40).take(11, 2, 6, random.Random(11))
    assert resumed[0] == expected[0]
    assert torch.equal(resumed[1], expected[1])


def test_no_more_latents_are_kept_than_asked_for_and_the_first_scenes_are_simple(autoencoder):
    store = latents(autoencoder)
    for visit in range(20):
        scenes, _ = store.take(visit, 2, 6, random.Random(visit))
    assert len(store.kept) == 12
    assert len({scene.jitter for scene in scenes}) <= 12
    first, _ = latents(autoencoder, num_simple=100).take(0, 2, 6, random.Random(0))
    assert all(scene.background == "plain" and scene.count == 1 and scene.product is None for scene in first)


def test_timesteps_lean_towards_noise_as_the_formula_says():
    steps = draw_timesteps(40_000, torch.Generator().manual_seed(0), noisiest_share=0.0)
    assert int(steps.min()) >= 0
    assert int(steps.max()) == 999
    assert float((steps == 999).float().mean()) == pytest.approx(0.05, abs=0.005)
    assert float(steps.float().median()) == pytest.approx(1000 * 2 / math.pi * math.atan(math.exp(0.5)), abs=15)


def test_a_share_of_timesteps_lies_where_only_the_text_tells():
    plain = draw_timesteps(40_000, torch.Generator().manual_seed(0), noisiest_share=0.0)
    leaning = draw_timesteps(40_000, torch.Generator().manual_seed(0), noisiest_share=0.5)
    outside = float((plain < NOISIEST).float().mean())
    assert float((leaning < NOISIEST).float().mean()) == pytest.approx(outside * 0.45 / 0.95, abs=0.01)


def test_the_schedule_ends_in_pure_noise_so_that_plain_colours_can_be_learned():
    scheduler = build_scheduler()
    assert float(scheduler.alphas_cumprod[-1]) == 0.0
    assert scheduler.config.prediction_type == "v_prediction"
