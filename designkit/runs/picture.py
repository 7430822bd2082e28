"""A picture as the bytes of its PNG file: the same pixels and texts always give the same bytes.

Every row is stored as its difference to the row above and deflated at level 4. Measured on 512 px pictures
that takes 0.15 to 0.5 of the time of Pillow's own default for files up to 12 % larger, and it leaves the
interpreter free for the thread that draws, which Pillow's encoder does not.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

DEFLATE_LEVEL = 4

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {"RGB": 2, "RGBA": 6}
_UP_FILTER = b"\x02"
_SRGB_PERCEPTUAL = b"\x00"


def encode_png(picture: Image, texts: Mapping[str, str]) -> bytes:
    """The PNG file of an RGB or RGBA picture, marked as sRGB, with `texts` as text chunks under their keys.

    A text that Latin-1 can hold becomes a tEXt chunk and any other an iTXt chunk, as other programs do it.
    A key is 1 to 79 Latin-1 characters.
    """
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, _COLOUR_TYPES[picture.mode], 0, 0, 0)
    chunks = [_chunk(b"IHDR", header), _chunk(b"sRGB", _SRGB_PERCEPTUAL)]
    chunks += [_text_chunk(key, text) for key, text in texts.items()]
    chunks += [_chunk(b"IDAT", zlib.compress(_filtered_rows(picture), DEFLATE_LEVEL)), _chunk(b"IEND", b"")]
    return _SIGNATURE + b"".join(chunks)


def _filtered_rows(picture: Image) -> bytes:
    from PIL import Image, ImageChops

    above = Image.new(picture.mode, picture.size, 0)
    above.paste(picture, (0, 1))
    rows = memoryview(ImageChops.subtract_modulo(picture, above).tobytes())
    row_bytes = picture.width * len(picture.getbands())
    return b"".join(
        part for start in range(0, len(rows), row_bytes) for part in (_UP_FILTER, rows[start : start + row_bytes])
    )


def _text_chunk(key: str, text: str) -> bytes:
    keyword = key.encode("latin-1") + b"\0"
    # XMP readers look for their packet in an iTXt chunk alone.
    if not key.startswith("XML:"):
        with contextlib.suppress(UnicodeEncodeError):
            return _chunk(b"tEXt", keyword + text.encode("latin-1"))
    # Not compressed, no language, no translated keyword.
    return _chunk(b"iTXt", keyword + b"\0\0\0\0" + text.encode("utf-8"))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
