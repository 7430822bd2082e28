# pyright: basic
"""The pictures to be measured: those of a run, or all that lie in a folder."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, cast

from designkit.errors import InputRefused, Problem
from designkit.runs.folder import DESCRIPTION, read_run

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
MAX_PIXELS = 100_000_000
_MAX_CAPTION_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture that is to be measured; `file` is relative to its folder, `choices` its value on each axis.

    `id` is that of its record, or its file where it is in no run. `prompt` is empty where none is known.
    """

    id: str
    file: str
    path: Path
    prompt: str = ""
    choices: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class PictureSet:
    """The pictures of a folder in order; `is_run` where it is a run folder."""

    path: Path
    is_run: bool
    pictures: tuple[Picture, ...]
    brand: Path | None = None

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.path.resolve().name


def find_pictures(folder: Path) -> PictureSet:
    """The finished pictures of a run, or all pictures in a folder and those below it, by name.

    In a plain folder the prompt of `lemon.png` is the text of `lemon.txt` beside it, and where pictures lie in several
    subfolders, the subfolder is an axis. Raises InputRefused where there is no folder or no picture.
    """
    if (folder / DESCRIPTION).is_file():
        run = read_run(folder)
        pictures = tuple(
            Picture(
                id=record.id,
                file=record.file,
                path=folder / record.file,
                prompt=record.prompt,
                choices=dict(record.choices),
            )
            for record in run.records
            if record.status == "done" and record.file is not None
        )
        found = PictureSet(path=folder, is_run=True, pictures=pictures, brand=_brand_of(run.description))
    elif folder.is_dir():
        found = PictureSet(path=folder, is_run=False, pictures=_loose_pictures(folder))
    else:
        what = "this is a file, not a folder" if folder.exists() else "there is no such folder"
        raise InputRefused(
            Problem(
                code="pictures-missing",
                message=what,
                file=str(folder),
                fix="name a run folder that designkit generate has made, or a folder of pictures",
            )
        )
    if not found.pictures:
        fix = "run designkit generate again" if found.is_run else f"it may hold {', '.join(sorted(SUFFIXES))} files"
        raise InputRefused(
            Problem(code="pictures-missing", message="there are no pictures in it", file=str(folder), fix=fix)
        )
    return found


def load_picture(data: bytes) -> Image:
    """A picture as RGB in sRGB, upright, transparent parts on white; raises OSError or ValueError where it is none."""
    import numpy as np
    from PIL import Image, ImageCms, ImageOps

    with Image.open(BytesIO(data)) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise ValueError(f"{opened.width} x {opened.height} pixels are more than {MAX_PIXELS // 10**6} million")
        opened.load()
        profile = opened.info.get("icc_profile")
        picture = ImageOps.exif_transpose(opened)
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray((np.asarray(picture, np.float64) / 257).round().astype(np.uint8))
    if profile and picture.mode in ("RGB", "L", "CMYK"):
        # A damaged profile says nothing; the numbers are then taken as sRGB, as browsers do.
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            converted = ImageCms.profileToProfile(
                picture, ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            picture = converted or picture
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(ground, layer).convert("RGB")
    return picture.convert("RGB")


def sha256(data: bytes) -> str:
    """The hash by which results of a picture are kept."""
    return hashlib.sha256(data).hexdigest()


def _loose_pictures(folder: Path) -> tuple[Picture, ...]:
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    places = [path.relative_to(folder).parts[:-1] for path in paths]
    has_subfolders = len({place[:1] for place in places}) > 1
    pictures: list[Picture] = []
    for path, place in zip(paths, places, strict=True):
        file = path.relative_to(folder).as_posix()
        choices = {"folder": place[0] if place else "."} if has_subfolders else {}
        pictures.append(Picture(id=file, file=file, path=path, prompt=_caption(path), choices=choices))
    return tuple(pictures)


def _caption(path: Path) -> str:
    try:
        with path.with_suffix(".txt").open("rb") as file:
            return file.read(_MAX_CAPTION_BYTES).decode("utf-8-sig", "replace").strip()
    except OSError:
        return ""


def _brand_of(description: Mapping[str, object]) -> Path | None:
    """The folder of the brand kit that a run was planned with, if its description names one that is there."""
    plan = description.get("plan")
    brand = cast("dict[str, object]", plan).get("brand") if isinstance(plan, dict) else None
    return Path(brand) if isinstance(brand, str) and Path(brand).is_dir() else None
