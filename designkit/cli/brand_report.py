"""The brand report of an adapter, at the end of `designkit finetune` and by `designkit evaluate ADAPTER`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from designkit.cli.console import image_progress, note, say, say_json, table
from designkit.cli.stopping import check_stopped
from designkit.errors import DesignkitError

if TYPE_CHECKING:
    from designkit.evaluation.adapted import Subject
    from designkit.evaluation.extractors import Extractor


def report_command(
    adapter: Path, model: str | None, reference: Path | None, brand: Path | None, extractors: Sequence[str], *,
    as_json: bool,
) -> None:  # fmt: skip
    """Report on an adapter that is there already, and say what was found."""
    from designkit.evaluation.adapted import read_subject

    subject = read_subject(adapter, model=model, reference=reference)
    document, page = make_report(subject, brand=brand, extractors=extractors)
    if as_json:
        say_json({**document, "page": str(page), "errors": []})
    else:
        say_report(document, page)


def make_report(
    subject: Subject, *, brand: Path | None = None, extractors: Sequence[str] = (), num_steps: int | None = None
) -> tuple[dict[str, Any], Path]:
    """Draw, measure and write `report.json` and `report.html`: the document and the page's path."""
    from designkit.design.brand import read_brand
    from designkit.evaluation.adapter_report import AdapterReport
    from designkit.gallery.adapter_page import write_adapter_page
    from designkit.generators import open_generator

    kit = read_brand(brand) if brand is not None else None
    opened = _open_extractors(extractors)
    tuned = open_generator(subject.tuned_model) if subject.tuned_model else None
    report = AdapterReport(
        subject, open_generator(subject.model), tuned=tuned, brand=kit, extractors=opened, num_steps=num_steps
    )  # fmt: skip
    with image_progress("brand report", len(report.shots.all)) as advance:
        for _ in report.steps():
            advance()
            check_stopped()
    note("measuring ...")
    document = report.write()
    return document, write_adapter_page(subject.folder)


def report_after_training(folder: Path, *, num_steps: int | None) -> Path | None:
    """The report on what was just learned: its page, or None, and a word why, where it could not be made.

    What was learned is safe on the disk: nothing that goes wrong here may look as if it were lost.
    """
    from designkit.cli.judge import require_libraries
    from designkit.evaluation.adapted import read_subject

    try:
        require_libraries()
        document, page = make_report(read_subject(folder), num_steps=num_steps)
    except (DesignkitError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        note(
            f"no brand report: {reason}\n  what was learned is whole; make the report with: designkit evaluate {folder}"
        )
        return None
    say_report(document, page, to=note)
    return page


def say_report(document: dict[str, Any], page: Path, *, to: Callable[[str], None] = say) -> None:
    """The figures that somebody wants first, and where the rest is."""
    from designkit.gallery.adapter_page import headlines

    to(table([(title, f"{figure}  {text}") for title, figure, text, _ in headlines(document)]))
    to(f"  The report: {page}")


def _open_extractors(names: Sequence[str]) -> list[Extractor]:
    """Those that are asked for, else a DINO and a CLIP where they are on this disk already."""
    from designkit.evaluation.pretrained import installed_extractors
    from designkit.evaluation.report import open_extractor

    return [open_extractor(name) for name in names or installed_extractors()]
