# pyright: basic, reportPrivateImportUsage=false
"""How fast `designkit generate` is: against a plain loop over diffusers, and against the bare denoising loop.

    python tests/benchmarks/speed.py [--model starter] [--images 100] [--steps 20] [--rounds 3]

Both sides draw the same prompts, steps, guidance and sizes and write PNG files; each is a process of its own,
started anew, importing included. Sides alternate; the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
COLOURS = ("red", "yellow", "blue", "green", "teal", "orange", "pink", "purple", "white", "black")
SUBJECTS = ("lemon", "strawberry", "fish", "cat", "tree", "house", "star", "cup", "bottle", "can")

# What a plain user writes, with the settings that make it draw the same as designkit.
PLAIN_LOOP = """
import json, sys
import torch
from diffusers import DiffusionPipeline
work = json.loads(sys.argv[1])
pipeline = DiffusionPipeline.from_pretrained(work["folder"], dtype=getattr(torch, work["dtype"]))
pipeline.set_progress_bar_config(disable=True)
for number, prompt in enumerate(work["prompts"]):
    image = pipeline(
        prompt, width=work["width"], height=work["height"], num_inference_steps=work["steps"],
        generator=torch.Generator("cpu").manual_seed(number), **work["settings"],
    ).images[0]
    image.save(f"{work['out']}/{number:04}.png")
"""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What every side draws."""

    model: str
    folder: str
    prompts: list[str]
    width: int
    height: int
    steps: int
    settings: dict[str, float]
    rounds: int

    @property
    def size(self) -> str:
        return f"{self.width}x{self.height}"


def main() -> None:
    """Measure and print; see the module's description."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--images", type=int, default=100, help="at most 100")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    job = make_job(options)
    seconds = measure_sides(job)
    print(f"{job.model}: {len(job.prompts)} images of {job.size}, {job.steps} steps, {os.cpu_count()} cores")
    print_sides(job, seconds)
    print_overhead(job, seconds)


def make_job(options: argparse.Namespace) -> Job:
    """The prompts and settings that all sides share, from the model's own card."""
    from designkit.generators.catalog import find_card, read_facts

    card = find_card(options.model)
    assert card.folder is not None, f"{options.model} has no folder"
    defaults = read_facts(card.folder).defaults
    return Job(
        model=options.model,
        folder=str(card.folder),
        prompts=[f"a {colour} {subject}" for colour, subject in itertools.product(COLOURS, SUBJECTS)][: options.images],
        width=card.native_sizes[0].width,
        height=card.native_sizes[0].height,
        steps=options.steps,
        settings={
            "guidance_scale": card.default_guidance or 1.0,
            **{name: value for name, value in defaults.items() if name == "guidance_rescale"},
        },
        rounds=options.rounds,
    )


def measure_sides(job: Job) -> dict[str, float]:
    """Median seconds of each side, drawn in turns, and of designkit on a quarter of the images."""
    quarter = replace(job, prompts=job.prompts[: max(1, len(job.prompts) // 4)])
    with tempfile.TemporaryDirectory() as place:
        sides = {
            "designkit generate": lambda: run_designkit(job, Path(place)),
            "plain loop, fp32": lambda: run_plain(job, "float32", Path(place)),
            "plain loop, bf16": lambda: run_plain(job, "bfloat16", Path(place)),
            "a quarter": lambda: run_designkit(quarter, Path(place)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(job.rounds):
            for name, run in sides.items():
                seconds[name].append(run())
    return {name: statistics.median(times) for name, times in seconds.items()}


def print_sides(job: Job, seconds: dict[str, float]) -> None:
    """Whole times of both sides, and how they compare."""
    whole = seconds["designkit generate"]
    for name in ("designkit generate", "plain loop, fp32", "plain loop, bf16"):
        print(f"{name:20} {seconds[name]:7.2f} s  {len(job.prompts) / seconds[name]:6.2f} images/s")
    for name in ("plain loop, fp32", "plain loop, bf16"):
        print(f"designkit is {seconds[name] / whole:.2f} times as fast as the {name}")


def print_overhead(job: Job, seconds: dict[str, float]) -> None:
    """The whole command over nothing but the denoising of the same batches, on all cores, in both ways."""
    whole, count = seconds["designkit generate"], len(job.prompts)
    each = (whole - seconds["a quarter"]) / (count - max(1, count // 4))
    print(f"starting up and ending takes {whole - each * count:.2f} s of it, each image {each:.3f} s")
    for name, side_by_side in (("one call after the other", False), ("calls side by side, as designkit does", True)):
        bare = run_bare_loop(job, side_by_side=side_by_side)
        print(
            f"bare denoising loop, {name}: {bare:.2f} s; the whole command takes {whole / bare:.2f} times that, "
            f"each further image {each * count / bare:.2f} times"
        )


def run_designkit(job: Job, place: Path) -> float:
    """Seconds of `designkit generate` from nothing to the last picture on disk."""
    work = Path(tempfile.mkdtemp(dir=place))
    (work / "prompts.txt").write_text("\n".join(job.prompts) + "\n")
    command = [
        *(sys.executable, "-m", "designkit", "generate", "prompts.txt", "--model", job.model),
        *("--set", f"sizes=[{job.size}]", "--set", f"model.steps={job.steps}"),
    ]
    seconds, _ = timed(command, cwd=work)
    check_pictures(work / "outputs" / "prompts" / "images", len(job.prompts))
    return seconds


def run_plain(job: Job, dtype: str, place: Path) -> float:
    """Seconds of a script that loads the model and draws one prompt after the other."""
    out = Path(tempfile.mkdtemp(dir=place))
    work = json.dumps({**asdict(job), "dtype": dtype, "out": str(out)})
    seconds, _ = timed([sys.executable, "-W", "ignore", "-c", PLAIN_LOOP, work], cwd=out)
    check_pictures(out, len(job.prompts))
    return seconds


def run_bare_loop(job: Job, *, side_by_side: bool) -> float:
    """Median seconds of `bare_loop` in a process of its own, whose threads wait in the best way found."""
    program = "import json, sys; from tests.benchmarks.speed import Job, bare_loop; "
    program += "print(bare_loop(Job(**json.loads(sys.argv[1])), side_by_side=json.loads(sys.argv[2])))"
    command = [sys.executable, "-W", "ignore", "-c", program, json.dumps(asdict(job)), json.dumps(side_by_side)]
    _, printed = timed(command, cwd=REPOSITORY, OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="1000")
    return float(printed.split()[-1])


def timed(command: list[str], *, cwd: Path, **settings: str) -> tuple[float, str]:
    """Seconds that a command takes, and what it printed; it is shown when the command fails."""
    # Without settings the plain side has torch's own defaults, and designkit's side what designkit chooses.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    environment = {**environment, **settings, "PYTHONPATH": str(REPOSITORY)}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return seconds, done.stdout


def check_pictures(folder: Path, count: int) -> None:
    """Open every picture again; as many as were asked for must be whole."""
    from PIL import Image

    pictures = sorted(folder.glob("*.png"))
    assert len(pictures) == count, f"{len(pictures)} pictures instead of {count}"
    for path in pictures:
        with Image.open(path) as picture:
            picture.load()


def bare_loop(job: Job, *, side_by_side: bool) -> float:
    """Median seconds of nothing but denoising the same batches: texts encoded before, latents never decoded."""
    import torch

    from designkit.generators import open_generator
    from designkit.generators.diffusion import DiffusionGenerator
    from designkit.generators.workers import run_side_by_side
    from designkit.models.device import free_cores

    generator = open_generator(job.model)
    assert isinstance(generator, DiffusionGenerator)
    size = int(str(generator.settings["batch_size"]))
    pipelines = generator._pipelines if side_by_side else generator._pipelines[:1]
    threads = free_cores() // len(pipelines)

    def denoise(pipeline: Any, embeddings: dict[str, Any]) -> None:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            pipeline(
                **embeddings, **job.settings, width=job.width, height=job.height, num_inference_steps=job.steps,
                generator=[torch.Generator().manual_seed(number) for number in range(size)], output_type="latent",
            )  # fmt: skip

    def denoise_share(worker: int) -> None:
        for embeddings in encoded[worker :: len(pipelines)]:
            denoise(pipelines[worker], embeddings)

    encoded = encode(pipelines[0], job.prompts, size)
    times = []
    for _ in range(job.rounds + 1):
        started = time.perf_counter()
        workers = range(len(pipelines))
        list(run_side_by_side(denoise_share, workers, num_workers=len(pipelines), stop=lambda: None))
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def encode(pipeline: Any, prompts: list[str], size: int) -> list[dict[str, Any]]:
    """The texts of each batch, the last one padded, as the pipeline's own arguments."""
    import torch

    encoded = []
    with torch.inference_mode():
        for start in range(0, len(prompts), size):
            texts = (prompts[start : start + size] + [prompts[-1]] * size)[:size]
            positive, negative = pipeline.encode_prompt(texts, "cpu", 1, True, [""] * size)
            encoded.append({"prompt_embeds": positive, "negative_prompt_embeds": negative})
    return encoded


if __name__ == "__main__":
    main()
