"""How long covering arrays are, beside the best published ones and those of allpairspy, and how long they take.

    python -m pytest -q -s -o python_files='bench_*.py' tests/benchmarks/bench_pairwise.py

Published sizes: pairwise.org/efficiency.html has those of many tools (the smallest is named here); the table of
Colbourn (CAN(2, k, v)) those of equal levels; Cohen, Gibbons, Mugridge and Colbourn 2003 ("Constructing test suites for
interaction testing", by simulated annealing) the mixed ones. `at least` is the product of the two largest sizes.
"""

from __future__ import annotations

import time
from itertools import combinations

from allpairspy import AllPairs

from designkit.prompts.covering import cover_pairs, least_rows
from designkit.prompts.factors import Factors

# Levels, and the smallest published size with its source; None where no publication was found.
MODELS: tuple[tuple[str, tuple[int, ...], int | None, str], ...] = (
    ("3^4", (3,) * 4, 9, "pairwise.org, optimal"),
    ("3^13", (3,) * 13, 15, "pairwise.org (AETG, CTS, TestCover)"),
    ("10^4", (10,) * 4, 100, "optimal: orthogonal array (Parker 1959)"),
    ("2^10", (2,) * 10, 6, "optimal: Kleitman and Spencer 1973"),
    ("4 3^5 2^8", (4, *(3,) * 5, *(2,) * 8), None, ""),
    ("2^100", (2,) * 100, 10, "pairwise.org (AETG, CTS, TestCover)"),
    ("4 3^39 2^35", (4, *(3,) * 39, *(2,) * 35), 21, "pairwise.org (TestCover)"),
    ("4^15 3^17 2^29", (4,) * 15 + (3,) * 17 + (2,) * 29, 29, "pairwise.org (TestCover)"),
    ("10^20", (10,) * 20, 180, "pairwise.org (AETG)"),
    ("3^5", (3,) * 5, 11, "Colbourn's table, optimal"),
    ("3^7", (3,) * 7, 12, "Colbourn's table"),
    ("4^6", (4,) * 6, 19, "Colbourn's table"),
    ("6^4", (6,) * 4, 37, "Colbourn's table"),
    ("5 3^8 2^2", (5, *(3,) * 8, 2, 2), 15, "Cohen et al. 2003"),
    ("5 4^4 3^11 2^5", (5, *(4,) * 4, *(3,) * 11, *(2,) * 5), 21, "Cohen et al. 2003"),
    ("6 5 4^6 3^8 2^3", (6, 5, *(4,) * 6, *(3,) * 8, 2, 2, 2), 30, "Cohen et al. 2003"),
    ("7 6 5 4^6 3^8 2^3", (7, 6, 5, *(4,) * 6, *(3,) * 8, 2, 2, 2), 42, "Cohen et al. 2003"),
)


def test_sizes_beside_the_best_published():
    print(
        f"\n{'levels':20} {'at least':>8} {'published':>9} {'designkit':>9} {'allpairspy':>10} {'seconds':>8}  source"
    )
    for name, sizes, published, source in MODELS:
        factors = Factors(sizes=sizes)
        start = time.perf_counter()
        rows = cover_pairs(factors, seed=0)
        seconds = time.perf_counter() - start
        for i, j in combinations(range(len(sizes)), 2):
            assert len({(row[i], row[j]) for row in rows}) == sizes[i] * sizes[j]
        peer = sum(1 for _ in AllPairs([list(range(size)) for size in sizes]))
        print(
            f"{name:20} {least_rows(factors):8} {published or '-':>9} {len(rows):9} {peer:10} {seconds:8.2f}  {source}",
            flush=True,
        )
        assert len(rows) <= peer
        assert published is None or len(rows) <= published * 1.05
