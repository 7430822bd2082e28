"""Folders of lists: every format, every name, every refusal with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from designkit.errors import InputRefused, Problem
from designkit.prompts.expand import count_variants, expand
from designkit.prompts.file import read_prompts


def write(folder: Path, prompt: str, more: str = "", **lists: str | bytes) -> Path:
    """A prompt file with wildcards beside it; `a__b_txt` is the file `a/b.txt`."""
    for name, content in lists.items():
        stem, _, suffix = name.replace("__", "/").rpartition("_")
        path = folder / "wildcards" / f"{stem}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path = folder / "file.yaml"
    quoted = prompt.replace("'", "''")
    path.write_text(f"prompt: '{quoted}'\n{more}", encoding="utf-8")
    return path


def made(path: Path) -> list[str]:
    (file,) = read_prompts([str(path)])
    return [variant.prompt for variant in expand(file, {})]


def refused(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(InputRefused) as caught:
        made(path)
    return caught.value.problems


def test_a_text_file_is_a_list_with_a_value_a_line(tmp_path: Path):
    text = "# a note\nred\n\n  blue  \n#FF6600\nred\n"
    assert made(write(tmp_path, "a __colours__ can", colours_txt=text)) == ["a red can", "a blue can", "a #FF6600 can"]


def test_folders_are_part_of_the_name_and_keys_of_a_tree_are(tmp_path: Path):
    lists = {"food__fruit_yaml": "berries:\n  red: [cherry]\n  '1': one text\n", "food__nut_txt": "almond\n"}
    assert made(write(tmp_path, "__food/berries/red__ __food/nut__", **lists)) == ["cherry almond"]
    assert made(write(tmp_path, "__food/berries/1__", **lists)) == ["one text"]


def test_a_file_that_is_one_list_has_its_own_name(tmp_path: Path):
    lists = {"a_json": '["x", "y \\ud83c\\udf89"]', "b_yml": "- p\n- q\n"}
    assert made(write(tmp_path, "__a__ __b__", **lists)) == ["x p", "x q", "y 🎉 p", "y 🎉 q"]


def test_yaml_values_keep_the_characters_that_were_written(tmp_path: Path):
    assert made(write(tmp_path, "__a__", a_yaml="[NO, 1.50, 012]\n")) == ["NO", "1.50", "012"]


def test_a_pattern_takes_every_list_that_matches_and_no_value_twice(tmp_path: Path):
    lists = {"c__one_txt": "x\ny\n", "c__two_txt": "y\nz\n", "c__d__three_txt": "w\n"}
    assert made(write(tmp_path, "__c/*o*__", **lists)) == ["x", "y", "z"]
    assert sorted(made(write(tmp_path, "__c/**__", **lists))) == ["w", "x", "y", "z"]
    assert made(write(tmp_path, "__c/t[v-x]o__", **lists)) == ["y", "z"]


def test_a_list_in_a_folder_below_is_found_by_its_name_alone(tmp_path: Path):
    assert made(write(tmp_path, "__one__", deep__er__one_txt="x\n")) == ["x"]


def test_values_use_the_whole_grammar_and_the_axes_of_the_file(tmp_path: Path):
    lists = {"a_txt": "{x|y} of __b__\n", "b_txt": "{tone} ${look:plain} sea\n"}
    more = "axes: {tone: [dark, light]}\n"
    expected = [f"{kind} of {tone} plain sea" for tone in ("dark", "light") for kind in "xy"]
    assert sorted(made(write(tmp_path, "__a__", more, **lists))) == sorted(expected)


def test_parameters_are_read_where_they_are_written(tmp_path: Path):
    lists = {"hello_txt": "hello ${who:you}\n", "name_txt": "Ann\nBo\n"}
    assert made(write(tmp_path, "__hello(who=__name__)__ __hello__", **lists)) == [
        "hello Ann hello you",
        "hello Bo hello you",
    ]
    assert made(write(tmp_path, "${who=Cy}__hello(who=old ${who})__ __hello__", **lists)) == ["hello old Cy hello Cy"]


@pytest.mark.parametrize("name", ["{car}", "${car}", "{CAR}"])
def test_a_list_may_depend_on_an_axis_or_a_variable(tmp_path: Path, name: str):
    lists = {"cars__vw_txt": "golf\nup\n", "cars__bmw_txt": "x1\n"}
    prompt = f"__cars/{name}__ by {name}"
    more = "axes: {car: [vw, bmw]}\n" if name != "{CAR}" else "axes: {CAR: {vw: Volkswagen, bmw: BMW}}\n"
    makers = ("Volkswagen", "BMW") if name == "{CAR}" else ("vw", "bmw")
    path = write(tmp_path, prompt, more, **lists)
    assert made(path) == [f"golf by {makers[0]}", f"up by {makers[0]}", f"x1 by {makers[1]}"]


def test_a_list_that_depends_on_a_variable_may_be_chosen_from_once(tmp_path: Path):
    lists = {"cars__vw_txt": "golf\nup\n", "cars__bmw_txt": "x1\n"}
    prompt = "${car=!{vw|bmw}}${type=!__cars/${car}__}${type} of ${car}: ${type}"
    path = write(tmp_path, prompt, "exclude: {type: up}\n", **lists)
    assert made(path) == ["golf of vw: golf", "x1 of bmw: x1"]


def test_a_list_may_depend_on_a_column_of_a_table(tmp_path: Path):
    write(tmp_path, "x", cars__vw_txt="golf\n", cars__bmw_txt="x1\n", any_txt="a __cars/{car}__\n")
    path = tmp_path / "rows.csv"
    path.write_text(
        "prompt,car\n__any__ by {car},vw\n__any__ by {car},bmw\n${t=!__any__}${t},bmw\n${t=!__any__}${t},vw\n"
    )
    assert made(path) == ["a golf by vw", "a x1 by bmw", "a x1", "a golf"]


def test_an_axis_may_be_a_list(tmp_path: Path):
    path = write(tmp_path, "{tone}", "axes: {tone: __tones__}\n", tones_txt="dark\nlight\n")
    (file,) = read_prompts([str(path)])
    assert [(variant.prompt, variant.choices) for variant in expand(file, {})] == [
        ("dark", {"tone": "dark"}),
        ("light", {"tone": "light"}),
    ]


def test_wildcards_are_recorded_by_their_names(tmp_path: Path):
    path = write(tmp_path, "__a__ __a__ {x|y}", a_txt="p\nq\n")
    (file,) = read_prompts([str(path)])
    assert [variant.choices for variant in expand(file, {})][3] == {"a": "p", "a 2": "q", "1": "y"}


def test_another_folder_may_be_named(tmp_path: Path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "a.txt").write_text("x\n")
    assert made(write(tmp_path, "__a__", "wildcards: lists\n", a_txt="not this\n")) == ["x"]
    (problem,) = refused(write(tmp_path, "a", "wildcards: list\n"))
    assert (problem.code, problem.line, problem.key) == ("missing-wildcards", 2, "wildcards")


def test_a_missing_list_is_told_with_the_nearest_name(tmp_path: Path):
    (problem,) = refused(write(tmp_path, "{x|a __colour__}", colours_txt="red\n"))
    assert (problem.code, problem.line, problem.key) == ("unknown-wildcard", 1, "prompt")
    assert problem.fix == "did you mean 'colours'?"
    other = tmp_path / "other"
    other.mkdir()
    (problem,) = refused(write(other, "__a__"))
    assert "wildcards/a.txt" in str(problem.fix)


def test_mistakes_in_a_list_are_told_at_their_line(tmp_path: Path):
    lists: dict[str, str | bytes] = {"a_txt": "fine\n{b\n${c}\n{d}\n__e__\n"}
    problems = refused(write(tmp_path, "__a__", "", **lists))
    place = str(tmp_path / "wildcards" / "a.txt")
    assert [(problem.file, problem.line, problem.code) for problem in problems] == [
        (place, 2, "template"),
        (place, 3, "unknown-variable"),
        (place, 4, "unknown-axis"),
        (place, 5, "unknown-wildcard"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "line", "code"),
    [
        ("a_txt", b"x\ncaf\xe9\n", 2, "file-encoding"),
        ("a_txt", b"x\n\x00\n", 2, "control-character"),
        ("a_txt", b"# nothing\n", 1, "wildcard-value"),
        ("b_yaml", b"a: [x\n", 1, "yaml-syntax"),
        ("b_yaml", b"a: [x]\nc:\n  - {text: y, heavy: 2}\n", 3, "wildcard-value"),
        ("b_yaml", b"a: [x, [y]]\n", 1, "wildcard-value"),
        ("b_yaml", b"a: [{text: y, weight: much}]\n", 1, "wildcard-value"),
        ("b_yaml", b"a:\n", 1, "wildcard-value"),
        ("b_json", b'{"a": ["x"\n]', 2, "json-syntax"),
        ("b_json", b'{"a": ["{x"]}', 1, "template"),
        ("b_json", b"[" * 100_000, 1, "json-syntax"),
    ],
)
def test_a_damaged_list_is_refused_at_its_place(tmp_path: Path, name: str, content: bytes, line: int, code: str):
    problems = refused(write(tmp_path, "__a__", "", **{name: content}))
    assert (code, line) in [(problem.code, problem.line) for problem in problems]
    assert all(problem.fix for problem in problems)


def test_two_lists_of_one_name_are_refused(tmp_path: Path):
    problems = refused(write(tmp_path, "__a__", a_txt="x\n", a_json='["y"]'))
    assert [problem.code for problem in problems] == ["duplicate-wildcard"]


@pytest.mark.parametrize("prompt", ["__../secret__", "__/secret__", "__**/secret__", "__secret__", "__link__"])
def test_nothing_outside_the_folder_is_read(tmp_path: Path, prompt: str):
    (tmp_path / "secret.txt").write_text("key\n")
    path = write(tmp_path, prompt, inside_txt="x\n")
    (tmp_path / "wildcards" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "wildcards" / "up").symlink_to(tmp_path)
    codes = {problem.code for problem in refused(path)}
    assert codes <= {"unknown-wildcard", "wildcard-folder"}


@pytest.mark.parametrize(
    "lists",
    [
        {"a_txt": "x __a__\n"},
        {"a_txt": "__b__\n", "b_txt": "__c__\n", "c_txt": "y\n__a__\n"},
        {"a_txt": "__a(x=1)__\n"},
    ],
)
def test_lists_that_lead_back_to_themselves_are_refused(tmp_path: Path, lists: dict[str, str]):
    problems = refused(write(tmp_path, "__a__", "", **lists))
    assert {problem.code for problem in problems} == {"circular-reference"}
    assert all(problem.file and problem.line for problem in problems)


def test_nested_lists_are_counted_without_making_them(tmp_path: Path):
    lists = {f"l{number}_txt": f"__l{number + 1}__ __l{number + 1}__\n" for number in range(8)}
    path = write(tmp_path, "__l0__", **lists, l8_txt="x\ny\n")
    (file,) = read_prompts([str(path)])
    assert count_variants(file) == 2**256


def test_lists_that_nest_beyond_counting_are_refused(tmp_path: Path):
    lists = {f"l{number}_txt": f"__l{number + 1}__ __l{number + 1}__\n" for number in range(40)}
    problems = refused(write(tmp_path, "__l0__", **lists, l40_txt="x\ny\n"))
    assert all(problem.line and problem.fix for problem in problems)
