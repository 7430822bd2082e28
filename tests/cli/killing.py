"""Kill `designkit generate` without warning at random instants, start it again each time, and compare.

    python -m tests.cli.killing --kills 100
    python -m tests.cli.killing --kills 10 --model starter --images 12

A run of sixty drafts (or of another model's pictures) is killed by SIGKILL until that many kills have hit it (a
finished run is begun anew in another folder), always carried on by the same command. At the end of each run every
file has to be as in a run that nobody disturbed, but for the timings in the manifest.
The number of kills and what was lost is printed; the exit code is
1 if anything was lost, doubled or damaged.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.cli.commands import files, run, start

NUM_IMAGES = 60

PROMPTS = """\
prompt: "a {colour} {thing} on a {ground} ground"
axes:
  colour: [red, teal, yellow, navy, mint]
  thing: [can, bottle, carton, jar]
  ground: [white, orange, dotted]
sizes: [256x256]
model: draft
"""


@dataclass
class Tally:
    """What a series of kills did."""

    num_kills: int = 0
    num_runs: int = 0
    kills_by_images_done: list[int] = field(default_factory=list[int])
    faults: list[str] = field(default_factory=list[str])


def kill_and_compare(
    place: Path, *, num_kills: int, seed: int, model: str = "draft", num_images: int = NUM_IMAGES
) -> Tally:
    """Kill runs below `place` that many times in all; every fault found is a line of the tally."""
    chance = random.Random(seed)
    (place / "kill.yaml").write_text(PROMPTS)
    command = ["generate", "kill.yaml", "--model", model, "--limit", str(num_images), "--out"]
    # Left to itself, each run would measure anew which precision pays.
    environment = {"OMP_NUM_THREADS": "1"}
    command[1:1] = ["--precision", "auto" if model == "draft" else "fp32"]
    whole = run(*command, "whole", cwd=place, env=environment, timeout=None)
    assert whole.returncode == 0, whole.stderr
    expected = files(place / "whole" / "kill")
    tally = Tally()
    while tally.num_kills < num_kills:
        out = f"killed-{tally.num_runs}"
        tally.num_runs += 1
        is_finished = False
        while not is_finished:
            process = start(*command, out, cwd=place, env=environment)
            # A run that has all its pictures is let go on every other time, or it would be killed for ever.
            has_all = _num_recorded(place / out / "kill") == num_images
            if tally.num_kills < num_kills and not (has_all and chance.random() < 0.5):
                _wait_for_some_instant(process, place / out / "kill", chance, num_images)
                process.send_signal(signal.SIGKILL)
            _, stderr = process.communicate()
            is_finished = process.returncode == 0
            if process.returncode == -signal.SIGKILL:
                tally.num_kills += 1
                tally.kills_by_images_done.append(_num_recorded(place / out / "kill"))
            elif not is_finished:
                tally.faults.append(f"{out}: exit code {process.returncode}: {stderr}")
                break
        tally.faults += _differences(out, expected, files(place / out / "kill"))
    return tally


def _wait_for_some_instant(
    process: subprocess.Popen[str], folder: Path, chance: random.Random, num_images: int
) -> None:
    """Wait until a random number of images more is recorded (or none, or all), and then for a random moment.

    So kills fall into starting, drawing and finishing alike, however fast the machine is.
    """
    num_more = chance.choice([-1, -1, -1, *range(1, max(2, num_images // 3)), num_images])
    if num_more < 0:
        time.sleep(chance.uniform(0.0, 0.3))
        return
    goal = min(num_images, _num_recorded(folder) + num_more)
    while _num_recorded(folder) < goal and process.poll() is None:
        time.sleep(0.001)
    time.sleep(chance.uniform(0.0, 0.02 if goal < num_images else 0.5))


def _num_recorded(folder: Path) -> int:
    manifest = folder / "manifest.jsonl"
    return manifest.read_bytes().count(b"\n") if manifest.exists() else 0


def _differences(name: str, expected: dict[str, bytes], found: dict[str, bytes]) -> list[str]:
    faults = [f"{name}: {file} is lost" for file in expected.keys() - found.keys()]
    faults += [f"{name}: {file} is not part of it" for file in found.keys() - expected.keys()]
    faults += [f"{name}: {file} differs" for file in expected.keys() & found.keys() if expected[file] != found[file]]
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="draft")
    parser.add_argument("--images", type=int, default=NUM_IMAGES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        tally = kill_and_compare(
            Path(place),
            num_kills=options.kills,
            seed=options.seed,
            model=str(Path(options.model).resolve()) if Path(options.model).exists() else options.model,
            num_images=options.images,
        )
    done = tally.kills_by_images_done
    print(f"{tally.num_kills} kills over {tally.num_runs} runs of {options.images} images; {len(tally.faults)} faults")
    print(
        f"images safe when killed: {sum(n == 0 for n in done)} times none, {sum(0 < n < options.images for n in done)} "
        f"times some, {sum(n == options.images for n in done)} times all (the sheet or the page was being made)"
    )
    print("\n".join(tally.faults))
    sys.exit(bool(tally.faults))


if __name__ == "__main__":
    main()
