"""`designkit finetune` and `models convert`: what is refused before anything runs, and the whole way to a picture."""

from __future__ import annotations

import json
from pathlib import Path

import designkit
from tests.cli.commands import run, run_json
from tests.generators import tiny_pipelines
from tests.training.brand_pictures import write_pictures

TINY = (
    "training.steps=2", "training.batch_size=2", "training.precision=fp32", "previews.count=1", "previews.steps=1",
    "report=false",
    "rank=2", "training.learning_rate=0.05", "gradient_checkpointing=false",
)  # fmt: skip


def test_pictures_without_captions_are_all_named_and_nothing_is_written(tmp_path: Path) -> None:
    write_pictures(tmp_path / "brand", captions=False)
    document = run_json("finetune", "brand", cwd=tmp_path, code=2)
    assert [error["file"] for error in document["errors"]] == [f"{number}.png" for number in range(8)]
    assert all("--instance-prompt" in error["fix"] for error in document["errors"])
    assert not (tmp_path / "outputs" / "brand-lora" / "adapter.safetensors").exists()


def test_the_check_shows_the_set_scores_it_and_stops(tmp_path: Path) -> None:
    write_pictures(tmp_path / "brand", captions=False)
    (tmp_path / "brand" / "broken.png").write_bytes(b"")
    document = run_json("finetune", "brand", "--check", cwd=tmp_path, code=2)
    assert (len(document["pictures"]), len(document["errors"])) == (8, 8)
    assert 0 < document["score"] < 80
    done = run("finetune", "brand", "--check", "--instance-prompt", "lumen brand design", cwd=tmp_path)
    assert done.returncode == 0
    assert "score of the set" in done.stdout
    assert "broken.png is empty" in done.stdout
    assert sorted(path.name for path in (tmp_path / "outputs" / "brand-lora").iterdir()) == [
        "cache", "check.json", "quarantine.txt",
    ]  # fmt: skip
    named = run("finetune", "brand", cwd=tmp_path)
    assert named.returncode == 2
    assert all(f"{number}.png" in named.stderr for number in range(8))
    assert "8 pictures without a caption, listed above" in named.stderr


def test_from_pictures_to_a_drawn_prompt_file_and_to_another_tool(tmp_path: Path) -> None:
    write_pictures(tmp_path / "brand")
    tiny_pipelines.save("StableDiffusionPipeline", tmp_path / "model")
    settings = [part for setting in TINY for part in ("--set", setting)]
    told = run_json("finetune", "brand", "--model", "model", "--out", "lumen", *settings, cwd=tmp_path)
    assert told["use"] == "model: {name: model, adapters: [{path: lumen, weight: 0.8}]}"
    assert told["steps"] == 2
    (tmp_path / "with.yaml").write_text(f"prompt: zurvi can\nsizes: [64x64]\n{told['use']}\n")
    (tmp_path / "without.yaml").write_text("prompt: zurvi can\nsizes: [64x64]\nmodel: {name: model}\n")
    drawn = run_json("generate", "with.yaml", "without.yaml", cwd=tmp_path)
    hashes = {
        json.loads((tmp_path / entry["folder"] / "manifest.jsonl").read_text().splitlines()[-1])["pixels_sha256"]
        for entry in drawn["runs"]
    }
    assert len(hashes) == 2
    converted = run_json("models", "convert", "lumen", "--to", "kohya", cwd=tmp_path)
    assert Path(converted["file"]).name == "lumen-kohya.safetensors"
    again = run("finetune", "brand", "--model", "starter", "--out", "lumen", cwd=tmp_path)
    assert again.returncode == 2
    assert "model was model, not starter" in again.stderr


def test_a_report_is_made_at_the_end_and_again_by_its_own_command(tmp_path: Path) -> None:
    write_pictures(tmp_path / "brand")
    model = tiny_pipelines.save("StableDiffusionPipeline", tmp_path / "model")
    (model / "designkit.json").write_text('{"native_sizes": ["64x64"], "any_size": true, "defaults": {"steps": 1}}')
    settings = [part for setting in (*TINY, "report=true") for part in ("--set", setting)]
    told = run_json("finetune", "brand", "--model", "model", "--out", "lumen", *settings, cwd=tmp_path)
    assert told["report"] == "lumen/report.html"
    document = json.loads((tmp_path / "lumen" / "report.json").read_text())
    assert (document["pictures"], document["model"], len(document["pairs"])) == (8, "model", 12)
    assert {measure["key"] for measure in document["measures"]} >= {"palette_distance", "likeness[design:1]", "leak"}
    (tmp_path / "brand").rename(tmp_path / "elsewhere")
    refused = run("evaluate", "lumen", cwd=tmp_path)
    assert refused.returncode == 2
    assert "8 of its pictures cannot be read" in refused.stderr
    again = run("evaluate", "lumen", "--reference", "elsewhere", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "Colours" in again.stdout
    assert "lumen/report.html" in again.stdout


def test_a_script_iterates_over_the_steps(tmp_path: Path) -> None:
    write_pictures(tmp_path / "brand")
    model = tiny_pipelines.save("StableDiffusionPipeline", tmp_path / "model")
    steps = designkit.finetune(tmp_path / "brand", model=str(model), out=tmp_path / "lumen", settings=TINY, threads=1)
    assert [step.report.step for step in steps] == [1, 2]
    assert (tmp_path / "lumen" / "adapter.safetensors").is_file()
