"""Pictures are found in runs and folders, and read as people see them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from designkit.errors import InputRefused
from designkit.evaluation.pictures import find_pictures, load_picture
from tests.evaluation.samples import draw_folder, drawing
from tests.gallery.runs import finished_run, numbered
from tests.runs.records import record


def saved(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def test_the_pictures_of_a_run_are_its_finished_records(tmp_path: Path) -> None:
    failed = record("bbbbbbbbbbbb", status="failed", file=None, failure="black")
    finished_run(tmp_path / "run", [*numbered(2), failed])
    found = find_pictures(tmp_path / "run")
    assert (found.name, found.is_run, found.brand) == ("run", True, None)
    assert [each.id for each in found.pictures] == ["000000000000", "000000000001"]
    assert dict(found.pictures[0].choices) == {"product": "soda can", "scene": "teal"}
    assert found.pictures[0].prompt == "a soda can on a teal background"


def test_a_plain_folder_gives_its_pictures_captions_and_subfolders(tmp_path: Path) -> None:
    draw_folder(tmp_path / "red", 2)
    draw_folder(tmp_path / "blue", 1)
    (tmp_path / "red" / "00.txt").write_text("a red apple\n")
    (tmp_path / "notes.md").write_text("not a picture")
    (tmp_path / ".hidden").mkdir()
    draw_folder(tmp_path / ".hidden", 1)
    found = find_pictures(tmp_path)
    assert [(each.file, each.prompt, dict(each.choices)) for each in found.pictures] == [
        ("blue/00.png", "", {"folder": "blue"}),
        ("red/00.png", "a red apple", {"folder": "red"}),
        ("red/01.png", "", {"folder": "red"}),
    ]
    assert [dict(each.choices) for each in find_pictures(tmp_path / "red").pictures] == [{}, {}]


@pytest.mark.parametrize(
    ("name", "message"), [("none", "no such folder"), ("file", "a file"), ("empty", "no pictures")]
)
def test_a_place_without_pictures_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputRefused, match=message):
        find_pictures(tmp_path / name)


def test_transparent_parts_lie_on_white() -> None:
    half = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    assert load_picture(saved(half)).getpixel((0, 0)) == (255, 127, 127)


def test_turned_pictures_are_set_upright() -> None:
    picture = Image.new("RGB", (10, 20), "white")
    exif = Image.Exif()
    exif[0x0112] = 6
    assert load_picture(saved(picture, "JPEG", exif=exif)).size == (20, 10)


def test_a_colour_profile_is_honoured() -> None:
    picture = drawing((120, 60, 200), (10, 200, 30), 40)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.abs(np.asarray(load_picture(saved(picture, icc_profile=profile)), int) - np.asarray(picture)).max() <= 1
    assert load_picture(saved(picture, icc_profile=b"damaged")).getpixel((0, 0)) == (120, 60, 200)


def test_grey_pictures_of_sixteen_bits_keep_their_lightness() -> None:
    deep = Image.fromarray(np.full((4, 4), 32896, np.uint16))
    assert load_picture(saved(deep)).getpixel((0, 0)) == (128, 128, 128)


def test_what_is_no_picture_raises() -> None:
    with pytest.raises(OSError):
        load_picture(b"not a picture")
    with pytest.raises(OSError):
        load_picture(saved(drawing((1, 2, 3), (4, 5, 6), 40))[:200])
