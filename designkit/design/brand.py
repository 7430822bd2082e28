"""A brand kit: one folder with a `brand.yaml` that says how the brand looks and what it avoids.

The file has the shape of Posit's brand.yml (`meta`, `logo`, `color`, `typography`, `defaults`), so that a kit made
for other tools is read as it is; what only designkit needs stands under `designkit`:

    meta: {name: Lumen}
    color:
      palette: {teal: "#0b7a75", cream: "#f4ecd8"}
      primary: teal
    logo:
      images: {mark: logos/mark.svg, mark-light: logos/mark-light.svg}
      medium: {light: mark, dark: mark-light}
    typography:
      fonts: [{family: Inter, source: google}]
    designkit:
      style: [flat shapes, generous space]
      avoid: [photographs, gradients]
      tolerance: 6                        # CIEDE2000 within which a colour counts as one of the palette
      palette:
        teal: {role: main, share: 40%, word: deep teal}
        cream: {role: background, share: 60%}
      logos:
        mark: {ground: light, clear_space: 25%, min_px: 32, min_mm: 8}
      fonts: {Inter: {licence: OFL-1.1}}
      adapters: [{path: adapters/lumen.safetensors, weight: 0.8}]      # or adapter: for a single one
      references: [{path: pictures/shelf.png, caption: the shelf}]

Every file that a kit names lies inside its folder. A W3C Design Tokens file may stand for a kit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from designkit.documents import read_document
from designkit.errors import InputRefused, Problem
from designkit.values import Adapter

BRAND_FILES = ("brand.yaml", "brand.yml", "_brand.yml")
COLOUR_ROLES = (
    "foreground", "background", "primary", "secondary", "tertiary",
    "success", "info", "warning", "danger", "light", "dark",
)  # fmt: skip
"""The roles of brand.yml's `color` section."""

DEFAULT_TOLERANCE = 5.0
"""CIEDE2000 within which a colour counts as one of the palette, unless the kit says otherwise."""

PaletteRole = Literal["background", "main", "support", "accent", "text"]
Ground = Literal["light", "dark", "any"]


@dataclass(frozen=True, kw_only=True)
class BrandColour:
    """One colour of the palette, `#RRGGBB`.

    `share` is the part (0 to 1) of a design's area that it is meant to cover; `tolerance` the CIEDE2000 within which
    another colour counts as this one; `word` what a prompt shall call it.
    """

    name: str
    colour: str
    role: PaletteRole | None = None
    share: float | None = None
    tolerance: float = DEFAULT_TOLERANCE
    word: str | None = None


@dataclass(frozen=True, kw_only=True)
class Logo:
    """One variant of the logo.

    `ground` is what it may stand on; `clear_space` is the margin around it that stays free, as a share of its
    height; it is never smaller than `min_px` pixels or `min_mm` millimetres in height.
    """

    name: str
    path: Path
    alt: str = ""
    ground: Ground = "any"
    clear_space: float = 0.0
    min_px: int | None = None
    min_mm: float | None = None


@dataclass(frozen=True, kw_only=True)
class Font:
    """A font family, where it comes from, under which licence, and its files where the kit holds them."""

    family: str
    source: str = "system"
    licence: str = ""
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A picture that shows the brand, and what is to be seen in it."""

    path: Path
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class Brand:
    """What a brand kit says.

    `colours` is the palette by name, `roles` a role of brand.yml (primary, background, ...) as `#RRGGBB`. `logos`
    are the variants by name; `logo_uses` says which one is meant for a size and a ground (`medium.dark`).
    `adapters` are laid over the model for the brand's look, with their paths as they open.
    """

    folder: Path
    name: str
    style: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    colours: Mapping[str, BrandColour] = field(default_factory=dict[str, BrandColour])
    roles: Mapping[str, str] = field(default_factory=dict[str, str])
    forbidden: tuple[str, ...] = ()
    logos: Mapping[str, Logo] = field(default_factory=dict[str, Logo])
    logo_uses: Mapping[str, str] = field(default_factory=dict[str, str])
    fonts: Mapping[str, Font] = field(default_factory=dict[str, Font])
    text_fonts: Mapping[str, str] = field(default_factory=dict[str, str])
    adapters: tuple[Adapter, ...] = ()
    references: tuple[Reference, ...] = ()

    @property
    def palette(self) -> dict[str, str]:
        """The colours of the palette by name, as `#RRGGBB`."""
        return {name: colour.colour for name, colour in self.colours.items()}

    def words(self) -> dict[str, str]:
        """What `{brand.name}`, `{brand.style}` and `{brand.avoid}` stand for in a prompt."""
        return {
            "brand.name": self.name,
            "brand.style": ", ".join(self.style),
            "brand.avoid": ", ".join(self.avoid),
        }

    def named_colours(self) -> dict[str, BrandColour]:
        """What `{brand.primary}`, `{brand.teal}` and their like name: the roles, then the rest of the palette.

        A role that is one of the palette's colours has that colour's word and tolerance.
        """
        by_value = {colour.colour: colour for colour in reversed(tuple(self.colours.values()))}
        roles = {
            name: by_value.get(value) or BrandColour(name=name, colour=value) for name, value in self.roles.items()
        }
        return {**self.colours, **roles}


def read_brand(place: Path) -> Brand:
    """Read the brand kit in a folder, or a Design Tokens file; raises InputRefused with every mistake in it."""
    if place.suffix == ".json" and place.is_file():
        from designkit.design.brand_tokens import read_tokens

        return read_tokens(place).brand
    path = find_brand_file(place)
    if path is None:
        fix = f"add a {BRAND_FILES[0]}, or correct the path of the brand"
        raise InputRefused(
            Problem(code="missing-brand", message="there is no brand kit in it", file=str(place), fix=fix)
        )
    from designkit.design.brand_file import parse_brand

    return parse_brand(read_document(path), place)


def find_brand_file(folder: Path) -> Path | None:
    """The file of the kit in a folder, None where there is none."""
    return next((folder / name for name in BRAND_FILES if (folder / name).is_file()), None)
