"""What a picture's texts say about how it was made, in the dialect of the tool that made it.

AUTOMATIC1111's web UI and its relatives (Forge, SD.Next, stable-diffusion.cpp), ComfyUI, InvokeAI, Fooocus, SwarmUI and
designkit itself. The texts are data: numbers and words are taken out of them, nothing in them is run or opened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, cast

from designkit.values import MAX_SEED

MAX_LINE = 50_000
"""Characters of the line of settings that are read."""


@dataclass(frozen=True, kw_only=True)
class FoundAdapter:
    """An adapter by its bare name."""

    name: str
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class FoundSettings:
    """What was found; None or empty where the tool did not say.

    `sampler` and `schedule` are the tool's own words. `left_out` names what was found and cannot be carried over, one
    sentence each. `is_exact` says that designkit itself wrote it, with `id` and `choices`.
    """

    tool: str
    prompt: str = ""
    negative: str = ""
    width: int | None = None
    height: int | None = None
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    schedule: str | None = None
    model: str | None = None
    adapters: tuple[FoundAdapter, ...] = ()
    left_out: tuple[str, ...] = ()
    is_exact: bool = False
    id: str | None = None
    choices: Mapping[str, str] = field(default_factory=dict[str, str])


class NotUnderstood(Exception):
    """A text is in the place of a dialect but does not speak it; the message says what is wrong."""


def find_settings(texts: Mapping[str, str]) -> FoundSettings | None:
    """What the texts of a picture say, by the first dialect that they speak; None where there is none.

    Raises NotUnderstood where a text is damaged.
    """
    from designkit.runs.comfyui import from_comfyui

    readers: tuple[tuple[tuple[str, ...], Callable[[Mapping[str, str]], FoundSettings]], ...] = (
        (("designkit",), lambda found: _from_designkit(read_object(found["designkit"]))),
        (("invokeai_metadata",), lambda found: _from_invokeai(read_object(found["invokeai_metadata"]))),
        (("parameters",), lambda found: _from_parameters(found["parameters"])),
        (("prompt", "workflow"), from_comfyui),
        (("UserComment",), lambda found: _from_parameters(found["UserComment"])),
    )
    for keywords, read in readers:
        if any(texts.get(keyword, "").strip() for keyword in keywords):
            return read(texts)
    return None


def bare(name: object) -> str:
    """A file as people call it: without folders and without the ending of its kind."""
    last = PurePosixPath(PureWindowsPath(str(name)).as_posix()).name
    return re.sub(r"\.(?:safetensors|ckpt|pt|pth|bin|gguf|sft)$", "", last, flags=re.IGNORECASE)


def whole(value: object) -> int | None:
    """A whole number, from a number or its digits; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return int(value) if value == value and abs(value) < 1e18 else None
    text = str(value).strip()
    return int(text) if re.fullmatch(r"-?\d{1,20}", text) else None


def decimal(value: object) -> float | None:
    """A number, from a number or its digits; None for anything else, and for what is not finite."""
    if isinstance(value, bool):
        return None
    text = str(value).strip()
    return float(text) if re.fullmatch(r"-?\d{1,20}(?:\.\d{0,20})?(?:e-?\d{1,2})?", text) else None


def text_of(value: object) -> str:
    """A text as it is, None as nothing."""
    return value.strip() if isinstance(value, str) else ""


def read_object(text: str) -> dict[str, Any]:
    """The JSON object in a text; raises NotUnderstood where there is none. Absurdly long numbers and NaN count as 0."""
    try:
        found = json.loads(text, parse_int=_read_digits, parse_constant=_read_constant)
    except (ValueError, RecursionError) as error:
        raise NotUnderstood(f"its JSON cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise NotUnderstood("its JSON is no object")
    return cast("dict[str, Any]", found)


def _read_digits(digits: str) -> int:
    return int(digits) if len(digits) <= 20 else 0


def _read_constant(name: str) -> float:
    """ComfyUI writes NaN for what has changed since; it stands for nothing that matters here."""
    return 0.0


def _from_designkit(found: Mapping[str, Any]) -> FoundSettings:
    settings, model = _mapping(found.get("settings")), _mapping(found.get("model"))
    adapters = tuple(
        FoundAdapter(name=PurePosixPath(str(each.get("path", ""))).name, weight=_weight(each.get("weight")))
        for each in _mappings(settings.get("adapters"))
    )
    return FoundSettings(
        tool="designkit",
        prompt=str(found.get("prompt", "")),
        negative=str(found.get("negative", "")),
        width=whole(found.get("width")),
        height=whole(found.get("height")),
        seed=whole(found.get("seed")),
        steps=whole(settings.get("steps")),
        guidance=decimal(settings.get("guidance")),
        sampler=settings.get("scheduler"),
        model=text_of(model.get("name")) or None,
        adapters=adapters,
        is_exact=True,
        id=text_of(found.get("id")) or None,
        choices={str(axis): str(value) for axis, value in _mapping(found.get("choices")).items()},
    )


def _from_invokeai(found: Mapping[str, Any]) -> FoundSettings:
    """InvokeAI's `CoreMetadata`; its prompts are in compel's notation."""
    loras = tuple(
        FoundAdapter(name=bare(_name_of(each.get("model") or each.get("lora"))), weight=_weight(each.get("weight")))
        for each in _mappings(found.get("loras"))
    )
    extras = {"controlnets": "ControlNet", "ipAdapters": "IP-Adapter", "t2iAdapters": "T2I-Adapter"}
    left_out = [f"{title} is not carried over" for key, title in extras.items() if found.get(key)]
    if found.get("init_image"):
        left_out.append("the picture that it began from is not carried over")
    texts = [text_of(found.get("positive_prompt")), text_of(found.get("negative_prompt"))]
    if any(re.search(r"\)\.(?:and|blend|swap)\(", text) for text in texts):
        left_out.append("blends of prompts (.and, .blend, .swap) are words now")
    prompt, negative = (from_compel(text) for text in texts)
    return FoundSettings(
        tool="InvokeAI",
        prompt=prompt,
        negative=negative,
        width=whole(found.get("width")),
        height=whole(found.get("height")),
        seed=whole(found.get("seed")),
        steps=whole(found.get("steps")),
        guidance=decimal(found.get("cfg_scale")),
        sampler=text_of(found.get("scheduler")) or None,
        model=bare(_name_of(found.get("model"))) or None,
        adapters=loras,
        left_out=tuple(left_out),
    )


_COMPEL = re.compile(r"\(([^()]*)\)(\d+(?:\.\d+)?|\++|-+)|([^\s,()+]{0,60}[^\s,()+-])(\++|-+)(?=[\s,)]|$)|([()\[\]])")


def from_compel(prompt: str) -> str:
    """A prompt in compel's notation (`word++`, `(two words)1.3`) in that of the web UI; each + is 1.1, each - 0.9."""

    def convert(match: re.Match[str]) -> str:
        phrase, amount, word, signs, bracket = match.groups()
        if bracket:
            return f"\\{bracket}"
        amount = amount or signs
        weight = float(amount) if amount[0].isdigit() else (1.1 if amount[0] == "+" else 0.9) ** min(len(amount), 20)
        return f"({phrase if word is None else word}:{weight:.3g})"

    return _COMPEL.sub(convert, prompt)


def _from_parameters(text: str) -> FoundSettings:
    """The text of the web UI, or the JSON that Fooocus and SwarmUI put in its place."""
    if text.lstrip().startswith("{"):
        found = read_object(text)
        if "sui_image_params" in found:
            return _from_swarmui(_mapping(found["sui_image_params"]))
        return _from_fooocus(found)
    return _from_web_ui(text)


_SETTING = re.compile(r'\s{0,9}([\w ]{1,40}):\s{0,9}("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
_CARRIED = frozenset(
    ("Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model", "Model hash", "Version")
)
_LEFT_OUT = {
    "Hires upscale": "the second pass that enlarged it (Hires. fix) is not carried over",
    "Denoising strength": None,
    "Variation seed": "its variation seed is not carried over",
    "ADetailer model": "ADetailer is not carried over",
    "Refiner": "its refiner is not carried over",
    "Clip skip": None,
}


def _from_web_ui(text: str) -> FoundSettings:
    """`prompt`, `Negative prompt: ...` and a last line of `Key: value, ...` (modules/infotext_utils.py)."""
    lines = text.strip().split("\n")
    settings = {key.strip(): _unquoted(value.strip()) for key, value in _SETTING.findall(lines[-1][:MAX_LINE])}
    if len(settings.keys() & _CARRIED) < 2:
        settings = {}
    else:
        lines.pop()
    prompt_lines, negative_lines = lines, list[str]()
    for number, line in enumerate(lines):
        if line.startswith("Negative prompt:"):
            prompt_lines, negative_lines = lines[:number], [line.removeprefix("Negative prompt:"), *lines[number + 1 :]]
            break
    if not settings and not negative_lines:
        raise NotUnderstood("it has no line of settings (Steps: 20, Sampler: ...)")
    width, height = _sides(settings.get("Size", ""))
    left_out = [sentence for key, sentence in _LEFT_OUT.items() if sentence and key in settings]
    left_out += [f"{key} is not carried over" for key in settings if key.startswith("ControlNet")]
    if settings.get("Clip skip", "1") != "1":
        left_out.append(f"Clip skip {settings['Clip skip']} is not carried over")
    version = settings.get("Version", "")
    return FoundSettings(
        tool="stable-diffusion.cpp" if "stable-diffusion.cpp" in version else "a Stable Diffusion web UI",
        prompt="\n".join(prompt_lines).strip(),
        negative="\n".join(negative_lines).strip(),
        width=width,
        height=height,
        seed=whole(settings.get("Seed", "")),
        steps=whole(settings.get("Steps", "")),
        guidance=decimal(settings.get("CFG scale", "")),
        sampler=settings.get("Sampler") or None,
        schedule=settings.get("Schedule type") or None,
        model=bare(settings["Model"]) if settings.get("Model") else None,
        left_out=tuple(left_out),
    )


def _from_fooocus(found: Mapping[str, Any]) -> FoundSettings:
    """Fooocus' own scheme; older versions wrote titles ("Negative Prompt") instead of names."""
    named = {str(key).lower().replace(" ", "_"): value for key, value in found.items()}
    if "prompt" not in named or not {"steps", "guidance_scale", "base_model", "resolution"} & named.keys():
        raise NotUnderstood("its JSON is that of no tool that is known here")
    width, height = _sides(str(named.get("resolution", "")))
    loras = cast("list[Any]", named["loras"]) if isinstance(named.get("loras"), list) else []
    pairs = [cast("list[Any]", each) for each in loras if isinstance(each, list) and len(cast("list[Any]", each)) > 1]
    adapters = [FoundAdapter(name=bare(pair[0]), weight=_weight(pair[1])) for pair in pairs]
    for key, value in named.items():
        if key.startswith("lora_combined_") and isinstance(value, str) and " : " in value:
            name, _, weight = value.rpartition(" : ")
            adapters.append(FoundAdapter(name=bare(name), weight=_weight(weight)))
    styles = str(named.get("styles", "")).strip("[]() ")
    return FoundSettings(
        tool="Fooocus",
        prompt=text_of(named["prompt"]),
        negative=text_of(named.get("negative_prompt")),
        width=width,
        height=height,
        seed=whole(named.get("seed")),
        steps=whole(named.get("steps")),
        guidance=decimal(named.get("guidance_scale")),
        sampler=text_of(named.get("sampler")) or None,
        schedule=text_of(named.get("scheduler")) or None,
        model=bare(named["base_model"]) if named.get("base_model") else None,
        adapters=tuple(adapters),
        left_out=(f"the words that its styles add are not carried over: {styles[:200]}",) if styles else (),
    )


def _from_swarmui(found: Mapping[str, Any]) -> FoundSettings:
    names, weights = _texts(found.get("loras")), _texts(found.get("loraweights"))
    adapters = tuple(
        FoundAdapter(name=bare(name), weight=_weight(weights[place]) if place < len(weights) else 1.0)
        for place, name in enumerate(names)
    )
    known = {
        "refinermodel": "its refiner",
        "initimage": "the picture that it began from",
        "controlnetmodel": "ControlNet",
    }
    prompt, negative = text_of(found.get("prompt")), text_of(found.get("negativeprompt"))
    left_out = [f"{title} is not carried over" for key, title in known.items() if found.get(key)]
    if re.search(r"<(?!lora:|lyco:)\w+[\[:]", prompt):
        left_out.append("SwarmUI's <...> commands in the prompt are words now")
    return FoundSettings(
        tool="SwarmUI",
        prompt=prompt,
        negative=negative,
        width=whole(found.get("width")),
        height=whole(found.get("height")),
        seed=whole(found.get("seed")),
        steps=whole(found.get("steps")),
        guidance=decimal(found.get("cfgscale")),
        sampler=text_of(found.get("sampler")) or None,
        schedule=text_of(found.get("scheduler")) or None,
        model=bare(found["model"]) if found.get("model") else None,
        adapters=adapters,
        left_out=tuple(left_out),
    )


def within_range(found: FoundSettings) -> FoundSettings:
    """The same with a seed that designkit knows, and without numbers that no picture has; each change is told."""
    changes: dict[str, Any] = {}
    left_out = list(found.left_out)
    if found.seed is not None and not 0 <= found.seed <= MAX_SEED:
        changes["seed"] = found.seed % (MAX_SEED + 1)
        left_out.append(f"seed {found.seed} is beyond the largest that designkit has, and became {changes['seed']}")
    limits = {"steps": (1, 1000), "guidance": (0, 100), "width": (1, 100_000), "height": (1, 100_000)}
    for name, (least, most) in limits.items():
        value = getattr(found, name)
        if value is not None and not least <= value <= most:
            changes[name] = None
            left_out.append(f"{name} {value:g} cannot be, and was left out")
    return replace(found, **changes, left_out=tuple(left_out))


def _sides(text: str) -> tuple[int | None, int | None]:
    match = re.search(r"(\d{1,6})\s*[x×,]\s*(\d{1,6})", text)
    return (int(match[1]), int(match[2])) if match else (None, None)


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value.strip('"')


def _weight(value: object) -> float:
    """The strength of an adapter; as trained where none is given."""
    weight = decimal(value)
    return 1.0 if weight is None else weight


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _mappings(value: object) -> list[dict[str, Any]]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [_mapping(each) for each in items if isinstance(each, dict)]  # pyright: ignore[reportUnknownArgumentType]


def _texts(value: object) -> list[str]:
    """A list of texts, or one text with commas between them."""
    if isinstance(value, list):
        return [str(each) for each in cast("list[Any]", value)]
    return [part.strip() for part in str(value).split(",") if part.strip()] if value else []


def _name_of(model: object) -> str:
    """InvokeAI names a model by an object, whose keys changed over the years."""
    known = _mapping(model)
    return str(known.get("name") or known.get("model_name") or known.get("key") or "") if known else text_of(model)
