"""What the commands print, on the terminal and for machines, and what starting them costs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import designkit
from tests.cli.commands import PROMPTS, files, pictures, run, run_json

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a prompt file of twelve small drafts."""
    (tmp_path / "ad.yaml").write_text(PROMPTS)
    return tmp_path


def modules_after(*arguments: str, cwd: Path) -> set[str]:
    """The modules that a command has loaded when it ends."""
    code = (
        f"import atexit, sys\nsys.argv = ['designkit', *{list(arguments)!r}]\n"
        "atexit.register(lambda: print('\\n' + ' '.join(sys.modules), file=sys.stderr))\n"
        "from designkit.cli.app import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.strip().split("\n")[-1].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("generate", "--help"),
        ("plan", "ad.yaml"),
        ("plan", "ad.yaml", "--json"),
        ("lint", "ad.yaml"),
        ("models", "list"),
        ("formats",),
    ],
)
def test_looking_needs_neither_torch_nor_numpy_nor_a_drawing_library(place: Path, arguments: tuple[str, ...]) -> None:
    heavy = {"torch", "numpy", "diffusers", "transformers", "accelerate", "PIL", "rich"}
    assert modules_after(*arguments, cwd=place) & heavy == set()


def test_help_and_usage_mistakes_are_plain_text(place: Path) -> None:
    done = run("--help", cwd=place)
    assert done.returncode == 0
    for command in ("generate", "plan", "models", "doctor"):
        assert re.search(rf"^  {command} +\S", done.stdout, re.MULTILINE)
    assert max(map(len, done.stdout.split("\n"))) <= 80
    wrong = run("generate", "ad.yaml", "--modle", "draft", cwd=place)
    assert wrong.returncode == 2
    assert "--model" in wrong.stderr
    assert run("generat", "ad.yaml", cwd=place).returncode == 2


def test_the_version_is_the_packages(place: Path) -> None:
    assert run("--version", cwd=place).stdout == f"{designkit.__version__}\n"


def test_no_command_has_more_than_ten_options(place: Path) -> None:
    for command in (("generate",), ("plan",), ("doctor",), ("models", "list"), ("models", "show")):
        text = run(*command, "--help", cwd=place).stdout
        assert len(re.findall(r"^  (?:-h, )?--", text, re.MULTILINE)) <= 10


def test_generate_says_where_the_pictures_are_and_how_many_there_are(place: Path) -> None:
    done = run("generate", "ad.yaml", cwd=place)
    assert done.returncode == 0
    first, sheet, page, _ = done.stdout.split("\n")
    assert re.fullmatch(r"ad: 12 images \(12 made\) in \d+ s", first)
    assert sheet == "  contact sheet  outputs/ad/contact-sheet.png"
    assert page == "  page           outputs/ad/index.html"
    assert "ad: 12 images to draw with draft" in done.stderr
    assert len(pictures(place / "outputs" / "ad")) == 12
    again = run("generate", "ad.yaml", cwd=place)
    assert again.stdout.startswith("ad: 12 images (0 made, 12 there already)\n")
    assert "opening" not in again.stderr


def test_generate_json_is_one_document(place: Path) -> None:
    document = run_json("generate", "ad.yaml", "a {red|teal} fox", "--model", "draft", "--limit", "3", cwd=place)
    assert document["errors"] == []
    assert [
        (each["name"].rpartition("-")[0] or each["name"], each["count"], each["made"], each["kept"], each["failed"])
        for each in document["runs"]
    ] == [("ad", 3, 3, 0, []), ("a-red-teal-fox", 2, 2, 0, [])]
    for each in document["runs"]:
        assert (place / each["page"]).is_file()
        assert all((place / sheet).is_file() for sheet in each["contact_sheets"])
        assert each["folder"] == f"outputs/{each['name']}"


def test_a_limited_run_grows_into_the_whole_one(place: Path) -> None:
    run("generate", "ad.yaml", "--limit", "5", "--out", "grown", cwd=place)
    run("generate", "ad.yaml", "--out", "grown", cwd=place)
    run("generate", "ad.yaml", "--out", "whole", cwd=place)
    assert files(place / "grown" / "ad") == files(place / "whole" / "ad")
    done = run("generate", "ad.yaml", "--limit", "5", "--out", "whole", cwd=place)
    assert "7 images of an earlier plan stay: images/" in done.stdout


def test_overrides_lie_over_the_file(place: Path) -> None:
    document = run_json("plan", "ad.yaml", "--set", "sizes=[32x32]", "--set", "seeds=[4, 9]", cwd=place)
    assert document["count"] == 12
    assert {(each["width"], each["height"], each["seed"]) for each in document["requests"]} == {
        (32, 32, 4),
        (32, 32, 9),
    }


def test_prompts_come_from_standard_input_too(place: Path) -> None:
    with (place / "ad.yaml").open() as stdin:
        done = run("generate", "-", cwd=place, stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("stdin: 12 images (12 made)")


def test_plan_json_keeps_its_contract(place: Path) -> None:
    document = run_json("plan", "ad.yaml", cwd=place)
    assert set(document) == {"count", "requests", "files", "warnings", "errors"}
    assert (document["count"], len(document["requests"]), document["errors"]) == (12, 12, [])
    request = document["requests"][0]
    assert {
        key: request[key] for key in ("file", "prompt", "negative", "choices", "width", "height", "seed", "drawn_width")
    } == {
        "file": "ad.yaml",
        "prompt": "a red can, flat style",
        "negative": "",
        "choices": {"colour": "red", "thing": "can"},
        "width": 96,
        "height": 96,
        "seed": 0,
        "drawn_width": 96,
    }
    made = run_json("generate", "ad.yaml", cwd=place)
    manifest = (place / made["runs"][0]["folder"] / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in manifest] == [each["id"] for each in document["requests"]]


def test_plan_json_tells_mistakes_in_the_same_shape_as_warnings(place: Path) -> None:
    (place / "bad.yaml").write_text('promt: "a can"\n')
    document = run_json("plan", "bad.yaml", cwd=place, code=2)
    assert (document["count"], document["requests"], document["warnings"]) == (0, [], [])
    (problem, *_) = document["errors"]
    assert set(problem) == {"code", "message", "file", "line", "key", "fix"}
    assert (problem["file"], problem["line"]) == ("bad.yaml", 1)
    (place / "ad.yaml").write_text(PROMPTS.replace("model: draft", "model: {name: draft, steps: 9}"))
    (warning,) = run_json("plan", "ad.yaml", cwd=place)["warnings"]
    assert set(warning) == set(problem)
    assert (warning["code"], warning["line"], warning["key"]) == ("steps-not-accepted", 7, "model.steps")


def test_plan_shows_counts_sizes_licence_time_and_disk(place: Path) -> None:
    done = run("plan", "ad.yaml", cwd=place)
    assert done.returncode == 0
    assert done.stderr == ""
    for line in (
        "ad.yaml: 12 images",
        "  variants  6",
        "  sizes     96x96, 64x128",
        "  model     draft, licence CC0-1.0, commercial use: yes",
        "  - a red can, flat style",
        "      colour: red, thing: can",
        "  ... and 7 more",
    ):
        assert line in done.stdout.split("\n")
    assert re.search(
        r"^  takes     about 1 s \(a guess until a run has measured it\) and \d+ kB", done.stdout, re.MULTILINE
    )
    run("generate", "ad.yaml", cwd=place)
    assert "(as the last run of it)" in run("plan", "ad.yaml", cwd=place).stdout


def test_a_million_million_images_are_counted_at_once_with_the_way_to_fewer(place: Path) -> None:
    axes = "".join(f"  a{number}: [{', '.join(f'v{value}' for value in range(10))}]\n" for number in range(12))
    names = " ".join(f"{{a{number}}}" for number in range(12))
    (place / "huge.yaml").write_text(f'prompt: "{names}"\naxes:\n{axes}sizes: [64x64]\nmodel: draft\n')
    document = run_json("plan", "huge.yaml", cwd=place)
    assert (document["count"], len(document["requests"])) == (10**12, 10_000)
    done = run("plan", "huge.yaml", cwd=place)
    assert "huge.yaml: 1,000,000,000,000 images" in done.stdout
    assert "sample" in done.stderr


def test_models_are_listed_and_shown(place: Path) -> None:
    names = [card["name"] for card in run_json("models", "list", cwd=place)["models"]]
    assert "draft" in names
    card = run_json("models", "show", "draft", cwd=place)
    assert (card["licence"], card["commercial_use"], card["accepts"], card["folder"]) == (
        "CC0-1.0",
        "yes",
        ["size"],
        None,
    )
    assert "licence         CC0-1.0" in run("models", "show", "draft", cwd=place).stdout
    assert run_json("models", "show", "drafft", cwd=place, code=7)["errors"][0]["fix"] == "did you mean draft?"


def test_doctor_looks_at_python_torch_memory_disk_and_starter(place: Path) -> None:
    done = run("doctor", "--json", cwd=place)
    document = json.loads(done.stdout)
    checks = {check["name"]: check for check in document["checks"]}
    assert list(checks) == ["designkit", "python", "torch", "memory", "disk", "starter"]
    assert checks["designkit"]["found"] == designkit.__version__
    assert checks["disk"]["is_good"]
    assert document["good"] == (done.returncode == 0)
    assert not list(place.glob(".designkit*"))


def test_doctor_says_when_nothing_can_be_written(place: Path) -> None:
    done = run("doctor", "--out", "/proc/designkit", cwd=place)
    assert done.returncode >= 4
    assert re.search(r"^disk +/proc cannot be written \(!\)$", done.stdout, re.MULTILINE)
