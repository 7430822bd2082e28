"""A brand kit's folder: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from designkit.design.brand import read_brand
from designkit.errors import InputRefused, Problem

KIT = """\
meta: {name: Lumen, link: "https://lumen.example"}
color:
  palette:
    teal: "#0B7a75"
    cream: "#fed"
    ocean: teal
  primary: ocean
  background: "#ffffff"
logo:
  images:
    mark: logos/mark.png
    word: {path: logos/word.png, alt: Lumen}
  small: mark
  medium: {light: word, dark: logos/dark.png}
typography:
  fonts: [{family: Inter, source: google}]
designkit:
  style: [flat shapes, generous space]
  avoid: photographs
"""


def make(folder: Path, text: str, name: str = "brand.yaml", logos: tuple[str, ...] = ("mark", "word", "dark")) -> Path:
    kit = folder / "lumen"
    (kit / "logos").mkdir(parents=True, exist_ok=True)
    for logo in logos:
        (kit / "logos" / f"{logo}.png").touch()
    (kit / name).write_text(text, encoding="utf-8")
    return kit


def refused(folder: Path) -> tuple[Problem, ...]:
    with pytest.raises(InputRefused) as caught:
        read_brand(folder)
    return caught.value.problems


def test_a_kit_is_read(tmp_path: Path):
    kit = make(tmp_path, KIT)
    brand = read_brand(kit)
    assert (brand.folder, brand.name) == (kit, "Lumen")
    assert brand.palette == {"teal": "#0B7A75", "cream": "#FFEEDD", "ocean": "#0B7A75"}
    assert brand.roles == {"primary": "#0B7A75", "background": "#FFFFFF"}
    assert brand.logos == {
        "mark": kit / "logos" / "mark.png",
        "word": kit / "logos" / "word.png",
        "medium.dark": kit / "logos" / "dark.png",
    }
    assert brand.words() == {
        "brand.name": "Lumen",
        "brand.style": "flat shapes, generous space",
        "brand.avoid": "photographs",
    }


@pytest.mark.parametrize("name", ["brand.yaml", "brand.yml", "_brand.yml"])
def test_a_kit_may_have_the_file_name_of_other_tools(tmp_path: Path, name: str):
    assert read_brand(make(tmp_path, "meta: {name: {short: L, full: Lumen}}\n", name)).name == "L"


def test_an_empty_kit_is_named_after_its_folder(tmp_path: Path):
    brand = read_brand(make(tmp_path, "# nothing yet\n"))
    assert brand.words() == {"brand.name": "lumen", "brand.style": "", "brand.avoid": ""}


def test_a_folder_without_a_kit_is_refused(tmp_path: Path):
    (problem,) = refused(tmp_path)
    assert (problem.code, problem.file) == ("missing-brand", str(tmp_path))


def test_every_mistake_is_told_at_once(tmp_path: Path):
    (tmp_path / "outside.png").touch()
    kit = make(
        tmp_path,
        """\
color:
  palette:
    teal: #0b7a75
    cream: creme
    a: b
    b: a
  primry: teal
  primary: tael
logo:
  small: ../outside.png
  large: logos/none.png
designkit:
  stlye: [flat]
  avoid: {a: b}
colour: {}
""",
    )
    assert [(problem.line, problem.key, problem.code) for problem in refused(kit)] == [
        (3, "color.palette.teal", "empty-value"),
        (4, "color.palette.cream", "colour"),
        (5, "color.palette.a", "colour"),
        (6, "color.palette.b", "colour"),
        (7, "color.primry", "colour-role"),
        (8, "color.primary", "colour"),
        (10, "logo.small", "brand-path"),
        (11, "logo.large", "brand-path"),
        (13, "designkit.stlye", "extra-forbidden"),
        (14, "designkit.avoid", "list-type"),
        (15, "colour", "extra-forbidden"),
    ]
    assert all(problem.file == str(kit / "brand.yaml") and problem.fix for problem in refused(kit))


def test_a_link_out_of_the_folder_is_no_way_around(tmp_path: Path):
    kit = make(tmp_path, "logo: logos/link.png\n")
    (tmp_path / "outside.png").touch()
    (kit / "logos" / "link.png").symlink_to(tmp_path / "outside.png")
    assert [problem.code for problem in refused(kit)] == ["brand-path"]
