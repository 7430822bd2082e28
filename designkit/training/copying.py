"""Teach a conditional generator what each condition's picture is like, by plain distance, before the game begins.

A discriminator says what is wrong with a picture, and for long has little to say about what was asked for. Distance to
the real picture of the same caption says it at once: what is on the ground, where, in which colour. pix2pix (Isola et
al., arXiv 1611.07004, section 3.1) adds such a distance to the game; SRGAN (Ledig et al., arXiv 1609.04802, section
3.2) begins with it. It leaves blurred what captions leave open, and that is what the game is for. With several
candidates only the nearest learns, so that each latent comes to stand for a part of what is left open (Li & Malik,
arXiv 1809.09087, section 2).
"""

# pyright: basic
from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from designkit.models.gan import GeneratorNetwork
from designkit.training.config import Schedule
from designkit.training.loop import Look, Phase, Task

_POOLED_PX = (1, 2, 4)


def distance(drawn: Tensor, real: Tensor) -> Tensor:
    """Mean absolute difference [N] of pictures [N, C, H, W], as they are and averaged over 2 x 2 and over 4 x 4.

    The coarser terms forgive what is a little off its place.
    """
    drawn, real = drawn.float(), real.float()
    sides = [side for side in _POOLED_PX if min(real.shape[2:]) >= side]
    away = [(F.avg_pool2d(drawn, side) - F.avg_pool2d(real, side)).abs().flatten(1).mean(dim=1) for side in sides]
    return torch.stack(away).sum(dim=0)


class CopyTask:
    """The generator of a game, drawn to the real picture of each condition; see `training.loop.Task`.

    Of `candidates` pictures that it draws of a condition the nearest one learns.
    Batches and looks are the game's own, of which the first real samples [N, updates, *shape] and conditions are used.
    """

    def __init__(self, game: Task, generator: GeneratorNetwork, *, candidates: int = 1) -> None:
        self.seed = game.seed
        self.candidates = candidates
        self._game = game
        self._generator = generator

    @property
    def module(self) -> nn.Module:
        """Both players, so that the game goes on from here."""
        return self._game.module

    def batch(self, step: int, size: int) -> Any:
        """The game's batch."""
        return self._game.batch(step, size)

    def phases(self, schedule: Schedule) -> list[Phase]:
        """One phase: the generator alone."""
        group = {
            "params": list(self._generator.parameters()), "lr": schedule.learning_rate,
            "betas": (schedule.beta1, schedule.beta2), "weight_decay": schedule.weight_decay,
        }  # fmt: skip
        return [Phase(name="generator", loss=self._copy, groups=[group])]

    def look(self) -> Look | None:
        """The game's look, without its warnings: what they advise is about the game."""
        look = self._game.look()
        return None if look is None else replace(look, warnings=())

    def _copy(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        device = next(self._generator.parameters()).device
        real, conditions = batch["real"][:, 0].to(device), batch["condition"][:, 0].to(device)
        shape = (self.candidates, len(real), self._generator.config.latent_dim)
        latents = torch.randn(shape, generator=torch.default_generator).to(device)
        measured: dict[str, Any] = {}
        nearest = torch.zeros(len(real), dtype=torch.long, device=device)
        if self.candidates > 1:
            with torch.no_grad():
                away = torch.stack([distance(self._generator(each, conditions), real) for each in latents])
            nearest = away.argmin(dim=0)
            measured["won by choosing"] = away.mean() - away.amin(dim=0).mean()
        chosen = latents[nearest, torch.arange(len(real), device=device)]
        return distance(self._generator(chosen, conditions), real).mean(), measured
