# pyright: basic, reportPrivateImportUsage=false
"""What users of fine-tuning tools suffer from, pain by pain: the bad input, and what mends it here.

Each test begins with the number of its pain. What is tested at length elsewhere is named in ELSEWHERE, and a test
makes sure that it is there.
"""

from __future__ import annotations

import ast
import json
import os
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from designkit.errors import InputRefused, TrainingStopped
from designkit.generators.adapter_formats import AdapterWeights, adapter_bytes, read_adapter
from designkit.generators.catalog import find_card
from designkit.training.config import change_recipe
from designkit.training.data import survey
from designkit.training.finetuning.check import check_pictures, write_check
from designkit.training.finetuning.finetune import finetune
from designkit.training.finetuning.kept import Kept
from designkit.training.finetuning.pictures import BucketOrder, brand_pictures, choose_examples, read_pixels
from designkit.training.finetuning.previews import Previews
from designkit.training.finetuning.recipe import FinetuneData, finetune_preset
from designkit.training.finetuning.task import FinetuneTask, Inputs
from designkit.values import Adapter, ImageRequest, Size
from tests.generators import tiny_pipelines
from tests.generators.requests import open_tiny
from tests.training.brand_pictures import write_pictures
from tests.training.odd_pictures import linear_profile, saved, transparent

ROOT = Path(__file__).parents[2]
STARTER = find_card("starter")

ELSEWHERE = {
    "7 resume is not exact": [
        "tests/training/test_finetuning.py::test_stopped_and_resumed_in_the_middle_of_a_round_gives_the_same_bytes",
        "tests/training/test_finetuning_methods.py::test_stopped_and_resumed_in_the_middle_of_a_round_gives_the_same_bytes",
        "tests/training/test_loop.py::test_a_stop_between_the_parts_of_a_batch_loses_that_step_and_nothing_else",
    ],
    "8 checkpoints are half-written": [
        "tests/training/test_loop.py::test_kills_while_checkpoints_are_written_leave_a_whole_one_and_the_same_end",
        "tests/training/test_loop.py::test_a_damaged_checkpoint_is_passed_over_with_a_word",
    ],
    "10 an adapter does not load in other tools": [
        "tests/training/test_finetuning.py::test_what_was_learned_draws_alike_in_every_layout_loaded_by_diffusers",
        "tests/training/test_finetuning_methods.py::test_what_is_written_draws_in_diffusers_what_was_learned",
    ],
    "11 an adapter loads at the wrong strength": [
        "tests/training/test_finetuning.py::test_an_alpha_that_is_not_the_rank_is_folded_into_the_weights",
        "tests/training/test_finetuning.py::test_an_adapter_that_does_not_load_again_as_it_was_stops_before_training",
    ],
    "15 no metrics, no best state": [
        "tests/training/test_finetuning.py::test_the_state_with_the_least_held_out_loss_is_kept_not_the_last",
        "tests/evaluation/test_adapter_report.py::test_the_palette_is_that_of_the_pictures_and_the_distance_to_it_is_ciede2000",
        "tests/evaluation/test_adapter_report.py::test_pictures_learned_by_heart_are_found_and_shown_beside_their_originals",
    ],
    "also: several processes hang while saving": [
        "tests/training/test_processes.py::test_both_end_with_the_same_weights_statistics_included",
    ],
}  # fmt: skip


@pytest.mark.parametrize("pain", ELSEWHERE)
def test_what_is_tested_elsewhere_is_tested_there(pain: str):
    for name in ELSEWHERE[pain]:
        file, _, function = name.partition("::")
        functions = {
            node.name for node in ast.parse((ROOT / file).read_text()).body if isinstance(node, ast.FunctionDef)
        }
        assert function in functions, name


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pipelines.save("StableDiffusionPipeline", tmp_path_factory.mktemp("models") / "tiny")


def recipe_for(model: Path, pictures: Path, *overrides: str):
    preset = finetune_preset(str(pictures), 8, model=str(model), num_parameters=None, method="lora", name="zurvi")
    tiny = (
        "training.steps=3", "training.batch_size=2", "training.precision=fp32", "training.warmup_steps=1", "rank=2",
        "training.learning_rate=0.01", "training.ema_decay=0", "previews.count=1", "previews.steps=1",
        "data.resolution_px=64", "gradient_checkpointing=false",
    )  # fmt: skip
    return change_recipe(preset, [*tiny, *overrides])


def learn(recipe, out: Path) -> list[str]:
    """Train to the end; what was noted on the way."""
    return [note for step in finetune(recipe, out) for note in step.report.notes]


def examples(folder: Path, **data):
    sizes = {"sizes": [Size(width=64, height=64)], "grid_px": 8, "is_any_size": True}
    brand = choose_examples(survey(folder), FinetuneData(folder=str(folder), **{"held_out": 0, **data}), **sizes)
    return {example.item.name: example for example in (*brand.training, *brand.held_out)}


def picture(seed: int, side: int = 96) -> Image.Image:
    rng = np.random.default_rng(seed)
    cells = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return cells.resize((side, side), Image.Resampling.BICUBIC)


def test_1_captions_are_found_wherever_other_tools_put_them_or_their_lack_is_refused(tmp_path: Path):
    def write(name: str, captions: dict[str, str]) -> dict[str, str]:
        folder = tmp_path / name
        folder.mkdir()
        for letter in "ab":
            picture(ord(letter)).save(folder / f"{letter}.png")
        for file, text in captions.items():
            (folder / file).write_text(text)
        return {example.item.name: example.caption for example in examples(folder).values()}

    expected = {"a.png": "lumen can", "b.png": "lumen jar"}
    lines = [json.dumps({"file_name": name, "text": text}) for name, text in expected.items()]
    assert write("metadata", {"metadata.jsonl": "\n".join(lines)}) == expected
    assert write("column", {"metadata.jsonl": "\n".join(lines).replace("text", "prompt")}) == expected
    assert write("table", {"metadata.csv": "file_name,text\na.png,lumen can\nb.png,lumen jar\n"}) == expected
    assert write("texts", {"a.txt": "lumen can\n", "b.txt": "\ufefflumen jar"}) == expected
    assert write("kohya", {"a.caption": "lumen can", "b.caption": "lumen jar"}) == expected
    with pytest.raises(InputRefused) as refusal:
        write("half", {"a.txt": "lumen can", "b.txt": "  \n"})
    (problem,) = refusal.value.problems
    assert (problem.file, "--instance-prompt" in (problem.fix or "")) == ("b.png", True)


def test_2_a_kohya_folder_works_from_outside_and_from_inside_and_loose_pictures_are_told(tmp_path: Path):
    inner = tmp_path / "10_lumen can"
    inner.mkdir()
    picture(1).save(inner / "a.png")
    assert [example.caption for example in examples(tmp_path).values()] == ["lumen can"]
    assert [example.caption for example in examples(inner).values()] == ["lumen can"]
    (tmp_path / "more").mkdir()
    picture(2).save(tmp_path / "more" / "b.png")
    with pytest.raises(InputRefused, match="has no caption"):
        examples(tmp_path)
    found = check_pictures(survey(tmp_path), FinetuneData(folder="."), STARTER)
    assert any("'more' are not named <repeats>_<words>" in note for note in found.notes)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputRefused, match="no usable picture here"):
        examples(tmp_path / "empty")


def test_3_a_bad_picture_is_named_and_left_where_it_is_and_the_others_are_learned_from(tmp_path: Path):
    folder = write_pictures(tmp_path / "pictures")
    (folder / "bad.jpg").write_bytes(saved(picture(1, 200), "JPEG")[:900])
    (folder / "bad.txt").write_text("zurvi can")
    for name in (".DS_Store", "Thumbs.db", "._0.png", "notes.docx"):
        (folder / name).write_bytes(b"\0\5\x16\7 no picture")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    found = survey(folder)
    brand = brand_pictures(found, FinetuneData(folder=str(folder)), STARTER)
    names = {example.item.name for example in (*brand.training, *brand.held_out)}
    assert names == {f"{number}.png" for number in range(8)}
    write_check(check_pictures(found, FinetuneData(folder=str(folder)), STARTER), tmp_path)
    assert (tmp_path / "quarantine.txt").read_text() == "bad.jpg\tis cut off after 900 bytes\n"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_4_wide_gamuts_cmyk_and_transparency_are_learned_in_the_colours_that_people_see(tmp_path: Path):
    flat = Image.new("RGB", (64, 64), (128, 60, 60))
    flat.save(tmp_path / "wide.png", icc_profile=linear_profile())
    flat.save(tmp_path / "plain.png")
    flat.convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    transparent().resize((64, 64), Image.Resampling.NEAREST).save(tmp_path / "clear.png")
    found = examples(tmp_path, instance_prompt="lumen can")

    def middle(name: str, ground: str = "white") -> list[int]:
        pixels = read_pixels(found[name], ground=ground)
        return [round(float(level + 1) * 127.5) for level in pixels[:, pixels.shape[1] // 2, -8]]

    assert middle("plain.png") == [128, 60, 60]
    encoded = [round(255 * (1.055 * (v / 255) ** (1 / 2.4) - 0.055)) for v in (128, 60, 60)]  # IEC 61966-2-1
    assert np.abs(np.subtract(middle("wide.png"), encoded)).max() <= 2
    assert np.abs(np.subtract(middle("print.jpg"), (128, 60, 60))).max() <= 6
    assert middle("clear.png", "#0b7a75") == [11, 122, 117]
    remarks = {line.name: line for line in check_pictures(survey(tmp_path), FinetuneData(folder="."), STARTER).pictures}
    assert "converted to sRGB by its ICC profile" in remarks["wide.png"].remarks
    assert remarks["print.jpg"].colour == "CMYK, no profile"
    assert remarks["clear.png"].has_alpha


def test_4_the_built_in_srgb_profile_changes_nothing(tmp_path: Path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture(3).save(tmp_path / "tagged.png", icc_profile=profile)
    picture(3).save(tmp_path / "untagged.png")
    found = examples(tmp_path, instance_prompt="lumen can")
    tagged, untagged = (read_pixels(found[name], ground="white") for name in ("tagged.png", "untagged.png"))
    assert torch.equal(tagged, untagged)


def test_5_a_picture_that_is_alone_in_its_size_is_learned_from_as_often_as_any_other():
    sizes = [Size(width=width, height=height) for width, height in ((64, 64), (64, 64), (96, 64), (64, 96))]
    order = BucketOrder(sizes, seed=0)
    seen = Counter(row for step in range(4) for row in order.rows(step, 16))  # a batch is larger than the whole set
    assert seen == dict.fromkeys(range(4), 16)


def inputs_of(folder: Path, cache: Path, made: list[str], **data) -> dict[str, torch.Tensor]:
    """What is kept of every picture and caption, with encoders that note that they were asked."""
    family = SimpleNamespace(
        encode=lambda pipeline, pixels: (made.append("latents"), pixels.mean(dim=(2, 3), keepdim=True))[1],
        read=lambda pipeline, captions: (made.append(captions[0]), {"embeds": torch.ones(1, len(captions[0]))})[1],
    )
    pipeline = SimpleNamespace(
        vae=SimpleNamespace(dtype=torch.float32), text_encoder=SimpleNamespace(dtype=torch.float32)
    )
    recipe = SimpleNamespace(data=FinetuneData(folder=str(folder), held_out=0, **data))
    inputs = Inputs(pipeline, family, Kept(cache, "revision"), recipe)  # pyright: ignore[reportArgumentType]
    found = {}
    for name, example in examples(folder, **data).items():
        found[name] = inputs.latents(example)
        inputs.text(example.caption)
    return found


def test_6_what_was_computed_once_is_computed_anew_when_what_it_came_from_changes(tmp_path: Path):
    folder, made = tmp_path / "pictures", []
    folder.mkdir()
    picture(1).save(folder / "a.png")
    (folder / "a.txt").write_text("a can")
    first = inputs_of(folder, tmp_path / "cache", made)
    assert made == ["latents", "a can"]
    inputs_of(folder, tmp_path / "cache", made)
    assert made == ["latents", "a can"]
    (folder / "a.txt").write_text("lumen a can")  # the brand's word is put before captions
    inputs_of(folder, tmp_path / "cache", made)
    assert made[2:] == ["lumen a can"]
    picture(2).save(folder / "a.png")
    assert not torch.equal(inputs_of(folder, tmp_path / "cache", made)["a.png"], first["a.png"])
    inputs_of(folder, tmp_path / "cache", made, ground="black")
    inputs_of(folder, tmp_path / "cache", made, resolution_px=32)
    assert made[3:] == ["latents"] * 3


def test_6_a_file_that_changed_behind_an_old_date_is_looked_at_anew(tmp_path: Path):
    file, cache = tmp_path / "pictures" / "a.bmp", tmp_path / "cache"
    file.parent.mkdir()
    picture(1).save(file)
    status, before = file.stat(), survey(file.parent, cache=cache).entries[0].sha256
    picture(2).save(file)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_size == status.st_size
    assert survey(file.parent, cache=cache).entries[0].sha256 != before


def test_6_captions_longer_than_the_model_reads_are_told_with_what_is_lost(tmp_path: Path):
    picture(1).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("lumen can on teal " + "and a stripe " * 30 + "at the end")
    found = check_pictures(survey(tmp_path), FinetuneData(folder="."), STARTER)
    assert found.pictures[0].words_cut[-3:] == ("at", "the", "end")
    assert "caption is cut before" in found.text()
    assert "1 are longer than the model reads" in found.text()


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("out of memory"), ValueError("a size that cannot be")])
def test_9_a_preview_that_fails_does_not_end_the_training(model, pictures, tmp_path, monkeypatch, error):
    def fail(self) -> None:
        raise error

    monkeypatch.setattr(Previews, "draw", fail)
    notes = learn(recipe_for(model, pictures), tmp_path / "out")
    reason = "memory did not suffice" if isinstance(error, RuntimeError) else "a size that cannot be"
    assert sum(f"no preview at step {step}: {reason}" in note for step in range(4) for note in notes) >= 2
    assert json.loads((tmp_path / "out" / "config.json").read_text())["kind"] == "adapter"
    assert any(
        bool(tensor.any()) for name, tensor in read_adapter(tmp_path / "out").tensors.items() if "lora_B" in name
    )


def test_9_where_memory_runs_out_in_training_batches_are_computed_in_parts_with_a_word(
    model, pictures, tmp_path, monkeypatch
):
    loss = FinetuneTask.loss

    def hungry(self, batch):
        if len(batch["times"]) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return loss(self, batch)

    monkeypatch.setattr(FinetuneTask, "loss", hungry)
    notes = learn(recipe_for(model, pictures), tmp_path / "out")
    assert any("1 of 2 rows are computed at once; what is learned stays the same" in note for note in notes)
    monkeypatch.undo()
    learn(recipe_for(model, pictures, "training.micro_batch=1"), tmp_path / "told")
    assert (tmp_path / "out" / "adapter.safetensors").read_bytes() == (
        tmp_path / "told" / "adapter.safetensors"
    ).read_bytes()


def test_12_text_encoders_are_called_as_other_tools_expect_whatever_transformers_calls_them():
    flattened = "text_encoder.encoder.layers.0.self_attn.q_proj"  # transformers from 5.6 on
    tensors = {f"{flattened}.lora_{side}.weight": torch.ones(2, 2) for side in "AB"}
    unet = {f"unet.mid_block.attentions.0.proj_in.lora_{side}.weight": torch.ones(2, 2) for side in "AB"}
    data = adapter_bytes(AdapterWeights(tensors={**tensors, **unet}), "kohya")
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    stem = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    assert {name for name in header if name.startswith("lora_te")} == {
        f"{stem}.{end}" for end in ("alpha", "lora_down.weight", "lora_up.weight")
    }


def test_13_a_preview_is_what_generating_with_the_adapter_draws(model, pictures, tmp_path, monkeypatch):
    drawn: list[tuple[Previews, list[Image.Image]]] = []
    draw = Previews.draw

    def watched(self):
        drawn.append((self, draw(self)))
        return drawn[-1][1]

    monkeypatch.setattr(Previews, "draw", watched)
    strong = ("training.learning_rate=0.3", "layers=all", "data.held_out=0")
    learn(recipe_for(model, pictures, *strong), tmp_path / "out")
    previews, (last,) = drawn[-1]
    (request,) = previews.requests
    worn = ImageRequest(**{**request.__dict__, "adapters": (Adapter(path=str(tmp_path / "out")),)})
    (generated,) = open_tiny(model).generate([worn])
    difference = np.abs(np.asarray(generated.image, int) - np.asarray(last, int))
    assert difference.max() <= 1
    (plain,) = open_tiny(model).generate([request])
    assert np.abs(np.asarray(plain.image, int) - np.asarray(last, int)).max() > 5


def test_14_a_first_update_that_is_no_number_ends_the_rehearsal_with_what_to_try(
    model, pictures, tmp_path, monkeypatch
):
    loss = FinetuneTask.loss
    monkeypatch.setattr(FinetuneTask, "loss", lambda self, batch: (loss(self, batch)[0] * float("nan"), {}))
    with pytest.raises(TrainingStopped, match=r"no number.*training\.precision=fp32"):
        learn(recipe_for(model, pictures), tmp_path / "out")


def test_14_a_step_that_is_no_number_is_left_out_and_the_adapter_is_all_numbers(model, pictures, tmp_path, monkeypatch):
    loss, calls = FinetuneTask.loss, iter(range(1000))

    def sometimes(self, batch):
        value, measured = loss(self, batch)
        return (value * float("nan") if next(calls) == 2 else value), measured

    monkeypatch.setattr(FinetuneTask, "loss", sometimes)
    notes = learn(recipe_for(model, pictures), tmp_path / "out")
    assert any("skipped" in note or "left out" in note for note in notes), notes
    assert all(bool(tensor.isfinite().all()) for tensor in read_adapter(tmp_path / "out").tensors.values())


def test_also_the_header_tells_nothing_of_the_pictures_unless_it_is_asked_to(model, tmp_path):
    folder = write_pictures(tmp_path / "secret-launch")
    (folder / "metadata.jsonl").write_text(
        '{"file_name": "0.png", "text": "zurvi can, hidden", "creator": "A. Maker", "licence": "CC-BY-4.0"}\n'
    )
    learn(recipe_for(model, folder), tmp_path / "private")
    words = ("hidden", "can number", "A. Maker", "secret-launch", "0.png")
    told = (tmp_path / "private" / "adapter.safetensors").read_bytes() + (
        tmp_path / "private" / "README.md"
    ).read_bytes()
    assert not [word for word in words if word.encode() in told]
    learn(recipe_for(model, folder, "header=open"), tmp_path / "open")
    header = read_adapter(tmp_path / "open").header
    assert header["modelspec.trigger_phrase"] == "zurvi number"
    assert (header["modelspec.author"], header["designkit.picture_licences"]) == ("A. Maker", "CC-BY-4.0")
    assert json.loads(header["ss_tag_frequency"])["pictures"]["hidden"] == 1
    assert "zurvi can number 3" in json.loads(header["designkit.captions"])
    assert not [word for word in ("secret-launch", "0.png") if word in json.dumps(dict(header))]
