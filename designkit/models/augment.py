"""Augmentation of what a discriminator sees, real and generated alike, so that few pictures go a longer way.

Every operation is made of indexing, matrix products and masks, so that it can be differentiated twice, as
gradient penalties need, on any device. DiffAugment (Zhao et al., arXiv 2006.10738) applies its operations always;
adaptive augmentation (Karras et al., arXiv 2006.06676) each with a probability that follows how surely the
discriminator tells real pictures. Colours and flips are not among the defaults: they leak into what is
generated, as off-brand colours and mirrored logos.
"""

# pyright: basic
from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Operation = Literal["shift", "scale", "cutout", "flip", "rotate", "brightness", "contrast", "saturation"]
OPERATIONS: tuple[Operation, ...] = (
    "shift", "scale", "cutout", "flip", "rotate", "brightness", "contrast", "saturation",
)  # fmt: skip
DEFAULT_OPERATIONS: tuple[Operation, ...] = ("shift", "scale", "cutout")

MAX_SHIFT = 0.125  # of a side
SCALE_SPREAD = 0.2  # standard deviation of log2 of the zoom
CUTOUT_SIDE = 0.5  # of a side
_WINDOW = 8  # updates

MAX_PROBABILITY = 0.8
"""Above this adaptive augmentation leaks into the pictures that are generated (arXiv 2006.06676)."""


def augment(
    pictures: Tensor, operations: Sequence[Operation], rng: torch.Generator, *, probability: float = 1.0
) -> Tensor:
    """Pictures [N, C, H, W] in [-1, 1], each operation applied to each picture with this probability.

    Probability 0 returns the pictures as they are. Numbers come from `rng` (on the CPU), the same ones whatever
    the pictures.
    """
    for operation in operations:
        is_applied = torch.rand(len(pictures), generator=rng) < probability
        changed = _APPLY[operation](pictures, rng)
        if probability > 0:
            pictures = torch.where(is_applied.to(pictures.device)[:, None, None, None], changed, pictures)
    return pictures


class AdaptiveProbability(torch.nn.Module):
    """How likely each operation is: it rises while the discriminator is too sure of real pictures, and falls after.

    `target` is the wanted mean sign of the logits on real pictures (it is averaged over about eight updates);
    `images_per_unit` after how many pictures the probability could have gone from 0 to 1. Its state are buffers, so
    that a checkpoint has it.
    """

    probability: Tensor
    sureness: Tensor

    def __init__(self, *, target: float = 0.6, images_per_unit: int = 100_000, most: float = MAX_PROBABILITY) -> None:
        super().__init__()
        self.target = target
        self.images_per_unit = images_per_unit
        self.most = most
        self.register_buffer("probability", torch.zeros((), dtype=torch.float64))
        self.register_buffer("sureness", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, real_logits: Tensor) -> None:
        """Take one batch of logits [N] on real pictures into account."""
        self.sureness += (real_logits.double().sign().mean() - self.sureness) / _WINDOW
        step = len(real_logits) / self.images_per_unit
        self.probability += step * torch.sign(self.sureness - self.target)
        self.probability.clamp_(0.0, self.most)


def _shift(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Move by up to an eighth of a side, by whole pixels; what comes in is 0, mid-grey."""
    count, _, height, width = pictures.shape
    down = _whole(rng, count, round(height * MAX_SHIFT))
    right = _whole(rng, count, round(width * MAX_SHIFT))
    rows = torch.arange(height)[None] - down[:, None]  # [N, H], the row that each row is taken from
    columns = torch.arange(width)[None] - right[:, None]
    return _resample(pictures, _picking(rows, height), _picking(columns, width))


def _scale(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Zoom around the middle, bilinearly; outside is 0."""
    count, _, height, width = pictures.shape
    zoom = torch.exp2(torch.randn(count, generator=rng) * SCALE_SPREAD)
    return _resample(pictures, _zooming(zoom, height), _zooming(zoom, width))


def _cutout(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Set a square of half the side, somewhere, to 0."""
    count, _, height, width = pictures.shape
    is_kept = torch.ones(count, height, width, dtype=torch.bool)
    is_in = []
    for side in (height, width):
        centre = torch.rand(count, generator=rng) * side
        is_in.append((torch.arange(side)[None] + 0.5 - centre[:, None]).abs() < CUTOUT_SIDE * side / 2)
    is_kept &= ~(is_in[0][:, :, None] & is_in[1][:, None, :])
    return pictures * is_kept[:, None].to(pictures)


def _flip(pictures: Tensor, rng: torch.Generator) -> Tensor:
    return _choose(pictures, (pictures, pictures.flip(3)), rng)


def _rotate(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Turn by a quarter, a half, three quarters or not at all; pictures that are not square by a half or not at all."""
    turns = range(4) if pictures.shape[2] == pictures.shape[3] else (0, 2)
    return _choose(pictures, tuple(torch.rot90(pictures, turn, (2, 3)) for turn in turns), rng)


def _brightness(pictures: Tensor, rng: torch.Generator) -> Tensor:
    return pictures + (torch.rand(len(pictures), generator=rng) - 0.5).to(pictures)[:, None, None, None]


def _contrast(pictures: Tensor, rng: torch.Generator) -> Tensor:
    factor = (torch.rand(len(pictures), generator=rng) + 0.5).to(pictures)[:, None, None, None]
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (pictures - mean) * factor


def _saturation(pictures: Tensor, rng: torch.Generator) -> Tensor:
    factor = (2 * torch.rand(len(pictures), generator=rng)).to(pictures)[:, None, None, None]
    grey = pictures.mean(dim=1, keepdim=True)
    return grey + (pictures - grey) * factor


_APPLY = {
    "shift": _shift, "scale": _scale, "cutout": _cutout, "flip": _flip, "rotate": _rotate, "brightness": _brightness,
    "contrast": _contrast, "saturation": _saturation,
}  # fmt: skip


def _whole(rng: torch.Generator, count: int, most: int) -> Tensor:
    return torch.randint(-most, most + 1, (count,), generator=rng)


def _picking(places: Tensor, side: int) -> Tensor:
    """[N, side, side] matrices that take row `places[n, i]` to row i, and nothing from outside."""
    return (places[:, :, None] == torch.arange(side)[None, None]).float()


def _zooming(zoom: Tensor, side: int) -> Tensor:
    """[N, side, side] matrices that enlarge a line of pixels `zoom` times around its middle, linearly."""
    middle = (side - 1) / 2
    places = middle + (torch.arange(side)[None] - middle) / zoom[:, None]
    return (1 - (places[:, :, None] - torch.arange(side)[None, None]).abs()).clamp_min(0)


def _resample(pictures: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """rows @ picture @ columns^T, channel by channel."""
    rows, columns = rows.to(pictures)[:, None], columns.to(pictures)[:, None]
    return rows @ pictures @ columns.transpose(2, 3)


def _choose(pictures: Tensor, versions: Sequence[Tensor], rng: torch.Generator) -> Tensor:
    picked = torch.randint(len(versions), (len(pictures),), generator=rng).to(pictures.device)
    return torch.stack(list(versions))[picked, torch.arange(len(pictures), device=pictures.device)]
