"""The manifest outlives crashes and damaged disks, and never leads outside its folder."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import pytest

from designkit.errors import StorageError
from designkit.runs.manifest import append_record, read_manifest, repair_manifest
from tests.runs.records import RECORD, record


def test_records_come_back_as_they_were_added(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    strange = record("aaaaaaaaaaaa", prompt='夏 "quoted"\nline\u2028', warnings=("dropped: word",))
    failed = record("bbbbbbbbbbbb", status="failed", file=None, file_sha256=None, failure="black picture")
    for each in (RECORD, strange, failed):
        append_record(manifest, each)
    assert list(read_manifest(manifest).values()) == [RECORD, strange, failed]
    assert manifest.read_bytes().count(b"\n") == 3


def test_the_last_line_of_an_id_counts(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    failed = record("aaaaaaaaaaaa", status="failed", file=None, failure="black picture")
    made = record("aaaaaaaaaaaa")
    for each in (failed, RECORD, made):
        append_record(manifest, each)
    assert read_manifest(manifest) == {"aaaaaaaaaaaa": made, RECORD.id: RECORD}


def test_no_manifest_is_an_empty_one(tmp_path: Path) -> None:
    repair_manifest(tmp_path / "manifest.jsonl")
    assert read_manifest(tmp_path / "manifest.jsonl") == {}
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_cut_at_any_byte_keeps_its_whole_lines_and_grows_on(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    first, second, third = record("aaaaaaaaaaaa"), record("bbbbbbbbbbbb"), record("cccccccccccc")
    append_record(manifest, first)
    whole = manifest.stat().st_size
    append_record(manifest, second)
    data = manifest.read_bytes()
    for cut in range(whole, len(data)):
        manifest.write_bytes(data[:cut])
        repair_manifest(manifest)
        append_record(manifest, third)
        assert list(read_manifest(manifest)) == [first.id, third.id], cut


@pytest.mark.parametrize("damage", [b"\0" * 40, b"{}", b"[1]", b'"text"', b"\xff\xfe", b'{"id": "x"}'])
def test_a_damaged_line_costs_only_its_own_image(tmp_path: Path, damage: bytes) -> None:
    manifest = tmp_path / "manifest.jsonl"
    append_record(manifest, record("aaaaaaaaaaaa"))
    with manifest.open("ab") as file:
        file.write(damage + b"\n")
    append_record(manifest, record("bbbbbbbbbbbb"))
    assert list(read_manifest(manifest)) == ["aaaaaaaaaaaa", "bbbbbbbbbbbb"]


@pytest.mark.parametrize(
    "file",
    ["../secret.png", "/etc/passwd", "images/../../secret", "images/..", "images\\x.png", "run.json", "images/a/b"],
)
def test_a_file_outside_the_folder_of_pictures_is_no_record(tmp_path: Path, file: str) -> None:
    append_record(tmp_path / "manifest.jsonl", record("aaaaaaaaaaaa", file=file))
    assert read_manifest(tmp_path / "manifest.jsonl") == {}


def test_any_mapping_can_be_recorded(tmp_path: Path) -> None:
    append_record(tmp_path / "manifest.jsonl", record("aaaaaaaaaaaa", choices=MappingProxyType({"colour": "red"})))
    assert read_manifest(tmp_path / "manifest.jsonl")["aaaaaaaaaaaa"].choices == {"colour": "red"}


def test_a_manifest_that_cannot_be_read_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").mkdir()
    for look in (read_manifest, repair_manifest):
        with pytest.raises(StorageError, match="is a directory"):
            look(tmp_path / "manifest.jsonl")
