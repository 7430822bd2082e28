"""What is filled in fast is what is filled in by all of the grammar, whichever of the two an entry takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from designkit.prompts import expand
from designkit.prompts.file import read_prompts

FILES = {
    "axes": 'prompt: "{a}, 100% {b}, {a}"\nnegative: "no {b} %s"\naxes: {a: [1, 2, 3], b: {x: " long ", y: ""}}\n',
    "choices": 'prompt: "{a} {red|blue|} {1|2} %d"\naxes: {a: [1, 2, 3]}\nnegative: "{p|q}"\n',
    "unused": 'prompt: "{a} {p|q}"\naxes: {a: [1, 2, 3], b: [x, y]}\n',
    "several": 'prompt: ["{a} {b}", "{b} of {x|y}"]\naxes: {a: [1, 2, 3], b: [x, y]}\n',
    "nested": 'prompt: "{a} {x|y {z|w}} {in {b}|out}"\naxes: {a: [1, 2, 3], b: [p, q]}\n',
    "excluded": 'prompt: "{a} {b}"\naxes: {a: [1, 2, 3], b: [p, q]}\nexclude: {a: 1, b: p}\n',
    "zipped": 'prompt: "{a} {b} {1|2}"\naxes: {a: [1, 2], b: [p, q]}\nzip: [[a, b]]\n',
    "variables": 'prompt: "${v=!{1|2}}${v} and ${v} {a} {3|4}"\naxes: {a: ["{big|small} can", "box"]}\n',
    "counts": 'prompt: "{2$$a|b|c} {a}"\naxes: {a: [1, 2]}\n',
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_both_ways_of_filling_in_give_the_same_variants(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "file.yaml"
    path.write_text(text)
    (file,) = read_prompts([str(path)])
    monkeypatch.setattr(expand, "MIN_FLAT", 1)
    fast = list(expand.expand(file, {}))
    monkeypatch.setattr(expand, "MIN_FLAT", 10**9)
    whole = list(expand.expand(file, {}))
    assert fast == whole
    assert [(each.settings, list(each.choices)) for each in fast] == [
        (each.settings, list(each.choices)) for each in whole
    ]


@pytest.mark.parametrize(
    ("name", "is_fast"), [("axes", True), ("choices", True), ("unused", True), ("excluded", False)]
)
def test_entries_in_which_nothing_depends_on_anything_are_filled_in_fast(name: str, is_fast: bool, tmp_path: Path):
    path = tmp_path / "file.yaml"
    path.write_text(FILES[name])
    (file,) = read_prompts([str(path)])
    expansion = expand.Expansion(file)
    (entry,) = file.entries
    space = expansion._space(entry)  # pyright: ignore[reportPrivateUsage]
    assert (expand.compile_flat(entry, space, {}) is not None) == is_fast
