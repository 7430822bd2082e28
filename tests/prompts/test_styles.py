"""Tables of styles as the Stable Diffusion web UI keeps them, laid over every prompt of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from designkit.errors import InputRefused
from designkit.prompts.expand import expand
from designkit.prompts.file import read_prompts
from designkit.prompts.styles import Style, read_styles

TABLE = (
    "\ufeffname,prompt,negative_prompt\r\n"
    "--- Flat looks ---,,\r\n"
    'Flat,"flat vector of {prompt}, (bold:1.2), {x|y}","photo, ""real"""\r\n'
    '"Paper\r\ncut","paper cut,\r\nlayered",\r\n'
    "Dark,,bright\r\n"
)


def write(folder: Path, text: str, table: str = TABLE) -> str:
    (folder / "styles.csv").write_bytes(table.encode())
    (folder / "file.yaml").write_text(text, encoding="utf-8")
    return str(folder / "file.yaml")


def variants(path: str, *overrides: str) -> list[tuple[str, str, dict[str, str]]]:
    (file,) = read_prompts([path], overrides=overrides)
    return [(each.prompt, each.negative, dict(each.choices)) for each in expand(file, {})]


def refusal(path: str, *overrides: str) -> str:
    with pytest.raises(InputRefused) as caught:
        read_prompts([path], overrides=overrides)
    (problem,) = caught.value.problems
    assert problem.fix
    return f"{problem.code}:{problem.line}: {problem.message}"


def test_a_table_is_read_with_its_mark_quotes_lines_and_dividers(tmp_path: Path):
    write(tmp_path, "")
    assert read_styles(tmp_path / "styles.csv") == (
        Style("Flat", "flat vector of {prompt}, (bold:1.2), {x|y}", 'photo, "real"', 3),
        Style("Paper cut", "paper cut,\nlayered", "", 4),
        Style("Dark", "", "bright", 7),
    )


@pytest.mark.parametrize("header", ["name,text,negative_prompt", "Name,Positive Prompt,Negative Prompt", "name,prompt"])
def test_other_headers_of_the_kind_are_read(tmp_path: Path, header: str):
    write(tmp_path, "", f"{header}\nFlat,flat\n")
    assert read_styles(tmp_path / "styles.csv") == (Style("Flat", "flat", "", 2),)


def test_each_prompt_is_drawn_in_each_style_and_the_style_is_an_axis(tmp_path: Path):
    path = write(
        tmp_path, "prompt: 'a {colour} {can|box}'\nnegative: text\naxes: {colour: [red]}\nstyles: styles.csv\n"
    )
    found = variants(path)
    assert len(found) == 6
    assert found[0] == (
        "flat vector of a red can, (bold:1.2), {x|y}", 'text, photo, "real"',
        {"colour": "red", "style": "Flat", "1": "can"},
    )  # fmt: skip
    assert {(prompt, negative) for prompt, negative, choices in found if choices["style"] == "Paper cut"} == {
        ("a red can, paper cut,\nlayered", "text"), ("a red box, paper cut,\nlayered", "text"),
    }  # fmt: skip
    assert [negative for _, negative, choices in found if choices["style"] == "Dark"] == ["text, bright"] * 2


def test_styles_may_be_chosen_by_name_and_named_in_prompts_and_rules(tmp_path: Path):
    text = "prompt: 'a can in {style}'\nstyles: {file: styles.csv, use: [Dark, Flat]}\n"
    assert [choices["style"] for _, _, choices in variants(write(tmp_path, text))] == ["Dark", "Flat"]
    assert variants(write(tmp_path, text))[0][0] == "a can in Dark"
    assert len(variants(write(tmp_path, text), "exclude={style: Flat}")) == 1
    assert len(variants(write(tmp_path, "prompts: [a can, {prompt: a box, seeds: 3}]\nstyles: styles.csv\n"))) == 6


def test_what_is_wrong_with_styles_is_told_with_place_and_fix(tmp_path: Path):
    text = "kind: ad\nprompt: a can\nstyles: {file: styles.csv, use: Flt}\n"
    assert refusal(write(tmp_path, text)) == "styles:3: there is no style 'Flt'"
    both = "prompt: a {style}\naxes: {style: [x]}\nstyles: styles.csv\n"
    assert refusal(write(tmp_path, both)) == "styles:3: the file has an axis named 'style' already"
    plain = "prompt: a can\nstyles: styles.csv\n"
    for table, message in (
        ("prompt,negative_prompt\na,b\n", "styles:1: the table has no column 'name'"),
        ("name,prompt\n", "styles:1: there is no style in it"),
        ("name,prompt\nA,x\nA,y\n", "styles:3: the style 'A' is there twice"),
        ('name,prompt\nA,"x" y\n', "styles:2: not CSV: ',' expected after '\"'"),
    ):
        assert refusal(write(tmp_path, plain, table)) == message
    assert refusal(write(tmp_path, plain), "styles=nothing.csv").startswith("file-missing:")
