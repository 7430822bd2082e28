"""A brand kit's folder: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from designkit.design.brand import BrandColour, Font, Logo, Reference, read_brand
from designkit.errors import InputRefused, Problem
from designkit.values import Adapter

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
    assert {name: logo.path for name, logo in brand.logos.items()} == {
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


FULL = """\
meta: {name: {full: Lumen Lamps Ltd, short: Lumen}, link: "https://lumen.example"}
color:
  palette:
    teal: "#0B7A75"
    cream: rgb(244 236 216)
    ink: {}
  primary: teal
logo:
  images: {mark: {path: logos/mark.png, alt: a lamp}, word: logos/word.png}
  small: mark
  medium: {light: word, dark: logos/dark.png}
typography:
  fonts:
    - {family: Inter, source: file, files: [fonts/inter.ttf, {path: fonts/bold.ttf, weight: 700}]}
    - {family: Lora, source: google, weight: [400, 700]}
  base: {family: Inter, size: 16px, line-height: 1.5, color: teal}
  headings: Lora
designkit:
  style: flat shapes
  avoid: [photographs]
  tolerance: 6
  palette:
    teal: {role: main, share: 40%, word: deep teal}
    cream: {role: background, share: 0.6, tolerance: 3.5}
  forbidden: ["#f0f", cream]
  logos:
    mark: {ground: light, clear_space: 25%, min_px: 32, min_mm: 8}
  fonts: {Inter: {licence: OFL-1.1}}
  adapter: {path: lumen.safetensors, weight: 0.8}
  references: [{path: logos/word.png, caption: the word}, logos/dark.png]
"""


def make_full(folder: Path, text: str = FULL.replace("    ink: {}\n", "")) -> Path:
    kit = make(folder, text)
    (kit / "fonts").mkdir()
    for name in ("fonts/inter.ttf", "fonts/bold.ttf", "lumen.safetensors"):
        (kit / name).touch()
    return kit


def test_everything_that_a_kit_says_is_read(tmp_path: Path):
    kit = make_full(tmp_path)
    brand = read_brand(kit)
    assert brand.name == "Lumen"
    assert brand.colours == {
        "teal": BrandColour(name="teal", colour="#0B7A75", role="main", share=0.4, tolerance=6, word="deep teal"),
        "cream": BrandColour(name="cream", colour="#F4ECD8", role="background", share=0.6, tolerance=3.5),
    }
    assert brand.forbidden == ("#FF00FF", "#F4ECD8")
    assert brand.logos["mark"] == Logo(
        name="mark",
        path=kit / "logos" / "mark.png",
        alt="a lamp",
        ground="light",
        clear_space=0.25,
        min_px=32,
        min_mm=8,
    )
    assert brand.logo_uses == {"small": "mark", "medium.light": "word", "medium.dark": "medium.dark"}
    assert brand.fonts == {
        "Inter": Font(
            family="Inter",
            source="file",
            licence="OFL-1.1",
            files=(kit / "fonts" / "inter.ttf", kit / "fonts" / "bold.ttf"),
        ),
        "Lora": Font(family="Lora", source="google"),
    }
    assert brand.text_fonts == {"base": "Inter", "headings": "Lora"}
    assert brand.adapters == (Adapter(path=str(kit / "lumen.safetensors"), weight=0.8),)
    assert brand.references == (
        Reference(path=kit / "logos" / "word.png", caption="the word"),
        Reference(path=kit / "logos" / "dark.png"),
    )


def test_a_role_has_the_word_and_tolerance_of_the_colour_that_it_is(tmp_path: Path):
    brand = read_brand(make_full(tmp_path))
    assert list(brand.named_colours()) == ["teal", "cream", "primary"]
    assert brand.named_colours()["primary"] == brand.colours["teal"]


def test_a_colour_of_the_palette_that_is_called_like_a_role_is_that_role(tmp_path: Path):
    kit = make(tmp_path, 'color: {palette: {primary: "#112233", dark: "#000"}, dark: "#111"}\n')
    assert read_brand(kit).roles == {"primary": "#112233", "dark": "#111111"}


def test_a_kit_that_another_tool_wrote_is_read(tmp_path: Path):
    # The shape of the specification's own examples: addresses of home pages, CSS names, Google fonts, defaults.
    kit = make(
        tmp_path,
        """\
meta:
  name: Acme
  link: {home: "https://acme.example", github: "https://github.example/acme"}
color:
  palette: {white: "#FFFFFF", blue: "#1234AB", orange: tomato}
  foreground: black
  background: white
  primary: blue
logo:
  images: {header: {path: logos/word.png, alt: Acme}}
  small: logos/mark.png
typography:
  fonts:
    - {family: Jura, source: google, weight: 400..700, style: [normal, italic], display: swap}
    - {family: Menlo, source: system}
  base: {family: Jura, line-height: 1.25, size: 1rem}
  headings: {family: Jura, weight: 600, color: primary}
  monospace: Menlo
  monospace-inline: {size: 0.9em, background-color: white}
  link: {decoration: underline, color: blue}
defaults:
  bootstrap: {rules: "h1 { color: $blue; }"}
""",
    )
    brand = read_brand(kit)
    assert brand.roles == {"foreground": "#000000", "background": "#FFFFFF", "primary": "#1234AB"}
    assert brand.palette["orange"] == "#FF6347"
    assert brand.text_fonts == {"base": "Jura", "headings": "Jura", "monospace": "Menlo"}


def test_mistakes_in_every_part_are_told_with_the_nearest_name(tmp_path: Path):
    kit = make_full(
        tmp_path,
        """\
color:
  palette:
    teal: "#0B7A75"
    a.b: "#000000"
    ink: {}
logo:
  images: {mark: logos/makr.png, far: "https://lumen.example/logo.svg", odd: brand.yaml}
  smal: mark
  medium: {lihgt: mark}
typography:
  fonts: [{family: Inter, sorce: google}]
  base: {famly: Inter, color: tael}
designkit:
  palette:
    tael: {share: 40%}
    teal: {role: man, share: 70%}
  logos: {makr: {min_px: 3}}
  fonts: {Intr: {licence: OFL-1.1}}
  adapter: logos/mark.png
  references: [none.png]
  forbidden: [grue]
""",
    )
    found = {(problem.line, problem.key): problem.fix for problem in refused(kit)}
    assert found == {
        (4, "color.palette.a.b"): "use letters, digits, - and _",
        (5, "color.palette.ink"): 'write it as "#0b7a75", in quotes',
        (7, "logo.images.mark"): "did you mean 'mark.png'?",
        (7, "logo.images.far"): "save it into the folder of the brand, and name that file",
        (7, "logo.images.odd"): "give it as .svg, .png, .jpg, .jpeg, .webp",
        (8, "logo.smal"): "did you mean 'small'?",
        (9, "logo.medium.lihgt"): "did you mean 'light'?",
        (11, "typography.fonts.sorce"): "did you mean 'source'?",
        (12, "typography.base.famly"): "did you mean 'family'?",
        (12, "typography.base.color"): "did you mean 'teal'?",
        (15, "designkit.palette.tael"): "did you mean 'teal'?",
        (16, "designkit.palette.teal.role"): "did you mean 'main'?",
        (17, "designkit.logos.makr"): "did you mean 'mark'?",
        (18, "designkit.fonts.Intr"): "did you mean 'Inter'?",
        (19, "designkit.adapter"): "give it as .safetensors",
        (20, "designkit.references"): "check its path",
        (21, "designkit.forbidden"): "choose from: teal",
    }


def test_shares_above_the_whole_and_circles_of_names_are_refused(tmp_path: Path):
    kit = make(
        tmp_path,
        """\
color:
  palette: {a: "#000", b: "#fff", x: y, y: z, z: x}
designkit:
  palette:
    a: {share: 70%}
    b: {share: 0.4}
""",
    )
    assert [(problem.line, problem.key, problem.code) for problem in refused(kit)] == [
        (2, "color.palette.x", "colour"),
        (2, "color.palette.y", "colour"),
        (2, "color.palette.z", "colour"),
        (4, "designkit.palette", "colour-shares"),
    ]
    assert "x -> y -> z -> x" in refused(kit)[0].message


@pytest.mark.parametrize("path", ["../outside.png", "/etc/hostname", "logos/../../outside.png", "a" * 5000, "."])
def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: str):
    (tmp_path / "outside.png").touch()
    for text in (f"logo: {path}\n", f"designkit: {{references: [{path}]}}\n", f"designkit: {{adapter: {path}}}\n"):
        assert {problem.code for problem in refused(make(tmp_path, text))} == {"brand-path"}
