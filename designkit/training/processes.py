"""What several training processes agree on: gradients, buffers, clocks and bad luck.

Gradients are averaged by hand when a loss is complete, not by hooks in the backward pass: that holds for any number
of losses a step, for gradients of gradients, and for batches that are computed in parts.
"""

# pyright: basic
from __future__ import annotations

from collections.abc import Iterable

import torch
from accelerate import Accelerator, PartialState
from torch import distributed


def state() -> PartialState:
    """This process among those that `accelerate launch` has started; its main one writes what is shared."""
    return PartialState(cpu=not torch.cuda.is_available())


def average(accelerator: Accelerator, tensors: Iterable[torch.Tensor]) -> None:
    """Put the mean over all processes into each tensor, in place; floating tensors of any shapes."""
    if accelerator.num_processes == 1:
        return
    by_type: dict[torch.dtype, list[torch.Tensor]] = {}
    for tensor in tensors:
        by_type.setdefault(tensor.dtype, []).append(tensor)
    for same in by_type.values():
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in same])
        distributed.all_reduce(flat)
        flat /= accelerator.num_processes
        with torch.no_grad():
            for tensor, part in zip(same, flat.split([tensor.numel() for tensor in same]), strict=True):
                tensor.copy_(part.view_as(tensor))


def is_any(accelerator: Accelerator | PartialState, flag: bool) -> bool:
    """Whether the flag is raised in any process."""
    if accelerator.num_processes == 1:
        return flag
    raised = torch.tensor(float(flag), device=accelerator.device)
    distributed.all_reduce(raised)
    return bool(raised > 0)


def from_first(accelerator: Accelerator, number: float) -> float:
    """The first process' number."""
    if accelerator.num_processes == 1:
        return number
    shared = torch.tensor(number, dtype=torch.float64, device=accelerator.device)
    distributed.broadcast(shared, 0)
    return float(shared)
