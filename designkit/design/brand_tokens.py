"""Brand kits as Design Tokens, and Design Tokens as brand kits.

    read_tokens(Path("tokens.json")).brand          # what the file says; what was passed over are its warnings
    tokens_json(read_brand(Path("brands/lumen")))   # the same kit for Figma, Penpot, Style Dictionary, ...

What the format has no place for (shares, tolerances, words) stands under `$extensions.designkit`. Logos, adapter and
references are files, and stay in the kit's folder.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from designkit.design.brand import COLOUR_ROLES, DEFAULT_TOLERANCE, Brand, BrandColour
from designkit.design.brand_file import parse_brand
from designkit.design.colours import to_rgb
from designkit.design.tokens import EXTENSION, Token, TokenDocument, open_tokens, own_extension, read_colour_value
from designkit.documents import Node
from designkit.errors import InputRefused, Problem

SCHEMA = "https://www.designtokens.org/schemas/2025.10/format.json"

# Groups that say what kind of tokens is in them, and are left out of a colour's name.
_PLAIN_GROUPS = frozenset(
    {"color", "colors", "colour", "colours", "palette", "brand", "base", "core", "global", "primitive", "primitives"}
)
_TEXT_KINDS = ("base", "headings", "monospace", "monospace-inline", "monospace-block", "link")
_OWN_COLOUR_KEYS = ("role", "share", "tolerance", "word")
_USUAL_TOLERANCE = ("tolerance", DEFAULT_TOLERANCE)


@dataclass(frozen=True, kw_only=True)
class TokenFile:
    """The kit that a tokens file stands for, all of its tokens, and what was passed over."""

    brand: Brand
    tokens: tuple[Token, ...]
    warnings: tuple[Problem, ...] = ()


def read_tokens(path: Path) -> TokenFile:
    """Read a Design Tokens file; raises InputRefused with every mistake in it.

    Colours become the palette, those called `primary`, `background` and so on roles; font families become fonts.
    Tokens of other types are checked for aliases and then passed over, with a warning.
    """
    document = open_tokens(path)
    tokens = document.tokens()
    kit = _Kit(document, tokens)
    if document.problems:
        problems = dict.fromkeys(document.problems)
        raise InputRefused(sorted(problems, key=lambda problem: problem.line or 0))
    brand = parse_brand(_node(kit.document(path), str(path)), path.parent)
    return TokenFile(brand=brand, tokens=tuple(tokens), warnings=tuple(kit.warnings(path)))


def tokens_json(brand: Brand) -> str:
    """A brand kit as the text of a Design Tokens file; the same kit gives the same text."""
    colours: dict[str, Any] = {}
    for name, colour in brand.colours.items():
        colours[name] = {"$value": _colour_value(colour.colour)}
        if own := _own_facts(colour):
            colours[name]["$extensions"] = {EXTENSION: own}
    by_value = {colour: name for name, colour in reversed(brand.palette.items())}
    roles: dict[str, Any] = {}
    for role, value in brand.roles.items():
        name = role if brand.palette.get(role) == value else by_value.get(value)
        roles[role] = {"$value": f"{{color.palette.{name}}}" if name else _colour_value(value)}
    families = {
        _token_name(family): {
            "$value": family,
            "$extensions": {EXTENSION: {"source": font.source, "licence": font.licence}},
        }
        for family, font in brand.fonts.items()
    }
    texts = {kind: {"$value": f"{{font.family.{_token_name(family)}}}"} for kind, family in brand.text_fonts.items()}
    document: dict[str, Any] = {
        "$schema": SCHEMA,
        "$description": brand.name,
        "$extensions": {
            EXTENSION: {
                "name": brand.name,
                "style": list(brand.style),
                "avoid": list(brand.avoid),
                "forbidden": list(brand.forbidden),
            }
        },
        "color": {"$type": "color", "palette": colours, **roles},
    }
    if families:
        document["font"] = {"$type": "fontFamily", "family": families, **texts}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def brand_yaml(brand: Brand) -> str:
    """The text of a `brand.yaml` that says what a kit says; logos, adapter and references are left out, being files."""
    import io

    from ruamel.yaml import YAML

    stream = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # pyright: ignore[reportAttributeAccessIssue]
    writer.width = 110
    writer.dump(_kit_document(brand), stream)  # pyright: ignore[reportUnknownMemberType]
    return stream.getvalue()


def _kit_document(brand: Brand) -> dict[str, Any]:
    by_value = {colour: name for name, colour in reversed(brand.palette.items())}
    colour = {"palette": brand.palette, **{role: by_value.get(value, value) for role, value in brand.roles.items()}}
    fonts = [{"family": font.family, "source": font.source} for font in brand.fonts.values() if not font.files]
    own = {name: facts for name, colour in brand.colours.items() if (facts := _own_facts(colour))}
    licences = {font.family: {"licence": font.licence} for font in brand.fonts.values() if font.licence}
    designkit: dict[str, Any] = {
        "style": list(brand.style),
        "avoid": list(brand.avoid),
        "palette": own,
        "forbidden": list(brand.forbidden),
        "fonts": licences,
    }
    document: dict[str, Any] = {
        "meta": {"name": brand.name},
        "color": colour if brand.palette else {key: value for key, value in colour.items() if key != "palette"},
        "typography": {"fonts": fonts, **brand.text_fonts} if brand.fonts else {},
        "designkit": {key: value for key, value in designkit.items() if value},
    }
    return {key: value for key, value in document.items() if value}


def _own_facts(colour: BrandColour) -> dict[str, Any]:
    """What only designkit says of a colour, without what goes without saying."""
    facts = {key: getattr(colour, key) for key in _OWN_COLOUR_KEYS}
    return {key: fact for key, fact in facts.items() if fact is not None and (key, fact) != _USUAL_TOLERANCE}


def _colour_value(colour: str) -> dict[str, Any]:
    components = [round(channel / 255, 6) for channel in to_rgb(colour)]
    return {"colorSpace": "srgb", "components": components, "alpha": 1, "hex": colour.lower()}


def _token_name(text: str) -> str:
    """A text as the name of a token: without what aliases are written with."""
    return re.sub(r"[.{}$]", "-", text)


class _Kit:
    """What a brand kit takes from tokens: colours, and families of fonts."""

    def __init__(self, document: TokenDocument, tokens: Sequence[Token]) -> None:
        self.root = document.root
        self.palette: dict[str, str] = {}
        self.own: dict[str, Mapping[str, Any]] = {}
        self.roles: dict[str, str] = {}
        self.fonts: dict[str, Mapping[str, Any]] = {}
        self.text_fonts: dict[str, str] = {}
        self.passed_over: Counter[str] = Counter()
        names: dict[tuple[str, ...], str] = {}
        for token in tokens:
            if token.type == "color":
                self.add_colour(token, names, document)
            elif token.type == "fontFamily":
                self.add_font(token, document)
            else:
                self.passed_over[f"of type {token.type}"] += 1
        # A role that is an alias of a colour in the palette keeps saying so.
        for token in tokens:
            role = names.get(token.path)
            if role in self.roles and token.target is not None and (name := names.get(token.target)) in self.palette:
                self.roles[role] = str(name)

    def add_colour(self, token: Token, names: dict[tuple[str, ...], str], document: TokenDocument) -> None:
        try:
            colour, alpha = read_colour_value(token.value)
        except ValueError as error:
            fix = 'write {"colorSpace": "srgb", "components": [0.04, 0.48, 0.46]}'
            document.report(token.path, "token-colour", str(error), fix)
            return
        if alpha < 1:
            self.passed_over["transparent colour"] += 1
            return
        name = _colour_name(token.path)
        if name in COLOUR_ROLES and "palette" not in token.path[:-1]:
            self.roles[name] = colour
        else:
            if name in self.palette:
                name = _joined(token.path)
            self.palette[name] = colour
            self.own[name] = {key: token.extensions[key] for key in _OWN_COLOUR_KEYS if key in token.extensions}
        names[token.path] = name

    def add_font(self, token: Token, document: TokenDocument) -> None:
        families = cast("list[Any]", token.value if isinstance(token.value, list) else [token.value])
        if not families or not isinstance(families[0], str):
            message = "a family of fonts is a name, or a list of names"
            document.report(token.path, "token-font", message, 'write "Inter" or ["Inter", "sans-serif"]')
            return
        self.fonts.setdefault(families[0], token.extensions)
        if token.path[-1] in _TEXT_KINDS:
            self.text_fonts[token.path[-1]] = families[0]

    def document(self, path: Path) -> dict[str, Any]:
        """The document of a brand kit that says the same."""
        own = own_extension(self.root)
        licences = {family: {"licence": each["licence"]} for family, each in self.fonts.items() if each.get("licence")}
        fonts = [{"family": family, "source": each.get("source", "system")} for family, each in self.fonts.items()]
        said = {key: own[key] for key in ("style", "avoid", "forbidden") if key in own}
        return {
            "meta": {"name": own.get("name") or path.name.split(".")[0]},
            "color": {"palette": self.palette, **self.roles},
            "typography": {"fonts": fonts, **self.text_fonts},
            "designkit": {**said, "palette": self.own, "fonts": licences},
        }

    def warnings(self, path: Path) -> Iterator[Problem]:
        """What a kit has no place for."""
        if self.passed_over:
            kinds = ", ".join(f"{count} {kind}" for kind, count in self.passed_over.items())
            message = f"tokens that a brand kit has no place for are passed over: {kinds}"
            yield Problem(code="tokens-passed-over", message=message, file=str(path))


def _colour_name(path: Sequence[str]) -> str:
    """What a palette calls a token's colour: its path without `$root` and without groups that only say "colour"."""
    parts = [part for part in path if part != "$root"]
    while len(parts) > 1 and parts[0].casefold() in _PLAIN_GROUPS:
        del parts[0]
    return _joined(parts)


def _joined(path: Sequence[str]) -> str:
    return re.sub(r"[\s./{}$]+", "-", "-".join(path)).strip("-")


def _node(value: Any, file: str) -> Node:
    """A value as a document whose nodes know no line."""
    if isinstance(value, Mapping):
        parts = cast("Mapping[str, Any]", value)
        return Node(value={name: _node(below, file) for name, below in parts.items()}, file=file)
    if isinstance(value, list | tuple):
        return Node(value=tuple(_node(below, file) for below in cast("Sequence[Any]", value)), file=file)
    return Node(value=value if value is None else str(value), file=file)
