# pyright: basic, reportCallIssue=false
"""Fine-tunings of tiny pipelines that take a second, and what such a pipeline draws, as numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from designkit.training.config import change_recipe
from designkit.training.finetuning.finetune import finetune
from designkit.training.finetuning.recipe import FinetuneRecipe, Method, finetune_preset
from designkit.training.finetuning.task import FinetuneTask

TINY = [
    "training.steps=5", "training.batch_size=2", "training.precision=fp32", "training.warmup_steps=1",
    "training.learning_rate=0.01", "training.ema_decay=0", "rank=3", "previews.count=1", "previews.steps=1",
    "data.resolution_px=64", "layers=all", "gradient_checkpointing=false",
]  # fmt: skip
DREAMBOOTH = ["data.instance_prompt=a zurvi can", "data.class_prompt=a can", "data.num_class_pictures=2"]


def recipe_for(model: Path, pictures: Path, *overrides: str, method: Method = "lora") -> FinetuneRecipe:
    preset = finetune_preset(str(pictures), 8, model=str(model), num_parameters=None, method=method, name="zurvi")
    needed = DREAMBOOTH if method == "dreambooth" else []
    return change_recipe(preset, [*TINY, *needed, *overrides])


def run(recipe: FinetuneRecipe, out: Path) -> Path:
    for _ in finetune(recipe, out):
        pass
    return out


def learn(recipe: FinetuneRecipe, out: Path) -> FinetuneTask:
    """Run a fine-tuning and return its task as training left it."""
    tasks: list[FinetuneTask] = []
    begin = FinetuneTask.__init__

    def watched(self, *arguments) -> None:
        begin(self, *arguments)
        tasks.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FinetuneTask, "__init__", watched)
        run(recipe, out)
    return tasks[0]


def denoise(pipeline, prompt: str = "zurvi can", *, steps: int = 2) -> torch.Tensor:
    """What a pipeline draws of one prompt, as numbers [1, H, W, 3]."""
    rng = torch.Generator().manual_seed(3)
    pipeline.set_progress_bar_config(disable=True)
    arguments = {"width": 64, "height": 64, "num_inference_steps": steps, "output_type": "np"}
    return torch.as_tensor(pipeline(prompt=prompt, generator=rng, **arguments).images)
