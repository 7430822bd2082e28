"""The page of a report on an adapter: `report.html`, one file beside its pictures, without scripts.

Made from `report.json` alone (evaluation/adapter_report.py writes it), so that it can be made again at any time.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from designkit.errors import InputRefused, Problem
from designkit.files import write_durably

REPORT, PAGE = "report.json", "report.html"

_STYLE = Path(__file__).parent / "static" / "report.css"

Document = Mapping[str, Any]


def write_adapter_page(folder: str | Path) -> Path:
    """Write `report.html` of the `report.json` in an adapter's folder and return its path.

    Raises InputRefused where there is no report, StorageError where the page cannot be written.
    """
    folder = Path(folder)
    try:
        document = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputRefused(
            Problem(
                code="report-missing", file=str(folder / REPORT), message="there is no report, or it is damaged",
                fix="make it with `designkit evaluate ADAPTER_FOLDER`",
            )
        ) from None  # fmt: skip
    path = folder / PAGE
    write_durably(path, page_html(document).encode())
    return path


def page_html(document: Document) -> str:
    """The text of the page."""
    style = _STYLE.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; base-uri 'none'; img-src 'self' file: data:; style-src 'sha256-{digest}'"
    body = "\n".join(part for make in _SECTIONS for part in make(document))
    title = html.escape(f"{document['adapter']}: brand report")
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{title}</title>\n<style>{style}</style>\n'
        f"</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def headlines(document: Document) -> list[tuple[str, str, str, str]]:
    """What somebody wants to know first: title, figure, sentence, and `good`, `bad` or `plain`, one a question."""
    measures = {measure["key"]: measure for measure in document["measures"]}
    likeness = [measure for key, measure in measures.items() if key.startswith("likeness[")][-1]
    drift = [measure for key, measure in measures.items() if key.startswith("drift[")][-1]
    return [
        _palette_card(measures["palette_distance"]), _look_card(likeness), _prompt_card(measures),
        _drift_card(drift, measures["leak"]), _copy_card(document["copies"]),
    ]  # fmt: skip


def _palette_card(measure: Document) -> tuple[str, str, str, str]:
    base, adapter = measure["base"]["mean"], measure["adapter"]["mean"]
    closer = (base - adapter) / base if base else 0.0
    figure = f"{_percent(closer)} closer" if closer >= 0 else f"{_percent(-closer)} further"
    text = f"Off the palette by {adapter:.1f} instead of {base:.1f} (CIEDE2000)"
    text += f"; the brand's own pictures are off by {measure['own']:.1f}." if measure["own"] is not None else "."
    return "Colours", figure, text, _tone(measure)


def _look_card(measure: Document) -> tuple[str, str, str, str]:
    base, adapter, own = measure["base"]["mean"], measure["adapter"]["mean"], measure["own"]
    if own is None or own <= base:
        text = "The base model's pictures are as like the brand's as those are among themselves, by this measure."
        return "Look", f"{adapter - base:+.3f}", text, _tone(measure)
    way = (adapter - base) / (own - base)
    text = (
        f"of the way from the base model to the brand's own pictures ({_of(measure)}: {base:.3f} to {adapter:.3f}, "
        f"its own pictures {own:.3f})."
    )
    return "Look", _percent(way), text, _tone(measure)


def _prompt_card(measures: Mapping[str, Document]) -> tuple[str, str, str, str]:
    measure = measures.get("adherence") or next((m for key, m in measures.items() if key.startswith("text[")), None)
    if measure is None:
        return "Prompts", "not measured", "No network that reads text is at hand; see below.", "plain"
    change = measure["change"]
    is_share = measure["key"] == "adherence"
    scale, unit = (100, " points") if is_share else (1, "")
    figure = f"{scale * change['mean']:+.{0 if is_share else 1}f}{unit}"
    low, high = (f"{scale * change[key]:+.{0 if is_share else 1}f}" for key in ("low", "high"))
    text = (
        f"Facts of unrelated prompts that are drawn: {_share(measure['base'])} without the adapter, "
        f"{_share(measure['adapter'])} with it ({measure['count']} prompts; change {low} to {high})."
        if is_share
        else f"Change of {_of(measure)} over {measure['count']} pictures ({low} to {high})."
    )
    return "Prompts", figure, text, _tone(measure)


def _drift_card(drift: Document, leak: Document) -> tuple[str, str, str, str]:
    share = drift["share"]
    text = "is how far pictures of other prompts moved, where 100 % is the distance between two different prompts. "
    change = leak["change"]
    if change["high"] < 0:
        text += f"They came {-change['mean']:.1f} nearer to the brand's palette: its colours leak."
    else:
        text += "They did not come nearer to the brand's palette."
    return "Other prompts", _percent(share), text, "bad" if share > 0.5 else "plain" if share > 0.25 else "good"


def _copy_card(copies: Document) -> tuple[str, str, str, str]:
    figure = f"{copies['count']} of {copies['of']}"
    text = (
        f"pictures are much nearer to one of the brand's than to all others (the base model: {copies['base_count']}). "
        "Look at the nearest ones below."
    )
    is_more = copies["count"] > copies["base_count"]
    return "Likely copies", figure, text, "bad" if is_more else "good"


def _header(document: Document) -> Iterator[str]:
    facts = [
        f"{document['method']} adapter, rank {document['rank']}" if document["method"] else "adapter",
        f"for {document['model']}",
        f"from {document['pictures']} pictures, {document['held_out']} held out",
    ]
    if document["best_step"]:
        facts.append(f"state of step {document['best_step']:,}, the best by held-out loss")
    yield f'<header><p class="kind">Brand report</p><h1>{html.escape(document["adapter"])}</h1>'
    yield f'<p class="facts">{html.escape("; ".join(facts))}</p>'
    swatches = "".join(
        f'<li><svg viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10" fill="{html.escape(colour)}"/>'
        f"</svg>{html.escape(colour)}</li>"
        for colour in document["palette"]
    )
    yield f'<ul class="palette" aria-label="Palette">{swatches}</ul>'
    yield f'<p class="facts">Palette: {html.escape(document["palette_from"])}</p></header>'


def _cards(document: Document) -> Iterator[str]:
    yield '<section class="cards" aria-label="In short">'
    for title, figure, text, tone in headlines(document):
        yield (
            f'<article class="card {tone}"><h2>{html.escape(title)}</h2><p class="figure">{html.escape(figure)}</p>'
            f"<p>{html.escape(text)}</p></article>"
        )
    yield "</section>"


def _pairs(document: Document) -> Iterator[str]:
    yield "<section><h2>Side by side</h2>"
    yield (
        '<p class="lead">The same prompt from the same seed, without the adapter and with it at strength 1, beside the '
        "picture whose caption this is. What is marked <b>held out</b> was never learned from.</p>"
    )
    yield '<div class="pairs">'
    for pair in document["pairs"]:
        mark = ' <b class="mark">held out</b>' if pair["held_out"] else ""
        own = _figure(pair["own"], "brand's own") if pair["own"] else ""
        yield (
            f'<div class="pair"><div class="row">{_figure(pair["base"], "base")}'
            f"{_figure(pair['adapter'], 'adapter')}{own}</div>"
            f'<p class="prompt">{html.escape(pair["prompt"])} <small>seed {pair["seed"]}</small>{mark}</p></div>'
        )
    yield "</div></section>"


def _strength(document: Document) -> Iterator[str]:
    strength = document["strength"]
    if not strength["rows"]:
        return
    yield "<section><h2>At other strengths</h2>"
    yield (
        '<p class="lead">One seed a row. <code>weight</code> in a prompt file sets the strength; 0 is the base model. '
        "Take the smallest that looks like the brand: more costs variety.</p>"
    )
    yield '<div class="scroll"><table class="grid"><thead><tr><td></td>'
    yield "".join(f'<th scope="col">{weight:g}</th>' for weight in strength["strengths"]) + "</tr></thead><tbody>"
    for row in strength["rows"]:
        cells = "".join(f"<td>{_picture(file)}</td>" for file in row["files"])
        yield f'<tr><th scope="row">{html.escape(row["prompt"])}</th>{cells}</tr>'
    for title, key, digits in (("off the palette", "palette_distance", 1), ("like the brand", "likeness", 3)):
        cells = "".join(
            f'<td class="number">{"" if value is None else format(value, f".{digits}f")}</td>'
            for value in strength[key]
        )
        yield f'<tr class="scores"><th scope="row">{title}</th>{cells}</tr>'
    yield "</tbody></table></div></section>"


def _measures(document: Document) -> Iterator[str]:
    yield "<section><h2>All measures</h2>"
    yield (
        '<p class="lead">Means, with 95 % bootstrap intervals of the change from base to adapter on the same prompts '
        "and seeds. An interval that holds 0 is no clear change.</p>"
    )
    yield '<div class="scroll"><table class="measures"><thead><tr><th scope="col">measure</th><th scope="col">base</th>'
    yield '<th scope="col">adapter</th><th scope="col">change</th><th scope="col">brand\'s own</th></tr></thead><tbody>'
    for measure in document["measures"]:
        digits, change = measure["digits"], measure["change"]
        own = "" if measure["own"] is None else f"{measure['own']:.{digits}f}"
        better = {"higher": "higher is better", "lower": "lower is better", None: ""}[measure["better"]]
        yield (
            f'<tr><th scope="row">{html.escape(measure["title"])}<small>{html.escape(measure["about"])}'
            f"{'; ' if better else ''}{better}</small></th>"
            f'<td class="number">{measure["base"]["mean"]:.{digits}f}</td>'
            f'<td class="number">{measure["adapter"]["mean"]:.{digits}f}</td>'
            f'<td class="number {measure["verdict"]}">{change["mean"]:+.{digits}f}'
            f"<small>{change['low']:+.{digits}f} to {change['high']:+.{digits}f}</small></td>"
            f'<td class="number">{own}</td></tr>'
        )
    yield "</tbody></table></div>"
    if document["not_measured"]:
        yield "<h3>Not measured</h3><ul>"
        yield "".join(
            f"<li><b>{html.escape(row['title'])}</b> {html.escape(row['why'])}</li>" for row in document["not_measured"]
        )
        yield "</ul>"
    yield "</section>"


def _copies(document: Document) -> Iterator[str]:
    copies = document["copies"]
    yield "<section><h2>Copies</h2>"
    yield (
        '<p class="lead">The pictures nearest to one of the brand\'s, beside it. The ratio is the distance to the '
        f"nearest of the brand's pictures over that to the next; below {copies['limit']:g} a picture is likely a copy. "
        "Pictures that are all alike make low ratios without any copying: compare with the base model's, and look.</p>"
    )
    yield '<div class="pairs">'
    for pair in copies["nearest"]:
        mark = ' <b class="mark">likely a copy</b>' if pair["ratio"] < copies["limit"] else ""
        yield (
            f'<div class="pair"><div class="row">{_figure(pair["file"], "drawn")}'
            f'{_figure(pair["own"], pair["own_name"])}</div><p class="prompt">ratio {pair["ratio"]:.2f} '
            f"<small>base model {pair['base_ratio']:.2f}</small>{mark}</p></div>"
        )
    yield "</div></section>"


def _others(document: Document) -> Iterator[str]:
    yield "<section><h2>Prompts that do not name the brand</h2>"
    yield (
        '<p class="lead">What the adapter does where it is not asked for: base and adapter from the same seed, those '
        "that moved furthest first. A tick says that every fact of the prompt was found in the picture.</p>"
    )
    yield '<div class="pairs small">'
    for row in sorted(document["others"], key=lambda row: -row["drift"]):
        base, adapter = (
            (f"{name} {'✓' if right else '✗'}" for name, right in zip(("base", "adapter"), row["right"], strict=True))
            if row["right"]
            else ("base", "adapter")
        )
        yield (
            f'<div class="pair"><div class="row">{_figure(row["base"], base)}{_figure(row["adapter"], adapter)}</div>'
            f'<p class="prompt">{html.escape(row["prompt"])} <small>drift {row["drift"]:.3f}</small></p></div>'
        )
    yield "</div></section>"


def _caveats(document: Document) -> Iterator[str]:
    yield '<section class="caveats"><h2>What this report does not say</h2><ul>'
    yield (
        f"<li>It rests on {len(document['pairs'])} pictures of the brand, {len(document['others'])} of other prompts. "
        "The intervals say how much another draw of prompts and seeds like these would change, not what other prompts "
        "do.</li>"
        f"<li>Likeness is measured by {html.escape(', '.join(document['extractors']))}. Design descriptors see colour, "
        "pattern and layout; they recognise neither a mark nor a product. Whether the mark is right, only people see."
        "</li><li>No interval covers the training itself: another seed would have learned another adapter.</li>"
        f"<li>The model's licence is {html.escape(str(document['model_licence']))}; the rights in the pictures are "
        "yours to check.</li>"
    )
    if document["failures"]:
        names = html.escape(", ".join(document["failures"]))
        yield f"<li>{len(document['failures'])} pictures could not be drawn and are missing: {names}.</li>"
    yield "</ul></section>"


_SECTIONS: Sequence[Callable[[Document], Iterator[str]]] = (
    _header, _cards, _pairs, _strength, _measures, _others, _copies, _caveats,
)  # fmt: skip


def _figure(file: str, caption: str) -> str:
    return f"<figure>{_picture(file)}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _picture(file: str) -> str:
    return f'<img src="{html.escape(file)}" alt="" loading="lazy">'


def _tone(measure: Document) -> str:
    return {"better": "good", "worse": "bad"}.get(measure["verdict"], "plain")


def _share(interval: Document) -> str:
    return _percent(interval["mean"])


def _percent(share: float) -> str:
    return f"{round(100 * share)} %"


def _of(measure: Document) -> str:
    """The part of a measure's title that names by whom it is measured."""
    return str(measure["title"]).rpartition("by ")[2]
