"""Counts over options, `{2$$a|b|c}`: how many results there are, and each by its number."""

from __future__ import annotations

from collections.abc import Sequence
from math import perm

MAX_COUNT_BITS = 4096
MAX_PICK_WORK = 300_000


class TooEntangled(Exception):
    """There are too many combinations to be counted, or they depend on each other in too many ways."""


def num_picks(counts: Sequence[int], size: int) -> int:
    """How many rows of `size` different options there are, each with one of its fillings, in any order."""
    if size == 0:
        return 1
    first = counts[0] if counts else 0
    if all(count == first for count in counts):
        if size * max(len(counts), 2).bit_length() > 2 * MAX_COUNT_BITS:
            raise TooEntangled("there are more than 10^1200 combinations")
        return perm(len(counts), size) * first**size
    return _symmetric(counts, size)[size] * perm(size)


def _symmetric(counts: Sequence[int], size: int) -> list[int]:
    """The elementary symmetric polynomials of the counts, up to a degree."""
    if len(counts) * size > MAX_PICK_WORK:
        raise TooEntangled("a count over this many options has too many results")
    sums = [1] + [0] * size
    for count in counts:
        for degree in range(size, 0, -1):
            sums[degree] += sums[degree - 1] * count
    return sums


def find_picks(counts: Sequence[int], size: int, number: int) -> list[tuple[int, int]]:
    """The options in the row of a number below `num_picks`, each with the number of its filling."""
    left = list(range(len(counts)))
    picked: list[tuple[int, int]] = []
    for rest in range(size - 1, -1, -1):
        for place, blocks in zip(left, _blocks(counts, left, rest), strict=True):
            if number < blocks * counts[place]:
                filling, number = divmod(number, blocks)
                picked.append((place, filling))
                left.remove(place)
                break
            number -= blocks * counts[place]
    return picked


def number_of_picks(counts: Sequence[int], picked: Sequence[tuple[int, int]]) -> int:
    """The inverse of `find_picks`."""
    left = list(range(len(counts)))
    number = 0
    for rest, (taken, filling) in zip(range(len(picked) - 1, -1, -1), picked, strict=True):
        for place, blocks in zip(left, _blocks(counts, left, rest), strict=True):
            if place == taken:
                number += filling * blocks
                left.remove(place)
                break
            number += blocks * counts[place]
    return number


def _blocks(counts: Sequence[int], left: Sequence[int], rest: int) -> Sequence[int]:
    """For each option that is left, how many rows of `rest` others can follow one filling of it."""
    if rest == 0:
        return [1] * len(left)
    first = counts[left[0]]
    if all(counts[place] == first for place in left):
        return [perm(len(left) - 1, rest) * first**rest] * len(left)
    sums = _symmetric([counts[place] for place in left], rest)
    blocks: list[int] = []
    for place in left:
        without = 1
        for degree in range(1, rest + 1):
            without = sums[degree] - counts[place] * without
        blocks.append(without * perm(rest))
    return blocks
