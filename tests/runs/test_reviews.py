"""What was said of pictures stays said: it outlives kills, torn lines, undo, and several programs at once."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from designkit.errors import StorageError
from designkit.runs.reviews import REVIEWS, ReviewLog, Standing, Undo

ROOT = Path(__file__).parents[2]

WRITER = """
import sys
from pathlib import Path
from designkit.runs.reviews import ReviewLog
log = ReviewLog(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    log.judge(f"{sys.argv[2]}-{number}", reviewer=sys.argv[2], stars=number % 6)
    print(number, flush=True)
"""


def start_writer(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), name, str(count)], cwd=ROOT, text=True, stdout=subprocess.PIPE
    )


def flags_and_stars(log: ReviewLog) -> dict[str, tuple[str, int]]:
    return {image: (each.flag, each.stars) for image, each in log.standings().items()}


def test_the_last_flag_and_the_last_stars_of_a_picture_count(tmp_path: Path) -> None:
    log = ReviewLog(tmp_path)
    log.judge("a", reviewer="Ana", flag="pick")
    log.judge("a", reviewer="Ben", stars=4)
    log.judge("b", reviewer="Ben", flag="pick", stars=2)
    log.judge("b", reviewer="Ana", flag="reject")
    for each in (log, ReviewLog(tmp_path)):
        assert flags_and_stars(each) == {"a": ("pick", 4), "b": ("reject", 2)}
        assert {image: standing.reviewer for image, standing in each.standings().items()} == {"a": "Ben", "b": "Ana"}
    lines = [json.loads(line) for line in (tmp_path / REVIEWS).read_text().splitlines()]
    assert [(line["kind"], line["reviewer"], line["image"]) for line in lines] == [
        ("verdict", "Ana", "a"),
        ("verdict", "Ben", "a"),
        ("verdict", "Ben", "b"),
        ("verdict", "Ana", "b"),
    ]


def test_undo_takes_back_a_reviewers_own_acts_one_by_one_and_redo_brings_them_again(tmp_path: Path) -> None:
    log = ReviewLog(tmp_path)
    log.judge("a", reviewer="Ana", flag="pick")
    log.judge("a", reviewer="Ben", stars=1)
    log.vote("a", "b", "left", reviewer="Ana")
    log.judge("a", reviewer="Ana", flag="reject")
    states = [(flags_and_stars(log), len(log.votes()))]
    for _ in range(3):
        assert log.undo("Ana") is not None
        states.append((flags_and_stars(log), len(log.votes())))
    assert states == [
        ({"a": ("reject", 1)}, 1),
        ({"a": ("pick", 1)}, 1),
        ({"a": ("pick", 1)}, 0),
        ({"a": ("none", 1)}, 0),
    ]
    assert log.undo("Ana") is None
    for state in reversed(states[:-1]):
        brought = log.redo("Ana")
        assert not isinstance(brought, Undo)
        assert (flags_and_stars(log), len(log.votes())) == state
        again = ReviewLog(tmp_path)
        assert (flags_and_stars(again), len(again.votes())) == state
    assert log.redo("Ana") is None
    assert flags_and_stars(log) == {"a": ("reject", 1)}


def test_whoever_says_something_new_has_nothing_to_redo(tmp_path: Path) -> None:
    log = ReviewLog(tmp_path)
    log.judge("a", reviewer="Ana", flag="pick")
    log.undo("Ana")
    log.judge("b", reviewer="Ana", flag="pick")
    assert log.redo("Ana") is None
    assert flags_and_stars(log) == {"b": ("pick", 0)}


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_never_counts_and_spoils_nothing(tmp_path: Path, cut: int) -> None:
    log = ReviewLog(tmp_path)
    log.judge("a", reviewer="Ana", flag="pick")
    whole = (tmp_path / REVIEWS).read_bytes()
    log.judge("b", reviewer="Ana", flag="pick")
    (tmp_path / REVIEWS).write_bytes((tmp_path / REVIEWS).read_bytes()[:-cut])
    torn = ReviewLog(tmp_path)
    assert flags_and_stars(torn) == {"a": ("pick", 0)}
    torn.judge("c", reviewer="Ana", stars=3)
    assert flags_and_stars(ReviewLog(tmp_path)) == {"a": ("pick", 0), "c": ("none", 3)}
    assert (tmp_path / REVIEWS).read_bytes().startswith(whole)


def test_damaged_and_unknown_lines_are_passed_over(tmp_path: Path) -> None:
    log = ReviewLog(tmp_path)
    log.judge("a", reviewer="Ana", flag="pick")
    good = json.loads((tmp_path / REVIEWS).read_text())
    wrong = [
        {**good, "flag": "love"}, {**good, "stars": 6}, {**good, "stars": True}, {**good, "image": 3},
        {**good, "kind": "praise"}, {**good, "more": 1}, {"kind": "verdict"}, [], None, "x", {**good, "flag": ["pick"]},
        {**good, "kind": "vote", "left": "a", "right": "b", "result": "left"},
    ]  # fmt: skip
    with (tmp_path / REVIEWS).open("ab") as file:
        for line in wrong:
            file.write(json.dumps(line).encode() + b"\n")
        file.write(b"\xff\xfe\n\n{\n" + b"[" * 50_000 + b"\n")
    log.judge("b", reviewer="Ana", stars=2)
    assert flags_and_stars(ReviewLog(tmp_path)) == {"a": ("pick", 0), "b": ("none", 2)}


def test_changes_tell_what_differs_since_a_version_also_after_undo_and_other_windows(tmp_path: Path) -> None:
    log, other = ReviewLog(tmp_path), ReviewLog(tmp_path)
    log.judge("a", reviewer="Ana", flag="pick")
    version, _ = log.changes(0)
    other.judge("b", reviewer="Ben", stars=5)
    log.refresh()
    later, changed = log.changes(version)
    assert list(changed) == ["b"]
    log.undo("Ana")
    _, changed = log.changes(later)
    assert changed == {"a": Standing()}
    assert log.changes(log.version) == (log.version, {})
    (tmp_path / REVIEWS).unlink()
    log.refresh()
    assert log.changes(later)[1].keys() == {"a", "b"}
    assert log.standings() == {}


def test_programs_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    writers = [start_writer(tmp_path, name, 40) for name in ("x", "y", "z")]
    for writer in writers:
        writer.communicate(timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert len(ReviewLog(tmp_path).standings()) == 120
    assert (tmp_path / REVIEWS).read_bytes().count(b"\n") == 120


def test_what_was_acknowledged_survives_a_kill_at_any_instant(tmp_path: Path) -> None:
    chance = random.Random(5)
    acknowledged: set[str] = set()
    for number in range(8):
        writer = start_writer(tmp_path, f"w{number}", 100_000)
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(chance.uniform(0, 0.05))
        writer.send_signal(signal.SIGKILL)
        rest, _ = writer.communicate()
        said = [line for line in (first + rest).split("\n") if line]
        acknowledged |= {f"w{number}-{line}" for line in said}
        standings = ReviewLog(tmp_path).standings()
        assert acknowledged <= standings.keys()
        # At most the one that was under way at each kill may be there beyond.
        assert len(standings) <= len(acknowledged) + number + 1
    assert len(acknowledged) > 8


def test_a_place_that_cannot_be_written_is_told_and_changes_nothing(tmp_path: Path) -> None:
    log = ReviewLog(tmp_path)
    (tmp_path / REVIEWS).mkdir()
    with pytest.raises(StorageError, match=r"reviews\.jsonl"):
        log.judge("a", reviewer="Ana", flag="pick")
    assert log.standings() == {}
