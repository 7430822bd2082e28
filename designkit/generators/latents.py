"""What drawing with a GAN and with a VAE share: conditions of prompts, whole batches, ways between latents."""

# pyright: basic
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from designkit.models.device import Compute  # isort: skip - comes before torch, and says why

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from designkit.generators.arguments import unhonoured_settings
from designkit.generators.base import ModelCard
from designkit.generators.families import find_family
from designkit.generators.fit import fit_picture
from designkit.generators.native import find_class, read_native
from designkit.generators.starter_parts import LatentCodec, TextReader, require_part
from designkit.values import GeneratedImage, ImageRequest, Size


class Conditions:
    """Prompts to the vectors that a model was conditioned on: a class by its name, a text through the text encoder."""

    def __init__(self, card: ModelCard, compute: Compute) -> None:
        self._card = card
        self._compute = compute
        self._reader = _reader(card) if card.reads == "text" else None

    def read(self, prompts: Sequence[str], seeds: Sequence[int] = ()) -> Tensor | None:
        """Conditions [N, K] of prompts; where none of the classes is named the seed picks one, as the plan reported."""
        if self._card.reads == "nothing":
            return None
        if self._reader is not None:
            conditions = self._reader.read(prompts)
        else:
            classes = self._card.classes
            spare = list(seeds) or [0] * len(prompts)
            names = [find_class(prompt, classes) for prompt in prompts]
            picked = [
                seed % len(classes) if name is None else classes.index(name)
                for name, seed in zip(names, spare, strict=True)
            ]
            conditions = F.one_hot(torch.tensor(picked), len(classes))
        return conditions.to(self._compute.device, self._compute.dtype)


def open_codec(card: ModelCard, compute: Compute) -> LatentCodec | None:
    """The autoencoder whose latents a model makes; None where it makes pixels. Raises ModelRefused for another one."""
    assert card.folder is not None
    parts = read_native(card.folder).starter_parts
    if (card.folder / "vae").is_dir():
        return LatentCodec(card.folder, device=compute.device)
    if "vae" not in parts:
        return None
    require_part("vae", parts["vae"], model=str(card.folder))
    return LatentCodec(device=compute.device)


def draw_requests(
    requests: Sequence[ImageRequest], card: ModelCard, draw: Callable[[list[ImageRequest]], Iterable[Image.Image]],
    *, batch_size: int,
) -> Iterator[GeneratedImage]:  # fmt: skip
    """Draw a batch at a time with `draw`, and yield each picture at its request's size; a batch that fails says why."""
    for start in range(0, len(requests), batch_size):
        batch = list(requests[start : start + batch_size])
        started = time.perf_counter()
        try:
            pictures: list[Image.Image | str] = list(draw(batch))
        except (RuntimeError, ValueError) as error:
            pictures = [f"{type(error).__name__}: {str(error).splitlines()[0]}"] * len(batch)
        seconds = (time.perf_counter() - started) / len(batch)
        for request, picture in zip(batch, pictures, strict=True):
            warnings = unhonoured_settings(request, card, find_family(None))
            if isinstance(picture, str):
                yield GeneratedImage(request=request, picture=None, failure=picture, seconds=seconds, warnings=warnings)
            else:
                fitted = fit_picture(picture, request.size)
                yield GeneratedImage(request=request, picture=fitted, seconds=seconds, warnings=warnings)


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


def for_each(given: Sequence[str], count: int) -> list[str]:
    """A prompt for each of `count` points; one stands for all."""
    return list(given) * count if len(given) == 1 else list(given)


def filled(rows: Tensor, count: int) -> Tensor:
    """Rows [N, ...] with the last one repeated up to `count`."""
    return torch.cat([rows, rows[-1:].expand(count - len(rows), *rows.shape[1:])]) if len(rows) < count else rows


def from_pictures(pictures: Sequence[Image.Image], size: Size, num_channels: int) -> Tensor:
    """Pictures fitted to a size, as [N, C, H, W] float32 in [-1, 1] of one, three or four channels."""
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[num_channels]
    fitted = [np.asarray(fit_picture(picture.convert(mode), size), np.float32) for picture in pictures]
    levels = np.stack(fitted).reshape(len(fitted), size.height, size.width, num_channels)
    return torch.from_numpy(levels).permute(0, 3, 1, 2) / 127.5 - 1


def to_picture(pixels: Tensor) -> Image.Image:
    """[C, H, W] in [-1, 1] to RGB, or RGBA for four channels; raises ValueError for numbers that are not finite."""
    if not pixels.isfinite().all():
        raise ValueError("the model computed numbers that are not finite")
    levels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
    if len(levels) == 1:
        return Image.fromarray(levels[0]).convert("RGB")
    return Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0)))


def _reader(card: ModelCard) -> TextReader:
    assert card.folder is not None
    if (card.folder / "text_encoder").is_dir():
        return TextReader(card.folder)
    parts = read_native(card.folder).starter_parts
    require_part("text_encoder", parts.get("text_encoder", ""), model=str(card.folder))
    return TextReader()
