"""A batch in parts that fit into memory: the same mean loss and gradients, computed a few rows at a time."""

# pyright: basic
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch


def rows_of(batch: Any, begin: int, end: int, size: int) -> Any:
    """Rows `begin` to `end` of everything in a batch that has `size` rows; the rest as it is."""
    if isinstance(batch, Mapping):
        return {key: rows_of(value, begin, end, size) for key, value in batch.items()}
    if isinstance(batch, torch.Tensor):
        return batch[begin:end] if batch.dim() and batch.shape[0] == size else batch
    if isinstance(batch, (list, tuple)) and len(batch) == size:
        return batch[begin:end]
    return batch


def parts(begin: int, end: int, at_once: int) -> Iterator[tuple[int, int]]:
    """The bounds of parts of at most `at_once` rows, in order."""
    for start in range(begin, end, at_once):
        yield start, min(end, start + at_once)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether the device, or the machine, had no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)


def add_measures(total: dict[str, float], metrics: Mapping[str, Any], share: float) -> None:
    """Add a part's measures, weighted by its share of the rows."""
    for name, value in metrics.items():
        number = float(value.detach() if isinstance(value, torch.Tensor) else value)
        total[name] = total.get(name, 0.0) + share * number
