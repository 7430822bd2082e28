"""One picture file as 8-bit sRGB pixels: recognised by its bytes, turned upright, converted, and never trusted."""

# pyright: basic
from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps

from designkit.training.provenance import read_provenance

MAX_PIXELS = 64_000_000
"""A picture of more pixels is left out: nothing that is trained here needs them, and a small file may claim them."""

MAX_FILE_BYTES = 256_000_000
MIN_SIDE_PX = 8
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "PPM", "TGA")
SUFFIXES = frozenset((
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".avif", ".ppm",
    ".pgm", ".pnm", ".tga",
))  # fmt: skip

_SUFFIXES_OF = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "MPO": (".jpg", ".jpeg", ".mpo"), "TIFF": (".tif", ".tiff"),
    "PNG": (".png", ".apng"), "PPM": (".ppm", ".pgm", ".pnm"),
}  # fmt: skip
_TELLING_BYTES = (
    (b"version https://git-lfs", "is a git-lfs pointer, not the picture: run `git lfs pull`"),
    (b"<!DOCTYPE", "is a web page, not a picture: download it again"), (b"<html", "is a web page, not a picture"),
    (b"<svg", "is an SVG drawing: export it as PNG"), (b"<?xml", "is an SVG or XML file: export it as PNG"),
    (b"%PDF", "is a PDF: export its pages as PNG"), (b"8BPS", "is a Photoshop file: export it as PNG"),
    (b"%!PS", "is PostScript: export it as PNG"),
)  # fmt: skip
_SRGB: Any = ImageCms.createProfile("sRGB")


class PictureRefused(ValueError):
    """A file that is no usable picture; its text continues the file's name."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded picture: `image` is L, RGB or RGBA in 8 bits; `steps` name what had to be done to the file.

    `format` is the file's kind, `profile` the name of its ICC profile (None: it has none); `creator` and `rights` are
    what its EXIF, XMP or PNG texts say.
    """

    image: Image.Image
    steps: tuple[str, ...]
    format: str = ""
    profile: str | None = None
    creator: str | None = None
    rights: str | None = None


def decode(data: bytes, *, suffix: str = "") -> Picture:
    """The picture in a file's bytes; `suffix` is what its name claims, such as `.png`.

    EXIF turns are applied, ICC profiles converted to sRGB, CMYK and other colour spaces to RGB, 16 bits scaled to 8;
    of an animation the first frame is taken. Alpha is kept (see `flatten`). Raises PictureRefused;
    Pillow may warn of odd metadata.
    """
    if not data:
        raise PictureRefused("is empty (0 bytes)")
    if len(data) > MAX_FILE_BYTES:
        raise PictureRefused(f"is huge ({len(data) / 1e6:,.0f} MB; at most {MAX_FILE_BYTES / 1e6:,.0f})")
    Image.init()  # or Pillow does not know the rarer of the formats by name
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        _check_size(image)
        name = image.format or ""
        is_animated = getattr(image, "n_frames", 1) > 1 and name != "MPO"
        image.load()
        return _convert(image, name, suffix.lower(), is_animated)
    except PictureRefused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureRefused(f"is huge (more than {MAX_PIXELS / 1e6:,.0f} megapixels)") from None
    except Image.UnidentifiedImageError:
        raise PictureRefused(_what_it_is(data)) from None
    except Exception as error:  # Pillow's readers raise anything, down to struct.error and KeyError
        reason = str(error).split("\n")[0] or type(error).__name__
        if "truncated" in reason or "not processed" in reason or isinstance(error, EOFError):
            raise PictureRefused(f"is cut off after {len(data):,} bytes") from None
        raise PictureRefused(f"is damaged: {reason}") from None


def flatten(image: Image.Image, ground: str) -> Image.Image:
    """The picture without alpha, laid on a ground of the named colour (`white`, `#f4f1ea`)."""
    if image.mode != "RGBA":
        return image
    paper = Image.new("RGBA", image.size, ground)
    return Image.alpha_composite(paper, image).convert("RGB")


def cut_square(image: Image.Image, side_px: int) -> Image.Image:
    """The middle square of an L, RGB or RGBA picture at the size asked for, filtered by its area."""
    if image.mode == "RGBA":  # Filtered with colours times alpha, or hidden colours bleed into edges.
        return ImageOps.fit(image.convert("RGBa"), (side_px, side_px), Image.Resampling.LANCZOS).convert("RGBA")
    return ImageOps.fit(image, (side_px, side_px), Image.Resampling.LANCZOS)


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise PictureRefused(
            f"is huge ({image.width} x {image.height}; at most {MAX_PIXELS / 1e6:,.0f} megapixels): make it smaller"
        )
    if min(image.size) < MIN_SIDE_PX:
        raise PictureRefused(f"is too small ({image.width} x {image.height}; at least {MIN_SIDE_PX} on each side)")


def _convert(image: Image.Image, name: str, suffix: str, is_animated: bool) -> Picture:
    steps: list[str] = []
    said = read_provenance(image)
    if suffix and suffix not in _SUFFIXES_OF.get(name, (f".{name.lower()}",)):
        steps.append("recognised in spite of a wrong suffix")
    if is_animated:
        steps.append("first frame or page taken of several")
    if image.getexif().get(0x0112, 1) != 1:
        image = ImageOps.exif_transpose(image)
        steps.append("turned upright (EXIF)")
    profile = image.info.get("icc_profile")
    image, alpha = _eight_bits(image, steps)
    image = _to_srgb(image, profile, steps)
    if alpha is not None:
        image = image.convert("RGB")
        image.putalpha(alpha)
        steps.append("has transparency")
    # A picture carries its metadata along; none of it is wanted behind this point.
    image.info = {}
    return Picture(
        image=image, steps=tuple(steps), format=name, profile=_profile_name(profile), creator=said.creator,
        rights=said.rights,
    )  # fmt: skip


def _profile_name(profile: bytes | None) -> str | None:
    if not profile:
        return None
    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip() or "without a name"
    except (ImageCms.PyCMSError, OSError):
        return "broken"


def _eight_bits(image: Image.Image, steps: list[str]) -> tuple[Image.Image, Image.Image | None]:
    """The picture in an 8-bit mode without palette, and its alpha where that is not full everywhere."""
    mode = image.mode
    if mode.startswith("I;16") or mode in ("I", "F"):
        values = np.asarray(image, dtype=np.float64)
        low, high = float(values.min()), float(values.max())
        if mode == "F" and low >= 0 and high <= 1:
            values = values * 255
        elif mode != "F" and low >= 0 and high <= 65535:
            values = values / 257
        elif not (mode == "F" and low >= 0 and high <= 255):
            raise PictureRefused(f"holds values from {low:g} to {high:g}, which no 8- or 16-bit picture does")
        steps.append("scaled from 16 bits" if mode != "F" else "scaled from floating point")
        return Image.fromarray(np.rint(values).astype(np.uint8)), None
    if mode == "1":
        return image.convert("L"), None
    has_alpha = image.has_transparency_data
    if mode in ("P", "PA"):
        steps.append("palette resolved")
        image = image.convert("RGBA" if has_alpha else "RGB")
    if not has_alpha:
        return image, None
    full = image.convert("RGBA")
    alpha = full.getchannel("A")
    colours = image.convert("L") if mode in ("LA", "La") else full.convert("RGB")
    return colours, None if alpha.getextrema() == (255, 255) else alpha


def _to_srgb(image: Image.Image, profile: bytes | None, steps: list[str]) -> Image.Image:
    """L stays L unless a profile says otherwise; every other mode becomes RGB."""
    if profile and image.mode in ("L", "RGB", "CMYK", "LAB"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if image.mode != "CMYK" and "srgb" in ImageCms.getProfileDescription(source).lower():
                return image
            flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
            intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
            converted = ImageCms.profileToProfile(image, source, _SRGB, intent, outputMode="RGB", flags=flags)
            steps.append(f"converted to sRGB by its ICC profile{' from CMYK' if image.mode == 'CMYK' else ''}")
            assert converted is not None
            return converted.convert("L") if image.mode == "L" else converted
        except (ImageCms.PyCMSError, OSError):
            steps.append("broken ICC profile ignored")
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "LAB":
        steps.append("LAB converted to sRGB")
        converted = ImageCms.profileToProfile(image, ImageCms.createProfile("LAB"), _SRGB, outputMode="RGB")
        assert converted is not None
        return converted
    steps.append(f"{image.mode} converted to RGB without a profile")
    return image.convert("RGB")


def _what_it_is(data: bytes) -> str:
    head = data[:64].lstrip()
    for sign, text in _TELLING_BYTES:
        if head.lower().startswith(sign.lower()):
            return text
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc"):
        return "is HEIC, which is not read: save it as JPEG or PNG"
    return f"is no picture that can be read (it begins with {data[:8]!r})"
