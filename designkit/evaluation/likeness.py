# pyright: basic
"""How alike two pictures of one size are, pixel by pixel: PSNR, SSIM, and SSIM over several scales.

Pictures are arrays `[height, width]` or `[height, width, channels]` with values in [0, 255], of any dtype.
"""

from __future__ import annotations

import numpy as np

from designkit.evaluation.resampling import Array

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""How much each scale counts in MS-SSIM, finest first (Wang, Simoncelli & Bovik 2003, section 3.2)."""

_PEAK = 255.0
_SIGMA, _RADIUS = 1.5, 5
_INNER = (slice(_RADIUS, -_RADIUS), slice(_RADIUS, -_RADIUS))
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2


def peak_signal_to_noise(first: Array, second: Array) -> float:
    """PSNR in decibels, 10 log10(255^2 / mean squared difference); infinite for equal pictures."""
    first, second = _pair(first, second)
    error = float(((first - second) ** 2).mean())
    return float("inf") if error == 0 else float(10 * np.log10(_PEAK**2 / error))


def structural_similarity(first: Array, second: Array) -> float:
    """SSIM in [-1, 1], 1 for equal pictures; the mean over the channels.

    With the settings of its authors (Wang et al. 2004, section 3.3): a Gaussian window of 1.5 pixels, 11 wide, and
    population covariances. Computed by scikit-image. Raises ValueError below 11 pixels a side.
    """
    from skimage.metrics import structural_similarity as ssim

    first, second = _pair(first, second)
    _refuse_small(first, 2 * _RADIUS + 1)
    value = ssim(
        first, second, data_range=_PEAK, channel_axis=2, gaussian_weights=True, sigma=_SIGMA,
        use_sample_covariance=False,
    )  # fmt: skip
    return float(value)  # pyright: ignore[reportArgumentType]


def multiscale_similarity(first: Array, second: Array) -> float:
    """MS-SSIM in [0, 1], 1 for equal pictures: SSIM's contrast and structure at five scales, luminance at the coarsest.

    Wang, Simoncelli & Bovik 2003, eq. 7, with their weights; each scale halves the last by means of 2 x 2 pixels. A
    scale that is anticorrelated counts as 0. Windows that hang over the edge count at the coarsest scale alone, of
    which they are the greater part (as in torchmetrics). Raises ValueError below 176 pixels a side, where the
    coarsest scale would be smaller than the window.
    """
    first, second = _pair(first, second)
    _refuse_small(first, (2 * _RADIUS + 1) * 2 ** (len(SCALE_WEIGHTS) - 1))
    result = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        luminance, structure = _terms(first, second)
        is_last = scale == len(SCALE_WEIGHTS) - 1
        value = float((luminance * structure).mean() if is_last else structure[_INNER].mean())
        result *= max(0.0, value) ** weight
        first, second = _halve(first), _halve(second)
    return result


def _terms(first: Array, second: Array) -> tuple[Array, Array]:
    """SSIM's luminance term and its contrast-structure term at each pixel, the picture mirrored beyond its edges."""
    from scipy.ndimage import gaussian_filter

    def smooth(values: Array) -> Array:
        return gaussian_filter(values, (_SIGMA, _SIGMA, 0), mode="mirror", truncate=_RADIUS / _SIGMA)

    mean1, mean2 = smooth(first), smooth(second)
    variance1, variance2 = smooth(first * first) - mean1**2, smooth(second * second) - mean2**2
    covariance = smooth(first * second) - mean1 * mean2
    luminance = (2 * mean1 * mean2 + _C1) / (mean1**2 + mean2**2 + _C1)
    return luminance, (2 * covariance + _C2) / (variance1 + variance2 + _C2)


def _halve(picture: Array) -> Array:
    height, width = (side - side % 2 for side in picture.shape[:2])
    even = picture[:height, :width]
    return even.reshape(height // 2, 2, width // 2, 2, -1).mean(axis=(1, 3))


def _pair(first: Array, second: Array) -> tuple[Array, Array]:
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or first.ndim not in (2, 3):
        raise ValueError(f"two pictures of one size are needed, not {first.shape} and {second.shape}")
    return (first[..., None], second[..., None]) if first.ndim == 2 else (first, second)


def _refuse_small(picture: Array, least: int) -> None:
    if min(picture.shape[:2]) < least:
        raise ValueError(f"pictures must be at least {least} pixels a side, not {picture.shape[1]}x{picture.shape[0]}")
