"""What saving a picture costs: our PNG encoder against Pillow's at several levels, in one thread and beside another.

Flat art, flat art with the slight noise of a drawn picture, and a grainy photograph stand for what gets saved.
"""

from __future__ import annotations

import io
import random
import threading
import time
from collections.abc import Callable

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from designkit.runs.picture import encode_png

Encode = Callable[[Image.Image], bytes]
SIDE_PX = 512


def art(noise: int) -> Image.Image:
    """Discs on a ground, smooth at the edges, with so many levels of noise over them."""
    chance = random.Random(3)
    picture = Image.new("RGB", (2 * SIDE_PX, 2 * SIDE_PX), (30, 140, 150))
    draw = ImageDraw.Draw(picture)
    for _ in range(9):
        x, y, radius = (chance.randrange(2 * SIDE_PX) for _ in range(3))
        colour = (chance.randrange(256), chance.randrange(256), chance.randrange(256))
        draw.ellipse((x - radius / 4, y - radius / 4, x + radius / 4, y + radius / 4), fill=colour)
    picture = picture.reduce(2)
    if noise:
        grain = Image.effect_noise(picture.size, noise).filter(ImageFilter.GaussianBlur(0.7)).convert("RGB")
        picture = ImageChops.add(picture, grain, offset=-128)
    return picture


def pillow(level: int) -> Encode:
    def encode(picture: Image.Image) -> bytes:
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", compress_level=level)
        return buffer.getvalue()

    return encode


def milliseconds(encode: Encode, picture: Image.Image) -> float:
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        encode(picture)
        best = min(best, time.perf_counter() - began)
    return best * 1000


def milliseconds_beside_another_thread(encode: Encode, picture: Image.Image) -> float:
    """The same while another thread computes in Python without a pause, as a drawing thread may."""
    ends = threading.Event()

    def compute() -> None:
        while not ends.is_set():
            sum(range(1000))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        return milliseconds(encode, picture)
    finally:
        ends.set()
        thread.join()


@pytest.mark.parametrize(("name", "noise"), [("flat", 0), ("drawn", 3), ("photograph", 20)])
def test_saving_is_fast_and_small(name: str, noise: int) -> None:
    picture = art(noise)
    figures = {}
    for title, encode in {
        "ours": lambda each: encode_png(each, {}),
        "Pillow 1": pillow(1),
        "Pillow 6": pillow(6),
    }.items():
        size = len(encode(picture))
        alone, beside = milliseconds(encode, picture), milliseconds_beside_another_thread(encode, picture)
        figures[title] = (alone, size)
        print(
            f"\n{name:>10} {title:>8}: {alone:6.1f} ms alone, {beside:6.1f} ms beside a thread, {size / 1000:6.0f} kB",
            end="",
        )
    assert figures["ours"][0] < figures["Pillow 1"][0]
    assert figures["ours"][1] < 1.3 * figures["Pillow 6"][1]
