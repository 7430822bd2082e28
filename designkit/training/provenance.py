"""Who made a picture and on what terms it may be used, as far as its file says so: EXIF, XMP and PNG texts."""

# pyright: basic
from __future__ import annotations

import html
import re
from dataclasses import dataclass

from PIL import Image

MAX_CHARACTERS = 200

_ARTIST, _COPYRIGHT = 0x013B, 0x8298  # EXIF 2.32, tables 4 and 5
_XMP_CREATOR = ("dc:creator", "photoshop:Credit")
_XMP_RIGHTS = ("cc:license", "xmpRights:UsageTerms", "xmpRights:WebStatement", "dc:rights")
"""In the order in which they count: the name of a licence says more than whose the rights are."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a file says of its maker and its terms; None where it says nothing."""

    creator: str | None = None
    rights: str | None = None


def read_provenance(image: Image.Image) -> Provenance:
    """What an opened picture says; XMP counts before EXIF, EXIF before PNG texts. Never raises for odd metadata."""
    xmp = _xmp_text(image)
    exif = image.getexif()
    texts = {str(key).lower(): value for key, value in image.info.items() if isinstance(value, str)}
    return Provenance(
        creator=_clean(_from_xmp(xmp, _XMP_CREATOR) or exif.get(_ARTIST) or texts.get("author") or texts.get("artist")),
        rights=_clean(
            _from_xmp(xmp, _XMP_RIGHTS) or exif.get(_COPYRIGHT) or texts.get("license") or texts.get("copyright")
        ),
    )


def _xmp_text(image: Image.Image) -> str:
    data = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or image.info.get("Raw profile type xmp") or b""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)
    return text[:500_000]


def _from_xmp(xmp: str, names: tuple[str, ...]) -> str | None:
    """The first of the properties that is there, as an attribute or an element; no XML parser, so no entities."""
    for name in names:
        attribute = re.search(rf"""\b{name}\s*=\s*(?:"([^"]*)"|'([^']*)')""", xmp)
        resource = re.search(rf"""<{name}\s[^>]*rdf:resource\s*=\s*["']([^"']*)["']""", xmp)
        element = re.search(rf"<{name}\b[^>]*>(.*?)</{name}>", xmp, re.DOTALL)
        written = resource or attribute
        found = next((part for part in written.groups() if part), "") if written else element[1] if element else ""
        text = html.unescape(re.sub(r"<[^>]*>", " ", found)).strip()
        if text:
            return text
    return None


def _clean(value: object) -> str | None:
    """One line of printable text, cut at 200 characters; None where nothing is left."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else "" if value is None else str(value)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text[:MAX_CHARACTERS] or None
