"""The house itself: what imports what, what importing costs, and what stands in its papers."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import designkit

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "designkit").rglob("*.py"))


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of the project that lies in the folder."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False)


def test_imports_point_down() -> None:
    done = lint_imports(ROOT)
    assert (done.returncode, "1 kept, 0 broken" in done.stdout) == (0, True), done.stdout


@pytest.mark.parametrize(
    ("path", "line"),
    [("errors.py", "import designkit.values"), ("gallery/page.py", "import designkit.batch"), ("newcomer.py", "")],
)
def test_an_import_that_points_up_or_a_layer_without_a_place_is_found(tmp_path: Path, path: str, line: str) -> None:
    shutil.copytree(ROOT / "designkit", tmp_path / "designkit", ignore=shutil.ignore_patterns("weights", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "designkit" / path).open("a") as file:
        file.write(f"\n{line}\n")
    assert lint_imports(tmp_path).returncode == 1


def test_importing_the_package_is_light() -> None:
    heavy = ["PIL", "diffusers", "numpy", "pydantic", "rich", "ruamel", "torch", "transformers", "typer"]
    code = f"import designkit, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", sorted(designkit.__all__))
def test_every_public_name_loads_and_is_documented(name: str) -> None:
    value = getattr(designkit, name)
    assert name == "__version__" or (value.__doc__ or "").strip()
    assert name in dir(designkit)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'open_generater'"):
        designkit.open_generater  # noqa: B018


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_says_in_one_paragraph_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring
    assert re.match(r"\S[^\n]*(\n[^\n]+)*[.:]?", docstring)


def test_only_the_command_line_prints_or_exits() -> None:
    loud = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        if (ROOT / "designkit" / "cli") not in path.parents
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.exit", "exit", "os._exit")
    ]
    assert loud == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    # Spelt so that this file does not find itself.
    places = re.compile(r"/(?:home|Users|root|work|tmp)/(?!ana\b)\w")
    found = [
        name
        for name in tracked.split("\n")
        if Path(name).suffix in (".py", ".toml", ".md", ".yaml", ".json", ".txt", "") and (ROOT / name).is_file()
        if places.search((ROOT / name).read_text(encoding="utf-8", errors="ignore"))
    ]
    assert found == []


def test_what_is_imported_is_declared_and_every_extra_is_used() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def modules(lines: list[str]) -> set[str]:
        names = {re.split(r"[<>=~! \[]", line)[0].lower() for line in lines}
        modules_of = {
            "pillow": "PIL", "ruamel.yaml": "ruamel", "scikit-image": "skimage", "scikit-learn": "sklearn",
        }  # fmt: skip
        return {modules_of.get(name, name.replace("-", "_")) for name in names}

    imported = {
        name.split(".")[0]
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    third_party = imported - set(sys.stdlib_module_names) - {"designkit", ""}
    core = modules(project["dependencies"]) | {"huggingface_hub", "pydantic_core", "tokenizers"}
    extras = {name: modules(lines) for name, lines in project["optional-dependencies"].items() if name != "dev"}
    assert third_party - core <= set().union(*extras.values())
    assert [name for name, needed in extras.items() if not needed & third_party] == []
    # rich comes with typer and peft through diffusers: declared, since their versions matter.
    assert core - third_party <= {"peft", "huggingface_hub", "pydantic_core", "tokenizers"}


def test_the_licence_is_whole_and_the_version_is_one() -> None:
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {designkit.__version__}" in changelog


def test_ci_does_nothing_but_make_test() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").split("\n")
    assert [line for line in lines if line and not line.startswith(("#", "set ", "cd "))] == ["exec make test"]
