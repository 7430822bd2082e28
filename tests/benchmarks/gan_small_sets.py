"""Which game suits few pictures? {non-saturating + R1, hinge, R3} x {no, always, adaptive augmentation} on digits.

    python tests/benchmarks/gan_small_sets.py [--counts 100 500 1437] [--seeds 3] [--steps 300] [--only R3]

The same 360 of scikit-learn's 1,797 digits are never learned from; each GAN learns from `count` of the others and is
held against those 360 by kernel distance (times 1,000; lower is better, 0 is perfect) and coverage, both on pixels.
`memorised` is the share of generated digits that lie nearer to a learned than to a held-out one (0.5 is usual where
both sets are equally large). The networks, rates and numbers of steps are the same everywhere. The rows `real` hold as
many real digits against the 360. Printed are rows of a Markdown table: means over seeds, with the 95 % interval of the
mean (Student's t). All 1,797 cannot be learned from, because the 360 would then be no measure of anything new.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from designkit.evaluation.distances import coverage_scores, kernel_distance
from designkit.models.gan import GanConfig
from designkit.training.collapse import check_health
from designkit.training.config import Schedule
from designkit.training.gan_recipe import GanGame
from designkit.training.loop import train
from designkit.training.recipes.gan import GanTask
from designkit.training.samples import Samples, digits

NUM_HELD_OUT = 360
GAMES: dict[str, dict[str, Any]] = {
    "non-saturating + R1": {"loss": "non-saturating", "r1": 1.0},
    "hinge": {"loss": "hinge"},
    "R3": {"loss": "relativistic", "r1": 0.5, "r2": 0.5},
}
AUGMENTS = ("none", "diffaugment", "adaptive")


def split() -> tuple[Samples, Samples]:
    """The digits that may be learned from, in a fixed order, and the 360 that may not."""
    every = digits()
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(0))
    pixels = Samples(values=every.values)
    return pixels.rows(order[NUM_HELD_OUT:]), pixels.rows(order[:NUM_HELD_OUT])


def flat(values: torch.Tensor) -> np.ndarray:
    """[N, 1, 8, 8] in [-1, 1] -> [N, 64] float64 in [0, 1]."""
    return ((values.clamp(-1, 1) + 1) / 2).flatten(1).double().numpy()


def all_of(samples: Samples) -> torch.Tensor:
    rows = torch.arange(len(samples))
    return samples.take(rows, rows)[0]


def one_run(
    game: dict[str, Any], learned: Samples, held_out: Samples, *, config: GanConfig, seed: int, steps: int
) -> tuple[float, float, float, float]:
    """Kernel distance times 1,000, coverage, memorised share and CPU seconds of one GAN."""
    schedule = Schedule(
        steps=steps, batch_size=16, learning_rate=3e-3, beta1=0.0, beta2=0.99, weight_decay=0.0, warmup_steps=20,
        cooldown=0.4, gradient_clip=float("inf"), ema_decay=0.99, precision="fp32", checkpoint_minutes=60,
    )  # fmt: skip
    settings = GanGame(**{"penalty_every": 4, "adaptive_images": 10_000, **game})
    nothing = held_out.rows(torch.arange(0))  # so that no time goes into looks
    with tempfile.TemporaryDirectory() as folder:
        task = GanTask(config, settings, learned, nothing, seed=seed)
        started = time.process_time()
        for _ in train(task, schedule, Path(folder)):
            pass
        seconds = time.process_time() - started
    drawn, real = task.sample(NUM_HELD_OUT), all_of(held_out)
    known = all_of(learned)[:NUM_HELD_OUT]
    count = min(len(known), NUM_HELD_OUT)
    memorised = check_health(drawn, known, real[:count]).memorised
    return (*distances(drawn, real), memorised, seconds)


def distances(drawn: torch.Tensor, real: torch.Tensor) -> tuple[float, float]:
    """Kernel distance times 1,000, and coverage."""
    return 1000 * kernel_distance(flat(drawn), flat(real)), coverage_scores(flat(drawn), flat(real)).coverage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 500, 1437])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--widths", type=int, nargs=2, default=[32, 32], help="channels of the two stages")
    parser.add_argument("--only", nargs="+", default=list(GAMES), help="games, by the beginning of their names")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pool, held_out = split()
    config = GanConfig(shape=(1, 8, 8), latent_dim=32, widths=tuple(arguments.widths))
    print("| digits | game | augmentation | kernel distance x 1,000 | coverage | memorised | CPU seconds |")
    print("|---|---|---|---|---|---|---|")
    for count in arguments.counts:
        learned = pool.rows(torch.arange(count))
        distance, covered = distances(all_of(learned)[:NUM_HELD_OUT], all_of(held_out))
        print(f"| {count} | real | | {distance:.2f} | {covered:.2f} | | |", flush=True)
        for name, game in GAMES.items():
            if not any(name.startswith(wanted) for wanted in arguments.only):
                continue
            for augment in AUGMENTS:
                rows = np.array([
                    one_run(
                        {**game, "augment": augment}, learned, held_out, config=config, seed=seed, steps=arguments.steps
                    )
                    for seed in range(arguments.seeds)
                ])  # fmt: skip
                mean = rows.mean(axis=0)
                away = stats.t.ppf(0.975, len(rows) - 1) * rows.std(axis=0, ddof=1) / len(rows) ** 0.5
                print(
                    f"| {count} | {name} | {augment} | {mean[0]:.2f} ± {away[0]:.2f} "
                    f"| {mean[1]:.2f} ± {away[1]:.2f} | {mean[2]:.2f} | {mean[3]:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
