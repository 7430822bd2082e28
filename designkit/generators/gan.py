# pyright: basic
"""Drawing with GANs of designkit's own, and walking through what they can draw.

An image's bytes depend on its request and on `settings` alone: each has its own latent, from a generator on the
CPU seeded by the request, and every call of the network has the same number of pictures in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from designkit.models.device import Compute, choose_compute  # isort: skip - comes before torch, and says why

import numpy as np
import torch
import torch.nn.functional as F
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
from designkit.models.gan import GanConfig, GeneratorNetwork, truncate
from designkit.values import GeneratedImage, ImageRequest

BATCH_SIZE = 8


def open_gan(
    card: ModelCard,
    *,
    precision: Precision = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
    device: str | None = None,
) -> GanGenerator:
    """Load the GAN of a card; `auto` precision is fp32, for these networks are small. See `open_generator`."""
    assert card.folder is not None
    compute = choose_compute(precision="fp32" if precision == "auto" else precision, device=device, threads=threads)
    return GanGenerator(card, compute, batch_size=batch_size or BATCH_SIZE)


class GanGenerator:
    """A GAN that is ready to draw; satisfies `Generator` and `LatentSpace`.

    A latent is one style w for each place of the network that reads it, [num_layers, style_dim], so that the
    coarse places may have another picture's style than the fine ones (`mix`). Condition and truncation are
    part of the style.
    """

    def __init__(self, card: ModelCard, compute: Compute, *, batch_size: int = BATCH_SIZE) -> None:
        assert card.folder is not None
        self.card = card
        self.truncation = float(read_native(card.folder).settings.get("truncation", 1.0))
        self._compute = compute
        self._batch_size = batch_size
        self._network = _load_network(card, compute)
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
            return self._decode(self._sample([r.seed for r in batch], [r.prompt for r in batch], self.truncation))

        return draw_requests(requests, self.card, draw, batch_size=self._batch_size)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """(num_layers, style_dim)."""
        return (self._network.num_layers, self._network.config.style_dim)

    def sample(
        self, seeds: Sequence[int], prompts: Sequence[str] = ("",), *, truncation: float | None = None
    ) -> np.ndarray:
        """The latents that requests with these seeds and prompts draw; at `truncation` 0 a prompt has one."""
        given = for_each(prompts, len(seeds))
        psi = self.truncation if truncation is None else truncation
        return _to_array(self._sample(list(seeds), given, psi))

    def decode(self, latents: np.ndarray, prompts: Sequence[str] = ("",)) -> list[Image.Image]:
        """The pictures of latents [N, num_layers, style_dim], at the native size; the prompts are in the latents."""
        return list(self._decode(torch.from_numpy(np.asarray(latents, np.float32))))

    def interpolate(self, start: np.ndarray, end: np.ndarray, count: int) -> np.ndarray:
        """`count` latents on the way: along the sphere where w is a Gaussian latent, straight where it is mapped."""
        config = self._network.config
        share = np.linspace(0, 1, count, dtype=np.float32)[:, None, None]
        straight = start[None] * (1 - share) + end[None] * share
        if config.mapping_layers:
            return straight
        turned = slerp(start[..., : config.latent_dim], end[..., : config.latent_dim], share[:, 0, 0])
        return np.concatenate([turned, straight[..., config.latent_dim :]], axis=-1)

    def mix(self, coarse: np.ndarray, fine: np.ndarray, *, first_fine: int) -> np.ndarray:
        """Latents with the style of `coarse` up to, and of `fine` from, the place `first_fine` of the network on.

        0 is all `fine`, `num_layers` all `coarse`.
        """
        return np.concatenate([coarse[..., :first_fine, :], fine[..., first_fine:, :]], axis=-2)

    def encode(
        self, pictures: Sequence[Image.Image], prompts: Sequence[str] = ("",), *, steps: int = 200, rate: float = 0.1
    ) -> np.ndarray:
        """The latents whose pictures come nearest, found by gradient descent from the mean of each prompt.

        Nearest in pixels, and in pixels averaged over 2, 4 and 8, as projection into StyleGAN's W+ does it with
        features.
        """
        given = for_each(prompts, len(pictures))
        found = [self._project(picture, prompt, steps, rate) for picture, prompt in zip(pictures, given, strict=True)]
        return _to_array(torch.stack(found))

    def _project(self, picture: Image.Image, prompt: str, steps: int, rate: float) -> Tensor:
        size = self.card.native_sizes[0]
        channels = 3 if self._codec is not None else self._network.config.shape[0]
        target = from_pictures([picture], size, channels).to(self._compute.device)
        centre = self._network.centre(self._conditions.read([prompt]))
        styles = centre[:, None].repeat(1, self._network.num_layers, 1).float().requires_grad_(True)
        optimizer = torch.optim.Adam([styles], lr=rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        best, best_error = styles.detach().clone(), float("inf")
        for _ in range(steps):
            drawn = self._pixels(styles)
            # Where a picture is at the end of its range, a model that goes beyond draws just that.
            drawn = torch.where((drawn.abs() > 1) & (drawn * target > 0.99), target, drawn)
            sides = [side for side in (1, 2, 4, 8) if min(target.shape[2:]) >= side]
            errors = [F.mse_loss(F.avg_pool2d(drawn, side), F.avg_pool2d(target, side)) for side in sides]
            error = torch.stack(errors).sum()
            if (now := float(error.detach())) < best_error:
                best, best_error = styles.detach().clone(), now
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            schedule.step()
        return best[0]

    def _sample(self, seeds: list[int], prompts: list[str], psi: float) -> Tensor:
        """Styles [N, num_layers, style_dim] on the device; each row follows from its own seed and prompt."""
        network = self._network
        drawn = [torch.randn(network.config.latent_dim, generator=torch.Generator().manual_seed(s)) for s in seeds]
        parts: list[Tensor] = []
        with torch.inference_mode():
            for start in range(0, len(seeds), self._batch_size):
                latents = filled(torch.stack(drawn[start : start + self._batch_size]), self._batch_size)
                named = prompts[start : start + self._batch_size]
                conditions = self._conditions.read(named, seeds[start : start + self._batch_size])
                if conditions is not None:
                    conditions = filled(conditions, self._batch_size)
                latents = latents.to(self._compute.device, self._compute.dtype)
                styles = network.map(latents, conditions)
                if psi != 1:
                    styles = truncate(styles, network.centre(conditions), psi)
                parts.append(styles[: len(named)])
        return torch.cat(parts)[:, None].repeat(1, network.num_layers, 1).clone()

    def _decode(self, latents: Tensor) -> Iterator[Image.Image]:
        for start in range(0, len(latents), self._batch_size):
            styles = latents[start : start + self._batch_size].to(self._compute.device, self._compute.dtype)
            with torch.inference_mode():
                pixels = self._pixels(filled(styles, self._batch_size))[: len(styles)].float().cpu()
            for each in pixels:
                yield to_picture(each)

    def _pixels(self, styles: Tensor) -> Tensor:
        samples = self._network.synthesise(styles.to(self._compute.dtype))
        return samples.float() if self._codec is None else self._codec.decode(samples.float())


def _load_network(card: ModelCard, compute: Compute) -> GeneratorNetwork:
    assert card.folder is not None
    path = card.folder / WEIGHTS
    try:
        network = GeneratorNetwork(GanConfig.from_json(read_native(card.folder).network))
        network.load_state_dict(load_file(path))  # half-precision weights widen here
        if not network.config.is_picture:
            raise ValueError("it makes points, not pictures; see its samples.png")
    except (TypeError, ValueError, RuntimeError) as error:
        message = f"cannot be used: {str(error).splitlines()[0]}"
        place = str(card.folder / CONFIG)
        raise ModelRefused(Problem(code="model-file-damaged", file=place, message=message)) from None
    return network.to(compute.device, compute.dtype).eval().requires_grad_(False)


def _to_array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()
