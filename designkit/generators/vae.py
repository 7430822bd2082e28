# pyright: basic
"""Drawing with VAEs of designkit's own, and walking through what they can draw.

An image's bytes depend on its request and on `settings` alone: each has its own latent, from a generator on the
CPU seeded by the request, and every call of the networks has the same number of pictures in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from designkit.models.device import Compute, choose_compute  # isort: skip - comes before torch, and says why

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from designkit.errors import ModelRefused, Problem
from designkit.generators.base import ModelCard, Precision
from designkit.generators.latents import (
    Conditions,
    draw_requests,
    filled,
    for_each,
    from_pictures,
    open_codec,
    slerp,
    to_picture,
)
from designkit.generators.native import CONFIG, WEIGHTS, read_native
from designkit.models.mixture import GaussianMixture
from designkit.models.vae import Vae, VaeConfig
from designkit.values import GeneratedImage, ImageRequest

BATCH_SIZE = 8


def open_vae(
    card: ModelCard,
    *,
    precision: Precision = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
    device: str | None = None,
) -> VaeGenerator:
    """Load the VAE of a card; `auto` precision is fp32, for these networks are small. See `open_generator`."""
    compute = choose_compute(precision="fp32" if precision == "auto" else precision, device=device, threads=threads)
    return VaeGenerator(card, compute, batch_size=batch_size or BATCH_SIZE)


class VaeGenerator:
    """A VAE that is ready to draw; satisfies `Generator` and `LatentSpace`.

    A latent is what the encoder tells of a picture, [latent_dim] or [latent_dim, height, width]; new ones come from
    the mixture in the model's folder. Conditions are given again at every decoding.
    """

    def __init__(self, card: ModelCard, compute: Compute, *, batch_size: int = BATCH_SIZE) -> None:
        assert card.folder is not None
        self.card = card
        self.truncation = float(read_native(card.folder).settings.get("truncation", 1.0))
        self._compute = compute
        self._batch_size = batch_size
        self._network, self._mixture = _load(card, compute)
        self._conditions = Conditions(card, compute)
        self._codec = open_codec(card, compute)

    @property
    def settings(self) -> dict[str, object]:
        """What sets the pixels beside the request."""
        return {
            "device": self._compute.device.type, "precision": self._compute.precision,
            "precision_reason": self._compute.reason, "batch_size": self._batch_size, "threads": self._compute.threads,
            "truncation": self.truncation,
        }  # fmt: skip

    def generate(self, requests: Sequence[ImageRequest]) -> Iterator[GeneratedImage]:
        """Draw every request, in order, a batch at a time; see `Generator`."""

        def draw(batch: list[ImageRequest]) -> Iterator[Image.Image]:
            seeds, prompts = [request.seed for request in batch], [request.prompt for request in batch]
            return self._decode(self._sample(seeds, self.truncation), prompts, seeds)

        return draw_requests(requests, self.card, draw, batch_size=self._batch_size)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """(latent_dim,), or (latent_dim, height, width)."""
        return self._network.config.latent_shape

    def sample(
        self, seeds: Sequence[int], prompts: Sequence[str] = ("",), *, truncation: float | None = None
    ) -> np.ndarray:
        """The latents that requests with these seeds draw, whatever their prompts; at `truncation` 0 there is one."""
        return self._sample(seeds, self.truncation if truncation is None else truncation).numpy()

    def encode(self, pictures: Sequence[Image.Image], prompts: Sequence[str] = ("",)) -> np.ndarray:
        """The means of the latents of pictures, which are fitted to the native size first."""
        given = for_each(prompts, len(pictures))
        parts: list[Tensor] = []
        with torch.inference_mode():
            for start in range(0, len(pictures), self._batch_size):
                batch = slice(start, start + self._batch_size)
                channels = 3 if self._codec is not None else self._network.config.shape[0]
                x = from_pictures(pictures[batch], self.card.native_sizes[0], channels)
                x = x if self._codec is None else self._codec.encode(x)
                x = filled(x.to(self._compute.device, self._compute.dtype), self._batch_size)
                conditions = self._read(given[batch])
                parts.append(self._network.encode(x, conditions).mean[: len(given[batch])].float().cpu())
        return torch.cat(parts).numpy()

    def decode(self, latents: np.ndarray, prompts: Sequence[str] = ("",)) -> list[Image.Image]:
        """The mean pictures of latents [N, *latent_shape], at the native size."""
        given = for_each(prompts, len(latents))
        return list(self._decode(torch.from_numpy(np.asarray(latents, np.float32)), given))

    def interpolate(self, start: np.ndarray, end: np.ndarray, count: int) -> np.ndarray:
        """`count` latents on the way, along the sphere on which Gaussian latents lie."""
        shares = np.linspace(0, 1, count, dtype=np.float32)
        return slerp(start.reshape(-1), end.reshape(-1), shares).reshape(count, *start.shape)

    def _sample(self, seeds: Sequence[int], psi: float) -> Tensor:
        """Latents [N, *latent_shape] on the CPU, drawn towards the mean by 1 - psi."""
        drawn = self._mixture.sample(seeds)
        drawn = torch.lerp(self._mixture.mean.float().expand_as(drawn), drawn, psi)
        return drawn.unflatten(1, self.latent_shape)

    def _decode(self, latents: Tensor, prompts: list[str], seeds: Sequence[int] = ()) -> Iterator[Image.Image]:
        for start in range(0, len(latents), self._batch_size):
            batch = slice(start, start + self._batch_size)
            given = filled(latents[batch].to(self._compute.device, self._compute.dtype), self._batch_size)
            with torch.inference_mode():
                samples = self._network.pictures(given, self._read(prompts[batch], seeds[batch])).float()
                pixels = samples if self._codec is None else self._codec.decode(samples)
            for each in pixels[: len(latents[batch])].float().cpu():
                yield to_picture(each)

    def _read(self, prompts: list[str], seeds: Sequence[int] = ()) -> Tensor | None:
        conditions = self._conditions.read(prompts, seeds)
        return None if conditions is None else filled(conditions, self._batch_size)


def _load(card: ModelCard, compute: Compute) -> tuple[Vae, GaussianMixture]:
    assert card.folder is not None
    try:
        network = Vae(VaeConfig.from_json(read_native(card.folder).network))
        tensors = load_file(card.folder / WEIGHTS)
        mixture = GaussianMixture.from_tensors(tensors)
        network.load_state_dict({name: t for name, t in tensors.items() if not name.startswith("mixture.")})
    except (TypeError, ValueError, RuntimeError, KeyError) as error:
        message = f"cannot be used: {str(error).splitlines()[0]}"
        place = str(card.folder / CONFIG)
        raise ModelRefused(Problem(code="model-file-damaged", file=place, message=message)) from None
    return network.to(compute.device, compute.dtype).eval().requires_grad_(False), mixture
