"""A random order of any number of things in which each place is computed on its own."""

from __future__ import annotations

from hashlib import shake_256

NUM_ROUNDS = 8

_MAX_REMEMBERED_BITS = 12


class Permutation:
    """A random order of `range(total)` in which each place is computed on its own, for any total.

    A Feistel network over the two halves of the number's bits is a permutation of a power of four; numbers
    beyond `total` are sent through it again until they fall inside (cycle walking, Black and Rogaway 2002).
    The rounds are keyed hashes, so the order is the same on every machine and version of Python.
    """

    def __init__(self, total: int, seed: int | str) -> None:
        self.total = total
        self.half_bits = max(1, ((total - 1).bit_length() + 1) // 2)
        self.half_bytes = (self.half_bits + 7) // 8
        self.mask = (1 << self.half_bits) - 1
        self.keys = [f"designkit sample {seed} {number} ".encode() for number in range(NUM_ROUNDS)]
        self._remembered = [dict[int, int]() for _ in self.keys] if self.half_bits <= _MAX_REMEMBERED_BITS else []

    def __getitem__(self, position: int) -> int:
        if not 0 <= position < self.total:
            raise IndexError(position)
        number = self._scramble(position)
        while number >= self.total:
            number = self._scramble(number)
        return number

    def _scramble(self, number: int) -> int:
        left, right = number >> self.half_bits, number & self.mask
        if self._remembered:
            for place, known in enumerate(self._remembered):
                if right not in known:
                    known[right] = self._hash(self.keys[place], right)
                left, right = right, left ^ known[right]
        else:
            size, mask, number_of = self.half_bytes, self.mask, int.from_bytes
            for key in self.keys:
                digest = shake_256(key + right.to_bytes(size, "big")).digest(size)
                left, right = right, left ^ (number_of(digest, "big") & mask)
        return left << self.half_bits | right

    def _hash(self, key: bytes, number: int) -> int:
        digest = shake_256(key + number.to_bytes(self.half_bytes, "big")).digest(self.half_bytes)
        return int.from_bytes(digest, "big") & self.mask
