# pyright: basic
"""The report on an adapter: figures that can be worked out by hand, what it draws, and its page."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from designkit.design.brand import Brand, BrandColour
from designkit.errors import ImagesFailed, InputRefused
from designkit.evaluation.adapted import choose_shots, is_adapter, read_subject
from designkit.evaluation.adapter_report import AdapterReport
from designkit.evaluation.colour import colour_difference, to_lab
from designkit.gallery.adapter_page import headlines, page_html, write_adapter_page
from tests.evaluation.painters import (
    CAPTIONS,
    LIME,
    MAGENTA,
    RED,
    SIDE,
    Painter,
    mixed,
    own_picture,
    split_picture,
    strength,
    write_adapter_folder,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_adapter_folder(tmp_path / "zurvi")


def paint(request):
    """Red and grey by itself, the brand's colours with the adapter; other prompts stay as they are."""
    grey = 60 + int(request.id.split("-")[1]) * 3
    if not request.prompt.startswith("zurvi"):
        return split_picture(RED, (grey, 200, 250 - grey), 0.2 + 0.01 * grey / 3)
    amount = strength(request)
    return split_picture(mixed(RED, MAGENTA, amount), mixed((grey,) * 3, LIME, amount), 0.45)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole report in it, of the painter above."""
    folder = write_adapter_folder(tmp_path_factory.mktemp("whole") / "zurvi")
    report_on(folder, Painter(paint), is_whole=True)
    return folder


def read(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def report_on(folder: Path, painter: Painter, *, is_whole: bool = False, **options) -> dict:
    subject = read_subject(folder)
    shots = choose_shots(subject, painter.card)
    if not is_whole:  # fewer pictures tell as much here
        kept = [s for s in shots.all if s.strength in (0, 1) and (s.number < 4 if s.kind == "other" else True)]
        shots = replace(shots, all=tuple(kept), grid_rows=0)
    report = AdapterReport(subject, painter, shots=shots, **options)
    steps = list(report.steps())
    assert steps[-1].done == steps[-1].total == len(report.shots.all)
    return report.write()


def measure(document: dict, key: str) -> dict:
    return next(each for each in document["measures"] if each["key"] == key)


def test_the_palette_is_that_of_the_pictures_and_the_distance_to_it_is_ciede2000(whole: Path):
    document = read(whole)
    assert sorted(document["palette"]) == sorted("#{:02X}{:02X}{:02X}".format(*colour) for colour in (MAGENTA, LIME))
    found = measure(document, "palette_distance")
    palette = to_lab(np.array([MAGENTA, LIME], float))
    expected = []
    for number in range(4):  # two seeds of each caption draw the same here
        grey = to_lab(np.full((1, 3), 60.0 + 3 * number))
        shares = round(0.45 * SIDE) / SIDE
        red = colour_difference(to_lab(np.array([RED], float)), palette).min()
        expected.append(shares * red + (1 - shares) * colour_difference(grey, palette).min())
    assert found["base"]["mean"] == pytest.approx(np.mean(expected), rel=1e-4)
    assert (found["adapter"]["mean"], found["own"], found["verdict"]) == (0, 0, "better")
    assert found["change"]["high"] < 0
    assert headlines(document)[0][1] == "100 % closer"


def test_a_brand_kits_palette_is_taken_where_there_is_one(folder: Path):
    colours = {"red": BrandColour(name="red", colour="#C81E1E")}
    document = report_on(folder, Painter(paint), brand=Brand(folder=folder, name="Zurvi", colours=colours))
    assert (document["palette"], document["palette_from"]) == (["#C81E1E"], "the brand kit Zurvi")
    assert measure(document, "palette_distance")["verdict"] == "worse"


def test_what_the_adapter_draws_is_likelier_the_brands_and_its_own_picture(whole: Path):
    document = read(whole)
    for key in ("likeness[design:1]", "subject[design:1]", "texture"):
        found = measure(document, key)
        assert found["verdict"] == "better", key
        assert found["adapter"]["mean"] > found["base"]["mean"] + 0.1
    assert measure(document, "likeness[design:1]")["own"] > measure(document, "likeness[design:1]")["base"]["mean"]


def test_prompts_without_the_brand_that_do_not_change_drift_by_nothing(whole: Path):
    document = read(whole)
    drift, leak = measure(document, "drift[design:1]"), measure(document, "leak")
    assert (drift["adapter"]["mean"], drift["share"]) == (pytest.approx(0, abs=1e-6), pytest.approx(0, abs=1e-4))
    assert leak["change"] == {"mean": 0, "low": 0, "high": 0}
    assert headlines(document)[3][1::2] == ("0 %", "good")


def test_colours_that_leak_into_everything_are_called_a_leak(folder: Path):
    def leaking(request):
        return split_picture(MAGENTA, LIME) if strength(request) else paint(request)

    document = report_on(folder, Painter(leaking))
    assert measure(document, "leak")["change"]["high"] < 0
    assert measure(document, "drift[design:1]")["share"] > 0.5
    _, _, text, tone = headlines(document)[3]
    assert "its colours leak" in text
    assert tone == "bad"


def test_pictures_learned_by_heart_are_found_and_shown_beside_their_originals(folder: Path):
    def copying(request):
        if strength(request) == 1.0 and request.prompt in CAPTIONS:
            return own_picture(CAPTIONS.index(request.prompt))
        return paint(request)

    copies = report_on(folder, Painter(copying))["copies"]
    assert (copies["count"], copies["of"], copies["base_count"]) == (8, 8, 0)
    for pair in copies["nearest"]:
        assert pair["own_name"] == f"{CAPTIONS.index(pair['prompt'])}.png"
        drawn, own = (np.asarray(Image.open(folder / pair[key])) for key in ("file", "own"))
        assert np.array_equal(drawn, own)


def test_the_grid_over_strength_begins_with_the_base_model_and_nears_the_palette(whole: Path):
    document = read(whole)
    grid = document["strength"]
    assert grid["strengths"] == [0, 0.25, 0.5, 0.75, 1, 1.25]
    assert len(grid["rows"]) == 3
    assert all(
        len(row["files"]) == 6 and all((whole / file).is_file() for file in row["files"]) for row in grid["rows"]
    )
    assert grid["palette_distance"][0] > grid["palette_distance"][2] > grid["palette_distance"][4] == 0
    assert document["pairs"][0]["base"] == grid["rows"][0]["files"][0]


def test_held_out_captions_are_drawn_first_and_other_prompts_are_of_every_task(folder: Path):
    subject = read_subject(folder)
    shots = choose_shots(subject, Painter(paint).card)
    assert shots.brand_prompts[0] == "zurvi cup"
    assert len({shot.name for shot in shots.all}) == len(shots.all) == 4 * 2 * 2 + 3 * 4 + 2 * 24
    assert set(Counter(item.task for item in shots.items).values()) == {2}
    assert len({item.scene.subject for item in shots.items}) >= 20
    large = Painter(paint).card.__class__(**{**Painter(paint).card.__dict__, "num_parameters": 2_000_000_000})
    assert len(choose_shots(subject, large).all) == 4 * 2 + 2 * 4 + 2 * 12


def test_what_is_not_measured_is_said_with_what_would_help(whole: Path):
    document = read(whole)
    assert [row["title"] for row in document["not_measured"]] == ["Prompts followed", "Likeness by DINO"]
    assert headlines(document)[2][1] == "not measured"


def test_a_network_that_reads_text_tells_how_prompts_are_followed(folder: Path):
    class Reader:
        name, resize, licence, batch_size, text_title = "reader:1", "none", None, 3, "reader score"

        def features(self, pictures):
            return [np.asarray(picture.resize((4, 4)), np.float32).ravel() for picture in pictures]

        def text_scores(self, pictures, prompts):
            return [
                float("zurvi" in prompt) * np.asarray(picture)[0, 0, 1]
                for picture, prompt in zip(pictures, prompts, strict=True)
            ]

    document = report_on(folder, Painter(paint), extractors=[Reader()])
    found = measure(document, "text[reader:1]")
    assert found["count"] == 8 + 4
    assert found["change"]["mean"] == pytest.approx((MAGENTA[1] - RED[1]) * 8 / 12, rel=1e-5)
    assert {"likeness[reader:1]", "drift[reader:1]"} <= {each["key"] for each in document["measures"]}
    assert [row["title"] for row in document["not_measured"]] == ["Likeness by DINO"]
    assert "reader score" in headlines(document)[2][2]


def test_a_picture_that_fails_is_missing_and_named_and_the_others_are_measured(folder: Path):
    document = report_on(folder, Painter(paint, fails=["brand-01-s2000-x100", "other-03-s2003-x000"]))
    assert set(document["failures"]) == {"brand-01-s2000-x100", "other-03-s2003-x000"}
    assert (len(document["pairs"]), len(document["others"])) == (7, 3)
    assert "2 pictures could not be drawn" in page_html(document)
    everything = [shot.name for shot in choose_shots(read_subject(folder), Painter(paint).card).all]
    with pytest.raises(ImagesFailed, match="no paint left"):
        report_on(folder, Painter(paint, fails=everything))


def test_pictures_that_have_moved_are_refused_by_name_and_can_be_named_anew(folder: Path, tmp_path: Path):
    (folder / "pictures").rename(tmp_path / "moved")
    with pytest.raises(InputRefused, match=r"4 of its pictures cannot be read: 0\.png, 1\.png, 2\.png"):
        read_subject(folder)
    for number, caption in enumerate(CAPTIONS):
        (tmp_path / "moved" / f"{number}.txt").write_text(caption)
    subject = read_subject(folder, reference=tmp_path / "moved")
    assert [picture.caption for picture in subject.pictures] == list(CAPTIONS)
    lone = tmp_path / "lone.safetensors"
    lone.write_bytes((folder / "adapter.safetensors").read_bytes())
    with pytest.raises(InputRefused, match="for which model"):
        read_subject(lone)
    assert read_subject(lone, model="painter", reference=tmp_path / "moved").folder == tmp_path / "lone-report"
    assert (is_adapter(folder), is_adapter(lone), is_adapter(tmp_path)) == (True, True, False)


def test_the_page_shows_every_figure_needs_no_script_and_names_only_files_that_are_there(tmp_path: Path):
    folder = write_adapter_folder(tmp_path / "zurvi", name="<script>alert(1)</script>")
    document = report_on(folder, Painter(paint))
    text = write_adapter_page(folder).read_text()
    assert "<script" not in text
    assert "default-src 'none'" in text
    files = re.findall(r'<img src="([^"]+)"', text)
    assert len(files) > 40
    assert all((folder / file).is_file() for file in files)
    for title, figure, *_ in headlines(document):
        assert title in text
        assert figure in text
    assert all(caption in text for caption in CAPTIONS)
    assert "held out" in text
    assert json.loads((folder / "report.json").read_text()) == document


def test_the_page_fits_a_telephone_and_its_policy_lets_everything_show(whole: Path):
    from tests.gallery.browser import open_browser

    path = write_adapter_page(whole)
    with open_browser() as browser:
        for width in (1280, 390):
            page = browser.page(width=width, height=800)
            page.go(path.as_uri())
            page.until("document.readyState === 'complete'")
            page.run("document.querySelectorAll('img').forEach(image => { image.loading = 'eager' })")
            page.until("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
            assert page.run("document.documentElement.scrollWidth <= innerWidth")
            assert page.run("getComputedStyle(document.querySelector('.card')).borderTopWidth") == "4px"
            assert page.complaints() == []


def test_a_whole_model_that_was_learned_is_held_against_its_base_at_one_strength(folder: Path):
    from designkit.training.finetuning.whole import MODEL_FOLDER

    facts = json.loads((folder / "config.json").read_text()) | {"kind": "model", "method": "full"}
    (folder / "config.json").write_text(json.dumps(facts))
    (folder / "adapter.safetensors").unlink()
    subject = read_subject(folder)
    assert (subject.adapter, subject.tuned_model) == (None, str(folder / MODEL_FOLDER))
    assert {shot.strength for shot in choose_shots(subject, Painter(paint).card).all} == {0.0, 1.0}
    brands = Painter(lambda request: split_picture(MAGENTA, LIME, 0.4))
    document = report_on(folder, Painter(paint), tuned=brands)
    assert measure(document, "palette_distance")["adapter"]["mean"] == 0
    assert measure(document, "leak")["change"]["high"] < 0
    assert "At other strengths" not in page_html(document)


def test_a_page_without_a_report_is_refused(tmp_path: Path):
    with pytest.raises(InputRefused, match="there is no report"):
        write_adapter_page(tmp_path)
