"""A report says what is known of the pictures: who leads, who is alike, who cannot be read; and it can be stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from designkit.design.brand import read_brand
from designkit.evaluation.cache import MeasureCache
from designkit.evaluation.extractors import DesignDescriber, Extractor
from designkit.evaluation.measuring import measure_pictures
from designkit.evaluation.networks import RandomConvolutions
from designkit.evaluation.pictures import find_pictures
from designkit.evaluation.report import LIGHT, Evaluation, write_report
from designkit.evaluation.resampling import Array
from tests.evaluation.samples import CREAM, RED, TEAL, draw_folder, draw_run, drawing, write_brand


class Counting:
    """Knows texts and classes, and counts how many pictures it was shown."""

    name, resize, licence, batch_size, text_title = "counting:1", "none", "MIT", 3, "luck"

    def __init__(self) -> None:
        self.num_seen = 0

    def features(self, pictures: Sequence[Image.Image]) -> list[Array]:
        self.num_seen += len(pictures)
        return [np.asarray(picture, np.float64).mean(axis=(0, 1)) for picture in pictures]

    def text_scores(self, pictures: Sequence[Image.Image], prompts: Sequence[str]) -> list[float]:
        return [float(len(prompt)) for prompt in prompts]

    def class_probabilities(self, pictures: Sequence[Image.Image]) -> list[Array]:
        return [np.array([0.5, 0.25, 0.25]) for _ in pictures]


def report_of(folder: Path, cache: Path, *, reference: Path | None = None, brand: Path | None = None, extractors=()):
    with MeasureCache(cache) as kept:
        evaluation = Evaluation(
            find_pictures(folder),
            extractors=extractors,
            cache=kept,
            reference=find_pictures(reference) if reference else None,
            brand=read_brand(brand) if brand else None,
        )
        steps = [(step.title, step.done, step.total) for step in evaluation.steps()]
        return evaluation.report(), steps


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, a reference, a brand, and the report of all that."""
    place = tmp_path_factory.mktemp("evaluation")
    draw_run(place / "run")
    draw_folder(place / "reference", 12, ground=CREAM)
    write_brand(place / "brand")
    return place


@pytest.fixture(scope="module")
def report(place: Path):
    extractors: list[Extractor] = [RandomConvolutions(), DesignDescriber(), Counting()]
    found, steps = report_of(
        place / "run", place / "cache", reference=place / "reference", brand=place / "brand", extractors=extractors
    )
    assert [title for title, done, total in steps if done == total] == [
        "measuring run", "measuring reference", "comparing with the reference",
    ]  # fmt: skip
    return found


def values_of(report, key: str) -> list[float]:
    return [image["values"][key] for image in report["images"]]


def axis_of(report, key: str):
    (row,) = [row for row in report["axes"] if (row["axis"], row["measure"]) == ("ground", key)]
    return row


def test_the_choice_that_leads_is_named_and_noise_is_called_noise(report) -> None:
    contrast = axis_of(report, "calm_contrast")
    assert [entry["value"] for entry in contrast["values"]] == ["cream", "teal"]
    assert contrast["leads"]
    assert contrast["p"] <= 0.05
    # The discs lie in the same places on both grounds.
    calm = axis_of(report, "calm_area")
    assert not calm["leads"]
    for entry in (*contrast["values"], *calm["values"]):
        assert entry["low"] <= entry["mean"] <= entry["high"]
        assert entry["count"] == 6


def test_brand_measures_are_the_areas_that_were_drawn(report) -> None:
    disc = np.pi * 16**2 / 96**2
    assert values_of(report, "on_palette") == pytest.approx([1 - disc] * 12, abs=0.02)
    assert values_of(report, "banned_area") == pytest.approx([disc] * 12, abs=0.02)
    assert report["brand"] == "Lumen"
    assert min(values_of(report, "palette_shares")) > 0
    assert report["measures"][0]["key"] == "overall"


def test_pictures_are_compared_with_the_nearest_of_the_reference(report) -> None:
    assert report["reference"]["paired_by"] == "nearest by counting:1"
    assert {image["reference"] for image in report["images"]} <= {f"{number:02}.png" for number in range(12)}
    # Cream pictures are nearer to the cream reference in colour than teal ones.
    by_ground = {entry["value"]: entry["mean"] for entry in axis_of(report, "colour_distance")["values"]}
    assert by_ground["cream"] < by_ground["teal"] / 3
    scores = {row["score"]: row for row in report["sets"]}
    assert {"FD[design:1]", "KD[design:1]", "FD[randconv:6c98bbf5]", "FD[counting:1]", "IS[counting:1]"} <= set(scores)
    assert any(name.startswith("FD[pixel-pca:") for name in scores)
    assert not any(name.startswith("FID") for name in scores)
    assert scores["IS[counting:1]"]["value"] == pytest.approx(1)
    row = scores["FD[counting:1]"]
    assert row["floor_size"] == 6
    assert row["value_at_floor"] > 3 * row["floor"]
    assert row["low"] <= row["value"] <= row["high"]
    assert {name.partition("[")[0] for name in scores} == {
        "FD", "KD", "IS", "precision", "recall", "density", "coverage",
    }  # fmt: skip


def test_texts_are_scored_where_there_are_prompts(report) -> None:
    by_ground = {entry["value"]: entry["mean"] for entry in axis_of(report, "text:counting:1")["values"]}
    assert by_ground == {
        "teal": len("a red apple on a plain teal background"),
        "cream": len("a red apple on a plain cream background"),
    }


def test_palettes_and_calm_boxes_are_those_of_the_picture(report) -> None:
    image = report["images"][1]
    assert image["choices"] == {"ground": "cream"}
    assert image["colours"][0]["colour"] == "#F4ECD8"
    left, top, right, bottom = image["calm_box"]
    # The disc ends 41 pixels from the left; what is right of it is larger than what is above or below.
    assert left == pytest.approx(41 / 96, abs=0.05)
    assert (top, right, bottom) == (0, 1, 1)


def test_the_report_is_plain_json_and_the_same_again(place: Path, report) -> None:
    path = write_report(place / "run", report)
    assert json.loads(path.read_text()) == report
    before = path.read_bytes()
    extractors: list[Extractor] = [RandomConvolutions(), DesignDescriber(), Counting()]
    again, _ = report_of(
        place / "run", place / "other", reference=place / "reference", brand=place / "brand", extractors=extractors
    )
    assert write_report(place / "run", again).read_bytes() == before
    assert str(place) not in path.read_text()


def test_copies_and_near_duplicates_are_found(tmp_path: Path) -> None:
    draw_folder(tmp_path / "reference", 8)
    run = draw_folder(tmp_path / "made", 3, ground=CREAM)
    shutil.copy(tmp_path / "reference" / "04.png", run / "taken.png")
    drawing(TEAL, (255, 104, 61), 40).save(run / "taken-again.png")
    report, _ = report_of(run, tmp_path / "cache", reference=tmp_path / "reference")
    assert report["copies"]["files"] == ["taken-again.png", "taken.png"]
    assert report["duplicates"] == [["taken-again.png", "taken.png"]]
    # Of equal pictures nothing differs.
    taken = next(image for image in report["images"] if image["file"] == "taken.png")
    assert (taken["reference"], taken["values"]["psnr"], taken["values"]["ssim"]) == ("04.png", 100, 1)
    assert taken["values"]["colour_distance"] == pytest.approx(0, abs=1e-6)
    assert taken["values"]["texture_similarity"] == 1


def test_pictures_of_one_name_are_pairs(tmp_path: Path) -> None:
    draw_folder(tmp_path / "before", 3)
    draw_folder(tmp_path / "after", 3, ground=CREAM)
    report, _ = report_of(tmp_path / "after", tmp_path / "cache", reference=tmp_path / "before")
    assert report["reference"]["paired_by"] == "file name"
    assert [image["reference"] for image in report["images"]] == ["00.png", "01.png", "02.png"]
    assert {each["key"]: each["better"] for each in report["measures"]}["ssim"] == "higher"


def test_broken_pictures_are_named_and_the_others_go_on(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "made", 3)
    (folder / "cut.png").write_bytes((folder / "00.png").read_bytes()[:150])
    (folder / "text.jpg").write_text("no picture")
    report, _ = report_of(folder, tmp_path / "cache")
    assert [each["file"] for each in report["broken"]] == ["cut.png", "text.jpg"]
    assert all("no picture that can be read" in each["reason"] for each in report["broken"])
    assert report["count"] == 3
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "text.jpg").write_text("no picture")
    report, _ = report_of(alone, tmp_path / "cache")
    assert (report["count"], report["images"], len(report["broken"])) == (0, [], 1)


def test_a_single_picture_has_a_report_too(tmp_path: Path) -> None:
    report, _ = report_of(draw_folder(tmp_path / "one", 1), tmp_path / "cache", extractors=[DesignDescriber()])
    assert report["count"] == 1
    assert report["axes"] == report["duplicates"] == report["diversity"] == []


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "made", 11)
    counting = Counting()
    with MeasureCache(tmp_path / "cache") as cache:
        pictures = find_pictures(folder).pictures
        steps = measure_pictures(pictures, [*LIGHT, counting], cache)
        first = [next(steps) for _ in range(3)]
        steps.close()  # pyright: ignore[reportAttributeAccessIssue]
    # What was on its way is safe: the chunk of the third picture.
    assert counting.num_seen == 8
    drawing(RED, CREAM, 50).save(folder / "10.png")
    with MeasureCache(tmp_path / "cache") as cache:
        rest = list(measure_pictures(pictures, [*LIGHT, counting], cache))
        assert counting.num_seen == 11
        (folder / "10.png").rename(folder / "renamed.png")
        list(measure_pictures(find_pictures(folder).pictures, [*LIGHT, counting], cache))
    assert counting.num_seen == 11
    for one, two in zip(first, rest, strict=False):
        assert one.vectors.keys() == two.vectors.keys()
        assert all(np.array_equal(one.vectors[name], two.vectors[name]) for name in one.vectors)
