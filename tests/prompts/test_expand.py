"""Expansion against a plain reference that tries every combination."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from designkit.errors import InputRefused
from designkit.prompts.expand import Expansion, Variant, count_variants, expand
from designkit.prompts.file import PromptFile, read_prompts
from designkit.prompts.sampling import Sample
from designkit.prompts.template import Choice, Phrase, Placeholder, Text, parse_template

Axes = Mapping[str, Sequence[str]]
Rules = Sequence[Mapping[str, Sequence[str]]]


def write(
    folder: Path, prompt: str, axes: Axes | None = None, exclude: Rules = (), negative: str = "", more: str = ""
) -> PromptFile:
    def listed(values: Sequence[str]) -> str:
        return "[" + ", ".join(f"'{value}'" for value in values) + "]"

    def rule(parts: Mapping[str, Sequence[str]]) -> str:
        return "{" + ", ".join(f"{name}: {listed(values)}" for name, values in parts.items()) + "}"

    lines = [f"prompt: '{prompt}'", f"negative: '{negative}'"]
    lines += ["axes:", *(f"  {name}: {listed(values)}" for name, values in axes.items())] if axes else []
    lines += ["exclude:", *(f"  - {rule(parts)}" for parts in exclude)] if exclude else []
    path = folder / "file.yaml"
    path.write_text("\n".join(lines) + f"\n{more}\n", encoding="utf-8")
    (file,) = read_prompts([str(path)])
    return file


def reference(prompt: str, negative: str, axes: Axes, exclude: Rules) -> Counter[tuple[str, str, frozenset[str]]]:
    """Every filling of the choices, every value of the axes that it reaches, less what is excluded."""

    def fillings(phrase: Phrase) -> Iterator[tuple[str, ...]]:
        """Each filling as its texts and placeholders ("{name}") in a row."""
        each = [
            [(part.text,)]
            if isinstance(part, Text)
            else [filling for option in part.options for filling in fillings(option)]
            if isinstance(part, Choice)
            else [(f"{{{part.name}}}",)]
            if isinstance(part, Placeholder)
            else []
            for part in phrase.parts
        ]
        for parts in itertools.product(*each):
            yield tuple(itertools.chain.from_iterable(parts))

    found: Counter[tuple[str, str, frozenset[str]]] = Counter()
    trees = [parse_template(text)[0].tree for text in (prompt, negative)]
    for first, second in itertools.product(*map(list, map(fillings, trees))):
        reached = [name for name in axes if f"{{{name}}}" in (*first, *second)]
        for values in itertools.product(*(axes[name] for name in reached)):
            taken = dict(zip(reached, values, strict=True))
            if any(all(taken.get(name) in words for name, words in rule.items()) for rule in exclude):
                continue
            texts = ["".join(taken.get(part[1:-1], part) for part in parts).strip() for parts in (first, second)]
            found[texts[0], texts[1], frozenset(f"{name}={value}" for name, value in taken.items())] += 1
    return found


def summary(variants: Iterator[Variant]) -> Counter[tuple[str, str, frozenset[str]]]:
    return Counter(
        (
            variant.prompt,
            variant.negative,
            frozenset(f"{name}={value}" for name, value in variant.choices.items() if not name.isdigit()),
        )
        for variant in variants
    )


AXES: Axes = {"p": ["p0", "p1"], "q": ["q0", "q1", "q2"], "r": ["r0", "r1"]}
PHRASES = st.recursive(
    st.sampled_from(["x", "y", " ", "{p}", "{q}", "{r}"]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda options: "{" + "|".join(options) + "}"),
    ),
    max_leaves=8,
)
SOME_VALUES = {name: st.lists(st.sampled_from(values), min_size=1, unique=True) for name, values in AXES.items()}
RULES = st.lists(st.fixed_dictionaries({}, optional=SOME_VALUES).filter(bool), max_size=4)


@given(prompt=PHRASES, negative=PHRASES, exclude=RULES)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_expansion_equals_trying_every_combination(tmp_path: Path, prompt: str, negative: str, exclude: Rules):
    file = write(tmp_path, f"z{prompt}", AXES, exclude, negative)
    expected = reference(f"z{prompt}", negative, AXES, exclude)
    assert count_variants(file) == expected.total()
    assert summary(expand(file, {})) == expected


@given(prompt=PHRASES, exclude=RULES, seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_random_sample_of_everything_is_everything_once(tmp_path: Path, prompt: str, exclude: Rules, seed: int):
    file = write(tmp_path, f"z{prompt}", AXES, exclude)
    shuffled = replace(file, sample=Sample(method="random", count=10_000, seed=seed))
    assert summary(expand(shuffled, {})) == summary(expand(file, {}))


def test_named_axes_vary_in_the_order_in_which_they_are_written_and_choices_fastest(tmp_path: Path):
    file = write(tmp_path, "{q} {a|b} {p} {c|d}", {"p": ["1", "2"], "q": ["3", "4"]})
    expected = [f"{q} {first} {p} {last}" for p, q, first, last in itertools.product("12", "34", "ab", "cd")]
    assert [variant.prompt for variant in expand(file, {})] == expected


def test_choices_are_recorded_by_key_and_by_number(tmp_path: Path):
    path = tmp_path / "file.yaml"
    path.write_text(
        'prompt: "{scene}, {old|{very|quite} new }{.|}"\nnegative: "{scene} {x|y}"\n'
        "axes: {unused: [1, 2], scene: {teal: plain teal}}\n"
    )
    (file,) = read_prompts([str(path)])
    variants = list(expand(file, {}))
    assert len(variants) == 12
    assert variants[2] == Variant(
        prompt="plain teal, old",
        negative="plain teal x",
        choices={"scene": "teal", "1": "old", "3": "", "4": "x"},
    )
    assert variants[-1].choices == {"scene": "teal", "1": "quite new", "2": "quite", "3": "", "4": "y"}


def test_a_value_may_hold_choices_and_words_of_the_brand(tmp_path: Path):
    (tmp_path / "brands" / "lumen").mkdir(parents=True)
    (tmp_path / "brands" / "lumen" / "brand.yaml").write_text("meta: {name: Lumen}\n")
    path = tmp_path / "file.yaml"
    path.write_text(
        'brand: lumen\nprompt: "a {look}"\naxes: {look: {new: "{bright|dark} {brand.style}", old: faded}}\n'
    )
    (file,) = read_prompts([str(path)])
    variants = list(expand(file, {"brand.style": "flat {shapes}", "brand.name": "", "brand.avoid": ""}))
    assert [(variant.prompt, variant.choices["look"]) for variant in variants] == [
        ("a bright flat {shapes}", "new"),
        ("a dark flat {shapes}", "new"),
        ("a faded", "old"),
    ]


def test_an_axis_is_varied_only_where_a_choice_reaches_it(tmp_path: Path):
    file = write(tmp_path, "can {plain|in {p}}", AXES)
    assert [variant.prompt for variant in expand(file, {})] == ["can plain", "can in p0", "can in p1"]


def test_ends_are_trimmed_and_inner_spaces_kept(tmp_path: Path):
    assert [variant.prompt for variant in expand(write(tmp_path, " {a  b|} {c|} "), {})] == ["a  b c", "a  b", "c", ""]


def test_rows_of_a_table_with_an_exclusion(tmp_path: Path):
    path = tmp_path / "rows.csv"
    path.write_text("prompt,size,form\na {form} {tone},8x8,can\nb {form} {tone},8x8,box\n")
    overrides = ["axes.tone=[red, blue]", "exclude=[{form: can, tone: blue}]"]
    (file,) = read_prompts([str(path)], overrides=overrides)
    assert [variant.prompt for variant in expand(file, {})] == ["a can red", "b box red", "b box blue"]


def test_every_position_gives_its_variant_alone(tmp_path: Path):
    file = write(tmp_path, "{p} {x|{q}} {r}", AXES, [{"p": ["p0"], "q": ["q1"]}])
    expansion = Expansion(file)
    assert [expansion.variant(place, {}) for place in range(expansion.total)] == list(expand(file, {}))


def twelve_axes(folder: Path, sample: str = "", exclude: str = "") -> PromptFile:
    axes = "".join(f"  a{number}: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n" for number in range(12))
    prompt = " ".join(f"{{a{number}}}" for number in range(12))
    path = folder / "twelve.yaml"
    path.write_text(f'prompt: "{prompt}"\naxes:\n{axes}{sample}{exclude}')
    (file,) = read_prompts([str(path)])
    return file


def test_twelve_axes_of_ten_values_are_counted_at_once_in_little_memory(tmp_path: Path):
    tracemalloc.start()
    began = time.process_time()
    assert count_variants(twelve_axes(tmp_path)) == 10**12
    assert time.process_time() - began < 0.5
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_exclusions_among_a_million_million_are_counted_exactly(tmp_path: Path):
    exclude = "exclude:\n  - {a0: 1, a11: [2, 3]}\n  - {a0: [1, 5], a5: 7}\n  - {a3: 0}\n"
    # By inclusion and exclusion, in units of 10^12: a3 keeps 0.9; of the rest the first two overlap.
    first, second, both = 0.1 * 0.2, 0.2 * 0.1, 0.1 * 0.2 * 0.1
    expected = round(10**12 * 0.9 * (1 - first - second + both))
    assert count_variants(twelve_axes(tmp_path, exclude=exclude)) == expected


def test_a_sample_of_a_million_million_is_drawn_at_once_without_repetition(tmp_path: Path):
    began = time.process_time()
    file = twelve_axes(tmp_path, sample="sample: {method: random, count: 1000}\n")
    prompts = [variant.prompt for variant in expand(file, {})]
    assert time.process_time() - began < 2
    assert len(set(prompts)) == 1000
    # Every value of every axis turns up: expected 100 times each.
    counts = Counter((place, digit) for prompt in prompts for place, digit in enumerate(prompt.split()))
    assert len(counts) == 120
    assert min(counts.values()) > 50


def test_expansion_is_lazy(tmp_path: Path):
    assert len(list(islice(expand(twelve_axes(tmp_path), {}), 5))) == 5


@pytest.mark.parametrize("added", ["axes", "rows"])
def test_an_added_value_changes_no_other_variant(tmp_path: Path, added: str):
    before = summary(expand(write(tmp_path, "{p} {a|b}", {"p": ["1", "2"]}), {}))
    prompt = "{p} {a|b}" if added == "axes" else "{p} {a|c|b}"
    after = summary(expand(write(tmp_path, prompt, {"p": ["0", "1", "2"]}), {}))
    assert before <= after


def test_choices_that_each_reach_an_axis_of_their_own_are_counted_however_many_they_are(tmp_path: Path):
    axes = {f"a{number}": ["1", "2"] for number in range(40)}
    assert count_variants(write(tmp_path, "z" + "".join(f"{{x|{{{name}}}}}" for name in axes), axes)) == 3**40


def test_choices_that_reach_too_many_axes_are_refused_rather_than_counted_for_ever(tmp_path: Path):
    axes = {f"a{number}": ["1", "2"] for number in range(40)}
    prompt = "z" + "".join(f"{{x|{{{name}}}}}" for name in axes)
    began = time.process_time()
    with pytest.raises(InputRefused, match="overlap in too many ways"):
        count_variants(write(tmp_path, prompt + prompt, axes))
    assert time.process_time() - began < 5


def test_exclusions_that_overlap_too_much_are_refused_rather_than_counted_for_ever(tmp_path: Path):
    axes = {f"a{number}": [str(value) for value in range(9)] for number in range(40)}
    prompt = "".join(f"{{{name}}}" for name in axes)
    rules = [{f"a{number}": ["1", "2"], f"a{39 - (number * 7) % 20}": ["3"]} for number in range(20)]
    rules = [rule for rule in rules if len(rule) == 2]
    began = time.process_time()
    with pytest.raises(InputRefused, match=r"file\.yaml:\d+:exclude: .* overlap in too many ways"):
        count_variants(write(tmp_path, prompt, axes, rules))
    assert time.process_time() - began < 10
