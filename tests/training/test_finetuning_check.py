# pyright: basic
"""What is known of a brand's pictures before training: layouts, a line each, rights, and each rule of the score."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from designkit.errors import InputRefused
from designkit.generators.catalog import find_card
from designkit.training.data import survey
from designkit.training.finetuning.check import check_pictures, write_check
from designkit.training.finetuning.pictures import brand_pictures, choose_examples
from designkit.training.finetuning.recipe import FinetuneData
from designkit.training.finetuning.score import Part, Traits, brand_words, score_parts, total
from designkit.training.splits import plain_ground
from designkit.values import Size
from tests.training.odd_pictures import linear_profile, write_all

STARTER = find_card("starter")


def noise(seed: int, side: int = 160) -> Image.Image:
    rng = np.random.default_rng(seed)
    cells = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return cells.resize((side, side), Image.Resampling.BICUBIC)


def write(folder: Path, names: Sequence[str], captions: Sequence[str | None] = (), suffix: str = ".txt") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        noise(number).save(folder / f"{name}.png")
        if number < len(captions) and captions[number] is not None:
            (folder / f"{name}{suffix}").write_text(captions[number] or "")
    return folder


def check(folder: Path, **data):
    return check_pictures(survey(folder), FinetuneData(folder=str(folder), **data), STARTER)


def test_each_layout_is_recognised_and_said(tmp_path: Path):
    plain = write(tmp_path / "plain", "ab")
    texts = write(tmp_path / "texts", "ab", ["lumen can", "lumen jar"])
    kohya_texts = write(tmp_path / "captions", "ab", ["lumen can", "lumen jar"], ".caption")
    lines = write(tmp_path / "lines", "ab")
    (lines / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "x"}\n{"file_name": "b.png", "text": "y"}\n')
    table = write(tmp_path / "table", "ab")
    (table / "metadata.csv").write_text('file_name,text\na.png,"x, y"\nb.png,z\n')
    kohya = tmp_path / "kohya"
    write(kohya / "10_lumen can", "ab")
    layouts = {path.name: check(path).layout for path in (plain, texts, kohya_texts, lines, table, kohya)}
    assert layouts == {
        "plain": "plain folder, no captions", "texts": ".txt captions", "captions": ".caption captions",
        "lines": "metadata.jsonl", "table": "metadata.csv", "kohya": "kohya folders",
    }  # fmt: skip
    assert [line.caption for line in check(table).pictures] == ["x, y", "z"]
    assert [line.caption_from for line in check(lines).pictures] == ["metadata.jsonl:1", "metadata.jsonl:2"]


def test_kohya_folders_give_captions_and_how_often_pictures_are_learned_from(tmp_path: Path):
    write(tmp_path / "10_lumen can", ["a", "b"], ["lumen, a can on teal"])
    write(tmp_path / "30_lumen jar", ["c"])
    found = survey(tmp_path)
    data = FinetuneData(folder=str(tmp_path), held_out=0)
    brand = choose_examples(found, data, sizes=[Size(width=64, height=64)], grid_px=8, is_any_size=True)
    assert [example.caption for example in brand.training] == ["lumen, a can on teal", "lumen can", *["lumen jar"] * 3]
    assert "5 pictures in a round" in brand.text()
    assert brand.text().startswith("  3 to learn from")
    assert [line.caption_from for line in check(tmp_path).pictures] == ["a.txt", "folder name", "folder name"]
    own = check(tmp_path / "30_lumen jar")  # the folder itself instead of the one that holds it
    assert own.pictures[0].caption == "lumen jar"


def test_the_precedence_of_captions_is_metadata_then_files_then_the_instance_prompt_then_the_folder(tmp_path: Path):
    folder = write(tmp_path / "5_folder words", "abc", ["from its file", "from its file"])
    (folder / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "from metadata"}\n')
    found = check(tmp_path, instance_prompt="the prompt")
    assert [line.caption for line in found.pictures] == ["from metadata", "from its file", "the prompt"]
    assert any("1 pictures have a caption in a metadata file and in one of their own" in note for note in found.notes)


def test_what_metadata_says_under_other_names_is_read_and_what_is_not_read_is_told(tmp_path: Path):
    write(tmp_path, "a")
    entry = {
        "file_name": "a.png",
        "caption": "lumen can",
        "license": "CC-BY-4.0",
        "author": "A. Maker",
        "mask": "m.png",
    }
    (tmp_path / "metadata.jsonl").write_text(json.dumps(entry))
    found = check(tmp_path)
    (line,) = found.pictures
    assert (line.caption, line.licence, line.creator) == ("lumen can", "CC-BY-4.0", "A. Maker")
    assert found.notes == (
        "metadata.jsonl has no `text`; captions are its `caption`", "metadata.jsonl has keys that are not read: mask",
    )  # fmt: skip


def test_rights_are_read_from_exif_and_xmp_and_metadata_counts_before_them(tmp_path: Path):
    exif = Image.Exif()
    exif[0x013B], exif[0x8298] = "E. Xif", "(c) Exif\nLtd"
    noise(0).save(tmp_path / "exif.jpg", exif=exif)
    xmp = (
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF><rdf:Description xmpRights:WebStatement='https://ex.am/ple'>"
        "<dc:creator><rdf:Seq><rdf:li>X. &amp; Mp</rdf:li></rdf:Seq></dc:creator></rdf:Description></rdf:RDF>"
        "</x:xmpmeta>"
    )
    noise(1).save(tmp_path / "xmp.jpg", xmp=xmp.encode())
    noise(2).save(tmp_path / "said.jpg", exif=exif)
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "said.jpg", "licence": "own work"}')
    lines = {line.name: line for line in check(tmp_path).pictures}
    assert (lines["exif.jpg"].creator, lines["exif.jpg"].licence) == ("E. Xif", "(c) Exif Ltd")
    assert (lines["xmp.jpg"].creator, lines["xmp.jpg"].licence) == ("X. & Mp", "https://ex.am/ple")
    assert (lines["said.jpg"].creator, lines["said.jpg"].licence) == ("E. Xif", "own work")


def test_every_picture_has_a_line_with_its_size_colours_and_remarks(tmp_path: Path):
    noise(0).save(tmp_path / "a.png", icc_profile=linear_profile())
    noise(0).resize((200, 200)).save(tmp_path / "b.jpg", quality=90)
    layer = noise(1, 40).convert("RGBA")
    layer.putpixel((0, 0), (0, 0, 0, 0))
    layer.save(tmp_path / "c.png")
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text("lumen can " + "very " * 60 + name)
    found = check(tmp_path)
    a, b, c = found.pictures
    assert (a.width, a.colour, a.has_alpha) == (160, "wide built-in", False)
    assert "converted to sRGB by its ICC profile" in a.remarks
    assert (c.has_alpha, c.is_small, b.is_small) == (True, True, False)
    assert c.words_cut[-1] == "c"
    assert "caption is cut before" in found.text()
    for line in found.pictures:
        assert line.name in found.text()


def test_near_duplicates_are_named_and_lie_on_one_side_of_the_split(tmp_path: Path):
    for seed in range(10):
        noise(seed).save(tmp_path / f"{seed}.png")
        noise(seed).resize((150, 150), Image.Resampling.LANCZOS).save(tmp_path / f"{seed}-copy.png")
    found = survey(tmp_path)
    data = FinetuneData(folder=str(tmp_path), instance_prompt="lumen can", held_out=0.3)
    brand = brand_pictures(found, data, STARTER)
    sides = [{example.item.name[0] for example in side} for side in (brand.training, brand.held_out)]
    assert brand.held_out
    assert not sides[0] & sides[1]
    assert [line.twin for line in check(tmp_path).pictures if line.name == "3.png"] == ["3-copy.png"]
    shown = check_pictures(found, data, STARTER)
    assert {line.name for line in shown.pictures if line.held_out} == {each.item.name for each in brand.held_out}


def test_what_cannot_be_read_is_listed_in_a_file_and_nothing_is_touched(tmp_path: Path):
    pictures, out = tmp_path / "pictures", tmp_path / "out"
    pictures.mkdir()
    out.mkdir()
    write_all(pictures)
    before = {path.name: path.lstat() for path in pictures.iterdir()}
    found = check(pictures)
    write_check(found, out)
    listed = [line.split("\t")[0] for line in (out / "quarantine.txt").read_text().splitlines()]
    assert listed == [each.name for each in found.left_out]
    assert {"empty.png", "cut-off.jpg", "page.jpg"} <= set(listed)
    assert {path.name: path.lstat() for path in pictures.iterdir()} == before
    document = json.loads((out / "check.json").read_text())
    assert (document["score"], len(document["pictures"])) == (found.score, len(found.pictures))
    write_check(replace(found, left_out=()), out)
    assert not (out / "quarantine.txt").exists()


def test_the_check_needs_no_torch(tmp_path: Path):
    write(tmp_path, "ab", ["lumen can", "lumen jar"])
    code = (
        "import sys; from pathlib import Path; from designkit.training.data import survey; "
        "from designkit.generators.catalog import find_card; "
        "from designkit.training.finetuning.check import check_pictures; "
        "from designkit.training.finetuning.recipe import FinetuneData; "
        f"check_pictures(survey(Path({str(tmp_path)!r})), FinetuneData(folder='.'), find_card('starter')).text(); "
        "print([name for name in ('torch', 'diffusers', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def traits(count: int = 12, **changes) -> list[Traits]:
    rng = np.random.default_rng(0)
    return [
        Traits(
            fingerprint=rng.integers(0, 256, (16, 16, 3), dtype=np.uint8), group=number, scale=1.2,
            caption=f"lumen can number {number}", has_licence=True, has_creator=True, **changes,
        )
        for number in range(count)
    ]  # fmt: skip


def part(pictures: Sequence[Traits], name: str) -> Part:
    return {each.name: each for each in score_parts(pictures)}[name]


def test_a_set_without_a_fault_scores_100_and_gets_no_advice():
    parts = score_parts(traits())
    assert (total(parts), sum(each.most for each in parts)) == (100, 100)
    assert [each.advice for each in parts] == [None] * 7


@pytest.mark.parametrize(("count", "points"), [(1, 0), (2, 0), (7, 10), (12, 20), (50, 20)])
def test_points_for_the_number_of_different_pictures(count: int, points: float):
    assert part(traits(count), "number").points == points
    assert (part(traits(count), "number").advice is None) == (count >= 12)


def test_pictures_that_are_alike_have_little_variety():
    grey = np.full((16, 16, 3), 100, np.uint8)
    steps = [replace(each, fingerprint=grey + 12 * (each.group % 2)) for each in traits(2)]
    assert part(steps, "variety").points == 10  # 12 of 24 levels
    assert "24 levels" not in (part(steps, "variety").advice or "")
    assert part([replace(each, fingerprint=grey) for each in traits(4)], "variety").points == 0


def test_repeats_cost_points_and_are_not_counted_as_pictures():
    pictures = [replace(each, group=each.group // 2 * 2) for each in traits(12)]
    assert (part(pictures, "duplicates").points, part(pictures, "number").points) == (0, 8)
    one = traits(12)
    one[1] = replace(one[1], group=0)
    assert part(one, "duplicates").points == pytest.approx(10 * (1 - 2 / 12), abs=0.05)
    assert "learned by heart" in (part(one, "duplicates").advice or "")


@pytest.mark.parametrize(("scale", "points"), [(0.4, 0), (0.75, 7.5), (1.0, 15), (4.0, 15)])
def test_points_for_the_resolution_against_the_models_own(scale: float, points: float):
    assert part([replace(each, scale=scale) for each in traits()], "resolution").points == points


@pytest.mark.parametrize(
    ("captions", "points", "words"),
    [
        (["lumen can, red"] * 12, 10, "12 of 12 are the same"),
        ([f"nice thing number{n}" for n in range(12)], 20, None),
        ([f"thing{n} upon hill{n}" for n in range(12)], 14, "no word stands for the brand"),
        ([f"lumen {n}" for n in range(12)], 10, "12 have fewer than 3 words"),
        ([f"lumen can {n}" if n % 2 else None for n in range(12)], 10, "6 are missing"),
        ([None] * 12, 0, "none"),
    ],
)
def test_points_for_captions(captions: list[str | None], points: float, words: str | None):
    pictures = [replace(each, caption=caption) for each, caption in zip(traits(), captions, strict=True)]
    found = part(pictures, "captions")
    assert found.points == points
    assert (found.advice is None) == (words is None)
    assert words is None or words in found.finding


def test_captions_that_the_model_does_not_read_to_their_end_cost_points():
    pictures = [replace(each, words_cut=3 * (each.group % 2)) for each in traits()]
    assert part(pictures, "captions").points == 15
    assert "6 are longer than the model reads" in part(pictures, "captions").finding


@pytest.mark.parametrize(("same", "points"), [(0, 5), (7, 5), (10, 2.1), (12, 0)])
def test_one_ground_everywhere_costs_points(same: int, points: float):
    pictures = [replace(each, ground="#0b7a75" if each.group < same else None) for each in traits()]
    assert part(pictures, "grounds").points == points
    assert (part(pictures, "grounds").advice is None) == (same <= 7)


def test_points_for_known_rights():
    assert part([replace(each, has_licence=False) for each in traits()], "rights").points == 3
    assert part([replace(each, has_creator=False) for each in traits()], "rights").points == 7
    assert part([replace(each, has_licence=False, has_creator=False) for each in traits()], "rights").points == 0


def test_the_word_of_the_brand_is_what_captions_share_and_means_nothing_else():
    assert brand_words(["Lumen brand, a can on teal", "a lumen brand jar", "lumen: the box"]) == ("lumen",)
    assert brand_words(["a can on teal", "a can on red"]) == ()


def test_a_plain_border_is_a_ground_and_a_busy_one_is_none():
    image = Image.new("RGB", (100, 80), (11, 122, 117))
    image.paste((255, 255, 255), (20, 20, 80, 60))
    assert plain_ground(image) == "#0b7a75"
    assert plain_ground(noise(3)) is None


def test_a_folder_without_captions_is_refused_with_the_fix(tmp_path: Path):
    write(tmp_path, "abc", ["lumen can"])
    with pytest.raises(InputRefused) as refusal:
        brand_pictures(survey(tmp_path), FinetuneData(folder=str(tmp_path)), STARTER)
    assert [problem.file for problem in refusal.value.problems] == ["b.png", "c.png"]
    assert check(tmp_path).without_caption == ("b.png", "c.png")
    assert "2 have no caption" in check(tmp_path).text(every=False)


def test_the_page_on_fine_tuning_names_keys_files_and_rules_as_they_are():
    import designkit.training.finetuning.score as score
    from designkit.training.finetuning.recipe import FinetuneRecipe, finetune_preset

    page = (Path(score.__file__).parents[1] / "FINETUNE.md").read_text(encoding="utf-8")
    rows = [line for line in (score.__doc__ or "").splitlines() if line.startswith("| ")]
    assert len(rows) == 8
    assert all(row in page for row in rows), "the table of the score is the one in score.py"
    preset = finetune_preset("x", 12, model="x", num_parameters=10**9, method="lora", name="x")
    defaults = page.partition("## The defaults")[2]
    for key in re.findall(r"\| `([a-z_.]+)` \|", defaults):
        part, _, below = key.partition(".")
        assert part in FinetuneRecipe.model_fields, key
        assert not below or hasattr(getattr(preset, part), below), key
    assert (preset.rank, preset.training.learning_rate, preset.training.ema_decay) == (16, 1e-4, 0.99)
    assert (preset.data.held_out, preset.data.caption_dropout, preset.header) == (0.15, 0.05, "private")
    for name in ("report.html", "report.json", "check.json", "quarantine.txt", "metadata.csv", "--instance-prompt"):
        assert name in page
