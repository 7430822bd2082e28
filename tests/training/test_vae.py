"""Training VAEs: every objective learns, the same bytes after a stop, folders that generators open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from designkit.errors import InputRefused
from designkit.generators import open_generator
from designkit.generators.catalog import find_card
from designkit.training.config import change_recipe, read_recipe
from designkit.training.loop import train
from designkit.training.recipes.vae import build_task, train_vae
from designkit.training.samples import textures
from designkit.training.vae_recipe import VaeNetwork, VaeObjective, VaeRecipe, vae_preset
from tests.generators.requests import ask


def recipe(**changes: Any) -> VaeRecipe:
    values: dict[str, Any] = {
        "kind": "vae", "name": "tiny", "data": {"source": "digits", "held_out": 0.05}, "components": 2,
        "network": {"widths": [16, 8], "latent_dim": 4}, "objective": {"likelihood": "logistic", "levels": 17},
        "training": {
            "steps": 4, "batch_size": 16, "learning_rate": 3e-3, "weight_decay": 0.0, "warmup_steps": 0,
            "gradient_clip": 1000, "precision": "fp32", "checkpoint_minutes": 60,
        },
    }  # fmt: skip
    for name, change in changes.items():
        values[name] = {**values[name], **change} if isinstance(change, dict) else change
    return VaeRecipe(**values)


def weights(folder: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(folder / "model.safetensors").items()}


OBJECTIVES: list[dict[str, Any]] = [
    {"kind": "elbo", "warmup_steps": 10, "free_bits": 0.1},
    {"kind": "elbo", "likelihood": "gaussian"},
    {"kind": "elbo", "likelihood": "bernoulli"},
    {"kind": "beta", "beta": 4.0, "capacity": 5.0, "warmup_steps": 10},
    {"kind": "beta-tc", "beta": 4.0},
    {"kind": "info", "discrepancy": 50.0},
    {"kind": "iwae", "samples": 3},
    {"kind": "vq", "codes": 16},
    {"kind": "fsq", "code_levels": [5, 5, 4, 4]},
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: "-".join(map(str, objective.values())))
def test_every_objective_makes_digits_likelier_that_it_never_saw(objective: dict[str, Any], tmp_path: Path):
    plan = recipe(objective=objective, training={"steps": 40, "batch_size": 32, "ema_decay": 0.8})
    task = build_task(plan, tmp_path)
    with torch.no_grad():
        before = task.measure(task.held_out, most=90)
    seen: list[dict[str, float]] = []
    for step in train_vae(plan, tmp_path):
        assert np.isfinite(step.report.loss)
        seen += [look.metrics for _, look in step.report.looks]
    assert seen[-1]["nll"] < before["nll"] - 10
    assert ("perplexity" in seen[-1]) == (objective["kind"] in ("vq", "fsq"))
    assert (tmp_path / "samples.png").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"condition": "classes"}, "network": {"embedding_dim": 4}},
        {"objective": {"kind": "vq", "codes": 16}},
        {"objective": {"kind": "info"}},
        {"objective": {"prior_steps": 3}},
    ],
    ids=["classes", "vq", "info", "prior first"],
)
def test_stopped_and_resumed_training_ends_in_the_same_bytes(changes: dict[str, Any], tmp_path: Path):
    plan = recipe(**changes)
    list(train_vae(plan, tmp_path / "whole"))
    for step in train_vae(plan, tmp_path / "parts"):
        if step.report.step == 2:
            break
    list(train_vae(plan, tmp_path / "parts"))
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")
    assert (tmp_path / "parts/config.json").read_bytes() == (tmp_path / "whole/config.json").read_bytes()


def test_a_folder_of_class_folders_becomes_a_model_that_draws_the_class_a_prompt_names(tmp_path: Path):
    rng = np.random.default_rng(0)
    for name, colour in (("red can", (220, 30, 30)), ("blue_box", (30, 30, 220))):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in range(8):
            pixels = np.clip(rng.normal(colour, 12, (20, 20, 3)), 0, 255).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{index}.png")
    plan = recipe(
        data={"source": "pictures", "folder": str(tmp_path / "pictures"), "side_px": 16},
        network={"widths": [16, 8, 8], "embedding_dim": 8}, objective={"likelihood": "gaussian", "levels": 256},
        training={"steps": 60, "ema_decay": 0.8, "learning_rate": 1e-2},
    )  # fmt: skip
    list(train_vae(plan, tmp_path / "model"))
    assert find_card(str(tmp_path / "model")).classes == ("blue_box", "red can")
    generator = open_generator(str(tmp_path / "model"), threads=1)
    drawn = {}
    for prompt in ("a red can on a table", "one blue box"):
        (image,) = generator.generate([ask(prompt=prompt, steps=None, guidance=None)])
        drawn[prompt] = np.asarray(image.image).mean(axis=(0, 1))
    red, blue = drawn.values()
    assert red[0] > blue[0] + 40
    assert blue[2] > red[2] + 40


def test_captions_reach_the_networks_through_the_starters_text_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("designkit.training.recipes.vae._NUM_COLUMNS", 1)  # decoding previews takes most of the time
    plan = recipe(
        data={
            "source": "scenes", "condition": "captions", "space": "latents", "count": 8, "num_captions": 2,
            "side_px": 64,
        },
        network={"embedding_dim": 8}, objective={"likelihood": "gaussian", "levels": 256},
        training={"steps": 4, "batch_size": 4, "learning_rate": 1e-2},
        is_self_contained=False, half=True,
    )  # fmt: skip
    list(train_vae(plan, tmp_path / "model"))
    generator = open_generator(str(tmp_path / "model"), threads=1)
    assert generator.card.reads == "text"
    assert str(generator.card.native_sizes[0]) == "64x64"
    first, second = (image.image for image in generator.generate([ask(prompt="a red apple"), ask(prompt="a blue bus")]))
    assert first.size == (64, 64)
    assert first.tobytes() != second.tobytes()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": {"source": "ring"}}, "a VAE here learns pictures"),
        ({"data": {"source": "scenes", "space": "latents"}}, "no levels to count by"),
        ({"objective": {"kind": "vq"}, "sampler": "prior"}, "no prior"),
        ({"objective": {"kind": "iwae", "free_bits": 0.5}}, "free_bits are of a divergence"),
    ],
)
def test_recipes_that_cannot_be_learned_are_refused(changes: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        recipe(**changes)


def test_networks_that_do_not_fit_the_pictures_are_refused_with_every_reason(tmp_path: Path):
    with pytest.raises(InputRefused) as refusal:
        build_task(recipe(network={"widths": [12, 8, 8, 8, 8]}), tmp_path)
    assert "8 x 8 pixels do not allow" in str(refusal.value)
    assert "widths [12]" in str(refusal.value)


def test_while_latents_are_drawn_from_the_prior_only_the_decoder_learns(tmp_path: Path):
    learned = {}
    for steps in (3, 4):
        plan = recipe(objective={"kind": "beta", "prior_steps": 3}, training={"steps": steps, "cooldown": 0})
        task = build_task(plan, tmp_path)
        before = {name: weight.clone() for name, weight in task.module.state_dict().items()}
        metrics = [report.metrics for report in train(task, plan.training, tmp_path / str(steps))]
        assert [found["kl"] == 0 for found in metrics] == [True, True, True, False][:steps]
        after = task.module.state_dict()
        learned[steps] = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    assert learned == {3: {"decoder"}, 4: {"decoder", "encoder"}}


@pytest.mark.parametrize("num_pictures", [20, 100, 500, 5000])
def test_the_preset_of_every_number_of_pictures_is_a_recipe(num_pictures: int):
    plan = vae_preset("pictures", num_pictures, side_px=64, name="mine")
    assert change_recipe(plan, ["seed=0"]) == plan
    assert plan.training.steps is not None
    assert plan.training.steps >= 1000


def test_every_key_of_a_recipe_that_is_not_plain_says_what_it_is():
    plain = {"kind", "name", "seed", "data", "network", "objective", "training"}
    for model in (VaeNetwork, VaeObjective, VaeRecipe):
        assert [name for name, field in model.model_fields.items() if not field.description and name not in plain] == []


def test_beta_one_and_info_of_zero_and_one_train_exactly_as_the_plain_bound(tmp_path: Path):
    found: list[float] = []
    for objective in (
        {"kind": "elbo"},
        {"kind": "beta", "beta": 1.0},
        {"kind": "info", "alpha": 0.0, "discrepancy": 1.0},
    ):
        task = build_task(recipe(objective=objective), tmp_path)
        torch.manual_seed(3)
        found.append(float(task.loss(task.batch(0, 16))[0].detach()))
    assert found[0] == found[1] == found[2]


def test_held_out_textures_lie_in_a_strip_that_no_learned_patch_touches():
    from skimage import data

    learned, held_out = textures(9, side_px=32, share=0.25, seed=1)
    assert learned.shape == held_out.shape == (1, 32, 32)
    assert (len(learned), len(held_out)) == (9, 2)
    for samples, left, right in ((learned, 0, 384), (held_out, 384, 512)):
        rows = torch.arange(len(samples))
        labels = samples.take(rows, rows)[1].argmax(dim=1)  # type: ignore[union-attr]
        for patch, label in zip(samples.values[:, 0].numpy(), labels.tolist(), strict=True):
            part = (data.brick, data.grass, data.gravel)[label]()[:, left:right]
            windows = np.lib.stride_tricks.sliding_window_view(part, (32, 32))
            assert (windows[..., ::8, ::8] == patch[::8, ::8]).all(axis=(2, 3)).any()
    with pytest.raises(InputRefused, match="a patch is 200 wide"):
        textures(9, side_px=200, share=0.1, seed=1)


RECIPES = sorted(
    path for path in (Path(__file__).parents[2] / "prompts" / "train").glob("*.yaml") if "kind: vae" in path.read_text()
)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_vae_recipe_that_ships_is_one_and_says_how_it_is_run(path: Path):
    assert len(RECIPES) >= 4
    assert read_recipe(path, model=VaeRecipe).name == path.stem
    assert f"designkit train vae prompts/train/{path.name}" in path.read_text()
