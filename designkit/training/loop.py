"""The one training loop: any task, on accelerate, resumable at every step.

A **task** is what is trained: a `module`, `batch(step, size)`, and `phases(schedule)`. One optimizer step of the
loop makes one batch and goes through the phases in their order; each phase computes a loss on that batch and
updates its own weights. A task with one loss has one phase:

    def phases(self, schedule):
        weights = list(self.module.parameters())
        return [Phase(loss=self.module, groups=[{"params": weights, "lr": schedule.learning_rate}])]

A GAN has two, or more where the discriminator learns several times a step; phases of one name share an optimizer:

    def phases(self, schedule):
        common = {"lr": schedule.learning_rate, "betas": (0.0, 0.99)}
        judging = [{"params": list(self.module.discriminator.parameters()), **common}]
        drawing = [{"params": list(self.module.generator.parameters()), **common}]
        return [
            Phase(name="discriminator", loss=self.judge, groups=judging, averaged=False),
            Phase(name="generator", loss=self.draw, groups=drawing),
        ]

What the loop promises, and what it asks for in return:

- `batch(step, size)` is a function of its numbers alone, and its tensors and lists have `size` rows. So only weights,
  buffers, optimizers and counters are kept, and a run that was stopped anywhere ends in the same bytes (CPU, fp32).
  Torch's global generators are seeded anew from `task.seed` and the step before every phase; dropout and noise that
  is drawn inside a loss may use them.
- A loss is a mean over rows, so that it may be computed part by part (`micro_batch`, or where memory is short) and
  over several processes. It is called with some of the rows, as a batch of the same structure; what has no rows (a
  number, a flag) comes whole. Penalties that need gradients of gradients are written inside the loss, under
  `torch.autocast(..., enabled=False)` where they must be fp32. What steers them lazily belongs into the batch.
- While a phase's loss is computed, weights that only other phases train need no gradient.
- State outside the weights (an adaptive augmentation's strength, a codebook's counts) is a buffer of the module.
- `look()` is called ten times a run and at its start, with the averaged weights in place, in eval mode and without
  gradients; what it returns becomes `previews/`, columns of `log.csv`, and notes.

The loop yields a report a step and prints nothing. Closing the iterator saves: the next call goes on from there.
"""

# pyright: basic
from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from PIL import Image

from designkit.runs.folder import locked, make_folder
from designkit.training.config import Schedule
from designkit.training.learner import Counters, Learner
from designkit.training.logbook import record
from designkit.training.parts import is_out_of_memory
from designkit.training.processes import from_first
from designkit.training.watch import Watch

NUM_LOOKS = 10
"""How often a run looks at what its model does, besides at its start."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One update within a step: what is minimised, and which weights learn by it.

    `loss(batch)` returns the mean loss over the rows and what else it measured, {name: number or 0-d tensor} (tensors
    keep a compiled loss whole). `groups` are as torch.optim.AdamW takes them, each with its own `lr` and, if wanted,
    `betas` and `weight_decay`; phases of one name share one optimizer. `averaged` says whether these weights are
    delivered, and looked at, as their moving average.
    """

    loss: Callable[[Any], tuple[torch.Tensor, dict[str, Any]]]
    groups: Sequence[dict[str, Any]]
    name: str = "model"
    averaged: bool = True


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a look at a half-trained model shows: a picture of fixed seeds, held-out measures, warnings in words."""

    picture: Image.Image | None = None
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    warnings: tuple[str, ...] = ()


class Task(Protocol):
    """What is trained; the module docstring says what each part promises."""

    seed: int

    @property
    def module(self) -> torch.nn.Module:
        """Everything that is trained, and every buffer that changes on the way."""
        ...

    def batch(self, step: int, size: int) -> Any:
        """The `size` rows of optimizer step `step`: tensors, lists, and dicts of them."""
        ...

    def phases(self, schedule: Schedule) -> Sequence[Phase]:
        """The updates of one step, in their order; the same at every call."""
        ...

    def look(self) -> Look | None:
        """What the model does so far, always of the same seeds; None where there is nothing to see."""
        ...


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One optimizer step: how far the run is (`progress` in 0..1), what was measured, what happened.

    `losses` are by phase name. `looks` are the looks taken around this step, each with the number of steps behind it.
    `notes` say in words what a user should know: a step skipped, weights rolled back, a batch computed in parts.
    """

    step: int
    progress: float
    losses: dict[str, float]
    learning_rate: float
    samples_per_second: float
    seconds: float
    seconds_left: float
    metrics: dict[str, float]
    looks: tuple[tuple[int, Look], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def loss(self) -> float:
        """The sum of the phases' losses."""
        return sum(self.losses.values())


@dataclass(frozen=True, kw_only=True)
class StageReport:
    """One step of one stage of a recipe; `stage` names it, `report` is the loop's."""

    stage: str
    report: StepReport


def train(task: Task, schedule: Schedule, folder: Path) -> Generator[StepReport]:
    """Train until the schedule's end; the task's module then holds the averaged weights.

    `folder` takes the checkpoints, `log.csv`, `curves.png` and `previews/`; all processes must see it. Called again
    after a stop it goes on from the newest checkpoint; called after the end it yields nothing and restores the final
    weights. A loss that is no number is survived by skipping the step, then by rolling back at half the rate; memory
    that does not suffice by computing batches in smaller parts. Raises TrainingStopped where neither helps, RunInUse
    where another process trains into `folder`, StorageError where it cannot be written, and ModelRefused where its
    checkpoint is of another model.
    """
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    with contextlib.ExitStack() as stack:
        if accelerator.is_main_process:
            make_folder(folder)
            stack.enter_context(locked(folder))
        reports = _steps(task, schedule, folder, accelerator)
        if accelerator.is_main_process:
            reports = record(reports, folder, tensorboard=schedule.tensorboard)
        yield from stack.enter_context(contextlib.closing(reports))


def stage(name: str, reports: Generator[StepReport]) -> Generator[StageReport]:
    """The reports of one stage of a recipe; closing this closes them, and so saves."""
    with contextlib.closing(reports):
        for report in reports:
            yield StageReport(stage=name, report=report)


def rate_factor(schedule: Schedule, progress: float, step: int) -> float:
    """The learning rate's multiplier: linear warm-up, flat, linear cooldown over the last share of the run."""
    warm = min(1.0, (step + 1) / max(1, schedule.warmup_steps))
    left = (1.0 - progress) / schedule.cooldown if schedule.cooldown else 1.0
    return warm * min(1.0, max(0.0, left))


def _steps(task: Task, schedule: Schedule, folder: Path, accelerator: Accelerator) -> Generator[StepReport]:
    learner = Learner(task, schedule, accelerator)
    watch = Watch(learner, folder)
    notes = _begin(learner, folder)
    counters = learner.counters
    saved_step, last_saved = counters.step, time.monotonic()
    spent_before, started = counters.seconds, time.monotonic()
    looks: list[tuple[int, Look]] = []
    if counters.step == 0 and not counters.finished:
        looks += _look(learner, notes)
    try:
        while not learner.counters.finished:
            begun, progress = time.monotonic(), _progress(schedule, learner.counters)
            factor = rate_factor(schedule, progress, learner.counters.step) * learner.counters.rate_scale
            update = learner.update(task.batch(learner.counters.step, schedule.batch_size), factor)
            samples_per_second = schedule.batch_size / max(time.monotonic() - begun, 1e-9)
            notes += [*update.notes, *watch.heed(update)]
            counters = learner.counters  # a rollback puts others there
            counters.seconds = from_first(accelerator, spent_before + time.monotonic() - started)
            reached = _progress(schedule, counters)
            counters.finished = reached >= 1
            if int(reached * NUM_LOOKS) > int(progress * NUM_LOOKS):
                looks += _look(learner, notes)
            is_due = counters.finished or time.monotonic() - last_saved > schedule.checkpoint_minutes * 60
            if is_due and (watch.is_calm or counters.finished):
                learner.save(folder)
                saved_step, last_saved = counters.step, time.monotonic()
            yield StepReport(
                step=counters.step, progress=reached, losses=update.losses, metrics=update.metrics,
                learning_rate=learner.base_rate * factor, samples_per_second=samples_per_second,
                seconds=counters.seconds, seconds_left=_seconds_left(schedule, counters),
                looks=tuple(looks), notes=tuple(notes),
            )  # fmt: skip
            looks.clear()
            notes.clear()
    except GeneratorExit:
        if watch.is_calm and learner.counters.step != saved_step:
            learner.save(folder)
        raise
    learner.deliver()


def _begin(learner: Learner, folder: Path) -> list[str]:
    """Take up the newest checkpoint, or write the first one, so that there always is one to roll back to."""
    accelerator = learner.accelerator
    notes: tuple[str, ...] | None = ()
    if accelerator.is_main_process:
        notes = learner.restore(folder)
        if notes is None:
            learner.save(folder)
    accelerator.wait_for_everyone()
    if not accelerator.is_main_process:
        learner.restore(folder)
    return list(notes or ())


def _look(learner: Learner, notes: list[str]) -> list[tuple[int, Look]]:
    """The task's look at its averaged weights, in the main process; what it must not do is stop the training."""
    if not learner.accelerator.is_main_process:
        return []
    was_training = {module: module.training for module in learner.module.modules()}
    look = None
    with learner.average.in_place_of(learner.parameters), torch.no_grad():
        learner.module.eval()
        try:
            look = learner.task.look()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            notes.append(f"no look at step {learner.counters.step}: memory did not suffice")
        finally:
            for module, training in was_training.items():
                module.training = training
    if look is None:
        return []
    notes += look.warnings
    return [(learner.counters.step, look)]


def _progress(schedule: Schedule, counters: Counters) -> float:
    if schedule.minutes is not None:
        return min(1.0, counters.seconds / (schedule.minutes * 60))
    assert schedule.steps is not None
    return min(1.0, counters.step / schedule.steps)


def _seconds_left(schedule: Schedule, counters: Counters) -> float:
    if schedule.minutes is not None:
        return max(0.0, schedule.minutes * 60 - counters.seconds)
    assert schedule.steps is not None
    return (schedule.steps - counters.step) * counters.seconds / max(1, counters.step)
