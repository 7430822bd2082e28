"""The bodies of a GAN's two networks, a pair a backbone: from styles to samples, and from samples to features.

Each generator has `num_layers`, how many places read a style, and takes styles [N, num_layers, style_dim]; each
discriminator has `num_features`. `models/gan.py` puts latents and conditions before, and logits behind them.
"""

# pyright: basic, reportArgumentType=false, reportGeneralTypeIssues=false
from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from designkit.models.normalisation import VirtualBatchNorm

if TYPE_CHECKING:
    from designkit.models.gan import GanConfig, Normalisation

SLOPE = 0.2  # of every leaky rectifier


class MlpGenerator(nn.Module):
    """Fully connected layers from w to the flattened sample."""

    num_layers = 1

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        self.shape = config.shape
        layers: list[nn.Module] = []
        width = config.style_dim
        for hidden in config.widths:
            layers += [nn.Linear(width, hidden), nn.LeakyReLU(SLOPE)]
            width = hidden
        self.layers = nn.Sequential(*layers, nn.Linear(width, math.prod(config.shape)))
        _initialise(self, is_normalised=False)

    def forward(self, styles: Tensor) -> Tensor:
        """Samples [N, *shape] of styles [N, num_layers, style_dim]."""
        return self.layers(styles[:, 0]).unflatten(1, self.shape)


class MlpDiscriminator(nn.Module):
    """Fully connected layers from the flattened sample to features."""

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        width = math.prod(config.shape)
        for hidden in reversed(config.widths):
            layers += [nn.Linear(width, hidden), nn.LeakyReLU(SLOPE)]
            width = hidden
        self.layers = nn.Sequential(*layers)
        self.num_features = width
        _initialise(self, is_normalised=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features [N, num_features] of samples [N, *shape]."""
        return self.layers(x)


class DcganGenerator(nn.Module):
    """Transposed convolutions that double the side, each normalised and rectified; tanh at the end."""

    num_layers = 1

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        channels, *side = config.shape
        step = 2 ** (len(config.widths) - 1)
        self.base = (config.widths[0], side[0] // step, side[1] // step)
        kind = config.generator_normalisation
        self.project = nn.Linear(config.style_dim, math.prod(self.base), bias=False)
        layers: list[nn.Module] = [_norm(kind, config.widths[0]), nn.ReLU()]
        for width, finer in pairwise(config.widths):
            layers += [nn.ConvTranspose2d(width, finer, 4, 2, 1, bias=kind == "none"), _norm(kind, finer), nn.ReLU()]
        layers += [nn.Conv2d(config.widths[-1], channels, 3, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        _initialise(self, is_normalised=kind in ("batch", "virtual"))

    def forward(self, styles: Tensor) -> Tensor:
        """Samples [N, *shape] of styles [N, num_layers, style_dim]."""
        return self.layers(_channels_last(self.project(styles[:, 0]).unflatten(1, self.base)))


class DcganDiscriminator(nn.Module):
    """Convolutions that halve the side, leaky rectifiers, normalised but for the first."""

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        channels, *side = config.shape
        kind = config.discriminator_normalisation
        widths = config.widths[::-1]
        layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 3, padding=1), nn.LeakyReLU(SLOPE)]
        for width, coarser in pairwise(widths):
            layers += [
                nn.Conv2d(width, coarser, 4, 2, 1, bias=kind in ("none", "spectral")), _norm(kind, coarser),
                nn.LeakyReLU(SLOPE),
            ]  # fmt: skip
        self.layers = nn.Sequential(*layers, nn.Flatten())
        step = 2 ** (len(widths) - 1)
        self.num_features = widths[-1] * (side[0] // step) * (side[1] // step)
        _initialise(self, is_normalised=kind in ("batch", "virtual"))

    def forward(self, x: Tensor) -> Tensor:
        """Features [N, num_features] of samples [N, *shape]."""
        return self.layers(_channels_last(x))


class _ResidualBlock(nn.Module):
    """x + 1x1(grouped 3x3(1x1(x))): the last convolution starts at 0, so that a new network is a plain path.

    Initial weights are scaled by num_blocks^(-1/4), as Fixup derives for blocks of three layers (Zhang et al.,
    arXiv 1901.09321), which is what stands in for normalisation. With styles the inner channels are scaled
    by 1 + A(w), A starting at 0.
    """

    def __init__(self, width: int, config: GanConfig, *, num_blocks: int, style_dim: int = 0) -> None:
        super().__init__()
        inner = width * config.expansion
        self.widen = nn.Conv2d(width, inner, 1)
        self.spread = nn.Conv2d(inner, inner, 3, padding=1, groups=max(1, inner // config.group_width))
        self.narrow = nn.Conv2d(inner, width, 1, bias=False)
        self.modulation = nn.Linear(style_dim, inner) if style_dim else None
        for layer in (self.widen, self.spread):
            nn.init.kaiming_normal_(layer.weight, a=SLOPE)
            with torch.no_grad():
                layer.weight.mul_(num_blocks**-0.25)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.narrow.weight)
        if self.modulation is not None:
            nn.init.zeros_(self.modulation.weight)
            nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        inner = F.leaky_relu(self.widen(x), SLOPE)
        if self.modulation is not None:
            assert style is not None
            inner = inner * (1 + self.modulation(style))[:, :, None, None]
        return x + self.narrow(F.leaky_relu(self.spread(inner), SLOPE))


class R3Generator(nn.Module):
    """A learned basis weighted by w, then stages of residual blocks, each twice as fine."""

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        channels, *side = config.shape
        step = 2 ** (len(config.widths) - 1)
        num_blocks = len(config.widths) * config.blocks_per_stage
        self.basis = nn.Parameter(torch.randn(config.widths[0], side[0] // step, side[1] // step))
        self.weigh = nn.Linear(config.style_dim, config.widths[0], bias=False)
        style_dim = config.style_dim if config.is_modulated else 0
        self.stages = nn.ModuleList(
            nn.ModuleList(
                _ResidualBlock(width, config, num_blocks=num_blocks, style_dim=style_dim)
                for _ in range(config.blocks_per_stage)
            )
            for width in config.widths
        )
        self.resize = nn.ModuleList(nn.Conv2d(width, finer, 1, bias=False) for width, finer in pairwise(config.widths))
        self.to_sample = nn.Conv2d(config.widths[-1], channels, 1)
        self.is_modulated = config.is_modulated
        self.num_layers = 1 + num_blocks if config.is_modulated else 1
        for layer in self.resize:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
        nn.init.normal_(self.weigh.weight, std=config.style_dim**-0.5)
        nn.init.normal_(self.to_sample.weight, std=0.5 * config.widths[-1] ** -0.5)

    def forward(self, styles: Tensor) -> Tensor:
        """Samples [N, *shape] of styles [N, num_layers, style_dim]."""
        x = _channels_last(self.basis * self.weigh(styles[:, 0])[:, :, None, None])
        layer = 0
        for place, stage in enumerate(self.stages):
            if place:
                x = F.interpolate(self.resize[place - 1](x), scale_factor=2, mode="bilinear", align_corners=False)
            for block in stage:
                layer += 1
                x = block(x, styles[:, layer] if self.is_modulated else None)
        return self.to_sample(x)


class R3Discriminator(nn.Module):
    """The generator's mirror: residual blocks, each stage half as fine, then one weight a pixel and channel."""

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        channels, *side = config.shape
        widths = config.widths[::-1]
        num_blocks = len(widths) * config.blocks_per_stage
        self.from_sample = nn.Conv2d(channels, widths[0], 1)
        self.stages = nn.ModuleList(
            nn.ModuleList(_ResidualBlock(width, config, num_blocks=num_blocks) for _ in range(config.blocks_per_stage))
            for width in widths
        )
        self.resize = nn.ModuleList(nn.Conv2d(width, coarser, 1, bias=False) for width, coarser in pairwise(widths))
        step = 2 ** (len(widths) - 1)
        base = (side[0] // step, side[1] // step)
        self.gather = nn.Conv2d(widths[-1], widths[-1], base, groups=widths[-1], bias=False)
        self.num_features = widths[-1]
        nn.init.kaiming_normal_(self.from_sample.weight, nonlinearity="linear")
        nn.init.zeros_(self.from_sample.bias)
        for layer in (*self.resize, self.gather):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")

    def forward(self, x: Tensor) -> Tensor:
        """Features [N, num_features] of samples [N, *shape]."""
        x = self.from_sample(_channels_last(x))
        for place, stage in enumerate(self.stages):
            if place:
                x = self.resize[place - 1](F.avg_pool2d(x, 2))
            for block in stage:
                x = block(x)
        return self.gather(x).flatten(1)


GENERATOR_BODIES = {"mlp": MlpGenerator, "dcgan": DcganGenerator, "r3": R3Generator}
DISCRIMINATOR_BODIES = {"mlp": MlpDiscriminator, "dcgan": DcganDiscriminator, "r3": R3Discriminator}


def _norm(kind: Normalisation, width: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(width)
    return VirtualBatchNorm(width) if kind == "virtual" else nn.Identity()


def _initialise(module: nn.Module, *, is_normalised: bool) -> None:
    """Normal with deviation 0.02, as DCGAN's paper says for normalised networks; He's otherwise, or signals die."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            if is_normalised:
                nn.init.normal_(layer.weight, std=0.02)
            else:
                nn.init.kaiming_normal_(layer.weight, a=SLOPE)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _channels_last(x: Tensor) -> Tensor:
    """The same values in the order in memory in which convolutions are quickest; what follows keeps it."""
    return x.contiguous(memory_format=torch.channels_last)
