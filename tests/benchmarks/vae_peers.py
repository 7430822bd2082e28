"""VAEs beside pythae's, and vector quantisation beside vector-quantize-pytorch's, on scikit-learn's digits.

    pip install pythae vector-quantize-pytorch
    python tests/benchmarks/vae_peers.py [--seconds 20] [--seeds 3] [--draws 500] [--rows vae iwae]

pythae 0.1.2 and vector-quantize-pytorch 1.32.0 are needed here alone and are no dependency. Every row has the same
split (1,437 digits learned, 360 held out), the same networks passed in, the same batches of 64, the same likelihood,
the same learning rate, one thread, and the same CPU seconds; each side keeps its own loop (here: cooldown, moving
average, and bf16; pythae: its trainer's defaults). One function scores both:

- NLL: bound by 500 importance-weighted draws (--draws), nats a digit; Bernoulli likelihood of grey values
- MSE: of reconstructions, pixels in 0..1
- MMD: unbiased, of the held-out latents' draws and the prior; active units: of 16
- perplexity: letters in use of 64

Printed are rows of a Markdown table; `images/s` are of training, whole steps.
"""

# pyright: basic, reportMissingImports=false, reportMissingTypeStubs=false
from __future__ import annotations

import argparse
import contextlib
import io
import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import (
    INFOVAE_MMD,
    IWAE,
    VAE,
    VQVAE,
    BetaVAE,
    BetaVAEConfig,
    INFOVAE_MMD_Config,
    IWAEConfig,
    VQVAEConfig,
)
from pythae.models import (
    VAEConfig as PeerConfig,
)
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn
from vector_quantize_pytorch import VectorQuantize

from designkit.models.quantise import Quantised, perplexity
from designkit.models.vae import Posterior, Vae, VaeConfig
from designkit.training.config import Schedule
from designkit.training.loop import train
from designkit.training.recipes.vae import VaeTask
from designkit.training.samples import Samples, digits
from designkit.training.vae_recipe import VaeObjective
from designkit.training.variational import importance_bound, log_weights, mean_discrepancy, num_active_units

BATCH, RATE = 64, 2e-3
PRECISION = "bf16"  # what "auto" chooses on this processor, where other work does not spoil its measurement
NUM_HELD_OUT = 360
LATENT_DIM, WIDTHS, LETTERS = 16, (32, 32), 64
GAUSSIAN_ROWS: dict[str, dict[str, Any]] = {
    "vae": {"kind": "elbo"},
    "beta (4)": {"kind": "beta", "beta": 4.0},
    "iwae (8)": {"kind": "iwae", "samples": 8},
    "info (alpha 0, lambda 100)": {"kind": "info", "alpha": 0.0, "discrepancy": 100.0},
}


@dataclass
class Trained:
    """How to encode and decode, and how fast it was learned; pictures are in [0, 1]."""

    encode: Callable[[Tensor], Any]
    decode: Callable[[Tensor], Tensor]
    images: int
    seconds: float
    network: Any


def split() -> tuple[Samples, Samples]:
    """The digits that are learned from, and those that are not."""
    every = digits()
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(0))
    pixels = Samples(values=every.values)
    return pixels.rows(order[NUM_HELD_OUT:]), pixels.rows(order[:NUM_HELD_OUT])


def unit(samples: Samples) -> Tensor:
    """Pictures [N, 1, 8, 8] in [0, 1]."""
    return samples.values.float() / 255


def ours(
    config: VaeConfig, objective: VaeObjective, learned: Samples, *, seconds: float, seed: int, peer: Any = None
) -> Trained:
    """Train with the loop; how many steps fit into the seconds is measured first. `peer` replaces the quantiser."""

    def task() -> VaeTask:
        made = VaeTask(config, objective, learned, learned.rows(torch.arange(0)), seed=seed)
        made.look = lambda: None  # type: ignore[method-assign, return-value]
        if peer is not None:
            made.module.quantiser = peer(config)
        return made

    def run(steps: int) -> tuple[VaeTask, float]:
        current = task()
        schedule = Schedule(
            steps=steps, batch_size=BATCH, learning_rate=RATE, beta2=0.999, weight_decay=0.0, warmup_steps=10,
            cooldown=0.2, gradient_clip=float("inf"), ema_decay=0.95, precision=PRECISION, checkpoint_minutes=600,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            started = time.process_time()
            for _ in train(current, schedule, Path(folder) / "run"):
                pass
            return current, time.process_time() - started

    run(3)
    _, begun = run(5)
    _, more = run(45)
    steps = max(20, round(40 / (more - begun) * seconds))
    trained, spent = run(steps)
    network = trained.module.eval()
    return Trained(
        encode=lambda x: network.encode(2 * x - 1), decode=lambda z: (network.pictures(z) + 1) / 2,
        images=steps * BATCH, seconds=spent, network=network,
    )  # fmt: skip


class Encoder(BaseEncoder):
    """The same encoder, as pythae takes it."""

    def __init__(self, network: Vae) -> None:
        BaseEncoder.__init__(self)
        self.body, self.is_quantised = network.encoder, network.config.quantiser != "none"

    def forward(self, x: Tensor) -> ModelOutput:
        """Latents' parameters of pictures in [0, 1]."""
        encoded = self.body(2 * x - 1, None)
        if self.is_quantised:
            return ModelOutput(embedding=encoded)
        mean, log_variance = encoded.chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):
    """The same decoder, as pythae takes it."""

    def __init__(self, network: Vae) -> None:
        BaseDecoder.__init__(self)
        self.body, self.is_bernoulli = network.decoder, network.config.likelihood == "bernoulli"

    def forward(self, z: Tensor) -> ModelOutput:
        """Pictures in [0, 1]."""
        made = self.body(z, None)
        return ModelOutput(reconstruction=torch.sigmoid(made) if self.is_bernoulli else (made + 1) / 2)


class TimeIsUp(Exception):
    """The peer's seconds are spent."""


class Clock(TrainingCallback):
    """Counts steps and ends the training when its CPU seconds are spent."""

    def __init__(self, seconds: float) -> None:
        self.until = time.process_time() + seconds
        self.steps = 0

    def on_train_step_end(self, training_config: Any, **kwargs: Any) -> None:
        """Called after every batch."""
        self.steps += 1
        if time.process_time() > self.until:
            raise TimeIsUp


def theirs(model: Any, learned: Samples, *, seconds: float, seed: int) -> Trained:
    """Train a model of pythae with its own trainer."""
    pixels = unit(learned)
    data = BaseDataset(pixels, torch.zeros(len(pixels)))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        config = BaseTrainerConfig(
            output_dir=folder, num_epochs=100_000, learning_rate=RATE, per_device_train_batch_size=BATCH, no_cuda=True,
            seed=seed,
        )  # fmt: skip
        clock = Clock(seconds)
        trainer = BaseTrainer(model=model, train_dataset=data, training_config=config, callbacks=[clock])
        trainer.prepare_training()
        clock.until, started = time.process_time() + seconds, time.process_time()
        with contextlib.suppress(TimeIsUp):
            trainer.train()
        spent = time.process_time() - started
    model = trainer.model.eval()

    def encode(x: Tensor) -> Posterior:
        encoded = model.encoder(x)
        return Posterior(mean=encoded.embedding, log_variance=encoded.log_covariance)

    return Trained(
        encode=encode, decode=lambda z: model.decoder(z).reconstruction, images=clock.steps * BATCH, seconds=spent,
        network=model,
    )  # fmt: skip


@torch.no_grad()
def gaussian_scores(trained: Trained, held_out: Samples, num_draws: int) -> list[float]:
    """NLL, MSE, MMD and active units."""
    x, rng = unit(held_out), torch.Generator().manual_seed(0)
    posterior = trained.encode(x)
    weights: list[Tensor] = []
    for _ in range(num_draws):
        z = posterior.sample(rng)
        made = trained.decode(z).clamp(1e-6, 1 - 1e-6)
        likelihood = (x * made.log() + (1 - x) * (1 - made).log()).flatten(1).sum(dim=1)
        weights.append(log_weights(likelihood, posterior, z)[0])
    nll = -float(importance_bound(torch.stack(weights)).mean())
    mse = float((trained.decode(posterior.mean) - x).square().mean())
    draws = posterior.sample(rng)
    discrepancy = float(mean_discrepancy(draws, torch.randn(draws.shape, generator=rng), unbiased=True))
    return [nll, mse, discrepancy, float(num_active_units(posterior.mean))]


def peer_model(name: str, network: Vae) -> Any:
    """The model of pythae that a row is held against, with our networks in it."""
    common: dict[str, Any] = {"input_dim": (1, 8, 8), "latent_dim": LATENT_DIM, "reconstruction_loss": "bce"}
    parts: dict[str, Any] = {"encoder": Encoder(network), "decoder": Decoder(network)}
    if name.startswith("beta"):
        return BetaVAE(BetaVAEConfig(beta=4.0, **common), **parts)
    if name.startswith("iwae"):
        return IWAE(IWAEConfig(number_samples=8, **common), **parts)
    if name.startswith("info"):
        return INFOVAE_MMD(INFOVAE_MMD_Config(alpha=0.0, lbd=100.0, **common), **parts)
    return VAE(PeerConfig(**common), **parts)


class PeerQuantiser(nn.Module):
    """vector-quantize-pytorch's quantiser in our networks: moving averages, k-means start, dead letters renewed."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.num_codes = config.codes
        self.body = VectorQuantize(
            dim=config.latent_dim, codebook_size=config.codes, decay=0.99, kmeans_init=True,
            threshold_ema_dead_code=2, accept_image_fmap=True, commitment_weight=0.0,
        )  # fmt: skip

    def forward(self, latents: Tensor) -> Quantised:
        """As ours."""
        quantised, codes, _ = self.body(latents)
        commitment = (latents - quantised.detach()).square().flatten(1).sum(dim=1)
        return Quantised(latents=quantised, codes=codes, commitment=commitment)


def run_gaussian(name: str, objective: VaeObjective, learned: Samples, held_out: Samples, arguments: Any) -> None:
    """One row of ours and one of pythae's."""
    config = VaeConfig(shape=(1, 8, 8), latent_dim=LATENT_DIM, widths=WIDTHS, likelihood="bernoulli")
    rows: dict[str, list[list[float]]] = {"designkit": [], "pythae": []}
    for seed in range(arguments.seeds):
        one = ours(config, objective, learned, seconds=arguments.seconds, seed=seed)
        torch.manual_seed(seed)
        other = theirs(peer_model(name, Vae(config)), learned, seconds=arguments.seconds, seed=seed)
        for who, trained in (("designkit", one), ("pythae", other)):
            rows[who].append(
                [
                    *gaussian_scores(trained, held_out, arguments.draws),
                    trained.images / trained.seconds,
                    trained.seconds,
                ]
            )
    for who, runs in rows.items():
        mean = torch.tensor(runs).mean(dim=0).tolist()
        nlls = ", ".join(f"{run[0]:.3f}" for run in runs)
        print(
            f"| {name} | {who} | {mean[0]:.3f} ({nlls}) | {mean[1]:.4f} | {mean[2]:.4f} | {mean[3]:.1f} | "
            f"{mean[4]:.0f} | {mean[5]:.0f} |", flush=True,
        )  # fmt: skip


@torch.no_grad()
def letter_scores(trained: Trained, held_out: Samples) -> list[float]:
    """MSE and perplexity."""
    x, network = unit(held_out), trained.network
    if isinstance(network, Vae):
        found = network.quantise(network.encode(2 * x - 1).mean)
        again, codes = (network.decode(found.latents) + 1) / 2, found.codes
    else:
        found = network.quantizer(network.encoder(x).embedding.permute(0, 2, 3, 1))
        again, codes = network.decoder(found.quantized_vector).reconstruction, found.quantized_indices.flatten()
    return [float((again - x).square().mean()), perplexity(codes, LETTERS)]


def run_letters(learned: Samples, held_out: Samples, arguments: Any) -> None:
    """Rows of vector quantisation: ours, vector-quantize-pytorch's quantiser in our networks and loop, and pythae."""
    config = VaeConfig(
        shape=(1, 8, 8), latent="spatial", latent_dim=4, widths=WIDTHS, quantiser="vq", codes=LETTERS,
        likelihood="gaussian",
    )  # fmt: skip
    objective = VaeObjective(kind="vq", codes=LETTERS)
    rows: dict[str, list[list[float]]] = {"designkit": [], "vector-quantize-pytorch": [], "pythae": []}
    for seed in range(arguments.seeds):
        torch.manual_seed(seed)
        network = Vae(config)
        settings = VQVAEConfig(input_dim=(1, 8, 8), latent_dim=4, num_embeddings=LETTERS, use_ema=True, decay=0.99)
        model = VQVAE(settings, encoder=Encoder(network), decoder=Decoder(network))
        seconds = arguments.seconds
        for who, trained in (
            ("designkit", ours(config, objective, learned, seconds=seconds, seed=seed)),
            (
                "vector-quantize-pytorch",
                ours(config, objective, learned, seconds=seconds, seed=seed, peer=PeerQuantiser),
            ),
            ("pythae", theirs(model, learned, seconds=seconds, seed=seed)),
        ):
            scores = letter_scores(trained, held_out)
            rows[who].append([*scores, trained.images / trained.seconds, trained.seconds])
    for who, runs in rows.items():
        mean = torch.tensor(runs).mean(dim=0).tolist()
        scores = f"{mean[0]:.5f} | {mean[1]:.1f} of {LETTERS}"
        print(f"| vq | {who} | {scores} | {mean[2]:.0f} | {mean[3]:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="CPU seconds of each training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=500, help="of the bound on the likelihood")
    parser.add_argument("--rows", nargs="+", default=[*GAUSSIAN_ROWS, "vq"], help="by the beginning of their names")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    learned, held_out = split()
    print("| objective | | NLL, mean (by seed) | MSE | MMD | active units | images/s | CPU seconds |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name, settings in GAUSSIAN_ROWS.items():
        if any(name.startswith(wanted) for wanted in arguments.rows):
            run_gaussian(name, VaeObjective(likelihood="bernoulli", **settings), learned, held_out, arguments)
    if "vq" in arguments.rows:
        print("\n| objective | | MSE | perplexity | images/s | CPU seconds |")
        print("|---|---|---|---|---|---|", flush=True)
        run_letters(learned, held_out, arguments)


if __name__ == "__main__":
    main()
