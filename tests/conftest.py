"""What every test gets: no network, no colour, one thread, and under xdist one core a worker."""

from __future__ import annotations

import os

# Before torch or a Hub library is imported anywhere: tests never reach for the network, and two cores stay two.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Workers that share cores wait for each other at every turn; what a test starts stays on its worker's core, too.
if (_worker := os.environ.get("PYTEST_XDIST_WORKER")) and hasattr(os, "sched_setaffinity"):
    _cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {_cores[int(_worker.removeprefix("gw")) % len(_cores)]})
