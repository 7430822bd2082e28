# pyright: basic
"""Jobs side by side: results in order, errors passed on, and a quick end when the caller has had enough."""

from __future__ import annotations

import random
import signal
import threading
import time

import pytest

from designkit.generators.workers import run_side_by_side
from designkit.models import device
from tests.generators.requests import ask, open_tiny, pixels


def never():
    raise AssertionError("nothing was to be stopped")


@pytest.mark.parametrize("num_workers", [1, 2, 5])
@pytest.mark.parametrize("num_jobs", [0, 1, 7])
def test_results_come_in_the_order_of_the_jobs(num_workers, num_jobs):
    def work(job):
        time.sleep(random.random() / 500)
        return job * job

    results = list(run_side_by_side(work, range(num_jobs), num_workers=num_workers, stop=never))
    assert results == [job * job for job in range(num_jobs)]


def test_one_worker_works_in_the_callers_thread():
    (thread,) = run_side_by_side(lambda job: threading.get_ident(), [0], num_workers=1, stop=never)
    assert thread == threading.get_ident()


def test_workers_work_at_the_same_time():
    both_here = threading.Barrier(2, timeout=20)
    assert sorted(run_side_by_side(lambda job: both_here.wait(), range(2), num_workers=2, stop=never)) == [0, 1]


def test_what_a_job_raises_reaches_the_caller_and_ends_the_others():
    stopped = threading.Event()

    def work(job):
        if job == 0:
            raise KeyError(job)
        stopped.wait(20)

    with pytest.raises(KeyError):
        list(run_side_by_side(work, range(9), num_workers=2, stop=stopped.set))
    assert stopped.is_set()


def test_ending_early_drops_waiting_jobs_and_waits_for_running_ones():
    stopped, ended = threading.Event(), []

    def work(job):
        if job > 0:
            stopped.wait(20)
        ended.append(job)
        return job

    results = run_side_by_side(work, range(100), num_workers=2, stop=stopped.set)
    assert next(results) == 0
    results.close()
    assert len(ended) <= 4
    assert threading.active_count() == 1 or not any(thread.name.startswith("draw") for thread in threading.enumerate())


def test_how_many_calls_run_side_by_side_changes_no_byte(tiny_model, monkeypatch):
    # Prompts of every length: tokenizers remember how they were last called, and each thread needs its own.
    requests = [ask(seed, prompt="teal soda can " * (seed % 9), negative="x " * (seed % 4)) for seed in range(14)]
    drawn = []
    for cores in (1, 3):
        monkeypatch.setattr(device, "free_cores", lambda cores=cores: cores)
        generator = open_tiny(tiny_model("StableDiffusionXLPipeline"), batch_size=2)
        assert generator.settings["workers"] == cores
        drawn.append(pixels(generator, requests))
    assert drawn[0] == drawn[1]


def test_a_signal_ends_calls_at_their_next_step(tiny_model, monkeypatch):
    monkeypatch.setattr(device, "free_cores", lambda: 2)
    generator = open_tiny(tiny_model("StableDiffusionPipeline"), batch_size=1)
    long = [ask(seed, steps=150) for seed in range(4)]
    started = time.monotonic()
    list(generator.generate(long[:2]))
    whole = time.monotonic() - started

    signalled = []

    def stop(number, frame):
        signalled.append(time.monotonic())
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, whole / 4)
        with pytest.raises(KeyboardInterrupt):
            list(generator.generate(long))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - signalled[0] < whole / 2
    other = open_tiny(tiny_model("StableDiffusionPipeline"), batch_size=1)
    assert pixels(generator, [ask(0)]) == pixels(other, [ask(0)])
