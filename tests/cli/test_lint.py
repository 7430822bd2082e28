"""`designkit lint` and `plan --from` as a shell, an editor or a build server calls them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import designkit
from tests.cli.commands import PROMPTS, run, run_json
from tests.runs.pictures import write_png


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a prompt file of twelve small drafts."""
    (tmp_path / "ad.yaml").write_text(PROMPTS)
    return tmp_path


def test_a_clean_file_ends_with_nothing_to_say(place: Path) -> None:
    done = run("lint", "ad.yaml", cwd=place)
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing to say\n", "")
    assert run_json("lint", "ad.yaml", cwd=place) == {"errors": [], "warnings": [], "notes": []}


def test_warnings_end_well_unless_strict_and_errors_never(place: Path) -> None:
    (place / "warned.yaml").write_text(PROMPTS.replace("[can, bottle]", "[can, bottle]\n  pack: [a, b]"))
    (place / "broken.yaml").write_text("prompt: 'a {can'\n")
    warned = run("lint", "warned.yaml", cwd=place)
    assert warned.returncode == 0
    assert warned.stdout.splitlines() == [
        "warned.yaml:5:axes.pack: warning unused-axis: no prompt uses this axis",
        "  fix: write {pack} in the prompt, or remove the axis",
        "1 warning",
    ]
    assert run("lint", "warned.yaml", "--strict", cwd=place).returncode == 2
    found = run_json("lint", "broken.yaml", "warned.yaml", cwd=place, code=2)
    assert [len(found[level]) for level in ("errors", "warnings", "notes")] == [1, 1, 0]
    assert found["errors"][0].keys() == {"code", "message", "file", "line", "key", "fix"}


def test_the_plans_document_is_the_one_that_is_published(place: Path) -> None:
    page = (Path(designkit.__file__).parent / "cli" / "JSON.md").read_text("utf-8")
    prompts, published = re.findall(r"```(?:yaml|json)\n(.*?)```", page, re.DOTALL)
    (place / "ad.yaml").write_text(prompts)
    found, shown = run_json("plan", "ad.yaml", "--limit", "1", cwd=place), json.loads(published)
    model, shortened = found["files"][0].pop("model"), shown["files"][0].pop("model")
    assert shortened.items() <= model.items()
    assert found == shown


def test_banned_words_are_read_from_a_file(place: Path) -> None:
    (place / "words.txt").write_text("bottle\n")
    done = run("lint", "ad.yaml", "--banned", "words.txt", cwd=place)
    assert done.returncode == 2
    assert (
        "ad.yaml:4:axes.thing: error banned-word: words.txt forbids 'bottle', and 3 of 6 variants have it"
        in done.stdout
    )
    assert run("lint", "ad.yaml", "--banned", "nothing.txt", cwd=place).returncode == 2


def test_a_picture_of_ours_is_planned_again_with_its_id(place: Path) -> None:
    assert run("generate", "ad.yaml", "--limit", "1", cwd=place).returncode == 0
    (picture,) = (place / "outputs" / "ad" / "images").iterdir()
    done = run("plan", "--from", picture, cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    (place / "again.yaml").write_text(done.stdout)
    (request,) = run_json("plan", "again.yaml", cwd=place)["requests"]
    assert request["id"] in picture.name
    assert run_json("plan", "--from", picture, cwd=place)["prompt_file"] == done.stdout


def test_what_cannot_be_carried_over_is_said_beside_the_file(place: Path) -> None:
    text = "a can\nSteps: 20, Sampler: Restart, CFG scale: 7, Seed: 1, Size: 512x512"
    write_png(place / "web.png", parameters=text)
    done = run("plan", "--from", "web.png", cwd=place)
    assert done.returncode == 0
    assert done.stderr == "note: there is no sampler here that is 'Restart', so the model's own is used\n"
    assert 'prompt: "a can"' in done.stdout
    mixed = run("plan", "ad.yaml", "--from", "web.png", cwd=place)
    assert mixed.returncode == 2
    assert "takes none" in mixed.stderr
    assert run("plan", "--from", "ad.yaml", cwd=place).returncode == 2
    assert run("plan", cwd=place).returncode == 2
