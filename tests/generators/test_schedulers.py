# pyright: basic
"""Scheduler names: each works, unknown ones are refused with the nearest, unfit ones with the reason."""

from __future__ import annotations

import numpy as np
import pytest
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from designkit.errors import InputRefused
from designkit.generators.schedulers import SCHEDULERS, make_scheduler, scheduler_problem
from tests.generators.requests import ask, open_tiny, pixels


def test_each_scheduler_draws_its_own_picture_and_is_taken_out_again(tiny_model):
    generator = open_tiny(tiny_model("StableDiffusionPipeline"))
    own = pixels(generator, [ask(0, steps=8)])["image-0"]
    drawn = {name: pixels(generator, [ask(0, steps=8, scheduler=name)])["image-0"] for name in SCHEDULERS}
    assert drawn["ddim"] == own  # The tiny model's own.
    assert drawn.pop("euler") == own  # DDIM without noise is Euler's method in other variables.
    ancestral, ddpm = (np.frombuffer(drawn.pop(name), np.uint8).astype(int) for name in ("euler-a", "ddpm"))
    assert np.abs(ancestral - ddpm).max() <= 1  # So are these two, but for rounding.
    assert len(set(drawn.values())) == len(drawn)
    assert pixels(generator, [ask(0, steps=8)])["image-0"] == own


def test_schedulers_that_add_noise_do_not_make_neighbours_matter(tiny_model):
    generator = open_tiny(tiny_model("StableDiffusionPipeline"), batch_size=4)
    requests = [ask(seed, scheduler="euler-a") for seed in range(4)]
    expected = pixels(generator, requests)
    assert pixels(generator, requests[::-1]) == expected
    assert pixels(generator, requests[1:2])["image-1"] == expected["image-1"]


def test_an_unknown_scheduler_is_refused_with_the_nearest_name(tiny_model):
    assert scheduler_problem("euler") is None
    generator = open_tiny(tiny_model("StableDiffusionPipeline"))
    with pytest.raises(InputRefused, match=r"no scheduler named 'eular'.*did you mean euler\?"):
        next(generator.generate([ask(0), ask(1, scheduler="eular")]))


def test_a_scheduler_that_cannot_follow_the_training_is_refused():
    trained = DDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True).config
    assert make_scheduler("dpm++", trained).config.rescale_betas_zero_snr is True
    with pytest.raises(InputRefused, match=r"heun cannot sample this model.*rescale_betas_zero_snr=True"):
        make_scheduler("heun", trained)


def test_the_models_settings_reach_the_scheduler():
    trained = DDIMScheduler(prediction_type="v_prediction", timestep_spacing="trailing", beta_end=0.01).config
    made = make_scheduler("unipc", trained).config
    assert (made.prediction_type, made.timestep_spacing, made.beta_end) == ("v_prediction", "trailing", 0.01)
