"""What a GAN's recipe may say, and the settings that a folder of pictures gets without one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from designkit.training.config import Schedule, Strict
from designkit.training.sample_data import SampleData

Loss = Literal["minimax", "non-saturating", "lsgan", "wgan", "wgan-gp", "hinge", "relativistic"]
Normalisation = Literal["none", "batch", "virtual", "spectral"]
Operation = Literal["shift", "scale", "cutout", "flip", "rotate", "brightness", "contrast", "saturation"]


class GanNetwork(Strict):
    """The two networks; see models/gan.py."""

    backbone: Literal["mlp", "dcgan", "r3"] = "r3"
    latent_dim: int = Field(default=64, gt=0)
    widths: tuple[int, ...] | None = Field(
        default=None, description="channels from the coarsest stage to the finest; by the pictures' side unless given"
    )
    blocks_per_stage: int = Field(default=1, gt=0)
    group_width: int = Field(
        default=32, gt=0, description="channels that a group of the 3x3 convolutions sees; r3 only"
    )
    expansion: int = Field(default=1, gt=0, description="width of the 3x3 convolutions over the block's; r3 only")
    generator_normalisation: Normalisation | None = Field(
        default=None, description="batch for dcgan and none for the others, unless given"
    )
    discriminator_normalisation: Normalisation = "none"
    mapping_layers: int = Field(default=0, ge=0, description="StyleGAN's mapping network; r3 only")
    is_modulated: bool = Field(default=False, description="w scales the channels of every block; r3 only")
    embedding_dim: int = Field(default=64, gt=0, description="what the generator makes of a condition")


class GanGame(Strict):
    """What the two players lower."""

    loss: Loss = "relativistic"
    r1: float = Field(default=0.0, ge=0, description="gamma of the zero-centred penalty at real samples")
    r2: float = Field(default=0.0, ge=0, description="gamma of the zero-centred penalty at generated samples")
    gradient_penalty: float = Field(
        default=0.0, ge=0, description="lambda of the one-centred penalty; wgan-gp needs it"
    )
    lecam: float = Field(default=0.0, ge=0, description="weight of the distance to the logits' moving averages")
    penalty_every: int = Field(default=1, gt=0, description="gradient penalties at every n-th step, n times as heavy")
    weight_limit: float = Field(default=0.01, gt=0, description="wgan alone: largest size of a discriminator's weight")
    discriminator_steps: int = Field(default=1, gt=0, description="discriminator updates a generator update")
    discriminator_rate: float = Field(default=1.0, gt=0, description="its learning rate over the generator's")
    style_mixing: float = Field(default=0.0, ge=0, le=1, description="share of pictures drawn from two latents")
    mismatch: float | None = Field(
        default=None, ge=0,
        description="weight of telling real pictures with another's caption from those with their own (Reed et al., "
        "arXiv 1605.05396); 0.5 with captions and 0 otherwise, unless given",
    )  # fmt: skip
    naming: float = Field(
        default=0.0, ge=0,
        description="weight, for both players, of telling which of the batch's captions or classes a picture has "
        "(contrastive, as in Zhang et al., arXiv 2101.04702)",
    )  # fmt: skip
    closeness: float = Field(
        default=0.0, ge=0,
        description="weight of the distance between what is drawn and the real picture of the same condition (Isola et "
        "al., arXiv 1611.07004)",
    )  # fmt: skip
    augment: Literal["none", "diffaugment", "adaptive"] = "none"
    operations: tuple[Operation, ...] = Field(
        default=("shift", "scale", "cutout"),
        description="what augmentation may do; flips mirror logos, and brightness, contrast and saturation leak "
        "off-brand colours, so that they must be asked for",
    )
    adaptive_target: float = Field(default=0.6, gt=0, lt=1, description="wanted surety of the discriminator")
    adaptive_images: int = Field(default=50_000, gt=0, description="pictures in which the probability could go to 1")
    adaptive_most: float = Field(default=0.8, ge=0, le=1, description="cap of the probability")


class GanCopying(Strict):
    """How the generator first learns each condition's picture, by distance alone; see training/copying.py."""

    candidates: int = Field(
        default=1, gt=0,
        description="pictures drawn of each condition, of which the nearest learns, so that latents keep what captions "
        "leave open (Li & Malik, arXiv 1809.09087); 1 draws their mean",
    )  # fmt: skip
    training: Schedule


class GanRecipe(Strict):
    """Everything that makes a GAN."""

    kind: Literal["gan"]
    name: str
    seed: int = 0
    licence: str = Field(default="unknown", description="of the pictures, and so of the model; its card says it")
    is_self_contained: bool = Field(
        default=True, description="the model folder brings along the parts of the starter that it leans on"
    )
    half: bool = Field(default=False, description="store half-precision weights, half the size; fp32 computes")
    truncation: float = Field(default=1.0, ge=0, le=1, description="how far from the mean style pictures are drawn")
    data: SampleData
    network: GanNetwork = GanNetwork()
    game: GanGame = GanGame()
    copying: GanCopying | None = Field(default=None, description="what the generator learns before the game begins")
    training: Schedule

    @model_validator(mode="after")
    def _playable(self) -> GanRecipe:
        network, game = self.network, self.game
        if game.loss == "wgan-gp" and not game.gradient_penalty:
            raise ValueError("loss wgan-gp needs gradient_penalty above 0; 10 is the paper's")
        penalised = game.gradient_penalty or game.r1 or game.r2
        if penalised and network.discriminator_normalisation in ("batch", "virtual"):
            raise ValueError(
                f"gradient penalties are of single samples, which discriminator_normalisation "
                f"{network.discriminator_normalisation} ties together; use none or spectral"
            )
        if game.augment != "none" and self.data.source in ("two-gaussians", "ring", "grid"):
            raise ValueError("points cannot be augmented; set augment: none")
        return self


def gan_preset(folder: str, num_pictures: int, *, side_px: int, name: str) -> GanRecipe:
    """The best settings known for a folder of so many pictures; the reasons are in GAN.md beside this file."""
    is_small = num_pictures < 1_500
    gamma = max(0.1, 0.5 * (side_px / 32) ** 2)
    return GanRecipe(
        kind="gan", name=name,
        data=SampleData(folder=folder, side_px=side_px),
        game=GanGame(
            loss="relativistic", r1=gamma, r2=gamma, penalty_every=4,
            augment="adaptive" if is_small else "none", adaptive_images=max(5_000, 50 * num_pictures),
        ),
        training=Schedule(
            steps=_preset_steps(num_pictures), batch_size=32, learning_rate=2e-4, beta1=0.0, beta2=0.99,
            weight_decay=0.0, warmup_steps=100, cooldown=0.3, gradient_clip=float("inf"), ema_decay=0.998,
            precision="auto",
        ),
    )  # fmt: skip


def _preset_steps(num_pictures: int) -> int:
    """Few pictures are known by heart soon; many take longer to be told apart."""
    return 1_500 if num_pictures <= 250 else 3_000 if num_pictures <= 1_500 else 6_000
