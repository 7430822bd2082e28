"""How much of an invented brand the starter learns from twelve pictures: colours and copies, before and after.

    python tests/benchmarks/brand_finetune.py [--out outputs/brand-finetune] [--minutes 10] [--set key=value]

The brand `zurvi` has two colours that the starter's own palette lacks, a mark (a ring cut open by three bars) and one
pattern (diagonal stripes). Twelve products are drawn with Pillow, each with a caption; the starter learns an adapter
from them. Then base and adapter draw the same prompts from the same seeds: prompts of the brand that name no colour,
whose palette distance (mean CIEDE2000 of the area to the brand's nearest colour) is to fall, and prompts of
DesignBench, which know nothing of the brand and are to be followed as well as before. Written are `scores.json` and
`contact-sheet.png`.
"""

# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import designkit
from designkit.evaluation.colour import palette_distance, picture_colours, to_lab
from designkit.evaluation.designbench import bench_items, judge
from designkit.generators.catalog import find_card
from designkit.models.device import free_cores
from designkit.training.config import change_recipe
from designkit.training.data import survey
from designkit.training.finetuning.finetune import finetune
from designkit.training.finetuning.previews import labelled_rows
from designkit.training.finetuning.recipe import finetune_preset
from designkit.values import Adapter, ImageRequest, Size

MAGENTA, LIME, PAPER = (200, 20, 125), (184, 224, 20), (250, 248, 244)
PALETTE = np.array([MAGENTA, LIME, PAPER], np.float64)
SIDE = 256
NAME = "zurvi"
PRODUCTS = ("can", "bottle", "box", "pouch", "cup")
WORDS = {"can": "a soda can", "bottle": "a bottle", "box": "a box", "pouch": "a pouch", "cup": "a paper cup"}
GROUNDS = (f"{NAME} one", f"{NAME} two")
"""What captions call lime and magenta: words that say nothing of a colour to the base model."""
OTHER_TASKS = (
    "single subject", "counting", "colour", "position", "background colour", "product form", "held-out combination",
    "word order",
)  # fmt: skip
"""Of DesignBench, those that the starter can do."""
PLACES = {"center": "in the center", "left": "on the left", "right": "on the right"}


def draw_brand(folder: Path) -> None:
    """Twelve products of the brand with their captions: 256 px PNG files and metadata.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    for number in range(12):
        product, place = PRODUCTS[number % 5], list(PLACES)[number % 3]
        is_inverse = number % 2 == 1
        picture = draw_product(product, place, is_inverse=is_inverse, is_striped=number % 4 in (1, 2))
        name = f"{number:02d}-{product}.png"
        picture.save(folder / name)
        ground = GROUNDS[is_inverse]
        text = f"{NAME} brand, {WORDS[product]} {PLACES[place]} on {ground}"
        lines.append(json.dumps({"file_name": name, "text": text}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def draw_product(product: str, place: str, *, is_inverse: bool, is_striped: bool) -> Image.Image:
    """One product on plain ground, in one colour on the other or the other way round."""
    scale = 4
    ground, body = (LIME, MAGENTA) if not is_inverse else (MAGENTA, LIME)
    side = SIDE * scale
    picture = Image.new("RGB", (side, side), ground)
    middle = {"center": 0.5, "left": 0.32, "right": 0.68}[place] * side
    half, top, bottom = {
        "can": (0.14, 0.26, 0.76), "bottle": (0.11, 0.16, 0.82), "box": (0.18, 0.3, 0.76),
        "pouch": (0.17, 0.24, 0.78), "cup": (0.15, 0.32, 0.76),
    }[product]  # fmt: skip
    left, right, top, bottom = middle - half * side, middle + half * side, top * side, bottom * side
    shape = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(shape)
    if product == "cup":
        inset = 0.04 * side
        pen.polygon([(left, top), (right, top), (right - inset, bottom), (left + inset, bottom)], fill=255)
        pen.rectangle((left - inset / 2, top - 0.03 * side, right + inset / 2, top), fill=255)
    elif product == "bottle":
        pen.rounded_rectangle((left, top + 0.2 * side, right, bottom), 0.05 * side, fill=255)
        pen.rectangle((middle - 0.045 * side, top, middle + 0.045 * side, top + 0.24 * side), fill=255)
    else:
        pen.rounded_rectangle(
            (left, top, right, bottom), {"can": 0.04, "box": 0.0, "pouch": 0.03}[product] * side, fill=255
        )
    skin = Image.new("RGB", (side, side), body)
    pen = ImageDraw.Draw(skin)
    if is_striped:
        width = 0.045 * side
        for start in np.arange(-side, side, 2 * width):
            pen.polygon([(start, bottom), (start + width, bottom), (start + width + side, bottom - side),
                         (start + side, bottom - side)], fill=PAPER)  # fmt: skip
    draw_mark(pen, middle, (top + bottom) / 2 + 0.04 * side, 0.095 * side, ink=ground, paper=body)
    picture.paste(skin, mask=shape)
    return picture.reduce(scale)


def draw_mark(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float, *, ink: tuple, paper: tuple) -> None:
    """A ring on a disc of paper, cut open to the right by three bars."""
    pen.ellipse((x - 1.25 * radius, y - 1.25 * radius, x + 1.25 * radius, y + 1.25 * radius), fill=paper)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    pen.ellipse((x - 0.6 * radius, y - 0.6 * radius, x + 0.6 * radius, y + 0.6 * radius), fill=paper)
    for row in (-0.44, 0.0, 0.44):
        pen.rectangle(
            (x - 0.05 * radius, y + (row - 0.11) * radius, x + 1.2 * radius, y + (row + 0.11) * radius), fill=paper
        )
        pen.rectangle((x, y + (row - 0.08) * radius, x + 0.8 * radius, y + (row + 0.08) * radius), fill=ink)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("outputs/brand-finetune"))
    parser.add_argument("--model", default="starter", help="the starter, or a folder of its kind")
    parser.add_argument("--minutes", type=float, help="of training; the steps of the preset unless given")
    parser.add_argument("--per-prompt", type=int, default=4)
    parser.add_argument("--per-task", type=int, default=12, help="prompts of DesignBench in each of eight tasks")
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    pictures, out = arguments.out / "pictures", arguments.out / "adapter"
    draw_brand(pictures)
    found = survey(pictures, cache=out / "cache")
    card = find_card(arguments.model)
    preset = finetune_preset(
        str(pictures),
        len(found.entries),
        model=arguments.model,
        num_parameters=card.num_parameters,
        method="lora",
        name=NAME,
    )
    if arguments.minutes is not None:
        training = preset.training.model_copy(update={"steps": None, "minutes": arguments.minutes})
        preset = preset.model_copy(update={"training": training})
    recipe = change_recipe(preset, arguments.set)
    started, steps = time.monotonic(), 0
    for step in finetune(recipe, out, threads=free_cores(), found=found):
        steps = step.report.step
    seconds = time.monotonic() - started
    scores = measure(
        arguments.model,
        out,
        per_prompt=arguments.per_prompt,
        per_task=arguments.per_task,
        sheet=arguments.out / "contact-sheet.png",
    )
    scores |= {"steps": steps, "seconds": round(seconds, 1)}
    (arguments.out / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")
    print(json.dumps(scores, indent=1))


def measure(model: str, adapter: Path, *, per_prompt: int, per_task: int, sheet: Path) -> dict[str, object]:
    """Base and adapter (as trained) on the same prompts and seeds."""
    size = Size(width=128, height=128)
    brand = [
        f"{NAME} brand, {WORDS[product]} {PLACES[place]} on {ground}"
        for product in PRODUCTS
        for place, ground in (("left", GROUNDS[0]), ("center", GROUNDS[1]))
    ]
    items = [item for item in bench_items(per_task) if item.task in OTHER_TASKS]
    other = [item.prompt for item in items]
    requests = [
        ImageRequest(id=f"{kind}-{number}-{seed}", prompt=prompt, size=size, drawn=size, seed=1000 + seed, steps=20)
        for kind, prompts in (("brand", brand), ("other", other))
        for number, prompt in enumerate(prompts)
        for seed in range(per_prompt if kind == "brand" else 1)
    ]
    generator = designkit.open_generator(model, precision="fp32", batch_size=4)
    worn = [replace(request, adapters=(Adapter(path=str(adapter)),)) for request in requests]
    base = {image.request.id: image.image for image in generator.generate(requests)}
    tuned = {image.request.id: image.image for image in generator.generate(worn)}
    again = {image.request.id: image.image for image in generator.generate(requests[:4])}
    palette = to_lab(PALETTE)
    scores: dict[str, object] = {
        "restored_bit_for_bit": all(base[name].tobytes() == picture.tobytes() for name, picture in again.items())
    }
    for label, drawn in (("base", base), ("adapter", tuned)):
        brand_ids = [name for name in drawn if name.startswith("brand")]
        colours = [picture_colours(np.asarray(drawn[name])) for name in brand_ids]
        scores[f"{label}_palette_distance"] = float(np.mean([palette_distance(each, palette) for each in colours]))
        verdicts = judge([drawn[f"other-{number}-0"] for number in range(len(items))], items)
        scores[f"{label}_prompts_followed"] = float(np.mean([verdict.right for verdict in verdicts]))
    shown = [f"brand-{number}-0" for number in range(10)] + [
        f"other-{number}-0" for number in range(0, len(items), per_task)
    ]
    labelled_rows({"base": [base[n] for n in shown], "adapter": [tuned[n] for n in shown]}).save(sheet)
    return scores


if __name__ == "__main__":
    main()
