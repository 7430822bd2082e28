"""Design Tokens files (Format Module and Color Module 2025.10 of the Design Tokens Community Group), resolved.

    document = open_tokens(Path("tokens.json"))
    for token in document.tokens():       # values after all aliases, types after inheritance
        ...
    if document.problems: ...             # every mistake, at its line

Read: groups with inherited `$type`, `$root` tokens and `$extends`; aliases as `{group.token}` or `$ref`; colours in
all fourteen colour spaces, or as `#RRGGBB` of older files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, cast

from designkit.design.colours import to_hex
from designkit.documents import MAX_DOCUMENT_BYTES, nearest
from designkit.errors import InputRefused, Problem
from designkit.files import read_text

EXTENSION = "designkit"
"""The key under `$extensions` that holds what only designkit knows."""

COLOUR_SPACES = (
    "srgb", "srgb-linear", "hsl", "hwb", "lab", "lch", "oklab", "oklch", "display-p3", "a98-rgb",
    "prophoto-rgb", "rec2020", "xyz-d65", "xyz-d50",
)  # fmt: skip
"""The colour spaces of the Color Module; coloraide has the same names."""

MAX_GROUPS = 20_000
"""How many groups and tokens a file may come to, once every group that extends another is written out."""

MAX_HOPS = 50
"""Through how many tokens an alias may lead."""

_MAX_DEPTH = 64
_PER_CENT = {"hsl": (1, 100, 100), "hwb": (1, 100, 100)}  # the module writes 0 to 100 where coloraide has 0 to 1
_ALIAS = re.compile(r"\{([^{}]+)\}")
_HEX = re.compile(r"#([0-9a-f]{6})([0-9a-f]{2})?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Token:
    """One token with its value after all aliases, its type and its place.

    `target` is the path of the token that it is an alias of, if it is one.
    """

    path: tuple[str, ...]
    type: str
    value: Any
    target: tuple[str, ...] | None = None
    description: str = ""
    extensions: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def name(self) -> str:
        """The path as an alias writes it."""
        return ".".join(self.path)


def open_tokens(path: Path) -> TokenDocument:
    """Read a Design Tokens file; raises InputRefused for what is no JSON object."""
    text = read_text(path, max_bytes=MAX_DOCUMENT_BYTES)
    return TokenDocument(_parse(text, path), str(path), text)


def _parse(text: str, path: Path) -> dict[str, Any]:
    """The object that the file holds; raises InputRefused for what is no JSON object, or is nested too deep."""

    def problem(message: str, line: int | None = None) -> InputRefused:
        fix = "give a Design Tokens file (JSON)"
        return InputRefused(Problem(code="tokens-syntax", message=message, file=str(path), line=line, fix=fix))

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is no JSON")

    try:
        document = json.loads(text, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise problem(f"it is no JSON: {error.msg} (column {error.colno})", error.lineno) from None
    except RecursionError:
        raise problem("it is nested too deep") from None
    except ValueError as error:
        raise problem(str(error).splitlines()[0][:200]) from None
    if not isinstance(document, dict):
        raise problem("it holds no object of tokens")
    if _depth(document) > _MAX_DEPTH:
        raise problem(f"it is nested deeper than {_MAX_DEPTH} levels")
    return cast("dict[str, Any]", document)


def _depth(value: Any) -> int:
    """How many objects and lists lie inside one another, counted without recursion."""
    deepest, open_values = 0, [(value, 1)]
    while open_values:
        each, depth = open_values.pop()
        if isinstance(each, dict | list):
            deepest = max(deepest, depth)
            below = cast("Any", each.values() if isinstance(each, dict) else each)
            open_values += [(item, depth + 1) for item in below]
    return deepest


class TokenDocument:
    """The tokens of a file, their aliases followed; `problems` collects what is wrong on the way.

    `root` is the whole document, in which every group that extends another is written out.
    """

    def __init__(self, root: dict[str, Any], file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.problems: list[Problem] = []
        self.num_groups = 0
        self.root = self.extended(root)
        self.places = dict(self.find((), self.root, ""))
        self.found: dict[tuple[str, ...], Token | None] = {}

    def report(self, path: Sequence[str], code: str, message: str, fix: str) -> None:
        """Note a mistake at a token or group."""
        key = ".".join(path) or None
        line = self.line(path)
        self.problems.append(Problem(code=code, message=message, file=self.file, line=line, key=key, fix=fix))

    def line(self, path: Sequence[str]) -> int | None:
        """The line of the last name of a path, looked for behind the names before it; None where it is not found."""
        position = 0
        for name in path:
            written = re.escape(json.dumps(name, ensure_ascii=False))
            match = re.compile(rf"{written}\s*:").search(self.text, position)
            if match is None:
                return None
            position = match.end()
        return self.text.count("\n", 0, position) + 1 if path else None

    def tokens(self) -> list[Token]:
        """Every token with its value, in the order of the file."""
        tokens: list[Token] = []
        for path in self.places:
            token = self.token(path, ())
            if token is not None:
                tokens.append(token)
        return tokens

    # Groups

    def extended(self, root: dict[str, Any]) -> dict[str, Any]:
        """The document in which every `$extends` is replaced by what it stands for."""

        def group_at(path: tuple[str, ...]) -> Any:
            value: Any = root
            for name in path:
                value = cast("Any", value).get(name) if isinstance(value, dict) else None
            return value

        def extend(group: Any, path: tuple[str, ...], seen: tuple[tuple[str, ...], ...]) -> Any:
            self.num_groups += 1
            if not isinstance(group, dict) or _is_token(cast("dict[str, Any]", group)) or self.num_groups > MAX_GROUPS:
                return cast("Any", group)
            written = cast("dict[str, Any]", group)
            own = {
                name: extend(value, (*path, name), seen) if not name.startswith("$") else value
                for name, value in written.items()
                if name != "$extends"
            }
            if "$extends" not in written:
                return own
            target = _reference(written["$extends"])
            base = group_at(target) if target else None
            if target is None or not isinstance(base, dict) or _is_token(cast("dict[str, Any]", base)):
                message = f"{_shown(written['$extends'])} is no group"
                self.report(path, "token-alias", message, "name a group: {group.name}")
                return own
            if path in seen or path[: len(target)] == target or len(seen) > MAX_HOPS:
                self.report(path, "token-circle", "the groups extend each other in a circle", "break the circle")
                return own
            return _merged(extend(base, target, (*seen, path)), own)

        extended = extend(root, (), ())
        if self.num_groups > MAX_GROUPS:
            message = f"groups that extend each other come to more than {MAX_GROUPS:,}"
            self.report((), "tokens-too-many", message, "extend fewer groups")
            return {}
        return extended

    def find(
        self, path: tuple[str, ...], group: Mapping[str, Any], inherited: str
    ) -> Iterator[tuple[tuple[str, ...], tuple[dict[str, Any], str]]]:
        """Every token below a group with the type that it inherits."""
        kind = group.get("$type", inherited)
        for name, value in group.items():
            if name.startswith("$") and name != "$root":
                continue
            here = (*path, name)
            if set(name) & set("{}."):
                self.report(here, "token-name", f"{name!r} cannot be the name of a token", "leave out { } and .")
            elif not isinstance(value, dict):
                message = "a token or a group is an object"
                self.report(here, "token-value", message, 'write {"$value": ...}')
            elif _is_token(cast("dict[str, Any]", value)):
                yield here, (cast("dict[str, Any]", value), str(kind))
            else:
                yield from self.find(here, cast("dict[str, Any]", value), str(kind))

    # Tokens

    def token(self, path: tuple[str, ...], seen: tuple[tuple[str, ...], ...]) -> Token | None:
        """The token at a path with its aliases followed; None, with the reason noted, where that fails."""
        if path not in self.found:
            self.found[path] = self.follow_all(path, seen)
        return self.found[path]

    def follow_all(self, path: tuple[str, ...], seen: tuple[tuple[str, ...], ...]) -> Token | None:
        """The token at a path, which has not been looked at yet."""
        written, inherited = self.places[path]
        value = written["$value"] if "$value" in written else {"$ref": written.get("$ref")}
        target = _reference(value)
        followed = self.follow(path, target, value, (*seen, path)) if target is not None else None
        if target is not None and followed is None:
            return None
        kind = written.get("$type") or (followed.type if followed else "") or inherited
        if not isinstance(kind, str) or not kind:
            self.report(path, "token-type", "the token has no $type", 'add "$type", here or in a group above')
            return None
        resolved = followed.value if followed else self.resolved(value, path, (*seen, path))
        return Token(
            path=path,
            type=kind,
            value=resolved,
            target=target,
            description=str(written.get("$description", "")),
            extensions=own_extension(written),
        )

    def follow(
        self, path: tuple[str, ...], target: tuple[str, ...], value: Any, seen: tuple[tuple[str, ...], ...]
    ) -> Token | None:
        """The token that an alias leads to."""
        if target in seen:
            chain = " -> ".join(".".join(each) for each in (*seen[seen.index(target) :], target))
            self.report(path, "token-circle", f"the aliases lead in a circle: {chain}", "give one of them a value")
            return None
        if len(seen) > MAX_HOPS:
            message = f"the alias leads through more than {MAX_HOPS} tokens"
            self.report(path, "token-alias", message, "name the last token directly")
            return None
        if target not in self.places and (*target, "$root") in self.places:
            target = (*target, "$root")
        if target not in self.places:
            near = nearest(".".join(target), [".".join(each) for each in self.places])
            fix = f"did you mean {{{near}}}?" if near else "name a token of this file"
            self.report(path, "token-alias", f"{_shown(value)} leads to no token", fix)
            return None
        return self.token(target, seen)

    def resolved(self, value: Any, path: tuple[str, ...], seen: tuple[tuple[str, ...], ...]) -> Any:
        """A value with the aliases inside it followed, at any depth."""
        target = _reference(value)
        if target is not None:
            found = self.part(target)
            if found is not None and not isinstance(value, str):
                return found
            token = self.follow(path, target, value, seen)
            return token.value if token else None
        if isinstance(value, dict):
            parts = cast("dict[str, Any]", value)
            return {name: self.resolved(below, path, seen) for name, below in parts.items()}
        if isinstance(value, list):
            return [self.resolved(below, path, seen) for below in cast("list[Any]", value)]
        return value

    def part(self, path: tuple[str, ...]) -> Any:
        """A number or text inside a token, as `$ref` may name it: `#/color/ink/$value/components/0`."""
        value: Any = self.root
        for name in path:
            if isinstance(value, list) and name.isdecimal() and int(name) < len(cast("list[Any]", value)):
                value = cast("list[Any]", value)[int(name)]
            elif isinstance(value, dict):
                value = cast("dict[str, Any]", value).get(name)
            else:
                return None
        return value if isinstance(value, str | int | float) and _reference(value) is None else None


def _is_token(value: Mapping[str, Any]) -> bool:
    return "$value" in value or "$ref" in value


def _reference(value: Any) -> tuple[str, ...] | None:
    """The path that `{group.token}` or `{"$ref": "#/group/token"}` names; None for every other value."""
    if isinstance(value, str):
        match = _ALIAS.fullmatch(value.strip())
        if match:
            return tuple(match[1].split("."))
        return _pointer(value) if value.startswith("#/") else None
    if isinstance(value, dict) and list(cast("dict[str, Any]", value)) == ["$ref"]:
        written = cast("dict[str, Any]", value)["$ref"]
        return _pointer(written) if isinstance(written, str) else ()
    return None


def _pointer(text: str) -> tuple[str, ...]:
    """The path of a JSON pointer (RFC 6901); a token's `$value` is the token."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in text.removeprefix("#").split("/")[1:]]
    return tuple(parts[:-1] if parts and parts[-1] == "$value" else parts)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A group with what it inherits: its own tokens first in right, groups laid over groups."""
    merged = dict(base)
    for name, value in own.items():
        before = merged.get(name)
        if isinstance(before, dict) and isinstance(value, dict) and not _is_token(cast("dict[str, Any]", value)):
            merged[name] = _merged(cast("dict[str, Any]", before), cast("dict[str, Any]", value))
        else:
            merged[name] = value
    return merged


def own_extension(written: Mapping[str, Any]) -> dict[str, Any]:
    """What designkit keeps at a token, a group or the document."""
    extensions = written.get("$extensions")
    own = cast("dict[str, Any]", extensions).get(EXTENSION) if isinstance(extensions, dict) else None
    return cast("dict[str, Any]", own) if isinstance(own, dict) else {}


def read_colour_value(value: Any) -> tuple[str, float]:
    """`#RRGGBB` and alpha (0 to 1) of a colour token's value; raises ValueError with what is wrong and the fix.

    A colour outside sRGB becomes its `hex`, which is there for that, or the nearest colour inside.
    """
    if isinstance(value, str):
        match = _HEX.fullmatch(value)
        if match is None:
            raise ValueError(f"{_shown(value)!r} is no colour")
        return f"#{match[1].upper()}", int(match[2] or "ff", 16) / 255
    written = cast("dict[str, Any]", value if isinstance(value, dict) else {})
    if "colorSpace" not in written:
        raise ValueError("a colour is an object with colorSpace and components")
    space, parts, alpha = written.get("colorSpace"), written.get("components"), written.get("alpha", 1)
    if space not in COLOUR_SPACES:
        near = nearest(str(space), COLOUR_SPACES)
        raise ValueError(f"unknown colour space {space!r}" + (f"; did you mean {near!r}?" if near else ""))
    if not isinstance(parts, list) or len(cast("list[Any]", parts)) != 3:
        raise ValueError("a colour has three components")
    components = [0.0 if part == "none" else _number(part) for part in cast("list[Any]", parts)]
    opacity = _number(alpha)
    if not 0 <= opacity <= 1:
        raise ValueError(f"alpha lies between 0 and 1, and is {alpha!r}")
    fallback = written.get("hex")
    if fallback is not None and not (isinstance(fallback, str) and _HEX.fullmatch(fallback)):
        raise ValueError(f"hex is written #rrggbb, and is {fallback!r}")
    if space == "srgb":
        if not all(0 <= part <= 1 for part in components):
            raise ValueError("the components of srgb lie between 0 and 1")
        return to_hex((components[0], components[1], components[2])), opacity
    return _converted(str(space), components, fallback), opacity


def _converted(space: str, components: Sequence[float], fallback: str | None) -> str:
    from coloraide import Color

    scale = _PER_CENT.get(space, (1, 1, 1))
    coordinates = [part / each for part, each in zip(components, scale, strict=True)]
    colour = Color(space, coordinates).convert("srgb")
    if not colour.in_gamut(tolerance=1e-3) and fallback is not None:
        return fallback[:7].upper()
    red, green, blue = colour.fit().coords(nans=False)
    return to_hex((red, green, blue))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{_shown(value)} is no number")
    return float(value)
