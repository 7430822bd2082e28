# pyright: basic, reportPrivateImportUsage=false
"""Extractors that are networks of plain torch: fixed random convolutions, the shipped starter, and Inception."""

from __future__ import annotations

from designkit.models.device import choose_compute  # isort: skip - comes before torch, and says why

import hashlib
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from designkit.errors import ModelRefused, Problem
from designkit.evaluation.extractors import squeezed
from designkit.evaluation.resampling import Array

if TYPE_CHECKING:
    from PIL.Image import Image

INCEPTION_NAME = "inception-2015-12-05"
INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
"""The TorchScript file that FID's authors' network was translated to, and that FID is computed with elsewhere."""


class RandomConvolutions:
    """A convolutional network whose weights are drawn once from a fixed seed and never trained: [480].

    Random filters tell shapes, colours and grains apart without having learned from anybody's pictures. After each of
    four stages the mean and the deviation of every channel are taken. The name holds the hash of the weights.
    """

    resize = "bicubic, antialiased, to 128x128"
    licence = None
    batch_size = 8

    def __init__(self, seed: int = 0, widths: Sequence[int] = (16, 32, 64, 128)) -> None:
        rng = np.random.Generator(np.random.PCG64(seed))
        self._kernels: list[torch.Tensor] = []
        digest = hashlib.sha256()
        inputs = 3
        for outputs in widths:
            fan_in = inputs * 9
            kernel = (rng.standard_normal((outputs, inputs, 3, 3)) * np.sqrt(2 / fan_in)).astype("<f4")
            digest.update(kernel.tobytes())
            self._kernels.append(torch.from_numpy(kernel.astype(np.float32)))
            inputs = outputs
        self.name = f"randconv:{digest.hexdigest()[:8]}"

    def features(self, pictures: Sequence[Image]) -> list[Array]:
        """One vector for each picture."""
        values = _pixels(pictures, 128) / 127.5 - 1  # [N, 3, 128, 128] in [-1, 1]
        parts: list[torch.Tensor] = []
        with torch.inference_mode():
            for kernel in self._kernels:
                values = F.relu(F.conv2d(F.pad(values, (1, 1, 1, 1), mode="reflect"), kernel))
                values = F.avg_pool2d(values, 2)
                parts += [values.mean(dim=(2, 3)), values.std(dim=(2, 3))]
        return list(torch.cat(parts, dim=1).numpy())


class StarterEye:
    """The shipped starter as a judge: what its denoiser sees in a picture, and how well a picture fits a text.

    Features [512] are the mean and deviation of the channels in the middle of the UNet, shown the picture with a
    little noise and no words (as in Tang et al. 2023, arXiv 2306.03881). The text score is how much the words help to
    denoise the picture: the relative drop of the error from no words to these words (Li et al. 2023, arXiv
    2303.16203; Kong et al. 2023, 2310.07972), in percent. It judges only what the starter has words for, and is
    partial to its own drawings.
    """

    resize = "bicubic, antialiased, to 128x128"
    batch_size = 4
    text_title = "prompt gain"

    _FEATURE_TIMESTEP = 100
    _SCALE = 16.0
    _TEXT_TIMESTEPS = (300, 400, 500, 600, 700, 800, 900, 950)

    def __init__(self) -> None:
        from designkit.generators.catalog import find_card
        from designkit.generators.loading import load_pipeline

        choose_compute(precision="fp32", device="cpu")
        card = find_card("starter")
        self.licence: str | None = card.licence
        self.name = f"starter:{card.revision[:8]}"
        self._pipeline = load_pipeline(card, torch.float32)
        alphas = self._pipeline.scheduler.alphas_cumprod
        self._alphas = alphas.to(torch.float32)
        self._predicts_velocity = self._pipeline.scheduler.config.prediction_type == "v_prediction"

    def features(self, pictures: Sequence[Image]) -> list[Array]:
        """One vector for each picture."""
        taken: list[torch.Tensor] = []

        def keep(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
            taken.append(output)

        handle = self._pipeline.unet.mid_block.register_forward_hook(keep)
        try:
            with torch.inference_mode():
                latents = self._latents(pictures)
                empty = self._words([""]).expand(len(pictures), -1, -1)
                noisy, _ = self._noised(latents, self._FEATURE_TIMESTEP, seed=0)
                self._pipeline.unet(noisy, self._FEATURE_TIMESTEP, encoder_hidden_states=empty)
        finally:
            handle.remove()
        cells = taken[0]  # [N, 256, 4, 4]
        return list((torch.cat([cells.mean(dim=(2, 3)), cells.std(dim=(2, 3))], dim=1) / self._SCALE).numpy())

    def text_scores(self, pictures: Sequence[Image], prompts: Sequence[str]) -> list[float]:
        """How much each prompt helps to denoise its picture, in percent; the noise is the same for all pictures."""
        with torch.inference_mode():
            latents = self._latents(pictures)
            words = self._words(list(prompts))
            empty = self._words([""]).expand(len(pictures), -1, -1)
            with_words = torch.zeros(len(pictures))
            without = torch.zeros(len(pictures))
            for timestep in self._TEXT_TIMESTEPS:
                noisy, target = self._noised(latents, timestep, seed=timestep)
                both = self._pipeline.unet(
                    torch.cat([noisy, noisy]), timestep, encoder_hidden_states=torch.cat([words, empty])
                ).sample
                errors = ((both - torch.cat([target, target])) ** 2).mean(dim=(1, 2, 3))
                with_words += errors[: len(pictures)]
                without += errors[len(pictures) :]
        return [float(gain) for gain in 100 * (1 - with_words / without)]

    def _latents(self, pictures: Sequence[Image]) -> torch.Tensor:
        vae = self._pipeline.vae
        latents = vae.encode(_pixels(pictures, 128) / 127.5 - 1).latent_dist.mean
        return (latents - (vae.config.shift_factor or 0.0)) * vae.config.scaling_factor  # [N, 4, 16, 16]

    def _words(self, prompts: list[str]) -> torch.Tensor:
        tokenizer = self._pipeline.tokenizer
        tokens = tokenizer(
            prompts, padding="max_length", truncation=True, max_length=tokenizer.model_max_length, return_tensors="pt"
        )
        return self._pipeline.text_encoder(tokens.input_ids)[0]

    def _noised(self, latents: torch.Tensor, timestep: int, *, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents with the noise of a timestep, and what the denoiser is to answer."""
        alpha = self._alphas[timestep]
        noise = torch.randn(latents[:1].shape, generator=torch.Generator().manual_seed(seed)).expand_as(latents)
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        target = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents if self._predicts_velocity else noise
        return noisy, target


class Inception:
    """Inception V3 from a TorchScript file that the user has, for FID, KID and the inception score: [2048].

    TorchScript holds a program, and loading it runs parts of it. It is therefore loaded only if the file has the
    SHA-256 of the one network that FID is defined by, or the very hash that the user wrote behind the name.
    """

    resize = "none before; the network's own bilinear, not antialiased, to 299x299"
    batch_size = 8

    def __init__(self, path: Path, expected_sha256: str | None = None) -> None:
        expected = (expected_sha256 or INCEPTION_SHA256).lower()
        data = _read(path)
        found = hashlib.sha256(data).hexdigest()
        if found != expected:
            whose = "what you wrote" if expected_sha256 else f"that of {INCEPTION_NAME}"
            raise ModelRefused(
                Problem(
                    code="torchscript-hash",
                    file=str(path),
                    message=f"its SHA-256 is {found}, not {whose}; TorchScript can run code, so it is not opened",
                    fix=f"get {INCEPTION_NAME}.pt anew, or, if you trust this file, give it as {path}@sha256:{found}",
                )
            )
        self.is_inception = found == INCEPTION_SHA256
        self.name = INCEPTION_NAME if self.is_inception else f"{path.stem}:{found[:8]}"
        self.licence: str | None = "not stated in the file"
        choose_compute(precision="fp32", device="cpu")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # That TorchScript is on its way out is nothing a user can change.
                self._network = torch.jit.load(BytesIO(data), map_location="cpu").eval()
        except RuntimeError as error:
            raise ModelRefused(
                Problem(
                    code="torchscript-damaged",
                    file=str(path),
                    fix="get the file anew",
                    message=f"is no TorchScript network: {str(error).splitlines()[0]}",
                )
            ) from None

    def features(self, pictures: Sequence[Image]) -> list[Array]:
        """The activations before the classifier, of pictures of any sizes, one by one."""
        with torch.inference_mode():
            return [self._call(picture, return_features=True) for picture in pictures]

    def class_probabilities(self, pictures: Sequence[Image]) -> list[Array]:
        """The probabilities of the 1,008 classes, without the classifier's bias as in the first inception scores."""
        with torch.inference_mode():
            return [self._call(picture, no_output_bias=True) for picture in pictures]

    def _call(self, picture: Image, **options: bool) -> Array:
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]  # [1, 3, H, W] uint8
        return self._network(pixels, **options)[0].float().numpy()


def _pixels(pictures: Sequence[Image], side: int) -> torch.Tensor:
    """Pictures as squares: [N, 3, side, side] float32 in [0, 255]."""
    stacked = np.stack([np.asarray(squeezed(picture, side), np.float32) for picture in pictures])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()


def _read(path: Path) -> bytes:
    """All of a file, so that what is opened is what was hashed."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelRefused(
            Problem(
                code="extractor-missing",
                file=str(path),
                fix="check its path",
                message=f"cannot be read: {(error.strerror or str(error)).lower()}",
            )
        ) from None
