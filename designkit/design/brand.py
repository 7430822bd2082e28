"""A brand kit: one folder with a `brand.yaml` that says how the brand looks and what it avoids.

The file has the shape of Posit's brand.yml (`meta`, `logo`, `color`, `typography`, `defaults`), so that a kit made
for other tools is read as it is; what only designkit needs stands under `designkit`:

    meta: {name: Lumen}
    color:
      palette: {teal: "#0b7a75", cream: "#f4ecd8"}
      primary: teal
    logo: logos/mark.png
    designkit:
      style: [flat shapes, generous space]
      avoid: [photographs, gradients]
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from designkit.documents import Node, read_document, suggest, validate
from designkit.errors import InputRefused, Problem

BRAND_FILES = ("brand.yaml", "brand.yml", "_brand.yml")

_COLOUR = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)
_ROLES = (
    "foreground", "background", "primary", "secondary", "tertiary",
    "success", "info", "warning", "danger", "light", "dark",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Brand:
    """What a brand kit says.

    `palette` maps a colour's name to `#RRGGBB`, `roles` a role (primary, background, ...) likewise. `logos`
    maps a name to a file inside the kit's folder.
    """

    folder: Path
    name: str
    style: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    palette: Mapping[str, str]
    roles: Mapping[str, str]
    logos: Mapping[str, Path]

    def words(self) -> dict[str, str]:
        """What `{brand.name}`, `{brand.style}` and `{brand.avoid}` stand for in a prompt."""
        return {
            "brand.name": self.name,
            "brand.style": ", ".join(self.style),
            "brand.avoid": ", ".join(self.avoid),
        }


def read_brand(folder: Path) -> Brand:
    """Read the brand kit in a folder; raises InputRefused with every mistake in its file."""
    path = next((folder / name for name in BRAND_FILES if (folder / name).is_file()), None)
    if path is None:
        fix = f"add a {BRAND_FILES[0]}, or correct the path of the brand"
        raise InputRefused(
            Problem(code="missing-brand", message="there is no brand kit in it", file=str(folder), fix=fix)
        )
    root = read_document(path)
    checked = validate(_BrandDocument, root)
    problems = checked if isinstance(checked, list) else []
    palette = _read_palette(root.get("color", "palette"), problems)
    roles = _read_roles(root.get("color"), palette, problems)
    logos = _read_logos(root.get("logo"), folder, problems)
    if isinstance(checked, list) or problems:
        problems = list(dict.fromkeys(problems))
        raise InputRefused(sorted(problems, key=lambda problem: problem.line or 0))
    return Brand(
        folder=folder,
        name=_name(checked.meta) or folder.resolve().name,
        style=tuple(checked.designkit.style),
        avoid=tuple(checked.designkit.avoid),
        palette=palette,
        roles=roles,
        logos=logos,
    )


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_Words = Annotated[list[str], BeforeValidator(_listed)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Own(_Strict):
    """The section that only designkit reads."""

    style: _Words = Field(default_factory=list[str])
    avoid: _Words = Field(default_factory=list[str])


class _BrandDocument(_Strict):
    """A brand file; the sections of brand.yml may hold more than is read here."""

    meta: dict[str, Any] = Field(default_factory=dict[str, Any])
    logo: Any = None
    color: dict[str, Any] = Field(default_factory=dict[str, Any])
    typography: dict[str, Any] = Field(default_factory=dict[str, Any])
    defaults: dict[str, Any] = Field(default_factory=dict[str, Any])
    designkit: _Own = Field(default_factory=_Own)


def _name(meta: Mapping[str, Any]) -> str:
    """`meta.name` is a text, or holds a `short` and a `full` one."""
    name = meta.get("name")
    if isinstance(name, dict):
        forms = cast("dict[str, Any]", name)
        name = forms.get("short") or forms.get("full")
    return name if isinstance(name, str) else ""


def _read_palette(node: Node | None, problems: list[Problem]) -> dict[str, str]:
    """The named colours; one may be called by the name of another."""
    written = {name: item for name, item in node.items() if isinstance(item.value, str)} if node else {}
    palette: dict[str, str] = {}
    for name, item in written.items():
        seen: list[str] = []
        value, target = str(item.value), name
        while value in written and value not in seen:
            seen.append(value)
            target, value = value, str(written[value].value)
        if _COLOUR.fullmatch(value):
            palette[name] = _full(value)
        elif target == name or value in seen:
            fix = 'write it as "#0b7a75", in quotes'
            problems.append(item.problem("colour", f"{value!r} is no colour", key=f"color.palette.{name}", fix=fix))
    return palette


def _read_roles(node: Node | None, palette: Mapping[str, str], problems: list[Problem]) -> dict[str, str]:
    """The colours of roles, given directly or by a name of the palette."""
    roles: dict[str, str] = {}
    for role, item in node.items() if node else ():
        key = f"color.{role}"
        if role == "palette":
            continue
        if role not in _ROLES:
            message = f"unknown colour role {role!r}"
            problems.append(item.problem("colour-role", message, key=key, fix=suggest(role, ("palette", *_ROLES))))
        elif isinstance(item.value, str) and item.value in palette:
            roles[role] = palette[item.value]
        elif isinstance(item.value, str) and _COLOUR.fullmatch(item.value):
            roles[role] = _full(item.value)
        elif item.value is not None:
            fix = suggest(str(item.value), list(palette)) if palette else 'write it as "#0b7a75", in quotes'
            message = f"{item.value!r} is neither a colour nor a name of the palette"
            problems.append(item.problem("colour", message, key=key, fix=fix))
    return roles


def _read_logos(node: Node | None, folder: Path, problems: list[Problem]) -> dict[str, Path]:
    """The logo files by name; each must lie inside the folder."""
    images = node.get("images") if node else None
    names = {name for name, _ in images.items()} if images else set[str]()
    logos: dict[str, Path] = {}
    for name, item in _logo_files(node):
        if item.value in names and not name.startswith("images."):
            continue  # a size that is called by the name of an image
        path = (folder / str(item.value)).resolve()
        key = f"logo.{name}".rstrip(".")
        if not path.is_relative_to(folder.resolve()):
            fix = "copy the file into the folder of the brand"
            problems.append(item.problem("brand-path", f"{item.value} lies outside the brand", key=key, fix=fix))
        elif not path.is_file():
            problems.append(item.problem("brand-path", f"there is no file {item.value}", key=key, fix="check its path"))
        else:
            logos[name.removeprefix("images.") or "logo"] = path
    return logos


def _logo_files(node: Node | None, name: str = "") -> Iterator[tuple[str, Node]]:
    """Every path in the logo section with its dotted name; `{path, alt}` counts as its path."""
    if node is None:
        return
    if isinstance(node.value, str):
        yield name, node
    for key, below in node.items():
        if key == "path":
            yield from _logo_files(below, name)
        elif key != "alt":
            yield from _logo_files(below, f"{name}.{key}" if name else key)


def _full(colour: str) -> str:
    """`#abc` as `#AABBCC`."""
    digits = colour[1:].upper()
    return "#" + ("".join(digit * 2 for digit in digits) if len(digits) == 3 else digits)
