"""Finding and checking the adapter that a request names, before any model is loaded: LoRA, LoKr, or learned words."""

from __future__ import annotations

import contextlib
import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from designkit.errors import ModelRefused, Problem
from designkit.generators.folder import pickle_problem
from designkit.generators.weights import PICKLE_SUFFIXES, read_header, read_metadata
from designkit.values import Adapter

FILE_NAME = "pytorch_lora_weights.safetensors"
"""What diffusers and its training scripts call an adapter inside its folder."""

MARKS = ("lora_down", "lora_up", "lora_A", "lora_B", "lora.down", "lora.up", "lora_linear_layer", "hada_w1", "lokr_w1")
"""One of these is part of some tensor's name in every file of an adapter that is laid over layers."""

AdapterKind = Literal["lora", "lokr", "words"]

MAX_VECTORS = 75
"""As many vectors of learned words fit into one window of a text encoder."""

OWN_FILE_NAME, PICTURES_FILE = "adapter.safetensors", "pictures.json"
"""What `designkit finetune` calls it, and the list of what it was learned from."""

FOLDERS = ("", "adapters", "loras")
"""Where adapters are looked for that a prompt names, relative to its file."""


def find_adapter(name: str, folder: Path) -> Path:
    """The adapter that `<lora:name>` means: a `.safetensors` file of that name or a folder with one, near `folder`.

    Raises ModelRefused with the nearest name where there is none, or where it is no adapter.
    """
    places = [folder / below for below in FOLDERS]
    if not Path(name).is_absolute() and ".." not in Path(name).parts:
        for place in places:
            for path in (place / f"{name}.safetensors", place / name):
                if path.is_file() or any(path.glob("*.safetensors")):
                    adapter_file(Adapter(path=str(path)))
                    return path
    known = sorted({_short_name(path) for place in places for path in _adapters_in(place)})
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if nearest:
        fix = f"did you mean {nearest[0]}?"
    else:
        fix = (
            f"there are {', '.join(known)}" if known else "put its file beside the prompt file, or into adapters/ there"
        )
    raise ModelRefused(Problem(code="adapter-missing", message=f"there is no adapter named {name!r}", fix=fix))


def adapter_file(adapter: Adapter) -> Path:
    """The safetensors file that `adapter` means; raises ModelRefused when there is none, or it holds no adapter."""
    path = Path(adapter.path).expanduser()
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        named = [path / name for name in (OWN_FILE_NAME, FILE_NAME) if (path / name) in files]
        path = named[0] if named else files[0] if len(files) == 1 else path / FILE_NAME
    if path.suffix in PICKLE_SUFFIXES:
        raise ModelRefused(pickle_problem(path))
    if not path.is_file():
        raise ModelRefused(
            Problem(
                code="adapter-missing",
                file=str(path),
                message="there is no such adapter",
                fix=_nearest(Path(adapter.path).expanduser()),
            )
        )
    kind = adapter_kind(read_header(path))
    if kind is None:
        raise ModelRefused(
            Problem(
                code="adapter-unknown-kind",
                file=str(path),
                message="none of its tensors belongs to a LoRA, LoHa or LoKr adapter, nor are they learned words",
                fix="name a whole model as `model.name`, and only adapters under `model.adapters`",
            )
        )
    if kind == "words" and adapter.weight != 1.0:
        raise ModelRefused(
            Problem(
                code="adapter-weight",
                file=str(path),
                message=f"is a learned word (textual inversion), which has no strength of its own ({adapter.weight:g})",
                fix="leave its weight out, and weigh the word in the prompt, such as (<word>:0.8)",
            )
        )
    return path


def learned_captions(adapter: Adapter) -> list[str]:
    """The captions that an adapter was learned by, as far as its folder or its file's header tells them."""
    path = adapter_file(adapter)
    captions: list[str] = []
    if path.name == OWN_FILE_NAME:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            listed: Any = json.loads((path.parent / PICTURES_FILE).read_text(encoding="utf-8"))
            captions = [str(each["caption"]) for each in listed["pictures"]]
    header = read_metadata(path)
    return [*captions, header.get("designkit.captions", ""), header.get("modelspec.trigger_phrase", "")]


def adapter_kind(tensors: Mapping[str, Any]) -> AdapterKind | None:
    """What kind of adapter has tensors of these names and shapes, as `read_header` gives them; None where none has.

    Learned words are one tensor [vectors, width], or two of them for the two text encoders of Stable Diffusion XL.
    """
    if any(".lokr_" in name for name in tensors):
        return "lokr"
    if any(mark in name for name in tensors for mark in MARKS):
        return "lora"
    shapes = [entry["shape"] for entry in tensors.values()]
    # The name of a single one is the word itself, or what its tool calls it; a layer's has dots.
    is_named = (len(shapes) == 1 and "." not in next(iter(tensors))) or set(tensors) == {"clip_l", "clip_g"}
    if is_named and all(len(shape) in (1, 2) and (len(shape) == 1 or shape[0] <= MAX_VECTORS) for shape in shapes):
        return "words"
    return None


def _nearest(path: Path) -> str:
    """What to do about an adapter that is not there: the nearest name beside it, if there is one."""
    names = [_short_name(found) for found in _adapters_in(path.parent)]
    near = difflib.get_close_matches(_short_name(path), names, n=1, cutoff=0.6)
    return f"did you mean {path.with_name(near[0])}?" if near else "name a .safetensors file, or a folder that has one"


def _adapters_in(folder: Path) -> list[Path]:
    """What in a folder may be an adapter, by its name."""
    if not folder.is_dir():
        return []
    whole = [path for path in folder.glob("*.safetensors") if path.is_file()]
    return whole + [path.parent for name in (OWN_FILE_NAME, FILE_NAME) for path in folder.glob(f"*/{name}")]


def _short_name(path: Path) -> str:
    return path.name.removesuffix(".safetensors")
