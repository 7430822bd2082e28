"""Kill trainings without warning, most of them while a checkpoint is being written, and resume them.

    python -m tests.training.killing --kills 20
    python -m tests.training.killing --kills 20 --finetune lokr

After every kill a whole checkpoint has to be there that loads, and no older than the newest one before the kill. At
the end the weights have to be those of a training that nobody disturbed, to the last bit. The number of kills and
every fault is printed; the exit code is 1 if there was one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from designkit.errors import DesignkitError
from designkit.models.checkpoint import load_checkpoint
from designkit.training.finetuning.recipe import Method
from designkit.training.loop import train
from tests.generators import tiny_pipelines
from tests.training.brand_pictures import write_pictures
from tests.training.tasks import WideTask, schedule, write_weights

STEPS = 15


@dataclass
class Tally:
    """What a series of kills did."""

    num_kills: int = 0
    num_while_writing: int = 0
    num_runs: int = 0
    faults: list[str] = field(default_factory=list[str])


def run_finetuning(folder: Path, method: Method) -> None:
    """Fine-tune the tiny model beside the folder on the pictures there, with a checkpoint at every step."""
    from tests.training.tiny_finetunings import recipe_for, run

    place = folder.parent
    overrides = [f"training.steps={STEPS}", "training.checkpoint_minutes=0.000001", "previews.count=1"]
    out = run(recipe_for(place / "model", place / "pictures", *overrides, method=method), folder)
    written = out / "model" / "unet" / "diffusion_pytorch_model.safetensors"
    shutil.copy(written if method == "full" else out / "adapter.safetensors", folder.with_suffix(".safetensors"))


def run_training(folder: Path) -> None:
    """Train to the end, with a checkpoint at every step, and write the weights beside the folder."""
    task = WideTask()
    list(train(task, schedule(steps=STEPS, learning_rate=1e-3), folder))
    write_weights(task.module, folder.with_suffix(".safetensors"))


def kill_and_resume(place: Path, *, num_kills: int, seed: int, method: Method | None = None) -> Tally:
    """Kill trainings below `place` that many times in all, each resumed to its end; fine-tunings by a method, if given.

    The checkpoints are those of the folder, or of `checkpoints` in it.
    """
    chance = random.Random(seed)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    if method is not None:
        processes.set_forkserver_preload([__name__, "tests.training.tiny_finetunings", "diffusers.loaders"])
        tiny_pipelines.save("StableDiffusionPipeline", place / "model")
        write_pictures(place / "pictures")
    run_whole = run_training if method is None else partial(run_finetuning, method=method)
    run_whole(place / "whole")
    expected = (place / "whole.safetensors").read_bytes()
    tally = Tally()
    while tally.num_kills < num_kills:
        folder = place / f"killed-{tally.num_runs}"
        tally.num_runs += 1
        newest = -1
        kept = folder if method is None else folder / "checkpoints"
        while not folder.with_suffix(".safetensors").exists():
            process = processes.Process(target=run_whole, args=(folder,))
            process.start()
            if tally.num_kills < num_kills and newest < STEPS - 2:
                _wait_for_some_instant(kept, chance)
                process.kill()
            process.join()
            if process.exitcode == -9:
                tally.num_kills += 1
                tally.num_while_writing += any(kept.glob("partial-*"))
                newest = _check(kept, newest, tally)
            elif process.exitcode != 0:
                tally.faults.append(f"{folder.name}: exit code {process.exitcode}")
                return tally
        if folder.with_suffix(".safetensors").read_bytes() != expected:
            tally.faults.append(f"{folder.name}: the weights differ")
    return tally


def _wait_for_some_instant(folder: Path, chance: random.Random) -> None:
    """Wait for the writing of a checkpoint to begin, a few times, and then for a random moment within it."""
    deadline = time.monotonic() + 60
    for _ in range(chance.randint(1, 3)):
        while not any(folder.glob("partial-*")) and time.monotonic() < deadline:
            time.sleep(0.0005)
        time.sleep(chance.uniform(0.0, 0.02))


def _check(folder: Path, newest: int, tally: Tally) -> int:
    """The step of the newest checkpoint; faults where it is gone, damaged, or older than it was."""
    try:
        found = load_checkpoint(folder)
    except DesignkitError as error:
        tally.faults.append(f"{folder.name}: {error}")
        return newest
    if found is None:
        if newest >= 0:
            tally.faults.append(f"{folder.name}: every checkpoint is gone")
        return newest
    if found.notes:
        tally.faults.append(f"{folder.name}: {found.notes}")
    if found.counters["step"] < newest:
        tally.faults.append(f"{folder.name}: step {found.counters['step']} after step {newest} was safe")
    return int(found.counters["step"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--finetune", metavar="METHOD", help="kill fine-tunings by this method")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        tally = kill_and_resume(Path(place), num_kills=options.kills, seed=options.seed, method=options.finetune)
    print(
        f"{tally.num_kills} kills over {tally.num_runs} trainings, {tally.num_while_writing} of them while a "
        f"checkpoint was being written; {len(tally.faults)} faults"
    )
    print("\n".join(tally.faults))
    sys.exit(bool(tally.faults))


if __name__ == "__main__":
    main()
