"""Reading text with located errors, and writing that survives anything."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from designkit import files
from designkit.errors import InputRefused, Problem, StorageError
from designkit.files import append_durably, read_text, sync_folder, write_durably


def refused(path: Path, *, max_bytes: int = 1000) -> Problem:
    with pytest.raises(InputRefused) as caught:
        read_text(path, max_bytes=max_bytes)
    (problem,) = caught.value.problems
    return problem


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_mark_and_windows_line_ends_are_taken_off(tmp_path: Path):
    path = tmp_path / "prompts.txt"
    path.write_bytes(b"\xef\xbb\xbfa caf\xc3\xa9\r\nb\rc\n")
    assert read_text(path, max_bytes=100) == "a café\nb\nc\n"


@pytest.mark.parametrize(
    ("data", "offset", "line"),
    [(b"caf\xe9", 3, 1), (b"one\ntwo \x92", 8, 2), (b"\xef\xbb\xbfa\n\xff", 5, 2), (b"cut \xc3", 4, 1)],
)
def test_a_byte_that_is_not_utf8_is_named_with_its_offset_and_line(tmp_path: Path, data: bytes, offset: int, line: int):
    path = tmp_path / "prompts.txt"
    path.write_bytes(data)
    problem = refused(path)
    assert (problem.code, problem.file, problem.line) == ("file-encoding", str(path), line)
    assert f"0x{data[offset]:02x} at offset {offset}" in problem.message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf16_is_refused_by_name(tmp_path: Path, encoding: str):
    path = tmp_path / "prompts.txt"
    path.write_bytes(b"\xfe\xff" * (encoding == "utf-16-be") + "a cat".encode(encoding))
    assert "UTF-16" in refused(path).message


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "￾"])
def test_a_control_character_is_named_with_its_line_and_column(tmp_path: Path, character: str):
    path = tmp_path / "prompts.txt"
    path.write_text(f"one\ntwo{character}\n", encoding="utf-8")
    problem = refused(path)
    assert (problem.code, problem.line) == ("control-character", 2)
    assert f"U+{ord(character):04X} at column 4" in problem.message


def test_no_more_than_the_allowed_bytes_are_read(tmp_path: Path):
    path = tmp_path / "prompts.txt"
    path.write_bytes(b"a" * 1000)
    assert len(read_text(path, max_bytes=1000)) == 1000
    assert refused(path, max_bytes=999).code == "file-too-large"
    assert refused(Path("/dev/zero"), max_bytes=999).code == "file-too-large"


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path):
    assert refused(tmp_path / "none.txt").code == "file-missing"
    assert refused(tmp_path).code == "file-is-folder"


def test_writing_replaces_the_whole_file_and_leaves_nothing_else(tmp_path: Path):
    path = tmp_path / "run.json"
    write_durably(path, b"old and long")
    write_durably(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["run.json"]


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path: Path):
    (tmp_path / "plain").touch()
    write_durably(tmp_path / "durable", b"")
    assert (tmp_path / "durable").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_writing_syncs_the_file_then_renames_it_then_syncs_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    steps: list[str] = []

    def noted(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            if name == "fsync":
                target = str(Path(f"/proc/self/fd/{arguments[0]}").readlink())
                steps.append(f"fsync {'folder' if target == str(tmp_path) else 'file'}")
            else:
                steps.append(name)
            return real(*arguments, **options)

        return call

    monkeypatch.setattr(os, "fsync", noted("fsync", os.fsync))
    monkeypatch.setattr(Path, "replace", noted("rename", Path.replace))
    write_durably(tmp_path / "a.png", b"pixels")
    assert steps == ["fsync file", "rename", "fsync folder"]
    steps.clear()
    append_durably(tmp_path / "manifest.jsonl", b"{}\n")
    append_durably(tmp_path / "manifest.jsonl", b"{}\n")
    assert steps == ["fsync file", "fsync folder", "fsync file"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("step", ["write", "fsync"])
def test_a_failing_disk_is_a_storage_error_that_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, step: str
):
    path = tmp_path / "run.json"
    write_durably(path, b"old")

    def fail(*arguments: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(StorageError) as caught:
        write_durably(path, b"new")
    with pytest.raises(StorageError):
        append_durably(path, b"more")
    monkeypatch.undo()
    (problem,) = caught.value.problems
    assert problem.file == str(path)
    assert problem.message.endswith(os.strerror(code).lower())
    assert problem.fix
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["run.json"]


def test_a_full_device_is_a_storage_error():
    with pytest.raises(StorageError, match="no space left on device"):
        append_durably(Path("/dev/full"), b"line\n")


def test_a_line_cut_short_by_a_size_limit_is_taken_back(tmp_path: Path):
    # In a process of its own: the limit would hold for the tests too.
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(b"x" * 90 + b"\n")
    script = (
        "import resource, signal, sys; from pathlib import Path; from designkit.files import append_durably\n"
        "from designkit.errors import StorageError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try: append_durably(Path(sys.argv[1]), b'y' * 50 + b'\\n')\n"
        "except StorageError as error: sys.exit(error.exit_code)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == 4
    assert path.read_bytes() == b"x" * 90 + b"\n"


def test_a_missing_folder_and_a_file_in_the_way_are_storage_errors(tmp_path: Path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "none" / "a.png", tmp_path / "file" / "a.png"):
        with pytest.raises(StorageError):
            write_durably(path, b"")
        with pytest.raises(StorageError):
            append_durably(path, b"")
    with pytest.raises(StorageError):
        sync_folder(tmp_path / "none")


def test_a_folder_that_cannot_be_synced_by_design_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unsupported(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(files.os, "fsync", unsupported)
    sync_folder(tmp_path)


def test_killed_while_writing_a_file_is_whole_old_or_whole_new(tmp_path: Path):
    path = tmp_path / "run.json"
    contents = {b"a" * 3_000_000, b"b" * 3_000_000}
    write_durably(path, min(contents))
    script = (
        "import sys, itertools; from pathlib import Path; from designkit.files import write_durably\n"
        "for letter in itertools.cycle((b'b', b'a')): write_durably(Path(sys.argv[1]), letter * 3_000_000)\n"
    )
    for number in range(8):
        with subprocess.Popen([sys.executable, "-c", script, str(path)]) as process:
            time.sleep(0.15 + number * 0.013)
            process.send_signal(signal.SIGKILL)
        assert path.read_bytes() in contents
    assert all(name == path.name or name.startswith(files.TEMPORARY_PREFIX) for name in names(tmp_path))
