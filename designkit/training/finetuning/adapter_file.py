"""Writing what was learned as an adapter's file, and laying that over the pipeline as a generator does."""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from designkit.files import write_durably
from designkit.generators.adapter_formats import AdapterWeights, adapter_bytes
from designkit.generators.adapters import OWN_FILE_NAME
from designkit.generators.base import ModelCard
from designkit.generators.laying import laid_over
from designkit.training.finetuning.learning import Learning
from designkit.values import Adapter


def write_adapter(pipeline: Any, learning: Learning, header: Mapping[str, str], folder: Path) -> None:
    """Write `adapter.safetensors`; raises StorageError."""
    adapter = AdapterWeights(tensors=learning.tensors(), header={**header, **learning.header})
    write_durably(folder / OWN_FILE_NAME, adapter_bytes(adapter, "diffusers"))


@contextmanager
def read_adapter_again(pipeline: Any, learning: Learning, card: ModelCard, folder: Path) -> Iterator[None]:
    """Within, the adapter of the folder is laid over the pipeline as a generator lays it, ours being set aside."""
    adapter = Adapter(path=str(folder / OWN_FILE_NAME))
    with learning.resting(), laid_over([pipeline], [adapter], card):
        yield


def deliver_adapter(
    pipeline: Any, learning: Learning, header: Mapping[str, str], card: ModelCard, out: Path
) -> None:  # fmt: skip
    """Write the adapter where users look for it: the file says it all."""
    write_adapter(pipeline, learning, header, out)
