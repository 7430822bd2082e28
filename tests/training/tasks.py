"""Tiny tasks for the training loop: one loss, and two that play against each other; faults on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from designkit.training.config import Schedule
from designkit.training.loop import Look, Phase

STEPS = 12


class LineTask:
    """Fit y = 2x with one layer; the loss is no number from step `nan_from` on."""

    seed = 0

    def __init__(self, nan_from: int | None = None) -> None:
        torch.manual_seed(0)
        self.module = nn.Linear(3, 1)
        self.nan_from = nan_from

    def batch(self, step: int, size: int) -> dict[str, Any]:
        x = torch.randn((size, 3), generator=torch.Generator().manual_seed(step))
        return {"x": x, "y": 2 * x.sum(dim=1, keepdim=True), "step": step}

    def phases(self, schedule: Schedule) -> list[Phase]:
        groups = [{"params": list(self.module.parameters()), "lr": schedule.learning_rate}]
        return [Phase(loss=self.loss, groups=groups)]

    def loss(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        loss = (self.module(batch["x"]) - batch["y"]).square().mean()
        if self.nan_from is not None and batch["step"] >= self.nan_from:
            loss = loss * float("nan")
        return loss, {"error": float(loss.detach())}

    def look(self) -> Look | None:
        return None


class Game(nn.Module):
    """A generator of points and a discriminator, with everything that has state: batch norm, dropout, a buffer."""

    calls: torch.Tensor

    def __init__(self, *, has_batch_statistics: bool) -> None:
        super().__init__()
        norm = nn.BatchNorm1d(8) if has_batch_statistics else nn.Identity()
        dropout = nn.Dropout(0.2 if has_batch_statistics else 0.0)
        self.generator = nn.Sequential(nn.Linear(4, 8), norm, nn.Tanh(), nn.Linear(8, 2))
        self.discriminator = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), dropout, nn.Linear(8, 1))
        self.frozen = nn.Linear(2, 2)
        self.register_buffer("calls", torch.zeros(()))


class GameTask:
    """A small GAN with an R1 penalty, so with gradients of gradients; two discriminator updates a step."""

    seed = 3

    def __init__(self, *, has_batch_statistics: bool = True, runs_out_above: int | None = None) -> None:
        torch.manual_seed(1)
        self.module = Game(has_batch_statistics=has_batch_statistics)
        self.runs_out_above = runs_out_above
        self.rows_seen: list[int] = []

    def batch(self, step: int, size: int) -> dict[str, Any]:
        rng = torch.Generator().manual_seed(1000 + step)
        return {
            "real": torch.randn((size, 2), generator=rng) * 0.1 + 1, "latent": torch.randn((size, 4), generator=rng),
            "names": [f"{step}/{row}" for row in range(size)], "penalise": step % 2 == 0, "step": step,
        }  # fmt: skip

    def phases(self, schedule: Schedule) -> list[Phase]:
        judging = [{"params": list(self.module.discriminator.parameters()), "lr": 2 * schedule.learning_rate}]
        drawing = [
            {"params": list(self.module.generator.parameters()), "lr": schedule.learning_rate, "betas": (0.0, 0.9)}
        ]
        judge = Phase(name="discriminator", loss=self.judge, groups=judging, averaged=False)
        return [judge, judge, Phase(name="generator", loss=self.draw, groups=drawing)]

    def judge(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        self._check(batch)
        assert not any(p.requires_grad for p in self.module.generator.parameters())
        self.module.calls += 1
        drawn = self.module.generator(batch["latent"])
        real = batch["real"].requires_grad_()
        judged = self.module.discriminator(real)
        loss = nn.functional.softplus(-judged).mean() + nn.functional.softplus(self.module.discriminator(drawn)).mean()
        if batch["penalise"]:
            (gradient,) = torch.autograd.grad(judged.sum(), real, create_graph=True)
            loss = loss + 0.5 * gradient.square().sum(dim=1).mean()
        return loss, {"real logit": judged.mean()}

    def draw(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        self._check(batch)
        assert not any(p.requires_grad for p in self.module.discriminator.parameters())
        drawn = self.module.generator(batch["latent"])
        return nn.functional.softplus(-self.module.discriminator(drawn)).mean(), {}

    def look(self) -> Look | None:
        assert not self.module.training
        level = int(list(self.module.generator.parameters())[-1].sigmoid().mean() * 255)
        return Look(picture=Image.new("RGB", (8, 8), (level, 0, 0)), metrics={"level": level})

    def _check(self, batch: dict[str, Any]) -> None:
        assert len(batch["names"]) == len(batch["real"]) == len(batch["latent"])
        self.rows_seen.append(len(batch["real"]))
        if self.runs_out_above is not None and len(batch["real"]) > self.runs_out_above:
            raise torch.OutOfMemoryError("no memory left (of the test's making)")


class WideTask(LineTask):
    """A module whose checkpoints take a while to write: 1.6 MB, with its average and optimizer state 6.4 MB."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Sequential(nn.Linear(3, 400), nn.Linear(400, 1000), nn.Linear(1000, 1))


def schedule(**changes: Any) -> Schedule:
    settings = {"steps": STEPS, "batch_size": 4, "learning_rate": 0.05, "warmup_steps": 3, "precision": "fp32"}
    return Schedule(**{**settings, "checkpoint_minutes": 1e-9, **changes})


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Equal to the last bit."""
    return first.keys() == second.keys() and all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def write_weights(module: nn.Module, path: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, path)
