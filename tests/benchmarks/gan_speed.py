"""How quickly does a GAN train here, beside the loop that every tutorial shows?

    python tests/benchmarks/gan_speed.py [--steps 30] [--rounds 3]

The same DCGAN on the same 64 x 64 pictures in the same batches of 32: a plain loop (fp32, torch.optim.Adam, pictures
decoded from PNG files by each batch, as a DataLoader without workers does it) and designkit's own (`training.loop`:
channels last, fused AdamW, decoded pictures in memory, moving average, log; in fp32 and in bf16). Printed are pictures
learned from in a second of one core's time, the best of the rounds of each, taken in turn.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from designkit.training.config import Schedule
from designkit.training.gan_recipe import GanGame, GanNetwork, GanRecipe
from designkit.training.loop import train
from designkit.training.recipes.gan import GanTask, build_task
from designkit.training.sample_data import SampleData

BATCH = 32
WIDTHS = (128, 96, 64, 32, 16)
COUNT = 256


def plain_networks() -> tuple[nn.Module, nn.Module]:
    """DCGAN as tutorials write it, with the widths that ours has."""
    up: list[nn.Module] = [nn.ConvTranspose2d(100, WIDTHS[0], 4), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU(True)]
    for width, finer in pairwise(WIDTHS):
        up += [nn.ConvTranspose2d(width, finer, 4, 2, 1, bias=False), nn.BatchNorm2d(finer), nn.ReLU(True)]
    up += [nn.Conv2d(WIDTHS[-1], 3, 3, padding=1), nn.Tanh()]
    down: list[nn.Module] = [nn.Conv2d(3, WIDTHS[-1], 3, padding=1), nn.LeakyReLU(0.2, True)]
    for width, coarser in pairwise(WIDTHS[::-1]):
        down += [nn.Conv2d(width, coarser, 4, 2, 1, bias=False), nn.BatchNorm2d(coarser), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*up), nn.Sequential(*down, nn.Conv2d(WIDTHS[0], 1, 4), nn.Flatten(0))


def plain_loop(files: list[bytes], steps: int) -> float:
    """Seconds of one core for so many steps of the tutorials' loop, after three that are not counted."""
    generator, critic = plain_networks()
    optimizers = [torch.optim.Adam(each.parameters(), lr=2e-4, betas=(0.5, 0.999)) for each in (critic, generator)]
    started = 0.0
    for step in range(steps + 3):
        if step == 3:
            started = time.process_time()
        picked = [files[(step * BATCH + place) % len(files)] for place in range(BATCH)]
        real = torch.stack([_read(data) for data in picked])
        fake = generator(torch.randn(BATCH, 100, 1, 1))
        ones, zeros = torch.ones(BATCH), torch.zeros(BATCH)
        loss: Tensor = F.binary_cross_entropy_with_logits(critic(real), ones)
        loss = loss + F.binary_cross_entropy_with_logits(critic(fake.detach()), zeros)
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
        loss = F.binary_cross_entropy_with_logits(critic(fake), ones)
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()
    return time.process_time() - started


def own_loop(task: GanTask, schedule: Schedule, steps: int) -> float:
    """The same of designkit's loop; its looks are left out, as the plain loop takes none."""
    with tempfile.TemporaryDirectory() as folder:
        started = seconds = 0.0
        reports = train(task, schedule, Path(folder))
        for step, _ in enumerate(reports):
            if step == 2:
                started = time.process_time()
            if step == steps + 2:
                seconds = time.process_time() - started
                reports.close()
        return seconds


def _read(data: bytes) -> Tensor:
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 127.5 - 1


def _as_files(task: GanTask) -> list[bytes]:
    files: list[bytes] = []
    for pixels in task.samples.values.permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        files.append(file.getvalue())
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    schedule = Schedule(
        steps=10**6, batch_size=BATCH, learning_rate=2e-4, beta1=0.5, beta2=0.999, weight_decay=0.0, warmup_steps=0,
        gradient_clip=float("inf"), ema_decay=0.99, checkpoint_minutes=60,
    )  # fmt: skip
    recipe = GanRecipe(
        kind="gan", name="speed", data=SampleData(source="scenes", count=COUNT, side_px=64, held_out=0),
        network=GanNetwork(backbone="dcgan", latent_dim=100, widths=WIDTHS, discriminator_normalisation="batch"),
        game=GanGame(loss="non-saturating"), training=schedule,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        task = build_task(recipe, Path(folder))
    files = _as_files(task)
    ways: dict[str, Callable[[], float]] = {
        "plain loop, fp32": lambda: plain_loop(files, arguments.steps),
        **{
            f"designkit, {precision}": lambda precision=precision: own_loop(
                task, schedule.model_copy(update={"precision": precision}), arguments.steps
            )
            for precision in ("fp32", "bf16")
        },
    }
    seconds = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            seconds[name].append(way())
    print("| loop | pictures a second of one core | over the plain loop |")
    print("|---|---|---|")
    speeds = {name: BATCH * arguments.steps / min(each) for name, each in seconds.items()}
    for name, speed in speeds.items():
        print(f"| {name} | {speed:.0f} | {speed / speeds['plain loop, fp32']:.2f} |")


if __name__ == "__main__":
    main()
