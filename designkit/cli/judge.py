"""`designkit evaluate`: what the pictures of a run score, which choices are best, and how far they are from others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from designkit.cli.console import image_progress, note, plural, say, say_json
from designkit.cli.planning import AsJson, Model
from designkit.cli.stopping import check_stopped
from designkit.errors import ImagesFailed, InputRefused, Problem

if TYPE_CHECKING:
    from designkit.evaluation.extractors import Extractor
    from designkit.evaluation.report import Evaluation

MAX_LISTED = 5
"""How many broken pictures, groups or copies are named; the rest are in metrics.json."""


def evaluate(
    pictures: Annotated[
        Path | None,
        typer.Argument(metavar="RUN|FOLDER|ADAPTER", help="A run, a folder of pictures, or a fine-tuned adapter."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", metavar="FOLDER", help="Real pictures (or a run) to compare with.")
    ] = None,
    brand: Annotated[
        Path | None, typer.Option("--brand", metavar="FOLDER", help="The brand kit; that of the run unless given.")
    ] = None,
    extractors: Annotated[
        list[str] | None,
        typer.Option(
            "--extractor",
            metavar="NAME",
            help="Compare by it too: a CLIP, SigLIP or DINO folder or Hub id, or inception-2015-12-05.pt.",
        ),
    ] = None,
    bench: Annotated[
        Literal["design"] | None, typer.Option("--bench", help="Measure a model instead: design is DesignBench.")
    ] = None,
    model: Model = None,
    out: Annotated[Path, typer.Option("--out", help="Where the run of a benchmark goes.")] = Path("outputs"),
    as_json: AsJson = False,
) -> None:
    """Measure pictures: tables here, every number in metrics.json; run again, it goes on where it stopped."""
    if bench is not None:
        from designkit.cli.bench import run_bench

        run_bench(model or "starter", out, as_json=as_json)
        return
    if pictures is None:
        raise InputRefused(
            Problem(
                code="nothing-to-evaluate", message="neither pictures nor a benchmark are named",
                fix="name a run folder, or --bench design --model NAME",
            )
        )  # fmt: skip
    require_libraries()
    from designkit.evaluation.adapted import is_adapter

    if is_adapter(pictures):
        from designkit.cli.brand_report import report_command

        report_command(pictures, model, reference, brand, extractors or (), as_json=as_json)
        return
    from designkit.evaluation.cache import MeasureCache
    from designkit.evaluation.pictures import find_pictures
    from designkit.evaluation.report import Evaluation, write_report

    wanted = find_pictures(pictures)
    others = find_pictures(reference) if reference is not None else None
    kit = brand if brand is not None else wanted.brand
    brand_kit = None
    if kit is not None:
        from designkit.design.brand import read_brand

        brand_kit = read_brand(kit)
    from designkit.models.device import free_cores  # before torch: it decides how idle threads wait

    with MeasureCache() as cache:
        warning = cache.warning
        if warning:
            note(f"warning: {warning}")
        evaluation = Evaluation(
            wanted,
            extractors=_open_extractors(extractors or ()),
            cache=cache,
            reference=others,
            brand=brand_kit,
            threads=free_cores(),
        )
        _run(evaluation)
        if cache.warning != warning:
            note(f"warning: {cache.warning}")
    note("comparing ..." if others else "summing up ...")
    report = evaluation.report()
    if not as_json:
        # First of all: a folder that cannot be written to must not cost the results.
        for line in report_lines(report):
            say(line)
    path = write_report(pictures, report)
    page = _show_on_page(pictures) if wanted.is_run else None
    if as_json:
        say_json({**report, "metrics": str(path), "page": str(page) if page else None, "errors": []})
    else:
        say(f"  numbers        {path}")
        if page:
            say(f"  page           {page}")
    if _broken(report):
        raise typer.Exit(ImagesFailed.exit_code)


def require_libraries() -> None:
    """Refuse where what measures pictures is not installed; raises InputRefused."""
    missing = [name for name, module in (("scikit-image", "skimage"), ("scipy", "scipy")) if find_spec(module) is None]
    if missing:
        raise InputRefused(
            Problem(
                code="evaluate-needs-package",
                message=f"measuring pictures needs {' and '.join(missing)}, which designkit does not bring along",
                fix="pip install 'designkit[evaluate]'",
            )
        )


def _open_extractors(names: Sequence[str]) -> list[Extractor]:
    """Those that everyone has, then those that were asked for."""
    from designkit.evaluation.report import default_extractors, open_extractor

    note("opening the extractors ...")
    # Those asked for come first: what is wrong with them is told at once.
    asked_for = [open_extractor(name) for name in names]
    for extractor in asked_for:
        licence = f", licence {extractor.licence}" if extractor.licence else ""
        note(f"{extractor.name}: {extractor.resize}{licence}")
    return list({each.name: each for each in (*default_extractors(), *asked_for)}.values())


def _run(evaluation: Evaluation) -> None:
    """Measure everything, with a bar for each kind of work."""
    title = ""
    with ExitStack() as bars:
        advance: Callable[[], None] = check_stopped
        for step in evaluation.steps():
            if step.title != title:
                bars.close()
                title = step.title
                advance = bars.enter_context(image_progress(title, step.total))
            advance()
            check_stopped()


def _show_on_page(run: Path) -> Path:
    """Draw the run's page anew, with the scores on it."""
    from designkit.gallery.page import write_page
    from designkit.runs.folder import read_run

    return write_page(read_run(run))


def report_lines(report: dict[str, Any]) -> Iterator[str]:
    """What the terminal shows of a report."""
    brand = f", brand {report['brand']}" if report["brand"] else ""
    yield f"{report['name']}: {plural(report['count'], 'picture')} measured{brand}"
    yield from _broken_lines(report)
    if not report["count"]:
        return
    measures = {measure["key"]: measure for measure in report["measures"]}
    yield ""
    rows = [("measure", "mean", "95 % interval", "", "best picture")]
    for measure in measures.values():
        if measure["mean"] is None:
            continue
        digits = measure["digits"]
        interval = f"{measure['low']:.{digits}f} to {measure['high']:.{digits}f}"
        better = {"higher": "higher is better", "lower": "lower is better", None: ""}[measure["better"]]
        best = Path(measure["best"]).name if measure["best"] else ""
        rows.append((measure["title"], f"{measure['mean']:.{digits}f}", interval, better, _short(best, 44)))
    yield from _columns(rows)
    for axis, found in groupby(report["axes"], key=lambda row: row["axis"]):
        yield ""
        rows = [(f"by {axis}", "best", "then", "", "")]
        for row in found:
            measure = measures[row["measure"]]
            best, second = row["values"][:2]
            verdict = f"leads (p {row['p']:.2g})" if row["leads"] else f"within noise (p {row['p']:.2g})"
            rows.append((measure["title"], _entry(best, measure), _entry(second, measure), verdict, ""))
        yield from _columns(rows)
    if report["sets"]:
        yield ""
        yield from _set_lines(report)
    yield ""
    rows = [("diversity", "different pictures", "mean distance", "", "")]
    for row in report["diversity"]:
        count = f"{row['vendi']:.1f} of {report['count']}"
        if "reference_vendi" in row:
            count += f" (reference {row['reference_vendi']:.1f} of {report['reference']['count']})"
        rows.append((row["extractor"], count, f"{row['mean_distance']:.3g}", "", ""))
    yield from _columns(rows)
    yield ""
    yield from _warning_lines(report)


def _set_lines(report: dict[str, Any]) -> Iterator[str]:
    """The scores against the reference, each beside what two halves of the reference score at the same size."""
    size = next((row["floor_size"] for row in report["sets"] if row.get("floor_size")), 0)
    reference = report["reference"]
    count, paired = plural(reference["count"], "picture"), reference["paired_by"]
    yield f"  against {count} of {reference['name']} (paired by {paired})"
    rows = [("score", "value", "95 % interval", f"at {size} a side", "real against real")]
    for row in report["sets"]:
        if "low" not in row:
            rows.append((row["score"], f"{row['value']:.4g}", "", "", ""))
            continue
        at, floor = (f"{row[key]:.4g}" if row[key] is not None else "-" for key in ("value_at_floor", "floor"))
        rows.append((row["score"], f"{row['value']:.4g}", f"{row['low']:.4g} to {row['high']:.4g}", at, floor))
    yield from _columns(rows)
    yield "  pictures are resized: " + "; ".join(
        f"{name}: {resize}"
        for name, resize in {row["score"].partition("[")[2][:-1]: row["resize"] for row in report["sets"]}.items()
    )


def _warning_lines(report: dict[str, Any]) -> Iterator[str]:
    if report["duplicates"]:
        yield f"  {plural(len(report['duplicates']), 'group')} of near-duplicates:"
        for group in report["duplicates"][:MAX_LISTED]:
            yield f"    {_short(', '.join(Path(file).name for file in group), 150)}"
    else:
        yield "  no near-duplicates"
    copies = report.get("copies")
    if copies and copies["files"]:
        count = plural(len(copies["files"]), "possible copy").replace("copys", "copies")
        yield f"  {count} of a reference picture (copy ratio below 0.33 by {copies['by']}):"
        for file in copies["files"][:MAX_LISTED]:
            yield f"    {file}"


def _broken(report: dict[str, Any]) -> list[dict[str, str]]:
    """Pictures of either set that could not be read."""
    reference: dict[str, Any] = report["reference"] or {"broken": []}
    return [*report["broken"], *reference["broken"]]


def _broken_lines(report: dict[str, Any]) -> Iterator[str]:
    broken = _broken(report)
    for each in broken[:MAX_LISTED]:
        yield f"  left out: {each['file']}: {each['reason']}"
    if len(broken) > MAX_LISTED:
        yield f"  and {len(broken) - MAX_LISTED:,} more, listed in metrics.json"


def _entry(entry: dict[str, Any], measure: dict[str, Any]) -> str:
    digits = measure["digits"]
    numbers = f"{entry['mean']:.{digits}f} [{entry['low']:.{digits}f}, {entry['high']:.{digits}f}]"
    return f"{_short(entry['value'], 24)} {numbers}"


def _columns(rows: Sequence[tuple[str, str, str, str, str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True) if width]
        yield f"  {'  '.join(cells)}".rstrip()


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
