"""Prompt files of every kind, and every mistake in them at its place."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from designkit.errors import InputRefused, Problem
from designkit.prompts.expand import expand
from designkit.prompts.file import ModelChoice, PromptFile, read_prompts
from designkit.prompts.sampling import Sample
from designkit.values import Adapter, Size

FIXTURES = Path(__file__).parent / "fixtures"


def write(folder: Path, text: str, name: str = "file.yaml") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def read(argument: str | Path, *overrides: str) -> PromptFile:
    (file,) = read_prompts([str(argument)], overrides=overrides)
    return file


def prompts(file: PromptFile) -> list[str]:
    return [variant.prompt for variant in expand(file, {})]


def refused(*arguments: str, overrides: Sequence[str] = ()) -> tuple[Problem, ...]:
    with pytest.raises(InputRefused) as caught:
        read_prompts(arguments, overrides=overrides)
    return caught.value.problems


def told(problems: Sequence[Problem]) -> list[tuple[int | None, str | None, str]]:
    return [(problem.line, problem.key, problem.message) for problem in problems]


WHOLE = """\
kind: ad
brand: lumen
prompt: "{product} on {scene}, {brand.style}"
negative: "{brand.avoid}, {product} twice"
axes:
  product: [soda can, lemonade bottle]
  scene: {teal: plain teal, burst: orange sunburst}
sizes: [square, 1024x768]
seed: 5
seeds: 2
sample: {method: random, count: 3, seed: 9}
exclude: [{product: soda can, scene: [burst]}]
model: {name: some/model, steps: 20, guidance: 4, scheduler: euler, variant: fp16,
        adapters: [style.safetensors, {path: user/lora, weight: 0.5}]}
"""


def test_a_whole_file_is_read(tmp_path: Path):
    write(tmp_path, "meta: {name: Lumen}\n", "brands/lumen/brand.yaml")
    write(tmp_path, "", "style.safetensors")
    file = read(write(tmp_path, WHOLE))
    assert (file.name, file.kind, file.brand) == ("file", "ad", tmp_path / "brands" / "lumen")
    assert file.sizes == ("square", "1024x768")
    assert list(file.seeds) == [5, 6]
    assert file.sample == Sample(method="random", count=3, seed=9)
    assert file.exclude == ({"product": {"soda can"}, "scene": {"burst"}},)
    assert [(axis.name, [value.key for value in axis.values]) for axis in file.axes] == [
        ("product", ["soda can", "lemonade bottle"]),
        ("scene", ["teal", "burst"]),
    ]
    assert file.model == ModelChoice(
        name="some/model",
        variant="fp16",
        steps=20,
        guidance=4.0,
        scheduler="euler",
        adapters=(Adapter(path=str(tmp_path / "style.safetensors")), Adapter(path="user/lora", weight=0.5)),
    )
    assert file.negative == "{brand.avoid}, {product} twice"


def test_the_shortest_file_has_every_default(tmp_path: Path):
    file = read(write(tmp_path, "prompt: a can\n"))
    assert (file.kind, file.brand, file.axes, file.exclude, file.sizes) == (None, None, (), (), ())
    assert (file.model, file.sample, list(file.seeds)) == (ModelChoice(), Sample(), [0])


def test_a_single_value_may_stand_without_brackets(tmp_path: Path):
    text = "prompt: a {b}\naxes: {b: [x]}\nsizes: square\nseeds: 3-4\nexclude: {b: x}\nmodel: draft\n"
    file = read(write(tmp_path, text))
    assert (file.sizes, list(file.seeds), file.exclude) == (("square",), [3, 4], ({"b": {"x"}},))
    assert file.model.name == "draft"


def test_several_prompts_share_the_axes(tmp_path: Path):
    file = read(write(tmp_path, "prompt: ['a {b}', c, 'd {b}']\naxes: {b: [1.50, NO]}\n"))
    assert prompts(file) == ["a 1.50", "a NO", "c", "d 1.50", "d NO"]


def test_every_mistake_of_a_file_is_told_at_once(tmp_path: Path):
    text = """\
promt: x
axes:
  a: flat
  b: [x, x]
  c d: [1]
  e: []
  f: [x: y]
  g: ["{bb}"]
seeds: [1, 1]
seed: 3
model: {steps: many, nam: x}
sample: {method: pairs}
exclude: [{q: 1}, {b: z}, {}]
brand: lumen
kind: poster
negative:
prompt: |
  two lines
  {aa} {b} {brand.styl} {a b
sizes: [1, [2]]
"""
    assert told(refused(write(tmp_path, text))) == [
        (1, "promt", "unknown key 'promt'"),
        (3, "axes.a", "an axis needs a list of values, found 'flat'"),
        (4, "axes.b", "'x' is given twice"),
        (5, "axes.c d", "'c d' cannot be the name of an axis"),
        (6, "axes.e", "the axis has no values"),
        (7, "axes.f", "a value must be text"),
        (8, "axes.g", "{bb} is not an axis of this file"),
        (9, "seeds", "seed 1 is given twice"),
        (10, "seed", "seed has no effect, because seeds lists them"),
        (11, "model.steps", "'many' is not a whole number"),
        (11, "model.nam", "unknown key 'nam'"),
        (12, "sample.method", "'pairs' is not possible here"),
        (13, "exclude.q", "'q' is not an axis of this file"),
        (13, "exclude.b", "'z' is not a value of b"),
        (13, "exclude", "this combination is empty"),
        (14, "brand", f"there is no brand at {tmp_path / 'lumen'}"),
        (15, "kind", "'poster' is not possible here"),
        (16, "negative", "nothing is written here"),
        (19, "prompt", "this { is never closed"),
        (19, "prompt", "{aa} is not an axis of this file"),
        (19, "prompt", "{brand.styl} is not an axis of this file"),
        (20, "sizes", "expected text, found a list"),
    ]


def test_every_problem_names_its_file_and_what_to_do(tmp_path: Path):
    path = write(tmp_path, "prompt: '{scne} {brand.style}'\naxes: {scene: [a, b]}\nmodle: draft\n")
    assert [str(problem) for problem in refused(path)] == [
        f"{path}:1:prompt: {{scne}} is not an axis of this file Fix: did you mean 'scene'?",
        f"{path}:1:prompt: {{brand.style}} needs a brand, and the file names none Fix: add a line 'brand: FOLDER'",
        f"{path}:3:modle: unknown key 'modle' Fix: did you mean 'model'?",
    ]


def test_the_mistakes_of_all_files_are_told_together(tmp_path: Path):
    first = write(tmp_path, "prompt: a\nsizez: x\n", "one.yaml")
    second = write(tmp_path, "prompt: '{x}'\n", "two.yaml")
    missing = str(tmp_path / "three.yaml")
    assert [problem.place for problem in refused(first, second, missing)] == [
        f"{first}:2:sizez",
        f"{second}:1:prompt",
        missing,
    ]


def test_a_missing_brand_names_the_nearest_one(tmp_path: Path):
    write(tmp_path, "meta: {name: Lumen}\n", "brands/lumen/brand.yaml")
    (problem,) = refused(write(tmp_path, "prompt: a\nbrand: brands/lumn\n"))
    assert (problem.code, problem.line, problem.key) == ("missing-brand", 2, "brand")
    assert problem.fix == "did you mean brands/lumen?"


def test_a_brand_without_its_file_is_told_apart(tmp_path: Path):
    (tmp_path / "lumen").mkdir()
    (problem,) = refused(write(tmp_path, "prompt: a\nbrand: lumen\n"))
    assert "holds no brand.yaml" in problem.message


def test_random_sampling_needs_a_count(tmp_path: Path):
    (problem,) = refused(write(tmp_path, "prompt: a\n\nsample: {method: random}\n"))
    assert (problem.line, problem.code) == (3, "sample-count")


def test_sizes_are_checked_along_with_everything_else(tmp_path: Path):
    def check_size(text: str) -> Size:
        if text != "square":
            raise InputRefused(Problem(code="unknown-size", message=f"no {text}", fix="square"))
        return Size(width=1, height=1)

    path = write(tmp_path, "prompt: '{x}'\nsizes:\n  - square\n  - sqare\n")
    with pytest.raises(InputRefused) as caught:
        read_prompts([path], check_size=check_size)
    assert told(caught.value.problems) == [(1, "prompt", "{x} is not an axis of this file"), (4, "sizes", "no sqare")]


def test_an_axis_that_no_prompt_uses_is_a_warning(tmp_path: Path):
    file = read(write(tmp_path, "prompt: a\naxes:\n  b: [1, 2]\n"))
    assert [(problem.code, problem.line, problem.key) for problem in file.warnings] == [("unused-axis", 3, "axes.b")]
    assert prompts(file) == ["a"]


# Text, tables and standard input


def test_a_text_file_has_one_prompt_a_line():
    file = read(FIXTURES / "posters.txt")
    assert file.name == "posters"
    assert [(entry.line, entry.prompt.source) for entry in file.entries] == [
        (2, "a lemon on a plain teal background"),
        (3, "a {red|navy} umbrella, flat style"),
        (5, "#1 price tag, half off: 50% and $9.99"),
    ]
    assert len(prompts(file)) == 4


def test_a_mistake_in_a_text_file_is_at_its_line(tmp_path: Path):
    found = refused(write(tmp_path, "fine\n# note {\nnot {fine\na {scene}\n", "a.txt"))
    assert [(problem.line, problem.code) for problem in found] == [(3, "template"), (4, "unknown-axis")]


def test_an_option_in_a_prompt_line_is_a_warning(tmp_path: Path):
    file = read(write(tmp_path, "a cat --steps 20\na well-known dog -- resting\n", "a.txt"))
    assert [(problem.code, problem.line) for problem in file.warnings] == [("option-in-prompt", 1)]


def test_a_table_has_axes_and_settings_in_its_columns():
    file = read(FIXTURES / "labels.csv")
    first, second = file.entries
    assert (first.sizes, list(first.seeds), first.steps) == (("128x128",), [7], 8)
    assert (second.sizes, list(second.seeds), second.steps) == ((), [0], None)
    assert [(variant.prompt, variant.choices) for variant in expand(file, {})] == [
        ('a lemon can, "fresh"', {"flavour": "lemon", "campaign": "spring"}),
        ("a mint bottle", {"flavour": "mint", "campaign": "autumn"}),
    ]


def test_a_table_of_objects_keeps_the_digits_of_its_numbers():
    file = read(FIXTURES / "badges.jsonl")
    first, second = file.entries
    assert (first.sizes, list(first.seeds)) == (("96x96", "128x64"), [3, 4])
    assert (second.guidance, second.negative.source) == (3.0, "text")
    assert prompts(file) == ["a fox badge", "a badge numbered 1.50"]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_table_may_be_split_at_semicolons_or_tabs(tmp_path: Path, separator: str):
    text = "prompt;size\n\na, b and c;8x8\n".replace(";", separator)
    assert [(entry.prompt.source, entry.sizes) for entry in read(write(tmp_path, text, "a.csv")).entries] == [
        ("a, b and c", ("8x8",))
    ]


def test_the_mistakes_of_a_table_are_at_their_lines(tmp_path: Path):
    text = 'prompt,Steps,x y,steps\n"a\nb {q}",1,2,many\nshort,row\nfine,,,0\n'
    found = refused(write(tmp_path, text, "a.csv"))
    assert told(found) == [(4, None, "2 cells stand in a table of 4 columns")]
    text = text.replace("short,row\n", "")
    assert told(refused(write(tmp_path, text, "a.csv"))) == [
        (2, "steps", "'many' is not a whole number"),
        (2, "Steps", "unknown column 'Steps'"),
        (2, "x y", "'x y' cannot be the name of an axis"),
        (2, "prompt", "{q} is not an axis of this file"),
        (4, "steps", "'0' must be at least 1"),
        (4, "Steps", "unknown column 'Steps'"),
        (4, "x y", "'x y' cannot be the name of an axis"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "no row"),
        ("prompt,x\n", 1, "no row"),
        ("prompt,x,x\na,b,c\n", 1, "given twice"),
        ("prompt,\na,b\n", 1, "no name"),
        ('prompt\n"a" b\n', 2, "not CSV"),
        ('prompt\nfine\n"never closed\n', 3, "not CSV"),
        ("product\ncan\n", 1, "no prompt"),
        ("prompt\n" + "x" * 200_000 + "\n", 2, "not CSV"),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, text: str, line: int | None, words: str):
    problem = refused(write(tmp_path, text, "a.csv"))[0]
    assert problem.line == line
    assert words in problem.message
    assert problem.fix


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('{"prompt": "a"}\n{"prompt": }\n', 2, "not JSON"),
        ("[1]\n", 1, "not an object"),
        ('{"prompt": "a", "prompt": "b"}\n', 1, "given twice"),
        ('{"prompt": "a", "x": {"y": 1}}\n', 1, "must be text or a number"),
        ('{"prompt": "a", "x": NaN}\n', 1, "not JSON"),
        ('{"prompt": "\\u0000"}\n', 1, "control character"),
        ('{"prompt": "\\ud800"}\n', 1, "control character"),
        ('{"prompt": ["a"]}\n', 1, "expected text"),
        ("[" * 100_000 + "\n", 1, "nested"),
        ("\n", 1, "no row"),
    ],
)
def test_broken_json_lines_are_refused(tmp_path: Path, text: str, line: int | None, words: str):
    problem = refused(write(tmp_path, text, "a.jsonl"))[0]
    assert (problem.line, words in problem.message) == (line, True), problem


def test_a_column_that_means_the_whole_file_is_a_warning(tmp_path: Path):
    file = read(write(tmp_path, "prompt,model,brand\na,draft,Lumen\n", "a.csv"))
    assert [(problem.code, problem.key) for problem in file.warnings] == [("unused-column", "model")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat\n\n# note\na {red|blue} dog\n", ["a cat", "a red dog", "a blue dog"]),
        ("prompt: a {x}\naxes: {x: [1, 2]}\n", ["a 1", "a 2"]),
        ("{a|b} can", ["a can", "b can"]),
    ],
)
@pytest.mark.parametrize("is_binary", [True, False])
def test_standard_input_is_a_mapping_or_one_prompt_a_line(text: str, expected: list[str], is_binary: bool):
    stream = io.TextIOWrapper(io.BytesIO(text.encode())) if is_binary else io.StringIO(text)
    (file,) = read_prompts(["-"], stdin=stream)
    assert (file.name, file.path, prompts(file)) == ("stdin", None, expected)


def test_a_mistake_on_standard_input_is_located_too():
    with pytest.raises(InputRefused, match="standard input:2:promt: unknown key"):
        read_prompts(["-"], stdin=io.StringIO("prompt: a\npromt: b\n"))
    with pytest.raises(InputRefused, match="standard input:2: byte 0xff at offset 2"):
        read_prompts(["-"], stdin=io.TextIOWrapper(io.BytesIO(b"a\n\xff")))


# Arguments


@pytest.mark.parametrize(
    "argument",
    ["a can", "a can, 50% off/free.", "{a|b} can", "lemon", "what is 1/2?", "a prompt: with colon", "x" * 5000],
)
def test_words_are_a_prompt(argument: str):
    file = read(argument)
    assert file.path is None
    assert file.entries[0].prompt.source == argument
    assert file.name.replace("-", "").isalnum()
    assert len(file.name) <= 60


@pytest.mark.parametrize("argument", ["missing.yaml", "a b.TXT", "prompts/none", "cat.png", "./x"])
def test_what_looks_like_a_file_is_one(argument: str):
    (problem,) = refused(argument)
    assert problem.code == "file-missing"


def test_a_folder_and_an_unknown_kind_of_file_are_refused(tmp_path: Path):
    assert refused(str(tmp_path))[0].code == "file-is-folder"
    (problem,) = refused(write(tmp_path, "x", "notes.md"))
    assert (problem.code, ".yaml" in str(problem.fix)) == ("file-type", True)


def test_a_file_without_a_suffix_is_read_like_standard_input(tmp_path: Path):
    assert prompts(read(write(tmp_path, "prompt: a\n", "one"))) == ["a"]
    assert prompts(read(write(tmp_path, "a cat\na dog\n", "two"))) == ["a cat", "a dog"]


def test_different_prompts_have_different_names():
    long = "the same first words over and over again until they fill a name " * 2
    names = [read(text).name for text in ("a cat", "a  cat", "A cat!", "a-cat", "你好", "再见", long + "x", long + "y")]
    assert len(set(names)) == len(names)
    assert names[0] == "a-cat"


def test_the_name_of_a_file_is_fit_for_a_folder(tmp_path: Path):
    names = {
        stem: read(write(tmp_path, "prompt: a\n", f"{stem}.yaml")).name for stem in ("summer ad", "..", "-x", "a.")
    }
    assert names["summer ad"] == "summer ad"
    assert all(name.strip(".- ") and "/" not in name for name in names.values())


def test_two_files_of_one_name_are_refused(tmp_path: Path):
    first, second = write(tmp_path, "prompt: a\n", "x/ad.yaml"), write(tmp_path, "b\n", "y/Ad.txt")
    (problem,) = refused(first, second)
    assert (problem.code, problem.file) == ("same-name", second)
    assert first in problem.message


# Overrides


def test_overrides_replace_keys_at_any_depth(tmp_path: Path):
    path = write(tmp_path, "prompt: a {x}\naxes: {x: [1]}\nmodel: draft\nseeds: 3\n")
    file = read(path, "model.steps=8", "axes.x=[2, 3]", "sizes=[512x512]", "seeds=[7]", "negative=b: c #d", "seeds=[8]")
    assert file.model == ModelChoice(name="draft", steps=8)
    assert (prompts(file), file.sizes, list(file.seeds)) == (["a 2", "a 3"], ("512x512",), [8])
    assert file.negative == "b: c #d"


def test_a_prompt_is_set_as_it_stands(tmp_path: Path):
    path = write(tmp_path, "prompt: [a, b]\n")
    assert prompts(read(path, "prompt={c|d} #1: e")) == ["c #1: e", "d #1: e"]
    assert prompts(read(path, 'prompt="f"')) == ["f"]


def test_overrides_hold_for_every_row_of_a_table():
    file = read(FIXTURES / "labels.csv", "sizes=[64x64]", "model.steps=3", "seed=1", "prompt=a {flavour} {x|y}")
    assert [(entry.sizes, entry.steps, list(entry.seeds)) for entry in file.entries] == [(("64x64",), 3, [1])] * 2
    assert prompts(file) == ["a lemon x", "a lemon y", "a mint x", "a mint y"]


def test_overrides_name_themselves_in_errors(tmp_path: Path):
    path = write(tmp_path, "prompt: a {y}\nsizes: [x]\n")
    overrides = ["model.stepz=4", "model.steps=0", "prompt.x=3", "seeds=[", "loose", "axes={x: 1}", "sizes.0=y"]
    assert [str(problem) for problem in refused(path, overrides=overrides)] == [
        "--set prompt.x: there is nothing named 'x' in a plain value Fix: set prompt as a whole",
        "--set seeds: the bracket that opens here is not closed properly Fix: check its commas and its closing bracket",
        "--set loose: no value is set Fix: write --set key=value, such as --set model.steps=8",
        "--set sizes.0: there is nothing named '0' in a list Fix: set sizes as a whole",
        "--set model.steps: '0' must be at least 1 Fix: write a number at least 1",
        "--set model.stepz: unknown key 'stepz' Fix: did you mean 'steps'?",
        "--set axes:axes.x: an axis needs a list of values, found '1' "
        "Fix: write [first, second], or one '- value' a line",
        f"{path}:1:prompt: {{y}} is not an axis of this file Fix: define it under axes, or write \\{{ and \\}} for "
        "plain braces",
    ]


def test_a_brand_given_on_the_command_line_is_found_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, "meta: {name: Lumen}\n", "here/lumen/brand.yaml")
    monkeypatch.chdir(tmp_path / "here")
    assert read(write(tmp_path, "prompt: a\n"), "brand=lumen").brand == Path("lumen")


# Limits


def test_a_file_of_ten_thousand_lines_is_read_in_a_second(tmp_path: Path):
    path = write(tmp_path, "".join(f"a can number {number}\n" for number in range(10_000)), "a.txt")
    began = time.process_time()
    assert len(prompts(read(path))) == 10_000
    assert time.process_time() - began < 2


def test_a_file_over_five_megabytes_is_refused_unread(tmp_path: Path):
    path = tmp_path / "big.yaml"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    assert refused(str(path))[0].code == "file-too-large"


PIECES = ["prompt", "axes", "seeds", "model", "exclude", "brand", "sizes", "null", "a|b", "-1", "é", "\t", "\n", ": "]
PIECES += ["- ", "  ", "::", "__", "$$", "&x", "*x", "!t", *"[]{},|>#@'\"\\1 "]


@given(st.lists(st.sampled_from(PIECES), max_size=30), st.sampled_from(["yaml", "txt", "csv", "jsonl"]))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_written_is_read_or_refused_with_a_place(tmp_path: Path, pieces: list[str], suffix: str):
    path = write(tmp_path, "".join(pieces), f"fuzz.{suffix}")
    try:
        files, problems = read_prompts([path]), ()
    except InputRefused as error:
        files, problems = (), error.problems
    assert all(problem.file == path and problem.message for problem in problems)
    assert sum(1 for file in files for _ in islice(expand(file, {}), 50)) > 0 or problems
