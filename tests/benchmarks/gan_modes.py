"""Which modes does a GAN find? Eight on a ring and twenty-five on a grid, with a Gaussian mixture as the ceiling.

    python tests/benchmarks/gan_modes.py [--sets ring grid] [--losses relativistic hinge] [--seeds 3] [--steps 4000]

A mode counts as found when at least one in a thousand samples lies within three standard deviations of its centre; a
sample is good when it lies so near to any. The mixture (scikit-learn's, told the number of modes) learns the same
points. Networks, rates and numbers of steps are the same in every row. Printed are rows of a Markdown table.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from sklearn.mixture import GaussianMixture

from designkit.training.config import Schedule
from designkit.training.gan_recipe import GanGame, GanNetwork, GanRecipe
from designkit.training.loop import train
from designkit.training.recipes.gan import build_task
from designkit.training.sample_data import SampleData
from designkit.training.samples import mixture, points

NUM_SAMPLES = 5000
GAMMA = 0.06
GAMES: dict[str, dict[str, Any]] = {
    "relativistic + R1 + R2": {"loss": "relativistic", "r1": GAMMA, "r2": GAMMA},
    "non-saturating + R1": {"loss": "non-saturating", "r1": GAMMA},
    "hinge + R1": {"loss": "hinge", "r1": GAMMA},
    "lsgan + R1": {"loss": "lsgan", "r1": GAMMA},
    "wgan-gp": {"loss": "wgan-gp", "gradient_penalty": 0.1},
    "non-saturating": {"loss": "non-saturating"},
    "minimax": {"loss": "minimax"},
    "wgan": {"loss": "wgan", "weight_limit": 0.1},
}


def score(drawn: torch.Tensor, kind: str) -> tuple[int, float]:
    """How many modes are found, and the share of good samples."""
    centres, deviation = mixture(kind)
    distances, nearest = torch.cdist(drawn.float(), centres).min(dim=1)
    is_good = distances < 3 * deviation
    counts = torch.bincount(nearest[is_good], minlength=len(centres))
    return int((counts >= len(drawn) / 1000).sum()), float(is_good.float().mean())


def gan(kind: Any, game: dict[str, Any], *, steps: int, seed: int) -> tuple[int, float, float]:
    """Modes, good share and seconds of one GAN."""
    schedule = Schedule(
        steps=steps, batch_size=256, learning_rate=2e-3, beta1=0.0, beta2=0.9, weight_decay=0.0, warmup_steps=0,
        cooldown=0.8, gradient_clip=float("inf"), ema_decay=0.998, precision="fp32", checkpoint_minutes=60,
    )  # fmt: skip
    plan = GanRecipe(
        kind="gan", name="modes", seed=seed, data=SampleData(source=kind, count=10_000, held_out=0),
        game=GanGame(penalty_every=4, **game),
        network=GanNetwork(backbone="mlp", latent_dim=2, widths=(128, 128, 128)), training=schedule,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        task = build_task(plan, Path(folder))
        started = time.process_time()
        for _ in train(task, plan.training, Path(folder) / "checkpoints"):
            pass
        seconds = time.process_time() - started
    return (*score(task.sample(NUM_SAMPLES), kind), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["ring", "grid"])
    parser.add_argument("--losses", nargs="+", default=list(GAMES), help="rows, by the beginning of their names")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| set | model | modes, by seed | good samples, by seed | CPU seconds each |")
    print("|---|---|---|---|---|")
    for kind in arguments.sets:
        centres, _ = mixture(kind)
        learned = points(kind, 10_000, seed=0).values.numpy()
        started = time.process_time()
        ceiling = GaussianMixture(len(centres), n_init=5, random_state=0).fit(learned)
        seconds = time.process_time() - started
        modes, good = score(torch.from_numpy(ceiling.sample(NUM_SAMPLES)[0]), kind)
        print(
            f"| {kind} | Gaussian mixture (ceiling) | {modes}/{len(centres)} | {good:.3f} | {seconds:.1f} |", flush=True
        )
        for name, game in GAMES.items():
            if not any(name.startswith(wanted) for wanted in arguments.losses):
                continue
            rows = [gan(kind, game, steps=arguments.steps, seed=seed) for seed in range(arguments.seeds)]
            found = ", ".join(f"{modes}/{len(centres)}" for modes, _, _ in rows)
            shares = ", ".join(f"{good:.3f}" for _, good, _ in rows)
            mean = sum(seconds for _, _, seconds in rows) / len(rows)
            print(f"| {kind} | {name} | {found} | {shares} | {mean:.0f} |", flush=True)


if __name__ == "__main__":
    main()
