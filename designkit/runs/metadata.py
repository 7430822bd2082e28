"""What every picture says about itself, in the words that other programs read.

`parameters` is the text of the Stable Diffusion web UI, which galleries and asset tools understand;
`designkit` is our own record as JSON; the XMP packet carries the mark that the press and photo trade agreed
on for pictures made by a trained model (IPTC digital source type).

Nothing here depends on the day, the machine or a folder: the same request gives the same texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from designkit.values import Record

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

SAMPLER_TITLES = {
    "ddim": "DDIM",
    "ddpm": "DDPM",
    "deis": "DEIS",
    "dpm++": "DPM++ 2M",
    "dpm++-karras": "DPM++ 2M Karras",
    "dpm++-sde": "DPM++ 2M SDE",
    "euler": "Euler",
    "euler-a": "Euler a",
    "heun": "Heun",
    "lcm": "LCM",
    "pndm": "PLMS",
    "unipc": "UniPC",
    "DDIMScheduler": "DDIM",
    "DPMSolverMultistepScheduler": "DPM++ 2M",
    "DPMSolverSDEScheduler": "DPM++ SDE",
    "EulerAncestralDiscreteScheduler": "Euler a",
    "EulerDiscreteScheduler": "Euler",
    "HeunDiscreteScheduler": "Heun",
    "KDPM2AncestralDiscreteScheduler": "DPM2 a",
    "KDPM2DiscreteScheduler": "DPM2",
    "LCMScheduler": "LCM",
    "LMSDiscreteScheduler": "LMS",
    "PNDMScheduler": "PLMS",
    "UniPCMultistepScheduler": "UniPC",
}
"""What the web UI calls our schedulers and diffusers' classes; any other keeps its own name."""

_XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmp:CreatorTool="designkit"
    Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def picture_texts(record: Record) -> dict[str, str]:
    """The texts to write into the record's picture, by their PNG keyword."""
    return {"parameters": parameters_text(record), "designkit": _recipe(record), "XML:com.adobe.xmp": _XMP}


def parameters_text(record: Record) -> str:
    """Prompt, negative prompt and settings in the web UI's grammar.

    The last line is `Key: value, Key: value`; a value that holds a comma, a colon or a line end is a JSON string.
    """
    prompt = " ".join([record.prompt, *_adapter_tags(record.settings)])
    lines = [prompt]
    if record.negative:
        lines.append(f"Negative prompt: {record.negative}")
    lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in _parameters(record)))
    return "\n".join(lines)


def bare_name(name: str) -> str:
    """What a model is called before strangers: a Hub id as it is, a folder or file by its last part."""
    is_path = name.startswith((".", "/", "~")) or name.endswith(".safetensors") or name.count("/") > 1
    return PurePath(name).name.removesuffix(".safetensors") if is_path else name


def _parameters(record: Record) -> Iterator[tuple[str, object]]:
    settings, model = record.settings, record.model
    if settings.get("steps") is not None:
        yield "Steps", settings["steps"]
    if settings.get("scheduler"):
        yield "Sampler", SAMPLER_TITLES.get(settings["scheduler"], settings["scheduler"])
    if settings.get("guidance") is not None:
        yield "CFG scale", f"{settings['guidance']:g}"
    yield "Seed", record.seed
    yield "Size", f"{record.width}x{record.height}"
    yield "Model hash", str(model["revision"])[:10]
    yield "Model", bare_name(model["name"])


def _quoted(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",:\n") else text


def _adapter_tags(settings: Mapping[str, Any]) -> Iterator[str]:
    for adapter in settings.get("adapters", ()):
        yield f"<lora:{PurePath(adapter['path']).stem}:{adapter['weight']:g}>"


def _recipe(record: Record) -> str:
    """What made the picture, as JSON; models and adapters by their bare names, since folders are nobody's business."""
    settings = dict(record.settings)
    if settings.get("adapters"):
        settings["adapters"] = [{**each, "path": PurePath(each["path"]).name} for each in settings["adapters"]]
    recipe = {
        "id": record.id,
        "prompt": record.prompt,
        "negative": record.negative,
        "choices": dict(record.choices),
        "seed": record.seed,
        "width": record.width,
        "height": record.height,
        "settings": settings,
        "model": {**record.model, "name": bare_name(record.model["name"])},
    }
    return json.dumps(recipe, ensure_ascii=False)
