# pyright: basic
"""The texture of a picture in numbers, and how alike two textures are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from designkit.evaluation.resampling import Array

GREY_LEVELS = 32
GLCM_DISTANCES_PX = (1, 2, 4)
GLCM_PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy")
LBP_RINGS = ((8, 1), (16, 2))
"""Number of points and radius in pixels of each ring of local binary patterns."""
GABOR_FREQUENCIES = (0.05, 0.1, 0.2, 0.4)
"""Cycles per pixel."""
GABOR_ORIENTATIONS = 4


@dataclass(frozen=True, kw_only=True)
class Texture:
    """Three kinds of statistics of a grey picture.

    patterns: shares of uniform local binary patterns, for each ring of `LBP_RINGS`, [10 + 18]; co_occurrence: how
    often each pair of `GREY_LEVELS` grey levels lies side by side, mean over `GLCM_DISTANCES_PX` and four directions,
    [32, 32] that sums to 1; energies: mean magnitude of the answer to Gabor filters, [frequencies * orientations], in
    grey levels of [0, 1].
    """

    patterns: Array
    co_occurrence: Array
    energies: Array


def texture(grey: Array) -> Texture:
    """The texture of a grey picture `[height, width]` in [0, 1], at least 8 pixels a side."""
    grey = np.asarray(grey, np.float64)
    if grey.ndim != 2 or min(grey.shape) < 8:
        raise ValueError(f"a grey picture of at least 8 x 8 pixels is needed, not {grey.shape}")
    return Texture(patterns=binary_patterns(grey), co_occurrence=co_occurrence(grey), energies=gabor_energies(grey))


def binary_patterns(grey: Array) -> Array:
    """Shares of the uniform rotation-invariant local binary patterns (Ojala et al. 2002, eq. 9), ring by ring: [28]."""
    from skimage.feature import local_binary_pattern

    # As whole grey levels: rounding in flat areas must not look like a pattern.
    levels = np.round(grey * 255).astype(np.uint8)
    parts: list[Array] = []
    for points, radius in LBP_RINGS:
        codes = local_binary_pattern(levels, points, radius, "uniform").astype(np.int64)
        parts.append(np.bincount(codes.ravel(), minlength=points + 2) / codes.size)
    return np.concatenate(parts)


def co_occurrence(grey: Array) -> Array:
    """The symmetric grey-level co-occurrence matrix (Haralick et al. 1973), [32, 32], over distances and directions."""
    from skimage.feature import graycomatrix

    levels = np.minimum(np.round(grey * 255).astype(np.int64) * GREY_LEVELS // 256, GREY_LEVELS - 1).astype(np.uint8)
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    matrices = graycomatrix(levels, list(GLCM_DISTANCES_PX), angles, GREY_LEVELS, symmetric=True, normed=True)
    return matrices.mean(axis=(2, 3))


def co_occurrence_statistics(matrix: Array) -> Array:
    """Haralick's statistics of a co-occurrence matrix in the order of `GLCM_PROPERTIES`: [6].

    Correlation is 1 where all pixels are alike; entropy is in nats.
    """
    from skimage.feature import graycoprops

    stacked = matrix[:, :, None, None]
    values = [float(graycoprops(stacked, name)[0, 0]) for name in GLCM_PROPERTIES[:-1]]
    positive = matrix[matrix > 0]
    return np.asarray([*values, float(-(positive * np.log(positive)).sum())])


def gabor_energies(grey: Array) -> Array:
    """The mean magnitude of a picture's answers to a bank of complex Gabor filters (Daugman 1985), [16].

    For each of `GABOR_FREQUENCIES`, four orientations; the kernels are scikit-image's, one octave wide, without their
    mean, so that flat areas give 0. The picture is continued as a mirror image.
    """
    from scipy.fft import fft2, ifft2

    margin = min(24, min(grey.shape) - 1)
    mirrored = np.pad(grey, margin, mode="reflect")
    spectrum = np.asarray(fft2(mirrored))
    area = (slice(margin, -margin), slice(margin, -margin))
    transfers = _gabor_transfers(mirrored.shape)
    return np.asarray([np.abs(np.asarray(ifft2(spectrum * transfer))[area]).mean() for transfer in transfers])


@dataclass(frozen=True, kw_only=True)
class TextureLikeness:
    """How much two textures have in common, each in [0, 1], and the mean of the three."""

    patterns: float
    co_occurrence: float
    energies: float

    @property
    def mean(self) -> float:
        """All three in one number."""
        return (self.patterns + self.co_occurrence + self.energies) / 3


def texture_similarity(first: Texture, second: Texture) -> TextureLikeness:
    """What two textures have in common: the intersections (Swain & Ballard 1991, eq. 1) of their shares.

    Energies are no shares: for them it is 1 - sum |a - b| / sum (a + b) (Bray & Curtis 1957), and 1 for two flat
    pictures.
    """
    total = float((first.energies + second.energies).sum())
    gap = float(np.abs(first.energies - second.energies).sum())
    return TextureLikeness(
        patterns=float(np.minimum(first.patterns, second.patterns).sum() / len(LBP_RINGS)),
        co_occurrence=float(np.minimum(first.co_occurrence, second.co_occurrence).sum()),
        energies=1.0 if total < 1e-9 else 1 - gap / total,
    )


@lru_cache(maxsize=8)
def _gabor_transfers(shape: tuple[int, int]) -> tuple[Array, ...]:
    from scipy.fft import fft2
    from skimage.filters import gabor_kernel

    transfers: list[Array] = []
    for frequency in GABOR_FREQUENCIES:
        for orientation in range(GABOR_ORIENTATIONS):
            kernel = gabor_kernel(frequency, theta=np.pi * orientation / GABOR_ORIENTATIONS)  # pyright: ignore[reportArgumentType]
            kernel = kernel - kernel.mean()
            placed = np.zeros(shape, np.complex128)
            height, width = (min(side, limit) for side, limit in zip(kernel.shape, shape, strict=True))
            placed[:height, :width] = kernel[:height, :width]
            transfers.append(np.asarray(fft2(np.roll(placed, (-(height // 2), -(width // 2)), axis=(0, 1)))))
    return tuple(transfers)
