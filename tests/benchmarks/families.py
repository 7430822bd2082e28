"""One prompt file on all three families that ship, side by side: `designkit/starter/families.png`.

    python tests/benchmarks/families.py [prompts/three-families.yaml] [--columns 6] [--out families.png]

A row a family, a column a prompt; prompts and seeds are the same in each. Printed are the prompts of the columns and
the seconds a picture.
"""

# pyright: basic, reportArgumentType=false
from __future__ import annotations

import argparse
import time
from pathlib import Path

from PIL import Image, ImageDraw

import designkit

SIDE_PX, GAP_PX, LABEL_PX = 128, 4, 18
ROWS = {"starter": "diffusion (starter)", "starter-gan": "GAN (starter-gan)", "starter-vae": "VAE (starter-vae)"}


def drawn(file: designkit.PromptFile, model: str, count: int) -> list[Image.Image]:
    """The first `count` pictures that a prompt file plans, drawn by a model."""
    requests = list(designkit.make_plan(file, card=designkit.find_card(model), limit=count).requests())
    started = time.perf_counter()
    pictures = [image.image for image in designkit.open_generator(model).generate(requests)]
    print(f"{model}: {(time.perf_counter() - started) / len(pictures):.2f} s a picture")
    return pictures


def labelled(rows: dict[str, list[Image.Image]]) -> Image.Image:
    """Pictures at the models' own size, row by row, each row under its name; in full colour, so that soft is soft."""
    step = SIDE_PX + GAP_PX
    columns = max(len(pictures) for pictures in rows.values())
    sheet = Image.new("RGB", (columns * step + GAP_PX, len(rows) * (step + LABEL_PX) + GAP_PX), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (name, pictures) in enumerate(rows.items()):
        top = GAP_PX + row * (step + LABEL_PX)
        draw.text((GAP_PX, top + LABEL_PX / 2), name, fill="black", anchor="lm", font_size=13)
        for column, picture in enumerate(pictures):
            sheet.paste(picture.resize((SIDE_PX, SIDE_PX)), (GAP_PX + column * step, top + LABEL_PX))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=Path("prompts/three-families.yaml"))
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path("designkit/starter/families.png"))
    arguments = parser.parse_args()
    (file,) = designkit.read_prompts([str(arguments.file)])
    for column, request in enumerate(designkit.make_plan(file, limit=arguments.columns).requests(), start=1):
        print(column, request.prompt, request.seed)
    here = [card.name for card in designkit.list_cards()]
    rows = {label: drawn(file, model, arguments.columns) for model, label in ROWS.items() if model in here}
    labelled(rows).save(arguments.out, optimize=True)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
