"""What prompts ask for beyond their words, as a plan sees it: adapters by name, weights, and what is refused."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from designkit.batch.plan import Plan, make_plan, read_prompts
from designkit.errors import InputRefused, ModelRefused
from designkit.generators.base import ModelCard
from designkit.values import Adapter, Size

CARD = ModelCard(
    name="tiny",
    family="stable-diffusion",
    revision="abc",
    licence="Apache-2.0",
    native_sizes=(Size(width=128, height=128),),
    accepts=frozenset({"negative", "adapters", "word_weights"}),
)
PLAIN = replace(CARD, name="plain", accepts=frozenset({"adapters"}))


def write_adapter(path: Path, tensor: str = "unet.to_q.lora_A.weight") -> Path:
    """A safetensors file with one small tensor of this name."""
    header = json.dumps({tensor: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + path.name.encode()[:4].ljust(4))
    return path


def plan_of(folder: Path, text: str, card: ModelCard = CARD) -> Plan:
    path = folder / "file.yaml"
    path.write_text(text, encoding="utf-8")
    (file,) = read_prompts([str(path)])
    return make_plan(file, card=card)


def test_adapters_are_found_beside_the_file_and_leave_the_prompt(tmp_path: Path):
    beside = write_adapter(tmp_path / "teal.safetensors")
    below = write_adapter(tmp_path / "adapters" / "soft look" / "pytorch_lora_weights.safetensors").parent
    loras = write_adapter(tmp_path / "loras" / "sub" / "v1.2.safetensors")
    plan = plan_of(tmp_path, 'prompt: "a can <lora:teal:0.8>, red, <lora:soft look>, <lora:sub/v1.2:-0.5>"\n')
    (request,) = plan.requests()
    assert request.prompt == "a can, red"
    assert request.adapters == (
        Adapter(path=str(beside), weight=0.8), Adapter(path=str(below)), Adapter(path=str(loras), weight=-0.5),
    )  # fmt: skip


def test_adapters_may_vary_by_axis_and_set_the_id(tmp_path: Path):
    write_adapter(tmp_path / "teal.safetensors")
    write_adapter(tmp_path / "coral.safetensors")
    text = 'prompt: "a can {look}"\naxes: {look: {no: "", teal: "<lora:teal:1>", coral: "<lora:coral:1>"}}\n'
    plan = plan_of(tmp_path, text)
    requests = list(plan.requests())
    assert [request.prompt for request in requests] == ["a can"] * 3
    assert [len(request.adapters) for request in requests] == [0, 1, 1]
    assert len({request.id for request in requests}) == plan.count == 3
    # A tag elsewhere in the prompt is the same picture.
    twice = plan_of(tmp_path, 'prompt: "{<lora:teal:1> a can|a can, <lora:teal:1>}"\n')
    assert [request.id for request in twice.requests()] == [requests[1].id]
    assert twice.count == 1
    # And so is the same adapter named in the file.
    listed = plan_of(tmp_path, "prompt: a can\nmodel: {adapters: [teal.safetensors]}\n")
    assert [request.id for request in listed.requests()] == [requests[1].id]


def test_a_missing_adapter_is_a_model_problem_with_the_nearest_name(tmp_path: Path):
    write_adapter(tmp_path / "adapters" / "teal-look.safetensors")
    with pytest.raises(ModelRefused) as caught:
        plan_of(tmp_path, "kind: ad\nprompt: a can <lora:teal-lok:1> <lora:../secret:1>\n")
    first, second = caught.value.problems
    assert (first.code, first.line, first.key) == ("adapter-missing", 2, "prompt")
    assert (first.message, first.fix) == ("there is no adapter named 'teal-lok'", "did you mean teal-look?")
    assert second.message == "there is no adapter named '../secret'"
    assert caught.value.exit_code == 7


def test_a_file_that_is_no_adapter_is_refused(tmp_path: Path):
    write_adapter(tmp_path / "whole.safetensors", tensor="unet.weight")
    with pytest.raises(ModelRefused, match="none of its tensors belongs to a LoRA"):
        plan_of(tmp_path, "prompt: a can <lora:whole:1>\n")


@pytest.mark.parametrize(
    ("prompt", "code", "message"),
    [
        ("a [red:blue:0.5] can", "prompt-scheduling", "[red:blue:0.5] would change the prompt while the picture is"),
        ("a [red|blue] can", "prompt-scheduling", "[red|blue] would change the prompt"),
        ("a (red:40) can", "word-weight", "(red:40) counts too strongly"),
        ("a can <lora:x:y>", "adapter-tag", "<lora:x:y> names no adapter and strength"),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_the_prompt(tmp_path: Path, prompt: str, code: str, message: str):
    with pytest.raises(InputRefused) as caught:
        plan_of(tmp_path, f"kind: ad\nprompt: '{prompt}'\n")
    (problem,) = caught.value.problems
    assert (problem.code, problem.line, problem.key) == (code, 2, "prompt")
    assert problem.message.startswith(message)
    assert problem.fix


def test_adapters_stand_in_the_prompt_of_models_that_take_them(tmp_path: Path):
    with pytest.raises(InputRefused, match=r"file\.yaml:2:negative: <lora:x:1> stands in the negative prompt"):
        plan_of(tmp_path, "prompt: a can\nnegative: <lora:x:1>\n")
    with pytest.raises(InputRefused, match="draft takes no adapters, and the prompt names <lora:x:1>"):
        plan_of(tmp_path, "prompt: a can <lora:x:1>\n", replace(CARD, name="draft", accepts=frozenset()))


def test_models_that_cannot_weigh_words_say_so_once(tmp_path: Path):
    text = "prompt: 'a ({colour}:1.3) can'\nnegative: (blurry:1.2)\naxes: {colour: [red, blue]}\n"
    assert plan_of(tmp_path, text).warnings == ()
    found = [problem for problem in plan_of(tmp_path, text, PLAIN).warnings if problem.key == "prompt"]
    assert [(problem.code, problem.line) for problem in found] == [("weights-not-accepted", 1)]
    assert found[0].message.endswith("it reads 'a red can'")


def test_a_bracket_without_a_partner_is_read_as_it_stands_and_told(tmp_path: Path):
    (problem,) = plan_of(tmp_path, "prompt: a (red can\n").warnings
    assert (problem.code, problem.message) == (
        "unmatched-bracket", "( has no partner in 'a (red can', so it is read as a character",
    )  # fmt: skip
    assert plan_of(tmp_path, "prompt: 'smile \\(: (red) can'\n").warnings == ()
