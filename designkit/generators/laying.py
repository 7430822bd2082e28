"""Adapters of every kind laid over a pipeline and taken off again, after which it is what it was, bit for bit."""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from safetensors import safe_open

from designkit.errors import ModelRefused, Problem
from designkit.generators.adapters import adapter_file, adapter_kind
from designkit.generators.base import ModelCard
from designkit.generators.weights import read_header
from designkit.generators.words import read_word, spoken
from designkit.values import Adapter


@contextmanager
def laid_over(pipelines: Sequence[Any], adapters: Sequence[Adapter], card: ModelCard) -> Iterator[None]:
    """Within, the pipelines, which share their networks, draw with the adapters, each at its weight.

    Adapters that were laid over them otherwise play no part. Raises ModelRefused for one that does not fit.
    """
    files = [(adapter_file(adapter), adapter.weight) for adapter in adapters]
    kinds = {path: adapter_kind(read_header(path)) for path, _ in files}
    layers = [(path, weight) for path, weight in files if kinds[path] != "words"]
    words = {path: read_word(path) for path, _ in files if kinds[path] == "words"}
    names = [f"adapter_{number}" for number in range(len(layers))]
    with ExitStack() as stack:
        for path, word in words.items():
            try:
                stack.enter_context(spoken(pipelines, [word]))
            except ValueError as error:
                raise ModelRefused(_misfit(path, card, str(error))) from error
        if layers:
            stack.callback(_take_off, pipelines[0], names)
            for name, (path, _) in zip(names, layers, strict=True):
                _lay(pipelines[0], name, path, card, is_lokr=kinds[path] == "lokr")
            pipelines[0].set_adapters(names, [weight for _, weight in layers])
        yield


def _lay(pipeline: Any, name: str, path: Path, card: ModelCard, *, is_lokr: bool) -> None:
    """Load one adapter's file under a name; raises ModelRefused where it does not fit."""
    try:
        if not (is_lokr and _lay_lokr(pipeline, name, path)):
            pipeline.load_lora_weights(
                str(path.parent), weight_name=path.name, adapter_name=name, local_files_only=True
            )
        is_loaded = name in _names(pipeline)
    except Exception as error:
        raise ModelRefused(_misfit(path, card, _first_line(error))) from error
    if not is_loaded:
        raise ModelRefused(_misfit(path, card, "none of its tensors belongs to a part of this model"))


def _lay_lokr(pipeline: Any, name: str, path: Path) -> bool:
    """Load a LoKr whose tensors are named after the denoiser; False where they are not, which diffusers may know.

    Of diffusers 0.42's pipelines only two load LoKr files; their networks all do.
    """
    part = "unet" if hasattr(pipeline, "unet") else "transformer"
    with safe_open(path, "pt") as opened:
        names = list(opened.keys())
        if not all(key.startswith(f"{part}.") for key in names):
            return False
        tensors = {key: opened.get_tensor(key) for key in names}
        written = (opened.metadata() or {}).get("lora_adapter_metadata")
    metadata = json.loads(written) if written else None
    getattr(pipeline, part).load_lora_adapter(tensors, prefix=part, adapter_name=name, metadata=metadata)
    return True


def _take_off(pipeline: Any, names: Sequence[str]) -> None:
    """Remove these adapters; with the last one every trace of layers that carried adapters."""
    if _names(pipeline) - set(names):
        pipeline.delete_adapters([name for name in names if name in _names(pipeline)])
    else:
        pipeline.unload_lora_weights()


def _names(pipeline: Any) -> set[str]:
    return set(chain.from_iterable(pipeline.get_list_adapters().values()))


def _misfit(path: Path, card: ModelCard, reason: str) -> Problem:
    return Problem(
        code="adapter-misfit",
        file=str(path),
        message=f"this adapter does not fit {card.name} ({card.family}): {reason}",
        fix="use an adapter that was made for this model",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
