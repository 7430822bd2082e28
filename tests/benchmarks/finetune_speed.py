"""Fine-tuning beside diffusers' own example scripts: steps a second and peak memory, on the same model and pictures.

    git clone https://github.com/huggingface/diffusers
    pip install datasets
    python tests/benchmarks/finetune_speed.py --scripts diffusers/examples [--steps 40] [--rounds 3] [--model starter]

Each side trains the same twelve pictures with the same rank, layers, batch, precision and rate, in processes of their
own that take turns. A side's time of a step is the difference between a long and a short training over the difference
of their steps, so that starting and saving do not count. Memory is the process's largest resident set. The scripts
need torchvision for resizing and cropping; where it is not installed, the few transforms that they use are stood in
for by Pillow's.
"""

# pyright: basic
from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from designkit.generators.catalog import find_card
from designkit.models.device import free_cores
from tests.benchmarks.brand_finetune import NAME, draw_brand

SHORT_STEPS = 12  # more than the ten looks of a run, so that a long one has no more of them
RANK, BATCH, RATE = 4, 4, 1e-4

TRANSFORMS = '''
"""The transforms that diffusers' example scripts use, by Pillow and torch."""
import enum, random
import numpy as np, torch
from PIL import Image

class InterpolationMode(enum.Enum):
    NEAREST, BILINEAR, BICUBIC, LANCZOS = "nearest", "bilinear", "bicubic", "lanczos"

class Compose:
    def __init__(self, steps): self.steps = steps
    def __call__(self, picture):
        for step in self.steps: picture = step(picture)
        return picture

class Lambda:
    def __init__(self, function): self.function = function
    def __call__(self, picture): return self.function(picture)

class Resize:
    def __init__(self, size, interpolation=InterpolationMode.BILINEAR):
        self.size, self.mode = size, getattr(Image.Resampling, interpolation.name)
    def __call__(self, picture):
        scale = self.size / min(picture.size)
        return picture.resize((round(picture.width * scale), round(picture.height * scale)), self.mode)

class CenterCrop:
    def __init__(self, size): self.size = size
    def __call__(self, picture):
        left, top = (picture.width - self.size) // 2, (picture.height - self.size) // 2
        return picture.crop((left, top, left + self.size, top + self.size))

class RandomCrop(CenterCrop):
    def __call__(self, picture):
        left, top = (random.randint(0, side - self.size) for side in picture.size)
        return picture.crop((left, top, left + self.size, top + self.size))

class RandomHorizontalFlip:
    def __call__(self, picture):
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else picture

class ToTensor:
    def __call__(self, picture):
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255

class Normalize:
    def __init__(self, mean, std): self.mean, self.std = mean[0], std[0]
    def __call__(self, tensor): return (tensor - self.mean) / self.std
'''

STARTER = """
import runpy, sys
import diffusers, peft, transformers  # these must not meet the stand-in
import transformers.image_utils, transformers.models.clip.modeling_clip
from peft import LoraConfig
sys.path.append({stand_in!r})
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One process: how long it took, and its largest resident set."""

    seconds: float
    peak_mib: float


def run(command: list[str], *, environment: dict[str, str], log: Path) -> Run:
    """Run a command to its end; raises RuntimeError with the end of its output where it fails."""
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{log.read_text(errors='replace')[-2000:]}")
    return Run(seconds=time.monotonic() - started, peak_mib=usage.ru_maxrss / 1024)


def designkit_command(model: str, pictures: Path, out: Path, *, steps: int, side_px: int, precision: str) -> list[str]:
    """Our side: looks with one preview of one step, as many in a short training as in a long one."""
    settings = {
        "rank": RANK, "layers": "attention", "gradient_checkpointing": "false", "data.held_out": 0,
        "data.keep": "[]", "data.caption_dropout": 0, "data.resolution_px": side_px, "report": "false",
        "previews.count": 1, "previews.steps": 1,
        "training.steps": steps, "training.batch_size": BATCH, "training.learning_rate": RATE,
        "training.warmup_steps": 0, "training.cooldown": 0, "training.precision": precision,
    }  # fmt: skip
    overrides = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    return [
        sys.executable, "-m", "designkit", "finetune", str(pictures), "--model", model, "--out", str(out), *overrides
    ]  # fmt: skip


def script_command(
    script: Path, folder: str, pictures: Path, out: Path, *, steps: int, side_px: int, precision: str
) -> list[str]:
    """The other side: one of diffusers' scripts, no validation, no checkpoints in between."""
    shared = [
        "--pretrained_model_name_or_path", folder, "--output_dir", str(out), "--resolution", str(side_px),
        "--train_batch_size", str(BATCH), "--max_train_steps", str(steps), "--learning_rate", str(RATE),
        "--rank", str(RANK), "--lr_scheduler", "constant", "--lr_warmup_steps", "0", "--center_crop",
        "--checkpointing_steps", "1000000", "--mixed_precision", "bf16" if precision == "bf16" else "no",
    ]  # fmt: skip
    if "dreambooth" in script.name:
        own = ["--instance_data_dir", str(pictures), "--instance_prompt", f"{NAME} brand"]
    else:
        own = ["--train_data_dir", str(pictures), "--image_column", "image", "--caption_column", "text"]
    return [str(script), *shared, *own]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scripts", type=Path, required=True, help="diffusers' examples folder")
    parser.add_argument("--model", default="starter")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    arguments = parser.parse_args()
    folder = find_card(arguments.model).folder
    assert folder is not None
    scripts = {
        "train_text_to_image_lora.py": arguments.scripts / "text_to_image" / "train_text_to_image_lora.py",
        "train_dreambooth_lora.py": arguments.scripts / "dreambooth" / "train_dreambooth_lora.py",
    }
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        pictures = scratch / "pictures"
        draw_brand(pictures)
        bare = scratch / "bare"  # the script that reads a folder's every file as a picture
        bare.mkdir()
        for file in pictures.glob("*.png"):
            (bare / file.name).write_bytes(file.read_bytes())
        interpreter = [sys.executable]
        if find_spec("torchvision") is None:
            package = scratch / "stand-in" / "torchvision"
            package.mkdir(parents=True)
            (package / "__init__.py").write_text("")
            (package / "transforms.py").write_text(TRANSFORMS)
            (scratch / "starter.py").write_text(STARTER.format(stand_in=str(package.parent)))
            interpreter.append(str(scratch / "starter.py"))
        environment = {
            **os.environ, "PYTHONPATH": str(Path.cwd()), "HF_HUB_OFFLINE": "1", "HF_HOME": str(scratch / "home"),
            "OMP_NUM_THREADS": str(free_cores()),
        }  # fmt: skip
        options = {"side_px": arguments.side, "precision": arguments.precision}

        def measure(side: str, number: int) -> tuple[float, float]:
            """Seconds a step and peak memory of a side, in one turn."""
            runs: list[Run] = []
            for steps in (SHORT_STEPS, SHORT_STEPS + arguments.steps):
                out = scratch / f"{side}-{number}-{steps}"
                if side == "designkit":
                    command = designkit_command(arguments.model, pictures, out, steps=steps, **options)
                else:
                    source = bare if "dreambooth" in side else pictures
                    command = interpreter + script_command(
                        scripts[side], str(folder), source, out, steps=steps, **options
                    )
                runs.append(run(command, environment=environment, log=scratch / f"{side}.log"))
            return (runs[1].seconds - runs[0].seconds) / arguments.steps, max(each.peak_mib for each in runs)

        sides = ["designkit", *scripts]
        measured: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
        for number in range(arguments.rounds):
            for side in sides:
                measured[side].append(measure(side, number))
                seconds, peak = measured[side][-1]
                print(f"round {number + 1}  {side:30} {1 / seconds:6.2f} steps/s  {peak:6.0f} MiB", flush=True)
    ours = measured["designkit"]
    for side in scripts:
        ratios = [theirs[0] / own[0] for own, theirs in zip(ours, measured[side], strict=True)]
        memory = [own[1] / theirs[1] for own, theirs in zip(ours, measured[side], strict=True)]
        summary = {
            "beside": side, "speed_ratio": round(statistics.median(ratios), 2),
            "speed_ratios": [round(ratio, 2) for ratio in ratios], "memory_ratio": round(statistics.median(memory), 2),
        }  # fmt: skip
        print(json.dumps(summary))


if __name__ == "__main__":
    main()
