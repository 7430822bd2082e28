"""Pictures become PNG files that Pillow reads back whole."""

from __future__ import annotations

import io
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from designkit.runs.picture import encode_png


@settings(deadline=None, max_examples=40)
@given(
    mode=st.sampled_from(["RGB", "RGBA"]),
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    seed=st.integers(0, 2**32),
)
def test_every_pixel_comes_back(mode: str, width: int, height: int, seed: int) -> None:
    import random

    noise = random.Random(seed).randbytes(width * height * len(mode))
    picture = Image.frombytes(mode, (width, height), noise)
    with Image.open(io.BytesIO(encode_png(picture, {}))) as back:
        assert back.mode == mode
        assert back.size == (width, height)
        assert back.tobytes() == noise


def test_texts_come_back_and_xmp_is_an_international_text_chunk() -> None:
    texts = {"parameters": "a café\nSeed: 1", "designkit": '{"prompt": "夏 🍋"}', "XML:com.adobe.xmp": "<x/>"}
    with Image.open(io.BytesIO(encode_png(Image.new("RGB", (3, 2)), texts))) as back:
        assert isinstance(back, PngImagePlugin.PngImageFile)
        assert back.text == texts
        assert isinstance(back.text["designkit"], PngImagePlugin.iTXt)
        assert isinstance(back.text["XML:com.adobe.xmp"], PngImagePlugin.iTXt)
        assert not isinstance(back.text["parameters"], PngImagePlugin.iTXt)
        assert back.info["srgb"] == 0


def test_the_same_picture_gives_the_same_bytes() -> None:
    picture = Image.linear_gradient("L").convert("RGB")
    assert encode_png(picture, {"a": "b"}) == encode_png(picture.copy(), {"a": "b"})


def test_chunks_carry_their_checksums() -> None:
    png = encode_png(Image.new("RGB", (2, 2), "teal"), {"parameters": "x"})
    position, kinds = 8, []
    while position < len(png):
        length = int.from_bytes(png[position : position + 4], "big")
        body = png[position + 4 : position + 8 + length]
        assert zlib.crc32(body) == int.from_bytes(png[position + 8 + length : position + 12 + length], "big")
        kinds.append(body[:4].decode())
        position += 12 + length
    assert kinds == ["IHDR", "sRGB", "tEXt", "IDAT", "IEND"]


def test_other_modes_are_a_fault_of_the_caller() -> None:
    with pytest.raises(KeyError):
        encode_png(Image.new("P", (2, 2)), {})
