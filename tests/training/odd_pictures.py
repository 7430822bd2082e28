"""Thirty odd or broken picture files, and what a survey has to say of each."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageDraw

SIZE = (40, 30)


def scene(mode: str = "RGB") -> Image.Image:
    """A picture whose turn and colours show: red left of blue, a white corner at the top left."""
    image = Image.new("RGB", SIZE, (200, 30, 30))
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 0, 39, 29), fill=(30, 30, 200))
    draw.rectangle((0, 0, 7, 7), fill=(255, 255, 255))
    return image.convert(mode)


def saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, file_format, **options)
    return data.getvalue()


def transparent() -> Image.Image:
    """Opaque on the left; on the right hidden green under no opacity at all."""
    pixels = np.zeros((30, 40, 4), np.uint8)
    pixels[:, :20] = (200, 30, 30, 255)
    pixels[:, 20:] = (0, 255, 0, 0)
    return Image.fromarray(pixels)


def sixteen_bits() -> Image.Image:
    ramp = np.tile(np.linspace(0, 65535, 40).astype(np.uint16), (30, 1))
    return Image.fromarray(ramp)


def frames() -> list[Image.Image]:
    return [scene(), Image.new("RGB", SIZE, "green"), Image.new("RGB", SIZE, "black")]


def linear_profile() -> bytes:
    """An RGB profile of sRGB's primaries with gamma 1: what it calls 128 looks much lighter in sRGB."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132], "big")
    for entry in range(count):
        place = 132 + 12 * entry
        if profile[place : place + 4] in (b"rTRC", b"gTRC", b"bTRC"):
            offset = int.from_bytes(profile[place + 4 : place + 8], "big")
            profile[offset : offset + 12] = b"curv" + bytes(4) + bytes(4)  # no points: the identity
        if profile[place : place + 4] == b"desc":
            offset = int.from_bytes(profile[place + 4 : place + 8], "big")
            length = int.from_bytes(profile[place + 8 : place + 12], "big")
            text = bytes(profile[offset : offset + length])
            profile[offset : offset + length] = text.replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))
    return bytes(profile)


def lab() -> Image.Image:
    image = ImageCms.profileToProfile(
        scene(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert image is not None
    image.info.clear()  # its profile would be written too
    return image


def bomb() -> bytes:
    """A PNG of a few kilobytes that says it has 400 megapixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = (20_000).to_bytes(4, "big") * 2 + bytes((1, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(5000))) + chunk(b"IEND", b"")
    )


def flipped(data: bytes) -> bytes:
    """A PNG whose compressed pixels were damaged."""
    place = data.index(b"IDAT") + 12
    return data[:place] + bytes(255 - byte for byte in data[place : place + 8]) + data[place + 8 :]


EXIF_LEFT = Image.Exif()
EXIF_LEFT[0x0112] = 6

USABLE: dict[str, tuple[Callable[[], bytes], str, tuple[str, ...]]] = {
    "plain.png": (lambda: saved(scene(), "PNG"), "RGB", ()),
    "grey.png": (lambda: saved(scene("L"), "PNG"), "L", ()),
    "bilevel.png": (lambda: saved(scene("1"), "PNG"), "L", ()),
    "alpha.png": (lambda: saved(transparent(), "PNG"), "RGBA", ("has transparency",)),
    "full-alpha.png": (lambda: saved(scene("RGBA"), "PNG"), "RGB", ()),
    "grey-alpha.png": (lambda: saved(transparent().convert("LA"), "PNG"), "RGBA", ("has transparency",)),
    "palette.png": (lambda: saved(scene().quantize(8), "PNG"), "RGB", ("palette resolved",)),
    "palette-alpha.gif": (
        lambda: saved(transparent().quantize(8), "GIF", transparency=0),
        "RGBA", ("palette resolved", "has transparency"),
    ),
    "cmyk.jpg": (lambda: saved(scene("CMYK"), "JPEG"), "RGB", ("CMYK converted to RGB without a profile",)),
    "sixteen.png": (lambda: saved(sixteen_bits(), "PNG"), "L", ("scaled from 16 bits",)),
    "sixteen.tif": (lambda: saved(sixteen_bits(), "TIFF"), "L", ("scaled from 16 bits",)),
    "float.tif": (
        lambda: saved(Image.fromarray(np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40)), "TIFF"),
        "L", ("scaled from floating point",),
    ),
    "turned.jpg": (lambda: saved(scene(), "JPEG", exif=EXIF_LEFT), "RGB", ("turned upright (EXIF)",)),
    "profile.png": (
        lambda: saved(scene(), "PNG", icc_profile=linear_profile()), "RGB", ("converted to sRGB by its ICC profile",),
    ),
    "srgb.png": (
        lambda: saved(scene(), "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
        "RGB", (),
    ),
    "bad-profile.png": (
        lambda: saved(scene(), "PNG", icc_profile=b"no profile"), "RGB", ("broken ICC profile ignored",),
    ),
    "animated.gif": (
        lambda: saved(frames()[0], "GIF", save_all=True, append_images=frames()[1:]),
        "RGB", ("first frame or page taken of several", "palette resolved"),
    ),
    "pages.tif": (
        lambda: saved(frames()[0], "TIFF", save_all=True, append_images=frames()[1:]),
        "RGB", ("first frame or page taken of several",),
    ),
    "picture.webp": (lambda: saved(scene(), "WEBP", lossless=True), "RGB", ()),
    "wrong-suffix.png": (lambda: saved(scene(), "JPEG"), "RGB", ("recognised in spite of a wrong suffix",)),
    "no-suffix": (lambda: saved(scene(), "PNG"), "RGB", ()),
    "lab.tif": (lambda: saved(lab(), "TIFF"), "RGB", ("LAB converted to sRGB",)),
}  # fmt: skip
"""Name -> its bytes, the mode it is decoded to, what has to be done to it."""

UNUSABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty.png": (lambda: b"", "is empty (0 bytes)"),
    "cut-off.jpg": (lambda: saved(scene().resize((400, 300)), "JPEG")[:2500], "is cut off after 2,500 bytes"),
    "cut-off.png": (lambda: saved(Image.effect_noise((90, 90), 60), "PNG")[:4000], "is cut off after 4,000 bytes"),
    "damaged.png": (lambda: flipped(saved(scene(), "PNG")), "is damaged"),
    "bomb.png": (bomb, "is huge"),
    "tiny.png": (lambda: saved(Image.new("RGB", (4, 3)), "PNG"), "is too small (4 x 3"),
    "page.jpg": (lambda: b"<!DOCTYPE html><title>404</title>", "is a web page"),
    "pointer.png": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "drawing.png": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', "is an SVG drawing"),
    "layers.psd": (lambda: b"8BPS\0\1" + bytes(40), "is a Photoshop file"),
    "phone.jpg": (lambda: b"\0\0\0\x18ftypheic" + bytes(40), "is HEIC"),
    "noise.jpg": (lambda: bytes(range(7, 200)), "is no picture that can be read"),
}
"""Name -> its bytes, and what the reason has to say."""

UNPRINTABLE = b"caf\xe9\n.png"
"""The name, in bytes, of a good picture: not UTF-8, and with a line end in it."""


def write_all(folder: Path) -> None:
    """Put every odd file into the folder, a good one with an unreadable name, a dead link, and what is no picture."""
    for name, (make, *_) in {**USABLE, **UNUSABLE}.items():
        (folder / name).write_bytes(make())
    Path(os.fsdecode(os.fsencode(folder) + b"/" + UNPRINTABLE)).write_bytes(saved(scene(), "PNG"))
    (folder / "dead.png").symlink_to(folder / "nowhere.png")
    (folder / "notes.docx").write_bytes(b"PK\x03\x04 not a picture")


def idx(array: np.ndarray, *, zipped: bool) -> bytes:
    """A uint8 array as an MNIST file."""
    shape = b"".join(length.to_bytes(4, "big") for length in array.shape)
    data = bytes((0, 0, 8, array.ndim)) + shape + array.tobytes()
    return gzip.compress(data) if zipped else data
