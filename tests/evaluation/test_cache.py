"""Kept results come back as they were, survive damage, and never stand in the way."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from designkit.evaluation.cache import MeasureCache, cache_folder

VECTOR = np.array([1.5, -2.0, 3e-7], np.float32)


def test_results_come_back_bit_for_bit(tmp_path: Path) -> None:
    with MeasureCache(tmp_path) as cache:
        cache.put([("a" * 64, {"one": VECTOR, "two": VECTOR * 2}), ("b" * 64, {"one": VECTOR * 3})])
        cache.put([("a" * 64, {"two": VECTOR * 4})])
    with MeasureCache(tmp_path) as cache:
        found = cache.get("a" * 64, ["one", "two", "three"])
        assert sorted(found) == ["one", "two"]
        assert found["one"].tobytes() == VECTOR.tobytes()
        assert found["two"].tolist() == (VECTOR * 4).tolist()
        assert cache.get("c" * 64, ["one"]) == {}
        assert cache.warning is None


def test_two_may_use_it_at_once(tmp_path: Path) -> None:
    with MeasureCache(tmp_path) as one, MeasureCache(tmp_path) as two:
        one.put([("a", {"x": VECTOR})])
        two.put([("b", {"x": VECTOR})])
        assert two.get("a", ["x"])["x"].tolist() == one.get("b", ["x"])["x"].tolist()


def test_a_damaged_file_is_moved_aside(tmp_path: Path) -> None:
    with MeasureCache(tmp_path) as cache:
        cache.put([("a", {"x": VECTOR})])
    (path,) = tmp_path.glob("*.sqlite")
    path.write_bytes(b"no database at all, but long enough to be read as one" * 100)
    with MeasureCache(tmp_path) as cache:
        assert cache.warning is not None
        assert "made anew" in cache.warning
        cache.put([("b", {"x": VECTOR})])
    with MeasureCache(tmp_path) as cache:
        assert cache.warning is None
        assert list(cache.get("b", ["x"])) == ["x"]


def test_an_entry_of_the_wrong_length_counts_as_missing(tmp_path: Path) -> None:
    with MeasureCache(tmp_path) as cache:
        cache.put([("a", {"x": VECTOR})])
    (path,) = tmp_path.glob("*.sqlite")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE results SET value = x'010203'")
    database.close()
    with MeasureCache(tmp_path) as cache:
        assert cache.get("a", ["x"]) == {}


def test_where_nothing_can_be_kept_it_works_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with MeasureCache(tmp_path / "file" / "below") as cache:
        assert cache.warning is not None
        assert "begins anew" in cache.warning
        cache.put([("a", {"x": VECTOR})])
        assert list(cache.get("a", ["x"])) == ["x"]


def test_its_place_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DESIGNKIT_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("DESIGNKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path))
    assert cache_folder() == tmp_path / "designkit"
