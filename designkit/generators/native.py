"""Folders of designkit's own models: `config.json`, `model.safetensors`, `README.md`; read here without torch.

    {"designkit": 1, "family": "gan", "network": {...}, "native_sizes": ["64x64"], "reads": "classes",
     "classes": ["bottle", "can"], "licence": "apache-2.0", "commercial_use": "yes", "starter_parts": {}, "notes": []}

`network` is what the family's network is built from. `starter_parts` gives the fingerprints of the starter's parts
that the model leans on; a folder that has them within (`text_encoder/` with `tokenizer/`, `vae/`) uses those.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from designkit.errors import ModelRefused, Problem
from designkit.generators.base import ModelCard
from designkit.generators.licences import UNKNOWN, commercial_use
from designkit.generators.weights import fingerprint, num_parameters, read_header, read_json
from designkit.values import Size

FAMILIES = ("gan", "vae")
CONFIG, WEIGHTS, README = "config.json", "model.safetensors", "README.md"
FORMAT = 1

_READS = ("text", "classes", "nothing")


@dataclass(frozen=True, kw_only=True)
class NativeConfig:
    """What `config.json` says; see the module's description. `settings` are further values of the family's own."""

    family: str
    network: Mapping[str, Any]
    native_sizes: tuple[Size, ...]
    reads: Literal["text", "classes", "nothing"] = "nothing"
    classes: tuple[str, ...] = ()
    licence: str = UNKNOWN
    commercial_use: Literal["yes", "no", "ask"] | None = None
    starter_parts: Mapping[str, str] = field(default_factory=dict[str, str])
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order in which they are read best."""
        return {
            "designkit": FORMAT, "family": self.family, "native_sizes": [str(size) for size in self.native_sizes],
            "reads": self.reads, "classes": list(self.classes), "licence": self.licence,
            "commercial_use": self.commercial_use or commercial_use(self.licence), "notes": list(self.notes),
            "settings": dict(self.settings), "starter_parts": dict(self.starter_parts), "network": dict(self.network),
        }  # fmt: skip


def is_native(folder: Path) -> bool:
    """Whether a folder holds a model in designkit's own layout."""
    if (folder / "model_index.json").exists() or not (folder / CONFIG).is_file():
        return False
    return "designkit" in read_json(folder / CONFIG)


def read_native(folder: Path) -> NativeConfig:
    """The config of a model folder; raises ModelRefused with what is wrong with it."""
    path = folder / CONFIG
    values = read_json(path)
    if values.get("designkit") != FORMAT or values.get("family") not in FAMILIES:
        raise ModelRefused(
            Problem(
                code="model-format", file=str(path), key="family",
                message=f"is a model of family {values.get('family')!r}, format {values.get('designkit')!r}, which is "
                "unknown to this version",
                fix="install a newer designkit",
            )
        )  # fmt: skip
    try:
        reads = values["reads"]
        if reads not in _READS or not isinstance(values["network"], dict):
            raise ValueError(f"reads is {reads!r}; it is one of {', '.join(_READS)}")
        sizes = tuple(_read_size(text) for text in values["native_sizes"])
        if not sizes:
            raise ValueError("native_sizes is empty")
        return NativeConfig(
            family=values["family"], network=cast(dict[str, Any], values["network"]), native_sizes=sizes, reads=reads,
            classes=tuple(map(str, values.get("classes", ()))), licence=str(values.get("licence", UNKNOWN)),
            commercial_use=values.get("commercial_use"), starter_parts=dict(values.get("starter_parts", {})),
            settings=dict(values.get("settings", {})), notes=tuple(map(str, values.get("notes", ()))),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        said = f"has no {error}" if isinstance(error, KeyError) else f"cannot be used: {error}"
        raise ModelRefused(Problem(code="model-file-damaged", file=str(path), message=said)) from None


def native_card(name: str, folder: Path) -> ModelCard:
    """The card of a model folder in designkit's own layout; raises ModelRefused where it is damaged."""
    config = read_native(folder)
    header = read_header(folder / WEIGHTS)
    sides = [side for size in config.native_sizes for side in (size.width, size.height)]
    within = [*folder.glob("*/*.safetensors"), *folder.glob("*/*.json")]
    revision = fingerprint(sorted([folder / WEIGHTS, folder / CONFIG, *within]), folder)
    if config.starter_parts:  # The starter's weights set the pixels, too.
        both = f"{revision}{sorted(config.starter_parts.items())}"
        revision = hashlib.sha256(both.encode()).hexdigest()[: len(revision)]
    areas = [size.width * size.height for size in config.native_sizes]
    return ModelCard(
        name=name, family=config.family, revision=revision, licence=config.licence, native_sizes=config.native_sizes,
        size_multiple=1, min_side_px=min(sides), max_pixels=max(areas),
        folder=folder, num_parameters=num_parameters([header]), reads=config.reads, classes=config.classes,
        commercial_use=config.commercial_use or commercial_use(config.licence), notes=config.notes,
    )  # fmt: skip


def find_class(prompt: str, classes: Sequence[str]) -> str | None:
    """The class that a prompt names: the first in whole words, the longest where two begin alike; else None."""
    words = _words(prompt)
    found: list[tuple[int, int, str]] = []
    for name in classes:
        parts = _words(name)
        places = [place for place in range(len(words)) if parts and words[place : place + len(parts)] == parts]
        if places:
            found.append((places[0], -len(parts), name))
    return min(found)[2] if found else None


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower().replace("_", " "))


def _read_size(text: str) -> Size:
    width, height = text.split("x")
    return Size(width=int(width), height=int(height))
