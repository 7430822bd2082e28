"""Every variant is one row of levels and back, whatever the grammar of its prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from designkit.prompts.expand import Expansion
from designkit.prompts.factors import UNUSED
from designkit.prompts.file import read_prompts
from designkit.prompts.population import Population

FILES = {
    "axes": 'prompt: "{a} {b} {c}"\naxes: {a: [1, 2, 3], b: [x, y], c: [p, q, r, s]}\n',
    "choices": 'prompt: "{a|b|c} {d|e {f|g}} {2$$x|y|z}"\n',
    "nested axes": 'prompt: "{flat|with {a} {b|c}} {a|{d}}"\naxes: {a: [1, 2], d: [3, 4, 5]}\n',
    "excluded": 'prompt: "{a} {b} {c}"\naxes: {a: [1, 2, 3], b: [x, y], c: [p, q]}\nexclude: {a: 1, b: x}',
    "several": 'prompt: ["{a} {b}", "plain", "{a} {x|y|z}"]\naxes: {a: [1, 2, 3], b: [x, y]}\n',
    "zipped": 'prompt: "{a} {b} {c}"\naxes: {a: [1, 2], b: [x, y], c: [p, q]}\nzip: [[a, b]]\n',
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_every_variant_is_one_row_and_every_row_that_the_rules_allow_is_one_variant(text: str, tmp_path: Path):
    path = tmp_path / "file.yaml"
    path.write_text(text)
    (file,) = read_prompts([str(path)])
    expansion = Expansion(file)
    population = expansion.population
    assert population.total == expansion.total
    rows = [population.row_at(position) for position in range(population.total)]
    assert [population.position_of(row) for row in rows] == list(range(population.total))
    factors = population.factors
    for row in rows:
        assert all((level != UNUSED) == factors.is_used(factor, row) for factor, level in enumerate(row))
        assert not any(all(row[factor] in levels for factor, levels in rule.items()) for rule in factors.rules)
    assert len(set(rows)) == len(_allowed(population)) == population.total


def _allowed(population: Population) -> set[tuple[int, ...]]:
    """Every row that the factors allow, by trying all."""
    factors = population.factors
    order = sorted(range(len(factors.sizes)), key=factors.depths.__getitem__)
    partial: list[list[int]] = [[UNUSED] * len(factors.sizes)]
    for factor in order:
        partial = [
            [*row[:factor], level, *row[factor + 1 :]]
            for row in partial
            for level in (range(factors.sizes[factor]) if factors.is_used(factor, row) else [UNUSED])
        ]
    return {
        tuple(row)
        for row in partial
        if not any(all(row[factor] in levels for factor, levels in rule.items()) for rule in factors.rules)
    }
