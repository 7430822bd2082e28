"""The pictures of a run as a browser gets them: small ones made once and kept, whole ones as they are.

Nothing is handed out but raster pictures: a file that still has the bytes the manifest tells of goes out as it is, any
other is decoded and encoded anew. Only plain files inside the run's folder of pictures are read, whatever stands
in the manifest or lies in the folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import stat
from pathlib import Path, PurePosixPath

from PIL import Image

from designkit.runs.manifest import IMAGES
from designkit.runs.picture import encode_png
from designkit.values import Record

THUMBNAILS = ".thumbnails"
"""The folder, inside a run folder, that keeps the small pictures; it may be deleted at any time."""

SIDE_PX = 400
MAX_FILE_BYTES = 256 * 1024**2
MAX_PIXELS = 100_000_000

_LOOK = "1"  # Changed with anything below that changes how a small picture looks.
_FORMATS = ("PNG", "JPEG", "WEBP")


class PictureMissing(Exception):
    """There is no picture to show; says why."""


def thumbnail(run_folder: Path, record: Record) -> bytes:
    """The picture as a WebP file whose longer side is at most SIDE_PX; raises PictureMissing.

    It is kept in the run folder where that can be written, and is made again when the picture was.
    """
    name = hashlib.sha256(f"{_LOOK} {SIDE_PX} {record.id} {record.file_sha256}".encode()).hexdigest()[:32]
    kept = run_folder / THUMBNAILS / f"{name}.webp"
    with contextlib.suppress(OSError):
        data = kept.read_bytes()
        if _is_whole_webp(data):
            return data
    picture = _decode(_read(run_folder, record))
    picture.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=82, method=2)
    data = file.getvalue()
    # A thumbnail that cannot be kept, or is lost in a power cut, is made again: no reason to fail or to wait.
    with contextlib.suppress(OSError):
        kept.parent.mkdir(exist_ok=True)
        temporary = kept.with_name(f"{name}.{secrets.token_hex(4)}.tmp")
        temporary.write_bytes(data)
        temporary.replace(kept)
    return data


def whole_picture(run_folder: Path, record: Record) -> bytes:
    """The picture as a PNG file with all its pixels; raises PictureMissing."""
    data = _read(run_folder, record)
    if data.startswith(b"\x89PNG\r\n\x1a\n") and hashlib.sha256(data).hexdigest() == record.file_sha256:
        return data
    return encode_png(_decode(data), {})


def picture_bytes(run_folder: Path, record: Record) -> bytes:
    """The bytes of the picture's file, unchecked; raises PictureMissing."""
    return _read(run_folder, record)


def _read(run_folder: Path, record: Record) -> bytes:
    if record.file is None:
        raise PictureMissing(f"the picture could not be made: {record.failure}")
    folder = run_folder / IMAGES
    if not folder.resolve().is_relative_to(run_folder.resolve()):
        raise PictureMissing("the folder of pictures is a link that leads out of the run")
    try:
        # A link could lead anywhere, and a pipe would never end.
        path = folder / PurePosixPath(record.file).name
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise PictureMissing("this is no plain file")
            if status.st_size > MAX_FILE_BYTES:
                raise PictureMissing(f"the file is larger than {MAX_FILE_BYTES // 1024**2} MiB")
            return file.read()
    except OSError as error:
        raise PictureMissing(f"the picture cannot be read: {(error.strerror or str(error)).lower()}") from error


def _decode(data: bytes) -> Image.Image:
    """The picture as RGB or RGBA."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise PictureMissing(f"the picture has more than {MAX_PIXELS // 1_000_000} million pixels")
            return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureMissing("the file is damaged, or is no picture") from error


def _is_whole_webp(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP" and int.from_bytes(data[4:8], "little") + 8 == len(data)
