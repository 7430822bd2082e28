"""Tiny models in folders, made once for all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.generators import tiny_pipelines


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model, by its pipeline class; tests must not change it."""
    root = tmp_path_factory.mktemp("tiny-models")

    def folder(pipeline_class: str) -> Path:
        path = root / pipeline_class
        return path if path.is_dir() else tiny_pipelines.save(pipeline_class, path)

    return folder
