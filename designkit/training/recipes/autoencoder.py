"""Train the picture autoencoder on rendered scenes, in their own colours and in any others."""

# pyright: basic, reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false, reportOperatorIssue=false
from __future__ import annotations

import copy
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
from designkit.training.config import AutoencoderRecipe, Schedule
from designkit.training.loop import Look, Phase
from designkit.training.previews import picture_grid
from designkit.values import Size

CROP = Size(width=128, height=128)
_FIRST_LOG_VARIANCE = -5.0
_NUM_SCALE_SCENES = 256
_FIRST_LOOK, _NUM_SHOWN = 9 * 10**8, 8
_DECODER_SCENES = 10**7  # the first scene that the decoder's own training sees
_LATENT_ERROR = 0.15  # the largest standard deviation of the noise on its latents, as a denoiser leaves it


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
        layer.weight[recipe.latent_channels :].zero_()
        layer.bias[recipe.latent_channels :].fill_(_FIRST_LOG_VARIANCE)
    return autoencoder


def pictures_to_tensor(pictures: Sequence[Image]) -> torch.Tensor:
    """PIL pictures of one size -> [N, 3, H, W] float32 in [-1, 1]."""
    array = np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    return torch.from_numpy(array).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0).contiguous()


def recolour(pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Each picture [N, 3, H, W] in [-1, 1] in other colours: channels exchanged, each spread between two random levels.

    Scenes have fourteen colours; white and black, by this map, become any other, and the rest something between. Half
    of the levels lie at the ends of the range, since brand colours are often full ones.
    """
    count = len(pixels)
    channels = torch.stack([torch.randperm(3, generator=rng) for _ in range(count)])
    levels = (4 * torch.rand((2, count, 3, 1, 1), generator=rng) - 2).clamp(-1, 1)
    exchanged = pixels[torch.arange(count)[:, None], channels]
    return torch.lerp(levels[0], levels[1], (exchanged + 1) / 2)


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
        pixels, rng = _crops(self.module.recipe, step, size, seed=self.seed)
        channels, side = self.autoencoder.config.latent_channels, self.module.recipe.crop_px // 8
        num_recoloured = round(size * self.module.recipe.recoloured_share)
        if num_recoloured:
            pixels[:num_recoloured] = recolour(pixels[:num_recoloured], rng)
        return {
            "pixels": pixels,
            "noise": torch.randn((size, channels, side, side), generator=rng),
            "halve": bool(torch.rand((), generator=rng) < self.module.recipe.equivariance_share),
        }

    def phases(self, schedule: Schedule) -> list[Phase]:
        """One phase: all weights at the schedule's rate."""
        return [
            Phase(loss=self.module, groups=[{"params": list(self.module.parameters()), "lr": schedule.learning_rate}])
        ]

    def look(self) -> Look:
        """Eight scenes that training never shows, and below them what comes back."""
        return _look(self.autoencoder, self.seed)


class DecoderTask:
    """Sharpen the decoder alone, on whole scenes and slightly wrong latents; the latent space stays as it is."""

    def __init__(self, autoencoder: AutoencoderKL, recipe: AutoencoderRecipe, *, seed: int) -> None:
        self.seed = seed
        self.autoencoder = autoencoder
        autoencoder.encoder.requires_grad_(False)
        autoencoder.quant_conv.requires_grad_(False)
        self.module = _Decoding(autoencoder, recipe)

    def batch(self, step: int, size: int) -> dict[str, Any]:
        """`size` whole scenes that the first training did not meet, with the noise laid on their latents."""
        scenes = [training_scene(_DECODER_SCENES + step * size + index, seed=self.seed) for index in range(size)]
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        shape = (size, self.autoencoder.config.latent_channels, CROP.height // 8, CROP.width // 8)
        strength = _LATENT_ERROR * torch.rand((size, 1, 1, 1), generator=rng)
        pixels = pictures_to_tensor([render(scene, CROP) for scene in scenes])
        num_recoloured = round(size * self.module.recipe.recoloured_share)
        if num_recoloured:
            pixels[:num_recoloured] = recolour(pixels[:num_recoloured], rng)
        return {
            "pixels": pixels,
            "noise": strength * torch.randn(shape, generator=rng),
        }

    def phases(self, schedule: Schedule) -> list[Phase]:
        """One phase: the decoder's weights at the schedule's rate."""
        learning = [*self.autoencoder.post_quant_conv.parameters(), *self.autoencoder.decoder.parameters()]
        return [Phase(loss=self.module, groups=[{"params": learning, "lr": schedule.learning_rate}])]

    def look(self) -> Look:
        """Eight scenes that training never shows, and below them what comes back."""
        return _look(self.autoencoder, self.seed)


class WideningTask:
    """Teach an autoencoder that knows the scenes' colours all others, while its latents of scenes stay where they are.

    So denoisers and other models that were trained on those latents go on as before. Recoloured pictures are
    encoded and decoded; scenes in their own colours are decoded from where the autoencoder has always put them, with
    the noise that a denoiser leaves, and their latents are held there, with `anchor_weight`.
    """

    def __init__(self, autoencoder: AutoencoderKL, recipe: AutoencoderRecipe, *, seed: int) -> None:
        self.seed = seed
        self.autoencoder = autoencoder
        self.module = _Widening(autoencoder, recipe)

    def batch(self, step: int, size: int) -> dict[str, Any]:
        """`size` scenes, a share of them in other colours, with the noise laid on their latents."""
        pixels, rng = _crops(self.module.recipe, step, size, seed=self.seed)
        num_recoloured = round(size * self.module.recipe.recoloured_share)
        is_known = torch.randperm(size, generator=rng) >= num_recoloured
        pixels[~is_known] = recolour(pixels[~is_known], rng)
        side = self.module.recipe.crop_px // 8
        shape = (size, self.autoencoder.config.latent_channels, side, side)
        strength = _LATENT_ERROR * torch.rand((size, 1, 1, 1), generator=rng)
        return {
            "pixels": pixels, "is_known": is_known, "noise": strength * torch.randn(shape, generator=rng)
        }  # fmt: skip

    def phases(self, schedule: Schedule) -> list[Phase]:
        """One phase: all weights at the schedule's rate."""
        return [
            Phase(
                loss=self.module,
                groups=[{"params": list(self.autoencoder.parameters()), "lr": schedule.learning_rate}],
            )
        ]

    def look(self) -> Look:
        """Eight scenes in their own colours and eight in others, above what comes back of each."""
        known = _unseen(self.seed)
        strange = recolour(known, torch.Generator().manual_seed(self.seed))
        rows, metrics = [], {}
        for name, truth in (("distance", known), ("distance in other colours", strange)):
            drawn = self.autoencoder.decode(self.autoencoder.encode(truth).latent_dist.mean).sample.cpu()
            rows += [truth, drawn]
            metrics[name] = float(functional.l1_loss(drawn, truth))
        moved = self.autoencoder.encode(known).latent_dist.mean - self.module.known.encode(known).latent_dist.mean
        metrics["latents moved"] = float(moved.square().mean().sqrt())
        return Look(picture=picture_grid(torch.cat(rows), columns=_NUM_SHOWN), metrics=metrics)


@torch.no_grad()
def standardise_latents(autoencoder: AutoencoderKL, *, seed: int) -> None:
    """Give each latent channel mean 0 and standard deviation 1 over training scenes; pictures stay the same.

    The shift and scale go into the 1 x 1 convolutions on either side of the latent, so that `scaling_factor`
    is 1 and any Stable Diffusion pipeline reads the model as it is.
    """
    channels = autoencoder.config.latent_channels
    total, squares, count = torch.zeros(channels), torch.zeros(channels), 0
    for start in range(0, _NUM_SCALE_SCENES, 16):
        scenes = [training_scene(index, seed=seed) for index in range(start, start + 16)]
        pixels = pictures_to_tensor([render(scene, CROP) for scene in scenes]).to(autoencoder.device)
        latents = autoencoder.encode(pixels).latent_dist.mean.float().cpu().transpose(0, 1).flatten(1)
        total, squares, count = total + latents.sum(1), squares + latents.square().sum(1), count + latents.shape[1]
    mean = (total / count).to(autoencoder.device)
    deviation = (squares / count).to(autoencoder.device).sub(mean.square()).sqrt()
    into, out_of = autoencoder.quant_conv, autoencoder.post_quant_conv
    out_of.bias += out_of.weight[:, :, 0, 0] @ mean
    out_of.weight *= deviation[None, :, None, None]
    into.weight[:channels] /= deviation[:, None, None, None]
    into.bias[:channels] = (into.bias[:channels] - mean) / deviation
    into.bias[channels:] -= 2 * deviation.log()
    autoencoder.register_to_config(scaling_factor=1.0)


def _crops(recipe: AutoencoderRecipe, step: int, size: int, *, seed: int) -> tuple[torch.Tensor, torch.Generator]:
    """The training scenes of a step, a square cut from each, [size, 3, crop, crop]; and the step's generator."""
    crop, places = recipe.crop_px, random.Random(f"crop/{seed}/{step}")
    pictures: list[Image] = []
    for index in range(size):
        scene = training_scene(step * size + index, seed=seed)
        left, top = places.randint(0, CROP.width - crop), places.randint(0, CROP.height - crop)
        pictures.append(render(scene, CROP).crop((left, top, left + crop, top + crop)))
    return pictures_to_tensor(pictures), torch.Generator().manual_seed(seed * 1_000_003 + step)


def _unseen(seed: int) -> torch.Tensor:
    scenes = [training_scene(_FIRST_LOOK + index, seed=seed) for index in range(_NUM_SHOWN)]
    return pictures_to_tensor([render(scene, CROP) for scene in scenes])


def _look(autoencoder: AutoencoderKL, seed: int) -> Look:
    truth = _unseen(seed)
    drawn = autoencoder.decode(autoencoder.encode(truth.to(autoencoder.device)).latent_dist.mean).sample.cpu()
    distance = float(functional.l1_loss(drawn, truth))
    return Look(picture=picture_grid(torch.cat([truth, drawn]), columns=_NUM_SHOWN), metrics={"distance": distance})


class _Decoding(torch.nn.Module):
    def __init__(self, autoencoder: AutoencoderKL, recipe: AutoencoderRecipe) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.recipe = recipe

    def forward(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        pixels = batch["pixels"].to(self.autoencoder.device)
        with torch.no_grad():
            latent = self.autoencoder.encode(pixels).latent_dist.mean.float()
        drawn = self.autoencoder.decode(latent + batch["noise"].to(latent.device)).sample
        loss = picture_distance(drawn, pixels, self.recipe.gradient_weight)
        return loss, {"distance": float(loss.detach())}


def picture_distance(drawn: torch.Tensor, truth: torch.Tensor, gradient_weight: float) -> torch.Tensor:
    """Mean absolute difference of pixels [N, 3, H, W], and of their differences to the next pixel, weighted."""
    drawn = drawn.float()
    loss = functional.l1_loss(drawn, truth)
    for axis in (2, 3):
        loss = loss + gradient_weight * functional.l1_loss(drawn.diff(dim=axis), truth.diff(dim=axis))
    return loss


class _Reconstruction(torch.nn.Module):
    def __init__(self, autoencoder: AutoencoderKL, recipe: AutoencoderRecipe) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.recipe = recipe

    def forward(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        pixels: torch.Tensor = batch["pixels"]  # [N, 3, H, W] in [-1, 1]
        posterior = self.autoencoder.encode(pixels).latent_dist
        latent = posterior.mean + posterior.std * batch["noise"].to(pixels.device)
        loss = picture_distance(self.autoencoder.decode(latent).sample, pixels, self.recipe.gradient_weight)
        plain = float(loss.detach())
        if batch["halve"]:
            small = self.autoencoder.decode(functional.avg_pool2d(latent, 2)).sample
            loss = loss + 0.25 * picture_distance(small, functional.avg_pool2d(pixels, 2), self.recipe.gradient_weight)
        kl = posterior.kl().mean()
        return loss + self.recipe.kl_weight * kl, {"l1": plain, "kl": float(kl.detach())}


class _Widening(torch.nn.Module):
    def __init__(self, autoencoder: AutoencoderKL, recipe: AutoencoderRecipe) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.recipe = recipe
        known = copy.deepcopy(autoencoder).eval().requires_grad_(False)
        self._known = (known,)  # not one of this module's parts: it never learns, and no checkpoint keeps it

    @property
    def known(self) -> AutoencoderKL:
        return self._known[0].to(self.autoencoder.device)

    def forward(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        pixels = batch["pixels"].to(self.autoencoder.device)
        is_known = batch["is_known"].to(pixels.device)
        latent = self.autoencoder.encode(pixels).latent_dist.mean.float()
        start = latent.detach().clone()
        if bool(is_known.any()):
            with torch.no_grad():
                start[is_known] = self.known.encode(pixels[is_known]).latent_dist.mean.float()
        moved = (latent - start).square().mean(dim=(1, 2, 3))[is_known].sum() / len(pixels)
        held = torch.where(is_known[:, None, None, None], start, latent)
        drawn = self.autoencoder.decode(held + batch["noise"].to(latent.device)).sample
        distance = picture_distance(drawn, pixels, self.recipe.gradient_weight)
        measured = {"distance": float(distance.detach()), "moved": float(moved.detach())}
        return distance + self.recipe.anchor_weight * moved, measured
