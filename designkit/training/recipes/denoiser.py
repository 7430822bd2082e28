"""Train the UNet to turn noise into the latents of a described scene.

v-prediction (arXiv 2202.00512) on a cosine schedule rescaled to zero terminal signal (arXiv 2305.08891).
Timesteps are logit-normal in log-SNR and the loss is weighted by (alpha + sigma)^2, which together equal
the rectified-flow loss of arXiv 2403.03206 in the parametrisation that every Stable Diffusion tool reads.
A share of the batch lies beyond `NOISIEST`: only there does the text alone say where things are. At less
noise the side can be read from the latent, left and right stay untaught, and sampling, which begins at
pure noise, tosses a coin. For the same reason the text encoder goes on naming every factor of its captions
beside the denoiser: what the picture does not yet use, it would forget.
"""

# pyright: basic, reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false
from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTokenizer

from designkit.starter.captions import Caption, caption
from designkit.starter.renderer import render
from designkit.starter.scenes import Scene, training_scene
from designkit.training.config import DenoiserRecipe, Schedule
from designkit.training.loop import Look, Phase
from designkit.training.previews import picture_grid
from designkit.training.recipes.autoencoder import pictures_to_tensor
from designkit.training.recipes.text_encoder import CaptionReader, questions, tokenize
from designkit.values import Size

LAST_STEP = 999
_MEAN_LOG_SNR = 0.5  # how far towards noise the logit-normal leans; flat pictures hold out long
NOISIEST = 900
_UNIFORM_SHARE, _PURE_NOISE_SHARE = 0.10, 0.05
_ENCODE_AT_ONCE = 16
_FIRST_LOOK = 9 * 10**8  # the first scene of looks, far from those that are learned from
_NUM_SHOWN, _LOOK_STEPS, _LOOK_GUIDANCE = 8, 10, 4.0
_NOTHING_SAID = Caption(text="", said=frozenset())


def build_scheduler() -> DDPMScheduler:
    """The noise schedule that training and the shipped pipeline share."""
    return DDPMScheduler(
        num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2", rescale_betas_zero_snr=True,
        prediction_type="v_prediction", timestep_spacing="trailing", clip_sample=False, steps_offset=1,
    )  # fmt: skip


def build_denoiser(
    recipe: DenoiserRecipe, *, latent_channels: int, text_width: int, latent_side: int
) -> UNet2DConditionModel:
    """A fresh UNet: convolutions at full latent size, self- and cross-attention at a half and a quarter."""
    depth = len(recipe.channels)
    return UNet2DConditionModel(
        sample_size=latent_side, in_channels=latent_channels, out_channels=latent_channels,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * (depth - 1)),
        up_block_types=(*("CrossAttnUpBlock2D",) * (depth - 1), "UpBlock2D"),
        block_out_channels=recipe.channels, layers_per_block=1, transformer_layers_per_block=recipe.transformer_layers,
        attention_head_dim=tuple(max(1, channels // 64) for channels in recipe.channels),
        cross_attention_dim=text_width, use_linear_projection=True, norm_num_groups=32,
    )  # fmt: skip


def draw_timesteps(size: int, rng: torch.Generator, *, noisiest_share: float) -> torch.Tensor:
    """Timesteps [size] in 0..999: logit-normal in log-SNR, some uniform, some in the last tenth, a few of pure noise.

    On a cosine schedule t / 1000 = (2 / pi) atan(exp(-logSNR / 2)), and a logit-normal flow time with mean
    m has logSNR = -2 z, z ~ N(m, 1).
    """
    z = _MEAN_LOG_SNR + torch.randn(size, generator=rng)
    steps = (2 / math.pi) * torch.atan(torch.exp(z)) * 1000
    pick = torch.rand(size, generator=rng)
    steps = torch.where(pick < _UNIFORM_SHARE, torch.rand(size, generator=rng) * 1000, steps)
    noisy = NOISIEST + torch.rand(size, generator=rng) * (1000 - NOISIEST)
    steps = torch.where(pick > 1 - noisiest_share - _PURE_NOISE_SHARE, noisy, steps)
    steps = torch.where(pick > 1 - _PURE_NOISE_SHARE, torch.full_like(steps, LAST_STEP), steps)
    return steps.long().clamp(0, LAST_STEP)


class SceneLatents:
    """Latents of training scenes of one size, encoded when first asked for and kept.

    The first `num_simple` scenes are simple ones. `take` encodes new scenes at every visit until `capacity`
    are kept, then draws among those; which are drawn follows from the visit's number alone, so that a
    stopped run goes on alike.
    """

    def __init__(
        self, autoencoder: AutoencoderKL, size: Size, *, capacity: int, num_simple: int, first_scene: int, seed: int
    ) -> None:
        self.autoencoder = autoencoder
        self.size = size
        self.capacity = capacity
        self.num_simple = num_simple
        self.first_scene = first_scene
        self.seed = seed
        self.kept: list[torch.Tensor] = []

    def take(self, visit: int, fresh: int, size: int, rng: random.Random) -> tuple[list[Scene], torch.Tensor]:
        """Scenes of visit number `visit` and their latents [size, C, H / 8, W / 8]; `fresh` of them are new."""
        known = min(self.capacity, size + visit * fresh)
        self._fill(known)
        newest = list(range(known - fresh, known)) if known < self.capacity else []
        picked = newest + [rng.randrange(known) for _ in range(size - len(newest))]
        return [self._scene(index) for index in picked], torch.stack([self.kept[index] for index in picked]).float()

    def _scene(self, index: int) -> Scene:
        return training_scene(self.first_scene + index, seed=self.seed, simple=index < self.num_simple)

    @torch.no_grad()
    def _fill(self, count: int) -> None:
        while len(self.kept) < count:
            # Always the same scenes side by side, wherever a run was stopped: their neighbours set the last bits.
            numbers = range(len(self.kept), min(self.capacity, len(self.kept) + _ENCODE_AT_ONCE))
            pixels = pictures_to_tensor([render(self._scene(number), self.size) for number in numbers])
            with torch.autocast(pixels.device.type, torch.bfloat16):
                mean = self.autoencoder.encode(pixels.to(self.autoencoder.device)).latent_dist.mean
            self.kept += list((mean.float() * self.autoencoder.config.scaling_factor).cpu().half())


class DenoiserTask:
    """Predict v from noised latents and a caption; some captions are dropped for guidance."""

    def __init__(
        self, recipe: DenoiserRecipe, denoiser: UNet2DConditionModel, reader: CaptionReader, tokenizer: CLIPTokenizer,
        autoencoder: AutoencoderKL, *, sizes: Sequence[Size], seed: int,
    ) -> None:  # fmt: skip
        self.recipe = recipe
        self.tokenizer = tokenizer
        self.sizes = tuple(sizes)
        self.seed = seed
        self.module = _Denoising(denoiser, reader, naming_weight=recipe.naming_weight)
        distinct = tuple(dict.fromkeys(self.sizes))
        share = {size: self.sizes.count(size) / len(self.sizes) for size in distinct}
        self.latents = {
            size: SceneLatents(
                autoencoder,
                size,
                capacity=round(recipe.num_scenes * share[size]),
                num_simple=round(recipe.num_simple_scenes * share[size]),
                first_scene=place * 10**8,
                seed=seed,
            )
            for place, size in enumerate(distinct)
        }

    def batch(self, step: int, size: int) -> dict[str, Any]:
        """`size` latents of one picture size with captions, noise and timesteps."""
        rng = random.Random(f"denoiser/{self.seed}/{step}")
        picture_size = self.sizes[step % len(self.sizes)]
        round_number, place = divmod(step, len(self.sizes))
        visit = round_number * self.sizes.count(picture_size) + self.sizes[:place].count(picture_size)
        fresh = round(self.recipe.fresh_share * size)
        scenes, latents = self.latents[picture_size].take(visit, fresh, size, rng)
        captions = [caption(scene, rng) for scene in scenes]
        captions = [_NOTHING_SAID if rng.random() < self.recipe.caption_dropout else said for said in captions]
        ids = tokenize(self.tokenizer, [said.text for said in captions])
        noise_rng = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        return {
            "ids": ids, "latents": latents, "noise": torch.randn(latents.shape, generator=noise_rng),
            "timesteps": draw_timesteps(size, noise_rng, noisiest_share=self.recipe.noisiest_share),
            **questions(ids, scenes, captions, rng, end=self.tokenizer.eos_token_id),
        }  # fmt: skip

    def phases(self, schedule: Schedule) -> list[Phase]:
        """One phase: the UNet at the schedule's rate, the text encoder slower."""
        rate = schedule.learning_rate
        groups = [
            {"params": list(self.module.denoiser.parameters()), "lr": rate},
            {"params": list(self.module.reader.parameters()), "lr": rate * self.recipe.text_rate},
        ]
        return [Phase(loss=self.module, groups=groups)]

    def look(self) -> Look:
        """Eight captions of scenes that training never shows, drawn from the same noise each time."""
        denoiser, device = self.module.denoiser, self.module.denoiser.device
        size, rng = self.sizes[0], random.Random(f"look/{self.seed}")
        scenes = [training_scene(_FIRST_LOOK + index, seed=self.seed, simple=index < 4) for index in range(_NUM_SHOWN)]
        texts = [caption(scene, rng).text for scene in scenes] + [""] * _NUM_SHOWN
        read = self.module.reader.encoder(tokenize(self.tokenizer, texts).to(device)).last_hidden_state
        scheduler = DDIMScheduler.from_config(build_scheduler().config)
        scheduler.set_timesteps(_LOOK_STEPS)
        shape = (_NUM_SHOWN, denoiser.config.in_channels, size.height // 8, size.width // 8)
        latents = torch.randn(shape, generator=torch.Generator().manual_seed(self.seed)).to(device)
        for timestep in scheduler.timesteps:
            guess = denoiser(torch.cat([latents, latents]), timestep.to(device), read, return_dict=False)[0].float()
            told, untold = guess.chunk(2)
            latents = scheduler.step(untold + _LOOK_GUIDANCE * (told - untold), timestep, latents).prev_sample
        drawn = self.latents[size].autoencoder.decode(latents).sample
        return Look(picture=picture_grid(drawn.cpu(), columns=4))


class _Denoising(torch.nn.Module):
    def __init__(self, denoiser: UNet2DConditionModel, reader: CaptionReader, *, naming_weight: float) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.reader = reader
        self.naming_weight = naming_weight
        self.scheduler = build_scheduler()

    def forward(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.denoiser.device
        latents, noise, timesteps = (batch[name].to(device) for name in ("latents", "noise", "timesteps"))
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        target = self.scheduler.get_velocity(latents, noise, timesteps)
        text = self.reader.encoder(batch["ids"].to(device)).last_hidden_state
        guess = self.denoiser(noisy, timesteps, text, return_dict=False)[0]
        errors = (guess.float() - target).square().mean(dim=(1, 2, 3))
        alpha = self.scheduler.alphas_cumprod.to(device)[timesteps].sqrt()
        sigma = (1 - alpha.square()).sqrt()
        weights = (alpha + sigma).square()
        naming, named = self.reader.name_factors(text, batch["positions"], batch["answers"])
        return (weights * errors).mean() + self.naming_weight * naming, {"mse": float(errors.detach().mean()), **named}
