"""Random draws that a key decides: the same on every machine and version of Python, independent of all others."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import shake_256
from itertools import accumulate


class Draws:
    """A row of draws; another key gives another row."""

    def __init__(self, key: str) -> None:
        self._key = key.encode("utf-8", "surrogatepass")
        self._number = 0

    def below(self, limit: int) -> int:
        """A whole number from 0 to `limit` - 1; any limit, with a bias below 2^-64."""
        self._number += 1
        num_bytes = (limit.bit_length() + 7) // 8 + 8
        digest = shake_256(b"designkit draw %d " % self._number + self._key).digest(num_bytes)
        return int.from_bytes(digest, "big") * limit >> 8 * num_bytes

    def weighted(self, weights: Sequence[float], counts: Sequence[int] | None = None) -> int:
        """A place in `weights`, as likely as its weight; where all weigh nothing, each that counts is as likely."""
        if not any(weights):
            weights = [float(count > 0) for count in counts] if counts else [1.0] * len(weights)
        ends = list(accumulate(weights))
        place = bisect_right(ends, self.below(2**53) / 2**53 * ends[-1])
        return min(place, max(place for place, weight in enumerate(weights) if weight))

    def weighted_exactly(self, counts: Sequence[int]) -> int:
        """A place in `counts`, as likely as its count, of any size."""
        ends = list(accumulate(counts))
        return bisect_right(ends, self.below(ends[-1]))
