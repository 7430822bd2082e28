# pyright: basic
"""One measure taken twice, without something and with it, from the same prompts and seeds: what changed, how surely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from designkit.evaluation.resampling import mean_interval


def paired(
    key: str, title: str, better: str | None, digits: int, about: str, pairs: Sequence[Sequence[float]], *,
    own: Sequence[float] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A measure of base and adapter on the same prompts and seeds, with the interval of each and of the change."""
    base, adapter = ([pair[place] for pair in pairs] for place in (0, 1))
    change = mean_interval([pair[1] - pair[0] for pair in pairs])
    verdict = "none"
    if better is not None and (change.low > 0 or change.high < 0):
        verdict = "better" if (change.value > 0) == (better == "higher") else "worse"
    return {
        "key": key, "title": title, "better": better, "digits": digits, "about": about, "base": interval(base),
        "adapter": interval(adapter), "change": interval([pair[1] - pair[0] for pair in pairs]),
        "own": None if not own else rounded(np.mean(own)), "count": len(pairs), "verdict": verdict,
    }  # fmt: skip


def interval(values: Sequence[float]) -> dict[str, float]:
    """The mean of values with its interval."""
    mean = mean_interval(values)
    return {"mean": rounded(mean.value), "low": rounded(mean.low), "high": rounded(mean.high)}


def rounded(value: Any) -> float:
    """Six significant digits: more would differ between machines."""
    return float(f"{float(value):.6g}")
