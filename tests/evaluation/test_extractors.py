"""Extractors give the same numbers for the same picture, and what they say can be read back."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from designkit.errors import ModelRefused
from designkit.evaluation.calm import calm_area
from designkit.evaluation.colour import picture_colours, to_lab
from designkit.evaluation.extractors import (
    ColourCounter,
    DesignDescriber,
    Looker,
    TextureReader,
    Thumbnailer,
    principal_components,
    reduced,
    unpack_calm_area,
    unpack_colours,
    unpack_texture,
)
from designkit.evaluation.networks import INCEPTION_SHA256, Inception, RandomConvolutions, StarterEye
from designkit.evaluation.report import open_extractor
from designkit.evaluation.texture import texture
from tests.evaluation.samples import CREAM, RED, TEAL, drawing

PICTURE = drawing(TEAL, RED, 40)
OTHERS = [drawing(CREAM, RED, 30 + 4 * number) for number in range(5)]


@pytest.mark.parametrize(
    "extractor", [ColourCounter(), Looker(), TextureReader(), Thumbnailer(), DesignDescriber(), RandomConvolutions()]
)
def test_a_picture_has_the_same_numbers_whatever_is_beside_it(extractor) -> None:
    alone = extractor.features([PICTURE])[0]
    among = extractor.features([*OTHERS, PICTURE])[5]
    assert alone.dtype == np.float32
    assert alone == pytest.approx(among, abs=1e-6)
    assert np.isfinite(alone).all()
    for odd in (Image.new("RGB", (1, 1), "red"), Image.new("RGB", (3, 900), "blue"), Image.new("RGB", (700, 2))):
        assert np.isfinite(extractor.features([odd])[0]).all()


def test_vectors_are_read_back_as_what_they_hold() -> None:
    pixels = np.asarray(PICTURE)
    colours = unpack_colours(ColourCounter().features([PICTURE])[0])
    assert colours.shares == pytest.approx(picture_colours(pixels).shares, abs=1e-6)
    assert colours.lab == pytest.approx(picture_colours(pixels).lab, abs=1e-4)
    area = unpack_calm_area(Looker().features([PICTURE])[0])
    assert area.share == pytest.approx(calm_area(pixels).share, abs=1e-6)
    read = unpack_texture(TextureReader().features([PICTURE])[0])
    grain = texture(np.asarray(PICTURE.convert("L")) / 255)
    assert read.patterns == pytest.approx(grain.patterns, abs=1e-6)
    assert read.co_occurrence == pytest.approx(grain.co_occurrence, abs=1e-6)
    assert read.energies == pytest.approx(grain.energies, abs=1e-6)


def test_the_distance_of_thumbnails_is_a_difference_in_lab() -> None:
    teal, cream = (Image.new("RGB", (50, 50), colour) for colour in (TEAL, CREAM))
    one, two = Thumbnailer().features([teal, cream])
    gap = np.linalg.norm(to_lab(np.array(TEAL)) - to_lab(np.array(CREAM)))
    assert np.linalg.norm(one - two) == pytest.approx(gap, rel=1e-5)


def test_large_pictures_are_reduced_and_small_ones_kept() -> None:
    assert reduced(Image.new("RGB", (1024, 512))).size == (256, 128)
    assert reduced(Image.new("RGB", (5000, 3))).size == (256, 1)
    small = Image.new("RGB", (20, 10))
    assert reduced(small) is small


def test_the_name_of_the_random_network_holds_the_hash_of_its_weights() -> None:
    assert RandomConvolutions().name == RandomConvolutions().name == "randconv:6c98bbf5"
    assert RandomConvolutions(seed=1).name != RandomConvolutions().name
    assert RandomConvolutions().features([PICTURE])[0].shape == (480,)


def test_principal_components_are_those_of_the_covariance() -> None:
    rows = np.random.default_rng(0).standard_normal((30, 12)) @ np.diag(np.arange(1, 13))
    name, mean, directions = principal_components(rows, num_components=4)
    assert name == principal_components(rows.copy(), num_components=4)[0]
    projected = (rows - mean) @ directions.T
    values = np.linalg.eigvalsh(np.cov(rows, rowvar=False))[::-1][:4]
    variances = projected.var(axis=0, ddof=1)
    assert variances / variances.sum() == pytest.approx(values / values.sum())
    assert (projected**2).mean() == pytest.approx(1)
    assert principal_components(rows + 1, num_components=4)[0] != name
    assert principal_components(rows[:3])[2].shape == (2, 12)
    assert np.isfinite(principal_components(np.ones((3, 4)))[2]).all()


def test_the_starter_tells_right_prompts_from_wrong_ones_on_pictures_it_never_drew() -> None:
    from designkit.starter.renderer import render
    from designkit.starter.scenes import Scene
    from designkit.values import Size

    def scene(subject: str, colour: str, ground: str) -> Image.Image:
        plain = dict.fromkeys(("product", "product_colour", "badge", "second"))
        drawn = Scene(
            subject=subject, colour=colour, style="flat", count=1, position="center", background="plain", first=ground,
            jitter=3, **plain,
        )  # fmt: skip
        return render(drawn, Size(width=128, height=128))

    words = [("apple", "red", "cream"), ("fish", "blue", "yellow"), ("star", "green", "pink")]
    pictures = [scene(*each) for each in words]
    prompts = [f"a {colour} {subject} on a plain {ground} background" for subject, colour, ground in words]
    judge = StarterEye()
    for number, picture in enumerate(pictures):
        scores = judge.text_scores([picture] * 3, prompts)
        assert int(np.argmax(scores)) == number
        assert scores[number] > 0
    assert judge.name.startswith("starter:")
    assert [vector.shape for vector in judge.features(pictures)] == [(512,)] * 3
    assert judge.features(pictures)[0] == pytest.approx(judge.features(pictures[:1])[0], abs=1e-4)


class Tiny(torch.nn.Module):
    """Answers as the translated Inception does."""

    def forward(self, pictures: torch.Tensor, return_features: bool = False, no_output_bias: bool = False):
        values = pictures.float().mean(dim=(2, 3))
        return values if return_features else values.softmax(dim=1)


@pytest.fixture
def scripted(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.pt"
    torch.jit.script(Tiny()).save(str(path))
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_opened_only_by_its_hash(scripted: Path) -> None:
    digest = hashlib.sha256(scripted.read_bytes()).hexdigest()
    with pytest.raises(ModelRefused, match="can run code") as refused:
        open_extractor(str(scripted))
    assert f"{scripted}@sha256:{digest}" in str(refused.value)
    with pytest.raises(ModelRefused, match="what you wrote"):
        open_extractor(f"{scripted}@sha256:{'0' * 64}")
    opened = open_extractor(f"{scripted}@sha256:{digest.upper()}")
    assert isinstance(opened, Inception)
    # Only the one file that FID is defined by is called by its name.
    assert (opened.name, opened.is_inception) == (f"tiny:{digest[:8]}", False)
    assert opened.features([Image.new("RGB", (5, 7), (10, 20, 30))])[0].tolist() == [10, 20, 30]
    assert opened.class_probabilities([PICTURE, PICTURE])[1].sum() == pytest.approx(1)
    assert len(INCEPTION_SHA256) == 64


def test_other_files_are_not_taken_for_networks(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(b"nothing")
    digest = hashlib.sha256(b"nothing").hexdigest()
    with pytest.raises(ModelRefused, match="no TorchScript"):
        open_extractor(f"{path}@sha256:{digest}")
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ModelRefused, match="no TorchScript"):
        open_extractor(f"{path}@sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}")
    with pytest.raises(ModelRefused, match="cannot be read"):
        open_extractor(str(tmp_path / "missing.pt"))
