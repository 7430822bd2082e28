"""Files that are heavier than a format allows, and sizes and brands of one's own on their way through a plan."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from designkit.batch.generate import generate
from designkit.batch.plan import make_plan, read_prompts
from designkit.errors import InputRefused
from designkit.generators import open_generator
from designkit.values import Size

PROMPTS = """\
prompt: "a {brand.sun} lemon on {brand.primary}"
brand: lumen
formats: my-sizes.yaml
sizes: [shop/tiny, shop/roomy, 40x40, iab/120x60]
model: draft
"""
KIT = """\
color: {palette: {sun: "#FCD438", teal: "#0B7A75"}, primary: teal}
designkit: {palette: {teal: {word: deep teal}}}
"""
SIZES = """\
sizes:
  shop/tiny: {px: 64x48, max_kb: 0.3}
  shop/roomy: {px: 64x64, max_kb: 300}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "brands" / "lumen").mkdir(parents=True)
    (tmp_path / "brands" / "lumen" / "brand.yaml").write_text(KIT)
    (tmp_path / "my-sizes.yaml").write_text(SIZES)
    (tmp_path / "ad.yaml").write_text(PROMPTS)
    return tmp_path


def refused(path: Path) -> list[tuple[str | None, int | None, str]]:
    with pytest.raises(InputRefused) as caught:
        make_plan(read_prompts([str(path)])[0])
    return [(Path(problem.file or "").name, problem.line, problem.code) for problem in caught.value.problems]


def test_own_sizes_and_the_words_of_a_brand_reach_the_requests(place: Path):
    (file,) = read_prompts([str(place / "ad.yaml")])
    plan = make_plan(file)
    requests = list(plan.requests())
    assert [str(request.size) for request in requests] == ["64x48", "64x64", "40x40", "120x60"]
    assert {request.prompt for request in requests} == {"a golden yellow lemon on deep teal"}
    assert {str(size): limit.name for size, limit in plan.limits.items()} == {
        "64x48": "shop/tiny",
        "64x64": "shop/roomy",
        "120x60": "iab/120x60",
    }
    assert plan.warnings == ()


def test_the_strictest_of_formats_of_one_size_counts(place: Path):
    (place / "ad.yaml").write_text("prompt: a\nmodel: draft\nsizes: [google/970x90, iab/970x90, 970x90]\n")
    plan = make_plan(read_prompts([str(place / "ad.yaml")])[0])
    (limit,) = plan.limits.values()
    assert (plan.count, limit.name, limit.max_bytes) == (1, "google/970x90", 150_000)


def test_files_that_are_too_heavy_are_told_in_manifest_and_report_also_when_nothing_is_drawn(place: Path):
    plan = make_plan(read_prompts([str(place / "ad.yaml")])[0])
    reports = [generate(plan, open_generator("draft"), place / "run") for _ in range(2)]
    records = [json.loads(line) for line in (place / "run" / "manifest.jsonl").read_text().splitlines()]
    heavy = {f"{record['width']}x{record['height']}": record["warnings"] for record in records if record["warnings"]}
    ((size, (warning,)),) = heavy.items()
    assert size == "64x48"
    assert warning.startswith("too-heavy: ")
    assert [report.num_made for report in reports] == [4, 0]
    for report in reports:
        (problem,) = report.too_heavy
        assert problem.code == "too-heavy"
        assert problem.message.startswith("1 of 1 file of shop/tiny is heavier than the 0 kB")


def test_a_limit_changes_neither_ids_nor_bytes(place: Path):
    plan = make_plan(read_prompts([str(place / "ad.yaml")])[0])
    generate(plan, open_generator("draft"), place / "limited")
    (place / "ad.yaml").write_text(
        "prompt: a golden yellow lemon on deep teal\nsizes: [64x48, 64x64, 40x40, 120x60]\nmodel: draft\n"
    )
    generate(make_plan(read_prompts([str(place / "ad.yaml")])[0]), open_generator("draft"), place / "free")
    made = [
        {path.name: path.read_bytes() for path in (place / run / "images").iterdir()} for run in ("limited", "free")
    ]
    assert made[0] == made[1]


def test_mistakes_in_own_sizes_and_brand_are_told_with_those_of_the_prompt_file(place: Path):
    (place / "my-sizes.yaml").write_text("sizes:\n  shop/tiny: {mm: 3}\n")
    (place / "brands" / "lumen" / "brand.yaml").write_text("color: {primry: teal}\n")
    (place / "ad.yaml").write_text(PROMPTS + "sead: 3\n")
    assert set(refused(place / "ad.yaml")) == {
        ("ad.yaml", 6, "extra-forbidden"),
        ("my-sizes.yaml", 2, "size-unit"),
        ("brand.yaml", 1, "colour-role"),
    }


def test_unknown_sizes_and_words_of_the_brand_are_told_with_the_nearest(place: Path):
    (place / "ad.yaml").write_text(PROMPTS.replace("shop/tiny", "shop/tny").replace("brand.sun", "brand.snu"))
    with pytest.raises(InputRefused) as caught:
        read_prompts([str(place / "ad.yaml")])
    assert [(problem.line, problem.fix) for problem in caught.value.problems] == [
        (1, "did you mean 'brand.sun'?"),
        (4, "did you mean 'shop/tiny'?"),
    ]


def test_a_size_of_ones_own_that_takes_a_known_name_is_told(place: Path):
    (place / "my-sizes.yaml").write_text("sizes: {square: {px: 48x48}}\n")
    (place / "ad.yaml").write_text("prompt: a\nformats: my-sizes.yaml\nsizes: square\nmodel: draft\n")
    plan = make_plan(read_prompts([str(place / "ad.yaml")])[0])
    assert list(plan.drawn) == [Size(width=48, height=48)]
    assert [(problem.code, problem.line) for problem in plan.warnings] == [("format-replaced", 2)]


def test_a_brand_may_be_a_tokens_file(place: Path):
    tokens = {"color": {"$type": "color", "sun": {"$value": "#FCD438"}, "primary": {"$value": "{color.sun}"}}}
    (place / "lumen.json").write_text(json.dumps(tokens))
    (place / "ad.yaml").write_text(PROMPTS.replace("brand: lumen", "brand: lumen.json"))
    (request, *_) = make_plan(read_prompts([str(place / "ad.yaml")])[0]).requests()
    assert request.prompt == "a golden yellow lemon on golden yellow"


def test_a_colour_that_the_starter_has_no_word_for_is_told(place: Path):
    (place / "brands" / "lumen" / "brand.yaml").write_text(
        'color: {palette: {sun: "#FCD438", mint: "#8FFF9F"}, primary: mint}\n'
    )
    (place / "ad.yaml").write_text(PROMPTS.replace("model: draft", "model: starter"))
    warnings = make_plan(read_prompts([str(place / "ad.yaml")])[0]).warnings
    (far,) = [problem for problem in warnings if problem.code == "colour-word-far"]
    assert (far.line, far.key) == (1, "prompt")
    assert far.message.startswith("{brand.primary} is #8FFF9F")


def test_the_adapter_of_a_brand_is_left_out_with_a_warning_where_a_model_takes_none(place: Path):
    kit = place / "brands" / "lumen"
    save_file({"unet.mid.lora_A.weight": np.zeros((1, 1), np.float32)}, kit / "lora.safetensors")
    (kit / "brand.yaml").write_text(KIT.replace("designkit: {", "designkit: {adapter: lora.safetensors, "))
    plan = make_plan(read_prompts([str(place / "ad.yaml")])[0])
    assert [(problem.code, problem.line) for problem in plan.warnings] == [("brand-adapter-left-out", 2)]
    assert plan.file.model.adapters == ()
    starter = make_plan(read_prompts([str(place / "ad.yaml")], overrides=["model=starter"])[0])
    assert [Path(adapter.path).name for adapter in starter.file.model.adapters] == ["lora.safetensors"]
