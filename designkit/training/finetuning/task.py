"""The task of fine-tuning: batches of latents and captions, one loss, and looks that keep the best state so far."""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from designkit.files import write_durably
from designkit.training.config import Schedule
from designkit.training.finetuning.families import TunedFamily
from designkit.training.finetuning.kept import Kept
from designkit.training.finetuning.learning import Learning
from designkit.training.finetuning.noising import stratified
from designkit.training.finetuning.pictures import BrandPictures, BucketOrder, Example, read_pixels
from designkit.training.finetuning.previews import Previews
from designkit.training.finetuning.recipe import FinetuneRecipe
from designkit.training.finetuning.text import Text, join
from designkit.training.loop import Look, Phase
from designkit.training.parts import is_out_of_memory

NUM_HELD_OUT_LEVELS = 8
"""Noise levels at which each held-out picture is measured, always with the same noise."""


@dataclass(frozen=True, kw_only=True)
class Best:
    """The state with the least held-out loss so far."""

    step: int
    loss: float


class Inputs:
    """What the network is fed of pictures and captions, computed once and kept by content."""

    def __init__(self, pipeline: Any, family: TunedFamily, kept: Kept, recipe: FinetuneRecipe) -> None:
        self.pipeline = pipeline
        self.family = family
        self.kept = kept
        self.recipe = recipe
        # Asked for once: these properties go through all weights of a network.
        self._encoders = {part: str(getattr(pipeline, part).dtype) for part in ("vae", "text_encoder")}

    def latents(self, example: Example) -> Tensor:
        """[1, C, h, w] float32."""
        key = ("latents", example.sha256, str(example.size), self.recipe.data.ground, self._encoders["vae"])

        def make() -> dict[str, Tensor]:
            pixels = read_pixels(example, ground=self.recipe.data.ground)[None]
            return {"latents": self.family.encode(self.pipeline, pixels)}

        return self.kept.get(key, make)["latents"]

    def text(self, caption: str) -> Text:
        """What the text encoders make of one caption, one row."""
        key = ("text", caption, self._encoders["text_encoder"])
        return self.kept.get(key, lambda: self.family.read(self.pipeline, [caption]))


class FinetuneTask:
    """Learn to predict the noise in a brand's pictures; see training/loop.py for what the loop asks of a task.

    `module` holds the parts that training runs. The best state by held-out loss is kept in `best_file`; `num_steps`
    is how many steps the last batch that was made completes.
    """

    def __init__(
        self, recipe: FinetuneRecipe, pipeline: Any, family: TunedFamily, learning: Learning, inputs: Inputs,
        brand: BrandPictures, previews: Previews, best_file: Path,
    ) -> None:  # fmt: skip
        self.recipe = recipe
        self.seed = recipe.seed
        self.pipeline = pipeline
        self.family = family
        self.learning = learning
        self.inputs = inputs
        self.brand = brand
        self.previews = previews
        self.best_file = best_file
        self.module = nn.ModuleDict(learning.parts)
        self.dtype: torch.dtype = getattr(pipeline, family.denoiser).dtype
        self.noising = family.noising(pipeline.scheduler, recipe)
        self.order = BucketOrder([example.size for example in brand.training], seed=recipe.seed)
        self.num_steps = 0

    def batch(self, step: int, size: int) -> dict[str, Any]:
        """`size` pictures of one size with captions, noise and times; all of it follows from the step."""
        self.num_steps = step + 1
        rng = random.Random(f"finetune/{self.seed}/{step}")
        examples = [self.brand.training[number] for number in self.order.rows(step, size)]
        dropout = self.recipe.data.caption_dropout
        captions = ["" if rng.random() < dropout else example.caption for example in examples]
        noise_rng = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        return self._rows(examples, captions, self.noising.draw(stratified(size, noise_rng)), noise_rng)

    def phases(self, schedule: Schedule) -> list[Phase]:
        """One phase: the denoiser at the schedule's rate, text encoders slower; alone, at the same."""
        by_part: dict[str, list[nn.Parameter]] = {}
        for name, weight in self.learning.weights.items():
            by_part.setdefault(name.partition(".")[0], []).append(weight)
        is_alone = self.family.denoiser not in by_part
        groups = [
            {
                "params": weights,
                "lr": schedule.learning_rate
                * (1.0 if is_alone or part == self.family.denoiser else self.recipe.text_rate),
            }
            for part, weights in sorted(by_part.items(), key=lambda each: each[0] == self.family.denoiser)
        ]
        return [Phase(loss=self.loss, groups=groups)]

    def loss(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted mean squared error of the prediction, over the batch's rows."""
        errors, weights = self._errors(batch)
        return (weights * errors).mean(), {"mse": errors.detach().mean()}

    def look(self) -> Look:
        """Previews beside the base model's, and the held-out loss, by which the best state is kept."""
        metrics: dict[str, float] = {}
        warnings: list[str] = []
        if self.brand.held_out:
            loss = self.held_out_loss()
            metrics["held_out_loss"] = loss
            best = read_best(self.best_file)
            if best is None or loss < best.loss or best.step >= self.num_steps:
                facts = {"step": str(self.num_steps), "loss": repr(loss)}
                write_durably(self.best_file, save(_copies(self.learning.weights), facts))
            elif self.num_steps > 0 and best.step == 0 and loss > 1.1 * best.loss:
                warnings.append(
                    f"held-out loss is {loss:.4f}, above the base model's {best.loss:.4f}: what is learned does not "
                    "carry over; try a lower training.learning_rate or more pictures"
                )
        picture = None
        try:
            picture = self.previews.look(is_base=self.num_steps == 0)
        except Exception as error:  # Whatever a pipeline raises: hours of training are worth more than a preview.
            is_memory = isinstance(error, RuntimeError) and is_out_of_memory(error)
            reason = "memory did not suffice" if is_memory else _first_line(error)
            warnings.append(f"no preview at step {self.num_steps}: {reason}; training goes on")
        return Look(picture=picture, metrics=metrics, warnings=tuple(warnings))

    @torch.no_grad()
    def held_out_loss(self) -> float:
        """The loss on the held-out pictures, at fixed noise levels and noise."""
        total = 0.0
        for number, example in enumerate(self.brand.held_out):
            rng = torch.Generator().manual_seed(self.seed * 1_000_003 + 7_919 * number + 1)
            places = (torch.arange(NUM_HELD_OUT_LEVELS) + 0.5) / NUM_HELD_OUT_LEVELS
            rows = [example] * NUM_HELD_OUT_LEVELS
            batch = self._rows(rows, [example.caption] * len(rows), self.noising.draw(places), rng)
            errors, weights = self._errors(batch)
            total += float((weights * errors).mean())
        return total / len(self.brand.held_out)

    def _rows(
        self, examples: Sequence[Example], captions: list[str], times: Tensor, rng: torch.Generator
    ) -> dict[str, Any]:
        latents = torch.cat([self.inputs.latents(example) for example in examples])
        shapes = [(e.source.height, e.source.width, e.size.height, e.size.width) for e in examples]
        return {
            "latents": latents, "noise": torch.randn(latents.shape, generator=rng), "times": times,
            "shapes": torch.tensor(shapes), "weights": torch.tensor([example.weight for example in examples]),
            "is_own": torch.tensor([example.is_own for example in examples]),
            "text": captions if self._learns_text else join([self.inputs.text(caption) for caption in captions]),
        }  # fmt: skip

    def guess(self, batch: dict[str, Any]) -> Tensor:
        """What the network predicts for a batch's rows, [N, C, h, w] float32."""
        device = self._device
        latents, noise, times, shapes = (batch[name].to(device) for name in ("latents", "noise", "times", "shapes"))
        text = self.family.read(self.pipeline, batch["text"]) if self._learns_text else batch["text"]
        text = {
            name: tensor.to(device, self.dtype if tensor.is_floating_point() else None) for name, tensor in text.items()
        }
        noisy = self.noising.mix(latents, noise, times)
        return self.family.predict(self.pipeline, noisy.to(self.dtype), times, text, shapes).float()

    def _errors(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Squared errors [N] and their weights [N]."""
        device = self._device
        latents, noise, times = (batch[name].to(device) for name in ("latents", "noise", "times"))
        target = self.noising.target(latents, noise, times)
        is_own = batch["is_own"]
        if self.learning.unlearned is not None and bool(is_own.any()):
            with torch.no_grad(), self.learning.unlearned():
                target = target.clone()
                target[is_own.to(device)] = self.guess(_rows_where(batch, is_own))
        errors = (self.guess(batch) - target).square().mean(dim=tuple(range(1, target.dim())))
        return errors, self.noising.weights(times) * batch["weights"].to(device)

    @property
    def _device(self) -> torch.device:
        return next(iter(self.learning.weights.values())).device

    @property
    def _learns_text(self) -> bool:
        return any(name != self.family.denoiser for name in self.learning.parts)


def read_best(file: Path) -> Best | None:
    """What the best state's file says of itself; None where there is none."""
    if not file.is_file():
        return None
    with safe_open(file, "pt") as opened:
        facts = opened.metadata() or {}
    return Best(step=int(facts["step"]), loss=float(facts["loss"]))


@torch.no_grad()
def take_best(file: Path, learning: Learning) -> None:
    """Put the best state into the weights that learn."""
    for name, tensor in load_file(file).items():
        learning.weights[name].copy_(tensor)


def _rows_where(batch: Mapping[str, Any], is_taken: Tensor) -> dict[str, Any]:
    """Those rows of a batch that are taken [N]."""
    numbers = is_taken.nonzero()[:, 0].tolist()
    rows: dict[str, Any] = {}
    for name, value in batch.items():
        if isinstance(value, Mapping):
            rows[name] = {key: tensor[is_taken] for key, tensor in value.items()}
        else:
            rows[name] = [value[number] for number in numbers] if isinstance(value, list) else value[is_taken]
    return rows


def _copies(weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    return {name: weight.detach().float().cpu().contiguous().clone() for name, weight in weights.items()}


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
