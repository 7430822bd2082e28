"""How fast variants are counted and planned, and in how much memory: a million million combinations, a million sampled.

    python -m pytest -q -s -o python_files='bench_*.py' -o timeout=0 tests/benchmarks/bench_planning.py

Rates are by the time of the processor, so that other programs on the machine do not count.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

WIDE = 'prompt: "{axes}"\naxes:\n{lists}sizes: [512x512]\nmodel: draft\n'
USUAL = """\
prompt: "a {hero} on {ground}, {style} {light|dark}"
axes: {hero: [HERO], ground: [GROUND], style: [STYLE]}
sizes: [512x512]
model: draft
"""
PROGRAM = """
import json, resource, sys, time
from itertools import islice
from designkit.batch.plan import make_plan, read_prompts
start = time.process_time()
(file,) = read_prompts([sys.argv[1]], overrides=json.loads(sys.argv[2]))
plan = make_plan(file)
counted = time.process_time() - start
start = time.process_time()
number = sum(1 for _ in islice(plan.requests(), int(sys.argv[3])))
rate = number / (time.process_time() - start)
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([plan.count, counted, number, rate, memory]))
"""


def usual_file() -> str:
    """128,000 variants of three axes and a choice."""
    text = USUAL
    for word in ("hero", "ground", "style"):
        text = text.replace(word.upper(), ", ".join(f"{word} number {value}" for value in range(40)))
    return text


def wide_file() -> str:
    """10^12 variants of twelve axes."""
    lists = "".join(
        f"  a{axis}: [{', '.join(f'value {value} of {axis}' for value in range(10))}]\n" for axis in range(12)
    )
    return WIDE.replace("{axes}", " ".join(f"{{a{axis}}}" for axis in range(12))).replace("{lists}", lists)


@pytest.mark.parametrize(
    ("name", "sample", "num_requests"),
    [
        ("usual, in full", [], 128_000),
        ("usual, random", ["sample={method: random, count: 100000}"], 100_000),
        ("usual, balanced", ["sample={method: balanced, count: 5000}"], 5_000),
        ("10^12, first 100,000", ["sample.count=100000"], 100_000),
        ("10^12, a million at random", ["sample={method: random, count: 1000000}"], 1_000_000),
    ],
)
def test_variants_a_second(name: str, sample: list[str], num_requests: int, tmp_path: Path):
    path = tmp_path / "file.yaml"
    path.write_text(usual_file() if name.startswith("usual") else wide_file())
    command = [sys.executable, "-c", PROGRAM, str(path), json.dumps(sample), str(num_requests)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    count, counted, number, rate, memory = json.loads(done.stdout)
    print(f"\n{name:28} {count:>9,} counted in {counted:.2f} s")
    print(f"{'':28} {number:>9,} planned at {rate:,.0f} a second in {memory:.0f} MB")
    assert number == num_requests
    assert counted < 0.5 or "balanced" in sample[0]  # A balanced sample is looked at as a whole for duplicates.
    assert memory < 300
