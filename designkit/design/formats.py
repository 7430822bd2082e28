"""Named sizes of deliverables, each with its source and the date on which it was checked.

The sizes stand in `sizes/`, one YAML file a group, and are read when a name of that group is first used; people
add files of their own in the same shape:

    title: Our shops
    group: shop                     # names become shop/window, ...
    source: shop manual, page 12    # holds for every size that names none
    checked: 2026-11-21
    sizes:
      window: {mm: 800x1200, dpi: 100, bleed_mm: 5, safe_mm: 20, use: shop window}
      screen: {px: 1920x1080, use: till screen, max_kb: 300, safe: {bottom: 12%}}
      600x200: {use: counter display}

Platforms change their sizes; a name here is a convenience, never a promise that an advertisement is accepted.
Sizes that are set in millimetres become pixels at their resolution, bleed included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from designkit.documents import Node, describe, read_document, validate
from designkit.errors import InputRefused, Problem
from designkit.values import Size

MIN_SIDE_PX = 8
MAX_SIDE_PX = 16_384
MAX_AREA_PX = 100_000_000
MM_PER_INCH = 25.4

_FOLDER = Path(__file__).parent / "sizes"
_GENERAL = "general"  # the file of the names that have no group

_PIXELS = re.compile(r"(-?\d{1,9})\s*[x\N{MULTIPLICATION SIGN}]\s*(-?\d{1,9})", re.IGNORECASE)
_MILLIMETRES = re.compile(r"(\d{1,5}(?:\.\d+)?)\s*[x\N{MULTIPLICATION SIGN}]\s*(\d{1,5}(?:\.\d+)?)", re.IGNORECASE)
_SHARE = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*(%?)")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*(?:/[a-z0-9][a-z0-9.-]*)?")


@dataclass(frozen=True, kw_only=True)
class SafeZone:
    """The margins that must stay free of words and marks, as shares (0 to 1) of the picture's height or width."""

    top: float = 0.0
    right: float = 0.0
    bottom: float = 0.0
    left: float = 0.0

    def __str__(self) -> str:
        """Sides with their per cents: `top 14 %, bottom 20 %`."""
        sides = {"top": self.top, "right": self.right, "bottom": self.bottom, "left": self.left}
        if len(set(sides.values())) == 1:
            return f"{self.top * 100:.3g} % on all sides"
        return ", ".join(f"{name} {share * 100:.3g} %" for name, share in sides.items() if share)


@dataclass(frozen=True, kw_only=True)
class Format:
    """A named size, what it is for, what holds for it, and where the figures come from.

    `group` is what stands before the `/` of the name, `title` what the group is called in lists.
    `size` is in pixels, bleed included. `trim_mm` is the size after cutting, where it was given in millimetres;
    `bleed_mm` is what is cut off on each side. `max_bytes` is the largest file that is accepted (1 kB is 1000
    bytes, the stricter reading). `min_size` and `max_size` are the limits of a format that is only a ratio.
    `checked` is an ISO date, empty where a file of one's own gives none.
    """

    name: str
    group: str
    title: str
    size: Size
    use: str
    source: str
    address: str = ""
    checked: str = ""
    trim_mm: tuple[float, float] | None = None
    dpi: int | None = None
    bleed_mm: float = 0.0
    safe: SafeZone | None = None
    max_bytes: int | None = None
    min_size: Size | None = None
    max_size: Size | None = None

    @property
    def ratio(self) -> str:
        """Width to height as people write it: `9:16`, `1.91:1`, `1:3.5`."""
        exact = Fraction(self.size.width, self.size.height)
        if max(exact.numerator, exact.denominator) <= 16:
            return f"{exact.numerator}:{exact.denominator}"
        return f"{float(exact):.3g}:1" if exact > 1 else f"1:{float(1 / exact):.3g}"


class Formats:
    """The named sizes that hold for one prompt file: those that come with designkit, and those of added files.

    A name in an added file takes the place of one that comes with designkit (`replaced` lists these).
    """

    def __init__(self, added: Iterable[Format] = ()) -> None:
        self.added: Mapping[str, Format] = {entry.name: entry for entry in added}
        self._sizes: dict[str, Size] = {}

    @property
    def replaced(self) -> tuple[str, ...]:
        """The names that come with designkit, but mean something else here."""
        return tuple(name for name in self.added if _find_built_in(name) is not None)

    def __iter__(self) -> Iterator[Format]:
        """Every format, group by group, the added ones first."""
        yield from self.added.values()
        yield from (entry for entry in built_in() if entry.name not in self.added)

    def find(self, text: str) -> Format | None:
        """The format of this name, or None for pixels and for unknown names; only its group is read."""
        name = text.strip().lower()
        return self.added.get(name) or _find_built_in(name)

    def resolve(self, text: str) -> Size:
        """The size that a name (`square`, `iab/300x250`) or pixels (`1024x768`) stand for; raises InputRefused."""
        if text not in self._sizes:
            found = self.find(text)
            self._sizes[text] = found.size if found else _read_pixels(text, self)
        return self._sizes[text]

    def names(self) -> list[str]:
        """Every name, those without a group first."""
        return [entry.name for entry in self]


def resolve_size(text: str) -> Size:
    """The size that a name that comes with designkit, or pixels, stand for; raises InputRefused."""
    return BUILT_IN.resolve(text)


def built_in() -> tuple[Format, ...]:
    """Every named size that comes with designkit, the shapes without a group first."""
    return tuple(entry for group in _groups() for entry in _read_group(group).values())


def read_formats(paths: Iterable[Path]) -> Formats:
    """The named sizes with those of the user's files added; raises InputRefused with every mistake in them.

    A name given in two files is a mistake.
    """
    added: dict[str, Format] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            for entry in _read_sizes(path, default_source=path.name):
                if entry.name in added:
                    fix = "rename one of the two"
                    message = f"{entry.name!r} is in another file already"
                    problems.append(Problem(code="duplicate-size", message=message, file=str(path), fix=fix))
                added[entry.name] = entry
        except InputRefused as error:
            problems += error.problems
    if problems:
        raise InputRefused(problems)
    return Formats(added.values()) if added else BUILT_IN


BUILT_IN = Formats()
"""The named sizes that come with designkit, without any of one's own."""


@cache
def _groups() -> tuple[str, ...]:
    return tuple(sorted((path.stem for path in _FOLDER.glob("*.yaml")), key=lambda stem: (stem != _GENERAL, stem)))


@cache
def _read_group(group: str) -> Mapping[str, Format]:
    return {entry.name: entry for entry in _read_sizes(_FOLDER / f"{group}.yaml", default_source="")}


def _find_built_in(name: str) -> Format | None:
    group = name.partition("/")[0] if "/" in name else _GENERAL
    return _read_group(group).get(name) if group in _groups() else None


def _read_share(value: object) -> float:
    """`14%` or `0.14` as a share of the whole."""
    match = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a margin is a share of the picture, such as 14%")
    share = float(match[1]) / (100 if match[2] else 1)
    if not share < 1:
        raise ValueError("a margin must leave something of the picture, such as 14%")
    return share


_Share = Annotated[float, BeforeValidator(_read_share)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _SafeDocument(_Strict):
    top: _Share = 0.0
    right: _Share = 0.0
    bottom: _Share = 0.0
    left: _Share = 0.0


class _SizeDocument(_Strict):
    """One named size as it is written."""

    px: str | None = None
    mm: str | None = None
    dpi: int = Field(default=300, ge=20, le=2400)
    bleed_mm: float = Field(default=0.0, ge=0, le=50, allow_inf_nan=False)
    safe_mm: float | None = Field(default=None, ge=0, le=200, allow_inf_nan=False)
    safe: _SafeDocument | None = None
    min_px: str | None = None
    max_px: str | None = None
    max_kb: float | None = Field(default=None, gt=0, le=1_000_000, allow_inf_nan=False)
    use: str = ""
    source: str | None = None
    address: str | None = None
    checked: str | None = None


class _SizesDocument(_Strict):
    """A file of named sizes."""

    title: str = ""
    group: str = ""
    source: str | None = None
    address: str = ""
    checked: str = ""
    sizes: dict[str, _SizeDocument] = Field(min_length=1)


def _read_sizes(path: Path, *, default_source: str) -> tuple[Format, ...]:
    """The formats of one file; raises InputRefused with every mistake in it."""
    root = read_document(path)
    checked = validate(_SizesDocument, root)
    if isinstance(checked, list):
        raise InputRefused(sorted(checked, key=lambda problem: problem.line or 0))
    problems: list[Problem] = []
    _check_date(root, checked.checked, "checked", problems)
    formats: list[Format] = []
    for name, written in checked.sizes.items():
        node = root.get("sizes", name)
        assert node is not None
        entry = _Row(node, name, written, checked, problems).read(default_source)
        if entry is not None:
            formats.append(entry)
    if problems:
        raise InputRefused(sorted(problems, key=lambda problem: problem.line or 0))
    return tuple(formats)


class _Row:
    """One row of a file of sizes, on its way to a format."""

    def __init__(
        self, node: Node, name: str, written: _SizeDocument, document: _SizesDocument, problems: list[Problem]
    ) -> None:
        self.node = node
        self.name = name
        self.full_name = f"{document.group}/{name}" if document.group else name
        self.written = written
        self.document = document
        self.problems = problems

    def read(self, default_source: str) -> Format | None:
        """The format, or None where something in the row is wrong."""
        num_problems = len(self.problems)
        written, document = self.written, self.document
        if not _NAME.fullmatch(self.full_name):
            fix = "use small letters, digits, - and at most one /, such as shop/window"
            self.report("size-name", f"{self.full_name!r} cannot be the name of a size", "", fix)
        elif _PIXELS.fullmatch(self.full_name):
            fix = f"put a group before it, such as our/{self.name}"
            self.report("size-name", f"{self.full_name!r} means these pixels already", "", fix)
        size, trim_mm = self.size()
        checked = written.checked if written.checked is not None else document.checked
        _check_date(self.node, written.checked, f"sizes.{self.name}.checked", self.problems)
        limits = [self.pixels("min_px", written.min_px), self.pixels("max_px", written.max_px)]
        if size is None or len(self.problems) > num_problems:
            return None
        return Format(
            name=self.full_name,
            group=document.group,
            title=document.title or document.group,
            size=size,
            use=written.use,
            source=written.source or document.source or default_source,
            address=written.address or document.address,
            checked=checked,
            trim_mm=trim_mm,
            dpi=written.dpi if trim_mm else None,
            bleed_mm=written.bleed_mm,
            safe=self.safe(trim_mm),
            max_bytes=round(written.max_kb * 1000) if written.max_kb else None,
            min_size=limits[0],
            max_size=limits[1],
        )

    def report(self, code: str, message: str, key: str, fix: str) -> None:
        node = self.node.get(key) or self.node
        place = ".".join(part for part in ("sizes", self.name, key) if part)
        self.problems.append(node.problem(code, message, key=place, fix=fix))

    def size(self) -> tuple[Size | None, tuple[float, float] | None]:
        """The size in pixels, and the trim size where it was given in millimetres."""
        written = self.written
        if written.mm is not None:
            if written.px is not None:
                self.report("size-unit", "both px and mm are given", "px", "keep one of the two")
            match = _MILLIMETRES.fullmatch(written.mm.strip())
            if match is None:
                self.report("size-unit", f"{written.mm!r} is no size in millimetres", "mm", "write 85x55")
                return None, None
            trim = (float(match[1]), float(match[2]))
            width, height = (round((side + 2 * written.bleed_mm) / MM_PER_INCH * written.dpi) for side in trim)
            return self.possible(Size(width=width, height=height), "mm"), trim
        for key in ("bleed_mm", "safe_mm", "dpi"):
            if self.node.get(key) is not None:
                self.report("size-unit", f"{key} has no effect on a size in pixels", key, "give the size as mm")
        if written.px is None and not _PIXELS.fullmatch(self.name):
            self.report("missing", "the size is missing", "", "add px: 1200x628 or mm: 85x55")
            return None, None
        return self.pixels("px" if written.px is not None else "", written.px or self.name), None

    def pixels(self, key: str, text: str | None) -> Size | None:
        if text is None:
            return None
        match = _PIXELS.fullmatch(text.strip())
        if match is None:
            self.report("size-unit", f"{text!r} is no size in pixels", key, "write 1200x628")
            return None
        return self.possible(Size(width=int(match[1]), height=int(match[2])), key)

    def possible(self, size: Size, key: str) -> Size | None:
        problem = _out_of_range(size, str(size))
        if problem is None:
            return size
        self.report(problem.code, problem.message, key, problem.fix or "")
        return None

    def safe(self, trim_mm: tuple[float, float] | None) -> SafeZone | None:
        if self.written.safe is not None:
            return SafeZone(**self.written.safe.model_dump())
        if trim_mm is None or self.written.safe_mm is None:
            return None
        margin, bleed = self.written.safe_mm + self.written.bleed_mm, 2 * self.written.bleed_mm
        across, down = margin / (trim_mm[0] + bleed), margin / (trim_mm[1] + bleed)
        return SafeZone(top=down, right=across, bottom=down, left=across)


def _check_date(node: Node, text: str | None, key: str, problems: list[Problem]) -> None:
    if not text:
        return
    try:
        date.fromisoformat(text)
    except ValueError:
        place = node.get("checked") or node
        message = f"{describe(place)} is no date"
        problems.append(place.problem("date", message, key=key, fix="write it as 2026-11-21"))


def _read_pixels(text: str, formats: Formats) -> Size:
    """The size of `1024x768`; raises InputRefused for what is neither pixels nor a name."""
    name, shown = text.strip().lower(), text if len(text) <= 40 else text[:37] + "..."
    pixels = _PIXELS.fullmatch(name)
    if pixels is None:
        problem = Problem(code="unknown-size", message=f"{shown!r} is not a size", fix=_advice(name, formats.names()))
        raise InputRefused(problem)
    size = Size(width=int(pixels[1]), height=int(pixels[2]))
    problem = _out_of_range(size, shown)
    if problem is not None:
        raise InputRefused(problem)
    return size


def _out_of_range(size: Size, shown: str) -> Problem | None:
    """Why a size cannot be made; None for one that can."""
    width, height = size.width, size.height
    if not (MIN_SIDE_PX <= width <= MAX_SIDE_PX and MIN_SIDE_PX <= height <= MAX_SIDE_PX):
        message = f"{shown!r} cannot be made: each side is {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels"
        fix = f"write {_clamped(width)}x{_clamped(height)}"
        return Problem(code="size-out-of-range", message=message, fix=fix)
    if width * height > MAX_AREA_PX:
        message = f"{shown!r} is {width * height / 1e6:.0f} megapixels; at most {MAX_AREA_PX // 10**6} can be made"
        shrink = (MAX_AREA_PX / (width * height)) ** 0.5
        fix = f"write {int(width * shrink)}x{int(height * shrink)}"
        return Problem(code="size-out-of-range", message=message, fix=fix)
    return None


def _clamped(side: int) -> int:
    return min(max(side, MIN_SIDE_PX), MAX_SIDE_PX)


def _advice(name: str, known: list[str]) -> str:
    """The nearest name, or how a size is written."""
    import difflib

    # The last part of a name alone (`a4`, `300x600`) is the commonest slip.
    ends = [each for each in known if name and each.partition("/")[2] == name]
    near = ends or difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"write pixels (1024x768) or a name: {', '.join(known[:8])}, ... (designkit formats lists them)"
