"""How a family's training makes noise, what its network is to predict, and how noise levels weigh in the loss."""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

from typing import Any, Protocol

import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from torch import Tensor

from designkit.errors import ModelRefused, Problem
from designkit.training.finetuning.recipe import FinetuneRecipe

NOISIEST_SHARE = 0.3
"""Of a batch's places, where a schedule ends in pure noise: they lie in the last tenth of the timesteps."""

_NOISIEST = 0.9
_NEARLY_PURE_NOISE = 1e-6  # signal-to-noise ratio; schedules that are not rescaled end above 4e-5


class Noising(Protocol):
    """One way from latents to noise. `times` [N] are what the networks are told: timesteps, or noise shares."""

    def draw(self, places: Tensor) -> Tensor:
        """The times at places [N] in [0, 1) of the training distribution."""
        ...

    def mix(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Noisy latents, of the shape of `latents`."""
        ...

    def target(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """What the network is to predict."""
        ...

    def weights(self, times: Tensor) -> Tensor:
        """Weights [N] of the squared errors."""
        ...


def stratified(size: int, rng: torch.Generator) -> Tensor:
    """Places [size] in [0, 1), one in each of `size` equal parts in random order: each batch sees all noise levels."""
    return (torch.randperm(size, generator=rng) + torch.rand(size, generator=rng)) / size


class DiscreteNoising:
    """A thousand timesteps of a variance-preserving schedule; it predicts noise (epsilon), v, or the sample."""

    def __init__(self, scheduler: Any, recipe: FinetuneRecipe) -> None:
        kind = scheduler.config.get("prediction_type", "epsilon")
        if kind not in ("epsilon", "v_prediction", "sample"):
            raise ModelRefused(
                Problem(
                    code="finetune-prediction", file=recipe.model,
                    message=f"its scheduler predicts {kind!r}, which this family is not fine-tuned with",
                    fix="use a model whose scheduler predicts epsilon, v_prediction or sample",
                )
            )  # fmt: skip
        self.schedule: Any = DDPMScheduler.from_config(scheduler.config, prediction_type=kind)
        self.kind = kind
        self.gamma = recipe.snr_gamma
        self.snr = compute_snr(self.schedule, torch.arange(self.schedule.config["num_train_timesteps"]))
        ends_in_noise = float(self.snr[-1]) < _NEARLY_PURE_NOISE
        is_v = kind == "v_prediction"
        automatic = "flow" if ends_in_noise and is_v else "min-snr"
        self.weighting = automatic if recipe.weighting == "auto" else recipe.weighting
        self.noisiest_share = NOISIEST_SHARE if ends_in_noise else 0.0

    def draw(self, places: Tensor) -> Tensor:
        """Timesteps [N]: uniform but for a share in the noisiest tenth, where the schedule ends in pure noise.

        There the text alone decides which colours there are and where things stand: from there drawing begins, and
        with uniform timesteps little is learned of it.
        """
        noisy = 1 - (1 - places) * (1 - _NOISIEST) / max(self.noisiest_share, 1e-9)
        others = places / (1 - self.noisiest_share)
        place = torch.where(places >= 1 - self.noisiest_share, noisy, others)
        return (place * len(self.snr)).long().clamp(0, len(self.snr) - 1)

    def mix(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """alpha x + sigma n."""
        return self.schedule.add_noise(latents, noise, times)

    def target(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Noise, v = alpha n - sigma x (arXiv 2202.00512), or the latents themselves."""
        if self.kind == "v_prediction":
            return self.schedule.get_velocity(latents, noise, times)
        return noise if self.kind == "epsilon" else latents

    def weights(self, times: Tensor) -> Tensor:
        """min(SNR, gamma) over what the prediction's own error weighs (arXiv 2303.09556), or (alpha + sigma)^2."""
        snr = self.snr.to(times.device)[times]
        if self.weighting == "none":
            return torch.ones_like(snr)
        # In terms of the error of the sample, epsilon's weighs SNR, v's SNR + 1, and the sample's own 1.
        own = {"epsilon": snr.clamp(min=1e-8), "v_prediction": snr + 1, "sample": torch.ones_like(snr)}[self.kind]
        if self.weighting == "min-snr":
            return snr.clamp(max=self.gamma) / own
        alpha = (snr / (snr + 1)).sqrt()
        in_v = (alpha + (1 - alpha.square()).clamp(min=0).sqrt()).square()
        return in_v * (snr + 1) / own


class FlowNoising:
    """Straight lines from latents to noise (arXiv 2209.03003); times are shares of noise, logit-normal (2403.03206)."""

    def __init__(self, scheduler: Any, recipe: FinetuneRecipe) -> None:
        is_dynamic = scheduler.config.get("use_dynamic_shifting", False)
        self.shift = 1.0 if is_dynamic else float(scheduler.config.get("shift", 1.0))
        if recipe.weighting in ("min-snr", "flow"):
            raise ModelRefused(
                Problem(
                    code="finetune-weighting", key="weighting", file=recipe.model,
                    message=f"{recipe.weighting} is for models of timesteps; this one learns a flow",
                    fix="leave weighting out, or set it to none",
                )
            )  # fmt: skip

    def draw(self, places: Tensor) -> Tensor:
        """Shares of noise [N] in (0, 1): the logistic of normal numbers, moved by the schedule's shift."""
        normal = torch.special.ndtri(places.double().clamp(1e-4, 1 - 1e-4)).float()
        share = torch.sigmoid(normal)
        return self.shift * share / (1 + (self.shift - 1) * share)

    def mix(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """(1 - t) x + t n."""
        share = times.view(-1, *[1] * (latents.dim() - 1))
        return (1 - share) * latents + share * noise

    def target(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """The velocity n - x."""
        return noise - latents

    def weights(self, times: Tensor) -> Tensor:
        """One for all: the logit-normal distribution is the weighting."""
        return torch.ones_like(times)
