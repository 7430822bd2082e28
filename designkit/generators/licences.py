"""Under which licence a model is, read from its own files, and whether that allows selling what it draws."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

UNKNOWN = "unknown"

_COMMERCIAL: Mapping[str, Literal["yes", "no", "ask"]] = {
    "apache-2.0": "yes",
    "mit": "yes",
    "bsd-3-clause": "yes",
    "cc0-1.0": "yes",
    "cc-by-4.0": "yes",
    "cc-by-sa-4.0": "yes",
    "openrail": "yes",
    "openrail++": "yes",
    "creativeml-openrail-m": "yes",
    "bigscience-openrail-m": "yes",
    "cc-by-nc-4.0": "no",
    "cc-by-nc-sa-4.0": "no",
    "cc-by-nc-nd-4.0": "no",
    "flux-1-dev-non-commercial-license": "no",
    "flux-dev-non-commercial-license": "no",
    "openmdw-1.0": "yes",
}
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)
_MAX_README_BYTES = 64 * 1024


def commercial_use(licence: str) -> Literal["yes", "no", "ask"]:
    """Whether pictures may be used commercially; "ask" where the licence does not settle it by its name."""
    return _COMMERCIAL.get(licence.lower(), "ask")


def read_licence(folder: Path) -> str:
    """The licence that the model card in this folder names; "unknown" when it names none."""
    try:
        with (folder / "README.md").open("rb") as file:
            text = file.read(_MAX_README_BYTES).decode("utf-8", "replace").replace("\r\n", "\n")
    except OSError:
        return UNKNOWN
    front_matter = _FRONT_MATTER.match(text)
    if front_matter is None:
        return UNKNOWN
    entries = dict(re.findall(r"^(licen[sc]e(?:_name)?):[ \t]*['\"]?([^\s'\"#]+)", front_matter[1], re.MULTILINE))
    licence = entries.get("license") or entries.get("licence") or UNKNOWN
    # "other" only says that the name is in the next entry.
    return entries.get("license_name", licence) if licence == "other" else licence
