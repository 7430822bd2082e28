"""The commands about what pictures are made for: `formats`, and `brand`."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from designkit.cli.console import file_size, plural, print_warnings, say, say_json, table
from designkit.cli.planning import AsJson
from designkit.errors import InputRefused, Problem

if TYPE_CHECKING:
    from designkit.design.brand import Logo
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


brand_app = typer.Typer(help="Brand kits, and Design Tokens files.", no_args_is_help=True, rich_markup_mode=None)

_Kit = Annotated[Path, typer.Argument(metavar="KIT", help="The folder of a brand kit, or a Design Tokens file.")]


@brand_app.command("show")
def show_brand(
    kit: _Kit,
    model: Annotated[str, typer.Option("--model", help="Whose words for the colours are shown.")] = "starter",
    as_json: AsJson = False,
) -> None:
    """Check a brand kit and show what it says, and what a model's prompts call its colours."""
    from designkit.batch.brand_words import colour_words
    from designkit.design.brand import read_brand
    from designkit.generators.catalog import find_card

    brand = read_brand(kit)
    words = colour_words(brand, find_card(model))
    if as_json:
        facts: dict[str, Any] = json.loads(json.dumps(asdict(brand), default=str))
        named = {name: {"word": word.word, "difference": round(word.difference, 1)} for name, word in words.items()}
        say_json({**facts, "words": named, "errors": []})
        return
    say(brand.name)
    rows = [("style", ", ".join(brand.style)), ("avoid", ", ".join(brand.avoid))]
    rows += [("logo", f"{logo.name}: {logo.path.name}{_logo_rules(logo)}") for logo in brand.logos.values()]
    rows += [("font", f"{font.family}{f' ({font.licence})' if font.licence else ''}") for font in brand.fonts.values()]
    rows += [("adapter", f"{Path(each.path).name}, weight {each.weight:g}") for each in brand.adapters]
    rows += [("reference", f"{each.path.name} {each.caption}".strip()) for each in brand.references]
    say(table((name, value) for name, value in rows if value))
    for name, word in words.items():
        colour = brand.colours.get(name)
        facts_of = [colour.role or "", f"{colour.share:.0%}" if colour.share else ""] if colour else []
        notes = " ".join(fact for fact in facts_of if fact)
        say(f"  {{brand.{name}}}".ljust(22) + f" {word.colour}  {word.word:<18} {notes}".rstrip())


@brand_app.command("export")
def export_brand(
    kit: _Kit, tokens: Annotated[Path, typer.Argument(metavar="TOKENS.json", help="The file to write.")]
) -> None:
    """Write the colours and fonts of a brand kit as a Design Tokens file."""
    from designkit.design.brand import read_brand
    from designkit.design.brand_tokens import tokens_json
    from designkit.files import write_durably

    brand = read_brand(kit)
    write_durably(tokens, tokens_json(brand).encode())
    say(f"{tokens}: {plural(len(brand.colours), 'colour')}, {plural(len(brand.fonts), 'font')}")


@brand_app.command("import")
def import_brand(
    tokens: Annotated[Path, typer.Argument(metavar="TOKENS.json", help="A Design Tokens file.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The brand kit to make; it must not exist yet.")],
) -> None:
    """Make a brand kit of a Design Tokens file."""
    from designkit.design.brand import BRAND_FILES, find_brand_file
    from designkit.design.brand_tokens import brand_yaml, read_tokens
    from designkit.files import storage_error, write_durably

    there = find_brand_file(folder)
    if there is not None:
        fix = "choose another folder, or move that file away"
        raise InputRefused(
            Problem(code="brand-exists", message="there is a brand kit already", file=str(there), fix=fix)
        )
    read = read_tokens(tokens)
    print_warnings(read.warnings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from None
    path = folder / BRAND_FILES[0]
    write_durably(path, brand_yaml(read.brand).encode())
    say(f"{path}: {plural(len(read.brand.colours), 'colour')}, {plural(len(read.brand.fonts), 'font')}")


def _logo_rules(logo: Logo) -> str:
    """What a variant of a logo asks for, in few words."""
    rules = [
        f"on {logo.ground}" if logo.ground != "any" else "",
        f"{logo.clear_space:.0%} free" if logo.clear_space else "",
        f"from {logo.min_px} px" if logo.min_px else "",
        f"from {logo.min_mm:g} mm" if logo.min_mm else "",
    ]
    said = ", ".join(rule for rule in rules if rule)
    return f" ({said})" if said else ""
