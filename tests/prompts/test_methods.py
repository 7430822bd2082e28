"""The ways of sampling through prompt files: exact counts, what they promise, and what stays when a file grows."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from designkit.batch.plan import make_plan, read_prompts
from designkit.errors import InputRefused
from designkit.generators.catalog import DRAFT_CARD
from designkit.generators.draft import DraftGenerator
from designkit.prompts.expand import Expansion, Variant, count_variants, expand
from designkit.prompts.file import PromptFile
from designkit.values import ImageRequest

CAMPAIGN = """\
prompt: "{hero} on {ground}, {style} {light|dark}{, {angle} view|}"
axes:
  hero: [can, bottle, box, jar, bag]
  ground: [teal, pink, cream]
  style: [flat, paper, line, photo]
  angle: [top, side, low]
exclude: [{hero: [can, jar], style: line}, {ground: pink, style: [photo, paper], hero: bag}]
"""
METHODS = ["full", "random", "balanced", "pairwise", "latin"]


def read(folder: Path, text: str, *overrides: str) -> PromptFile:
    path = folder / "file.yaml"
    path.write_text(text)
    (file,) = read_prompts([str(path)], overrides=overrides)
    return file


def variants(file: PromptFile) -> list[Variant]:
    found = list(expand(file, {}))
    assert len(found) == count_variants(file)
    return found


def pairs(found: list[Variant]) -> set[object]:
    return {pair for variant in found for pair in combinations(sorted(variant.choices.items()), 2)}


def test_pairwise_shows_every_pair_that_any_variant_shows_in_few_variants(tmp_path: Path):
    whole = variants(read(tmp_path, CAMPAIGN))
    few = variants(read(tmp_path, CAMPAIGN, "sample.method=pairwise"))
    assert pairs(few) == pairs(whole)
    assert {variant.prompt for variant in few} <= {variant.prompt for variant in whole}
    assert len({variant.prompt for variant in few}) == len(few) <= 26 < len(whole) / 10


def test_pairwise_is_topped_up_to_a_larger_count_and_refuses_a_smaller_one(tmp_path: Path):
    few = variants(read(tmp_path, CAMPAIGN, "sample.method=pairwise"))
    more = variants(read(tmp_path, CAMPAIGN, f"sample={{method: pairwise, count: {len(few) + 9}}}"))
    assert more[: len(few)] == few
    assert len({variant.prompt for variant in more}) == len(few) + 9
    with pytest.raises(InputRefused) as caught:
        count_variants(read(tmp_path, CAMPAIGN, "sample={method: pairwise, count: 3}"))
    (problem,) = caught.value.problems
    assert problem.code == "sample-count"
    assert problem.fix is not None
    assert f"count: {len(few)} or more" in problem.fix


def test_pairs_of_a_file_with_several_prompts_are_shown_once_for_all(tmp_path: Path):
    text = 'prompt: ["{a} {b}", "a {a} by {b}", "{b} of {x|y|z}"]\naxes: {a: [1, 2, 3], b: [p, q, r]}\n'
    whole = variants(read(tmp_path, text))
    few = variants(read(tmp_path, text, "sample.method=pairwise"))
    assert pairs(few) == pairs(whole)
    with_prompt = {(variant.entry, *item) for variant in whole for item in variant.choices.items()}
    assert {(variant.entry, *item) for variant in few for item in variant.choices.items()} == with_prompt
    assert len(few) <= 18 < len(whole)


def test_balanced_takes_every_value_equally_often(tmp_path: Path):
    text = CAMPAIGN.partition("exclude")[0].replace("{, {angle} view|}", ", {angle} view")
    for count in (7, 24, 60, 200, 359):
        found = variants(read(tmp_path, text, f"sample={{method: balanced, count: {count}}}"))
        assert len({variant.prompt for variant in found}) == count
        for axis in found[0].choices:
            times = Counter(variant.choices[axis] for variant in found)
            assert max(times.values()) - min(times.values()) <= 1


@pytest.mark.parametrize("method", METHODS)
def test_a_count_is_exact_and_no_variant_comes_twice_or_is_excluded(method: str, tmp_path: Path):
    whole = {variant.prompt for variant in variants(read(tmp_path, CAMPAIGN))}
    for count in (300, len(whole) + 1) if method == "pairwise" else (40, 300, len(whole), len(whole) + 1):
        found = [
            variant.prompt
            for variant in variants(read(tmp_path, CAMPAIGN, f"sample={{method: {method}, count: {count}}}"))
        ]
        assert set(found) <= whole
        assert len(set(found)) == len(found) == min(count, len(whole))


@pytest.mark.parametrize("method", ["random", "balanced", "latin"])
def test_a_method_that_needs_a_count_says_so(method: str, tmp_path: Path):
    with pytest.raises(InputRefused, match=f"{method} sampling needs a count"):
        read(tmp_path, CAMPAIGN, f"sample.method={method}")


@pytest.mark.parametrize("method", ["random", "balanced", "latin"])
def test_samples_of_a_million_million_come_at_once(method: str, tmp_path: Path):
    axes = "".join(f"  a{number}: [{', '.join(map(str, range(10)))}]\n" for number in range(12))
    text = f'prompt: "{" ".join(f"{{a{number}}}" for number in range(12))}"\naxes:\n{axes}'
    file = read(tmp_path, text, f"sample={{method: {method}, count: 50}}")
    assert Expansion(file).total == 10**12
    assert len({variant.prompt for variant in variants(file)}) == 50


def test_pairs_that_would_take_too_many_variants_are_refused_with_their_number(tmp_path: Path):
    long = ", ".join(map(str, range(150)))
    with pytest.raises(InputRefused, match="at least 22,500 variants"):
        count_variants(
            read(tmp_path, f'prompt: "{{a}} {{b}}"\naxes: {{a: [{long}], b: [{long}]}}\nsample: {{method: pairwise}}')
        )


# What grows: axes a and b with values, sizes, seeds, and a new axis that only a new option of a choice mentions.
BASE = {"a": ["1", "2"], "b": ["x", "y", "z"], "sizes": ["64x64", "96x48"], "seeds": ["0", "7"]}


@st.composite
def growths(draw: st.DrawFn) -> tuple[dict[str, list[str]], bool]:
    """The base with new values anywhere in its lists, and whether a new option brings a new axis."""
    grown = {key: list(values) for key, values in BASE.items()}
    new = {"a": ["9", "8"], "b": ["new", "other"], "sizes": ["32x32", "80x64"], "seeds": ["3", "99"]}
    for key, values in new.items():
        for value in draw(st.lists(st.sampled_from(values), max_size=2, unique=True)):
            grown[key].insert(draw(st.integers(0, len(grown[key]))), value)
    return grown, draw(st.booleans())


@settings(max_examples=15, deadline=None)
@given(growths(), st.sampled_from(METHODS))
def test_what_a_file_gains_changes_no_other_id_and_no_pixel(tmp_path_factory, growth, method: str):
    folder = tmp_path_factory.mktemp("growth")
    before, after = requests(folder, BASE, False, method), requests(folder, growth[0], growth[1], method)
    shared = before.keys() & after.keys()
    # The same words, size and seed have the same id in both, and nothing else has it.
    contents = {(each.prompt, each.negative, each.size, each.seed): name for name, each in before.items()}
    for name, each in after.items():
        assert contents.get((each.prompt, each.negative, each.size, each.seed), name) == name
    if method == "full":
        assert shared == before.keys()
    some = sorted(shared)[:3]
    assert [pixels(before[name]) for name in some] == [pixels(after[name]) for name in some]


def requests(folder: Path, lists: dict[str, list[str]], is_wider: bool, method: str) -> dict[str, ImageRequest]:
    more = "|gold, {c}" if is_wider else ""
    text = (
        f'prompt: "a {{a}} with {{b}}, {{flat|bold{more}}}"\n'
        f"axes: {{a: {lists['a']}, b: {lists['b']}{', c: [p, q]' if is_wider else ''}}}\n"
        f"sizes: {lists['sizes']}\nseeds: {lists['seeds']}\n"
        f"sample: {{method: {method}{'' if method in ('full', 'pairwise') else ', count: 8'}}}\n"
    )
    plan = make_plan(read(folder, text.replace("'", "")), card=DRAFT_CARD)
    found = {request.id: request for request in plan.requests()}
    assert len(found) == plan.count
    return found


def pixels(request: ImageRequest) -> bytes:
    (image,) = DraftGenerator(DRAFT_CARD).generate([request])
    return image.image.tobytes()
