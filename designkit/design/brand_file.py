"""From the document of a brand kit to its values, with every mistake in it at its line.

The sections of brand.yml are checked as its specification has them; files are looked for, and colours resolved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from designkit.design.brand import (
    COLOUR_ROLES,
    DEFAULT_TOLERANCE,
    Brand,
    BrandColour,
    Font,
    Ground,
    Logo,
    PaletteRole,
    Reference,
)
from designkit.design.colours import read_colour
from designkit.documents import Node, describe, suggest, validate
from designkit.errors import InputRefused, Problem
from designkit.values import Adapter

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
LOGO_SUFFIXES = (".svg", *PICTURE_SUFFIXES)

_COLOUR_FIX = 'write it as "#0b7a75", in quotes'
_LOGO_SIZES = ("small", "medium", "large")
_TEXT_KEYS = ("family", "weight", "size", "line-height", "color", "background-color", "style", "decoration")


def parse_brand(root: Node, folder: Path) -> Brand:
    """The kit that a document says, whose files lie in `folder`; raises InputRefused with every mistake in it."""
    checked = validate(_BrandDocument, root)
    reader = _Reader(root, folder, list(checked) if isinstance(checked, list) else [])
    document = _BrandDocument() if isinstance(checked, list) else checked
    own = document.designkit
    palette = reader.palette()
    logos, logo_uses = reader.logos(own)
    fonts, text_fonts = reader.fonts(own, palette)
    brand = Brand(
        folder=folder,
        name=_name(document.meta) or folder.resolve().name,
        style=tuple(own.style),
        avoid=tuple(own.avoid),
        colours=reader.colours(palette, own),
        roles=reader.roles(palette),
        forbidden=tuple(reader.forbidden(palette)),
        logos=logos,
        logo_uses=logo_uses,
        fonts=fonts,
        text_fonts=text_fonts,
        adapters=tuple(reader.adapters(own)),
        references=tuple(reader.references()),
    )
    if reader.problems:
        problems = dict.fromkeys(reader.problems)
        raise InputRefused(sorted(problems, key=lambda problem: problem.line or 0))
    return brand


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _pathed(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


def _read_share(value: Any) -> Any:
    """`40%` or `0.4` as a part of the whole."""
    text = str(value).strip()
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise ValueError(f"{text!r} is no share, which is written 40% or 0.4") from None
    if not 0 <= share <= 1:
        raise ValueError(f"{text!r} is no share, which lies between 0% and 100%")
    return share


_Words = Annotated[list[str], BeforeValidator(_listed)]
_Share = Annotated[float, BeforeValidator(_read_share)]


def _number(least: float, most: float) -> Any:
    return Field(default=None, ge=least, le=most, allow_inf_nan=False)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _PaletteDocument(_Strict):
    role: PaletteRole | None = None
    share: _Share | None = None
    tolerance: float | None = _number(0, 100)
    word: str | None = Field(default=None, min_length=1, max_length=60)


class _LogoDocument(_Strict):
    ground: Ground = "any"
    clear_space: _Share = 0.0
    min_px: int | None = Field(default=None, ge=1, le=10_000)
    min_mm: float | None = _number(0.1, 10_000)


class _FontDocument(_Strict):
    licence: str = ""


class _AdapterDocument(_Strict):
    path: str
    weight: float = Field(default=1.0, ge=-10, le=10, allow_inf_nan=False)


class _ReferenceDocument(_Strict):
    path: str
    caption: str = ""


class _Own(_Strict):
    """The section that only designkit reads."""

    style: _Words = Field(default_factory=list[str])
    avoid: _Words = Field(default_factory=list[str])
    tolerance: float = Field(default=DEFAULT_TOLERANCE, ge=0, le=100, allow_inf_nan=False)
    palette: dict[str, _PaletteDocument] = Field(default_factory=dict[str, _PaletteDocument])
    forbidden: _Words = Field(default_factory=list[str])
    logos: dict[str, _LogoDocument] = Field(default_factory=dict[str, _LogoDocument])
    fonts: dict[str, _FontDocument] = Field(default_factory=dict[str, _FontDocument])
    adapter: Annotated[_AdapterDocument, BeforeValidator(_pathed)] | None = None
    adapters: list[Annotated[_AdapterDocument, BeforeValidator(_pathed)]] = Field(
        default_factory=list[_AdapterDocument]
    )
    references: list[Annotated[_ReferenceDocument, BeforeValidator(_pathed)]] = Field(
        default_factory=list[_ReferenceDocument]
    )


class _FontFace(_Strict):
    """One family of brand.yml's `typography.fonts`."""

    family: str
    source: Literal["file", "google", "bunny", "system"] = "system"
    files: list[Any] = Field(default_factory=list[Any])
    weight: Any = None
    style: Any = None
    display: str | None = None
    url: str | None = None
    version: str | None = None


class _Typography(_Strict):
    """brand.yml's `typography`; what its text styles hold is looked at where it matters here."""

    fonts: list[_FontFace] = Field(default_factory=list[_FontFace])
    base: Any = None
    headings: Any = None
    monospace: Any = None
    monospace_inline: Any = Field(default=None, alias="monospace-inline")
    monospace_block: Any = Field(default=None, alias="monospace-block")
    link: Any = None


class _BrandDocument(_Strict):
    """A brand file; `meta` and `defaults` may hold more than is read here."""

    meta: dict[str, Any] = Field(default_factory=dict[str, Any])
    logo: Any = None
    color: dict[str, Any] = Field(default_factory=dict[str, Any])
    typography: _Typography = Field(default_factory=_Typography)
    defaults: dict[str, Any] = Field(default_factory=dict[str, Any])
    designkit: _Own = Field(default_factory=_Own)


def _name(meta: Mapping[str, Any]) -> str:
    """`meta.name` is a text, or holds a `short` and a `full` one."""
    name = meta.get("name")
    if isinstance(name, dict):
        forms = cast("dict[str, Any]", name)
        name = forms.get("short") or forms.get("full")
    return name if isinstance(name, str) else ""


class _Reader:
    """Turns the sections of a checked document into values, and collects what is wrong between them."""

    def __init__(self, root: Node, folder: Path, problems: list[Problem]) -> None:
        self.root = root
        self.folder = folder
        self.problems = problems

    def report(self, node: Node | None, code: str, message: str, key: str, fix: str) -> None:
        """Note a mistake at a node."""
        self.problems.append((node or self.root).problem(code, message, key=key, fix=fix))

    # Colours

    def palette(self) -> dict[str, str]:
        """The named colours; one may be called by the name of another."""
        node = self.root.get("color", "palette")
        written = dict(node.items()) if node else {}
        palette: dict[str, str] = {}
        for name, item in written.items():
            key = f"color.palette.{name}"
            if not isinstance(item.value, str):
                if item.value is not None:
                    self.report(item, "colour", f"expected a colour, found {describe(item)}", key, _COLOUR_FIX)
                continue
            if not name.strip() or set(name) & set(".{}$/"):
                fix = "use letters, digits, - and _"
                self.report(item, "colour-name", f"{name!r} cannot be the name of a colour", key, fix)
                continue
            seen: list[str] = [name]
            value = item.value
            while value in written and value not in seen:
                seen.append(value)
                value = str(written[value].value)
            if value in seen and read_colour(value) is None:
                chain = " -> ".join([*seen, value])
                self.report(item, "colour", f"the names lead in a circle: {chain}", key, _COLOUR_FIX)
                continue
            colour = read_colour(value)
            if colour is not None:
                palette[name] = colour
            elif len(seen) == 1:  # else it is told where the colour that is meant stands
                near = [other for other in written if other != name]
                fix = suggest(value, near) if near and not value.startswith("#") else _COLOUR_FIX
                self.report(item, "colour", f"{value!r} is no colour", key, fix if "mean" in fix else _COLOUR_FIX)
        return palette

    def roles(self, palette: Mapping[str, str]) -> dict[str, str]:
        """The colours of roles, given directly or by a name of the palette."""
        roles = {role: palette[role] for role in COLOUR_ROLES if role in palette}
        node = self.root.get("color")
        for role, item in node.items() if node else ():
            key = f"color.{role}"
            if role == "palette" or item.value is None:
                continue
            if role not in COLOUR_ROLES:
                message = f"unknown colour role {role!r}"
                self.report(item, "colour-role", message, key, suggest(role, ("palette", *COLOUR_ROLES)))
                continue
            colour = self.colour(item, palette, key)
            if colour is not None:
                roles[role] = colour
        return roles

    def colour(self, node: Node, palette: Mapping[str, str], key: str) -> str | None:
        """A colour, or a name of the palette, as `#RRGGBB`."""
        if isinstance(node.value, str) and (found := palette.get(node.value) or read_colour(node.value)):
            return found
        if node.value in [name for name, _ in _items(self.root.get("color", "palette"))]:
            return None  # a name whose colour is wrong, which is told there
        fix = suggest(str(node.value), list(palette)) if palette and isinstance(node.value, str) else _COLOUR_FIX
        message = f"{describe(node)} is neither a colour nor a name of the palette"
        self.report(node, "colour", message, key, fix)
        return None

    def colours(self, palette: Mapping[str, str], own: _Own) -> dict[str, BrandColour]:
        """The palette with what designkit's own section says of it."""
        written = self.root.get("designkit", "palette")
        for name, node in _items(written):
            if name not in palette and name not in dict(_items(self.root.get("color", "palette"))):
                message = f"{name!r} is not a colour of the palette"
                fix = suggest(name, list(palette)) if palette else "name it under color.palette"
                self.report(node, "unknown-colour", message, f"designkit.palette.{name}", fix)
        shares = [entry.share for entry in own.palette.values() if entry.share is not None]
        if sum(shares) > 1 + 1e-6:
            message = f"the shares come to {sum(shares):.0%}"
            self.report(written, "colour-shares", message, "designkit.palette", "make them 100% or less together")
        colours: dict[str, BrandColour] = {}
        for name, colour in palette.items():
            entry = own.palette.get(name, _PaletteDocument())
            colours[name] = BrandColour(
                name=name,
                colour=colour,
                role=entry.role,
                share=entry.share,
                tolerance=own.tolerance if entry.tolerance is None else entry.tolerance,
                word=entry.word,
            )
        return colours

    def forbidden(self, palette: Mapping[str, str]) -> Iterator[str]:
        """Colours that must not be seen."""
        node = self.root.get("designkit", "forbidden")
        items = node.value if node and isinstance(node.value, tuple) else (node,) if node else ()
        for item in items:
            colour = self.colour(item, palette, "designkit.forbidden")
            if colour is not None:
                yield colour

    # Logos

    def logos(self, own: _Own) -> tuple[dict[str, Logo], dict[str, str]]:
        """The variants by name, and which one is meant for a size and a ground."""
        node = self.root.get("logo")
        logos: dict[str, Logo] = {}
        uses: dict[str, str] = {}
        for name, item in _items(node.get("images") if node else None):
            self.add_logo(name, item, f"logo.images.{name}", own, logos)
        if node is not None and _path_node(node) is not None:
            self.add_logo("logo", node, "logo", own, logos)
        for size, item in _items(node):
            if size in _LOGO_SIZES and _path_node(item) is not None:
                uses[size] = self.use_logo(size, item, own, logos)
            elif size in _LOGO_SIZES:
                for ground, below in _items(item):
                    if ground in ("light", "dark"):
                        uses[f"{size}.{ground}"] = self.use_logo(f"{size}.{ground}", below, own, logos)
                    else:
                        fix = suggest(ground, ("light", "dark", "path", "alt"))
                        self.report(below, "logo-size", f"unknown key {ground!r}", f"logo.{size}.{ground}", fix)
            elif size not in ("images", "path", "alt", "attrs"):
                fix = suggest(size, ("images", *_LOGO_SIZES))
                self.report(item, "logo-size", f"unknown size of a logo: {size!r}", f"logo.{size}", fix)
        names = {name for name, _ in _items(node.get("images") if node else None)} | set(logos)
        for name, item in _items(self.root.get("designkit", "logos")):
            if name not in names:
                fix = suggest(name, sorted(names)) if names else "name it under logo.images"
                message = f"there is no logo {name!r}"
                self.report(item, "unknown-logo", message, f"designkit.logos.{name}", fix)
        return logos, {use: name for use, name in uses.items() if name in logos}

    def use_logo(self, use: str, node: Node, own: _Own, logos: dict[str, Logo]) -> str:
        """The name of the variant that is meant; a path that is written here is a variant of its own."""
        if isinstance(node.value, str) and (node.value in logos or self.root.get("logo", "images", node.value)):
            return node.value
        self.add_logo(use, node, f"logo.{use}", own, logos)
        return use

    def add_logo(self, name: str, node: Node, key: str, own: _Own, logos: dict[str, Logo]) -> None:
        path = self.path(_path_node(node), key, LOGO_SUFFIXES)
        if path is None:
            return
        alt = node.get("alt")
        rules = own.logos.get(name, _LogoDocument())
        logos[name] = Logo(
            name=name,
            path=path,
            alt=str(alt.value) if alt else "",
            ground=rules.ground,
            clear_space=rules.clear_space,
            min_px=rules.min_px,
            min_mm=rules.min_mm,
        )

    # Fonts

    def fonts(self, own: _Own, palette: Mapping[str, str]) -> tuple[dict[str, Font], dict[str, str]]:
        """The families, and which one a kind of text (`base`, `headings`, ...) is set in."""
        node = self.root.get("typography")
        fonts: dict[str, Font] = {}
        faces = node.get("fonts") if node else None
        for position, face in enumerate(faces.value if faces and isinstance(faces.value, tuple) else ()):
            family, source = face.get("family"), face.get("source")
            if family is None or not isinstance(family.value, str):
                continue
            key = f"typography.fonts.{position}.files"
            files = face.get("files")
            paths = [self.path(_path_node(item), key, ()) for item in _list_items(files)]
            rules = own.fonts.get(family.value, _FontDocument())
            fonts[family.value] = Font(
                family=family.value,
                source=str(source.value) if source else "system",
                licence=rules.licence,
                files=tuple(path for path in paths if path),
            )
        text_fonts: dict[str, str] = {}
        for kind, item in _items(node):
            if kind == "fonts":
                continue
            for name, below in _items(item):
                key = f"typography.{kind}.{name}"
                if name not in _TEXT_KEYS:
                    self.report(below, "unknown-key", f"unknown key {name!r}", key, suggest(name, _TEXT_KEYS))
                elif name in ("color", "background-color") and below.value not in COLOUR_ROLES:
                    self.colour(below, palette, key)
            family = item.get("family") or item
            if isinstance(family.value, str):
                text_fonts[kind] = family.value
        known = {*fonts, *text_fonts.values()}
        for name, item in _items(self.root.get("designkit", "fonts")):
            if name not in known:
                fix = suggest(name, sorted(known)) if known else "name it under typography.fonts"
                self.report(item, "unknown-font", f"no text is set in {name!r}", f"designkit.fonts.{name}", fix)
        for family in text_fonts.values():
            rules = own.fonts.get(family, _FontDocument())
            fonts.setdefault(family, Font(family=family, licence=rules.licence))
        return fonts, text_fonts

    # Other files

    def adapters(self, own: _Own) -> Iterator[Adapter]:
        """What is laid over a model for the brand's look: `adapter`, then each of `adapters`."""
        one = self.root.get("designkit", "adapter")
        written = [(one, own.adapter, "designkit.adapter")] if one is not None else []
        several = _list_items(self.root.get("designkit", "adapters"))
        written += [(node, each, "designkit.adapters") for node, each in zip_longest(several, own.adapters)]
        for node, document, key in written:
            path = self.path(_path_node(node), key, (".safetensors",), may_be_folder=True)
            if path is not None and document is not None:
                yield Adapter(path=str(path), weight=document.weight)

    def references(self) -> Iterator[Reference]:
        """The pictures that show the brand."""
        for item in _list_items(self.root.get("designkit", "references")):
            path, caption = self.path(_path_node(item), "designkit.references", PICTURE_SUFFIXES), item.get("caption")
            if path is not None:
                yield Reference(path=path, caption=str(caption.value) if caption else "")

    def path(
        self, node: Node | None, key: str, suffixes: tuple[str, ...], *, may_be_folder: bool = False
    ) -> Path | None:
        """A file inside the folder; None, with what is wrong noted, for anything else."""
        if node is None or not isinstance(node.value, str):
            return None
        if "://" in node.value:
            fix = "save it into the folder of the brand, and name that file"
            self.report(node, "brand-path", f"{node.value} is an address, not a file", key, fix)
            return None
        try:
            path = (self.folder / node.value).resolve()
            is_there = path.is_file() or (may_be_folder and path.is_dir() and path != self.folder.resolve())
        except (OSError, ValueError, RuntimeError):
            path, is_there = self.folder.resolve(), False
        if not path.is_relative_to(self.folder.resolve()):
            fix = "copy the file into the folder of the brand"
            self.report(node, "brand-path", f"{node.value} lies outside the brand", key, fix)
        elif not is_there:
            self.report(node, "brand-path", f"there is no file {node.value}", key, self.near_file(node.value))
        elif suffixes and path.is_file() and path.suffix.lower() not in suffixes:
            fix = f"give it as {', '.join(suffixes)}"
            self.report(node, "brand-path", f"{node.value} is of a kind that cannot be used here", key, fix)
        else:
            return path
        return None

    def near_file(self, written: str) -> str:
        """Advice on a file that is not there: the nearest one in the folder that it should be in."""
        parent = (self.folder / written).parent
        try:
            names = (
                [path.name for path in parent.iterdir()]
                if parent.resolve().is_relative_to(self.folder.resolve())
                else []
            )
        except (OSError, ValueError):
            names = []
        fix = suggest(Path(written).name, names) if names else "check its path"
        return fix if fix.startswith("did you mean") else "check its path"


def _items(node: Node | None) -> Iterator[tuple[str, Node]]:
    return node.items() if node is not None else iter(())


def _list_items(node: Node | None) -> tuple[Node, ...]:
    """The nodes of a list; a value that stands alone is a list of one."""
    if node is None or node.value is None:
        return ()
    return node.value if isinstance(node.value, tuple) else (node,)


def _path_node(node: Node | None) -> Node | None:
    """The node that holds a path: the value itself, or its `path`."""
    if node is None or isinstance(node.value, str):
        return node
    return node.get("path")
