"""Which of all variants a file asks for, as positions in the full list, without ever holding that list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from designkit.prompts.permutation import Permutation


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
