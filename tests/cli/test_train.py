"""`designkit train`: what is said before anything runs, stopping by a signal, and going on."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from designkit.cli.commands import app
from designkit.cli.train import FAMILIES
from designkit.models.checkpoint import load_checkpoint
from designkit.training.config import change_recipe, read_recipe, recipe_text
from tests.cli.commands import run, run_json, start

TINY = """\
kind: diffusion
name: tiny
sizes: [64x64]
text_encoder: {width: 32, layers: 1, num_captions: 300, training: {steps: 5000, batch_size: 4, precision: fp32}}
denoiser: {channels: [32, 32, 32], num_scenes: 8, num_simple_scenes: 4, training: {steps: 1}}
"""


def test_a_signal_lets_the_step_end_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    process = start("train", "diffusion", "tiny.yaml", "--out", "out", cwd=tmp_path, env={"OMP_NUM_THREADS": "1"})
    assert process.stderr is not None
    shown = next(line for line in process.stderr if line.startswith("text encoder  step"))
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 143, rest
    assert "Finishing this step, then saving" in rest
    assert "designkit train diffusion tiny.yaml --out out" in rest.splitlines()[-1]
    saved = load_checkpoint(tmp_path / "out" / "checkpoints" / "text-encoder")
    match = re.search(r"step ([\d,]+)", shown)
    assert saved is not None
    assert match is not None
    assert saved.counters["step"] >= int(match[1].replace(",", ""))
    assert (tmp_path / "out" / "checkpoints" / "text-encoder" / "curves.png").exists()
    assert read_recipe(tmp_path / "out" / "recipe.yaml") == read_recipe(tmp_path / "tiny.yaml")


def test_what_was_found_is_said_before_anything_runs(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"")
    (folder / "page.jpg").write_text("<html>")
    done = run("train", "gan", "pictures", cwd=tmp_path)
    assert done.returncode == 2
    assert "2 left out (they stay where they are)" in done.stderr
    assert "broken.png is empty (0 bytes)" in done.stderr
    assert "page.jpg is a web page" in done.stderr
    document = run_json("train", "gan", "nowhere", cwd=tmp_path, code=2)
    assert [problem["code"] for problem in document["errors"]] == ["file-missing"]


@pytest.mark.parametrize("kind", [kind for kind, family in FAMILIES.items() if family.load_preset])
@pytest.mark.parametrize("num_pictures", [100, 500, 5000])
def test_a_preset_is_a_recipe_that_can_be_written_down_and_changed(
    kind: str, num_pictures: int, tmp_path: Path
) -> None:
    family = FAMILIES[kind]
    assert family.load_preset is not None
    preset = family.load_preset()("pictures", num_pictures, side_px=32, name="brand")
    (tmp_path / "recipe.yaml").write_text(recipe_text(preset))
    assert read_recipe(tmp_path / "recipe.yaml", model=family.load_recipe()) == preset
    changed = change_recipe(preset, ["training.steps=7", "seed=3"])
    assert (changed.training.steps, changed.seed, changed.data) == (7, 3, preset.data)


def test_a_folder_of_pictures_becomes_a_model_that_goes_on_with_the_recipe_it_was_begun_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("designkit.models.device.free_cores", lambda: 1)
    (tmp_path / "pictures").mkdir()
    for number in range(12):
        Image.new("RGB", (10, 10), (20 * number, 99, 200 - 10 * number)).save(tmp_path / "pictures" / f"{number}.png")
    command = ["train", "gan", "pictures", "--out", "brand", "--json"]
    sets = ["training.steps=2", "training.batch_size=4", "training.precision=fp32"]
    done = CliRunner().invoke(app, [*command, *(part for each in sets for part in ("--set", each))])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["data"]["pictures"] == 12
    assert "12 pictures" in done.stderr
    again = json.loads(CliRunner().invoke(app, command).stdout)
    assert (again["model"], again["steps"]) == ("brand", 0)
