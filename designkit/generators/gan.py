# pyright: basic
"""Drawing with GANs of designkit's own, and walking through what they can draw.

An image's bytes depend on its request and on `settings` alone: each has its own latent, from a generator on the
CPU seeded by the request, and every call of the network has the same number of pictures in it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from designkit.models.device import Compute, choose_compute  # isort: skip - comes before torch, and says why

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from designkit.errors import ModelRefused, Problem
from designkit.generators.arguments import unhonoured_settings
from designkit.generators.base import ModelCard, Precision
from designkit.generators.families import find_family
from designkit.generators.fit import fit_picture
from designkit.generators.native import CONFIG, WEIGHTS, find_class, read_native
from designkit.generators.starter_parts import LATENT_STRIDE, LatentCodec, TextReader, require_part
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
        folder = card.folder
        config = read_native(folder)
        self.card = card
        self.truncation = float(config.settings.get("truncation", 1.0))
        self._compute = compute
        self._batch_size = batch_size
        self._network = _load_network(card, compute)
        self._reader = self._codec = None
        if config.reads == "text":
            has_own = (folder / "text_encoder").is_dir()
            if not has_own:
                require_part("text_encoder", config.starter_parts.get("text_encoder", ""), model=str(folder))
            self._reader = TextReader(folder) if has_own else TextReader()
        if "vae" in config.starter_parts or (folder / "vae").is_dir():
            has_own = (folder / "vae").is_dir()
            if not has_own:
                require_part("vae", config.starter_parts["vae"], model=str(folder))
            self._codec = LatentCodec(folder, device=compute.device) if has_own else LatentCodec(device=compute.device)

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
        for start in range(0, len(requests), self._batch_size):
            batch = list(requests[start : start + self._batch_size])
            started = time.perf_counter()
            try:
                latents = self._sample([r.seed for r in batch], [r.prompt for r in batch], self.truncation)
                pictures: list[Image.Image | str] = list(self._decode(latents))
            except (RuntimeError, ValueError) as error:
                pictures = [f"{type(error).__name__}: {str(error).splitlines()[0]}"] * len(batch)
            seconds = (time.perf_counter() - started) / len(batch)
            for request, picture in zip(batch, pictures, strict=True):
                warnings = unhonoured_settings(request, self.card, find_family(None))
                if isinstance(picture, str):
                    yield GeneratedImage(
                        request=request, picture=None, failure=picture, seconds=seconds, warnings=warnings
                    )
                else:
                    fitted = fit_picture(picture, request.size)
                    yield GeneratedImage(request=request, picture=fitted, seconds=seconds, warnings=warnings)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """(num_layers, style_dim)."""
        return (self._network.num_layers, self._network.config.style_dim)

    def sample(
        self, seeds: Sequence[int], prompts: Sequence[str] = ("",), *, truncation: float | None = None
    ) -> np.ndarray:
        """The latents that requests with these seeds and prompts draw; at `truncation` 0 a prompt has one."""
        given = list(prompts) * len(seeds) if len(prompts) == 1 else list(prompts)
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
        given = list(prompts) * len(pictures) if len(prompts) == 1 else list(prompts)
        found = [self._project(picture, prompt, steps, rate) for picture, prompt in zip(pictures, given, strict=True)]
        return _to_array(torch.stack(found))

    def _project(self, picture: Image.Image, prompt: str, steps: int, rate: float) -> Tensor:
        size = self.card.native_sizes[0]
        channels = 3 if self._codec is not None else self._network.config.shape[0]
        mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
        levels = np.asarray(fit_picture(picture.convert(mode), size), np.float32).reshape(size.height, size.width, -1)
        target = torch.from_numpy(levels).permute(2, 0, 1)[None].to(self._compute.device) / 127.5 - 1
        centre = self._network.centre(self._conditions([prompt]))
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
                latents = _filled(torch.stack(drawn[start : start + self._batch_size]), self._batch_size)
                named = prompts[start : start + self._batch_size]
                conditions = self._conditions(named, seeds[start : start + self._batch_size])
                if conditions is not None:
                    conditions = _filled(conditions, self._batch_size)
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
                pixels = self._pixels(_filled(styles, self._batch_size))[: len(styles)].float().cpu()
            for each in pixels:
                if not each.isfinite().all():
                    raise ValueError("the model computed numbers that are not finite")
                yield _to_picture(each)

    def _pixels(self, styles: Tensor) -> Tensor:
        samples = self._network.synthesise(styles.to(self._compute.dtype))
        return samples.float() if self._codec is None else self._codec.decode(samples.float())

    def _conditions(self, prompts: list[str], seeds: Sequence[int] = ()) -> Tensor | None:
        """Conditions [N, K] of prompts; where none of the classes is named the seed picks one, as the plan reported."""
        if self.card.reads == "nothing":
            return None
        if self._reader is not None:
            conditions = self._reader.read(prompts)
        else:
            classes = self.card.classes
            spare = list(seeds) or [0] * len(prompts)
            names = [find_class(prompt, classes) for prompt in prompts]
            picked = [
                seed % len(classes) if name is None else classes.index(name)
                for name, seed in zip(names, spare, strict=True)
            ]
            conditions = F.one_hot(torch.tensor(picked), len(classes))
        return conditions.to(self._compute.device, self._compute.dtype)


def slerp(start: np.ndarray, end: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Points [S, ...] between two of a Gaussian, along the great circle of their last axis; lengths change evenly.

    Shoemake (1985), as White (arXiv 1609.04468) uses it for latents; points in line are joined straight.
    """
    lengths = [np.linalg.norm(point, axis=-1, keepdims=True) for point in (start, end)]
    units = [point / np.maximum(length, 1e-12) for point, length in zip((start, end), lengths, strict=True)]
    angle = np.arccos(np.clip((units[0] * units[1]).sum(axis=-1, keepdims=True), -1, 1))
    shares = shares.reshape(-1, *[1] * start.ndim).astype(start.dtype)
    sine = np.sin(angle)
    is_straight = sine < 1e-4
    safe = np.where(is_straight, 1, sine)
    first = np.where(is_straight, 1 - shares, np.sin((1 - shares) * angle) / safe)
    last = np.where(is_straight, shares, np.sin(shares * angle) / safe)
    length = lengths[0] * (1 - shares) + lengths[1] * shares
    return (first * units[0] + last * units[1]) * length


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


def native_stride(has_codec: bool) -> int:
    """Pixels a sample's pixel stands for: eight where it is a latent of the starter's autoencoder."""
    return LATENT_STRIDE if has_codec else 1


def _filled(rows: Tensor, count: int) -> Tensor:
    """Rows [N, ...] with the last one repeated up to `count`."""
    return torch.cat([rows, rows[-1:].expand(count - len(rows), *rows.shape[1:])]) if len(rows) < count else rows


def _to_array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()


def _to_picture(pixels: Tensor) -> Image.Image:
    """[C, H, W] in [-1, 1] to RGB, or RGBA for four channels."""
    levels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
    if len(levels) == 1:
        return Image.fromarray(levels[0]).convert("RGB")
    return Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0)))
