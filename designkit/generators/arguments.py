"""From requests to the arguments of one pipeline call: each pipeline gets what it takes and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from designkit.generators.base import ModelCard
from designkit.generators.families import Family
from designkit.generators.strength import parse_strength
from designkit.values import ImageRequest


def call_arguments(
    requests: Sequence[ImageRequest],
    *,
    card: ModelCard,
    family: Family,
    parameters: Collection[str],
    model_defaults: Mapping[str, Any],
) -> dict[str, Any]:
    """The arguments, all but the random generators, with which a pipeline draws these requests in one call.

    `parameters` are the names in the pipeline's signature. The requests agree in everything but prompt,
    negative prompt and seed. One request is given as plain text, several as lists, since not every pipeline
    takes lists. Weights of words are left out here; pipelines that honour them get `clip_text.embed` instead.
    """
    first, is_one = requests[0], len(requests) == 1
    steps = first.steps if family.takes_steps and first.steps is not None else card.default_steps
    guidance = card.default_guidance if first.guidance is None else first.guidance
    prompts = [_words(request.prompt, family) for request in requests]
    arguments: dict[str, Any] = {
        "prompt": prompts[0] if is_one else prompts,
        "width": first.drawn.width,
        "height": first.drawn.height,
        "output_type": "np",  # Unlike finished pictures, numbers show whether they are finite.
        **family.always,
    }
    if steps is not None:
        arguments["num_inference_steps"] = steps
    if guidance is not None and family.guidance_argument is not None:
        arguments[family.guidance_argument] = guidance
    if "guidance_rescale" in model_defaults:
        arguments["guidance_rescale"] = model_defaults["guidance_rescale"]
    if family.takes_negative and negative_counts(requests, family, guidance):
        # Some pipelines fail on None where others take it for the empty text; all take the empty text.
        negatives = [_words(request.negative, family) for request in requests]
        arguments["negative_prompt"] = negatives[0] if is_one else negatives
        arguments.update(family.with_negative)
    return {name: value for name, value in arguments.items() if name in parameters}


def unhonoured_settings(request: ImageRequest, card: ModelCard, family: Family) -> tuple[str, ...]:
    """What this request asks for and the model cannot honour, each in one sentence."""
    guidance = card.default_guidance if request.guidance is None else request.guidance
    asked = {
        "negative": bool(request.negative),
        "guidance": request.guidance is not None,
        "scheduler": request.scheduler is not None,
        "adapters": bool(request.adapters),
        "steps": request.steps is not None,
        "word_weights": any(parse_strength(text).is_weighted for text in (request.prompt, request.negative)),
    }
    names = {
        "negative": "negative prompt",
        "scheduler": "other scheduler",
        "guidance": "guidance setting",
        "steps": "other number of steps",
        "word_weights": "weights of words",
    }
    sentences = [
        f"{card.family} models take no {names.get(setting, setting)}, so it was left out"
        for setting, is_asked in asked.items()
        if is_asked and setting not in card.accepts
    ]
    sentences += [
        f"{tag.written} was left out: a request names its adapters in `adapters`"
        for tag in parse_strength(request.prompt).tags
    ]
    if request.negative and family.takes_negative and not negative_counts([request], family, guidance):
        sentences.append(f"the negative prompt plays no part at guidance {guidance:g}")
    return tuple(sentences)


def _words(prompt: str, family: Family) -> str:
    """What a text encoder is to read of a prompt."""
    strength = parse_strength(prompt)
    return strength.text if family.weighs_words else strength.plain


def negative_counts(requests: Sequence[ImageRequest], family: Family, guidance: float | None) -> bool:
    """Whether the pipeline is to be given negative prompts, be they empty."""
    if family.with_negative:
        return any(request.negative for request in requests)
    return guidance is None or guidance > family.guidance_off
