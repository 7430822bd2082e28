# pyright: basic
"""Where torch computes: the device, the precision and the number of threads; decided here and nowhere else.

Import this before torch wherever a process starts: the wait policy below counts only until torch is loaded.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# Threads that spin while they wait for each other make two torch processes on the same cores about twenty times
# slower than one after the other; threads that sleep at once make small networks a third slower on free cores.
# A short spin, then sleep, costs neither. Whoever has set a policy keeps it.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ.update(OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="1000")

import torch
import torch.nn.functional as F

from designkit.errors import InputRefused, Problem

MIN_BF16_GAIN = 1.2
"""How many times faster than fp32 a CPU must be in bf16 for `auto` to choose it."""


@dataclass(frozen=True, kw_only=True)
class Compute:
    """How one process computes: with `workers` calls side by side, each of which uses `threads` threads.

    The threads of a call set the last bits of what it computes; the number of calls beside it does not.
    `reason` tells in words why this precision was chosen.
    """

    device: torch.device
    dtype: torch.dtype
    precision: Literal["fp32", "bf16", "fp16"]
    threads: int
    workers: int
    reason: str


_DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_compute(
    *,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    device: str | None = None,
    threads: int | None = None,
    runs_small_calls: bool = False,
) -> Compute:
    """Decide device, precision and threads for this process, and set torch's number of threads.

    `device` is a torch device ("cpu", "cuda:1"); None takes this process' own accelerator as accelerate assigns
    it, else the CPU. `threads` None takes the cores that this process may use, or one where it `runs_small_calls`:
    many calls of a small model, which gain more from the cores by running side by side than one by one over all
    of them. Raises InputRefused when the device is not there or cannot compute in that precision.
    """
    chosen = _own_device() if device is None else _named_device(device)
    cores = max(1, free_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    is_split = runs_small_calls and chosen.type == "cpu"
    count = threads or (1 if is_split else cores)
    torch.set_num_threads(count)
    if chosen.type == "cuda":
        # Kernels that are picked by timing differ from run to run, and so would the last bits of pictures.
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    name, reason = _choose_precision(precision, chosen)
    workers = max(1, cores // count) if is_split else 1
    return Compute(device=chosen, dtype=_DTYPES[name], precision=name, threads=count, workers=workers, reason=reason)


def training_precision(asked: str, device: torch.device) -> Literal["fp32", "bf16"]:
    """What weights in fp32 are trained with: bf16 where asked for or, with "auto", where the device gains by it.

    fp16 is never chosen: its small range of numbers needs scaled losses, and a CPU is slower with it.
    """
    if asked != "auto":
        return "bf16" if asked == "bf16" else "fp32"
    if device.type in ("cpu", "cuda"):
        return "bf16" if _automatic_precision(device)[0] == "bf16" else "fp32"
    return "fp32"


def free_cores() -> int:
    """How many cores this process may use: its affinity, and the quota of its container where there is one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores  # No such file, or "max": no quota.


def bf16_gain() -> float:
    """How many times faster this CPU computes a convolution and a matrix product in bf16 than in fp32.

    Takes about a tenth of a second; the best of several rounds counts, so that other work hardly shows.
    """
    seconds = dict.fromkeys((torch.float32, torch.bfloat16), math.inf)
    with torch.inference_mode():
        for _ in range(3):
            for dtype in seconds:
                seconds[dtype] = min(seconds[dtype], _seconds_of_sample(dtype))
    return seconds[torch.float32] / seconds[torch.bfloat16]


def _seconds_of_sample(dtype: torch.dtype) -> float:
    """Time of one round of what a small diffusion model does most."""
    picture = torch.ones(2, 192, 16, 16, dtype=dtype)  # [N, C, H, W]
    kernel = torch.ones(192, 192, 3, 3, dtype=dtype)
    tokens, matrix = torch.ones(512, 256, dtype=dtype), torch.ones(1024, 256, dtype=dtype)
    started = time.perf_counter()
    for _ in range(3):
        F.conv2d(picture, kernel, padding=1)
        F.linear(tokens, matrix)
    return time.perf_counter() - started


def _own_device() -> torch.device:
    from accelerate import PartialState

    return torch.device(PartialState().device or "cpu")


def _named_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputRefused(
            Problem(
                code="device-missing",
                message=f"the device {name!r} cannot be used here: {str(error).splitlines()[0]}",
                fix="leave the device out, or use `cpu`",
            )
        ) from None
    return device


def _choose_precision(precision: str, device: torch.device) -> tuple[Literal["fp32", "bf16", "fp16"], str]:
    if precision == "fp32":
        return "fp32", "asked for"
    if precision == "fp16":
        if device.type == "cpu":
            raise InputRefused(
                Problem(
                    code="precision-refused",
                    message="fp16 is refused on a CPU: it is slower there than fp32, and its small range of numbers "
                    "turns pictures black",
                    fix="use --precision auto, bf16 or fp32",
                )
            )
        return "fp16", "asked for"
    if precision == "bf16":
        if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
            raise InputRefused(
                Problem(
                    code="precision-refused",
                    message=f"{torch.cuda.get_device_name(device)} cannot compute in bf16",
                    fix="use --precision auto, fp16 or fp32",
                )
            )
        return "bf16", "asked for"
    return _automatic_precision(device)


def _automatic_precision(device: torch.device) -> tuple[Literal["fp32", "bf16", "fp16"], str]:
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16", "the GPU computes in bf16"
        return "fp16", "the GPU cannot compute in bf16"
    if device.type != "cpu":
        return "fp32", f"no other precision has been proven on {device.type}"
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return "fp32", "this CPU has no bf16 instructions"
    gain = bf16_gain()
    verdict = f"bf16 measured {gain:.1f} times as fast as fp32"
    return ("bf16", verdict) if gain >= MIN_BF16_GAIN else ("fp32", verdict)
