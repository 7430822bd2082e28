"""Train the detector that measures the starter on rendered scenes, spoiled as a generator would spoil them."""

# pyright: basic, reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false
from __future__ import annotations

import random
from typing import Any

import torch
from PIL import Image, ImageFilter
from torch.nn import functional

from designkit.models.detector import CELL_PX, Detector
from designkit.starter.renderer import centres, render
from designkit.starter.scenes import Scene, random_scene
from designkit.starter.subjects import SUBJECTS
from designkit.training.recipes.autoencoder import CROP, pictures_to_tensor

_NUMBERS = {subject.name: number for number, subject in enumerate(SUBJECTS)}


class DetectorTask:
    """Name the subject in the cells around its middle, and "nothing" elsewhere.

    Scenes are drawn from all pairings, held-out ones too: the detector judges, it is not judged on them.
    """

    def __init__(self, *, seed: int) -> None:
        self.seed = seed
        self.module = _Locating(Detector(len(SUBJECTS)))

    @property
    def detector(self) -> Detector:
        """The network being trained."""
        return self.module.detector

    def batch(self, step: int, size: int) -> dict[str, Any]:
        """`size` spoiled renders [N, 3, 128, 128] and the class of every cell [N, 16, 16]."""
        rng = random.Random(f"detector/{self.seed}/{step}")
        scenes = [random_scene(rng) for _ in range(size)]
        pictures = [spoil(render(scene, CROP), rng) for scene in scenes]
        return {"pixels": pictures_to_tensor(pictures), "cells": torch.stack([cell_classes(scene) for scene in scenes])}

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """One group: all weights at the schedule's rate."""
        return [{"params": list(self.module.parameters()), "lr": learning_rate}]


def cell_classes(scene: Scene) -> torch.Tensor:
    """The class of each cell of a 128 px render: the subject within one cell of a middle, else "nothing"."""
    rows, columns = CROP.height // CELL_PX, CROP.width // CELL_PX
    classes = torch.full((rows, columns), len(SUBJECTS))
    for x, y in centres(scene, CROP):
        row, column = min(rows - 1, max(0, int(y / CELL_PX))), min(columns - 1, max(0, int(x / CELL_PX)))
        classes[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = _NUMBERS[scene.subject]
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
        logits = self.detector(batch["pixels"].to(device)).float()
        errors = functional.cross_entropy(logits, cells, reduction="none")
        nothing = cells == self.detector.num_subjects
        loss = errors[~nothing].mean() + errors[nothing].mean()
        right = (logits.argmax(1) == cells)[~nothing].float().mean()
        return loss, {"named": float(right)}
