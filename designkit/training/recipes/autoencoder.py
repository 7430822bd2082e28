"""Train the picture autoencoder on rendered scenes."""

# pyright: basic, reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false
from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL.Image import Image
from torch.nn import functional

from designkit.starter.renderer import render
from designkit.starter.scenes import training_scene
from designkit.training.config import AutoencoderRecipe
from designkit.values import Size

CROP = Size(width=128, height=128)
_FIRST_LOG_VARIANCE = -5.0


def build_autoencoder(recipe: AutoencoderRecipe) -> AutoencoderKL:
    """A fresh AutoencoderKL that makes 8 x 8 pixels one latent; no attention, so any size works."""
    depth = len(recipe.channels)
    autoencoder = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * depth, up_block_types=("UpDecoderBlock2D",) * depth,
        block_out_channels=recipe.channels, layers_per_block=1, latent_channels=recipe.latent_channels,
        norm_num_groups=recipe.norm_groups, mid_block_add_attention=False, sample_size=CROP.width,
    )  # fmt: skip
    with torch.no_grad():  # Start with little noise on the latents: at unit noise light and dark is all it learns.
        layer = autoencoder.quant_conv
        assert layer is not None
        assert layer.bias is not None
        layer.weight[recipe.latent_channels :].zero_()
        layer.bias[recipe.latent_channels :].fill_(_FIRST_LOG_VARIANCE)
    return autoencoder


def pictures_to_tensor(pictures: Sequence[Image]) -> torch.Tensor:
    """PIL pictures of one size -> [N, 3, H, W] float32 in [-1, 1]."""
    array = np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    return torch.from_numpy(array).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0).contiguous()


class AutoencoderTask:
    """Reconstruction of training scenes: L1, L1 of gradients, a trace of KL, and scale equivariance.

    Scale equivariance (arXiv 2502.14831): decoding a latent averaged 2 x 2 must give the picture averaged
    2 x 2, which keeps the latent space smooth for the denoiser.
    """

    def __init__(self, recipe: AutoencoderRecipe, *, seed: int) -> None:
        self.seed = seed
        self.module = _Reconstruction(build_autoencoder(recipe), recipe)

    @property
    def autoencoder(self) -> AutoencoderKL:
        """The network being trained."""
        return self.module.autoencoder

    def batch(self, step: int, size: int) -> dict[str, Any]:
        """`size` rendered scenes with the noise of their latents."""
        scenes = [training_scene(step * size + index, seed=self.seed) for index in range(size)]
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        crop, places = self.module.recipe.crop_px, random.Random(f"crop/{self.seed}/{step}")
        pictures: list[Image] = []
        for scene in scenes:
            left, top = places.randint(0, CROP.width - crop), places.randint(0, CROP.height - crop)
            pictures.append(render(scene, CROP).crop((left, top, left + crop, top + crop)))
        channels = self.autoencoder.config.latent_channels
        return {
            "pixels": pictures_to_tensor(pictures),
            "noise": torch.randn((size, channels, crop // 8, crop // 8), generator=rng),
            "halve": bool(torch.rand((), generator=rng) < self.module.recipe.equivariance_share),
        }

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """One group: all weights at the schedule's rate."""
        return [{"params": list(self.module.parameters()), "lr": learning_rate}]


class _Reconstruction(torch.nn.Module):
    def __init__(self, autoencoder: AutoencoderKL, recipe: AutoencoderRecipe) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.recipe = recipe

    def forward(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        pixels: torch.Tensor = batch["pixels"]  # [N, 3, H, W] in [-1, 1]
        posterior = self.autoencoder.encode(pixels).latent_dist
        latent = posterior.mean + posterior.std * batch["noise"].to(pixels.device)
        loss = self._distance(self.autoencoder.decode(latent).sample, pixels)
        plain = float(loss.detach())
        if batch["halve"]:
            small = self.autoencoder.decode(functional.avg_pool2d(latent, 2)).sample
            loss = loss + 0.25 * self._distance(small, functional.avg_pool2d(pixels, 2))
        kl = posterior.kl().mean()
        return loss + self.recipe.kl_weight * kl, {"l1": plain, "kl": float(kl.detach())}

    def _distance(self, drawn: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        drawn = drawn.float()
        loss = functional.l1_loss(drawn, truth)
        for axis in (2, 3):
            loss = loss + self.recipe.gradient_weight * functional.l1_loss(drawn.diff(dim=axis), truth.diff(dim=axis))
        return loss
