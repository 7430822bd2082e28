"""What a GAN or VAE learns from, in memory: pictures, points or latents, each with its condition, and some held out.

Built here are the sets that need no files: scikit-learn's digits, rendered design scenes, and points on a plane.
"""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from designkit.errors import InputRefused, Problem
from designkit.generators.starter_parts import LATENT_STRIDE, LatentCodec, TextReader
from designkit.starter.captions import caption
from designkit.starter.renderer import render
from designkit.starter.scenes import training_scene
from designkit.training.data import Pictures
from designkit.values import Size

FIRST_SCENE = 5 * 10**8
"""Number of the first scene, far from those that the starter itself learned from."""

_ENCODED_AT_ONCE = 16
_READ_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Samples that fit into memory.

    `values` are pictures [N, C, H, W] uint8, or points [N, D] or latents [N, C, h, w] in a float type. `conditions`
    [N, versions, K] are the vectors each may be shown with (one-hot for classes, a text encoder's for captions);
    None where there are none. `classes` names the classes in the order of their ones.
    """

    values: Tensor
    conditions: Tensor | None = None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """One sample's shape."""
        return tuple(self.values.shape[1:])

    def take(self, rows: Tensor, versions: Tensor) -> tuple[Tensor, Tensor | None]:
        """The samples of these rows as float32 (pictures in [-1, 1]), and one version of each one's condition."""
        values = self.values[rows]
        values = values.float() / 127.5 - 1 if values.dtype == torch.uint8 else values.float()
        if self.conditions is None:
            return values, None
        return values, self.conditions[rows, versions % self.conditions.shape[1]].float()

    def split(self, share: float, *, seed: int, at_least: int = 0, at_most: int = 500) -> tuple[Samples, Samples]:
        """What is learned from and what is held out, told apart by the seed; none is held out at share 0."""
        count = 0 if share == 0 else min(max(round(share * len(self)), at_least), at_most, len(self) // 4)
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        return self.rows(order[count:]), self.rows(order[:count])

    def rows(self, rows: Tensor) -> Samples:
        """The samples of these rows."""
        conditions = None if self.conditions is None else self.conditions[rows]
        return replace(self, values=self.values[rows], conditions=conditions)


def class_conditions(labels: Tensor, num_classes: int) -> Tensor:
    """Labels [N] -> one-hot conditions [N, 1, num_classes]."""
    return torch.nn.functional.one_hot(labels, num_classes)[:, None].half()


def from_pictures(pictures: Pictures, condition: str) -> tuple[Samples, Samples]:
    """Pictures of the user's, learned and held out, with a condition of `none`, `classes` or `captions`.

    Raises InputRefused where some picture lacks the class or caption.
    """
    values = torch.from_numpy(np.array(pictures.pixels)).permute(0, 3, 1, 2).contiguous()
    samples = Samples(values=values)
    if condition == "classes":
        labels = torch.from_numpy(pictures.labels).long()
        _refuse_without(pictures, [bool(label < 0) for label in labels], "class")
        conditions = class_conditions(labels, len(pictures.classes))
        samples = Samples(values=values, conditions=conditions, classes=pictures.classes)
    elif condition == "captions":
        _refuse_without(pictures, [not caption for caption in pictures.captions], "caption")
        texts = [caption or "" for caption in pictures.captions]
        samples = Samples(values=values, conditions=text_conditions(texts, 1, TextReader()))
    return samples.rows(torch.from_numpy(pictures.training)), samples.rows(torch.from_numpy(pictures.held_out))


def _refuse_without(pictures: Pictures, is_missing: list[bool], what: str) -> None:
    missing = [name for name, missed in zip(pictures.names, is_missing, strict=True) if missed]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise InputRefused(
            Problem(
                code=f"no-{what}", key="data.condition", message=f"no {what} for {', '.join(missing[:3])}{more}",
                fix=f"give each picture a {what}, or set data.condition to none",
            )
        )  # fmt: skip


def digits() -> Samples:
    """scikit-learn's 1,797 handwritten digits, [1797, 1, 8, 8], with their classes; raises InputRefused without it."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise InputRefused(
            Problem(
                code="extra-missing", key="data.source",
                message="digits come with scikit-learn, which is not installed",
                fix="pip install 'designkit[examples]'",
            )
        ) from None  # fmt: skip
    images, labels = load_digits(return_X_y=True)
    pixels = torch.from_numpy(np.rint(images * 255 / 16).astype(np.uint8)).reshape(-1, 1, 8, 8)
    return Samples(
        values=pixels, conditions=class_conditions(torch.from_numpy(labels).long(), 10), classes=tuple("0123456789")
    )


def textures(count: int, *, side_px: int, share: float, seed: int) -> tuple[Samples, Samples]:
    """Patches [N, 1, side_px, side_px] of scikit-image's brick, grass and gravel, learned and held out, by class.

    The photographs are split in space: held-out patches lie in the right `share` of each, which no learned one touches.
    Raises InputRefused without scikit-image, or where the strip is narrower than a patch.
    """
    try:
        from skimage import data
    except ImportError:
        raise InputRefused(
            Problem(
                code="extra-missing", key="data.source",
                message="textures come with scikit-image, which is not installed",
                fix="pip install 'designkit[evaluate]'",
            )
        ) from None  # fmt: skip
    photographs = [torch.from_numpy(each().copy()) for each in (data.brick, data.grass, data.gravel)]  # [512, 512]
    height, width = photographs[0].shape
    border = round(width * (1 - share))
    if share and width - border < side_px:
        message = f"held_out {share:g} leaves {width - border} pixels of {width}, and a patch is {side_px} wide"
        raise InputRefused(Problem(code="held-out", key="data.held_out", message=message))
    rng = torch.Generator().manual_seed(seed)

    def patches(number: int, left: int, right: int) -> Samples:
        labels = torch.arange(number) % len(photographs)
        tops = torch.randint(height - side_px + 1, (number,), generator=rng).tolist()
        lefts = torch.randint(left, right - side_px + 1, (number,), generator=rng).tolist()
        cut = [
            photographs[label][y : y + side_px, x : x + side_px]
            for label, y, x in zip(labels.tolist(), tops, lefts, strict=True)
        ]
        values = torch.stack(cut)[:, None] if cut else torch.empty(0, 1, side_px, side_px, dtype=torch.uint8)
        return Samples(values=values, conditions=class_conditions(labels, 3), classes=("brick", "grass", "gravel"))

    learned = patches(count, 0, border)
    return learned, patches(min(500, round(share * count)) if share else 0, border, width)


def points(kind: str, count: int, *, seed: int) -> Samples:
    """Points [count, 2]: `two-gaussians` (at (-1, 0) and (1, 0), deviation 0.3), `ring` (eight, radius 2, deviation
    0.02) or `grid` (twenty-five, 2 apart, deviation 0.05).
    """
    rng = torch.Generator().manual_seed(seed)
    centres, deviation = mixture(kind)
    picked = torch.randint(len(centres), (count,), generator=rng)
    return Samples(values=centres[picked] + deviation * torch.randn((count, 2), generator=rng))


def mixture(kind: str) -> tuple[Tensor, float]:
    """Centres [M, 2] and standard deviation of a set of points."""
    if kind == "two-gaussians":
        return torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), 0.3
    if kind == "ring":
        angles = torch.arange(8) * torch.pi / 4
        return 2 * torch.stack([angles.cos(), angles.sin()], dim=1), 0.02
    if kind == "grid":
        return torch.cartesian_prod(torch.arange(-4.0, 5.0, 2.0), torch.arange(-4.0, 5.0, 2.0)), 0.05
    raise ValueError(f"there is no set of points {kind!r}; there are two-gaussians, ring, grid")


def scenes(
    count: int, *, side_px: int, seed: int, num_simple: int = 0, num_captions: int = 0, first: int = FIRST_SCENE
) -> Samples:
    """Rendered design scenes as pictures [count, 3, side_px, side_px], with so many captions each as conditions.

    The first `num_simple` show one thing on plain ground. They are drawn at 128 px, the renderer's grain, and
    averaged down. Held-out pairs of the starter never occur.
    """
    pictures = torch.empty(count, 3, side_px, side_px, dtype=torch.uint8)
    drawn = [training_scene(first + index, seed=seed, simple=index < num_simple) for index in range(count)]
    for index, scene in enumerate(drawn):
        side = max(128, side_px)
        picture = render(scene, Size(width=side, height=side))
        picture = picture.reduce(side // side_px) if side % side_px == 0 else picture.resize((side_px, side_px))
        pictures[index] = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)
    if not num_captions:
        return Samples(values=pictures)
    rng = random.Random(f"captions/{seed}")
    texts = [caption(scene, rng).text for scene in drawn for _ in range(num_captions)]
    return Samples(values=pictures, conditions=text_conditions(texts, num_captions, TextReader()))


def text_conditions(texts: Sequence[str], num_versions: int, reader: TextReader) -> Tensor:
    """Captions, `num_versions` a sample on end, as vectors [N, num_versions, width] float16."""
    starts = range(0, len(texts), _READ_AT_ONCE)
    parts = [reader.read_many(texts[start : start + _READ_AT_ONCE]) for start in starts]
    return torch.cat(parts).half().unflatten(0, (-1, num_versions))


def as_latents(samples: Samples, codec: LatentCodec) -> Samples:
    """Pictures [N, 3, H, W] as the autoencoder's latents [N, C, H / 8, W / 8], kept in half precision."""
    if samples.shape[0] != 3 or any(side % LATENT_STRIDE for side in samples.shape[1:]):
        raise InputRefused(
            Problem(
                code="latents-refused", key="data.space",
                message=f"latents need colour pictures with sides in eights, and these are {samples.shape}",
                fix="set data.colour to rgb and data.side_px to a multiple of 8, or data.space to pixels",
            )
        )  # fmt: skip
    parts: list[Tensor] = []
    for start in range(0, len(samples), _ENCODED_AT_ONCE):
        pictures = samples.values[start : start + _ENCODED_AT_ONCE].float() / 127.5 - 1
        with torch.autocast("cpu", torch.bfloat16, enabled=codec.autoencoder.device.type == "cpu"):
            parts.append(codec.encode(pictures).cpu().half())
    return replace(samples, values=torch.cat(parts))
