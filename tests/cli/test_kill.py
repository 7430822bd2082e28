"""Killing a run anywhere and starting it again is as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

from tests.cli.killing import kill_and_compare


def test_runs_killed_at_random_instants_end_with_the_same_files(tmp_path: Path) -> None:
    tally = kill_and_compare(tmp_path, num_kills=8, seed=1)
    assert tally.faults == []
    assert tally.num_kills == 8
