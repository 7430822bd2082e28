"""PSNR, SSIM and MS-SSIM agree with scikit-image and torchmetrics on the same pictures."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch
from skimage.metrics import peak_signal_noise_ratio
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from designkit.evaluation.likeness import multiscale_similarity, peak_signal_to_noise, structural_similarity

PHOTO = skimage.data.astronaut()[:200, 60:260]  # [200, 200, 3] uint8


def worn(amount: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, amount, PHOTO.shape)
    return np.clip(np.roll(PHOTO, 1, axis=1) + noise, 0, 255)


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(picture, np.float64)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("amount", [0, 8, 60])
def test_likeness_agrees_with_the_references(amount: float) -> None:
    other = worn(amount)
    whole = PHOTO.astype(np.float64)
    assert peak_signal_to_noise(PHOTO, other) == pytest.approx(
        peak_signal_noise_ratio(whole, other, data_range=255), abs=1e-4
    )
    # torchmetrics' mean counts windows that hang over the edge; SSIM's authors, and scikit-image, do not.
    _, windows = structural_similarity_index_measure(
        tensor(other), tensor(PHOTO), data_range=255.0, return_full_image=True
    )
    assert structural_similarity(PHOTO, other) == pytest.approx(float(windows[..., 5:-5, 5:-5].mean()), abs=1e-4)
    theirs = multiscale_structural_similarity_index_measure(tensor(other), tensor(PHOTO), data_range=255.0)
    assert multiscale_similarity(PHOTO, other) == pytest.approx(float(theirs), abs=1e-4)


def test_a_picture_is_like_itself_in_colour_and_in_grey() -> None:
    for picture in (PHOTO, PHOTO[..., 0]):
        assert peak_signal_to_noise(picture, picture) == float("inf")
        assert structural_similarity(picture, picture) == pytest.approx(1)
        assert multiscale_similarity(picture, picture) == pytest.approx(1)


def test_the_negative_of_a_picture_counts_as_nothing_alike() -> None:
    assert multiscale_similarity(PHOTO, 255 - PHOTO) == 0
    assert structural_similarity(PHOTO, 255 - PHOTO) < 0


@pytest.mark.parametrize(("measure", "side"), [(structural_similarity, 10), (multiscale_similarity, 175)])
def test_pictures_that_are_too_small_or_differ_in_size_are_refused(measure, side: int) -> None:
    with pytest.raises(ValueError, match=f"not {side}x{side}"):
        measure(PHOTO[:side, :side], PHOTO[:side, :side])
    with pytest.raises(ValueError, match="one size"):
        measure(PHOTO, PHOTO[:-1])
