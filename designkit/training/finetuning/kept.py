"""Latents and text embeddings that were computed once, kept by their content and the model that made them."""

# pyright: basic
from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from designkit.files import write_durably

_VERSION = 1  # raised when what is kept is made in another way


class Kept:
    """Tensors on disk and in memory, made when they are first asked for; `model` names the exact weights.

    A key holds everything that sets the tensors, so that another picture, size, caption, model or precision never
    meets an old entry; a damaged file is made anew.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self.folder = folder
        self.model = model
        self._known: dict[str, dict[str, torch.Tensor]] = {}

    def get(self, key: tuple[object, ...], make: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """The tensors of a key, on the CPU."""
        name = hashlib.sha256(repr((_VERSION, self.model, *key)).encode()).hexdigest()[:32]
        if name not in self._known:
            self._known[name] = self._read(name) or self._make(name, make)
        return self._known[name]

    def _read(self, name: str) -> dict[str, torch.Tensor] | None:
        try:
            return load((self.folder / f"{name}.safetensors").read_bytes())
        except (OSError, SafetensorError):
            return None

    def _make(self, name: str, make: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in make().items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        write_durably(self.folder / f"{name}.safetensors", save(tensors))
        return tensors
