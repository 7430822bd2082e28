"""Which pictures are held out, which are near-duplicates, and in which order the rest is learned from."""

# pyright: basic
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image

FINGERPRINT_SIDE = 16
_MAX_COMPARED = 20_000
_CHUNK = 1024


def fingerprint(image: Image.Image) -> np.ndarray:
    """What a picture looks like from afar: uint8 [16, 16, 3], the same for copies that were scaled or compressed."""
    side = FINGERPRINT_SIDE
    return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BOX, reducing_gap=2.0))


def plain_ground(image: Image.Image) -> str | None:
    """The colour `#rrggbb` of a picture's border, or None where less than nine tenths of it are near one colour."""
    side = 48
    small = np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BOX, reducing_gap=2.0)).astype(int)
    border = np.concatenate([small[:2].reshape(-1, 3), small[-2:].reshape(-1, 3), small[:, :2].reshape(-1, 3),
                             small[:, -2:].reshape(-1, 3)])  # fmt: skip
    middle = np.median(border, axis=0)
    is_near = np.abs(border - middle).max(axis=1) <= 12
    return "#{:02x}{:02x}{:02x}".format(*(int(level) for level in middle)) if is_near.mean() >= 0.9 else None


def near_duplicates(fingerprints: np.ndarray) -> np.ndarray:
    """The group of each picture, [N] -> the number of the first picture that it is a near-duplicate of.

    `fingerprints` is uint8 [N, 16, 16, 3]. Two pictures are near-duplicates where the root mean square difference is
    below 1 level plus a tenth of the first one's contrast, at most 4 levels of 255; the groups are the transitive
    closure. Beyond 20,000 pictures only equal fingerprints count.
    """
    count = len(fingerprints)
    parent = np.arange(count)

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = int(parent[index])
        return index

    def join(first: int, second: int) -> None:
        first, second = sorted((root(first), root(second)))
        parent[second] = first

    flat = fingerprints.reshape(count, 3 * FINGERPRINT_SIDE**2)
    first_with: dict[bytes, int] = {}
    for index, row in enumerate(flat):
        join(first_with.setdefault(row.tobytes(), index), index)
    if count <= _MAX_COMPARED:
        different = np.array(sorted(first_with.values()), dtype=int)
        rows = flat[different].astype(np.float32)
        limits = np.minimum(4.0, 1.0 + 0.1 * rows.std(axis=1)) ** 2 * rows.shape[1]
        squares = np.square(rows).sum(axis=1)
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            distances = squares[part, None] + squares[None] - 2 * rows[part] @ rows.T
            for first, second in zip(*np.nonzero(distances < limits[part, None]), strict=True):
                if first + start < second:
                    join(int(different[first + start]), int(different[second]))
    return np.array([root(index) for index in range(count)], dtype=int)


def held_out(hashes: Sequence[str], groups: np.ndarray, labels: Sequence[str | None], *, share: float) -> np.ndarray:
    """Which pictures are held out: bool [N], about `share` of each label, near-duplicates on one side.

    Follows from the files' contents alone: neither their names nor their order matter, and a picture that is added
    moves few others. Nothing is held out of a label with fewer than 5 groups.
    """
    members: dict[int, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(int(group), []).append(index)
    by_label: dict[str, list[list[int]]] = {}
    for group in members.values():
        first = min(group, key=lambda index: hashes[index])
        by_label.setdefault(labels[first] or "", []).append(group)
    chosen = np.zeros(len(hashes), dtype=bool)
    for same in by_label.values():
        if len(same) < 5:
            continue
        wanted = share * sum(len(group) for group in same)
        same.sort(key=lambda group: hashlib.sha256(min(hashes[index] for index in group).encode()).digest())
        num_chosen = 0
        for group in same:
            if num_chosen + len(group) / 2 <= wanted:
                chosen[group] = True
                num_chosen += len(group)
    return chosen


def order(step: int, size: int, count: int, *, seed: int) -> np.ndarray:
    """Which of `count` pictures make up the batch of a step: int [size].

    Every epoch goes through all of them once, in an order of its own; batches run over the ends of epochs. A function
    of its numbers alone, so that a stopped run goes on in the middle of an epoch.
    """
    places = np.arange(step * size, (step + 1) * size)
    picked = np.empty(size, dtype=int)
    for epoch in np.unique(places // count):
        here = places // count == epoch
        picked[here] = _shuffled(seed, int(epoch), count)[places[here] % count]
    return picked


@lru_cache(maxsize=4)
def _shuffled(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)
