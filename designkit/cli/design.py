"""The commands about what pictures are made for: `formats`, and `brand`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from designkit.cli.console import file_size, plural, say, say_json, table
from designkit.cli.planning import AsJson
from designkit.errors import InputRefused, Problem

if TYPE_CHECKING:
    from designkit.design.formats import Format

NUM_DETAILED = 4
"""Up to this many formats are shown with everything that is known about them."""

_WIDTH = 80


def formats(
    word: Annotated[
        str | None, typer.Argument(help="Part of a name or use, a ratio (9:16) or pixels (300x250); all without.")
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option("--file", metavar="FILE", help="Named sizes of your own."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the named sizes: pixels, ratio, safe zone, weight limit, source and when that was checked."""
    from designkit.design.formats import read_formats

    known = read_formats(files or ())
    found = [entry for entry in known if word is None or _is_about(entry, word)]
    if not found:
        raise InputRefused(_no_format(word or "", known.names()))
    if as_json:
        say_json({"formats": [format_json(entry) for entry in found], "errors": []})
    elif len(found) <= NUM_DETAILED:
        say("\n\n".join(_details(entry) for entry in found))
    else:
        say("\n".join(_list(found)))


def format_json(entry: Format) -> dict[str, Any]:
    """A format as `--json` gives it; sizes as `{width, height}`, the safe zone as shares of the picture."""
    return {**asdict(entry), "ratio": entry.ratio}


def _is_about(entry: Format, word: str) -> bool:
    word = word.casefold().replace("\N{MULTIPLICATION SIGN}", "x")
    return word in entry.name or word in entry.use.casefold() or word in (entry.ratio, str(entry.size))


def _no_format(word: str, names: list[str]) -> Problem:
    from designkit.documents import nearest

    near = nearest(word, names)
    fix = f"did you mean {near!r}?" if near else "designkit formats lists all of them"
    return Problem(code="unknown-format", message=f"no named size has to do with {word!r}", fix=fix)


def _details(entry: Format) -> str:
    """Everything about one format, a line each."""
    rows = [
        ("use", entry.use),
        ("size", f"{entry.size}, {entry.ratio}"),
        ("cut to", _trim(entry)),
        ("allowed", " to ".join(str(size) for size in (entry.min_size, entry.max_size) if size)),
        ("keep free", str(entry.safe) if entry.safe else ""),
        ("at most", file_size(entry.max_bytes) if entry.max_bytes else ""),
        ("source", entry.source),
        ("", entry.address),
        ("checked", entry.checked),
    ]
    return f"{entry.name}\n{table((name, value) for name, value in rows if value)}"


def _trim(entry: Format) -> str:
    if entry.trim_mm is None:
        return ""
    width, height = entry.trim_mm
    bleed = f" + {entry.bleed_mm:g} mm bleed" if entry.bleed_mm else ""
    return f"{width:g}x{height:g} mm{bleed}, {entry.dpi} dpi"


def _list(found: Sequence[Format]) -> Iterator[str]:
    """One line a format, group by group, within 80 columns."""
    groups = dict.fromkeys(entry.group for entry in found)
    for group in groups:
        entries = [entry for entry in found if entry.group == group]
        checked = sorted({entry.checked for entry in entries if entry.checked})
        yield entries[0].title + (f" (checked {checked[0]})" if checked else "")
        width = max(len(entry.name) for entry in entries)
        for entry in entries:
            limit = file_size(entry.max_bytes) if entry.max_bytes else ""
            start = f"  {entry.name:<{width}}  {entry.size!s:>9}  {entry.ratio:>6}  {limit:>6}  "
            notes = [entry.use, _trim(entry) or (f"keep free: {entry.safe}" if entry.safe else "")]
            use = "; ".join(note for note in notes if note)
            lines = textwrap.wrap(use, _WIDTH - len(start)) or [""]
            yield (start + lines[0]).rstrip()
            yield from (" " * len(start) + line for line in lines[1:])
        yield ""
    yield f"{plural(len(found), 'size')}; with a word, such as `designkit formats story`, their sources too"
