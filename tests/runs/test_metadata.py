"""Other programs understand what a picture says of itself."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from designkit.runs.metadata import parameters_text, picture_texts
from tests.runs.records import RECORD, record


def read_parameters(text: str) -> dict[str, str]:
    """Read a `parameters` text by the web UI's grammar: the prompt, its negative, then `Key: value` pairs.

    The last line counts as settings where it has at least three pairs; a quoted value is a JSON string, any
    other ends at the next comma; a value of the form WxH becomes two.
    """
    pair = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
    *lines, last = text.strip().split("\n")
    if len(pair.findall(last)) < 3:
        lines.append(last)
        last = ""
    parts: dict[str, list[str]] = {"Prompt": [], "Negative prompt": []}
    current = "Prompt"
    for line in lines:
        if line.strip().startswith("Negative prompt:"):
            current, line = "Negative prompt", line.strip().removeprefix("Negative prompt:")
        parts[current].append(line.strip())
    read = {key: "\n".join(value) for key, value in parts.items()}
    for key, value in pair.findall(last):
        value = json.loads(value) if value[:1] == '"' and value[-1:] == '"' else value
        size = re.fullmatch(r"(\d+)x(\d+)", value)
        read |= {f"{key}-1": size[1], f"{key}-2": size[2]} if size else {key: value}
    return read


def test_parameters_are_written_in_the_web_uis_words() -> None:
    assert parameters_text(RECORD) == (
        "a soda can on a teal background\n"
        "Negative prompt: text, blurry\n"
        "Steps: 20, Sampler: Euler, CFG scale: 4, Seed: 7, Size: 512x512, Model hash: 1234567890, Model: starter"
    )


def test_parameters_read_back_as_they_were_meant() -> None:
    lines = "first line: with a colon, a comma\nsecond line"
    changed = record(prompt=lines, model={**RECORD.model, "name": "org/model, the: second"})
    assert read_parameters(parameters_text(changed)) == {
        "Prompt": lines,
        "Negative prompt": "text, blurry",
        "Steps": "20",
        "Sampler": "Euler",
        "CFG scale": "4",
        "Seed": "7",
        "Size-1": "512",
        "Size-2": "512",
        "Model hash": "1234567890",
        "Model": "org/model, the: second",
    }


def test_a_model_without_steps_still_has_settings_enough_to_be_read() -> None:
    bare = record(negative="", settings={"steps": None, "guidance": None, "scheduler": None, "adapters": []})
    assert read_parameters(parameters_text(bare)) == {
        "Prompt": RECORD.prompt,
        "Negative prompt": "",
        "Seed": "7",
        "Size-1": "512",
        "Size-2": "512",
        "Model hash": "1234567890",
        "Model": "starter",
    }


def test_adapters_are_tags_behind_the_prompt() -> None:
    adapted = record(settings={**RECORD.settings, "adapters": [{"path": "brands/lumen.safetensors", "weight": 0.8}]})
    assert parameters_text(adapted).split("\n")[0] == "a soda can on a teal background <lora:lumen:0.8>"


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("starter", "starter"),
        ("org/model@main", "org/model@main"),
        ("/home/ana/models/brand", "brand"),
        ("../brand.safetensors", "brand"),
        ("~/models/brand", "brand"),
    ],
)
def test_no_folder_of_this_machine_is_told(name: str, bare: str) -> None:
    adapters = [{"path": "/home/ana/secret/lumen.safetensors", "weight": 1.0}]
    texts = picture_texts(
        record(model={**RECORD.model, "name": name}, settings={**RECORD.settings, "adapters": adapters})
    )
    assert read_parameters(texts["parameters"])["Model"] == bare
    recipe = json.loads(texts["designkit"])
    assert recipe["model"]["name"] == bare
    assert recipe["settings"]["adapters"] == [{"path": "lumen.safetensors", "weight": 1.0}]
    assert "/home" not in "".join(texts.values())


def test_the_recipe_holds_everything_that_set_the_pixels() -> None:
    assert json.loads(picture_texts(RECORD)["designkit"]) == {
        "id": "0123456789ab",
        "prompt": "a soda can on a teal background",
        "negative": "text, blurry",
        "choices": {"product": "soda can", "scene": "teal"},
        "seed": 7,
        "width": 512,
        "height": 512,
        "settings": dict(RECORD.settings),
        "model": dict(RECORD.model),
    }


def test_pictures_are_marked_as_made_by_a_trained_model() -> None:
    packet = picture_texts(RECORD)["XML:com.adobe.xmp"]
    (description,) = ElementTree.fromstring(packet).iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    mark = description.get("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert mark == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
