"""Hostile prompt files are counted or refused, in time and little memory; `fuzzing.py` tries as many as are wanted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NUM_FILES = 2000


def test_two_thousand_hostile_files_are_each_answered_in_a_second_with_place_and_fix():
    # A process of its own, whose memory is that of the prompts alone; it ends with 1 where anything went wrong.
    script = Path(__file__).with_name("fuzzing.py")
    result = subprocess.run(
        [sys.executable, str(script), str(NUM_FILES)], capture_output=True, text=True, check=False, timeout=280
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert "0 faults" in result.stdout
