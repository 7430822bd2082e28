"""The one training loop: any task, on accelerate, resumable at every checkpoint.

A task gives a module whose forward returns the loss, and batches that are a function of the step number
alone; so nothing but the weights, the optimizer and the step need be kept to go on exactly where a run
stopped. The loop yields a report a step and prints nothing.
"""

# pyright: basic
from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator

from designkit.errors import DesignkitError
from designkit.models.checkpoint import load_checkpoint, save_checkpoint
from designkit.training.config import Schedule
from designkit.training.ema import MovingAverage


class TrainingStopped(DesignkitError):
    """The loss stopped being a number; the last checkpoint is good."""


class Task(Protocol):
    """What is trained: the module, its data, and which weights learn how fast."""

    @property
    def module(self) -> torch.nn.Module:
        """Everything that is trained; its forward(batch) returns the loss and {name: number}."""
        ...

    def batch(self, step: int, size: int) -> Any:
        """The `size` samples of optimizer step `step`; the same for the same numbers."""
        ...

    def parameter_groups(self, learning_rate: float) -> Sequence[dict[str, Any]]:
        """Groups as torch optimizers take them, each with its own `lr`."""
        ...


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One optimizer step: how far the run is (`progress` in 0..1) and what the task measured."""

    step: int
    progress: float
    loss: float
    learning_rate: float
    samples_per_second: float
    seconds_left: float
    metrics: dict[str, float]


def train(task: Task, schedule: Schedule, folder: Path) -> Iterator[StepReport]:
    """Train until the schedule's end; the task's module then holds the averaged weights.

    `folder` takes the checkpoints. Called again after a stop it goes on from the newest one; called after
    the end it yields nothing and restores the final weights. Raises TrainingStopped when the loss is not
    finite for three steps on end.
    """
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    optimizer = torch.optim.AdamW(
        list(task.parameter_groups(schedule.learning_rate)), lr=schedule.learning_rate,
        betas=(0.9, schedule.beta2), weight_decay=schedule.weight_decay, fused=True,
    )  # fmt: skip
    base_rates = [float(group["lr"]) for group in optimizer.param_groups]
    module, optimizer = accelerator.prepare(task.module, optimizer)
    bare: torch.nn.Module = accelerator.unwrap_model(module)
    average = MovingAverage(bare, schedule.ema_decay)
    state = _State()
    if (saved := load_checkpoint(folder)) is not None:
        state = _restore(saved, bare, optimizer.optimizer, average)
    size = schedule.batch_size // accelerator.num_processes
    bad_steps = 0
    last_saved = started = time.monotonic()
    spent_before = state.seconds
    while not state.finished:
        progress = _progress(schedule, state)
        factor = rate_factor(schedule, progress, state.step)
        for group, rate in zip(optimizer.param_groups, base_rates, strict=True):
            group["lr"] = rate * factor
        begun = time.monotonic()
        batch = task.batch(state.step * accelerator.num_processes + accelerator.process_index, size)
        # Not accelerate's own mixed precision: that is fixed for the process, and stages may differ.
        with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=schedule.precision == "bf16"):
            loss, metrics = module(batch)
        number = float(loss.detach())
        bad_steps = 0 if math.isfinite(number) else bad_steps + 1
        if bad_steps >= 3:
            raise TrainingStopped(
                f"the loss is {number} since step {state.step - 2}", fix="lower learning_rate and run again"
            )
        if bad_steps == 0:
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(bare.parameters(), schedule.gradient_clip)
            optimizer.step()
            average.update(bare)
        optimizer.zero_grad(set_to_none=True)
        now = time.monotonic()
        state.step += 1
        state.seconds = spent_before + now - started
        state.finished = _progress(schedule, state) >= 1
        if accelerator.is_main_process and (state.finished or now - last_saved > schedule.checkpoint_minutes * 60):
            _save(folder, bare, optimizer.optimizer, average, state)
            last_saved = now
        yield StepReport(
            step=state.step, progress=progress, loss=number, learning_rate=base_rates[0] * factor,
            samples_per_second=schedule.batch_size / max(now - begun, 1e-9),
            seconds_left=_seconds_left(schedule, state), metrics=metrics,
        )  # fmt: skip
    average.copy_to(bare)


def rate_factor(schedule: Schedule, progress: float, step: int) -> float:
    """The learning rate's multiplier: linear warm-up, flat, linear cooldown over the last share of the run."""
    warm = min(1.0, (step + 1) / max(1, schedule.warmup_steps))
    left = (1.0 - progress) / schedule.cooldown if schedule.cooldown else 1.0
    return warm * min(1.0, max(0.0, left))


@dataclass
class _State:
    step: int = 0
    seconds: float = 0.0
    finished: bool = False


def _progress(schedule: Schedule, state: _State) -> float:
    if schedule.minutes is not None:
        return min(1.0, state.seconds / (schedule.minutes * 60))
    assert schedule.steps is not None
    return min(1.0, state.step / schedule.steps)


def _seconds_left(schedule: Schedule, state: _State) -> float:
    if schedule.minutes is not None:
        return max(0.0, schedule.minutes * 60 - state.seconds)
    assert schedule.steps is not None
    return (schedule.steps - state.step) * state.seconds / max(1, state.step)


def _save(
    folder: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer, average: MovingAverage, state: _State
) -> None:
    tensors = {f"weights.{name}": tensor for name, tensor in module.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.shadow.items()}
    for index, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value for key, value in entry.items()}
    counters = {"seconds": state.seconds, "finished": state.finished, "num_updates": average.num_updates}
    save_checkpoint(folder, state.step, tensors, counters)


def _restore(
    saved: tuple[dict[str, torch.Tensor], dict[str, Any]], module: torch.nn.Module,
    optimizer: torch.optim.Optimizer, average: MovingAverage,
) -> _State:  # fmt: skip
    tensors, counters = saved
    module.load_state_dict(_under("weights.", tensors))
    average.load(_under("average.", tensors), int(counters["num_updates"]))
    entries: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in _under("optimizer.", tensors).items():
        index, key = name.split(".", 1)
        entries.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})
    return _State(step=int(counters["step"]), seconds=float(counters["seconds"]), finished=bool(counters["finished"]))


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
