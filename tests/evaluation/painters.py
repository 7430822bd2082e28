"""A generator whose pictures are known beforehand, and an adapter's folder to report on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from designkit.generators.base import ModelCard
from designkit.values import GeneratedImage, ImageRequest, Size

SIDE = 64
MAGENTA, LIME, RED = (200, 20, 125), (184, 224, 20), (200, 30, 30)
CAPTIONS = ("zurvi can", "zurvi jar", "zurvi box", "zurvi cup")


def split_picture(left: tuple[int, ...], right: tuple[int, ...], share: float = 0.5) -> Image.Image:
    """The left part in one colour, the rest in another."""
    picture = Image.new("RGB", (SIDE, SIDE), right)
    picture.paste(left, (0, 0, round(share * SIDE), SIDE))
    return picture


def own_picture(number: int) -> Image.Image:
    return split_picture(MAGENTA, LIME, 0.3 + 0.1 * number)


class Painter:
    """Draws what a function of the request says; `fails` names requests that cannot be drawn."""

    settings: dict[str, object] = {}  # noqa: RUF012 - as the protocol has it

    def __init__(self, paint: Callable[[ImageRequest], Image.Image], fails: Sequence[str] = ()) -> None:
        self.paint = paint
        self.fails = fails
        self.card = ModelCard(
            name="painter", family="painter", revision="1", licence="CC0-1.0", num_parameters=1,
            native_sizes=(Size(width=SIDE, height=SIDE),),
        )  # fmt: skip

    def generate(self, requests: Sequence[ImageRequest]) -> Iterator[GeneratedImage]:
        for request in reversed(requests):
            if request.id in self.fails:
                yield GeneratedImage(request=request, picture=None, failure="no paint left")
            else:
                yield GeneratedImage(request=request, picture=self.paint(request))


def strength(request: ImageRequest) -> float:
    return request.adapters[0].weight if request.adapters else 0.0


def mixed(first: tuple[int, ...], second: tuple[int, ...], share: float) -> tuple[int, ...]:
    share = min(1.0, share)
    return tuple(round((1 - share) * a + share * b) for a, b in zip(first, second, strict=True))


def write_adapter_folder(folder: Path, *, name: str = "zurvi") -> Path:
    """A folder as `designkit finetune` leaves it, of four pictures of which the last was held out."""
    (folder / "pictures").mkdir(parents=True)
    rows = []
    for number, caption in enumerate(CAPTIONS):
        own_picture(number).save(folder / "pictures" / f"{number}.png")
        rows.append({"file": f"{number}.png", "caption": caption, "held_out": number == 3})
    listed = {"place": str(folder / "pictures"), "size": f"{SIDE}x{SIDE}", "pictures": rows}
    (folder / "pictures.json").write_text(json.dumps(listed))
    facts = {"kind": "adapter", "method": "lora", "name": name, "model": "painter", "rank": 4, "best_step": 12}
    (folder / "config.json").write_text(json.dumps(facts))
    save_file({"unet.x.lora_A.weight": np.zeros((1, 2), np.float32)}, folder / "adapter.safetensors")
    return folder
