"""The texts inside a picture file, read without decoding the picture and without trusting the file.

PNG keeps them in chunks (tEXt, zTXt, iTXt; PNG specification, third edition, section 11.3.3), JPEG and WebP in EXIF.
Nothing is unpacked beyond a limit, no pixel is looked at, and nothing that a text says is ever opened or run.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from designkit.errors import InputRefused, Problem

MAX_TEXT_BYTES = 8_000_000
"""The longest text that is read; the largest known node graphs take about two megabytes."""

MAX_TEXTS = 100
MAX_CHUNKS = 100_000
MAX_EXIF_FILE_BYTES = 200_000_000

_PNG = b"\x89PNG\r\n\x1a\n"
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_EXIF_FOLDER, _USER_COMMENT, _MAKER_NOTE, _DESCRIPTION = 0x8769, 0x9286, 0x927C, 0x010E


def read_embedded_texts(path: Path) -> dict[str, str]:
    """Keyword -> text of everything written in a PNG; for JPEG and WebP `UserComment`, `MakerNote`, `ImageDescription`.

    Where a keyword stands twice, the first counts. Raises InputRefused for a file that is missing, damaged, of another
    kind, or that holds more than any tool writes.
    """
    try:
        with path.open("rb") as file:
            start = file.read(12)
            if start.startswith(_PNG):
                file.seek(len(_PNG))
                return _read_png(file, path)
            if start.startswith(b"\xff\xd8\xff") or (start[:4] == b"RIFF" and start[8:] == b"WEBP"):
                return _read_exif(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _refusal(path, "file-unreadable", f"the picture cannot be read: {reason}", "check its path") from None
    raise _refusal(path, "picture-kind", "this is no PNG, JPEG or WebP picture", "name the file as the tool wrote it")


def _read_png(file: BinaryIO, path: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    num_bytes = 0
    for kind, data in _chunks(file, path):
        try:
            keyword, text = _READERS[kind](data)
        except (ValueError, zlib.error, struct.error):
            raise _refusal(path, "picture-damaged", f"a {kind.decode()} text in it is damaged", _COPY_AGAIN) from None
        num_bytes += len(text)
        if len(texts) >= MAX_TEXTS or num_bytes > MAX_TEXT_BYTES:
            raise _refusal(path, "picture-texts", f"it holds more text than {MAX_TEXT_BYTES:,} bytes", _NOT_A_TOOLS)
        texts.setdefault(keyword, text)
    return texts


_COPY_AGAIN = "copy the file again from where it was made"
_NOT_A_TOOLS = "no tool writes so much; use a picture as its tool saved it"


def _chunks(file: BinaryIO, path: Path) -> Iterator[tuple[bytes, bytes]]:
    """The text chunks of a PNG, whose signature has been read, each with its checksum checked."""
    for _ in range(MAX_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return  # Cut off; what was there before is whole.
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":
            return
        if kind not in _TEXT_CHUNKS:
            file.seek(length + 4, 1)
            continue
        if length > MAX_TEXT_BYTES:
            raise _refusal(path, "picture-texts", f"a text in it takes {length:,} bytes", _NOT_A_TOOLS)
        data, checksum = file.read(length), file.read(4)
        if len(checksum) < 4 or struct.pack(">I", zlib.crc32(kind + data)) != checksum:
            raise _refusal(path, "picture-damaged", f"a {kind.decode()} text in it is damaged", _COPY_AGAIN)
        yield kind, data
    raise _refusal(path, "picture-damaged", f"it has more than {MAX_CHUNKS:,} parts", _COPY_AGAIN)


def _read_plain(data: bytes) -> tuple[str, str]:
    keyword, text = data.split(b"\0", 1)
    return keyword.decode("latin-1"), _decode(text)


def _read_packed(data: bytes) -> tuple[str, str]:
    keyword, rest = data.split(b"\0", 1)
    return keyword.decode("latin-1"), _decode(_unpack(rest[1:]))


def _read_international(data: bytes) -> tuple[str, str]:
    keyword, rest = data.split(b"\0", 1)
    is_packed = rest[0:1] == b"\1"
    _, _, text = rest[2:].split(b"\0", 2)  # Behind the language and the translated keyword.
    return keyword.decode("latin-1"), (_unpack(text) if is_packed else text).decode("utf-8")


_READERS = {b"tEXt": _read_plain, b"zTXt": _read_packed, b"iTXt": _read_international}


def _unpack(data: bytes) -> bytes:
    """Data unpacked, at most `MAX_TEXT_BYTES` + 1 bytes of it, however small it came."""
    return zlib.decompressobj().decompress(data, MAX_TEXT_BYTES + 1)


def _decode(data: bytes) -> str:
    """Latin-1, as the specification has it, or UTF-8, as several tools write all the same."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _read_exif(path: Path) -> dict[str, str]:
    from PIL import Image

    if path.stat().st_size > MAX_EXIF_FILE_BYTES:
        raise _refusal(path, "picture-texts", "the picture is larger than any tool writes", _NOT_A_TOOLS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # A huge canvas is no danger: its pixels are not decoded.
            with Image.open(path, formats=("JPEG", "WEBP")) as picture:
                exif = picture.getexif()
                below = exif.get_ifd(_EXIF_FOLDER)
                found = {
                    "UserComment": below.get(_USER_COMMENT),
                    "MakerNote": below.get(_MAKER_NOTE),
                    "ImageDescription": exif.get(_DESCRIPTION),
                }
    except Exception as error:  # What a damaged file makes a decoder raise is not for us to list.
        raise _refusal(
            path, "picture-damaged", f"its EXIF cannot be read: {type(error).__name__}", _COPY_AGAIN
        ) from None
    texts = {name: _decode_comment(value) for name, value in found.items() if isinstance(value, bytes | str) and value}
    if sum(map(len, texts.values())) > MAX_TEXT_BYTES:
        raise _refusal(path, "picture-texts", f"it holds more text than {MAX_TEXT_BYTES:,} bytes", _NOT_A_TOOLS)
    return texts


def _decode_comment(value: bytes | str) -> str:
    """An EXIF text: eight bytes that name its encoding, or none."""
    if isinstance(value, str):
        return value
    if value.startswith(b"UNICODE\0"):
        data = value[8:]
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return data.decode("utf-16", "replace")
        # The specification names no byte order; in text of the West every other byte is nothing.
        is_little = data[1::2].count(0) > data[0::2].count(0)
        return data.decode("utf-16-le" if is_little else "utf-16-be", "replace")
    if value.startswith((b"ASCII\0\0\0", b"\0" * 8)):
        value = value[8:]
    return _decode(value.rstrip(b"\0"))


def _refusal(path: Path, code: str, message: str, fix: str) -> InputRefused:
    return InputRefused(Problem(code=code, message=message, file=str(path), fix=fix))
