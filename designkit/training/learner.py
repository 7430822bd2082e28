"""What learns: weights, their average, one optimizer a phase, and counters; one update at a time, to and from disk."""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator

from designkit.errors import InputRefused, Problem, TrainingStopped
from designkit.models.checkpoint import load_checkpoint, save_checkpoint
from designkit.models.device import training_precision
from designkit.training.config import Schedule
from designkit.training.ema import MovingAverage
from designkit.training.optimizers import averaged, build_optimizer, load_state, state_numbers, state_tensors
from designkit.training.parts import add_measures, is_out_of_memory, parts, rows_of
from designkit.training.processes import average, is_any

if TYPE_CHECKING:
    from designkit.training.loop import Phase, Task


@dataclass
class Counters:
    """What has to be known, beside tensors, to go on exactly."""

    precision: str
    micro_batch: int
    step: int = 0
    seconds: float = 0.0
    finished: bool = False
    num_updates: int = 0
    rate_scale: float = 1.0
    num_rollbacks: int = 0
    optimizers: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class Update:
    """What one step measured; `is_good` is False where an update was left out because something was no number."""

    losses: dict[str, float]
    metrics: dict[str, float]
    notes: tuple[str, ...]
    is_good: bool


class Learner:
    """The state of one training run in this process."""

    def __init__(self, task: Task, schedule: Schedule, accelerator: Accelerator) -> None:
        if schedule.batch_size % accelerator.num_processes:
            raise InputRefused(
                Problem(
                    code="batch-size", key="batch_size",
                    message=f"{schedule.batch_size} cannot be shared by {accelerator.num_processes} processes",
                    fix="take a multiple of the number of processes",
                )
            )  # fmt: skip
        self.task = task
        self.schedule = schedule
        self.accelerator = accelerator
        self.module = task.module.to(accelerator.device)
        self.phases = list(task.phases(schedule))
        self.optimizers = {name: build_optimizer(groups, schedule) for name, groups in _groups(self.phases).items()}
        self.base_rates = {
            name: [float(group["lr"]) for group in optimizer.param_groups]
            for name, optimizer in self.optimizers.items()
        }
        self.losses = [torch.compile(phase.loss) if schedule.compile else phase.loss for phase in self.phases]
        names = {id(parameter): name for name, parameter in self.module.named_parameters()}
        learning = {id(p): p for phase in self.phases for p in _parameters(phase)}
        delivered = {id(p) for phase in self.phases if phase.averaged for p in _parameters(phase)}
        self.parameters = {names[key]: parameter for key, parameter in learning.items()}
        self.average = MovingAverage(
            {names[key]: learning[key] for key in learning if key in delivered}, schedule.ema_decay
        )
        share = schedule.batch_size // accelerator.num_processes
        self.first_row = accelerator.process_index * share
        self.last_row = self.first_row + share
        self.counters = Counters(
            precision=training_precision(schedule.precision, accelerator.device),
            micro_batch=min(share, schedule.micro_batch or share),
        )

    @property
    def base_rate(self) -> float:
        """The learning rate of the last phase's first group, before any factor."""
        return self.base_rates[self.phases[-1].name][0]

    def update(self, batch: Any, factor: float) -> Update:
        """Go through the phases once, with every learning rate times `factor`; counts one step."""
        losses: dict[str, float] = {}
        metrics: dict[str, float] = {}
        notes: list[str] = []
        is_good = True
        for place, phase in enumerate(self.phases):
            own = {id(parameter): parameter for parameter in _parameters(phase)}
            for parameter in self.parameters.values():
                parameter.requires_grad_(id(parameter) in own)
            loss = self._gradients(place, batch, metrics, notes)
            norm = torch.nn.utils.clip_grad_norm_(list(own.values()), self.schedule.gradient_clip)
            losses[phase.name] = loss
            if torch.isfinite(norm) and torch.isfinite(torch.tensor(loss)):
                optimizer = self.optimizers[phase.name]
                for group, rate in zip(optimizer.param_groups, self.base_rates[phase.name], strict=True):
                    group["lr"] = rate * factor
                optimizer.step()
            else:
                is_good = False
            self.module.zero_grad(set_to_none=True)
        for parameter in self.parameters.values():
            parameter.requires_grad_(True)
        if self.accelerator.num_processes > 1:
            average(self.accelerator, [buffer for buffer in self._buffers().values() if buffer.is_floating_point()])
        if is_good:
            self.average.update(self._meant())
        self.counters.step += 1
        return Update(losses=losses, metrics=metrics, notes=tuple(notes), is_good=is_good)

    def is_finite(self) -> bool:
        """Whether every number that a checkpoint would keep is one."""
        return all(bool(tensor.isfinite().all()) for tensor in self._tensors().values() if tensor.is_floating_point())

    def save(self, folder: Path) -> None:
        """Write a checkpoint, where this is the main process."""
        if self.accelerator.is_main_process:
            self.counters.num_updates = self.average.num_updates
            self.counters.optimizers = {name: state_numbers(each) for name, each in self.optimizers.items()}
            save_checkpoint(folder, self.counters.step, self._tensors(), asdict(self.counters))

    def restore(self, folder: Path) -> tuple[str, ...] | None:
        """Take up the newest whole checkpoint of `folder`; None where there is none, else what there is to tell.

        What does not learn is left as it is. Raises ModelRefused where the checkpoint is of another model.
        """
        found = load_checkpoint(folder)
        if found is None:
            return None
        weights = {**self.parameters, **self._buffers()}
        found.expect({f"weights.{name}": tensor for name, tensor in weights.items()})
        with torch.no_grad():
            for name, tensor in weights.items():
                tensor.copy_(found.tensors[f"weights.{name}"])
        self.average.load(_under("average.", found.tensors), int(found.counters["num_updates"]))
        for name, optimizer in self.optimizers.items():
            numbers = found.counters.get("optimizers", {}).get(name, {})
            load_state(optimizer, _under(f"optimizer.{name}.", found.tensors), numbers)
        known = {each.name for each in fields(Counters)}
        kept = {name: value for name, value in found.counters.items() if name in known}
        self.counters = Counters(**{**asdict(self.counters), **kept})
        return found.notes

    def deliver(self) -> None:
        """Put the averaged weights into the module."""
        self.average.copy_to(self.parameters)

    def _gradients(self, place: int, batch: Any, metrics: dict[str, float], notes: list[str]) -> float:
        """Leave the phase's mean gradients over all processes in its weights; halve the parts until they fit."""
        while True:
            measured: dict[str, float] = {}
            self._seed(place)
            try:
                loss = self._accumulate(place, batch, measured)
                error = None
            except RuntimeError as problem:
                if not is_out_of_memory(problem):
                    raise
                loss, error = float("nan"), problem
            if not is_any(self.accelerator, error is not None):
                break
            del error
            self._make_room(notes)
        gradients = [p.grad for p in _parameters(self.phases[place]) if p.grad is not None]
        average(self.accelerator, gradients)
        if self.accelerator.num_processes > 1:
            shared = torch.tensor([loss, *measured.values()], device=self.accelerator.device)
            average(self.accelerator, [shared])
            loss, *values = shared.tolist()
            measured = dict(zip(measured, values, strict=True))
        metrics |= measured
        return loss

    def _accumulate(self, place: int, batch: Any, measured: dict[str, float]) -> float:
        total = 0.0
        size, rows = self.schedule.batch_size, self.last_row - self.first_row
        is_bf16 = self.counters.precision == "bf16"
        for begin, end in parts(self.first_row, self.last_row, self.counters.micro_batch):
            share = (end - begin) / rows
            part = batch if end - begin == size else rows_of(batch, begin, end, size)
            # Not accelerate's own mixed precision: that is fixed for the process, and stages may differ.
            with torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=is_bf16):
                loss, metrics = self.losses[place](part)
            (loss if share == 1 else loss * share).backward()
            total += share * float(loss.detach())
            add_measures(measured, metrics, share)
        return total

    def _make_room(self, notes: list[str]) -> None:
        """Halve the rows computed at once; raises TrainingStopped where that is one already."""
        self.module.zero_grad(set_to_none=True)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.counters.micro_batch == 1:
            raise TrainingStopped(
                f"one row of a batch does not fit into the memory of {self.accelerator.device}",
                fix="train a smaller model or smaller pictures",
            )
        self.counters.micro_batch = -(-self.counters.micro_batch // 2)
        notes.append(
            f"memory did not suffice: from here on {self.counters.micro_batch} of "
            f"{self.last_row - self.first_row} rows are computed at once; what is learned stays the same"
        )

    def _seed(self, place: int) -> None:
        number = (self.task.seed * 1_000_003 + self.counters.step) * len(self.phases) + place
        seed = (number * self.accelerator.num_processes + self.accelerator.process_index) % 2**63
        torch.default_generator.manual_seed(seed)
        # Where there is no GPU, torch.manual_seed would write down the call stack for each kind that might come.
        if torch.cuda.is_available():
            torch.cuda.manual_seed_all(seed)

    def _meant(self) -> Mapping[str, torch.Tensor]:
        """The weights as their optimizers mean them to be used, which is what is averaged and delivered."""
        others: dict[int, torch.Tensor] = {}
        for optimizer in self.optimizers.values():
            others |= averaged(optimizer)
        return (
            {name: others.get(id(weight), weight) for name, weight in self.parameters.items()}
            if others
            else (self.parameters)
        )

    def _buffers(self) -> dict[str, torch.Tensor]:
        kept = self.module.state_dict(keep_vars=True).keys()
        return {name: buffer for name, buffer in self.module.named_buffers() if name in kept}

    def _tensors(self) -> dict[str, torch.Tensor]:
        tensors = {
            f"weights.{name}": tensor.detach() for name, tensor in {**self.parameters, **self._buffers()}.items()
        }
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.shadow.items()}
        for name, optimizer in self.optimizers.items():
            tensors |= {f"optimizer.{name}.{key}": tensor for key, tensor in state_tensors(optimizer).items()}
        return tensors


def _groups(phases: list[Phase]) -> dict[str, Sequence[dict[str, Any]]]:
    """The groups of weights of each optimizer; phases of one name share one."""
    groups: dict[str, Sequence[dict[str, Any]]] = {}
    for phase in phases:
        groups.setdefault(phase.name, phase.groups)
    return groups


def _parameters(phase: Phase) -> list[torch.nn.Parameter]:
    return [parameter for group in phase.groups for parameter in group["params"]]


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
