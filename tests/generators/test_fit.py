"""Fitting a drawn picture to the pixels asked for."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from designkit.generators.fit import fit_picture, is_flat_art
from designkit.values import Size
from tests.generators.requests import SMALL


def disc(side: int) -> Image.Image:
    """A teal disc on cream with smooth edges, of the same shape at every size."""
    large = Image.new("RGB", (side * 8, side * 8), (250, 240, 216))
    ImageDraw.Draw(large).ellipse((side * 1.6, side * 1.6, side * 6.4, side * 6.4), fill=(22, 138, 140))
    return large.reduce(8)


def waves(side: int) -> Image.Image:
    """A picture without areas of one colour."""
    y, x = np.mgrid[0:side, 0:side] / side
    levels = np.stack([np.sin(x * 40), np.cos(y * 30), np.sin((x + y) * 25)], axis=2)
    return Image.fromarray((levels * 127 + 128).astype("uint8"))


def error(first: Image.Image, second: Image.Image) -> float:
    return float(np.abs(np.asarray(first, np.float32) - np.asarray(second, np.float32)).mean())


def test_a_picture_of_the_right_size_is_left_alone():
    picture = waves(64)
    assert fit_picture(picture, SMALL) is picture


@pytest.mark.parametrize("size", [(512, 512), (300, 250), (40, 64), (728, 90), (64, 65), (1, 1)])
@pytest.mark.parametrize("draw", [disc, waves])
def test_the_result_has_exactly_the_size_asked_for(draw, size):
    assert fit_picture(draw(64), Size(width=size[0], height=size[1])).size == size


def test_the_middle_is_kept_when_the_shape_differs():
    picture = Image.new("RGB", (120, 60), "black")
    picture.paste((255, 255, 255), (30, 0, 90, 60))
    fitted = fit_picture(picture, Size(width=60, height=60))
    assert fitted.getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize("size", [(728, 90), (160, 600), (90, 728)])
def test_a_banner_shows_the_whole_picture_on_its_continued_ground(size: tuple[int, int]):
    fitted = np.asarray(fit_picture(disc(96), Size(width=size[0], height=size[1]))).astype(int)
    short = min(size)
    teal = (np.abs(fitted - np.array((22, 138, 140))).sum(axis=2) < 30).sum()
    assert teal == pytest.approx(np.pi * (0.3 * short) ** 2, rel=0.05)  # a disc of 0.6 of the short side, uncut
    ground = np.array((250, 240, 216))
    ends = fitted if size[0] > size[1] else fitted.swapaxes(0, 1)
    assert np.abs(ends[:, : short // 4] - ground).max() <= 1
    assert np.abs(ends[:, -short // 4 :] - ground).max() <= 1


def test_continued_ground_meets_a_noisy_one_without_a_seam():
    noisy = np.random.default_rng(0).integers(196, 205, (96, 96, 3)).astype(np.uint8)
    fitted = np.asarray(fit_picture(Image.fromarray(noisy), Size(width=384, height=96))).astype(int)
    columns = fitted.mean(axis=(0, 2))
    assert np.abs(np.diff(columns)).max() < 1.5
    assert (fitted[:, 160:220] == noisy[:, 16:76]).all()


def test_a_banner_of_a_picture_without_plain_ground_is_cut_from_its_middle():
    picture = waves(96)
    expected = picture.resize((384, 96), Image.Resampling.LANCZOS, box=(0, 36, 96, 60))
    assert fit_picture(picture, Size(width=384, height=96)).tobytes() == expected.tobytes()


def test_enlarged_flat_art_is_much_nearer_to_a_large_drawing_than_resampling_is():
    small, large = disc(128), disc(512)
    assert is_flat_art(small)
    fitted = fit_picture(small, Size(width=512, height=512))
    resampled = small.resize((512, 512), Image.Resampling.LANCZOS)
    assert error(fitted, large) < 0.6 * error(resampled, large)


def test_enlarged_flat_art_never_overshoots():
    small = disc(128)
    for drawn, fitted in zip(
        small.getextrema(), fit_picture(small, Size(width=700, height=700)).getextrema(), strict=True
    ):
        assert drawn == fitted


def test_faint_structure_is_no_edge():
    levels = np.random.default_rng(0).integers(120, 128, (64, 64, 3)).astype("uint8")
    picture = Image.fromarray(levels)
    assert is_flat_art(picture)
    resampled = picture.resize((256, 256), Image.Resampling.BICUBIC)
    assert error(fit_picture(picture, Size(width=256, height=256)), resampled) < 1


def test_pictures_that_are_not_flat_are_only_resampled():
    picture = waves(64)
    assert not is_flat_art(picture)
    expected = picture.resize((256, 256), Image.Resampling.LANCZOS)
    assert fit_picture(picture, Size(width=256, height=256)).tobytes() == expected.tobytes()


def test_transparent_pictures_keep_their_transparency():
    picture = Image.new("RGBA", (64, 64), (10, 20, 30, 40))
    fitted = fit_picture(picture, Size(width=128, height=100))
    assert fitted.mode == "RGBA"
    assert fitted.getchannel("A").getextrema() == (40, 40)
