"""The samplers that a prompt file may name, and making one of them for a pipeline."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from designkit.errors import InputRefused, Problem

SCHEDULERS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "use_karras_sigmas": False}),
    "dpm++-karras": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True}),
    "dpm++-sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": False}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "lcm": ("LCMScheduler", {}),
}
"""Name in a prompt file -> class of diffusers, and what it is configured with beside the model's own settings."""

# A model was trained for these; a sampler that does not know of one would draw noise without a word.
_TRAINED_IN = ("prediction_type", "rescale_betas_zero_snr", "use_flow_sigmas")


def scheduler_problem(name: str) -> Problem | None:
    """Why no sampler has this name, with the nearest that there is; None when it is fine."""
    if name in SCHEDULERS:
        return None
    nearest = difflib.get_close_matches(name.lower(), SCHEDULERS, n=1, cutoff=0.4)
    hint = f"did you mean {nearest[0]}? " if nearest else ""
    return Problem(
        code="unknown-scheduler",
        key="model.scheduler",
        message=f"there is no scheduler named {name!r}",
        fix=f"{hint}there are {', '.join(SCHEDULERS)}",
    )


def make_scheduler(name: str, model_settings: Mapping[str, Any]) -> Any:
    """A scheduler of diffusers for a model with these scheduler settings.

    Raises InputRefused when the name is unknown, or when the model was trained in a way that this sampler
    cannot follow.
    """
    problem = scheduler_problem(name)
    if problem:
        raise InputRefused(problem)
    import diffusers

    class_name, settings = SCHEDULERS[name]
    scheduler_class = getattr(diffusers, class_name)
    known = inspect.signature(scheduler_class.__init__).parameters
    missed = [
        setting
        for setting in _TRAINED_IN
        if setting not in known and model_settings.get(setting) not in (None, False, "epsilon")
    ]
    if missed:
        raise InputRefused(
            Problem(
                code="scheduler-unfit",
                key="model.scheduler",
                message=f"{name} cannot sample this model, which was trained with "
                + " and ".join(f"{setting}={model_settings[setting]}" for setting in missed),
                fix="leave the scheduler out, or use dpm++",
            )
        )
    return scheduler_class.from_config(dict(model_settings), **settings)
