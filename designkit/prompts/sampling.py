"""Which of all variants a file asks for, as positions in the full list, without ever holding that list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import shake_256
from typing import Literal

NUM_ROUNDS = 8


@dataclass(frozen=True, kw_only=True)
class Sample:
    """`full` takes the variants in order, `random` draws without repetition; `count` None takes all of them."""

    method: Literal["full", "random"] = "full"
    count: int | None = None
    seed: int = 0


def sample_size(total: int, sample: Sample) -> int:
    """How many of `total` variants the sample takes."""
    return total if sample.count is None else min(total, sample.count)


def sample_positions(total: int, sample: Sample) -> Iterator[int]:
    """The positions that the sample takes out of `range(total)`, each at most once, one by one.

    A larger count continues where a smaller one ended, so raising it adds images and replaces none.
    """
    places = range(sample_size(total, sample))
    if sample.method == "full":
        yield from places
    else:
        shuffle = Permutation(total, sample.seed)
        for place in places:
            yield shuffle[place]


class Permutation:
    """A random order of `range(total)` in which each place is computed on its own, for any total.

    A Feistel network over the two halves of the number's bits is a permutation of a power of four; numbers
    beyond `total` are sent through it again until they fall inside (cycle walking, Black and Rogaway 2002).
    The rounds are keyed hashes, so the order is the same on every machine and version of Python.
    """

    def __init__(self, total: int, seed: int) -> None:
        self.total = total
        self.half_bits = max(1, ((total - 1).bit_length() + 1) // 2)
        self.half_bytes = (self.half_bits + 7) // 8
        self.mask = (1 << self.half_bits) - 1
        self.keys = [f"designkit sample {seed} {number} ".encode() for number in range(NUM_ROUNDS)]

    def __getitem__(self, position: int) -> int:
        if not 0 <= position < self.total:
            raise IndexError(position)
        number = self._scramble(position)
        while number >= self.total:
            number = self._scramble(number)
        return number

    def _scramble(self, number: int) -> int:
        left, right = number >> self.half_bits, number & self.mask
        for key in self.keys:
            digest = shake_256(key + right.to_bytes(self.half_bytes, "big")).digest(self.half_bytes)
            left, right = right, left ^ (int.from_bytes(digest, "big") & self.mask)
        return left << self.half_bits | right
