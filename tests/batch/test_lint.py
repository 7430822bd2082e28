"""What lint finds in prompt files, with code, level, place and fix, and that every code is explained."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import designkit
from designkit.batch.lint import ERRORS_OF_A_RUN, NOTES, Finding, lint, read_banned
from designkit.errors import InputRefused

PACKAGE = Path(designkit.__file__).parent
CODES = PACKAGE / "prompts" / "CODES.md"


def write(folder: Path, text: str, name: str = "file.yaml") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def told(findings: tuple[Finding, ...]) -> list[tuple[str, str, int | None]]:
    return [(each.level, each.problem.code, each.problem.line) for each in findings]


def test_a_good_file_has_nothing_to_say(tmp_path: Path):
    assert lint([write(tmp_path, "prompt: a red can on a plain teal background\nsizes: [128x128]\n")]) == ()


def test_what_a_plan_warns_of_is_found_at_its_place(tmp_path: Path):
    text = """\
prompt: "a {colour} kalebasse"
axes:
  colour: [red, " red "]
  pack: [can, box]
sizes: [square, 64x64]
sample: {count: 1}
"""
    findings = lint([write(tmp_path, text)])
    assert told(findings) == [
        ("warning", "unused-axis", 4),
        ("warning", "size-enlarged", 5),
        ("note", "first-variants", 6),
        ("warning", "unknown-word", 1),
    ]
    assert all(each.problem.fix for each in findings)
    same = lint([write(tmp_path, "prompt: 'a {red|red} can'\nsizes: [128x128]\n")])
    assert told(same) == [("warning", "duplicate-variant", 1)]


def test_mistakes_of_one_file_hide_nothing_in_another(tmp_path: Path):
    broken = write(tmp_path, "prompt: 'a {can'\nsteps: 3\n", "broken.yaml")
    missing = write(tmp_path, "prompt: a can\nmodel: nobody/nothing.safetensors\n", "missing.yaml")
    warned = write(tmp_path, "prompt: a can\naxes: {x: [1, 2]}\nsizes: [128x128]\n", "warned.yaml")
    findings = lint([broken, warned, missing])
    assert {(Path(each.problem.file or "").name, each.level) for each in findings} == {
        ("broken.yaml", "error"), ("warned.yaml", "warning"), ("missing.yaml", "error"),
    }  # fmt: skip
    assert [each.problem.code for each in findings if "broken" in str(each.problem.file)] == [
        "template",
        "extra-forbidden",
    ]


def test_too_many_images_are_an_error_since_no_run_makes_them(tmp_path: Path):
    findings = lint([write(tmp_path, "prompt: a can\nseeds: 20000\nmodel: draft\n")])
    assert told(findings) == [("error", "too-many-images", None)]


BRAND = "meta: {name: Lumen}\ndesignkit: {avoid: [gradients, soft shadow, art]}\n"


def test_words_that_the_brand_avoids_are_found_where_they_are_written(tmp_path: Path):
    write(tmp_path, BRAND, "brands/lumen/brand.yaml")
    text = """\
brand: lumen
prompt: |
  a {colour} can,
  with a Soft  Shadow, smart
negative: gradient
sizes: [128x128]
axes:
  colour:
    plain: red
    mixed: red gradient
"""
    findings = lint([write(tmp_path, text)])
    findings = tuple(each for each in findings if each.problem.code != "unknown-word")
    assert told(findings) == [("warning", "brand-avoids", 10), ("warning", "brand-avoids", 4)]
    assert [each.problem.key for each in findings] == ["axes.colour.mixed", "prompt"]
    assert findings[0].problem.message == "the brand forbids 'gradients', and 1 of 2 variants has it"


def test_a_list_of_banned_words_is_an_error_in_tables_too(tmp_path: Path):
    banned = read_banned(Path(write(tmp_path, "# rules of the platform\n\nmiracle cure\nfree\n", "banned.txt")))
    table = write(tmp_path, "prompt,thing\nplain {thing},box\n{thing} on teal,free can\nfreely,x\n", "rows.csv")
    findings = lint([table], model="draft", banned=banned)
    assert [(each.level, each.problem.code) for each in findings] == [("error", "banned-word")]
    assert findings[0].problem.message.endswith("banned.txt forbids 'free', and 1 of 3 variants has it")
    spelt = write(tmp_path, "prompt: a (miracle:1.2) \\(cure\\)\n")
    findings = lint([spelt, "a miracle  [cures]"], model="draft", banned=banned)
    assert [(each.problem.code, each.problem.file) for each in findings] == [
        ("weights-not-accepted", spelt), ("weights-not-accepted", "the prompt"), ("banned-word", "the prompt"),
    ]  # fmt: skip


def test_copy_is_read_for_banned_words_too(tmp_path: Path):
    banned = read_banned(Path(write(tmp_path, "cheap\n", "banned.txt")))
    path = write(tmp_path, "prompt: a can\ncopy:\n  headline: Never so cheap\nmodel: draft\n")
    (finding,) = lint([path], banned=banned)
    assert (finding.level, finding.problem.line, finding.problem.key) == ("error", 3, "copy.headline")


def test_shapes_far_from_what_the_model_draws_are_told(tmp_path: Path):
    findings = lint([write(tmp_path, "prompt: a red can\nsizes: [128x128, 120x30]\n")])
    assert told(findings) == [("warning", "size-cropped", 2)]
    assert findings[0].problem.message.startswith("120x30 keeps 42% of the picture, which starter draws at 160x96")


def test_banned_files_that_cannot_be_read_are_refused(tmp_path: Path):
    with pytest.raises(InputRefused):
        read_banned(tmp_path / "missing.txt")


# The modules of which a problem can reach somebody who writes prompt files.
SPEAKING = (
    "batch", "generators", "prompts", "documents.py", "files.py", "design/brand.py", "design/brand_file.py",
    "design/formats.py", "runs/embedded.py",
)  # fmt: skip
MAKERS = {"problem", "report", "Mistake", "PydanticCustomError", "_problem", "_refusal", "_refuse", "_report"}
_CODE = re.compile(r"[a-z]+(?:-[a-z0-9]+)+|[a-z]{3,}")


def codes_in(path: Path) -> set[str]:
    """Every literal code that a module gives to a Problem, however it makes one."""
    values: list[ast.expr] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            values += [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            # The code is the first text, mostly behind a place.
            texts = [each for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            values += texts[:1] if name in MAKERS else []
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            parts = zip(node.targets[0].elts, getattr(node.value, "elts", ()), strict=False)
            values += [value for target, value in parts if getattr(target, "id", "") == "code"]
    found = {value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)}
    return {code for code in found if _CODE.fullmatch(code)}


# Mistakes in the kind of a value have pydantic's names, and settings that a model has not are named after them.
OF_VALUES = {
    "extra-forbidden", "missing", "int-parsing", "float-parsing", "string-type", "dict-type", "model-type", "list-type",
    "literal-error", "greater-than-equal", "less-than-equal", "finite-number", "too-short", "too-long",
}  # fmt: skip
OF_SETTINGS = {f"{setting}-not-accepted" for setting in ("negative", "steps", "guidance", "scheduler")}


def explained() -> dict[str, str]:
    """Code -> level of every row of the tables in CODES.md."""
    rows = re.findall(
        r"^\| `([a-z0-9-]+)` \| (error|warning|note) \| .+ \| .+ \|$", CODES.read_text("utf-8"), re.MULTILINE
    )
    assert len(dict(rows)) == len(rows), "a code is explained twice"
    return dict(rows)


def test_every_code_is_explained_and_every_explanation_is_of_a_code():
    paths = [
        path for name in SPEAKING for path in ([PACKAGE / name] if "." in name else (PACKAGE / name).rglob("*.py"))
    ]
    used = set[str]().union(*map(codes_in, paths), OF_VALUES, OF_SETTINGS)
    table = explained()
    assert sorted(used - table.keys()) == [], "explain these codes in designkit/prompts/CODES.md"
    assert sorted(table.keys() - used) == [], "no module gives these codes any more"


def test_the_kinds_of_values_are_named_as_pydantic_names_them(tmp_path: Path):
    text = """\
prompt: a can
promt: x
seed: -1
seeds: {a: 1}
sample: {count: 1.5, method: best, seed: 99999999999}
exclude: [a]
axes: [x]
model: {steps: x, guidance: inf, adapters: [{weight: 1}], scheduler: [a]}
"""
    found = {each.problem.code for each in lint([write(tmp_path, text)])}
    assert found <= OF_VALUES | {"seeds"}
    assert len(found) > 8


def test_the_levels_in_the_table_are_those_of_lint():
    table = explained()
    assert {code for code, level in table.items() if level == "note"} == NOTES
    assert {table[code] for code in ERRORS_OF_A_RUN} == {"error"}
