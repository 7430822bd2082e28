# pyright: basic
"""Where torch computes: every choice, and every refusal with its reason."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from designkit.errors import InputRefused
from designkit.models import device
from designkit.models.device import MIN_BF16_GAIN, bf16_gain, choose_compute, free_cores


@pytest.fixture(autouse=True)
def threads_stay():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_precision_that_is_asked_for_is_taken(precision, dtype):
    compute = choose_compute(precision=precision, device="cpu")
    assert (compute.dtype, compute.precision, compute.reason) == (dtype, precision, "asked for")
    assert compute.device == torch.device("cpu")


def test_fp16_is_refused_on_a_cpu():
    with pytest.raises(InputRefused, match=r"fp16 is refused on a CPU: it is slower there than fp32"):
        choose_compute(precision="fp16", device="cpu")


@pytest.mark.parametrize("name", ["cuda:99", "warp"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(InputRefused, match=f"the device '{name}' cannot be used here"):
        choose_compute(device=name)


@pytest.mark.parametrize(("gain", "precision"), [(MIN_BF16_GAIN + 0.1, "bf16"), (MIN_BF16_GAIN - 0.1, "fp32")])
def test_bf16_is_chosen_on_a_cpu_only_where_a_measurement_says_that_it_pays(gain, precision, monkeypatch):
    monkeypatch.setattr(device, "bf16_gain", lambda: gain)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    compute = choose_compute(device="cpu")
    assert (compute.precision, compute.reason) == (precision, f"bf16 measured {gain:.1f} times as fast as fp32")


def test_a_cpu_without_bf16_instructions_is_not_even_measured(monkeypatch):
    monkeypatch.setattr(device, "bf16_gain", lambda: pytest.fail("measured"))
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert choose_compute(device="cpu").precision == "fp32"


def test_the_measurement_is_short():
    started = time.process_time()
    assert bf16_gain() > 0
    assert time.process_time() - started < 1.5  # A third of a second where bf16 is native, a second where it is not.


def test_threads_are_what_was_asked_for_or_the_free_cores_shared_out(monkeypatch):
    assert choose_compute(precision="fp32", device="cpu", threads=1).threads == torch.get_num_threads() == 1
    monkeypatch.setattr(device, "free_cores", lambda: 8)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert choose_compute(precision="fp32", device="cpu").threads == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert choose_compute(precision="fp32", device="cpu").threads == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "99")
    assert choose_compute(precision="fp32", device="cpu").threads == 1


def test_small_calls_run_side_by_side_on_one_thread_each(monkeypatch):
    monkeypatch.setattr(device, "free_cores", lambda: 6)
    small = choose_compute(precision="fp32", device="cpu", runs_small_calls=True)
    assert (small.threads, small.workers) == (1, 6)
    resumed = choose_compute(precision="fp32", device="cpu", threads=4, runs_small_calls=True)
    assert (resumed.threads, resumed.workers) == (4, 1)
    large = choose_compute(precision="fp32", device="cpu")
    assert (large.threads, large.workers) == (6, 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the affinity of a process can be set on Linux only")
def test_only_the_cores_that_the_process_may_use_are_counted():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert free_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "PASSIVE 1000"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE None"),
        ({"GOMP_SPINCOUNT": "7"}, "None 7"),
    ],
)
def test_waiting_threads_soon_sleep_unless_the_user_says_otherwise(given, expected):
    variables = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in variables}
    program = (
        "import sys, os, designkit.models.device\n"
        "assert 'torch' in sys.modules\n"
        f"print(*map(os.environ.get, {variables}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment | given, cwd=Path(__file__).parents[2],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == expected
