"""Reading what lies in a model folder without loading it: is it whole, is it safe, which weights are they?

Only safetensors files are read, and of these only the headers. Nothing here runs code from a model, and
everything that could is refused before a library is asked to load it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from designkit.errors import ModelRefused, Problem

PICKLE_SUFFIXES = frozenset({".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".npy", ".npz"})
"""Files that can run code while they are read."""

MAX_HEADER_BYTES = 64 * 2**20
MAX_CONFIG_BYTES = 8 * 2**20
WHOLE_FILE_BYTES = 16 * 2**20
"""Weight files up to this size enter a fingerprint whole, larger ones by evenly spread samples."""

FLAVOURS = ("fp16", "bf16", "non_ema")
"""Marks in the names of weight files that exist beside the plain ones."""

_NUM_SAMPLES, _SAMPLE_BYTES = 64, 64 * 2**10
_LFS_POINTER = b"version https://git-lfs"


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a small file; raises ModelRefused when it is missing, damaged or no object."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ModelRefused(_problem("model-file-missing", path, f"cannot be read: {error.strerror}")) from None
    if data.startswith(_LFS_POINTER):
        raise ModelRefused(_lfs_problem(path))
    try:
        value: object = json.loads(data) if len(data) <= MAX_CONFIG_BYTES else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ModelRefused(_problem("model-file-damaged", path, "is not a JSON object", fix="copy the model again"))
    return cast(dict[str, Any], value)


def read_metadata(path: Path) -> dict[str, str]:
    """What the header of a safetensors file says beside its tensors; nothing where it cannot be read."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: Any = json.loads(file.read(min(length, MAX_HEADER_BYTES)))
        said: dict[Any, Any] = header.get("__metadata__") or {}
        return {str(name): str(value) for name, value in said.items()}
    except (OSError, ValueError, RecursionError, AttributeError):
        return {}


def read_header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file: name -> {dtype, shape, data_offsets}, `__metadata__` left out.

    Raises ModelRefused for a git-LFS pointer, a truncated file, a header that does not add up.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if start == _LFS_POINTER[:8]:
                raise ModelRefused(_lfs_problem(path))
            if len(start) < 8 or length > min(size - 8, MAX_HEADER_BYTES):
                raise ModelRefused(_damaged(path, "is cut off or is no safetensors file"))
            header: object = json.loads(file.read(length))
    except OSError as error:
        raise ModelRefused(_problem("model-file-missing", path, f"cannot be read: {error.strerror}")) from None
    except (ValueError, RecursionError):
        raise ModelRefused(_damaged(path, "has a damaged header")) from None
    if not isinstance(header, dict):
        raise ModelRefused(_damaged(path, "has a damaged header"))
    tensors = {name: entry for name, entry in cast(dict[str, Any], header).items() if name != "__metadata__"}
    try:
        end = max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
    except (TypeError, KeyError, ValueError, IndexError):
        raise ModelRefused(_damaged(path, "has a damaged header")) from None
    if size != 8 + length + end:
        raise ModelRefused(_damaged(path, f"is {size:,} bytes long, but its header tells of {8 + length + end:,}"))
    return tensors


def num_parameters(headers: Sequence[Mapping[str, Any]]) -> int:
    """How many numbers the tensors of these headers hold."""
    return sum(math.prod(entry["shape"]) for header in headers for entry in header.values())


def weight_files(folder: Path, *, variant: str | None = None) -> list[Path]:
    """The safetensors files of each part that loading reads, in order of their paths; see `choose_flavour`."""
    parts = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    chosen: list[Path] = []
    for part in parts:
        names = sorted(path.name for path in part.glob("*.safetensors"))
        chosen.extend(part / name for name in choose_flavour(names, variant))
    return chosen


def choose_flavour(names: Sequence[str], variant: str | None = None) -> list[str]:
    """Of one part's weight files those of the flavour `variant` ("fp16"), or the plain ones where it has none.

    Where only another flavour exists, that one is chosen.
    """
    marked = [name for name in names if variant and f".{variant}." in name]
    plain = [name for name in names if not any(f".{flavour}." in name for flavour in FLAVOURS)]
    if marked or plain:
        return marked or plain
    for flavour in FLAVOURS:
        marked = [name for name in names if f".{flavour}." in name]
        if marked:
            return marked
    return []


def fingerprint(files: Sequence[Path], root: Path) -> str:
    """Twelve hexadecimal digits that change when any of the files does.

    Small files are hashed whole. Of a large one its size, both ends and evenly spread samples are: a plan
    must not read 24 GB, and training changes every tensor, so that samples see it.
    """
    digest = hashlib.sha256()
    for path in sorted(files):
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        size = path.stat().st_size
        digest.update(f"{name}\0{size}\0".encode())
        with path.open("rb") as file:
            for start, length in _samples(size):
                file.seek(start)
                digest.update(file.read(length))
    return digest.hexdigest()[:12]


def _samples(size: int) -> Iterator[tuple[int, int]]:
    if size <= WHOLE_FILE_BYTES:
        yield 0, size
        return
    ends = 2**20
    yield 0, ends
    for number in range(_NUM_SAMPLES):
        yield ends + (size - 2 * ends - _SAMPLE_BYTES) * number // (_NUM_SAMPLES - 1), _SAMPLE_BYTES
    yield size - ends, ends


def _problem(code: str, path: Path, message: str, *, fix: str | None = None) -> Problem:
    return Problem(code=code, file=str(path), message=message, fix=fix)


def _damaged(path: Path, message: str) -> Problem:
    return _problem("model-file-damaged", path, message, fix="copy or download this file again")


def _lfs_problem(path: Path) -> Problem:
    return _problem(
        "model-lfs-pointer", path, "is a git-LFS pointer, not the file itself", fix="run `git lfs pull` in the model"
    )
