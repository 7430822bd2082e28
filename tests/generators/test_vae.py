"""Drawing with VAEs of our own: the same bytes whatever the neighbours, refusals in words, and the latent space."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops
from safetensors.torch import save_file

import designkit
from designkit.batch.plan import make_plan, read_prompts
from designkit.errors import ModelRefused
from designkit.generators import open_generator
from designkit.generators.native import NativeConfig
from designkit.models.mixture import fit_mixture
from designkit.models.vae import Vae, VaeConfig
from designkit.values import Size
from tests.generators.requests import ask, pixels

CLASSES = ("can", "gift_box")


@pytest.fixture
def vae_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write a model folder with seeded weights; settings of the network and of config.json may be changed."""

    def write(name: str = "model", *, reads: str = "nothing", settings: Any = None, **network: Any) -> Path:
        values: dict[str, Any] = {"shape": (3, 16, 16), "latent_dim": 4, "widths": (16, 8, 8), **network}
        if reads == "classes":
            values |= {"condition": "classes", "condition_dim": len(CLASSES), "embedding_dim": 4}
        config = VaeConfig(**values)
        torch.manual_seed(0)
        vae = Vae(config)
        with torch.no_grad():
            for parameter in vae.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        rows = torch.randn(200, *config.latent_shape) * 0.5 + 0.3
        facts = NativeConfig(
            family="vae", network=config.to_json(), native_sizes=(Size(width=16, height=16),), licence="apache-2.0",
            reads=reads, classes=CLASSES if reads == "classes" else (), settings=settings or {},  # type: ignore[arg-type]
        )  # fmt: skip
        folder = tmp_path / name
        folder.mkdir()
        save_file({**vae.state_dict(), **fit_mixture(rows, 2, seed=0).tensors()}, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(facts.to_json()), encoding="utf-8")
        return folder

    return write


SPATIAL = {"latent": "spatial", "latent_dim": 2}
NETWORKS = [{}, SPATIAL, {**SPATIAL, "quantiser": "vq", "codes": 6}, {"likelihood": "logistic"}]


def open_folder(folder: Path, **settings: Any) -> Any:
    return open_generator(str(folder), threads=1, **settings)


def same(first: Image.Image, second: Image.Image) -> bool:
    return ImageChops.difference(first.convert("RGB"), second.convert("RGB")).getbbox() is None


def plain(seed: int, **changes: Any) -> Any:
    return ask(seed=seed, steps=None, guidance=None, **changes)


@pytest.mark.parametrize("network", NETWORKS, ids=["vector", "spatial", "vq", "logistic"])
def test_a_picture_does_not_depend_on_its_neighbours_or_their_order(vae_folder: Callable[..., Path], network: Any):
    generator = open_folder(vae_folder(**network), batch_size=3)
    asked = [plain(seed) for seed in (5, 6, 7, 8)]
    together = pixels(generator, asked)
    assert together == pixels(generator, asked[::-1])
    assert together == {name: data for one in asked for name, data in pixels(generator, [one]).items()}
    assert len(set(together.values())) == 4


def test_the_class_that_a_prompt_names_is_drawn(vae_folder: Callable[..., Path]):
    generator = open_folder(vae_folder(reads="classes"))
    prompts = ("a can", "one gift box", "a red can")
    can, box, other = (i.image for i in generator.generate([plain(1, prompt=prompt) for prompt in prompts]))
    assert same(can, other)
    assert not same(can, box)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network": {"shape": [3, 16, 16], "depth": 2}}, "unknown keys: depth"),
        ({"network": {"shape": [3, 16, 16], "widths": [16, 16, 8]}}, "cannot be used"),
        ({"reads": "text"}, "another version of the starter's text encoder"),
    ],
)
def test_damaged_and_foreign_folders_are_refused_in_words(
    vae_folder: Callable[..., Path], change: dict[str, Any], said: str
):
    folder = vae_folder()
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **change}))
    with pytest.raises(ModelRefused) as refusal:
        open_folder(folder)
    assert said in str(refusal.value)


@pytest.mark.parametrize("network", NETWORKS, ids=["vector", "spatial", "vq", "logistic"])
def test_sampling_then_decoding_draws_what_requests_draw(vae_folder: Callable[..., Path], network: Any):
    generator = open_folder(vae_folder(reads="classes", settings={"truncation": 0.7}, **network))
    latents = generator.sample([3, 4], ["can", "gift box"])
    assert latents.shape == (2, *generator.latent_shape)
    asked = [plain(seed, prompt=p, size=Size(width=16, height=16)) for seed, p in ((3, "can"), (4, "gift box"))]
    drawn = [image.image for image in generator.generate(asked)]
    for decoded, picture in zip(generator.decode(latents, ["can", "gift box"]), drawn, strict=True):
        assert same(decoded, picture)


def test_no_truncation_leaves_latents_and_full_truncation_makes_them_one(vae_folder: Callable[..., Path]):
    generator = open_folder(vae_folder())
    free, bound = generator.sample([1, 2, 3], truncation=1.0), generator.sample([1, 2, 3], truncation=0.0)
    assert np.array_equal(generator.sample([1, 2, 3]), free)
    assert np.array_equal(bound[0], bound[1])
    np.testing.assert_allclose(generator.sample([1, 2, 3], truncation=0.5), (free + bound) / 2, atol=1e-6)


@pytest.mark.parametrize("network", [{}, SPATIAL], ids=["vector", "spatial"])
def test_interpolation_begins_and_ends_at_the_given_points_and_keeps_its_length(
    vae_folder: Callable[..., Path], network: Any
):
    generator = open_folder(vae_folder(**network))
    start, end = generator.sample([1, 2])
    path = generator.interpolate(start, end, 5)
    assert path.shape == (5, *generator.latent_shape)
    np.testing.assert_allclose(path[[0, -1]], np.stack([start, end]), atol=1e-5)
    lengths = np.linalg.norm(path.reshape(5, -1), axis=1)
    np.testing.assert_allclose(lengths, np.linspace(lengths[0], lengths[-1], 5), rtol=1e-4)
    assert len(generator.decode(path)) == 5


def test_encoding_gives_the_posteriors_mean_whatever_the_neighbours(vae_folder: Callable[..., Path]):
    generator = open_folder(vae_folder(), batch_size=2)
    pictures = generator.decode(generator.sample([1, 2, 3]))
    together = generator.encode(pictures)
    assert together.shape == (3, 4)
    assert np.array_equal(together[2], generator.encode(pictures[2:])[0])
    x = torch.from_numpy(np.stack([np.asarray(p, np.float32) for p in pictures])).permute(0, 3, 1, 2) / 127.5 - 1
    expected = generator._network.encode(x).mean  # the network itself is the reference
    np.testing.assert_allclose(together, expected.numpy(), atol=1e-5)
    larger = generator.encode([pictures[0].resize((32, 32), Image.Resampling.NEAREST)])
    np.testing.assert_allclose(larger[0], together[0], atol=0.2)


def test_a_prompt_file_is_run_on_a_vae_as_on_any_model(vae_folder: Callable[..., Path], tmp_path: Path):
    folder = vae_folder(reads="classes")
    (file,) = read_prompts(["{red|blue} can"], overrides=[f"model.name={folder}", "sizes=[16x16]", "seeds=2"])
    report = designkit.generate(make_plan(file), open_folder(folder), tmp_path / "run")
    assert (report.num_made, report.failed) == (4, ())
