"""The example brands: kits without a mistake, whose logos are vector drawings of their own."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from PIL import Image

from designkit.design.brand import Brand, read_brand
from designkit.design.colours import colour_difference, read_colour

ROOT = Path(__file__).parents[2] / "prompts" / "brands"
KITS = sorted(path for path in ROOT.iterdir() if path.is_dir())
LOGOS = sorted(ROOT.glob("*/logos/*.svg"))
SVG = "{http://www.w3.org/2000/svg}"


def rasterise(path: Path, height: int) -> Image.Image:
    import resvg_py

    data = resvg_py.svg_to_bytes(svg_string=path.read_text(encoding="utf-8"), height=height)
    return Image.open(io.BytesIO(bytes(data))).convert("RGBA")


def paints(path: Path) -> set[str]:
    """Every colour that a drawing names."""
    elements = ElementTree.parse(path).getroot().iter()
    values = {element.get(name) for element in elements for name in ("fill", "stroke")}
    return {colour for value in values if value and value != "none" and (colour := read_colour(value))}


@pytest.fixture(params=KITS, ids=lambda path: path.name)
def brand(request: pytest.FixtureRequest) -> Brand:
    return read_brand(request.param)


def test_there_are_three_and_each_is_whole(brand: Brand):
    assert [path.name for path in KITS] == ["larkbean", "sunpip", "tarnleaf"]
    assert brand.name.casefold() == brand.folder.name
    assert brand.style
    assert brand.avoid
    assert sum(colour.share or 0 for colour in brand.colours.values()) == pytest.approx(1)
    assert {"background", "main", "accent", "text"} & {colour.role for colour in brand.colours.values()}
    assert {"primary", "background", "foreground"} <= set(brand.roles)
    assert all(font.licence == "OFL-1.1" for font in brand.fonts.values())


def test_each_has_variants_of_its_logo_for_light_and_dark_grounds(brand: Brand):
    assert {logo.path for logo in brand.logos.values()} == set((brand.folder / "logos").resolve().iterdir())
    assert {logo.ground for logo in brand.logos.values()} == {"light", "dark"}
    assert all(logo.clear_space and logo.min_px and logo.min_mm and logo.alt for logo in brand.logos.values())
    for use, name in brand.logo_uses.items():
        assert brand.logos[name].ground == (use.partition(".")[2] or "light")


def test_logos_have_the_colours_of_the_palette(brand: Brand):
    for name, logo in brand.logos.items():
        if name.endswith("-mono"):
            assert len(paints(logo.path) - {"#FFFFFF"}) == 1
            continue
        for paint in paints(logo.path):
            assert min(colour_difference(paint, colour) for colour in brand.palette.values()) < 1, (name, paint)


@pytest.mark.parametrize("path", LOGOS, ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_a_logo_is_a_drawing_of_paths_that_needs_nothing_else(path: Path):
    root = ElementTree.parse(path).getroot()
    shapes = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert shapes <= {"svg", "title", "g", "path", "circle", "ellipse", "clipPath"}
    assert not [name for element in root.iter() for name in element.attrib if "href" in name or name.startswith("on")]
    assert "base64" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", LOGOS, ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_a_logo_rasterises_and_keeps_clear_of_its_edges(path: Path):
    picture = rasterise(path, 200)
    left, top, right, bottom = picture.getchannel("A").getbbox() or (0, 0, 0, 0)
    assert 0 < left < right < picture.width
    assert 0 < top < bottom < picture.height
    covered = picture.getchannel("A").resize((1, 1), Image.Resampling.BOX).tobytes()[0] / 255
    assert 0.1 < covered < 0.8


def test_a_logo_is_seen_on_the_ground_that_it_is_meant_for(brand: Brand):
    light, dark = brand.roles["background"], brand.roles["foreground"]
    for logo in brand.logos.values():
        ground = light if logo.ground == "light" else dark
        assert max(colour_difference(paint, ground) for paint in paints(logo.path)) > 35, logo.name


def test_no_two_logos_are_the_same_drawing():
    pictures = {rasterise(path, 64).tobytes() for path in LOGOS}
    assert len(pictures) == len(LOGOS) == 18


def test_each_is_used_by_an_example_that_names_its_colours(brand: Brand):
    using = [
        text
        for path in ROOT.parent.glob("*.yaml")
        if f"brand: {brand.folder.name}\n" in (text := path.read_text(encoding="utf-8"))
    ]
    assert using
    assert any(f"{{brand.{name}}}" in text for text in using for name in brand.colours)
