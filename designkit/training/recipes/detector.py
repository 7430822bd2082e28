"""Train the detector that judges pictures on rendered scenes, spoiled as a generator would spoil them.

    designkit train detector prompts/train/detector.yaml

Scenes show the training glyphs alone; the second glyph set is kept to see whether the detector has learned
what a thing looks like, or one drawing of it.
"""

# pyright: basic, reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false
from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageFilter
from safetensors.torch import save
from torch.nn import functional

from designkit.files import write_durably
from designkit.models.detector import CELL_PX, Detector
from designkit.starter.colours import COLOURS
from designkit.starter.detector import TRAITS, WEIGHTS
from designkit.starter.renderer import centres, render
from designkit.starter.scenes import Scene, random_scene
from designkit.starter.subjects import SUBJECTS
from designkit.training.config import DetectorRecipe, Schedule
from designkit.training.loop import Phase, StageReport, stage, train
from designkit.training.recipes.autoencoder import CROP, pictures_to_tensor

_NUMBERS = {subject.name: number for number, subject in enumerate(SUBJECTS)}
_PAIR_SHARE = 0.25
_TRAIT_WEIGHT = 0.3


class DetectorTask:
    """Name the subject in the cells around its middle, and "nothing" elsewhere.

    Scenes are drawn from all pairings, held-out ones too: the detector judges, it is not judged on them.
    """

    def __init__(self, *, seed: int) -> None:
        self.seed = seed
        self.module = _Locating(Detector(len(SUBJECTS), {name: len(values) for name, values in TRAITS.items()}))

    @property
    def detector(self) -> Detector:
        """The network being trained."""
        return self.module.detector

    def batch(self, step: int, size: int) -> dict[str, Any]:
        """Spoiled renders [N, 3, 128, 128], the class of every cell [N, 16, 16], the value of each trait [N]."""
        rng = random.Random(f"detector/{self.seed}/{step}")
        scenes = [judged_scene(rng) for _ in range(size)]
        pictures = [spoil(render(scene, CROP), rng) for scene in scenes]
        return {
            "pixels": pictures_to_tensor(pictures),
            "cells": torch.stack([cell_classes(scene) for scene in scenes]),
            "traits": {
                name: torch.tensor([values.index(getattr(scene, name)) for scene in scenes])
                for name, values in TRAITS.items()
            },
        }

    def phases(self, schedule: Schedule) -> list[Phase]:
        """One phase: all weights at the schedule's rate."""
        return [
            Phase(loss=self.module, groups=[{"params": list(self.module.parameters()), "lr": schedule.learning_rate}])
        ]

    def look(self) -> None:
        """Nothing to see."""


def judged_scene(rng: random.Random) -> Scene:
    """A scene as `random_scene` draws it, with patterned grounds as common as plain ones, and pairs of subjects."""
    scene = random_scene(rng)
    while (scene.background == "plain") and rng.random() < 0.5:
        scene = random_scene(rng)
    if scene.product is None and scene.badge is None and rng.random() < _PAIR_SHARE:
        other = rng.choice([subject.name for subject in SUBJECTS if subject.name != scene.subject])
        colour = rng.choice(tuple(COLOURS)) if scene.colour else None
        scene = replace(scene, count=1, position="center", other=other, other_colour=colour)
    return scene


def cell_classes(scene: Scene) -> torch.Tensor:
    """The class of each cell of a 128 px render: the subject within one cell of a middle, else "nothing"."""
    rows, columns = CROP.height // CELL_PX, CROP.width // CELL_PX
    classes = torch.full((rows, columns), len(SUBJECTS))
    names = [scene.subject, scene.other] if scene.other else [scene.subject] * scene.count
    for name, (x, y) in zip(names, centres(scene, CROP), strict=True):
        row, column = min(rows - 1, max(0, int(y / CELL_PX))), min(columns - 1, max(0, int(x / CELL_PX)))
        classes[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = _NUMBERS[name]
    return classes


def spoil(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Blur, coarsen or add grain to a picture, as generated ones are; a third stay as they are."""
    pick = rng.random()
    if pick < 0.33:
        return picture
    if pick < 0.6:
        return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.6)))
    if pick < 0.85:
        factor = rng.uniform(0.35, 0.8)
        small = picture.resize(
            (round(picture.width * factor), round(picture.height * factor)), Image.Resampling.BILINEAR
        )
        return small.resize(picture.size, Image.Resampling.BICUBIC)
    grain = Image.effect_noise(picture.size, rng.uniform(10, 40)).convert("RGB")
    return Image.blend(picture, grain, 0.15)


class _Locating(torch.nn.Module):
    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        device = next(self.detector.parameters()).device
        cells = batch["cells"].to(device)
        logits, traits = self.detector(batch["pixels"].to(device))
        logits = logits.float()
        errors = functional.cross_entropy(logits, cells, reduction="none")
        nothing = cells == self.detector.num_subjects
        loss = errors[~nothing].mean() + errors[nothing].mean()
        right = (logits.argmax(1) == cells)[~nothing].float().mean()
        measured = {"named": float(right)}
        for name, guess in traits.items():
            answer = batch["traits"][name].to(device)
            loss = loss + _TRAIT_WEIGHT * functional.cross_entropy(guess.float(), answer)
            measured[name] = float((guess.argmax(1) == answer).float().mean())
        return loss, measured


def train_detector(recipe: DetectorRecipe, out: Path, *, threads: int = 1) -> Generator[StageReport]:
    """Train the detector and write `detector.safetensors`, in half precision, to `out`."""
    torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    task = DetectorTask(seed=recipe.seed)
    yield from stage("detector", train(task, recipe.training, out / "checkpoints"))
    weights = {name: tensor.half().contiguous() for name, tensor in task.detector.state_dict().items()}
    write_durably(out / WEIGHTS.name, save(weights))
