"""What the README and the example prompt files promise, run as written."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import designkit
from designkit.cli.commands import app
from designkit.generators.prompt_check import check_prompts

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "prompts").glob("*.yaml"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_file_makes_a_dozen_variants_or_more_without_a_warning(path: Path):
    (file,) = designkit.read_prompts([str(path)])
    plan = designkit.make_plan(file)
    assert plan.count >= 12
    assert {problem.code for problem in plan.warnings} <= {"size-enlarged"}  # the starter draws small, and says so
    assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=../designkit/prompts/")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_starter_knows_every_word_of_the_examples(path: Path):
    (file,) = designkit.read_prompts([str(path)])
    prompts = [request.prompt for request in designkit.make_plan(file).requests()]
    assert check_prompts(designkit.find_card("starter"), prompts) == ()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_file_runs_to_a_contact_sheet_with_placeholders(path: Path, tmp_path: Path):
    words = ["generate", str(path), "--model", "draft", "--limit", "3", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    run = tmp_path / path.stem
    assert len(list((run / "images").glob("*.png"))) == 3
    assert (run / "contact-sheet.png").exists()
    assert (run / "index.html").exists()


def test_the_readmes_prompt_file_is_one_and_its_count_is_what_it_says(tmp_path: Path):
    (text,) = blocks("yaml")
    path = tmp_path / "my-ad.yaml"
    path.write_text(text, encoding="utf-8")
    (file,) = designkit.read_prompts([str(path)])
    plan = designkit.make_plan(file)
    assert plan.count == 2 * 2 * 2 * 2 * 2
    assert check_prompts(plan.card, [request.prompt for request in plan.requests()]) == ()


def test_the_readmes_script_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (script,) = blocks("python")
    (tmp_path / "prompts").symlink_to(ROOT / "prompts")
    monkeypatch.chdir(tmp_path)
    exec(compile(script, "README.md", "exec"), {})
    assert len(list((tmp_path / "outputs" / "scripted").glob("*.png"))) == 4


def test_every_command_that_the_readme_shows_exists_and_every_path_is_there():
    shown = set(re.findall(r"designkit (\w+)", README)) & {"generate", "plan", "train", "models", "doctor"}
    assert {"generate", "plan", "train"} <= shown
    for command in shown:
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0
    for target in re.findall(r"\]\((?!https)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_public_name_is_there_and_documented():
    for name in designkit.__all__:
        if not name.startswith("__"):
            assert (getattr(designkit, name).__doc__ or "").strip(), name
