"""One scope: prompts, negative prompts, copy, sizes, names and settings share the choices of a variant."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from designkit.errors import InputRefused, Problem
from designkit.prompts.draws import Draws
from designkit.prompts.expand import Expansion, Variant, count_variants, expand
from designkit.prompts.file import PromptFile, read_prompts
from designkit.prompts.picks import find_picks, num_picks, number_of_picks


def read(folder: Path, text: str) -> PromptFile:
    path = folder / "file.yaml"
    path.write_text(text, encoding="utf-8")
    (file,) = read_prompts([str(path)])
    return file


def variants(folder: Path, text: str) -> list[Variant]:
    return list(expand(read(folder, text), {}))


def prompts(folder: Path, text: str) -> list[str]:
    return [variant.prompt for variant in variants(folder, text)]


def refused(folder: Path, text: str) -> tuple[Problem, ...]:
    with pytest.raises(InputRefused) as caught:
        variants(folder, text)
    return caught.value.problems


# Variables


def test_a_variable_is_chosen_anew_at_each_use_or_once(tmp_path: Path):
    assert prompts(tmp_path, 'prompt: "${v={a|b}}${v}${v}"\n') == ["aa", "ab", "ba", "bb"]
    assert prompts(tmp_path, 'prompt: "${v=!{a|b}}${v}${v}"\n') == ["aa", "bb"]


def test_a_variable_chosen_once_is_an_axis_of_every_text(tmp_path: Path):
    text = 'prompt: "${v=!{a|b}}p ${v}"\nnegative: "n {v} ${v}"\nname: "{v}"\ncopy: {h: "c {v}"}\n'
    assert [
        (each.prompt, each.negative, each.name, each.copies, each.choices) for each in variants(tmp_path, text)
    ] == [(f"p {v}", f"n {v} {v}", v, ({"h": f"c {v}"},), {"v": v}) for v in "ab"]


def test_variables_may_be_set_behind_their_use_in_any_text_and_from_each_other(tmp_path: Path):
    text = 'prompt: "${b} ${a=x}"\nnegative: "${b=${a}!} ${c:none} ${a?=no} ${a}"\n'
    (variant,) = variants(tmp_path, text)
    assert (variant.prompt, variant.negative) == ("x!", "none  x")


@pytest.mark.parametrize(
    ("text", "code", "fix"),
    [
        ('prompt: "${looks=x} ${look}"', "unknown-variable", "did you mean 'looks'?"),
        ('prompt: "${a=${b}}${b=${a}}${a}"', "circular-reference", "break the circle"),
        ('prompt: "${a=!{${a}|x}}${a}"', "circular-reference", "break the circle"),
        ('prompt: "${a=x}{a}"\naxes: {a: [y]}', "variable-name", "give the variable another name"),
        ('prompt: "{a}"\naxes: {a: ["{b}"], b: ["x {a}"]}', "circular-reference", "break the circle"),
    ],
)
def test_names_that_mean_nothing_are_told(tmp_path: Path, text: str, code: str, fix: str):
    (problem,) = refused(tmp_path, text + "\n")
    assert (problem.code, problem.fix) == (code, fix)
    assert problem.line in (1, 2)


# Axes


def test_a_value_may_hold_axes_that_vary_only_where_it_is_taken(tmp_path: Path):
    text = 'prompt: "{a} {b}"\naxes: {a: [plain, "{c} {d}"], b: [1, 2], c: [x, y], d: [z]}\n'
    assert [(each.prompt, each.choices) for each in variants(tmp_path, text)] == [
        ("plain 1", {"a": "plain", "b": "1"}),
        ("plain 2", {"a": "plain", "b": "2"}),
        ("x z 1", {"a": "{c} {d}", "b": "1", "c": "x", "d": "z"}),
        ("x z 2", {"a": "{c} {d}", "b": "2", "c": "x", "d": "z"}),
        ("y z 1", {"a": "{c} {d}", "b": "1", "c": "y", "d": "z"}),
        ("y z 2", {"a": "{c} {d}", "b": "2", "c": "y", "d": "z"}),
    ]


def test_zipped_axes_move_together(tmp_path: Path):
    text = 'prompt: "{a} {c}"\nnegative: "{b}"\naxes: {a: [1, 2], b: [x, y], c: [p, q]}\nzip: [a, b]\n'
    made = [(each.prompt, each.negative) for each in variants(tmp_path, text)]
    assert made == [("1 p", "x"), ("1 q", "x"), ("2 p", "y"), ("2 q", "y")]
    (variant,) = variants(tmp_path, text + "exclude: [{a: 1}, {b: y, c: q}]\n")
    assert variant.choices == {"a": "2", "b": "y", "c": "p"}


@pytest.mark.parametrize(
    ("zipped", "message"),
    [
        ("[a, b]", "equally many values"),
        ("[[a, c], [a, d]]", "zipped twice"),
        ("[[a]]", "one axis alone"),
        ("[a, x]", "not an axis"),
        ("[a, e]", "cannot hold choices"),
    ],
)
def test_a_zip_that_cannot_be_is_refused(tmp_path: Path, zipped: str, message: str):
    axes = '{a: [1, 2], b: [1], c: [1, 2], d: [1, 2], e: ["{x|y}", z]}'
    text = f'prompt: "{{a}}{{b}}{{c}}{{e}}"\naxes: {axes}\nzip: {zipped}\n'
    problems = refused(tmp_path, text)
    assert any(message in problem.message and problem.line == 3 and problem.key == "zip" for problem in problems)


def test_weights_decide_what_random_samples_draw_and_nothing_else(tmp_path: Path):
    text = 'prompt: "{a} {99::p|q} {c}"\naxes: {a: [9::x, {k: y}], c: [%s]}\n'.replace("{k: y}", "y")
    numbers = ", ".join(map(str, range(1000)))
    full = text % "1"
    assert sorted(prompts(tmp_path, full)) == ["x p 1", "x q 1", "y p 1", "y q 1"]
    drawn = prompts(tmp_path, text % numbers + "sample: {method: random, count: 300}\n")
    assert len(set(drawn)) == 300
    first = Counter(prompt.split()[0] for prompt in drawn)
    second = Counter(prompt.split()[1] for prompt in drawn)
    assert 240 < first["x"] < 290
    assert second["q"] < 15


def test_a_weighted_sample_of_everything_is_everything_once(tmp_path: Path):
    text = 'prompt: "{1000::a|b|0::c} {x}"\naxes: {x: [1, 2]}\nsample: {method: random, count: %d}\n'
    assert len(set(prompts(tmp_path, text % 6))) == 6
    assert prompts(tmp_path, text % 5)[:2] == prompts(tmp_path, text % 2)


# Sizes and settings


def test_sizes_take_the_values_of_axes(tmp_path: Path):
    text = 'prompt: p\nsizes: ["{place}", 8x8]\naxes: {place: {feed: square, same: 8x8}}\n'
    file = read(tmp_path, text)
    expansion = Expansion(file)
    assert [each.settings.sizes for each in expansion.sample({})] == [("square", "8x8"), ("8x8",)]
    assert sorted((each.sizes, count) for each, count in expansion.settings_counts()) == [
        (("8x8",), 1),
        (("square", "8x8"), 1),
    ]


def test_settings_may_depend_on_choices(tmp_path: Path):
    text = """\
prompt: "{a} {b|{c}}"
axes: {a: [x, y], c: [1, 2, 3]}
steps: 9
when:
  - {if: {a: x}, steps: 3, sizes: [8x8]}
  - {if: {a: [x, y], c: 2}, steps: 4, seeds: 2}
"""
    expansion = Expansion(read(tmp_path, text.replace("steps: 9\n", "model: {steps: 9}\n")))
    made = {
        each.prompt: (each.settings.steps, each.settings.sizes, len(each.settings.seeds))
        for each in expansion.sample({})
    }
    assert made == {
        "x b": (3, ("8x8",), 1),
        "x 1": (3, ("8x8",), 1),
        "x 2": (4, ("8x8",), 2),
        "x 3": (3, ("8x8",), 1),
        "y b": (9, (), 1),
        "y 1": (9, (), 1),
        "y 2": (4, (), 2),
        "y 3": (9, (), 1),
    }
    counted = Counter[object]()
    for each, count in expansion.settings_counts():
        counted[each.steps, each.sizes, len(each.seeds)] += count
    assert counted == Counter(made.values())


def test_settings_of_a_million_million_variants_are_counted(tmp_path: Path):
    axes = "".join(f"  a{number}: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n" for number in range(12))
    prompt = " ".join(f"{{a{number}}}" for number in range(12))
    text = f'prompt: "{prompt}"\naxes:\n{axes}when: [{{if: {{a0: 1, a11: [2, 3]}}, steps: 5}}]\n'
    counts = {each.steps: count for each, count in Expansion(read(tmp_path, text)).settings_counts()}
    assert counts == {5: 2 * 10**10, None: 10**12 - 2 * 10**10}


def test_a_when_names_axes_and_values_that_exist(tmp_path: Path):
    text = 'prompt: "{a}"\naxes: {a: [x]}\nwhen: [{if: {b: x}, steps: 3}, {if: {a: z}, steps: 3}, {if: {a: x}}]\n'
    assert [(problem.code, problem.line) for problem in refused(tmp_path, text)] == [
        ("when", 3),
        ("unknown-axis", 3),
        ("unknown-value", 3),
    ]


# Copy and names


def test_an_axis_that_only_copy_uses_gives_one_picture_several_texts(tmp_path: Path):
    text = 'prompt: "{a}"\naxes: {a: [x, y], line: [Now, Then]}\ncopy: {head: "{line} {a}{.|?}", sub: "{line}"}\n'
    first, second = variants(tmp_path, text)
    assert (first.prompt, second.prompt) == ("x", "y")
    assert first.copies == tuple(
        {"head": f"{line} x{mark}", "sub": line} for line, mark in itertools.product(("Now", "Then"), ".?")
    )


def test_the_name_of_a_file_puts_nothing_in_play(tmp_path: Path):
    text = 'prompt: "{x|{a}}"\nname: "n-{a}"\naxes: {a: [1, 2]}\n'
    assert [(each.prompt, each.name) for each in variants(tmp_path, text)] == [("x", "n-"), ("1", "n-1"), ("2", "n-2")]
    (problem,) = refused(tmp_path, 'prompt: a\nname: "{x|y}"\n')
    assert (problem.code, problem.line) == ("name", 2)


def test_several_prompts_have_settings_of_their_own(tmp_path: Path):
    text = """\
prompts:
  - "a {x}"
  - {prompt: "b", negative: no, steps: 3, sizes: [8x8], seeds: [5], copy: {h: hi}}
negative: never
axes: {x: [1, 2]}
"""
    made = [
        (each.prompt, each.negative, each.settings.steps, each.settings.sizes, list(each.settings.seeds), each.copies)
        for each in variants(tmp_path, text)
    ]
    assert made == [
        ("a 1", "never", None, (), [0], ()),
        ("a 2", "never", None, (), [0], ()),
        ("b", "no", 3, ("8x8",), [5], ({"h": "hi"},)),
    ]


# Samplers


def test_a_sampled_choice_multiplies_nothing_and_stays_when_others_are_added(tmp_path: Path):
    text = 'prompt: "{~a|b|c|d|e} {x} {~a|b|c|d|e}"\naxes: {x: [%s]}\n'
    before = variants(tmp_path, text % ", ".join(map(str, range(100))))
    after = variants(tmp_path, text % ", ".join(map(str, range(-100, 200))))
    assert len(before) == 100
    assert {each.prompt for each in before} <= {each.prompt for each in after}
    pairs = Counter((each.choices["1"], each.choices["2"]) for each in after)
    assert len(pairs) == 25  # the two are drawn apart


def test_a_cycled_choice_takes_its_options_in_turn(tmp_path: Path):
    assert prompts(tmp_path, 'prompt: "{@a|b} {x}"\naxes: {x: [1, 2, 3]}\n') == ["a 1", "b 2", "a 3"]


def test_sampled_weights_are_those_that_are_written(tmp_path: Path):
    numbers = ", ".join(map(str, range(600)))
    drawn = Counter(
        each.choices["1"] for each in variants(tmp_path, f'prompt: "{{~3::a|b}} {{x}}"\naxes: {{x: [{numbers}]}}\n')
    )
    assert 400 < drawn["a"] < 500


# Counting


@given(
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    size=st.integers(0, 4),
)
@settings(max_examples=60, deadline=None)
def test_rows_of_picks_are_numbered_without_gaps(counts: list[int], size: int):
    if size > len(counts):
        assert num_picks(counts, size) == 0
        return
    rows = [tuple(find_picks(counts, size, number)) for number in range(num_picks(counts, size))]
    expected = {
        tuple(zip(places, fillings, strict=True))
        for places in itertools.permutations(range(len(counts)), size)
        for fillings in itertools.product(*(range(counts[place]) for place in places))
    }
    assert set(rows) == expected
    assert len(rows) == len(expected)
    assert [number_of_picks(counts, row) for row in rows] == list(range(len(rows)))


PIECES = ["{a}", "{b}", "{x|y}", "{p|{b}}", "{2$$x|y {z|w}|v}", "${v=!{s|{t|u}}}${v}", "%{<...>$${a|q}}", "{c}", "k"]
MORE = ["", "negative: '{a}{m|n}'\n", "zip: [a, b]\n", "exclude: [{a: 1, b: 2}, {c: '{b} c'}]\n"]
MORE += ["when: [{if: {a: 1}, steps: 3}]\n"]


@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=5), st.lists(st.sampled_from(MORE), unique=True, max_size=2)
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_number_is_one_variant_and_every_draw_a_number(tmp_path: Path, pieces: list[str], more: list[str]):
    text = "prompt: '" + " ".join(pieces) + "'\naxes: {a: [1, 2], b: [1, 2], c: ['{b} c', d]}\n" + "".join(more)
    expansion = Expansion(read(tmp_path, text))
    made = [expansion.variant(place, {}) for place in range(expansion.total)]
    described = {(each.prompt, each.negative, tuple(each.choices.items())) for each in made}
    assert len(described) == expansion.total
    assert sum(count for _, count in expansion.settings_counts()) == expansion.total
    space = expansion._space(expansion.file.entries[0])
    if space.count:
        assert all(0 <= space.draw(Draws(str(key))) < space.count for key in range(10))


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        ("{2$$a|b|c}", 6),
        ("{1-3$$a|b|c}", 15),
        ("{2$${a|b}|{c|d|e}}", 12),
        ("{2$${a|b}|{a|c}}", 6),
        ("{-$$" + "|".join(map(str, range(30))) + "}", None),
        ("{2$$" + "|".join(map(str, range(1000))) + "}", 999_000),
    ],
)
def test_counts_are_counted(tmp_path: Path, prompt: str, count: int | None):
    assert count is None or count_variants(read(tmp_path, f'prompt: "{prompt}"\n')) == count


@pytest.mark.parametrize(
    "prompt",
    [
        " ".join(["{" + "|".join("abcdefghij") + "}"] * 2000),
        "{1-$$" + "|".join(map(str, range(2000))) + "}",
        "{30$$" + "|".join(f"{{a|b{n}}}" for n in range(60)) + "}",
        "${v=!" + "{a|b}" * 30 + "}${v}",
        "".join(f"${{v{n}=${{v{n + 1}}}${{v{n + 1}}}}}" for n in range(40)) + "${v40={a|b}}${v0}",
    ],
)
def test_what_cannot_be_counted_is_refused_with_its_place(tmp_path: Path, prompt: str):
    problems = refused(tmp_path, f'prompt: "{prompt}"\n')
    assert all(problem.line == 1 and problem.fix for problem in problems)
