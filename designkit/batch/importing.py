"""From a picture that some tool made to the prompt file that asks for it again.

print(import_picture(Path("poster.png")).text)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from designkit.errors import InputRefused, Problem
from designkit.files import find_control_character
from designkit.generators.strength import parse_strength
from designkit.prompts.escaping import escape_template
from designkit.runs.embedded import read_embedded_texts
from designkit.runs.found import FoundAdapter, FoundSettings, NotUnderstood, bare, find_settings, within_range

MAX_PROMPT_LENGTH = 100_000

SCHEDULERS = {
    "euler": "euler", "eulera": "euler-a", "eulerancestral": "euler-a", "ddim": "ddim", "ddpm": "ddpm", "heun": "heun",
    "deis": "deis", "pndm": "pndm", "plms": "pndm", "lcm": "lcm", "unipc": "unipc", "unipcbh2": "unipc",
    "dpm++2m": "dpm++", "dpmpp2m": "dpm++", "dpm++2msde": "dpm++-sde", "dpmpp2msde": "dpm++-sde",
}  # fmt: skip
"""What other tools call samplers, in small letters without spaces, `_` and their `_gpu` and `_k` -> our name.

Only samplers of which the same algorithm is here; all else is told. (A1111's "DPM++ SDE" is another one than
"DPM++ 2M SDE", which is diffusers' `sde-dpmsolver++`.)
"""

_KARRAS = {"dpm++": "dpm++-karras"}
_EVEN_SCHEDULES = ("", "normal", "automatic", "uniform", "simple", "default")


@dataclass(frozen=True, kw_only=True)
class ImportedPicture:
    """A prompt file made of what a picture said.

    `text` is YAML; `notes` tells in sentences what could not be carried over, and stands in `text` as comments.
    """

    text: str
    settings: FoundSettings
    notes: tuple[str, ...]


def import_picture(path: Path) -> ImportedPicture:
    """Rebuild a prompt file from the settings inside a PNG, JPEG or WebP picture.

    A picture of designkit's own gives the same id again, with the same model. Raises InputRefused for a file that is
    damaged, or that says nothing about how it was made.
    """
    texts = read_embedded_texts(path)
    try:
        found = find_settings(texts)
    except NotUnderstood as error:
        raise InputRefused(
            Problem(
                code="settings-damaged",
                message=f"its settings cannot be read: {error}",
                file=str(path),
                fix="use the picture as the tool saved it; editors and chat programs change such texts",
            )
        ) from None
    if found is None or not found.prompt.strip():
        known = f"; it holds only {', '.join(sorted(texts))[:200]}" if texts else ""
        raise InputRefused(
            Problem(
                code="no-settings",
                message=f"the picture does not say how it was made{known}",
                file=str(path),
                fix="use the file as the tool saved it: most websites and chat programs strip what is inside",
            )
        )
    if max(len(found.prompt), len(found.negative)) > MAX_PROMPT_LENGTH:
        message = f"its prompt is longer than {MAX_PROMPT_LENGTH:,} characters"
        raise InputRefused(Problem(code="settings-damaged", message=message, file=str(path), fix="shorten it by hand"))
    found = _clean(within_range(found))
    scheduler, unknown = (found.sampler, None) if found.is_exact else find_scheduler(found.sampler, found.schedule)
    notes = (*found.left_out, *([unknown] if unknown else []), *_strength_notes(found))
    return ImportedPicture(text=_write(found, path.name, scheduler, notes), settings=found, notes=notes)


def find_scheduler(sampler: str | None, schedule: str | None) -> tuple[str | None, str | None]:
    """Our name of another tool's sampler, and a sentence on what is not the same; either may be None."""
    if not sampler:
        return None, None
    words = sampler.lower().replace("karras", "").replace("exponential", "")
    plain = re.sub(r"[\s_-]|gpu$|sampler$", "", re.sub(r"(?:_gpu|_k)$", "", words.strip()))
    name = SCHEDULERS.get(plain)
    if name is None:
        return None, f"there is no sampler here that is {sampler!r}, so the model's own is used"
    spacing = (schedule or "").lower().strip()
    if "karras" in sampler.lower() or sampler.endswith("_k"):
        spacing = "karras"
    elif "exponential" in sampler.lower():
        spacing = "exponential"
    if spacing == "karras" and name in _KARRAS:
        return _KARRAS[name], None
    if spacing not in _EVEN_SCHEDULES:
        return name, f"the schedule {spacing!r} is not carried over with {name}"
    return name, None


def _clean(found: FoundSettings) -> FoundSettings:
    """The same without control characters, which no prompt file may hold."""
    changes: dict[str, str] = {}
    for name in ("prompt", "negative"):
        text = str(getattr(found, name)).replace("\r\n", "\n").replace("\r", "\n")
        if find_control_character(text) is not None:
            text = "".join(letter for letter in text if find_control_character(letter) is None)
        changes[name] = text
    return replace(found, prompt=changes["prompt"], negative=changes["negative"])


def _strength_notes(found: FoundSettings) -> Iterator[str]:
    for text in (found.prompt, found.negative):
        for mistake in parse_strength(text).mistakes:
            yield f"{mistake.message}: {mistake.fix}"


def _write(found: FoundSettings, name: str, scheduler: str | None, notes: tuple[str, ...]) -> str:
    """The prompt file: where it is from and what is missing as comments, then its keys."""
    tags, adapters = _adapters(found)
    prompt = " ".join([found.prompt.strip(), *tags])
    lines = [f"# From {_one_line(name)}, made by {found.tool}."]
    if found.id:
        lines.append(f"# It was image {_one_line(found.id)}.")
    if found.choices:
        choices = ", ".join(f"{axis}: {value}" for axis, value in found.choices.items())
        lines.append(f"# Choices: {_one_line(choices)}")
    lines += [f"# Note: {_one_line(note)}" for note in notes]
    if found.model and not found.is_exact:
        model = _one_line(found.model)
        lines.append(f"# Its model was {model}: name it under model.name as a folder, a .safetensors file or a Hub id.")
    lines.append(f"prompt: {_quoted(escape_template(prompt))}")
    if found.negative:
        lines.append(f"negative: {_quoted(escape_template(found.negative))}")
    if found.width and found.height:
        lines.append(f"sizes: [{found.width}x{found.height}]")
    if found.seed is not None:
        lines.append(f"seeds: [{found.seed}]")
    model_keys = {
        "name": _quoted(found.model) if found.model and found.is_exact else None,
        "steps": found.steps,
        "guidance": found.guidance,
        "scheduler": _quoted(scheduler) if scheduler else None,
    }
    settings = [f"  {key}: {value}" for key, value in model_keys.items() if value is not None]
    settings += [f"  adapters: [{', '.join(adapters)}]"] if adapters else []
    if settings:
        lines += ["model:", *settings]
    return "\n".join(lines) + "\n"


def _adapters(found: FoundSettings) -> tuple[list[str], list[str]]:
    """Adapters as tags of the prompt, which are looked for by name, or all in YAML where a name cannot stand in one."""
    if all(_fits_tag(adapter) for adapter in found.adapters):
        return [f"<lora:{bare(each.name)}:{_digits(each.weight)}>" for each in found.adapters], []
    return [], [f"{{path: {_quoted(each.name)}, weight: {_digits(each.weight)}}}" for each in found.adapters]


def _fits_tag(adapter: FoundAdapter) -> bool:
    name = bare(adapter.name)
    return bool(name) and name == name.strip() and not re.search(r"[<>:\n]", name)


def _digits(weight: float) -> str:
    return f"{weight:.10f}".rstrip("0").rstrip(".")


def _quoted(text: str) -> str:
    """A YAML scalar in double quotes; JSON's escapes are YAML's."""
    return json.dumps(text, ensure_ascii=False)


def _one_line(text: str) -> str:
    """What may stand in a comment: one line, nothing that is no text, not too long."""
    clean = "".join(letter if find_control_character(letter) is None else " " for letter in " ".join(text.split()))
    return clean if len(clean) <= 300 else f"{clean[:297]}..."
