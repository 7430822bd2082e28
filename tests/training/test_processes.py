"""Two processes under `accelerate launch` learn what one would learn from the double batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from designkit.training.loop import train
from tests.generators import tiny_pipelines
from tests.training.brand_pictures import write_pictures
from tests.training.side_by_side import PLAN, TOGETHER
from tests.training.tasks import GameTask
from tests.training.tiny_finetunings import recipe_for, run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("together")
    (out / "pictures").mkdir()
    for level in range(6):
        Image.new("RGB", (9, 9), (40 * level, 9, 9)).save(out / "pictures" / f"{level}.png")
    write_pictures(out / "brand")
    tiny_pipelines.save("StableDiffusionPipeline", out / "model")
    # `--multi_gpu` is accelerate's word for its launcher of several processes; where there is no GPU they are gloo's.
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command += ["-m", "tests.training.side_by_side", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def test_both_end_with_the_same_weights_statistics_included(together: Path):
    for name in ("game", "statistics"):
        first, second = (load_file(together / f"{name}-{rank}.safetensors") for rank in (0, 1))
        frozen = {key for key in first if key.startswith("frozen")}
        assert all(torch.equal(first[key], second[key]) for key in first.keys() - frozen), name


def test_they_learn_what_one_process_learns_from_the_double_batch_up_to_rounding(together: Path, tmp_path: Path):
    alone = GameTask(has_batch_statistics=False)
    losses = [report.loss for report in train(alone, PLAN, tmp_path)]
    found = load_file(together / "game-0.safetensors")
    for name, tensor in alone.module.state_dict().items():
        if name != "calls":
            assert torch.allclose(tensor, found[name], atol=2e-4), name
    for rank in (0, 1):
        seen = json.loads((together / f"seen-{rank}.json").read_text())
        assert seen["losses"] == pytest.approx(losses, rel=1e-3)


def test_both_fine_tune_alike_and_as_one_does_up_to_rounding(together: Path, tmp_path: Path):
    run(recipe_for(together / "model", together / "brand", *TOGETHER, method="lokr"), tmp_path / "alone")
    alone = load_file(tmp_path / "alone" / "adapter.safetensors")
    first, second = (load_file(together / f"finetuning-{rank}.safetensors") for rank in (0, 1))
    assert first.keys() == second.keys() == alone.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    delivered = load_file(together / "finetuning" / "adapter.safetensors")
    assert all(torch.allclose(alone[name], delivered[name], atol=2e-4) for name in alone)


def test_what_one_process_lacks_or_measures_all_heed(together: Path):
    first, second = (json.loads((together / f"seen-{rank}.json").read_text()) for rank in (0, 1))
    assert second["rows"][:3] == [4, 2, 2]
    assert first["rows"][:4] == [4, 2, 2, 2]  # computed once in vain, then in halves like its neighbour
    assert first["timed steps"] == second["timed steps"] > 0
    assert first["pictures"] == second["pictures"]
