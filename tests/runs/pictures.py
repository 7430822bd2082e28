"""Picture files with texts inside, as tools write them and as nobody should."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from PIL import Image, PngImagePlugin

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


HEADER = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))


def write_chunks(path: Path, *chunks: bytes) -> Path:
    """A file of these chunks behind the signature and header of an 8 x 8 picture."""
    path.write_bytes(SIGNATURE + HEADER + b"".join(chunks))
    return path


def write_png(path: Path, **texts: str) -> Path:
    """A PNG with these texts by Pillow, the library that most tools write theirs with."""
    info = PngImagePlugin.PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


def write_exif(path: Path, comment: bytes) -> Path:
    """A JPEG or WebP with this EXIF UserComment."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    return path
