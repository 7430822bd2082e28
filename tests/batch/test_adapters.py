# pyright: basic
"""Adapters of a prompt file: what is refused or told of them before any weights load."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import designkit
from designkit.errors import ModelRefused

CARD = designkit.find_card("starter")


def write_adapter(folder: Path, captions: tuple[str, ...] = (), header: dict[str, str] | None = None) -> Path:
    folder.mkdir(parents=True)
    save_file({"unet.x.lora_A.weight": np.zeros((1, 2), np.float32)}, folder / "adapter.safetensors", header or {})
    if captions:
        listed = {"pictures": [{"caption": caption} for caption in captions]}
        (folder / "pictures.json").write_text(json.dumps(listed))
    return folder


def plan_for(tmp_path: Path, *adapters: str, prompt: str = "a zurvi apple", card=CARD):
    path = tmp_path / "ad.yaml"
    path.write_text(f"prompt: {prompt}\n\nmodel: {{name: starter, adapters: [{', '.join(adapters)}]}}\n")
    (file,) = designkit.read_prompts([str(path)])
    return designkit.make_plan(file, card=card)


def codes(plan) -> list[str]:
    return [problem.code for problem in plan.warnings]


def test_several_adapters_are_laid_over_the_model_in_their_order_each_at_its_weight(tmp_path: Path):
    for name in ("lumen", "stripes"):
        write_adapter(tmp_path / name)
    plan = plan_for(tmp_path, "{path: lumen, weight: 0.8}", "{path: stripes, weight: 0.3}")
    (request,) = plan.requests()
    assert [(Path(each.path).name, each.weight) for each in request.adapters] == [("lumen", 0.8), ("stripes", 0.3)]


def test_an_adapter_for_another_kind_of_model_is_refused_at_its_place(tmp_path: Path):
    write_adapter(tmp_path / "lumen", header={"designkit.pipeline": "StableDiffusionXLPipeline"})
    with pytest.raises(
        ModelRefused, match=r"ad\.yaml:3:model\.adapters: .*lumen was learned for StableDiffusionXL; star"
    ):
        plan_for(tmp_path, "lumen")


def test_an_adapter_learned_from_other_weights_of_the_model_is_told(tmp_path: Path):
    write_adapter(tmp_path / "old", header={"designkit.model_revision": "0123456789abcdef"})
    write_adapter(tmp_path / "new", header={"designkit.model_revision": CARD.revision})
    warnings = [each for each in plan_for(tmp_path, "old", "new").warnings if each.code == "adapter-other-weights"]
    assert len(warnings) == 1
    assert "old was learned from other weights (0123456789ab) than starter has now" in warnings[0].message


def test_words_that_an_adapter_has_taught_the_model_are_not_called_unknown(tmp_path: Path):
    write_adapter(tmp_path / "plain")
    write_adapter(tmp_path / "lumen", captions=("Zurvi brand, a can", "zurvi, a jar"))
    write_adapter(tmp_path / "open", header={"modelspec.trigger_phrase": "zurvi"})
    assert "unknown-word" in codes(plan_for(tmp_path, "plain"))
    assert "unknown-word" not in codes(plan_for(tmp_path, "lumen"))
    assert "unknown-word" not in codes(plan_for(tmp_path, "open"))
    assert "unknown-word" in codes(plan_for(tmp_path, "lumen", prompt="a zurvi xylofoon"))


def test_a_list_of_pictures_that_is_damaged_costs_nothing_but_a_warning(tmp_path: Path):
    write_adapter(tmp_path / "lumen")
    (tmp_path / "lumen" / "pictures.json").write_text("[{]")
    assert "unknown-word" in codes(plan_for(tmp_path, "lumen"))


def test_a_misspelt_adapter_is_answered_with_the_nearest_beside_it(tmp_path: Path):
    write_adapter(tmp_path / "lumen-lora")
    with pytest.raises(ModelRefused) as refusal:
        plan_for(tmp_path, str(tmp_path / "lumen-lroa"))
    assert refusal.value.problems[0].fix == f"did you mean {tmp_path / 'lumen-lora'}?"


def test_a_kit_brings_several_adapters_behind_those_of_the_file(tmp_path: Path):
    kit = tmp_path / "kit"
    for name in ("kit/look", "kit/mark", "own"):
        write_adapter(tmp_path / name)
    (kit / "brand.yaml").write_text(
        "meta: {name: Lumen}\ndesignkit:\n  adapter: {path: look, weight: 0.8}\n  adapters: [mark]\n"
    )
    path = tmp_path / "ad.yaml"
    path.write_text("brand: kit\nprompt: an apple\nmodel: {name: starter, adapters: [own]}\n")
    (file,) = designkit.read_prompts([str(path)])
    (request,) = designkit.make_plan(file, card=CARD).requests()
    assert [(Path(each.path).name, each.weight) for each in request.adapters] == [
        ("own", 1),
        ("look", 0.8),
        ("mark", 1),
    ]
    with_none = replace(CARD, accepts=CARD.accepts - {"adapters"})
    (file,) = designkit.read_prompts([str(path)], overrides=["model.adapters=[]"])
    assert "brand-adapter-left-out" in codes(designkit.make_plan(file, card=with_none))
