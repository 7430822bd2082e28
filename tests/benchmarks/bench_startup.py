"""What it costs to ask the command something: wall and processor time, the interpreter's own included.

The bar is a median of 0.3 s wall time over five runs.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NUM_RUNS = 5


def seconds_of(*command: str) -> tuple[float, float]:
    """Median wall and processor seconds of a command."""
    walls, processors = [], []
    for _ in range(NUM_RUNS):
        before = os.times()
        began = time.perf_counter()
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        walls.append(time.perf_counter() - began)
        after = os.times()
        processors.append(after.children_user - before.children_user + after.children_system - before.children_system)
    return statistics.median(walls), statistics.median(processors)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("generate", "--help"),
        ("plan", "prompts/summer-soda-ad.yaml"),
        ("plan", "prompts/summer-soda-ad.yaml", "--json"),
        ("lint", "prompts/summer-soda-ad.yaml"),
        ("lint", "prompts/summer-soda-ad.yaml", "prompts/tea-packaging.yaml", "prompts/coffee-branding.yaml", "--json"),
        ("models", "list"),
    ],
    ids=" ".join,
)
def test_answers_within_a_third_of_a_second(arguments: tuple[str, ...]) -> None:
    wall, processor = seconds_of(sys.executable, "-m", "designkit", *arguments)
    bare, _ = seconds_of(sys.executable, "-c", "pass")
    print(
        f"\ndesignkit {' '.join(arguments)}: {wall:.3f} s wall, {processor:.3f} s processor (python alone {bare:.3f} s)"
    )
    assert wall <= 0.3
