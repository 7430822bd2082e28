"""Train a generative adversarial network on pictures or points, and write it as a model folder."""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

import copy
from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from designkit.errors import InputRefused, Problem
from designkit.generators.native import NativeConfig
from designkit.generators.starter_parts import LatentCodec
from designkit.models.augment import AdaptiveProbability, augment
from designkit.models.gan import Discriminator, GanConfig, GeneratorNetwork, default_widths, draw_mixing
from designkit.models.normalisation import batch_norms
from designkit.models.whitening import whitening
from designkit.training.adversarial import (
    clip_weights,
    discriminator_loss,
    generator_loss,
    lecam_penalty,
    one_centred_penalty,
    zero_centred_penalty,
)
from designkit.training.collapse import MIN_HELD_OUT, check_health, warnings_of
from designkit.training.config import Schedule
from designkit.training.copying import CopyTask, distance
from designkit.training.delivery import native_size, parts_used, write_model
from designkit.training.gan_recipe import GanGame, GanRecipe
from designkit.training.gathering import gather
from designkit.training.loop import Look, Phase, StageReport, stage, train
from designkit.training.previews import picture_grid, scatter_plot
from designkit.training.processes import state
from designkit.training.samples import Samples
from designkit.training.splits import order

_ANCHOR_SHARE = 0.01  # of a batch's logits in LeCam's moving averages
_NUM_SHOWN = 36


class Players(nn.Module):
    """Generator and discriminator, and the state that steers them; all of it is kept by a checkpoint."""

    real_anchor: Tensor
    fake_anchor: Tensor

    def __init__(self, config: GanConfig, game: GanGame) -> None:
        super().__init__()
        self.generator = GeneratorNetwork(config)
        self.discriminator = Discriminator(config)
        self.adaptive = AdaptiveProbability(
            target=game.adaptive_target, images_per_unit=game.adaptive_images, most=game.adaptive_most
        )
        self.register_buffer("real_anchor", torch.zeros(()))
        self.register_buffer("fake_anchor", torch.zeros(()))


class GanTask:
    """One generator against one discriminator on samples in memory; see `training.loop.Task`.

    `held_out` samples are never learned from: what is drawn is compared with them at every look.
    """

    def __init__(
        self, config: GanConfig, game: GanGame, samples: Samples, held_out: Samples, *, seed: int,
        codec: LatentCodec | None = None,
    ) -> None:  # fmt: skip
        torch.manual_seed(seed)
        self.seed = seed
        self.config = config
        self.game = game
        self.samples = samples
        self.held_out = held_out
        self.codec = codec
        self.module = Players(config, game)
        if config.condition == "text":
            assert samples.conditions is not None
            _take_captions(self.module, samples.conditions.flatten(0, 1).float())
        reference = torch.from_numpy(order(0, min(32, len(samples)), len(samples), seed=seed))
        self.module.discriminator.set_reference(samples.take(reference, reference)[0])

    def batch(self, step: int, size: int) -> dict[str, Any]:
        """Real samples for each discriminator update of the step, [size, updates, *shape], with their conditions."""
        updates = self.game.discriminator_steps
        rows = torch.from_numpy(order(step, size * updates, len(self.samples), seed=self.seed))
        epoch = step * size * updates // len(self.samples)
        values, conditions = self.samples.take(rows, rows + epoch)
        batch: dict[str, Any] = {"step": step, "real": values.unflatten(0, (size, updates))}
        if conditions is not None:
            batch["condition"] = conditions.unflatten(0, (size, updates))
        return batch

    def phases(self, schedule: Schedule) -> list[Phase]:
        """The discriminator's updates, then the generator's."""
        shared = {"betas": (schedule.beta1, schedule.beta2), "weight_decay": schedule.weight_decay}
        rate = schedule.learning_rate * self.game.discriminator_rate
        judging = [{"params": list(self.module.discriminator.parameters()), "lr": rate, **shared}]
        drawing = [{"params": list(self.module.generator.parameters()), "lr": schedule.learning_rate, **shared}]
        judged = [
            Phase(name="discriminator", loss=self._judge(update), groups=judging, averaged=False)
            for update in range(self.game.discriminator_steps)
        ]
        return [*judged, Phase(name="generator", loss=self._draw, groups=drawing)]

    def _judge(self, update: int) -> Any:
        def judge(batch: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
            return self._discriminator_loss(batch, update)

        return judge

    def _discriminator_loss(self, batch: dict[str, Any], update: int) -> tuple[Tensor, dict[str, Any]]:
        game, players = self.game, self.module
        if game.loss == "wgan":
            clip_weights(players.discriminator, game.weight_limit)
        real, conditions = self._real(batch, update)
        with torch.no_grad():
            fake = self._generate(len(real), conditions)
        seen = self._features(real)
        real_logits, fake_logits = players.discriminator.judge(seen, conditions), self._see(fake, conditions)
        loss = discriminator_loss(game.loss, real_logits, fake_logits)
        # A relativistic logit has no zero of its own: there, sureness is that of each pair.
        is_relative = game.loss in ("relativistic", "wgan", "wgan-gp")
        sureness = (real_logits - fake_logits if is_relative else real_logits).detach().float()
        measured = {"real logit": real_logits.detach().mean(), "fake logit": fake_logits.detach().mean()}
        if game.augment == "adaptive":
            players.adaptive.update(sureness)
            measured["augment"] = players.adaptive.probability.clone()
        if game.mismatch and conditions is not None:
            other_logits = players.discriminator.judge(seen, conditions.roll(1, dims=0))
            loss = loss + game.mismatch * discriminator_loss(game.loss, real_logits, other_logits)
        if game.naming and conditions is not None:
            loss = loss + game.naming * self._name(seen, conditions, measured, "named")
        if game.lecam:
            with torch.no_grad():
                players.real_anchor.lerp_(real_logits.float().mean(), _ANCHOR_SHARE)
                players.fake_anchor.lerp_(fake_logits.float().mean(), _ANCHOR_SHARE)
            loss = loss + game.lecam * lecam_penalty(real_logits, fake_logits, players.real_anchor, players.fake_anchor)
        if batch["step"] % game.penalty_every == 0:
            penalty = self._penalties(real, fake, conditions, measured)
            loss = loss + game.penalty_every * penalty
        return loss, measured

    def _penalties(self, real: Tensor, fake: Tensor, conditions: Tensor | None, measured: dict[str, Any]) -> Tensor:
        """The gradient penalties with their weights; taken by the plain samples, through the augmentation."""
        game = self.game

        def critic(samples: Tensor) -> Tensor:
            return self._see(samples, conditions)

        total = real.new_zeros(())
        if game.r1:
            measured["r1"] = (r1 := zero_centred_penalty(critic, real)).detach()
            total = total + game.r1 / 2 * r1
        if game.r2:
            measured["r2"] = (r2 := zero_centred_penalty(critic, fake)).detach()
            total = total + game.r2 / 2 * r2
        if game.gradient_penalty:
            slope = one_centred_penalty(critic, real, fake, torch.default_generator)
            measured["gradient penalty"] = slope.detach()
            total = total + game.gradient_penalty * slope
        return total

    def _draw(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        game = self.game
        if game.loss == "wgan":
            clip_weights(self.module.discriminator, game.weight_limit)
        real, conditions = self._real(batch, game.discriminator_steps - 1)
        fake = self._generate(len(real), conditions)
        seen = self._features(fake)
        fake_logits = real_logits = self.module.discriminator.judge(seen, conditions)
        if game.loss == "relativistic":
            with torch.no_grad():
                real_logits = self._see(real, conditions)
        loss = generator_loss(game.loss, real_logits, fake_logits)
        measured: dict[str, Any] = {}
        if conditions is not None and game.naming:
            loss = loss + game.naming * self._name(seen, conditions, measured, "drawn as named")
        if conditions is not None and game.closeness:
            measured["distance"] = (away := distance(fake, real).mean()).detach()
            loss = loss + game.closeness * away
        return loss, measured

    def _name(self, seen: Tensor, conditions: Tensor, measured: dict[str, Any], key: str) -> Tensor:
        """Cross-entropy of finding the condition of each sample among the batch's, and the other way round."""
        fits = self.module.discriminator.match(seen, conditions).float()
        is_own = (conditions[:, None] == conditions[None]).all(dim=2)  # Rows may share a class, or a short caption.
        own = is_own.float() / is_own.sum(dim=1, keepdim=True)
        measured[key] = is_own[torch.arange(len(fits)), fits.argmax(dim=1)].float().mean()
        return (F.cross_entropy(fits, own) + F.cross_entropy(fits.T, own)) / 2

    def _real(self, batch: dict[str, Any], update: int) -> tuple[Tensor, Tensor | None]:
        device = self.module.real_anchor.device
        conditions = batch.get("condition")
        return batch["real"][:, update].to(device), None if conditions is None else conditions[:, update].to(device)

    def _generate(self, count: int, conditions: Tensor | None) -> Tensor:
        generator, rng = self.module.generator, torch.default_generator
        latents = torch.randn((count, self.config.latent_dim), generator=rng).to(self.module.real_anchor.device)
        mixed = draw_mixing(generator, rng, count, conditions, probability=self.game.style_mixing)
        return generator(latents, conditions, mix_with=mixed)

    def _see(self, samples: Tensor, conditions: Tensor | None) -> Tensor:
        """Logits of samples as the discriminator sees them, augmented."""
        return self.module.discriminator.judge(self._features(samples), conditions)

    def _features(self, samples: Tensor) -> Tensor:
        game = self.game
        if game.augment != "none":
            probability = float(self.module.adaptive.probability) if game.augment == "adaptive" else 1.0
            samples = augment(samples, game.operations, torch.default_generator, probability=probability)
        return self.module.discriminator.features(samples)

    def look(self) -> Look:
        """Samples of fixed latents, and how they lie among held-out and learned ones."""
        drawn = self.sample(max(_NUM_SHOWN, len(self.held_out)))
        picture = self._show(drawn)
        if len(self.held_out) < MIN_HELD_OUT:
            return Look(picture=picture)
        rows = torch.arange(len(self.held_out))
        held_out, learned = self.held_out.take(rows, rows)[0], self.samples.take(rows % len(self.samples), rows)[0]
        health = check_health(drawn, learned, held_out)
        measured = {
            "coverage": health.coverage, "possible coverage": health.possible_coverage, "memorised": health.memorised
        }  # fmt: skip
        return Look(picture=picture, metrics=measured, warnings=warnings_of(health, advice=self._advice()))

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """`count` samples of fixed latents [count, *shape] on the CPU, conditioned as the held-out samples are."""
        generator = self.settled()
        device = self.module.real_anchor.device
        latents = torch.randn((count, self.config.latent_dim), generator=torch.Generator().manual_seed(1))
        source = self.held_out if len(self.held_out) else self.samples
        rows = torch.arange(count) % len(source)
        conditions = source.take(rows, rows)[1]
        if self.config.condition == "classes":
            conditions = torch.eye(self.config.condition_dim)[torch.arange(count) % self.config.condition_dim]
        parts: list[Tensor] = []
        for start in range(0, count, 64):
            given = None if conditions is None else conditions[start : start + 64].to(device)
            parts.append(generator(latents[start : start + 64].to(device), given).float().cpu())
        return torch.cat(parts)

    @torch.no_grad()
    def settled(self) -> GeneratorNetwork:
        """The generator as it draws for users: with batch statistics, if it has any, of its present weights."""
        generator = self.module.generator
        if not batch_norms(generator) and self.config.generator_normalisation != "virtual":
            return generator
        generator = copy.deepcopy(generator)
        latents = torch.randn((512, self.config.latent_dim), generator=torch.Generator().manual_seed(2))
        rows = torch.arange(512) % len(self.samples)
        conditions = self.samples.take(rows, rows)[1]
        device = self.module.real_anchor.device
        generator.settle(latents.to(device), None if conditions is None else conditions.to(device))
        return generator.eval()

    def _show(self, drawn: Tensor) -> Image.Image | None:
        if not self.config.is_picture:
            if self.config.shape != (2,):
                return None
            rows = torch.arange(min(len(self.samples), 1000))
            return scatter_plot(self.samples.take(rows, rows)[0], drawn)
        shown = drawn[:_NUM_SHOWN]
        if self.codec is not None:
            with torch.no_grad():
                shown = self.codec.decode(shown).cpu()
        columns = self.config.condition_dim if self.config.condition == "classes" else 6
        return picture_grid(shown[: max(1, len(shown) // columns) * columns], columns=columns)

    def _advice(self) -> tuple[str, ...]:
        game = self.game
        found: list[str] = []
        if not (game.r1 or game.r2 or game.gradient_penalty or game.loss == "wgan"):
            found.append("set game.r1 (and game.r2), which keep the discriminator from running away")
        elif game.r1 or game.r2:
            found.append(f"double game.r1 (now {game.r1:g})")
        if game.augment == "none" and self.config.is_picture:
            found.append("set game.augment to adaptive")
        if game.loss in ("minimax", "wgan"):
            found.append("set game.loss to relativistic")
        return (*found, "or lower training.learning_rate")


@torch.no_grad()
def _take_captions(players: Players, captions: Tensor) -> None:
    """Let both networks begin with the principal directions of captions [N, K]; a generator's other rows at 0."""
    whitened = whitening(captions)
    drawing, judging = players.generator.embed, players.discriminator.embed
    assert drawing is not None
    assert judging is not None
    drawing.weight.zero_()
    rows = min(len(whitened), len(drawing.weight))
    drawing.weight[:rows] = whitened[:rows]
    mixing = torch.randn((len(judging.weight), len(whitened)), generator=torch.default_generator)
    judging.weight.copy_(mixing @ whitened / len(whitened) ** 0.5)


def train_gan(recipe: GanRecipe, out: Path, *, threads: int = 1) -> Generator[StageReport]:
    """Train the recipe's GAN and write it to `out` as a model folder; called again after a stop it goes on.

    `threads` sets torch's threads. Raises InputRefused for a recipe or pictures that cannot be used, StorageError
    where `out` cannot be written and TrainingStopped when training cannot go on.
    """
    torch.set_num_threads(threads)
    task = build_task(recipe, out)
    if recipe.copying is not None:
        copying = CopyTask(task, task.module.generator, candidates=recipe.copying.candidates)
        yield from stage("copying", train(copying, recipe.copying.training, out / "checkpoints" / "copying"))
    yield from stage("gan", train(task, recipe.training, out / "checkpoints" / "gan"))
    if state().is_main_process:
        export_gan(task, recipe, out)


def build_task(recipe: GanRecipe, out: Path) -> GanTask:
    """Samples and networks of a recipe; samples that take time to make are kept under `out`."""
    condition, learned, held_out, codec = gather(recipe.data, seed=recipe.seed, cache=out / "cache")
    network = recipe.network
    shape = learned.shape
    widths = network.widths
    if widths is None:
        widths = (128, 128, 128) if network.backbone == "mlp" else _widths(shape)
    normalisation = network.generator_normalisation or ("batch" if network.backbone == "dcgan" else "none")
    condition_dim = 0 if learned.conditions is None else learned.conditions.shape[2]
    config = GanConfig(
        backbone=network.backbone, shape=shape, latent_dim=network.latent_dim, widths=widths,
        blocks_per_stage=network.blocks_per_stage, group_width=network.group_width, expansion=network.expansion,
        generator_normalisation=normalisation, discriminator_normalisation=network.discriminator_normalisation,
        mapping_layers=network.mapping_layers, is_modulated=network.is_modulated, condition=condition,
        condition_dim=condition_dim, embedding_dim=network.embedding_dim if condition_dim else 0,
    )  # fmt: skip
    if problems := list(config.problems()):
        raise InputRefused([Problem(code="gan-network", key="network", message=each) for each in problems])
    if len(learned) < 2:
        message = f"{len(learned)} samples are too few to learn from"
        raise InputRefused(Problem(code="too-few-pictures", message=message))
    game = recipe.game
    wanted = {"game.mismatch": game.mismatch, "game.naming": game.naming, "game.closeness": game.closeness}
    wanted["copying"] = recipe.copying
    if condition == "none" and (needing := [key for key, value in wanted.items() if value]):
        message = f"{' and '.join(needing)} need captions or classes, and these samples have none"
        raise InputRefused(Problem(code="gan-condition", key="data.condition", message=message))
    if game.mismatch is None:
        game = game.model_copy(update={"mismatch": 0.5 if condition == "text" else 0.0})
    return GanTask(config, game, learned, held_out, seed=recipe.seed, codec=codec)


def export_gan(task: GanTask, recipe: GanRecipe, out: Path) -> None:
    """Write config.json, model.safetensors, README.md and samples.png of a trained task to `out`."""
    config = task.config
    facts = NativeConfig(
        family="gan", network=config.to_json(), native_sizes=(native_size(config.shape, task.codec),),
        reads="nothing" if config.condition == "none" else config.condition,
        classes=task.samples.classes if config.condition == "classes" else (), licence=recipe.licence,
        starter_parts=parts_used(config.condition, task.codec), settings={"truncation": recipe.truncation},
    )  # fmt: skip
    look = task.look()
    write_model(
        out, facts, task.settled().state_dict(), readme=_readme(task, recipe, look.metrics), picture=look.picture,
        half=recipe.half, is_self_contained=recipe.is_self_contained,
    )  # fmt: skip


def _widths(shape: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return default_widths(min(shape[1:]))
    except ValueError as error:
        raise InputRefused(Problem(code="gan-side", key="data.side_px", message=str(error))) from None


def _readme(task: GanTask, recipe: GanRecipe, health: dict[str, float]) -> str:
    """The model card."""
    config, game, data = task.config, recipe.game, recipe.data
    counted = sum(parameter.numel() for parameter in task.module.generator.parameters())
    reads = {
        "none": "It reads no prompts; the seed alone sets a picture.",
        "classes": f"It draws the class that a prompt names: {', '.join(task.samples.classes)}.",
        "text": "It draws what a prompt says, read by the starter's text encoder.",
    }[config.condition]
    scores = "\n".join(f"| {name} | {value:.2f} |" for name, value in health.items())
    source = f"pictures of `{Path(data.folder).name}`" if data.folder else data.source
    length = f"{recipe.training.steps} steps" if recipe.training.steps else f"{recipe.training.minutes:g} minutes"
    return f"""---
license: {recipe.licence}
tags: [gan, {config.backbone}]
---

# {recipe.name}

A generative adversarial network of {counted / 1e6:.2f} million weights. {reads}

Learned from {len(task.samples):,} samples ({source}); {len(task.held_out):,} were held out. `samples.png` shows what it
draws of the first seeds.

| | |
|---|---|
| backbone | {config.backbone}, channels {list(config.widths)} |
| loss | {game.loss}, r1 {game.r1:g}, r2 {game.r2:g}, gradient penalty {game.gradient_penalty:g} |
| augmentation | {game.augment} |
| training | {length}, {recipe.training.batch_size} samples a step, rate {recipe.training.learning_rate:g} |
{scores}
"""
