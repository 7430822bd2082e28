"""What a VAE's recipe may say, and the settings that a folder of pictures gets without one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from designkit.training.config import Schedule, Strict
from designkit.training.sample_data import SampleData

Objective = Literal["elbo", "beta", "beta-tc", "info", "iwae", "vq", "fsq"]

QUANTISED: tuple[Objective, ...] = ("vq", "fsq")


class VaeNetwork(Strict):
    """The two networks; see models/vae.py."""

    latent: Literal["vector", "spatial"] | None = Field(
        default=None,
        description="one vector a picture, or a small picture of latents; spatial for vq and fsq, else vector",
    )
    latent_dim: int | None = Field(
        default=None, gt=0,
        description="numbers of a vector latent, channels of a spatial one; 32, for vq 8, for fsq one a level, unless "
        "given",
    )  # fmt: skip
    widths: tuple[int, ...] | None = Field(
        default=None, description="channels from the coarsest stage to the finest; by the pictures' side unless given"
    )
    encoder_widths: tuple[int, ...] = Field(
        default=(), description="channels of the encoder, coarsest first, where they differ from the decoder's"
    )
    blocks_per_stage: int = Field(default=1, gt=0, description="residual blocks at each fineness")
    embedding_dim: int = Field(default=64, gt=0, description="what the networks make of a condition")


class VaeObjective(Strict):
    """What is lowered: the reconstruction's negative log likelihood, and what keeps latents near their prior."""

    kind: Objective = "elbo"
    likelihood: Literal["bernoulli", "gaussian", "logistic"] = Field(
        default="gaussian",
        description="what the decoder says of pixels: coin flips, a Gaussian with learned variance, or a logistic "
        "counted level by level",
    )
    levels: int = Field(default=256, ge=2, description="how many values a channel of a pixel can have")
    beta: float = Field(default=1.0, ge=0, description="weight of the divergence, or total correlation")
    capacity: float = Field(default=0.0, ge=0, description="beta: nats that the latents are held to; 0: no hold")
    warmup_steps: int = Field(
        default=0, ge=0, description="steps in which the divergence's weight or the capacity grows"
    )
    prior_steps: int = Field(
        default=0, ge=0,
        description="steps at the start in which latents are drawn from the prior, so that the decoder first learns "
        "all that conditions say, and the encoder then only what they leave open",
    )  # fmt: skip
    free_bits: float = Field(default=0.0, ge=0, description="nats of each latent dimension that cost nothing")
    alpha: float = Field(default=0.0, le=1, description="info: weight of mutual information; 1 leaves the MMD alone")
    discrepancy: float = Field(default=100.0, ge=0, description="info: lambda, weight of the discrepancy (MMD)")
    kernel: Literal["imq", "rbf"] = Field(default="imq", description="info: kernel of the discrepancy")
    samples: int = Field(default=8, gt=0, description="iwae: latents drawn a picture")
    codes: int = Field(default=256, gt=1, description="vq: letters of the alphabet")
    commitment: float = Field(default=8.0, ge=0, description="vq: weight of the latents' distance from their letters")
    code_levels: tuple[int, ...] = Field(default=(8, 5, 5, 5), description="fsq: values of each latent channel")


class VaeRecipe(Strict):
    """Everything that makes a VAE."""

    kind: Literal["vae"]
    name: str
    seed: int = 0
    licence: str = Field(default="unknown", description="of the pictures, and so of the model; its card says it")
    is_self_contained: bool = Field(
        default=True, description="the model folder brings along the parts of the starter that it leans on"
    )
    half: bool = Field(default=False, description="store half-precision weights, half the size; fp32 computes")
    truncation: float = Field(default=1.0, ge=0, le=1, description="how far from the mean latent pictures are drawn")
    sampler: Literal["prior", "mixture"] = Field(
        default="mixture", description="where new latents come from: the standard normal prior, or a Gaussian mixture "
        "fitted to the latents of what was learned",
    )  # fmt: skip
    components: int = Field(default=10, gt=0, description="Gaussians of the mixture")
    data: SampleData
    network: VaeNetwork = VaeNetwork()
    objective: VaeObjective = VaeObjective()
    training: Schedule

    @model_validator(mode="after")
    def _learnable(self) -> VaeRecipe:
        objective = self.objective
        if self.data.source in ("two-gaussians", "ring", "grid"):
            raise ValueError(f"source {self.data.source} has points, and a VAE here learns pictures; use train gan")
        if self.data.space == "latents" and objective.likelihood != "gaussian":
            raise ValueError(f"latents have no levels to count by, as {objective.likelihood} does; use gaussian")
        if objective.kind in QUANTISED and (self.network.latent == "vector" or self.sampler == "prior"):
            raise ValueError(f"{objective.kind} has spatial latents and no prior; use latent spatial, sampler mixture")
        if objective.free_bits and objective.kind not in ("elbo", "beta", "info"):
            raise ValueError(f"free_bits are of a divergence a dimension, which {objective.kind} does not have")
        return self


def vae_preset(folder: str, num_pictures: int, *, side_px: int, name: str) -> VaeRecipe:
    """The best settings known for a folder of so many pictures; the reasons are in VAE.md beside this file."""
    is_small = num_pictures < 1_500
    return VaeRecipe(
        kind="vae", name=name,
        data=SampleData(folder=folder, side_px=side_px),
        network=VaeNetwork(latent_dim=32 if is_small else 64),
        objective=VaeObjective(likelihood="gaussian", warmup_steps=200),
        training=Schedule(
            steps=1_000 if num_pictures <= 250 else 2_000 if is_small else 5_000, batch_size=32, learning_rate=1e-3,
            beta1=0.9, beta2=0.99, weight_decay=0.05 if is_small else 0.0, warmup_steps=50, cooldown=0.4,
            gradient_clip=1_000.0, ema_decay=0.998, precision="auto",
        ),
    )  # fmt: skip
