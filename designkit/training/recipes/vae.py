"""Train a variational autoencoder on pictures, and write it as a model folder."""

# pyright: basic, reportPrivateImportUsage=false, reportArgumentType=false
from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from designkit.errors import InputRefused, Problem
from designkit.generators.native import NativeConfig
from designkit.generators.starter_parts import LatentCodec
from designkit.models.gan import default_widths
from designkit.models.likelihoods import bits_per_dimension
from designkit.models.mixture import GaussianMixture, fit_mixture, standard_normal
from designkit.models.quantise import VectorQuantiser, perplexity
from designkit.models.vae import Vae, VaeConfig
from designkit.training.config import Schedule
from designkit.training.delivery import native_size, parts_used, write_model
from designkit.training.gathering import gather
from designkit.training.loop import Look, Phase, StageReport, stage, train
from designkit.training.previews import picture_grid
from designkit.training.processes import state
from designkit.training.samples import Samples
from designkit.training.splits import order
from designkit.training.vae_recipe import QUANTISED, VaeObjective, VaeRecipe
from designkit.training.variational import (
    beta_penalty,
    importance_bound,
    info_penalty,
    kl_to_standard,
    log_weights,
    mean_discrepancy,
    num_active_units,
    total_correlation_terms,
    with_free_bits,
)

_MOST_WIDTH = 64
_NUM_COLUMNS = 8
_NUM_FITTED = 20_000  # latents that a mixture is fitted to, at most
_NUM_FITTED_AT_LOOKS = 500
_AT_ONCE = 64


class VaeTask:
    """One encoder and decoder on samples in memory; see `training.loop.Task`.

    `held_out` samples are never learned from: every look measures the bound on their likelihood.
    """

    def __init__(
        self, config: VaeConfig, objective: VaeObjective, samples: Samples, held_out: Samples, *, seed: int,
        sampler: str = "mixture", components: int = 10, codec: LatentCodec | None = None,
    ) -> None:  # fmt: skip
        torch.manual_seed(seed)
        self.seed = seed
        self.config = config
        self.objective = objective
        self.samples = samples
        self.held_out = held_out
        self.sampler = sampler
        self.components = components
        self.codec = codec
        self.module = Vae(config)
        if config.condition == "text":
            assert samples.conditions is not None
            self.module.take_conditions(samples.conditions.flatten(0, 1))
        if isinstance(self.module.quantiser, VectorQuantiser):
            means = self.latents(samples, most=2048)
            rows = means.permute(0, 2, 3, 1).reshape(-1, config.latent_dim)
            self.module.quantiser.start_at(rows[torch.randperm(len(rows))[:8192]], torch.default_generator)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.module.parameters()).device

    def batch(self, step: int, size: int) -> dict[str, Any]:
        """The samples of a step, [size, *shape], with their conditions."""
        rows = torch.from_numpy(order(step, size, len(self.samples), seed=self.seed))
        values, conditions = self.samples.take(rows, rows + step * size // len(self.samples))
        batch: dict[str, Any] = {"step": step, "x": values}
        return batch if conditions is None else {**batch, "condition": conditions}

    def phases(self, schedule: Schedule) -> list[Phase]:
        """One: all weights learn together."""
        shared = {"betas": (schedule.beta1, schedule.beta2), "weight_decay": schedule.weight_decay}
        weights = list(self.module.parameters())
        return [Phase(loss=self.loss, groups=[{"params": weights, "lr": schedule.learning_rate, **shared}])]

    def loss(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """The objective's mean over the samples, in nats, and what it is made of.

        The discrepancy, total correlation and free bits are of all the rows that are computed at once.
        """
        x = batch["x"].to(self.device)
        conditions = batch["condition"].to(self.device) if "condition" in batch else None
        if self.objective.kind in QUANTISED:
            return self._quantised_loss(x, conditions)
        objective, rng = self.objective, torch.default_generator
        if batch["step"] < objective.prior_steps:
            latents = torch.randn((len(x), *self.config.latent_shape), generator=rng).to(self.device)
            unlike = -self.module.log_likelihood(self.module.decode(latents, conditions), x).mean()
            return unlike, {"reconstruction": unlike.detach(), "kl": 0.0}
        step = batch["step"] - objective.prior_steps
        posterior = self.module.encode(x, conditions)
        count = objective.samples if objective.kind == "iwae" else 1
        latents = posterior.sample(rng, count)
        many = None if conditions is None else conditions.repeat(count, 1)
        likelihood = self.module.log_likelihood(self.module.decode(latents, many), x.repeat(count, 1, 1, 1))
        divergence = kl_to_standard(posterior)
        measured: dict[str, Any] = {
            "reconstruction": -likelihood.detach().mean(), "kl": divergence.detach().sum(dim=1).mean()
        }  # fmt: skip
        grown = min(1.0, (step + 1) / max(1, objective.warmup_steps))
        if objective.kind == "iwae":
            return -importance_bound(log_weights(likelihood, posterior, latents)).mean(), measured
        if objective.kind == "beta-tc":
            information, correlation, single = total_correlation_terms(posterior, latents, len(self.samples))
            measured["total correlation"] = correlation.detach().mean()
            penalty = information + objective.beta * correlation + single
        else:
            penalty = with_free_bits(divergence, objective.free_bits)
        if objective.kind == "beta":
            grown = 1.0 if objective.capacity else grown
            nats = objective.capacity * min(1.0, (step + 1) / max(1, objective.warmup_steps))
            penalty = beta_penalty(penalty, objective.beta, nats)
        elif objective.kind == "info":
            prior = torch.randn(latents.flatten(1).shape, generator=rng).to(latents.device)
            discrepancy = mean_discrepancy(latents.flatten(1), prior, kernel=objective.kernel)
            measured["discrepancy"] = discrepancy.detach()
            penalty = info_penalty(penalty, discrepancy, alpha=objective.alpha, scale=objective.discrepancy)
        return (grown * penalty - likelihood).mean(), measured

    def _quantised_loss(self, x: Tensor, conditions: Tensor | None) -> tuple[Tensor, dict[str, Any]]:
        quantised = self.module.quantise(self.module.encode(x, conditions).mean)
        likelihood = self.module.log_likelihood(self.module.decode(quantised.latents, conditions), x)
        assert self.module.quantiser is not None
        measured = {
            "reconstruction": -likelihood.detach().mean(),
            "perplexity": perplexity(quantised.codes, self.module.quantiser.num_codes),
        }
        return (self.objective.commitment * quantised.commitment - likelihood).mean(), measured

    def look(self) -> Look:
        """Held-out samples above their reconstructions, what is drawn below, and the bounds in nats and bits."""
        source = self.held_out if len(self.held_out) else self.samples
        rows = torch.arange(2 * _NUM_COLUMNS) % len(source)
        x, conditions = source.take(rows, rows)
        means = self.latents(source.rows(rows))
        again = self.pictures(means, conditions)
        drawn = self.sample(4 * _NUM_COLUMNS)
        shown = torch.stack([x, again], dim=0).unflatten(1, (2, _NUM_COLUMNS)).transpose(0, 1).flatten(0, 2)
        shown = torch.cat([shown, drawn])
        if self.codec is not None:
            shown = self.codec.decode(shown).cpu()
        return Look(picture=picture_grid(shown, columns=_NUM_COLUMNS), metrics=self.measure(source))

    @torch.no_grad()
    def measure(self, samples: Samples, *, num_draws: int = 8, most: int = 500) -> dict[str, float]:
        """Bounds on the likelihood of samples (nats each, and bits a dimension), and how the latents are used.

        `nll` is the importance-weighted bound with `num_draws` latents; of a quantised model it is the length of a
        message of the letters and, given them, the pixels.
        """
        config, rng = self.config, torch.Generator().manual_seed(0)
        total: dict[str, float] = {}
        means, codes = [], []
        count = min(most, len(samples))
        for start in range(0, count, _AT_ONCE):
            rows = torch.arange(start, min(start + _AT_ONCE, count))
            x, conditions = samples.take(rows, rows)
            x = x.to(self.device)
            conditions = None if conditions is None else conditions.to(self.device)
            posterior = self.module.encode(x, conditions)
            means.append(posterior.mean.cpu())
            error = (self.module.pictures(posterior.mean, conditions) - x).square()
            found = {"mse": error.mean(dim=(1, 2, 3))}
            if self.module.quantiser is not None:
                quantised = self.module.quantise(posterior.mean)
                codes.append(quantised.codes.cpu())
                likelihood = self.module.log_likelihood(self.module.decode(quantised.latents, conditions), x)
                letters = quantised.codes[0].numel() * torch.tensor(float(self.module.quantiser.num_codes)).log()
                found["nll"] = float(letters) - likelihood
            else:
                weights: list[Tensor] = []
                for _ in range(num_draws):
                    latents = posterior.sample(rng)
                    likelihood = self.module.log_likelihood(self.module.decode(latents, conditions), x)
                    weights.append(log_weights(likelihood, posterior, latents)[0])
                stacked = torch.stack(weights)
                found |= {"elbo": stacked.mean(dim=0), "nll": -importance_bound(stacked)}
                found["kl"] = kl_to_standard(posterior).sum(dim=1)
            for name, value in found.items():
                total[name] = total.get(name, 0.0) + float(value.sum())
        measured = {name: value / count for name, value in total.items()}
        bits = bits_per_dimension(
            measured["nll"], config.num_dimensions, likelihood=config.likelihood, levels=config.levels
        )
        if self.codec is None and config.likelihood != "bernoulli":
            measured["bits per dimension"] = bits
        if codes:
            assert self.module.quantiser is not None
            measured["perplexity"] = perplexity(torch.cat(codes), self.module.quantiser.num_codes)
        else:
            measured["active units"] = float(num_active_units(torch.cat(means)))
        return measured

    @torch.no_grad()
    def latents(self, samples: Samples, *, most: int = _NUM_FITTED) -> Tensor:
        """The posteriors' means [N, *latent_shape] of samples, on the CPU."""
        parts: list[Tensor] = []
        for start in range(0, min(most, len(samples)), _AT_ONCE):
            rows = torch.arange(start, min(start + _AT_ONCE, most, len(samples)))
            x, conditions = samples.take(rows, rows)
            given = None if conditions is None else conditions.to(self.device)
            parts.append(self.module.encode(x.to(self.device), given).mean.cpu())
        return torch.cat(parts)

    @torch.no_grad()
    def pictures(self, latents: Tensor, conditions: Tensor | None) -> Tensor:
        """The mean samples [N, *shape] of latents, on the CPU."""
        given = None if conditions is None else conditions.to(self.device)
        return self.module.pictures(latents.to(self.device), given).float().cpu()

    @torch.no_grad()
    def fitted(self, *, most: int = _NUM_FITTED) -> GaussianMixture:
        """What new latents are drawn from: the prior, or a mixture fitted to draws of the learned samples' latents."""
        dim = int(torch.tensor(self.config.latent_shape).prod())
        if self.sampler == "prior":
            return standard_normal(dim)
        rng = torch.Generator().manual_seed(self.seed)
        parts: list[Tensor] = []
        for start in range(0, min(most, len(self.samples)), _AT_ONCE):
            rows = torch.arange(start, min(start + _AT_ONCE, most, len(self.samples)))
            x, conditions = self.samples.take(rows, rows)
            given = None if conditions is None else conditions.to(self.device)
            parts.append(self.module.encode(x.to(self.device), given).sample(rng).cpu())
        return fit_mixture(torch.cat(parts), self.components, seed=self.seed)

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """`count` samples of fixed seeds [count, *shape] on the CPU, conditioned as the held-out samples are."""
        mixture = self.fitted(most=_NUM_FITTED_AT_LOOKS)
        latents = mixture.sample(range(count)).unflatten(1, self.config.latent_shape)
        source = self.held_out if len(self.held_out) else self.samples
        rows = torch.arange(count) % len(source)
        conditions = source.take(rows, rows)[1]
        if self.config.condition == "classes":
            conditions = torch.eye(self.config.condition_dim)[torch.arange(count) % self.config.condition_dim]
        return self.pictures(latents, conditions)


def train_vae(recipe: VaeRecipe, out: Path, *, threads: int = 1) -> Generator[StageReport]:
    """Train the recipe's VAE and write it to `out` as a model folder; called again after a stop it goes on.

    `threads` sets torch's threads. Raises InputRefused for a recipe or pictures that cannot be used, StorageError
    where `out` cannot be written and TrainingStopped when training cannot go on.
    """
    torch.set_num_threads(threads)
    task = build_task(recipe, out)
    yield from stage("vae", train(task, recipe.training, out / "checkpoints" / "vae"))
    if state().is_main_process:
        export_vae(task, recipe, out)


def build_task(recipe: VaeRecipe, out: Path) -> VaeTask:
    """Samples and networks of a recipe; samples that take time to make are kept under `out`."""
    condition, learned, held_out, codec = gather(recipe.data, seed=recipe.seed, cache=out / "cache")
    network, objective = recipe.network, recipe.objective
    widths = network.widths
    if widths is None:
        try:
            widths = default_widths(min(learned.shape[1:]), most=_MOST_WIDTH)
        except ValueError as error:
            raise InputRefused(Problem(code="vae-side", key="data.side_px", message=str(error))) from None
    condition_dim = 0 if learned.conditions is None else learned.conditions.shape[2]
    default_dim = {"vq": 8, "fsq": len(objective.code_levels)}.get(objective.kind, 32)
    config = VaeConfig(
        shape=learned.shape, latent=network.latent or ("spatial" if objective.kind in QUANTISED else "vector"),
        latent_dim=network.latent_dim or default_dim, widths=widths, encoder_widths=network.encoder_widths,
        blocks_per_stage=network.blocks_per_stage,
        likelihood=objective.likelihood, levels=objective.levels,
        quantiser=objective.kind if objective.kind in QUANTISED else "none",
        codes=objective.codes if objective.kind == "vq" else 0,
        code_levels=objective.code_levels if objective.kind == "fsq" else (),
        condition=condition, condition_dim=condition_dim, embedding_dim=network.embedding_dim if condition_dim else 0,
    )  # fmt: skip
    if problems := list(config.problems()):
        raise InputRefused([Problem(code="vae-network", key="network", message=each) for each in problems])
    if len(learned) < 2:
        message = f"{len(learned)} samples are too few to learn from"
        raise InputRefused(Problem(code="too-few-pictures", message=message))
    return VaeTask(
        config, objective, learned, held_out, seed=recipe.seed, sampler=recipe.sampler, components=recipe.components,
        codec=codec,
    )  # fmt: skip


def export_vae(task: VaeTask, recipe: VaeRecipe, out: Path) -> None:
    """Write config.json, model.safetensors, README.md and samples.png of a trained task to `out`."""
    config = task.config
    facts = NativeConfig(
        family="vae", network=config.to_json(), native_sizes=(native_size(config.shape, task.codec),),
        reads="nothing" if config.condition == "none" else config.condition,
        classes=task.samples.classes if config.condition == "classes" else (), licence=recipe.licence,
        starter_parts=parts_used(config.condition, task.codec), settings={"truncation": recipe.truncation},
    )  # fmt: skip
    task.module.eval()
    with torch.no_grad():
        picture = task.look().picture
        source = task.held_out if len(task.held_out) else task.samples
        scores = task.measure(source, num_draws=100)
    write_model(
        out, facts, task.module.state_dict(), readme=_readme(task, recipe, scores), picture=picture, half=recipe.half,
        is_self_contained=recipe.is_self_contained, exact=task.fitted().tensors(),
    )  # fmt: skip


_MEANINGS = {
    "nll": "negative log likelihood of held-out samples, nats each (bound by 100 latents, or letters and pixels)",
    "elbo": "evidence lower bound, nats each",
    "kl": "nats that the latents tell of a sample",
    "mse": "mean squared error of reconstructions, over [-1, 1]",
    "bits per dimension": "the likelihood in bits a pixel and channel",
    "active units": "latent dimensions in use",
    "perplexity": "letters in use, each counted by its share",
}


def _readme(task: VaeTask, recipe: VaeRecipe, scores: dict[str, float]) -> str:
    """The model card."""
    config, objective, data = task.config, recipe.objective, recipe.data
    counted = sum(parameter.numel() for parameter in task.module.parameters())
    reads = {
        "none": "It reads no prompts; the seed alone sets a picture.",
        "classes": f"It draws the class that a prompt names: {', '.join(task.samples.classes)}.",
        "text": "It draws what a prompt says, read by the starter's text encoder.",
    }[config.condition]
    rows = "\n".join(f"| {name} | {value:.4g} | {_MEANINGS[name]} |" for name, value in scores.items())
    source = f"pictures of `{Path(data.folder).name}`" if data.folder else data.source
    length = f"{recipe.training.steps} steps" if recipe.training.steps else f"{recipe.training.minutes:g} minutes"
    return f"""---
license: {recipe.licence}
tags: [vae, {objective.kind}]
---

# {recipe.name}

A variational autoencoder of {counted / 1e6:.2f} million weights. {reads}

Learned from {len(task.samples):,} samples ({source}); {len(task.held_out):,} were held out. `samples.png` shows
held-out samples above their reconstructions, twice, and below them what it draws of the first seeds.

| | |
|---|---|
| objective | {objective.kind}, {objective.likelihood} likelihood |
| latent | {" x ".join(map(str, config.latent_shape))}; new ones from the {recipe.sampler} |
| channels | {list(config.widths)} |
| training | {length}, {recipe.training.batch_size} samples a step, rate {recipe.training.learning_rate:g} |

| score | | |
|---|---|---|
{rows}
"""
