"""Training GANs: every loss moves both players, the same bytes after a stop, folders that generators open."""

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
from designkit.models.gan import GanConfig, default_widths
from designkit.training.adversarial import LOSSES
from designkit.training.collapse import check_health, coverage, warnings_of
from designkit.training.config import change_recipe, read_recipe
from designkit.training.copying import CopyTask, distance
from designkit.training.gan_recipe import GanGame, GanNetwork, GanRecipe, gan_preset
from designkit.training.recipes.gan import GanTask, build_task, train_gan
from designkit.training.sample_data import SampleData
from designkit.training.samples import Samples, class_conditions, mixture, points
from tests.generators.requests import ask


def recipe(**changes: Any) -> GanRecipe:
    values: dict[str, Any] = {
        "kind": "gan", "name": "tiny", "data": {"source": "digits"},
        "network": {"widths": [16, 16], "latent_dim": 8}, "game": {"r1": 0.1, "r2": 0.1},
        "training": {
            "steps": 4, "batch_size": 8, "learning_rate": 2e-3, "beta1": 0.0, "weight_decay": 0.0, "warmup_steps": 0,
            "precision": "fp32", "checkpoint_minutes": 60,
        },
    }  # fmt: skip
    for name, change in changes.items():
        values[name] = {**values.get(name, {}), **change} if isinstance(change, dict) else change
    return GanRecipe(**values)


def weights(folder: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(folder / "model.safetensors").items()}


GAMES: list[dict[str, Any]] = [
    *({"loss": loss, "gradient_penalty": 10.0 if loss == "wgan-gp" else 0.0} for loss in LOSSES),
    {"loss": "hinge", "lecam": 0.1, "augment": "diffaugment", "operations": ["shift", "cutout", "flip"]},
    {"loss": "wgan", "discriminator_steps": 2},
]


@pytest.mark.parametrize("game", GAMES, ids=lambda game: "-".join(map(str, game.values())))
def test_every_loss_teaches_both_players(game: dict[str, Any], tmp_path: Path):
    plan = recipe(game=game, training={"steps": 2})
    before = {name: tensor.detach().clone() for name, tensor in build_task(plan, tmp_path).module.named_parameters()}
    reports = [step.report for step in train_gan(plan, tmp_path)]
    assert set(reports[-1].losses) == {"discriminator", "generator"}
    assert all(np.isfinite(list(report.losses.values())).all() for report in reports)
    after = weights(tmp_path)
    moved = [name for name in after if before[f"generator.{name}"].numpy().tobytes() != after[name]]
    assert len(moved) >= len(after) - 2  # zero-initialised ends need a step to pass gradients on


@pytest.mark.parametrize(
    "changes",
    [
        {"game": {"augment": "adaptive", "adaptive_images": 64, "penalty_every": 2, "lecam": 0.01}},
        {
            "data": {"condition": "classes"}, "game": {"style_mixing": 0.5},
            "network": {"mapping_layers": 1, "is_modulated": True},
        },
        {"network": {"backbone": "dcgan", "discriminator_normalisation": "spectral"}, "game": {"r1": 0.0, "r2": 0.0}},
        {
            "data": {"condition": "classes"}, "game": {"naming": 1.0, "closeness": 1.0},
            "copying": {"candidates": 2, "training": {"steps": 1, "precision": "fp32"}},
        },
    ],
    ids=["adaptive", "styled classes", "dcgan", "copied classes"],
)  # fmt: skip
def test_stopped_and_resumed_training_ends_in_the_same_bytes(changes: dict[str, Any], tmp_path: Path):
    plan = recipe(**changes)
    list(train_gan(plan, tmp_path / "whole"))
    for step in train_gan(plan, tmp_path / "parts"):
        if step.report.step == 2:
            break
    list(train_gan(plan, tmp_path / "parts"))
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")
    assert (tmp_path / "parts/config.json").read_bytes() == (tmp_path / "whole/config.json").read_bytes()


def test_two_gaussians_are_learned_and_drawn_as_a_scatter_plot(tmp_path: Path):
    plan = recipe(
        data={"source": "two-gaussians", "count": 1000},
        network={"backbone": "mlp", "widths": [32, 32], "latent_dim": 4}, game={"r1": 0.2, "r2": 0.2},
        training={"steps": 250, "batch_size": 64, "ema_decay": 0.97, "learning_rate": 4e-3},
    )  # fmt: skip
    last = {}
    for step in train_gan(plan, tmp_path):
        for _, look in step.report.looks:
            last = look.metrics
    assert last["coverage"] > 0.6
    with Image.open(tmp_path / "samples.png") as plot:
        assert plot.size == (640, 640)
    task = build_task(plan, tmp_path)
    task.module.generator.load_state_dict(load_file(tmp_path / "model.safetensors"))
    x = task.sample(500)[:, 0]
    assert 0.25 < float((x > 0).float().mean()) < 0.75
    assert float(x.abs().mean()) == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("candidates", [1, 3])
def test_copying_draws_the_generator_to_the_picture_of_each_condition(candidates: int, tmp_path: Path):
    schedule = {
        "steps": 40, "batch_size": 32, "learning_rate": 1e-2, "weight_decay": 0, "warmup_steps": 0, "precision": "fp32"
    }  # fmt: skip
    plan = recipe(
        data={"condition": "classes"}, network={"embedding_dim": 8, "is_modulated": True},
        copying={"candidates": candidates, "training": schedule}, training={"steps": 1},
    )  # fmt: skip
    reports = list(train_gan(plan, tmp_path))
    assert [report.stage for report in reports[::40]] == ["copying", "gan"]
    copied = [step.report for step in reports if step.stage == "copying"]
    assert copied[-1].losses["generator"] < 0.6 * copied[0].losses["generator"]
    assert ("won by choosing" in copied[0].metrics) == (candidates > 1)
    game = build_task(plan, tmp_path)
    ends = CopyTask(game, game.module.generator)
    (phase,) = ends.phases(plan.training)
    assert {id(p) for group in phase.groups for p in group["params"]} == set(
        map(id, game.module.generator.parameters())
    )


def test_the_distance_of_copying_forgives_what_is_a_little_off_its_place():
    real = torch.zeros(1, 1, 8, 8)
    real[..., 0, 0] = 1
    near, far = (torch.zeros(1, 1, 8, 8) for _ in range(2))
    near[..., 1, 1] = 1
    far[..., 7, 7] = 1
    assert distance(real, real).tolist() == [0]
    assert distance(near, real).item() == pytest.approx(2 / 64)
    assert distance(far, real).item() == pytest.approx(3 * 2 / 64)


def test_captions_reach_the_networks_evenly_whatever_they_differ_by():
    rng = torch.Generator().manual_seed(0)
    wide = torch.randn((400, 6), generator=rng) * torch.tensor([9.0, 3, 3, 1, 0.01, 0.01])
    turned = wide @ torch.linalg.qr(torch.randn((6, 6), generator=rng))[0]
    learned = Samples(values=torch.zeros(400, 1, 8, 8), conditions=turned[:, None])
    config = GanConfig(shape=(1, 8, 8), widths=(8, 8), condition="text", condition_dim=6, embedding_dim=5)
    embed = GanTask(config, GanGame(), learned, learned.rows(torch.arange(0)), seed=0).module.generator.embed
    assert embed is not None
    spread = torch.cov(embed(turned).T)
    torch.testing.assert_close(spread, torch.diag(torch.tensor([1.0, 1, 1, 1, 0])), atol=1e-3, rtol=0)


def test_naming_finds_the_caption_of_each_sample_and_knows_that_rows_may_share_one():
    learned = Samples(values=torch.zeros(4, 1, 8, 8), conditions=class_conditions(torch.tensor([0, 1, 0, 2]), 3))
    config = GanConfig(shape=(1, 8, 8), widths=(8, 8), condition="classes", condition_dim=3, embedding_dim=4)
    task = GanTask(config, GanGame(naming=1.0), learned, learned.rows(torch.arange(0)), seed=0)
    assert task.module.discriminator.embed is not None
    with torch.no_grad():
        task.module.discriminator.embed.weight.copy_(torch.eye(8)[:, :3])
    assert learned.conditions is not None
    conditions = learned.conditions[:, 0].float()
    seen = 1000 * torch.eye(8)[[0, 1, 0, 2]]
    measured: dict[str, Any] = {}
    loss = task._name(seen, conditions, measured, "named")
    assert float(measured["named"]) == 1
    # Two of the four cannot be told apart, and need not be: each has half of the other's.
    assert loss.item() == pytest.approx(np.log(2) / 2, abs=1e-4)
    task._name(seen.flip(0), conditions, measured, "named")
    assert float(measured["named"]) == 0


def test_a_folder_of_class_folders_becomes_a_model_that_draws_the_class_a_prompt_names(tmp_path: Path):
    rng = np.random.default_rng(0)
    for name, colour in (("red can", (220, 30, 30)), ("blue_box", (30, 30, 220))):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in range(8):
            pixels = np.clip(rng.normal(colour, 12, (20, 20, 3)), 0, 255).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{index}.png")
    plan = recipe(
        data={"source": "pictures", "folder": str(tmp_path / "pictures"), "side_px": 16},
        network={"widths": [16, 16, 16], "embedding_dim": 8},
        training={"steps": 60, "ema_decay": 0.9, "learning_rate": 4e-3},
    )  # fmt: skip
    list(train_gan(plan, tmp_path / "model"))
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
    monkeypatch.setattr("designkit.training.recipes.gan._NUM_SHOWN", 2)  # decoding previews takes most of the time
    plan = recipe(
        data={"source": "scenes", "condition": "captions", "space": "latents", "count": 8, "num_captions": 2},
        network={"widths": [16, 16, 16], "embedding_dim": 8}, game={"mismatch": 0.5},
        training={"steps": 1, "batch_size": 4},
        is_self_contained=False, half=True,
    )  # fmt: skip
    list(train_gan(plan, tmp_path / "model"))
    generator = open_generator(str(tmp_path / "model"), threads=1)
    assert generator.card.reads == "text"
    assert str(generator.card.native_sizes[0]) == "128x128"
    first, other = (
        image.image for image in generator.generate([ask(prompt="a red apple"), ask(prompt="three cats on yellow")])
    )
    assert first.size == (64, 64)
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"game": {"loss": "wgan-gp"}}, "wgan-gp needs gradient_penalty"),
        ({"network": {"discriminator_normalisation": "batch"}}, "single samples"),
        ({"data": {"source": "ring"}, "game": {"augment": "adaptive"}}, "points cannot be augmented"),
        ({"data": {"folder": "somewhere"}}, "source pictures needs a folder"),
    ],
)
def test_games_that_cannot_be_played_are_refused(changes: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        recipe(**changes)


def test_what_needs_conditions_is_refused_where_samples_have_none(tmp_path: Path):
    with pytest.raises(InputRefused, match=r"game\.mismatch and game\.naming need captions or classes"):
        build_task(recipe(game={"mismatch": 1.0, "naming": 1.0}), tmp_path)


def test_networks_that_do_not_fit_the_pictures_are_refused_with_every_reason(tmp_path: Path):
    with pytest.raises(InputRefused) as refusal:
        build_task(recipe(network={"widths": [40, 40, 40, 40]}), tmp_path)
    assert "8 x 8 pixels do not allow" in str(refusal.value)
    assert "not all multiples" in str(refusal.value)


def test_sets_of_points_have_the_modes_that_they_are_named_for():
    for kind, num_modes in (("two-gaussians", 2), ("ring", 8), ("grid", 25)):
        centres, deviation = mixture(kind)
        drawn = points(kind, 4000, seed=1).values
        nearest = torch.cdist(drawn, centres).min(dim=1)
        assert set(nearest.indices.tolist()) == set(range(num_modes))
        assert float(nearest.values.mean()) == pytest.approx(deviation * (torch.pi / 2) ** 0.5, rel=0.05)


def test_coverage_is_one_of_equal_sets_and_sees_a_collapse():
    rng = torch.Generator().manual_seed(0)
    real, other = torch.randn((200, 2), generator=rng), torch.randn((200, 2), generator=rng)
    assert coverage(real, real) == 1.0
    assert coverage(real, other) > 0.9
    assert coverage(real, other[:1].repeat(200, 1)) < 0.1


def test_a_collapsed_generator_is_warned_of_with_advice_and_one_that_copies_too():
    rng = torch.Generator().manual_seed(0)
    learned, held_out, fresh = (torch.randn((100, 6), generator=rng) for _ in range(3))
    assert warnings_of(check_health(fresh, learned, held_out)) == ()
    (said,) = warnings_of(check_health(learned + 1e-3, learned, held_out))
    assert said.startswith("memorising: 100%")
    collapsed = fresh[:1].repeat(100, 1)
    (said,) = warnings_of(check_health(collapsed, learned, held_out), advice=("set game.r1",))[:1]
    assert said.startswith("mode collapse")
    assert "set game.r1" in said


def test_a_look_at_a_collapsed_generator_warns(tmp_path: Path):
    values = 3 + torch.randn((200, 2), generator=torch.Generator().manual_seed(0))
    samples, held_out = Samples(values=values).split(0.25, seed=0)
    task = GanTask(
        GanConfig(backbone="mlp", shape=(2,), widths=(8,), latent_dim=2), GanGame(), samples, held_out, seed=0
    )
    with torch.no_grad():
        for parameter in task.module.generator.parameters():
            parameter.zero_()
        look = task.look()
    assert look.metrics["coverage"] < 0.1
    assert "set game.r1" in look.warnings[0]


def test_held_out_samples_are_never_learned_from():
    samples = Samples(values=torch.arange(100)[:, None].float(), conditions=class_conditions(torch.arange(100) % 4, 4))
    learned, held_out = samples.split(0.2, seed=3)
    assert len(held_out) == 20
    assert sorted([*learned.values[:, 0].tolist(), *held_out.values[:, 0].tolist()]) == list(map(float, range(100)))
    assert torch.equal(held_out.conditions[:, 0].argmax(1).float(), held_out.values[:, 0] % 4)  # type: ignore[index]


@pytest.mark.parametrize("side_px", [8, 16, 28, 32, 64])
@pytest.mark.parametrize("num_pictures", [20, 100, 500, 5000])
def test_the_preset_of_every_number_and_side_of_pictures_can_be_built(num_pictures: int, side_px: int):
    plan = gan_preset("pictures", num_pictures, side_px=side_px, name="mine")
    assert read_back(plan) == plan
    assert not {"flip", "brightness", "contrast", "saturation"} & set(plan.game.operations)
    assert plan.game.augment == ("adaptive" if num_pictures <= 500 else "none")
    config = GanConfig(shape=(3, side_px, side_px), widths=default_widths(side_px))
    assert list(config.problems()) == []


def read_back(plan: GanRecipe) -> GanRecipe:
    return change_recipe(plan, ["seed=0"])


def test_every_key_of_a_recipe_that_is_not_plain_says_what_it_is():
    plain = {"kind", "name", "seed", "data", "network", "game", "training", "backbone", "latent_dim", "loss", "colour"}
    plain |= {"augment", "blocks_per_stage", "discriminator_normalisation"}
    for model in (SampleData, GanNetwork, GanGame, GanRecipe):
        assert [name for name, field in model.model_fields.items() if not field.description and name not in plain] == []


RECIPES = sorted(
    path for path in (Path(__file__).parents[2] / "prompts" / "train").glob("*.yaml") if "kind: gan" in path.read_text()
)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_gan_recipe_that_ships_is_one_and_says_how_it_is_run(path: Path):
    plan = read_recipe(path, model=GanRecipe)
    assert plan.name == path.stem
    assert f"designkit train gan prompts/train/{path.name}" in path.read_text()
    assert plan.game.operations == ("shift", "scale", "cutout")
