"""Encoder and decoder of variational autoencoders, built from one plain config; both are residual convolutions.

A latent is a vector, or a small picture (`spatial`) in which each place is told by its surroundings. Latents are
Gaussian, or letters of an alphabet (`vq`, `fsq`). Conditions scale and shift every block, so that the latent need not
tell what class or caption already say.
"""

# pyright: basic, reportArgumentType=false
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from designkit.models.likelihoods import Likelihood, best_guess, log_likelihood, num_outputs
from designkit.models.quantise import FiniteScalarQuantiser, Quantised, VectorQuantiser
from designkit.models.whitening import whitening

Quantiser = Literal["none", "vq", "fsq"]
Condition = Literal["none", "classes", "text"]

_GROUPS = 8  # of the normalisation's channels
_LOG_VARIANCES = (-14.0, 6.0)


@dataclass(frozen=True, kw_only=True)
class VaeConfig:
    """Everything that shapes the two networks.

    `shape` is one sample's, (channels, height, width). `widths` are the channels from the coarsest stage to the
    finest, each twice as fine as the one before; `encoder_widths` are the encoder's where they differ. `latent_dim`
    is the length of a vector latent, or the channels of a spatial one, whose sides are the coarsest stage's. `levels`
    is how many values a channel of a pixel can have.
    `codes` are the letters of `vq`; `code_levels`, one for each latent channel, those of `fsq`.
    `condition_dim` is the length of the condition vector, `embedding_dim` what the networks make of it.
    """

    shape: tuple[int, ...] = (3, 64, 64)
    latent: Literal["vector", "spatial"] = "vector"
    latent_dim: int = 64
    widths: tuple[int, ...] = (128, 128, 64, 32, 16)
    encoder_widths: tuple[int, ...] = ()
    blocks_per_stage: int = 1
    likelihood: Likelihood = "gaussian"
    levels: int = 256
    quantiser: Quantiser = "none"
    codes: int = 0
    code_levels: tuple[int, ...] = ()
    condition: Condition = "none"
    condition_dim: int = 0
    embedding_dim: int = 0

    @property
    def num_dimensions(self) -> int:
        """How many numbers a sample has."""
        return math.prod(self.shape)

    @property
    def base(self) -> tuple[int, int]:
        """Height and width of the coarsest stage."""
        step = 2 ** (len(self.widths) - 1)
        return self.shape[1] // step, self.shape[2] // step

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """One latent's shape: (latent_dim,), or (latent_dim, height, width)."""
        return (self.latent_dim,) if self.latent == "vector" else (self.latent_dim, *self.base)

    def problems(self) -> Iterator[str]:
        """Everything that keeps these networks from being built, in words."""
        if len(self.shape) != 3:
            yield f"shape {self.shape} is not (channels, height, width); a VAE learns pictures"
        elif not self.widths:
            yield "widths is empty; give the channels of each stage"
        else:
            step = 2 ** (len(self.widths) - 1)
            if any(side % step or side // step < 1 for side in self.shape[1:]):
                yield (
                    f"{len(self.widths)} widths halve the picture {len(self.widths) - 1} times, which "
                    f"{self.shape[1]} x {self.shape[2]} pixels do not allow"
                )
            if odd := [width for width in (*self.widths, *self.encoder_widths) if width % _GROUPS]:
                yield f"widths {odd} are not multiples of {_GROUPS}"
            if self.encoder_widths and len(self.encoder_widths) != len(self.widths):
                yield f"{len(self.encoder_widths)} encoder_widths beside {len(self.widths)} widths; give as many"
        if self.levels < 2:
            yield f"levels is {self.levels}; pixels have two values or more"
        if self.quantiser != "none" and self.latent != "spatial":
            yield f"{self.quantiser} quantises places of a picture; use latent spatial"
        if (self.quantiser == "vq") != (self.codes > 1):
            yield "vq needs codes above 1, and nothing else takes them"
        if (self.quantiser == "fsq") != bool(self.code_levels):
            yield "fsq needs code_levels, and nothing else takes them"
        if self.code_levels and (len(self.code_levels) != self.latent_dim or min(self.code_levels) < 2):
            yield f"code_levels {self.code_levels} are not {self.latent_dim} numbers (latent_dim) of 2 or more"
        if not (self.condition == "none") == (self.condition_dim == 0) == (self.embedding_dim == 0):
            yield "a condition needs condition_dim and embedding_dim above 0, and none of them without one"

    def to_json(self) -> dict[str, Any]:
        """Plain values for config.json."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> VaeConfig:
        """The config of a model folder; raises ValueError with everything that is wrong with it."""
        known = {field.name for field in fields(VaeConfig)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown keys: {', '.join(unknown)}")
        config = VaeConfig(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
        if problems := list(config.problems()):
            raise ValueError("; ".join(problems))
        return config


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """What a picture's latent may be: a Gaussian with these means and log variances, [N, *latent_shape] each."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, rng: torch.Generator, count: int = 1) -> Tensor:
        """Latents [count * N, *latent_shape], all of the first draw first, with gradients to both parameters."""
        noise = torch.randn((count, *self.mean.shape), generator=rng).to(self.mean.device)
        return (self.mean + torch.exp(0.5 * self.log_variance) * noise).flatten(0, 1)


class Vae(nn.Module):
    """The two networks, and what quantises their latents."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Linear(config.condition_dim, config.embedding_dim) if config.condition_dim else None
        self.encoder = _Encoder(config)
        self.decoder = _Decoder(config)
        self.quantiser = _quantiser(config)
        if config.likelihood == "gaussian":
            self.log_deviation = nn.Parameter(torch.full((config.shape[0], 1, 1), -1.0))
        else:
            self.log_deviation = None

    @torch.no_grad()
    def take_conditions(self, conditions: Tensor) -> None:
        """Let the networks begin with the principal directions of conditions [N, K]; other rows at 0."""
        assert self.embed is not None
        whitened = whitening(conditions)[: self.config.embedding_dim]
        self.embed.weight.zero_()
        self.embed.weight[: len(whitened)] = whitened.to(self.embed.weight.device)
        self.embed.bias.copy_(-self.embed.weight @ conditions.float().mean(dim=0).to(self.embed.weight.device))

    def encode(self, x: Tensor, conditions: Tensor | None = None) -> Posterior:
        """The posterior of samples [N, *shape]; of a quantised model, its mean before quantising."""
        encoded = self.encoder(x, self._embedded(conditions)).float()
        if self.config.quantiser != "none":
            return Posterior(mean=encoded, log_variance=torch.full_like(encoded, _LOG_VARIANCES[0]))
        mean, log_variance = encoded.chunk(2, dim=1)
        return Posterior(mean=mean, log_variance=log_variance.clamp(*_LOG_VARIANCES))

    def quantise(self, latents: Tensor) -> Quantised:
        """The letters nearest to latents [N, D, h, w]; only a quantised model can."""
        if self.quantiser is None:
            raise ValueError("this model's latents are Gaussian; there is nothing to quantise by")
        return self.quantiser(latents)

    def decode(self, latents: Tensor, conditions: Tensor | None = None) -> Tensor:
        """The likelihood's numbers [N, outputs, H, W] for latents [N, *latent_shape]."""
        return self.decoder(latents, self._embedded(conditions))

    def pictures(self, latents: Tensor, conditions: Tensor | None = None) -> Tensor:
        """The mean pictures [N, *shape] of latents, in about [-1, 1]; a quantised model quantises them first."""
        if self.quantiser is not None:
            latents = self.quantise(latents).latents
        return best_guess(self.config.likelihood, self.decode(latents, conditions))

    def log_likelihood(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Log p(x | z) in nats [N], of samples and what their latents decode to."""
        config = self.config
        return log_likelihood(
            config.likelihood, outputs.float(), x.float(), log_deviation=self.log_deviation, levels=config.levels
        )

    def _embedded(self, conditions: Tensor | None) -> Tensor | None:
        if self.embed is None:
            return None
        if conditions is None:
            raise ValueError("this model is conditional: it needs a condition for each sample")
        return self.embed(conditions)


def _quantiser(config: VaeConfig) -> nn.Module | None:
    if config.quantiser == "vq":
        return VectorQuantiser(config.codes, config.latent_dim)
    return FiniteScalarQuantiser(config.code_levels) if config.quantiser == "fsq" else None


class _Block(nn.Module):
    """x + 3x3(silu(condition(3x3(silu(norm(x)))))): the last convolution starts at 0, and so does the condition."""

    def __init__(self, width: int, embedding_dim: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.modulation = nn.Linear(embedding_dim, 2 * width) if embedding_dim else None
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)
        if self.modulation is not None:
            nn.init.zeros_(self.modulation.weight)
            nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, embedded: Tensor | None) -> Tensor:
        inner = self.first(F.silu(self.norm(x)))
        if self.modulation is not None:
            assert embedded is not None
            scale, shift = self.modulation(embedded)[:, :, None, None].chunk(2, dim=1)
            inner = inner * (1 + scale) + shift
        return x + self.second(F.silu(inner))


def _stages(config: VaeConfig, widths: tuple[int, ...]) -> nn.ModuleList:
    return nn.ModuleList(
        nn.ModuleList(_Block(width, config.embedding_dim) for _ in range(config.blocks_per_stage)) for width in widths
    )


class _Encoder(nn.Module):
    """Residual stages, each half as fine, then the latent's numbers."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = (config.encoder_widths or config.widths)[::-1]
        self.from_sample = nn.Conv2d(config.shape[0], widths[0], 3, padding=1)
        self.stages = _stages(config, widths)
        self.resize = nn.ModuleList(nn.Conv2d(width, coarser, 1) for width, coarser in pairwise(widths))
        self.norm = nn.GroupNorm(_GROUPS, widths[-1])
        count = config.latent_dim * (2 if config.quantiser == "none" else 1)
        self.is_vector = config.latent == "vector"
        if self.is_vector:
            self.to_latent: nn.Module = nn.Linear(widths[-1] * math.prod(config.base), count)
        else:
            self.to_latent = nn.Conv2d(widths[-1], count, 1)

    def forward(self, x: Tensor, embedded: Tensor | None) -> Tensor:
        x = self.from_sample(x)
        for place, stage in enumerate(self.stages):
            if place:
                x = self.resize[place - 1](F.avg_pool2d(x, 2))
            for block in stage.children():
                x = block(x, embedded)
        x = F.silu(self.norm(x))
        return self.to_latent(x.flatten(1) if self.is_vector else x)


class _Decoder(nn.Module):
    """The encoder's mirror: the latent, then residual stages, each twice as fine.

    A vector latent and what a text says are mixed first, so that every block is scaled and shifted by both, and so that
    what is said of places is there from the coarsest stage on. A class needs no mixing: its one number of its own is
    linear already.
    """

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = config.widths
        self.base = (widths[0], *config.base)
        self.is_vector = config.latent == "vector"
        self.mix = None
        if self.is_vector:
            told, mixed = config.latent_dim, config.embedding_dim if config.condition == "text" else 0
            if mixed:
                self.mix = nn.Sequential(nn.Linear(told + mixed, 2 * mixed), nn.SiLU(), nn.Linear(2 * mixed, mixed))
            self.from_latent: nn.Module = nn.Linear(told + mixed, math.prod(self.base))
        else:
            self.from_latent = nn.Conv2d(config.latent_dim, widths[0], 3, padding=1)
        self.stages = _stages(config, widths)
        self.resize = nn.ModuleList(nn.Conv2d(width, finer, 1) for width, finer in pairwise(widths))
        self.norm = nn.GroupNorm(_GROUPS, widths[-1])
        self.to_sample = nn.Conv2d(widths[-1], num_outputs(config.likelihood, config.shape[0]), 3, padding=1)

    def forward(self, latents: Tensor, embedded: Tensor | None) -> Tensor:
        if self.mix is not None:
            assert embedded is not None
            embedded = F.silu(self.mix(torch.cat([latents, embedded], dim=1)))
            latents = torch.cat([latents, embedded], dim=1)
        x = self.from_latent(latents)
        x = x.unflatten(1, self.base) if self.is_vector else x
        for place, stage in enumerate(self.stages):
            if place:
                x = F.interpolate(self.resize[place - 1](x), scale_factor=2, mode="nearest")
            for block in stage.children():
                x = block(x, embedded)
        return self.to_sample(F.silu(self.norm(x)))
