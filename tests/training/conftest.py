"""Pictures and tiny models that tests of fine-tuning share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.generators import tiny_pipelines
from tests.training.brand_pictures import write_pictures


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("brand") / "pictures")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("models")

    def folder(pipeline_class: str) -> Path:
        path = root / pipeline_class
        return path if path.is_dir() else tiny_pipelines.save(pipeline_class, path)

    return folder
