"""Training state on disk: safetensors for every tensor, JSON for the counters, published whole or not at all.

A checkpoint is a folder `checkpoint-<step>` with `state.safetensors` and `state.json`. It is written under
another name, synced, then renamed; older ones go only after that, so that one complete checkpoint exists
at every instant after the first.
"""

# pyright: basic
from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from designkit.errors import StorageError
from designkit.files import sync_folder, write_durably

_NAME = re.compile(r"checkpoint-(\d{8})")
_KEPT = 2


def save_checkpoint(folder: Path, step: int, tensors: Mapping[str, torch.Tensor], counters: Mapping[str, Any]) -> Path:
    """Publish a checkpoint of `tensors` and `counters` in `folder`, then drop all but the newest two.

    Raises StorageError where the folder cannot be written.
    """
    final = folder / f"checkpoint-{step:08d}"
    partial = folder / f"partial-{step:08d}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(final, ignore_errors=True)
        partial.mkdir(parents=True)
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        write_durably(partial / "state.safetensors", save(contiguous))
        write_durably(partial / "state.json", json.dumps({"step": step, **counters}, indent=1).encode())
        partial.rename(final)
        sync_folder(folder)
    except OSError as error:
        raise StorageError(
            f"the checkpoint {final} could not be written: {error}", fix="free space, run again"
        ) from error
    for old in _checkpoints(folder)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def load_checkpoint(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """The newest checkpoint's tensors and counters, or None where there is none."""
    found = _checkpoints(folder)
    if not found:
        return None
    newest = found[-1]
    return load_file(newest / "state.safetensors"), json.loads((newest / "state.json").read_text())


def _checkpoints(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
