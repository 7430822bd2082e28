"""`styles: styles.csv`: every prompt in every style of a table as the Stable Diffusion web UI keeps it.

The table has the columns `name`, `prompt` and `negative_prompt` (InvokeAI's `positive_prompt` and the web UI's
old `text` are read as `prompt`). Where a style says `{prompt}`, the prompt goes; a style without it follows the
prompt behind a comma. All else in a style is text, and the weights in it count. The style becomes the axis
`style`, whose values are the styles' names.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from designkit.documents import MAX_DOCUMENT_BYTES, Node, suggest
from designkit.errors import InputRefused, Problem
from designkit.files import read_text
from designkit.prompts.escaping import escape_template
from designkit.prompts.sources import Source

AXIS = "style"
PLACE = "{prompt}"
MAX_STYLES = 10_000


@dataclass(frozen=True, slots=True)
class Style:
    """One style: what it adds to a prompt and to a negative prompt, and the line it stands on."""

    name: str
    prompt: str
    negative: str
    line: int


def read_styles(path: Path) -> tuple[Style, ...]:
    """The styles of a table, those without any text (dividers) left out; raises InputRefused with every mistake."""
    text = read_text(path, max_bytes=MAX_DOCUMENT_BYTES)
    problems: list[Problem] = []
    styles: dict[str, Style] = {}
    for row, line in _rows(text, path):
        name = " ".join(row.get("name", "").split())
        prompt = next((row[key] for key in ("prompt", "positive_prompt", "text") if row.get(key)), "").strip()
        style = Style(name, prompt, row.get("negative_prompt", "").strip(), line)
        if not style.prompt and not style.negative:
            continue
        if not name or name in styles:
            message = f"the style {name!r} is there twice" if name else "this style has no name"
            problems.append(_problem(path, line, message, "give each style a name of its own"))
        styles[name] = style
    if len(styles) > MAX_STYLES:
        problems.append(_problem(path, 1, f"there are more than {MAX_STYLES:,} styles", "split the table"))
    if problems or not styles:
        fix = "write name,prompt,negative_prompt on the first line, and one style on each line below"
        raise InputRefused(problems or [_problem(path, 1, "there is no style in it", fix)])
    return tuple(styles.values())


def apply_styles(source: Source) -> Source:
    """The source with each of its rows in every style that its key `styles` asks for; raises InputRefused.

    `styles` is a path beside the prompt file, or `{file: PATH, use: [names]}`.
    """
    node = source.document.get("styles")
    if node is None or node.value is None:
        return source
    file, wanted = (node, None) if isinstance(node.value, str) else (node.get("file"), node.get("use"))
    if file is None or not isinstance(file.value, str):
        return source  # What is wrong with it is found with the other keys.
    if source.document.get("axes", AXIS) is not None:
        message, fix = "the file has an axis named 'style' already", "give the axis another name"
        raise InputRefused(node.problem("styles", message, key="styles", fix=fix))
    folder = source.path.parent if source.path else Path()
    styles = _chosen(read_styles(folder / file.value), wanted)
    rows = tuple(_styled(source, row, style) for row in source.rows for style in styles)
    return replace(source, rows=rows, columns=source.columns | {AXIS})


def _chosen(styles: tuple[Style, ...], wanted: Node | None) -> tuple[Style, ...]:
    """The styles that are wanted, in that order; all of them where none is named."""
    if wanted is None or wanted.value is None:
        return styles
    by_name = {style.name: style for style in styles}
    items = wanted.value if isinstance(wanted.value, tuple) else (wanted,)
    problems = [
        item.problem(
            "styles", f"there is no style {item.value!r}", key="styles.use", fix=suggest(item.value, list(by_name))
        )
        for item in items
        if isinstance(item.value, str) and item.value not in by_name
    ]
    if problems:
        raise InputRefused(problems)
    return tuple(dict.fromkeys(by_name[item.value] for item in items if isinstance(item.value, str)))


def _styled(source: Source, row: Node, style: Style) -> Node:
    """A row with one style's words in its prompt and negative prompt."""
    cells = dict(row.items())
    for key, words in (("prompt", style.prompt), ("negative", style.negative)):
        node = cells.get(key) or source.document.get(key)
        written = node.value if node and isinstance(node.value, str) else ""
        text = _merge(written, words)
        if text and (key == "negative" or node is not None):
            cells[key] = replace(node, value=text) if node else Node(value=text, file=row.file, line=row.line)
    cells[AXIS] = Node(value=escape_template(style.name), file=row.file, line=row.line)
    return replace(row, value=cells)


def _merge(written: str, words: str) -> str:
    """A prompt in the words of a style, which are text but for the place of the prompt."""
    if PLACE in words:
        return written.join(escape_template(part) for part in words.split(PLACE))
    return ", ".join(part for part in (written.strip(), escape_template(words)) if part)


def _rows(text: str, path: Path) -> Iterator[tuple[Mapping[str, str], int]]:
    """The records of the table by column, with the line that each begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] = []
    line = 1
    try:
        for cells in reader:
            first, line = line, reader.line_num + 1
            if not columns:
                columns = [re.sub(r"\s+", "_", cell.strip().lower()) for cell in cells]
                if "name" not in columns:
                    fix = "write name,prompt,negative_prompt on the first line"
                    raise InputRefused(_problem(path, first, "the table has no column 'name'", fix))
            elif any(cell.strip() for cell in cells):
                yield dict(zip(columns, cells, strict=False)), first
    except csv.Error as error:
        fix = 'write a quote inside a quoted cell twice: "a ""b"" c"'
        raise InputRefused(_problem(path, line, f"not CSV: {error}", fix)) from None


def _problem(path: Path, line: int, message: str, fix: str) -> Problem:
    return Problem(code="styles", message=message, file=str(path), line=line, fix=fix)
