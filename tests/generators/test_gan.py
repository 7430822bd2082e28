"""Drawing with GANs of our own: the same bytes whatever the neighbours, classes by name, and the latent space."""

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
from designkit.generators.catalog import find_card
from designkit.generators.latents import slerp
from designkit.generators.native import NativeConfig, find_class
from designkit.models.gan import GanConfig, GeneratorNetwork
from designkit.values import Size
from tests.generators.requests import ask, pixels

CLASSES = ("can", "soda can", "gift_box")


@pytest.fixture
def gan_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write a model folder with seeded weights; settings of the network and of config.json may be changed."""

    def write(name: str = "model", *, reads: str = "nothing", settings: Any = None, **network: Any) -> Path:
        values: dict[str, Any] = {"shape": (3, 16, 16), "latent_dim": 8, "widths": (32, 16, 16), **network}
        if reads == "classes":
            values |= {"condition": "classes", "condition_dim": len(CLASSES), "embedding_dim": 4}
        config = GanConfig(**values)
        torch.manual_seed(0)
        generator = GeneratorNetwork(config)
        with torch.no_grad():
            for parameter in generator.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        facts = NativeConfig(
            family="gan", network=config.to_json(), native_sizes=(Size(width=16, height=16),), licence="apache-2.0",
            reads=reads, classes=CLASSES if reads == "classes" else (), settings=settings or {},  # type: ignore[arg-type]
        )  # fmt: skip
        folder = tmp_path / name
        folder.mkdir()
        save_file(generator.state_dict(), folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(facts.to_json()), encoding="utf-8")
        return folder

    return write


def open_folder(folder: Path, **settings: Any) -> Any:
    return open_generator(str(folder), threads=1, **settings)


def plain(seed: int = 0, **changes: Any) -> Any:
    return ask(seed, **{"steps": None, "guidance": None, **changes})


def test_a_pictures_bytes_do_not_depend_on_neighbours_order_or_fill(gan_folder: Callable[..., Path]):
    generator = open_folder(gan_folder(reads="classes", mapping_layers=1, is_modulated=True))
    requests = [plain(seed, prompt=CLASSES[seed % 3]) for seed in range(11)]
    together = pixels(generator, requests)
    assert together == pixels(generator, requests[::-1])
    assert together == {name: data for request in requests for name, data in pixels(generator, [request]).items()}
    assert len(set(together.values())) == 11


def test_pictures_have_the_size_that_was_asked_for(gan_folder: Callable[..., Path]):
    (image,) = open_folder(gan_folder()).generate([plain(size=Size(width=50, height=30))])
    assert (image.image.size, image.image.mode) == ((50, 30), "RGB")


@pytest.mark.parametrize(("channels", "mode"), [(1, "RGB"), (3, "RGB"), (4, "RGBA")])
def test_grey_models_deliver_colour_and_transparency_is_kept(gan_folder: Callable[..., Path], channels: int, mode: str):
    (image,) = open_folder(gan_folder(shape=(channels, 16, 16))).generate([plain()])
    assert image.image.mode == mode


def test_what_a_request_asks_for_in_vain_is_said_with_the_picture(gan_folder: Callable[..., Path]):
    (image,) = open_folder(gan_folder()).generate([ask(negative="blur", steps=9, guidance=3.0)])
    assert len(image.warnings) == 3
    assert all(said.startswith("gan models take no") for said in image.warnings)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a Soda-Can on teal", "soda can"), ("a can of soda", "can"), ("one gift box", "gift_box"), ("a candle", None),
        ("a gift_box beside a can", "gift_box"),
    ],
)  # fmt: skip
def test_the_class_that_a_prompt_names_is_found_by_whole_words(prompt: str, name: str | None):
    assert find_class(prompt, CLASSES) == name


def codes(folder: Path, *prompts: str, **changes: str) -> list[str]:
    overrides = [f"model.name={folder}", *(f"{key}={value}" for key, value in changes.items())]
    return [
        problem.code
        for file in read_prompts(list(prompts), overrides=overrides)
        for problem in make_plan(file).warnings
    ]


def test_the_plan_tells_what_a_gan_does_not_honour(gan_folder: Callable[..., Path]):
    unconditional, classes = gan_folder("plain"), gan_folder("classes", reads="classes")
    assert "prompt-ignored" in codes(unconditional, "a red can")
    assert codes(classes, "a red can", sizes="[16x16]") == []
    assert "class-not-named" in codes(classes, "a lonely candle")
    assert "negative-not-accepted" in codes(classes, "a can", negative="blur")
    assert "size-enlarged" in codes(classes, "a can", sizes="[64x64]")


def test_the_card_tells_licence_size_and_classes_without_weights(gan_folder: Callable[..., Path]):
    card = find_card(str(gan_folder(reads="classes")))
    assert (card.family, card.licence, card.commercial_use) == ("gan", "apache-2.0", "yes")
    assert (card.reads, card.classes, card.accepts) == ("classes", CLASSES, frozenset())
    assert card.native_sizes == (Size(width=16, height=16),)


def test_other_weights_are_another_revision(gan_folder: Callable[..., Path]):
    first, second = gan_folder("a"), gan_folder("b", latent_dim=9)
    assert find_card(str(first)).revision != find_card(str(second)).revision


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"designkit": 99}, "unknown to this version"),
        ({"reads": "minds"}, "reads is 'minds'"),
        ({"native_sizes": []}, "native_sizes is empty"),
        ({"native_sizes": None}, "cannot be used"),
        ({"network": {"shape": [3, 16, 16], "depth": 2}}, "unknown keys: depth"),
        ({"network": {"shape": [3, 16, 16], "widths": [16, 16, 16]}}, "cannot be used"),
        ({"reads": "text"}, "another version of the starter's text encoder"),
    ],
)
def test_damaged_and_foreign_folders_are_refused_in_words(
    gan_folder: Callable[..., Path], change: dict[str, Any], said: str
):
    folder = gan_folder()
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **change}))
    with pytest.raises(ModelRefused) as refusal:
        open_folder(folder)
    assert said in str(refusal.value)


def test_a_cut_off_weight_file_is_refused(gan_folder: Callable[..., Path]):
    folder = gan_folder()
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-10])
    with pytest.raises(ModelRefused, match="but its header tells of"):
        open_folder(folder)


def same(first: Image.Image, second: Image.Image) -> bool:
    return ImageChops.difference(first.convert("RGB"), second.convert("RGB")).getbbox() is None


def test_sampling_then_decoding_draws_what_requests_draw(gan_folder: Callable[..., Path]):
    generator = open_folder(gan_folder(reads="classes", settings={"truncation": 0.7}))
    latents = generator.sample([3, 4], ["can", "soda can"])
    assert latents.shape == (2, *generator.latent_shape)
    drawn = [i.image for i in generator.generate([
        plain(seed, prompt=prompt, size=Size(width=16, height=16)) for seed, prompt in ((3, "can"), (4, "soda can"))
    ])]  # fmt: skip
    for decoded, picture in zip(generator.decode(latents), drawn, strict=True):
        assert same(decoded, picture)


def test_no_truncation_leaves_latents_and_full_truncation_makes_them_one(gan_folder: Callable[..., Path]):
    generator = open_folder(gan_folder(mapping_layers=2, is_modulated=True))
    free, bound = generator.sample([1, 2, 3], truncation=1.0), generator.sample([1, 2, 3], truncation=0.0)
    assert np.array_equal(generator.sample([1, 2, 3]), free)
    assert not np.allclose(free[0], free[1])
    assert np.array_equal(bound[0], bound[1])
    halfway = generator.sample([1, 2, 3], truncation=0.5)
    np.testing.assert_allclose(halfway, (free + bound) / 2, atol=1e-5)


@pytest.mark.parametrize("mapping_layers", [0, 2])
def test_interpolation_begins_and_ends_at_the_given_points(gan_folder: Callable[..., Path], mapping_layers: int):
    generator = open_folder(gan_folder(mapping_layers=mapping_layers, is_modulated=mapping_layers > 0))
    start, end = generator.sample([1, 2])
    path = generator.interpolate(start, end, 5)
    assert path.shape == (5, *generator.latent_shape)
    np.testing.assert_allclose(path[[0, -1]], np.stack([start, end]), atol=1e-5)
    assert len(generator.decode(path)) == 5


def test_slerp_keeps_to_the_sphere_and_goes_straight_where_points_are_in_line():
    start, end = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    shares = np.linspace(0, 1, 7)
    path = slerp(start, end, shares)
    np.testing.assert_allclose(np.linalg.norm(path, axis=-1), 1.0)
    np.testing.assert_allclose(path[3, 0], [2**-0.5, 2**-0.5])
    np.testing.assert_allclose(slerp(start, 3 * start, shares)[:, 0, 0], 1 + 2 * shares)


def test_mixing_takes_the_coarse_places_of_one_and_the_fine_ones_of_the_other(gan_folder: Callable[..., Path]):
    generator = open_folder(gan_folder(mapping_layers=1, is_modulated=True))
    coarse, fine = generator.sample([1, 2])
    num_layers = generator.latent_shape[0]
    assert np.array_equal(generator.mix(coarse, fine, first_fine=num_layers), coarse)
    assert np.array_equal(generator.mix(coarse, fine, first_fine=0), fine)
    mixed = generator.mix(coarse, fine, first_fine=2)
    assert np.array_equal(mixed[:2], coarse[:2])
    assert np.array_equal(mixed[2:], fine[2:])


def test_encoding_a_picture_that_the_model_drew_finds_it_again(gan_folder: Callable[..., Path]):
    generator = open_folder(gan_folder())
    (picture,) = generator.decode(generator.sample([5]))
    (mean,) = generator.decode(generator.sample([5], truncation=0.0))
    (found,) = generator.decode(generator.encode([picture]))

    def error(other: Image.Image) -> float:
        return float(np.square(np.asarray(other, np.float32) - np.asarray(picture, np.float32)).mean())

    assert error(found) < 0.001 * error(mean)
    assert error(found) < 1  # of 255 squared: less than one level off


def test_a_prompt_file_is_run_on_a_gan_as_on_any_model(gan_folder: Callable[..., Path], tmp_path: Path):
    folder = gan_folder(reads="classes")
    (file,) = designkit.read_prompts(["{red|blue} can"], overrides=[f"model.name={folder}", "sizes=[16x16]", "seeds=2"])
    report = designkit.generate(make_plan(file), open_folder(folder), tmp_path / "run")
    assert (report.num_made, report.failed) == (4, ())
