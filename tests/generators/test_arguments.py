"""From requests to the arguments of a pipeline call, family by family."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from designkit.generators.arguments import call_arguments, unhonoured_settings
from designkit.generators.base import ModelCard
from designkit.generators.families import FAMILIES
from designkit.values import Adapter, ImageRequest, Size
from tests.generators.requests import ask

EVERYTHING = (
    *("prompt", "negative_prompt", "width", "height", "num_inference_steps", "generator", "output_type"),
    *("guidance_scale", "true_cfg_scale", "guidance_rescale", "clean_caption", "use_resolution_binning"),
)


def card_of(pipeline: str) -> ModelCard:
    family = FAMILIES[pipeline]
    return ModelCard(
        name="tiny", family=family.name, revision="1", licence="mit", native_sizes=(Size(width=64, height=64),),
        accepts=family.accepts, default_steps=family.steps, default_guidance=family.guidance, pipeline=pipeline,
    )  # fmt: skip


def arguments(
    pipeline: str, *requests: ImageRequest, parameters: Collection[str] = EVERYTHING, **defaults: Any
) -> dict[str, Any]:
    return call_arguments(
        requests, card=card_of(pipeline), family=FAMILIES[pipeline], parameters=parameters, model_defaults=defaults
    )


def test_one_request_is_given_as_plain_text():
    assert arguments("StableDiffusionPipeline", ask(1, negative="blur")) == {
        "prompt": "soda can number 1 on plain teal", "negative_prompt": "blur", "width": 64, "height": 64,
        "num_inference_steps": 2, "guidance_scale": 4.0, "output_type": "np",
    }  # fmt: skip


def test_several_requests_are_given_as_lists_with_a_negative_prompt_for_each():
    given = arguments("StableDiffusionPipeline", ask(1), ask(2, negative="blur"))
    assert given["prompt"] == ["soda can number 1 on plain teal", "soda can number 2 on plain teal"]
    assert given["negative_prompt"] == ["", "blur"]


def test_a_pipeline_gets_nothing_that_its_signature_does_not_name():
    given = arguments("PixArtSigmaPipeline", ask(1), parameters=("prompt", "width"), guidance_rescale=0.5)
    assert given == {"prompt": "soda can number 1 on plain teal", "width": 64}


def test_what_a_request_leaves_open_is_the_models_own():
    given = arguments("SanaPipeline", ask(1, steps=None, guidance=None), guidance_rescale=0.5)
    assert (given["num_inference_steps"], given["guidance_scale"], given["guidance_rescale"]) == (20, 4.5, 0.5)
    assert (given["clean_caption"], given["use_resolution_binning"]) == (False, False)


def test_guidance_goes_to_the_argument_that_weighs_the_negative_prompt():
    given = arguments("QwenImagePipeline", ask(1))
    assert (given["true_cfg_scale"], given["negative_prompt"]) == (4.0, "")
    assert "guidance_scale" not in given


def test_flux_makes_its_second_pass_for_negative_prompts_alone():
    without = arguments("FluxPipeline", ask(1))
    assert without["guidance_scale"] == 4.0
    assert {"negative_prompt", "true_cfg_scale"} & without.keys() == set()
    given = arguments("FluxPipeline", ask(1, negative="blur"))
    assert (given["guidance_scale"], given["true_cfg_scale"], given["negative_prompt"]) == (4.0, 2.0, "blur")


@pytest.mark.parametrize(
    ("pipeline", "off", "on"), [("StableDiffusionPipeline", 1.0, 1.5), ("ZImagePipeline", 0.0, 0.5)]
)
def test_guidance_that_is_off_takes_the_negative_prompt_away(pipeline: str, off: float, on: float):
    assert "negative_prompt" not in arguments(pipeline, ask(1, negative="blur", guidance=off))
    assert arguments(pipeline, ask(1, negative="blur", guidance=on))["negative_prompt"] == "blur"


def test_a_number_of_steps_that_a_model_cannot_change_is_kept_and_said():
    request = ask(1, steps=9)
    assert arguments("SanaSprintPipeline", request)["num_inference_steps"] == 2
    sentences = unhonoured_settings(request, card_of("SanaSprintPipeline"), FAMILIES["SanaSprintPipeline"])
    assert sentences == ("sana-sprint models take no other number of steps, so it was left out",)


def test_everything_that_is_not_honoured_is_said():
    request = ask(1, negative="blur", scheduler="euler", adapters=(Adapter(path="teal"),))
    sentences = unhonoured_settings(request, card_of("GlmImagePipeline"), FAMILIES["GlmImagePipeline"])
    assert sentences == (
        "glm-image models take no negative prompt, so it was left out",
        "glm-image models take no other scheduler, so it was left out",
        "glm-image models take no adapters, so it was left out",
    )
