"""Small folders of drawn pictures to measure."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from tests.gallery.runs import finished_run
from tests.runs.records import record

TEAL, CREAM, RED = (11, 122, 117), (244, 236, 216), (200, 30, 30)


def drawing(ground: tuple[int, int, int], spot: tuple[int, int, int], at: int, side: int = 96) -> Image.Image:
    """A disc on a plain ground, its middle `at` pixels from the left."""
    picture = Image.new("RGB", (side, side), ground)
    ImageDraw.Draw(picture).ellipse((at - 16, 30, at + 16, 62), fill=spot)
    return picture


def draw_folder(folder: Path, count: int, *, ground: tuple[int, int, int] = TEAL) -> Path:
    """A folder of drawings that differ in where the disc is and how bright it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        drawing(ground, (255, 40 + 16 * number, 60), 20 + 5 * number).save(folder / f"{number:02}.png")
    return folder


def draw_run(folder: Path, per_ground: int = 6) -> Path:
    """A run of drawings on two grounds; those on cream are all different, those on teal differ a little."""
    records = [
        record(
            f"{number:012x}", width=96, height=96, seed=number, prompt=f"a red apple on a plain {ground} background",
            choices={"ground": ground},
        )
        for number, ground in enumerate(["teal", "cream"] * per_ground)
    ]  # fmt: skip
    run = finished_run(folder, records)
    for number, each in enumerate(run.records):
        ground = {"teal": TEAL, "cream": CREAM}[each.choices["ground"]]
        assert each.file is not None
        drawing(ground, RED, 20 + 5 * number).save(folder / each.file)
    return folder


def write_brand(folder: Path) -> Path:
    """A brand of teal and cream that forbids red."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "brand.yaml").write_text("""\
meta: {name: Lumen}
color:
  palette: {teal: "#0b7a75", cream: "#f4ecd8"}
designkit:
  tolerance: 6
  palette:
    teal: {role: main, share: 60%}
    cream: {role: background, share: 40%}
  forbidden: ["#c81e1e"]
""")
    return folder
