"""Training state on disk: safetensors for every tensor, JSON for the counters, published whole or not at all.

A checkpoint is a folder `checkpoint-<step>` with `state.safetensors` and `state.json`, which holds the hash of the
former. It is written under another name, synced, then renamed; older ones go only after that, so that one complete
checkpoint exists at every instant after the first.
"""

# pyright: basic
from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from designkit.errors import ModelRefused, Problem, StorageError
from designkit.files import sync_folder, write_durably

_NAME = re.compile(r"checkpoint-(\d{8})(?:-(\d+))?")
_PARTIAL = "partial-"
_KEPT = 2


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint that was read and found whole; `notes` say which newer ones were damaged."""

    path: Path
    tensors: dict[str, torch.Tensor]
    counters: dict[str, Any]
    notes: tuple[str, ...] = ()

    def expect(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Raise ModelRefused unless the checkpoint holds tensors of these names and shapes; it may hold more."""
        problems: list[str] = []
        for name, tensor in tensors.items():
            found = self.tensors.get(name)
            if found is None:
                problems.append(f"{name} is missing")
            elif found.shape != tensor.shape:
                problems.append(f"{name} is {list(found.shape)}, not {list(tensor.shape)}")
        if problems:
            listed = ", ".join(problems[:3]) + (f", and {len(problems) - 3} more" if len(problems) > 3 else "")
            raise ModelRefused(
                Problem(
                    code="checkpoint-mismatch", message=f"the checkpoint is of another model: {listed}",
                    file=str(self.path), fix="go on with the recipe that it was begun with, or choose another --out",
                )
            )  # fmt: skip


def save_checkpoint(folder: Path, step: int, tensors: Mapping[str, torch.Tensor], counters: Mapping[str, Any]) -> Path:
    """Publish a checkpoint of `tensors` and `counters` in `folder`, then drop all but the newest two.

    A step that has a checkpoint already gets another beside it. Raises StorageError where the folder cannot be
    written.
    """
    serial = 1 + max((number for found, number, _ in _checkpoints(folder) if found == step), default=-1)
    final = folder / (f"checkpoint-{step:08d}" if serial == 0 else f"checkpoint-{step:08d}-{serial}")
    partial = folder / f"{_PARTIAL}{step:08d}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for rest in folder.glob(f"{_PARTIAL}*"):
            shutil.rmtree(rest)
        partial.mkdir()
        state = partial / "state.safetensors"
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, state)
        with state.open("rb") as file:
            os.fsync(file.fileno())
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        record = json.dumps({"step": step, **counters, "sha256": sha256}, indent=1)
        write_durably(partial / "state.json", record.encode())
        partial.rename(final)
        sync_folder(folder)
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"the checkpoint {final} could not be written: {error}", fix="free space, run again"
        ) from error
    for _, _, old in _checkpoints(folder)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint, or None where there never was one.

    Raises ModelRefused where there are some but all of them are damaged.
    """
    notes: list[str] = []
    for _, _, path in reversed(_checkpoints(folder)):
        try:
            counters = json.loads((path / "state.json").read_text(encoding="utf-8"))
            with (path / "state.safetensors").open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            if sha256 != counters.pop("sha256", sha256):
                raise ValueError("its bytes are not those that were written")
            return Checkpoint(
                path=path, tensors=load_file(path / "state.safetensors"), counters=counters, notes=tuple(notes)
            )
        except (OSError, ValueError, SafetensorError) as error:
            notes.append(f"the checkpoint {path.name} is damaged and was passed over: {error}")
    if notes:
        raise ModelRefused(
            Problem(
                code="checkpoint-damaged", message="; ".join(notes), file=str(folder),
                fix="restore the folder from a copy, or remove it to begin anew",
            )
        )  # fmt: skip
    return None


def _checkpoints(folder: Path) -> list[tuple[int, int, Path]]:
    """Step, serial number and path of each checkpoint, oldest first."""
    if not folder.is_dir():
        return []
    found = [(match, path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return sorted((int(match[1]), int(match[2] or 0), path) for match, path in found)
