"""Prompt files out of pictures: what each tool wrote comes back as a file, and nothing in it is run or opened."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from designkit.batch.generate import generate
from designkit.batch.importing import find_scheduler, import_picture
from designkit.batch.plan import make_plan, read_prompts
from designkit.errors import InputRefused
from designkit.generators import open_generator
from designkit.generators.schedulers import SCHEDULERS
from designkit.generators.strength import parse_strength
from designkit.prompts.escaping import escape_template
from designkit.prompts.template import Text, parse_template
from designkit.runs.metadata import picture_texts
from designkit.runs.picture import encode_png
from designkit.values import ImageRequest, Record
from tests.batch.test_strength import CARD, write_adapter
from tests.runs.pictures import chunk, write_chunks, write_exif, write_png

FULL = replace(
    CARD, name="starter", accepts=frozenset({"negative", "steps", "guidance", "scheduler", "adapters", "word_weights"})
)


def read_back(text: str, folder: Path, card: Any = FULL) -> ImageRequest:
    """The one request of a prompt file."""
    path = folder / "back.yaml"
    path.write_text(text, encoding="utf-8")
    (file,) = read_prompts([str(path)])
    (request,) = make_plan(file, card=card, check_prompts=lambda card, prompts: ()).requests()
    return request


def keys_of(text: str) -> dict[str, str]:
    """The lines of a prompt file that are no comments, by what stands before their colon."""
    lines = [line.strip().partition(": ") for line in text.splitlines() if not line.startswith("#")]
    return {key: value for key, _, value in lines}


def record_of(request: ImageRequest) -> Record:
    return Record(
        id=request.id, status="done", file="a.png", file_sha256=None, pixels_sha256=None, prompt=request.prompt,
        negative=request.negative, choices=request.choices, seed=request.seed, width=request.size.width,
        height=request.size.height,
        settings={
            "steps": request.steps, "guidance": request.guidance, "scheduler": request.scheduler,
            "adapters": [{"path": each.path, "weight": each.weight} for each in request.adapters],
        },
        model={"name": FULL.name, "revision": FULL.revision, "licence": FULL.licence}, seconds=1.0,
    )  # fmt: skip


WEB_UI = """a (red:1.2) {can}, 50% off \\(new\\), __x__
# second line
Negative prompt: blurry, (bad:1.3)
more
Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 965400086, Size: 512x768, Model hash: 45dee52b, \
Model: dream, Clip skip: 2, Hires upscale: 2, Lora hashes: "a: 1, b: 2", Version: v1.9"""


def test_the_web_uis_text_comes_back_as_it_was_drawn(tmp_path: Path):
    found = import_picture(write_png(tmp_path / "a.png", parameters=WEB_UI))
    request = read_back(found.text, tmp_path)
    assert request.prompt == "a (red:1.2) {can}, 50% off \\(new\\), __x__\n# second line"
    assert request.negative == "blurry, (bad:1.3)\nmore"
    assert (request.size.width, request.size.height, request.seed) == (512, 768, 965400086)
    assert (request.steps, request.guidance, request.scheduler) == (20, 7.0, "dpm++-karras")
    assert found.notes == (
        "the second pass that enlarged it (Hires. fix) is not carried over", "Clip skip 2 is not carried over",
    )  # fmt: skip
    assert "# Its model was dream:" in found.text


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_the_web_uis_exif_is_read(tmp_path: Path, name: str):
    path = write_exif(tmp_path / name, b"UNICODE\0" + WEB_UI.encode("utf-16-be"))
    assert (
        import_picture(path).text.splitlines()[1:]
        == import_picture(write_png(tmp_path / "a.png", parameters=WEB_UI)).text.splitlines()[1:]
    )


def test_the_texts_of_stable_diffusion_cpp_are_read(tmp_path: Path):
    text = (
        "a lovely cat\nNegative prompt: ugly\nSteps: 20, CFG scale: 7.000000, Guidance: 3.5, Eta: 0.0, Seed: 42, "
        "Size: 512x512, Model: sd-v1-4.ckpt, RNG: cuda, Sampler: euler_a, Version: stable-diffusion.cpp"
    )
    # It writes UTF-8 into tEXt as it stands.
    path = write_chunks(tmp_path / "a.png", chunk(b"tEXt", b"parameters\0" + text.replace("cat", "Kätzchen").encode()))
    found = import_picture(path)
    request = read_back(found.text, tmp_path)
    assert found.settings.tool == "stable-diffusion.cpp"
    assert (request.prompt, request.scheduler, request.seed) == ("a lovely Kätzchen", "euler-a", 42)


GRAPH: dict[str, Any] = {
    "3": {"class_type": "KSampler", "inputs": {
        "seed": ["9", 0], "steps": 20, "cfg": 8.0, "sampler_name": "euler_ancestral", "scheduler": "normal",
        "denoise": 1, "model": ["10", 0], "positive": ["12", 0], "negative": ["7", 0], "latent_image": ["5", 0]}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "SD1\\v15.ckpt"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["8", 0], "clip": ["10", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "bad [hands]", "clip": ["10", 1]}},
    "8": {"class_type": "PrimitiveString", "inputs": {"value": "a can (red:1.2)"}},
    "9": {"class_type": "PrimitiveInt", "inputs": {"value": 1234}},
    "10": {"class_type": "LoraLoader", "inputs": {
        "lora_name": "looks/teal.safetensors", "strength_model": 0.7, "strength_clip": 1, "model": ["4", 0],
        "clip": ["4", 1]}},
    "11": {"class_type": "CLIPTextEncode", "inputs": {"text": "on teal", "clip": ["10", 1]}},
    "12": {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": ["6", 0], "conditioning_2": ["11", 0]}},
    "13": {"class_type": "KSampler", "inputs": {
        "seed": 9, "steps": 5, "cfg": 2, "sampler_name": "ddim", "scheduler": "normal", "denoise": 0.4,
        "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["3", 0]}},
}  # fmt: skip


def test_comfyuis_graph_is_followed_from_the_first_sampler(tmp_path: Path):
    found = import_picture(write_png(tmp_path / "a.png", prompt=json.dumps(GRAPH), workflow="{}"))
    write_adapter(tmp_path / "adapters" / "teal.safetensors")
    request = read_back(found.text, tmp_path)
    assert request.prompt == "a can (red:1.2), on teal"
    assert [(Path(each.path).name, each.weight) for each in request.adapters] == [("teal.safetensors", 0.7)]
    assert parse_strength(request.negative).text == "bad [hands]"
    assert (request.size.width, request.size.height, request.seed) == (512, 768, 1234)
    assert (request.steps, request.guidance, request.scheduler) == (20, 8.0, "euler-a")
    assert found.settings.model == "v15"
    assert found.notes == ("1 other samplers of its graph are not carried over",)


def test_comfyuis_flux_graph_is_followed_through_its_parts(tmp_path: Path):
    graph = {
        "1": {"class_type": "SamplerCustomAdvanced", "inputs": {
            "noise": ["2", 0], "guider": ["3", 0], "sampler": ["4", 0], "sigmas": ["5", 0], "latent_image": ["6", 0]}},
        "2": {"class_type": "RandomNoise", "inputs": {"noise_seed": 77}},
        "3": {"class_type": "BasicGuider", "inputs": {"model": ["8", 0], "conditioning": ["7", 0]}},
        "4": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "5": {"class_type": "BasicScheduler", "inputs": {"scheduler": "simple", "steps": 28, "model": ["8", 0]}},
        "6": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 1024, "height": 640}},
        "7": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["9", 0]}},
        "8": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.safetensors"}},
        "9": {"class_type": "CLIPTextEncode", "inputs": {"text": "a poster"}},
    }  # fmt: skip
    found = import_picture(write_png(tmp_path / "a.png", prompt=json.dumps(graph))).settings
    assert (found.prompt, found.negative, found.seed, found.steps) == ("a poster", "", 77, 28)
    assert (found.guidance, found.sampler, found.width, found.height) == (3.5, "euler", 1024, 640)
    assert found.model == "flux1-dev"


def test_comfyuis_drawn_graph_serves_where_the_other_is_missing(tmp_path: Path):
    def node(number: int, kind: str, values: list[Any], **links: int) -> dict[str, Any]:
        inputs = [{"name": name, "link": link} for name, link in links.items()]
        return {"id": number, "type": kind, "widgets_values": values, "inputs": inputs, "mode": 0}

    workflow = {
        "nodes": [
            node(3, "KSampler", [5, "randomize", 20, 8, "euler", "karras", 1], positive=1, negative=2, latent_image=3),
            node(6, "CLIPTextEncode", ["a can"]),
            node(7, "CLIPTextEncode", ["text"]),
            node(5, "EmptyLatentImage", [512, 256, 1]),
        ],
        "links": [[1, 6, 0, 3, 1, "CONDITIONING"], [2, 7, 0, 3, 2, "CONDITIONING"], [3, 5, 0, 3, 3, "LATENT"]],
    }
    found = import_picture(write_png(tmp_path / "a.png", workflow=json.dumps(workflow)))
    settings_ = found.settings
    assert (settings_.prompt, settings_.negative, settings_.seed, settings_.steps) == ("a can", "text", 5, 20)
    assert (settings_.width, settings_.height, settings_.guidance) == (512, 256, 8.0)
    assert found.notes == ("the schedule 'karras' is not carried over with euler",)


def test_invokeais_metadata_and_its_weights_are_read(tmp_path: Path):
    metadata = {
        "positive_prompt": "a red++ can, (two words)1.3 (plain) x-ray", "negative_prompt": "(bad art)--",
        "width": 512, "height": 640, "seed": 3, "cfg_scale": 7.5, "steps": 30, "scheduler": "dpmpp_2m_k",
        "model": {"key": "k", "name": "juggernaut"}, "loras": [{"model": {"name": "ink"}, "weight": 0.5}],
    }  # fmt: skip
    write_adapter(tmp_path / "ink.safetensors")
    found = import_picture(write_png(tmp_path / "a.png", invokeai_metadata=json.dumps(metadata)))
    request = read_back(found.text, tmp_path)
    assert request.prompt == r"a (red:1.21) can, (two words:1.3) \(plain\) x-ray"
    assert request.negative == "(bad art:0.81)"
    assert (request.scheduler, request.guidance, request.adapters[0].weight) == ("dpm++-karras", 7.5, 0.5)


def test_fooocus_json_is_read(tmp_path: Path):
    parameters = {
        "prompt": "a can", "negative_prompt": "blurry", "seed": "123", "steps": 30, "guidance_scale": 4,
        "resolution": "(1152, 896)", "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras",
        "base_model": "jug.safetensors",
        "loras": [["ink.safetensors", 0.1, "hash"]], "lora_combined_2": "gold : 0.25", "styles": "['Fooocus V2']",
    }  # fmt: skip
    path = write_png(tmp_path / "a.png", parameters=json.dumps(parameters), fooocus_scheme="fooocus")
    found = import_picture(path)
    assert keys_of(found.text)["prompt"] == '"a can <lora:ink:0.1> <lora:gold:0.25>"'
    assert (found.settings.width, found.settings.height, found.settings.seed) == (1152, 896, 123)
    assert "scheduler" in keys_of(found.text)
    assert any("Fooocus V2" in note for note in found.notes)


def test_swarmuis_json_is_read(tmp_path: Path):
    parameters = {
        "sui_image_params": {
            "prompt": "a can", "negativeprompt": "", "model": "Official/sd_xl_base.safetensors", "seed": 7,
            "steps": 20, "cfgscale": 7.0, "width": 1024, "height": 1024, "sampler": "dpmpp_2m", "scheduler": "karras",
            "loras": ["a/ink"], "loraweights": ["0.8"],
        },
        "sui_extra_data": {"date": "2026-01-01"},
    }  # fmt: skip
    found = import_picture(write_png(tmp_path / "a.png", parameters=json.dumps(parameters)))
    keys = keys_of(found.text)
    assert keys["prompt"] == '"a can <lora:ink:0.8>"'
    assert (keys["scheduler"], keys["seeds"], keys["sizes"]) == ('"dpm++-karras"', "[7]", "[1024x1024]")
    assert found.settings.model == "sd_xl_base"


def test_a_picture_of_designkit_gives_the_same_id_again(tmp_path: Path):
    prompts = tmp_path / "draft.yaml"
    prompts.write_text(
        'prompt: "a {colour} can, \\\\{new\\\\} (50%:1.2), \\\\(sic\\\\) {$5|# 1}"\n'
        "axes: {colour: [red, __blue]}\nsizes: [96x64]\nseeds: 2#9\nmodel: draft\n".replace("__blue", r"\\_\\_blue"),
        encoding="utf-8",
    )
    (file,) = read_prompts([str(prompts)])
    generate(make_plan(file), open_generator("draft"), tmp_path / "run")
    pictures = sorted((tmp_path / "run" / "images").iterdir())
    assert len(pictures) == 8
    for picture in pictures:
        found = import_picture(picture)
        back = tmp_path / "back.yaml"
        back.write_text(found.text, encoding="utf-8")
        (again,) = read_prompts([str(back)])
        (request,) = make_plan(again).requests()
        assert request.id == found.settings.id
        assert request.id in picture.name


TEXTS = st.text(alphabet="a b(){}[]|$%#_:\\<>\n.1~\"'é词\t-", max_size=40).map(str.strip)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    prompt=TEXTS,
    negative=TEXTS,
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 1000),
    guidance=st.floats(0, 100).map(lambda value: round(value, 4)),
    scheduler=st.sampled_from([None, *SCHEDULERS]),
    weight=st.sampled_from([None, 0.8, -0.25, 1.0]),
)
def test_any_request_comes_back_with_its_id(
    tmp_path: Path, prompt: str, negative: str, weight: float | None, **changes: Any
):
    write_adapter(tmp_path / "adapters" / "teal.safetensors")
    prompt = f"x{prompt}x"
    if parse_strength(prompt).mistakes or parse_strength(negative).mistakes:
        return
    quoted = json.dumps(escape_template(prompt + (f" <lora:teal:{weight}>" if weight is not None else "")))
    keys = {key: value for key, value in changes.items() if value is not None and key != "seed"}
    model = ", ".join(f"{key}: {value}" for key, value in keys.items())
    negative_line = f"negative: {json.dumps(escape_template(negative))}\n" if negative else ""
    asked = f"prompt: {quoted}\n{negative_line}seeds: [{changes['seed']}]\nsizes: [96x64]\nmodel: {{{model}}}\n"
    request = read_back(asked, tmp_path)
    assert request.prompt == prompt
    picture = tmp_path / "a.png"
    picture.write_bytes(encode_png(Image.new("RGB", (96, 64)), picture_texts(record_of(request))))
    assert read_back(import_picture(picture).text, tmp_path).id == request.id


@given(st.text(alphabet="a {}|$%#_:\\(\n?*~!@1.=", max_size=40))
def test_escaped_text_is_one_literal_text_to_the_grammar(text: str):
    template, mistakes = parse_template(escape_template(text))
    assert mistakes == []
    assert template.tree.parts == ((Text(text),) if text else ())


def test_samplers_are_mapped_by_a_table_and_unknown_ones_told():
    assert find_scheduler("Euler a", None) == ("euler-a", None)
    assert find_scheduler("DPM++ 2M", "Karras") == ("dpm++-karras", None)
    assert find_scheduler("euler_k", None) == ("euler", "the schedule 'karras' is not carried over with euler")
    assert find_scheduler("UniPC", "Automatic") == ("unipc", None)
    assert find_scheduler(None, "karras") == (None, None)
    name, note = find_scheduler("DPM++ SDE Karras", None)
    assert name is None
    assert note == "there is no sampler here that is 'DPM++ SDE Karras', so the model's own is used"


def test_seeds_and_numbers_out_of_range_are_told(tmp_path: Path):
    text = "a can\nSteps: 20000, Sampler: Euler, CFG scale: 7, Seed: 1234567890123, Size: 512x512"
    found = import_picture(write_png(tmp_path / "a.png", parameters=text))
    assert read_back(found.text, tmp_path).seed == 1234567890123 % 2**32
    assert found.notes[0].startswith("seed 1234567890123 is beyond the largest")
    assert found.notes[1] == "steps 20000 cannot be, and was left out"


def test_pictures_that_do_not_tell_are_refused_with_the_reason(tmp_path: Path):
    for texts, code in (
        ({}, "no-settings"),
        ({"Software": "GIMP"}, "no-settings"),
        ({"parameters": "just words"}, "settings-damaged"),
        ({"parameters": '{"prompt": '}, "settings-damaged"),
        ({"parameters": '{"a": 1}'}, "settings-damaged"),
        ({"prompt": "{}"}, "settings-damaged"),
        ({"prompt": "[" * 100_000}, "settings-damaged"),
        ({"designkit": "7"}, "settings-damaged"),
        ({"invokeai_metadata": '{"positive_prompt": null}'}, "no-settings"),
        ({"parameters": "x" * 200_000 + "\nSteps: 20, Seed: 1"}, "settings-damaged"),
    ):
        with pytest.raises(InputRefused) as caught:
            import_picture(write_png(tmp_path / "a.png", **texts))
        (problem,) = caught.value.problems
        assert (problem.code, bool(problem.fix)) == (code, True), texts


def test_graphs_that_lead_in_circles_or_nowhere_end(tmp_path: Path):
    graph = json.loads(json.dumps(GRAPH))
    graph["12"]["inputs"] |= {"conditioning_1": ["12", 0], "conditioning_2": ["12", 0], "conditioning_3": ["6", 0]}
    graph["9"]["inputs"]["value"] = ["9", 0]
    graph["10"]["inputs"]["model"] = ["10", 0]
    graph["5"]["inputs"]["width"] = ["99", 0]
    found = import_picture(write_png(tmp_path / "a.png", prompt=json.dumps(graph))).settings
    assert (found.prompt, found.seed, found.width) == ("a can (red:1.2)", None, None)
    crowd = {
        str(number): {**GRAPH["13"], "inputs": {**GRAPH["13"]["inputs"], "latent_image": [str(number + 1), 0]}}
        for number in range(100, 9000)
    }
    began = time.perf_counter()
    assert import_picture(write_png(tmp_path / "c.png", prompt=json.dumps(GRAPH | crowd))).settings.seed == 1234
    assert time.perf_counter() - began < 5
    many = {str(number): {"class_type": "Reroute", "inputs": {"in": [str(number + 1), 0]}} for number in range(15_000)}
    many["0"] = {"class_type": "KSampler", "inputs": {"seed": 1, "positive": ["1", 0], "latent_image": ["1", 0]}}
    began = time.perf_counter()
    with pytest.raises(InputRefused):
        import_picture(write_png(tmp_path / "b.png", prompt=json.dumps(many)))
    assert time.perf_counter() - began < 2


KEYS = [
    "inputs", "class_type", "positive", "seed", "latent_image", "text", "prompt", "steps", "loras", "sui_image_params",
    "settings", "model", "adapters", "nodes", "links", "3", "sampler", "guider",
]  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(
    keyword=st.sampled_from(["parameters", "prompt", "workflow", "invokeai_metadata", "designkit"]),
    document=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8) | st.just(["3", 0]),
        lambda below: st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS), below, max_size=5,
        ),
        max_leaves=12,
    ),
)  # fmt: skip
def test_whatever_a_text_holds_the_answer_is_a_file_or_a_refusal(tmp_path: Path, keyword: str, document: Any):
    path = write_chunks(tmp_path / "a.png", chunk(b"tEXt", keyword.encode() + b"\0" + json.dumps(document).encode()))
    try:
        text = import_picture(path).text
    except InputRefused:
        return
    read_back(text, tmp_path)


_opened: list[str] | None = None


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event in ("open", "os.system", "subprocess.Popen", "exec", "socket.connect"):
        _opened.append(f"{event} {arguments[0]}")


def test_nothing_that_a_picture_names_is_opened_or_run(tmp_path: Path):
    global _opened
    import_picture(write_png(tmp_path / "a.png", prompt=json.dumps(GRAPH)))  # What is imported late is imported now.
    secret = tmp_path / "secret.safetensors"
    secret.write_text("x")
    graph = json.loads(json.dumps(GRAPH).replace("looks/teal.safetensors", str(secret)))
    graph["4"]["inputs"]["ckpt_name"] = str(secret)
    graph["8"]["inputs"]["value"] = f"{{__import__('os').system('touch {tmp_path}/ran')}} ${{HOME}} __{secret}__"
    picture = write_png(tmp_path / "b.png", prompt=json.dumps(graph))
    sys.addaudithook(_listen)
    try:
        _opened = []
        text = import_picture(picture).text
        opened, _opened = _opened, None
    finally:
        _opened = None
    assert opened == [f"open {picture}"]
    assert not (tmp_path / "ran").exists()
    assert "<lora:secret:0.7>" in text
