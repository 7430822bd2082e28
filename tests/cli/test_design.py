"""`designkit formats` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from designkit.cli.commands import app
from designkit.design.formats import built_in
from tests.cli.commands import run


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_all_sizes_are_listed_by_group_within_eighty_columns():
    lines = printed("formats").split("\n")
    assert max(map(len, lines)) <= 80
    first_words = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
    assert first_words == [entry.name for entry in built_in()]
    assert "IAB New Ad Portfolio (checked 2026-11-21)" in lines


def test_a_word_finds_names_uses_ratios_and_pixels():
    assert "source   IAB New Ad Portfolio" in printed("formats", "iab/320x50")
    found = {
        word: [entry["name"] for entry in json.loads(printed("formats", word, "--json"))["formats"]]
        for word in ("skyscraper", "4:15", "160×600")
    }
    assert found["skyscraper"] == ["google/160x600", "google/120x600", "iab/160x600", "iab/flex-1x3"]
    assert found["4:15"] == found["160×600"] == ["google/160x600", "iab/160x600"]


def test_a_format_as_json_has_everything_that_is_known_about_it():
    (story,) = json.loads(printed("formats", "meta/story", "--json"))["formats"]
    assert story["size"] == {"width": 1080, "height": 1920}
    assert story["safe"] == {"top": 0.14, "right": 0.0, "bottom": 0.2, "left": 0.0}
    assert (story["ratio"], story["max_bytes"], story["checked"]) == ("9:16", 30_000_000, "2026-11-21")


def test_own_sizes_are_listed_too(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("sizes: {shop/window: {mm: 800x1200, dpi: 50, bleed_mm: 5}}\n")
    assert "800x1200 mm + 5 mm bleed, 50 dpi" in printed("formats", "window", "--file", str(path))


def test_a_word_that_finds_nothing_is_refused_with_the_nearest_name(tmp_path: Path):
    done = run("formats", "stroy", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'story'?" in done.stderr


KIT = """\
meta: {name: Lumen}
color: {palette: {teal: "#0B7A75", cream: "#F4ECD8"}, primary: teal}
typography: {fonts: [{family: Inter, source: google}]}
designkit:
  style: flat shapes
  palette: {teal: {role: main, share: 40%, word: deep teal}}
  fonts: {Inter: {licence: OFL-1.1}}
"""


def make_kit(folder: Path) -> Path:
    kit = folder / "lumen"
    kit.mkdir()
    (kit / "brand.yaml").write_text(KIT)
    return kit


def test_a_kit_is_shown_with_the_words_that_a_model_knows(tmp_path: Path):
    kit = str(make_kit(tmp_path))
    assert "  {brand.primary}      #0B7A75  teal" in printed("brand", "show", kit)
    shown = printed("brand", "show", kit, "--model", "draft")
    assert "  {brand.teal}         #0B7A75  deep teal          main 40%" in shown
    assert "Inter (OFL-1.1)" in shown
    words = json.loads(printed("brand", "show", kit, "--model", "draft", "--json"))["words"]
    assert words["primary"] == {"word": "deep teal", "difference": 0.0}
    assert words["cream"]["word"] == "off white"


def test_a_kit_goes_to_tokens_and_back(tmp_path: Path):
    kit, tokens, back = make_kit(tmp_path), tmp_path / "tokens.json", tmp_path / "back"
    printed("brand", "export", str(kit), str(tokens))
    assert json.loads(tokens.read_text())["color"]["primary"] == {"$value": "{color.palette.teal}"}
    printed("brand", "import", str(tokens), str(back))
    facts = [json.loads(printed("brand", "show", str(place), "--json")) for place in (kit, tokens, back)]
    assert all({**each, "folder": ""} == {**facts[0], "folder": ""} for each in facts)


def test_a_kit_that_is_there_is_not_written_over(tmp_path: Path):
    kit, tokens = make_kit(tmp_path), tmp_path / "tokens.json"
    printed("brand", "export", str(kit), str(tokens))
    done = run("brand", "import", tokens, kit, cwd=tmp_path)
    assert done.returncode == 2
    assert "there is a brand kit already" in done.stderr
    assert (kit / "brand.yaml").read_text() == KIT
