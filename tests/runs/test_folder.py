"""A run folder belongs to one process at a time, is whole at every instant, and trusts only hashes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from designkit.errors import InputRefused, RunInUse, StorageError
from designkit.files import TEMPORARY_PREFIX
from designkit.runs.folder import open_run, picture_file, read_run
from designkit.values import Size
from tests.runs.records import REQUEST, record

HOLDER = """
import sys, time
from pathlib import Path
from designkit.runs.folder import open_run
with open_run(Path(sys.argv[1])):
    print("open", flush=True)
    time.sleep(60)
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    """Another process that has opened the run folder."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    return holder


def test_a_run_folder_is_made_with_all_above_it_and_left_clean(tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "summer"
    with open_run(folder) as run:
        assert run.records == {}
        assert run.description == {}
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "images"]
    assert (folder / ".lock").read_bytes() == b""


def test_a_second_process_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    holder = hold(tmp_path / "run")
    try:
        with pytest.raises(RunInUse, match=rf"process {holder.pid} on ") as refusal, open_run(tmp_path / "run"):
            pass
    finally:
        holder.kill()
        holder.communicate()
    assert refusal.value.exit_code == 5
    assert refusal.value.problems[0].file == str(tmp_path / "run")


def test_a_killed_holder_leaves_nothing_to_unlock(tmp_path: Path) -> None:
    for _ in range(3):
        holder = hold(tmp_path / "run")
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
        with open_run(tmp_path / "run"):
            pass
        assert (tmp_path / "run" / ".lock").read_bytes() == b""


def test_of_many_that_start_at_once_exactly_one_gets_the_run(tmp_path: Path) -> None:
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path / "run")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for _ in range(5)
    ]
    losers = []
    finished = threading.Event()

    def wait_for_losers() -> None:
        while len(losers) < 4 and not finished.wait(0.02):
            losers[:] = [starter for starter in starters if starter.poll() is not None]

    waiter = threading.Thread(target=wait_for_losers)
    waiter.start()
    waiter.join(timeout=20)
    finished.set()
    for starter in starters:
        starter.kill()
        starter.communicate()
    assert len(losers) == 4


def test_a_picture_is_intact_only_with_the_bytes_of_its_record(tmp_path: Path) -> None:
    with open_run(tmp_path / "run") as run:
        for id in ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc", "dddddddddddd"):
            added = run.add(record(id), id.encode() * 1000)
            assert added.file_sha256 == hashlib.sha256(id.encode() * 1000).hexdigest()
        run.add(record("eeeeeeeeeeee", status="failed", file=None, file_sha256=None), None)
    images = tmp_path / "run" / "images"
    (images / "bbbbbbbbbbbb.png").unlink()
    (images / "cccccccccccc.png").write_bytes(b"x" * 12000)
    (images / "dddddddddddd.png").write_bytes(b"")
    with open_run(tmp_path / "run") as run:
        assert len(run.records) == 5
        assert run.intact([*run.records, "never heard of"]) == {"aaaaaaaaaaaa"}


def test_what_a_crash_left_unfinished_is_cleared_away_and_nothing_else(tmp_path: Path) -> None:
    with open_run(tmp_path / "run") as run:
        run.add(record("aaaaaaaaaaaa"), b"picture")
        run.describe({"plan": {"images": []}})
    for folder in (tmp_path / "run", tmp_path / "run" / "images"):
        (folder / f"{TEMPORARY_PREFIX}0123.tmp").write_bytes(b"half")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with open_run(tmp_path / "run"):
        pass
    assert sorted(str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*")) == [
        ".lock",
        "images",
        "images/aaaaaaaaaaaa.png",
        "manifest.jsonl",
        "notes.txt",
        "run.json",
    ]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "site" / "images").mkdir(parents=True)
    (tmp_path / "site" / "index.html").write_text("my site")
    with pytest.raises(StorageError, match="does not hold a run") as refusal, open_run(tmp_path / "site"):
        pass
    assert refusal.value.exit_code == 4
    assert sorted(path.name for path in (tmp_path / "site").iterdir()) == ["images", "index.html"]


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file")
    with pytest.raises(StorageError) as refusal, open_run(tmp_path / "outputs" / "run"):
        pass
    assert refusal.value.problems[0].file in (str(tmp_path / "outputs"), str(tmp_path / "outputs" / "run"))


def test_the_same_description_is_not_written_twice(tmp_path: Path) -> None:
    with open_run(tmp_path / "run") as run:
        run.describe({"plan": {"images": ["a"]}, "name": "été"})
        before = (tmp_path / "run" / "run.json").stat()
        run.describe({"plan": {"images": ["a"]}, "name": "été"})
        assert (tmp_path / "run" / "run.json").stat().st_ino == before.st_ino
        run.describe({"plan": {"images": ["b"]}})
    with open_run(tmp_path / "run") as run:
        assert run.description == {"plan": {"images": ["b"]}}


def test_a_damaged_description_is_told_with_what_to_do(tmp_path: Path) -> None:
    with open_run(tmp_path / "run"):
        pass
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(StorageError, match="delete this file"), open_run(tmp_path / "run"):
        pass


def test_a_run_reads_in_the_order_of_its_plan_and_lists_what_is_outside(tmp_path: Path) -> None:
    with open_run(tmp_path / "run") as run:
        for id in ("cccccccccccc", "aaaaaaaaaaaa", "bbbbbbbbbbbb"):
            run.add(record(id), b"picture")
        run.add(record("dddddddddddd", status="failed", file=None, failure="black"), None)
        run.describe({"plan": {"images": ["aaaaaaaaaaaa", "not made yet", "cccccccccccc"]}})
    contents = read_run(tmp_path / "run")
    assert contents.name == "run"
    assert [each.id for each in contents.records] == ["aaaaaaaaaaaa", "cccccccccccc"]
    assert [each.id for each in contents.outside] == ["bbbbbbbbbbbb"]


@pytest.mark.parametrize("description", ["{}", '{"plan": 3}', '{"plan": {"images": null}}'])
def test_what_is_no_run_is_refused(tmp_path: Path, description: str) -> None:
    (tmp_path / "run.json").write_text(description)
    with pytest.raises(InputRefused, match="designkit generate"):
        read_run(tmp_path)


def test_no_run_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused):
        read_run(tmp_path / "nowhere")


def test_picture_names_are_readable_and_safe() -> None:
    assert picture_file(REQUEST) == "images/soda-can-teal-512x512-s7-0123456789ab.png"
    story = replace(REQUEST, choices={}, size=Size(width=300, height=600))
    assert picture_file(story) == "images/a-soda-can-on-a-teal-background-300x600-s7-0123456789ab.png"
    hostile = ["../../x", "/etc/x", "CON", "aux.png", "a. ", "🍋" * 64, "Logo\u202egnp", "a\nb", "-rf", "", "夏"]
    for words in [*hostile, "long " * 100, "x" * 500]:
        name = picture_file(replace(REQUEST, choices={"axis": words}, prompt=words))
        assert name.startswith("images/")
        assert name.endswith("-s7-0123456789ab.png")
        plain = name.removeprefix("images/")
        assert len(plain) <= 120
        assert set(plain) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
        assert plain.count(".") == 1
        assert plain[0] not in ".-"


def test_nothing_counts_before_its_file_and_folder_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order that outlives a power cut: file synced, renamed, folder synced, and only then the manifest's line."""
    events: list[str] = []
    names: dict[int, str] = {}

    def spy(name: str):
        original = getattr(os, name)

        def call(*arguments, **options):
            result = original(*arguments, **options)
            if name == "open":
                names[result] = Path(arguments[0]).name
            elif name in ("fsync", "write"):
                events.append(f"{name} {_kind(names[arguments[0]])}")
            return result

        monkeypatch.setattr(os, name, call)

    def rename(self: Path, target: Path) -> Path:
        events.append(f"rename to {_kind(Path(target).name)}")
        return self.rename(target)

    with open_run(tmp_path / "run") as run:
        for name in ("open", "fsync", "write"):
            spy(name)
        monkeypatch.setattr(Path, "replace", rename)
        run.add(record("aaaaaaaaaaaa"), b"picture")
        monkeypatch.undo()
    assert events[:6] == [
        "write temporary",
        "fsync temporary",
        "rename to picture",
        "fsync folder",
        "write manifest",
        "fsync manifest",
    ]


def _kind(name: str) -> str:
    kinds = {"manifest.jsonl": "manifest", "images": "folder", "run": "folder", "aaaaaaaaaaaa.png": "picture"}
    return kinds.get(name, "temporary" if name.startswith(TEMPORARY_PREFIX) else name)


@pytest.mark.parametrize("name", [".lock", "manifest.jsonl", "images"])
def test_something_else_in_the_place_of_a_file_is_named(tmp_path: Path, name: str) -> None:
    with open_run(tmp_path / "run"):
        pass
    path = tmp_path / "run" / name
    if path.is_dir():
        path.rmdir()
        path.write_text("in the way")
    else:
        path.unlink(missing_ok=True)
        path.mkdir()
        (tmp_path / "run" / "run.json").write_text('{"plan": {}}')
    with pytest.raises(StorageError) as refusal, open_run(tmp_path / "run"):
        pass
    assert refusal.value.problems[0].file == str(path)


def test_a_disk_that_knows_no_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match="no locks available"), open_run(tmp_path / "run"):
        pass


def test_a_temporary_file_that_cannot_be_removed_is_told(tmp_path: Path) -> None:
    with open_run(tmp_path / "run"):
        pass
    (tmp_path / "run" / f"{TEMPORARY_PREFIX}0.tmp").mkdir()
    with pytest.raises(StorageError, match=TEMPORARY_PREFIX), open_run(tmp_path / "run"):
        pass
