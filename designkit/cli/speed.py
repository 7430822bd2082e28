"""How long a picture will take: as long as in the run so far, or else a guess from the size of the model."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from designkit.batch.plan import Plan

# Of the operations in one step of a small or large image model, per parameter and latent pixel: counted for a
# 43 M UNet at 256 px and the 860 M one of Stable Diffusion 1.5 at 512 px, which agree within a fifth.
_OPERATIONS = 0.3
_LATENT_PIXELS_PER_PIXEL = 1 / 64
_OPERATIONS_PER_SECOND_AND_CORE = 4e10
_OPERATIONS_PER_SECOND_OF_A_GPU = 5e13
_DRAFT_SECONDS_PER_PIXEL = 2e-8
_TAIL_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Seconds an image, and whether they were measured or only guessed."""

    seconds_per_image: float
    is_measured: bool


def guess_speed(plan: Plan, out: Path) -> Speed:
    """The median time of the last images of this plan's run in `out`; a guess from the model's size without one."""
    measured = _measured_seconds(out / plan.file.name / "manifest.jsonl", plan.card.revision)
    if measured:
        return Speed(seconds_per_image=median(measured), is_measured=True)
    pixels = sum(drawn.width * drawn.height for drawn in plan.drawn.values()) / len(plan.drawn)
    card = plan.card
    if card.family == "draft":
        return Speed(seconds_per_image=pixels * _DRAFT_SECONDS_PER_PIXEL, is_measured=False)
    steps = next((entry.steps for entry in plan.file.entries if entry.steps is not None), card.default_steps) or 1
    passes = 2 if "guidance" in card.accepts else 1
    operations = steps * passes * _OPERATIONS * (card.num_parameters or 1e9) * pixels * _LATENT_PIXELS_PER_PIXEL
    has_gpu = Path("/dev/nvidia0").exists()
    per_second = _OPERATIONS_PER_SECOND_OF_A_GPU if has_gpu else _OPERATIONS_PER_SECOND_AND_CORE * (os.cpu_count() or 1)
    return Speed(seconds_per_image=operations / per_second, is_measured=False)


def _measured_seconds(manifest: Path, revision: str) -> list[float]:
    """The seconds of the images that this model made last, read from the end of the manifest alone."""
    try:
        with manifest.open("rb") as file:
            file.seek(max(0, manifest.stat().st_size - _TAIL_BYTES))
            lines = file.read().split(b"\n")
    except OSError:
        return []
    seconds: list[float] = []
    for line in lines:
        try:
            record: Any = json.loads(line)
            if record["status"] == "done" and record["model"]["revision"] == revision:
                seconds.append(float(record["seconds"]))
        except (ValueError, KeyError, TypeError):
            continue
    return seconds
