"""Generator and discriminator networks of generative adversarial networks, each built from one plain config.

Three backbones behind one interface: `mlp` for points and tiny pictures, `dcgan` (Radford et al., arXiv 1511.06434),
and `r3`, residual and free of normalisation, after the description of R3GAN's architecture (Huang et al.,
arXiv 2501.05441). Onto `r3` the options of StyleGAN can be switched: a mapping network, modulation of every
block, truncation and style mixing; switched off, it is exactly the plain network.
"""

# pyright: basic, reportArgumentType=false, reportGeneralTypeIssues=false
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from designkit.models.gan_bodies import DISCRIMINATOR_BODIES, GENERATOR_BODIES, SLOPE
from designkit.models.normalisation import VirtualBatchNorm, batch_norms, virtual_norms

Backbone = Literal["mlp", "dcgan", "r3"]
Normalisation = Literal["none", "batch", "virtual", "spectral"]
Condition = Literal["none", "classes", "text"]


@dataclass(frozen=True, kw_only=True)
class GanConfig:
    """Everything that shapes the two networks.

    `shape` is one sample's: (channels, height, width), or (coordinates,) for points. `widths` are the channels from
    the coarsest stage to the finest, each twice as fine as the one before (for `mlp` the hidden layers).
    `condition_dim` is the length of the condition vector: the number of classes (one of them is 1), or the width of a
    text encoder's vector; `embedding_dim` what the generator makes of it. `group_width` is the number of
    channels that one group of `r3`'s 3x3 convolutions sees, `expansion` how much wider they are than the block.
    """

    backbone: Backbone = "r3"
    shape: tuple[int, ...] = (3, 64, 64)
    latent_dim: int = 64
    widths: tuple[int, ...] = (128, 128, 64, 32, 16)
    blocks_per_stage: int = 1
    group_width: int = 32
    expansion: int = 1
    generator_normalisation: Normalisation = "none"
    discriminator_normalisation: Normalisation = "none"
    mapping_layers: int = 0
    is_modulated: bool = False
    condition: Condition = "none"
    condition_dim: int = 0
    embedding_dim: int = 0

    @property
    def is_picture(self) -> bool:
        """Whether samples are pictures rather than points."""
        return len(self.shape) == 3

    @property
    def style_dim(self) -> int:
        """Length of w, which the synthesis network reads: mapped, or latent and embedded condition side by side."""
        return self.latent_dim if self.mapping_layers else self.latent_dim + self.embedding_dim

    def problems(self) -> Iterator[str]:
        """Everything that keeps these networks from being built, in words."""
        if len(self.shape) not in (1, 3):
            yield f"shape {self.shape} is neither (coordinates,) nor (channels, height, width)"
        if not self.widths:
            yield "widths is empty; give the channels of each stage"
        if self.backbone != "mlp":
            if not self.is_picture:
                yield f"{self.backbone} makes pictures, and shape {self.shape} is a point; use backbone mlp"
            elif self.widths:
                step = 2 ** (len(self.widths) - 1)
                if any(side % step or side // step < 2 for side in self.shape[1:]):
                    yield (
                        f"{len(self.widths)} widths halve the picture {len(self.widths) - 1} times, which "
                        f"{self.shape[1]} x {self.shape[2]} pixels do not allow"
                    )
        if self.backbone != "dcgan":
            for key in ("generator_normalisation", "discriminator_normalisation"):
                value = getattr(self, key)
                if value in ("batch", "virtual"):
                    yield f"{key} {value} exists for dcgan alone; {self.backbone} takes none or spectral"
        if self.backbone != "r3" and (self.mapping_layers or self.is_modulated):
            yield f"mapping_layers and is_modulated are options of r3, not of {self.backbone}"
        if self.backbone == "r3" and any(
            width * self.expansion > self.group_width and width * self.expansion % self.group_width
            for width in self.widths
        ):
            yield f"widths {self.widths} above group_width {self.group_width} are not all multiples of it"
        if (self.condition == "none") != (self.condition_dim == 0) or (self.condition_dim > 0) > (
            self.embedding_dim > 0
        ):
            yield "a condition needs condition_dim and embedding_dim above 0, and none of them without one"

    def to_json(self) -> dict[str, Any]:
        """Plain values for config.json."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> GanConfig:
        """The config of a model folder; raises ValueError with everything that is wrong with it."""
        known = {field.name for field in fields(GanConfig)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown keys: {', '.join(unknown)}")
        config = GanConfig(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
        if problems := list(config.problems()):
            raise ValueError("; ".join(problems))
        return config


def default_widths(side_px: int, *, most: int = 128) -> tuple[int, ...]:
    """Channels for square pictures: 1024 / side in the finest stage, twice as many in each coarser one, 16 to `most`.

    So every stage takes about as long as any other. The coarsest is 4 to 7 pixels wide. Raises ValueError for sides
    that cannot be halved down to that.
    """
    num_halvings = max(0, int(math.log2(side_px / 4)))
    if side_px % 2**num_halvings or side_px < 8:
        raise ValueError(f"a side of {side_px} px cannot be halved down to 4 to 7; use 8, 16, 28, 32, 64, 128 or 256")
    finest = max(16, 16 * round(1024 / side_px / 16))
    return tuple(min(most, finest * 2 ** (num_halvings - stage)) for stage in range(num_halvings + 1))


class GeneratorNetwork(nn.Module):
    """Latents (and conditions) to samples: `map` makes styles w of them, `synthesise` pictures of styles."""

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Linear(config.condition_dim, config.embedding_dim, bias=False) if config.condition_dim else None
        self.mapping = _mapping(config) if config.mapping_layers else None
        self.body = GENERATOR_BODIES[config.backbone](config)
        if self._virtual_norms:
            reference = torch.randn((32, config.latent_dim), generator=torch.Generator().manual_seed(0))
            self.register_buffer("reference_latents", reference)
        if config.generator_normalisation == "spectral":
            _normalise_spectrally(self.body)

    @property
    def num_layers(self) -> int:
        """How many places of the synthesis network read w, from the coarsest to the finest."""
        return self.body.num_layers

    def map(self, latents: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Latents [N, latent_dim] and conditions [N, condition_dim] -> styles w [N, style_dim].

        Without a mapping network w is the latent and the embedded condition, side by side.
        """
        if self.embed is not None:
            if conditions is None:
                raise ValueError("this generator is conditional: it needs a condition for each latent")
            latents = torch.cat([latents, self.embed(conditions)], dim=1)
        return latents if self.mapping is None else self.mapping(latents)

    @torch.no_grad()
    def centre(self, conditions: Tensor | None = None, *, num_samples: int = 1024) -> Tensor:
        """The mean style, that of each condition [N, style_dim] (or [1, style_dim]): where truncation draws to.

        Exact where there is no mapping network (the prior's mean is 0); else over fixed latents.
        """
        count = 1 if conditions is None else len(conditions)
        device = next(self.parameters()).device
        if self.mapping is None:
            return self.map(torch.zeros(count, self.config.latent_dim, device=device), conditions)
        latents = torch.randn((num_samples, self.config.latent_dim), generator=torch.Generator().manual_seed(0))
        latents = latents.to(device)
        if conditions is None:
            return self.map(latents).mean(dim=0, keepdim=True)
        means = [self.map(latents, condition.expand(num_samples, -1)).mean(dim=0) for condition in conditions]
        return torch.stack(means)

    def synthesise(self, styles: Tensor) -> Tensor:
        """Styles [N, style_dim], or one a layer [N, num_layers, style_dim], to samples [N, *shape] of about -1 to 1."""
        if styles.ndim == 2:
            styles = styles[:, None].expand(-1, self.num_layers, -1)
        return self.body(styles)

    def forward(self, latents: Tensor, conditions: Tensor | None = None, *, mix_with: Tensor | None = None) -> Tensor:
        """Samples [N, *shape] of latents [N, latent_dim].

        `mix_with` are styles a layer [N, num_layers, style_dim] that take over where they are finite. In training
        a network with virtual batch normalisation first takes its reference batch's statistics.
        """
        if self.training and self._virtual_norms:
            self.take_reference(conditions)
        styles = self.map(latents, conditions)
        if mix_with is None:
            return self.synthesise(styles)
        styles = styles[:, None].expand(-1, self.num_layers, -1)
        return self.synthesise(torch.where(mix_with.isfinite(), mix_with.nan_to_num(), styles))

    def take_reference(self, conditions: Tensor | None = None) -> None:
        """Let every virtual batch normalisation measure the fixed reference batch with the present weights."""
        latents = self.reference_latents
        if conditions is not None:
            conditions = conditions[torch.arange(len(latents), device=conditions.device) % len(conditions)]
        _collect(self._virtual_norms, lambda: self.synthesise(self.map(latents, conditions)))

    @property
    def _virtual_norms(self) -> list[VirtualBatchNorm]:
        return virtual_norms(self)

    @torch.no_grad()
    def settle(self, latents: Tensor, conditions: Tensor | None = None) -> None:
        """Measure batch statistics anew for the present weights, as averaged weights need; no effect without any."""
        norms = batch_norms(self)
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # A plain mean over the batches.
        was_training = self.training
        self.train()
        if norms or self._virtual_norms:
            for start in range(0, len(latents), 64):
                given = None if conditions is None else conditions[start : start + 64]
                self(latents[start : start + 64], given)
        self.train(was_training)
        for norm in norms:
            norm.momentum = 0.1


class Discriminator(nn.Module):
    """Samples (and conditions) to one logit each; conditions enter by projection (arXiv 1802.05637)."""

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        self.config = config
        self.body = DISCRIMINATOR_BODIES[config.backbone](config)
        self.head = nn.Linear(self.body.num_features, 1)
        self.embed = (
            nn.Linear(config.condition_dim, self.body.num_features, bias=False) if config.condition_dim else None
        )
        if self.embed is not None:
            nn.init.normal_(self.embed.weight, std=config.condition_dim**-0.5 if config.condition == "text" else 1.0)
        self._reference: Tensor | None = None
        if config.discriminator_normalisation == "spectral":
            _normalise_spectrally(self)

    def forward(self, samples: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Logits [N] of samples [N, *shape]: above 0 is real."""
        return self.judge(self.features(samples), conditions)

    def features(self, samples: Tensor) -> Tensor:
        """What is seen of samples [N, *shape], whatever their conditions: [N, F]."""
        if self.training and self._reference is not None:
            reference = self._reference.to(samples.device)
            _collect(virtual_norms(self), lambda: self.body(reference))
        return self.body(samples)

    def judge(self, features: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Logits [N] of features [N, F] under conditions [N, condition_dim]."""
        logits = self.head(features)[:, 0]
        if self.embed is None:
            return logits
        if conditions is None:
            raise ValueError("this discriminator is conditional: it needs a condition for each sample")
        return logits + (self.embed(conditions) * features).sum(dim=1) / math.sqrt(features.shape[1])

    def match(self, features: Tensor, conditions: Tensor) -> Tensor:
        """How well each of the features [N, F] fits each condition [M, condition_dim]: the projections, [N, M]."""
        assert self.embed is not None
        return features @ self.embed(conditions).T / math.sqrt(features.shape[1])

    def set_reference(self, samples: Tensor) -> None:
        """Fix the real samples [M, *shape] whose statistics virtual batch normalisation uses; no effect without it."""
        self._reference = samples if virtual_norms(self) else None


def truncate(styles: Tensor, centre: Tensor, psi: float) -> Tensor:
    """Styles drawn towards the mean style: psi 1 leaves them, psi 0 makes all alike (arXiv 1812.04948, appendix B)."""
    return torch.lerp(centre.expand_as(styles), styles, psi)


def draw_mixing(
    network: GeneratorNetwork, rng: torch.Generator, size: int, conditions: Tensor | None, *, probability: float
) -> Tensor | None:
    """Styles of a second latent for the finer layers of some samples: [size, num_layers, style_dim], NaN elsewhere.

    Mixing regularisation of StyleGAN (Karras et al., arXiv 1812.04948, section 3.1).
    """
    if probability == 0 or network.num_layers == 1:
        return None
    device = next(network.parameters()).device
    other = torch.randn((size, network.config.latent_dim), generator=rng).to(device)
    first = torch.randint(1, network.num_layers, (size,), generator=rng)
    first = torch.where(torch.rand(size, generator=rng) < probability, first, network.num_layers)
    takes_over = torch.arange(network.num_layers)[None] >= first[:, None]
    styles = network.map(other, conditions)[:, None].expand(-1, network.num_layers, -1)
    return styles.masked_fill(~takes_over.to(device)[:, :, None], float("nan"))


def _mapping(config: GanConfig) -> nn.Module:
    layers: list[nn.Module] = [_PixelNorm()]
    width = config.latent_dim + config.embedding_dim
    for _ in range(config.mapping_layers):
        layers += [nn.Linear(width, config.latent_dim), nn.LeakyReLU(SLOPE)]
        width = config.latent_dim
        nn.init.kaiming_normal_(layers[-2].weight, a=SLOPE)
        nn.init.zeros_(layers[-2].bias)
    return nn.Sequential(*layers)


class _PixelNorm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def _collect(norms: list[VirtualBatchNorm], forward: Any) -> None:
    for norm in norms:
        norm.is_collecting = True
    try:
        forward()
    finally:
        for norm in norms:
            norm.is_collecting = False


def _normalise_spectrally(module: nn.Module) -> None:
    for layer in list(module.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            spectral_norm(layer, n_power_iterations=1)
