"""What every test gets: no network, no colour, one thread."""

from __future__ import annotations

import os

# Before torch or a Hub library is imported anywhere: tests never reach for the network, and two cores stay two.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
