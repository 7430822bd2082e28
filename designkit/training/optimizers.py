"""The optimizers that a schedule may name: built, and their state as tensors and numbers that a checkpoint keeps.

AdamW comes with torch. The others are packages of their own, in the extra `[optimizers]`:

    adamw-8bit     bitsandbytes: Adam's moments in 8 bits (arXiv 2110.02861)
    prodigy        prodigyopt: finds the learning rate itself (arXiv 2306.06101); the schedule's multiplies its own
    schedule-free  schedulefree: AdamW whose average needs no cooldown (arXiv 2405.15682)
"""

# pyright: basic, reportPrivateImportUsage=false, reportMissingImports=false
from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from designkit.errors import InputRefused, Problem
from designkit.training.config import OptimizerName, Schedule

_PACKAGES: Mapping[OptimizerName, str] = {
    "adamw-8bit": "bitsandbytes", "prodigy": "prodigyopt", "schedule-free": "schedulefree",
}  # fmt: skip


def build_optimizer(groups: Sequence[Mapping[str, Any]], schedule: Schedule) -> torch.optim.Optimizer:
    """The schedule's optimizer over groups as torch.optim.AdamW takes them; raises InputRefused without its package."""
    package = _PACKAGES.get(schedule.optimizer)
    if package is not None and find_spec(package) is None:
        raise InputRefused(
            Problem(
                code="optimizer-needs-package", key="training.optimizer",
                message=f"{schedule.optimizer} needs {package}, which is not installed",
                fix=f"run `pip install {package}` in designkit's environment, or leave training.optimizer out",
            )
        )  # fmt: skip
    settings: dict[str, Any] = {
        "lr": schedule.learning_rate, "betas": (schedule.beta1, schedule.beta2), "weight_decay": schedule.weight_decay,
    }  # fmt: skip
    params = [dict(group) for group in groups]
    if schedule.optimizer == "adamw-8bit":
        from bitsandbytes.optim import AdamW8bit

        return AdamW8bit(params, **settings)
    if schedule.optimizer == "prodigy":
        from prodigyopt import Prodigy

        # It takes one rate for all, and tells of its weight decay on the standard output, which is not its to write to.
        with contextlib.redirect_stdout(io.StringIO()):
            return Prodigy([{**group, "lr": schedule.learning_rate} for group in params], **settings)
    if schedule.optimizer == "schedule-free":
        from schedulefree import AdamWScheduleFree

        if any(group.get("betas", settings["betas"])[0] == 0 for group in params):
            raise InputRefused(
                Problem(
                    code="optimizer-betas", key="training.beta1", message="schedule-free needs a beta1 above 0",
                    fix="set training.beta1=0.9, or take another optimizer",
                )
            )  # fmt: skip
        optimizer = AdamWScheduleFree(params, **settings)
        optimizer.train()
        return optimizer
    return torch.optim.AdamW(params, **settings, fused=True)


def state_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Every tensor of an optimizer's state as `<number of the weight>.<kind>`, kinds within kinds with more dots.

    Tables that all weights share are copied, since a file of safetensors has no two names for one tensor.
    """
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for number, entry in optimizer.state_dict()["state"].items():
        for path, value in _leaves(entry):
            if isinstance(value, Tensor):
                is_shared = value.data_ptr() in seen
                seen.add(value.data_ptr())
                tensors[".".join((str(number), *path))] = value.clone() if is_shared else value
    return tensors


def state_numbers(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What an optimizer keeps beside tensors, as JSON has it; nothing for torch's AdamW."""
    if isinstance(optimizer, torch.optim.AdamW):
        return {}
    state = optimizer.state_dict()
    return {
        "state": {
            ".".join((str(number), *path)): value
            for number, entry in state["state"].items()
            for path, value in _leaves(entry)
            if isinstance(value, (bool, int, float, str))
        },
        "groups": [
            {key: value for key, value in group.items() if isinstance(value, (bool, int, float)) and key != "lr"}
            for group in state["param_groups"]
        ],
    }


def load_state(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
    """Give an optimizer the state that `state_tensors` and `state_numbers` told of."""
    entries: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **numbers.get("state", {})}.items():
        number, *path, kind = key.split(".")
        place = entries.setdefault(int(number), {})
        for part in path:
            place = place.setdefault(part, {})
        place[kind] = value
    groups = optimizer.state_dict()["param_groups"]
    for group, kept in zip(groups, numbers.get("groups", ()), strict=False):
        group.update(kept)
    optimizer.load_state_dict({"state": entries, "param_groups": groups})


@torch.no_grad()
def averaged(optimizer: torch.optim.Optimizer) -> dict[int, Tensor]:
    """The weights that an optimizer means to be used, by the id of those it trains, where these are others.

    Schedule-free learns at y, between its average x and its base z: y = beta x + (1 - beta) z (equation 1), so
    x = y + (1 - 1 / beta) (z - y).
    """
    if not hasattr(optimizer, "train"):
        return {}
    return {
        id(weight): torch.lerp(weight.detach(), optimizer.state[weight]["z"], 1 - 1 / group["betas"][0])
        for group in optimizer.param_groups
        for weight in group["params"]
        if "z" in optimizer.state[weight]
    }


def _leaves(entry: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in entry.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value
