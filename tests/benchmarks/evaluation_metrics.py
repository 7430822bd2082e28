"""The metrics beside their references: absolute differences on the same arrays, and seconds at full size.

    python tests/benchmarks/evaluation_metrics.py [--pictures 10000] [--features 2048]

References: torchmetrics with features of our own, scikit-image, scipy's matrix root, and closed forms.
"""

# pyright: basic
from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import scipy.linalg
import skimage.data
import torch
from skimage.metrics import peak_signal_noise_ratio
from skimage.metrics import structural_similarity as skimage_ssim
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from designkit.evaluation.colour import colour_difference
from designkit.evaluation.distances import frechet_distance, inception_score, kernel_distance
from designkit.evaluation.likeness import multiscale_similarity, peak_signal_to_noise, structural_similarity
from designkit.evaluation.resampling import Array

BAR = 1e-4


class Given(torch.nn.Module):
    """The features are the numbers of the picture itself."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.flatten(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=2048)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'measure':<34} {'reference':<28} {'ours':>12} {'theirs':>12} {'difference':>11}")
    rows = [*set_rows(), *picture_rows()]
    for name, reference, ours, theirs in rows:
        print(f"{name:<34} {reference:<28} {ours:>12.6f} {theirs:>12.6f} {abs(ours - theirs):>11.1e}")
    worst = max(abs(ours - theirs) for _, _, ours, theirs in rows)
    print(f"largest difference {worst:.1e}: {'within' if worst <= BAR else 'OVER'} the bar of {BAR:g}\n")
    speed(arguments.pictures, arguments.features)


def set_rows():
    first, second = features(600, 64, seed=1), features(500, 64, seed=2, scale=1.2, shift=0.1)
    ours = frechet_distance(first, second)
    yield "FD, 600 and 500 x 64", "torchmetrics FID", ours, torchmetrics_frechet(first, second)
    yield "FD, 600 and 500 x 64", "scipy sqrtm", ours, scipy_frechet(first, second)
    few, many = features(40, 256, seed=3), features(60, 256, seed=4)
    yield (
        "FD, 40 and 60 x 256 (singular)",
        "scipy sqrtm, real part",
        frechet_distance(few, many),
        scipy_frechet(few, many),
    )
    yield "FD of a set with itself", "0", frechet_distance(few, few), 0.0
    shifted = first.astype(np.float64) + 0.5
    yield "FD, shifted by 0.5 in 64", "16", frechet_distance(first, shifted), 16.0
    centred = first.astype(np.float64) - first.mean(axis=0, dtype=np.float64)
    trace = float(np.trace(np.cov(centred, rowvar=False)))
    yield "FD, 3 times as wide", "4 tr C", frechet_distance(centred, 3 * centred), 4 * trace
    first, second = first[:500], second[:500]
    kid = KernelInceptionDistance(feature=Given(64), subsets=1, subset_size=500, normalize=True)
    kid.update(pictures(second), real=True)
    kid.update(pictures(first), real=False)
    yield "KD, 500 x 64", "torchmetrics KID", kernel_distance(first, second), float(kid.compute()[0])
    score = InceptionScore(feature=Given(64), splits=1)
    score.update(pictures(first))
    probabilities = np.exp(first) / np.exp(first).sum(axis=1, keepdims=True)
    yield "IS, 500 x 64", "torchmetrics", inception_score(probabilities), float(score.compute()[0])


def picture_rows():
    photo = skimage.data.astronaut()[:256, 80:336].astype(np.float64)
    worn = np.clip(photo + np.random.default_rng(0).normal(0, 20, photo.shape), 0, 255)
    yield (
        "PSNR",
        "scikit-image",
        peak_signal_to_noise(photo, worn),
        peak_signal_noise_ratio(photo, worn, data_range=255),
    )
    theirs = skimage_ssim(
        photo, worn, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    yield "SSIM", "scikit-image", structural_similarity(photo, worn), float(np.asarray(theirs))
    made, real = (torch.from_numpy(each).permute(2, 0, 1)[None] for each in (worn, photo))
    theirs = multiscale_structural_similarity_index_measure(made, real, data_range=255.0)
    yield "MS-SSIM", "torchmetrics", multiscale_similarity(photo, worn), float(theirs)
    one, two = np.array([50, 2.6772, -79.7751]), np.array([50, 0, -82.7485])
    yield "CIEDE2000", "Sharma et al., pair 1", float(colour_difference(one, two)), 2.0425


def speed(num_pictures: int, num_features: int) -> None:
    first = features(num_pictures, num_features, seed=1)
    second = features(num_pictures, num_features, seed=2, scale=1.1)
    print(f"Frechet distance of {num_pictures:,} x {num_features:,} features, {torch.get_num_threads()} threads")
    ours, our_seconds = timed(lambda: frechet_distance(first, second))
    print(f"  designkit     {our_seconds:8.1f} s of processor time   {ours:.6f}", flush=True)
    theirs, their_seconds = timed(lambda: torchmetrics_frechet(first, second))
    print(f"  torchmetrics  {their_seconds:8.1f} s of processor time   {theirs:.6f}")
    print(f"  difference    {abs(ours - theirs):.1e}")
    print(f"  {their_seconds / our_seconds:.1f} times as fast")


def features(count: int, width: int, *, seed: int, scale: float = 1.0, shift: float = 0.0) -> Array:
    mix = np.random.default_rng(99).standard_normal((width, width)) / np.sqrt(width)
    return (np.random.default_rng(seed).standard_normal((count, width)) @ mix * scale + shift).astype(np.float32)


def pictures(rows: Array) -> torch.Tensor:
    return torch.from_numpy(rows).reshape(len(rows), 1, 1, -1)


def torchmetrics_frechet(first: Array, second: Array) -> float:
    metric = FrechetInceptionDistance(
        feature=Given(first.shape[1]), normalize=True, input_img_size=(1, 1, first.shape[1])
    )
    for rows, is_real in ((second, True), (first, False)):
        for start in range(0, len(rows), 500):
            metric.update(pictures(rows[start : start + 500]), real=is_real)
    return float(metric.compute())


def scipy_frechet(first: Array, second: Array) -> float:
    first, second = first.astype(np.float64), second.astype(np.float64)
    one, two = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    shift = first.mean(0) - second.mean(0)
    return float(shift @ shift + np.trace(one + two) - 2 * np.trace(scipy.linalg.sqrtm(one @ two)).real)


def timed(compute: Callable[[], float]) -> tuple[float, float]:
    # Processor time: other work on the machine hardly shows in it.
    began = time.process_time()
    value = compute()
    return value, time.process_time() - began


if __name__ == "__main__":
    main()
