"""`designkit generate`: prompt files to run folders full of pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from designkit.cli.console import duration, image_progress, note, plural, print_warnings, problem_json, say, say_json
from designkit.cli.planning import AsJson, Limit, Model, Overrides, Prompts, make_plans
from designkit.cli.stopping import Stopped, check_stopped
from designkit.errors import ImagesFailed, InputRefused, Problem

if TYPE_CHECKING:
    from designkit.batch.generate import RunReport, Work
    from designkit.batch.plan import Plan
    from designkit.generators.base import Generator
    from designkit.runs.folder import RunFolder
    from designkit.values import Record

MAX_LISTED = 5
"""How many failed images, or images of an earlier plan, are named; the rest are counted."""

Precision = Literal["auto", "fp32", "bf16", "fp16"]


def generate(
    prompts: Prompts,
    model: Model = None,
    out: Annotated[Path, typer.Option("--out", help="Where the run folders go, one for each prompt file.")] = Path(
        "outputs"
    ),
    limit: Limit = None,
    overrides: Overrides = None,
    precision: Annotated[Precision, typer.Option("--precision", help="How the model computes.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Draw the images of prompt files into run folders; the same command again goes on where it stopped."""
    plans = make_plans(prompts, model=model, limit=limit, overrides=overrides)
    for plan in plans:
        plan.check_size()
    if fetch_models(plans):
        # Only now are the exact weights known, by which images are told apart.
        plans = make_plans(prompts, model=model, limit=limit, overrides=overrides)
    print_warnings(dict.fromkeys(problem for plan in plans for problem in plan.warnings))

    from designkit.runs.folder import open_run

    with ExitStack() as stack:
        # All of them at once: a place that cannot be written is better known before hours of drawing than after.
        runs = [stack.enter_context(open_run(out / plan.file.name)) for plan in plans]
        opened = OpenedModel(precision)
        documents: list[dict[str, Any]] = []
        for plan, run in zip(plans, runs, strict=True):
            began = time.monotonic()
            report = draw_run(plan, run, opened)
            document = finish_run(report, seconds=time.monotonic() - began)
            document["warnings"] += [problem_json(problem) for problem in plan.warnings]
            documents.append(document)
            if not as_json:
                _tell(report, document)
                print_warnings(replace(problem, file=report.folder.name) for problem in report.too_heavy)
    if as_json:
        say_json({"runs": documents, "errors": []})
    num_failed = sum(len(document["failed"]) for document in documents)
    if num_failed:
        note(f"{plural(num_failed, 'image')} could not be made; the same command tries them again.")
        raise typer.Exit(ImagesFailed.exit_code)


def fetch_models(plans: Sequence[Plan]) -> bool:
    """Download the models that are on the Hub alone; says whether there were any. Raises ModelRefused."""
    wanted = {
        (plan.file.model.name, plan.file.model.variant)
        for plan in plans
        if plan.card.folder is None and plan.card.family != "draft"
    }
    for name, variant in sorted(wanted, key=str):
        from designkit.generators.download import fetch

        note(f"fetching {name} from the Hub ...")
        model_id, _, revision = name.partition("@")
        fetch(model_id, revision or None, variant=variant)
    return bool(wanted)


class OpenedModel:
    """The model that was opened last, kept for the next run that wants the same."""

    def __init__(self, precision: Precision) -> None:
        self.precision: Precision = precision
        self._generator: Generator | None = None
        self._wish: tuple[str, str | None, dict[str, Any]] | None = None

    def generator_for(self, plan: Plan, run: RunFolder) -> Generator:
        """Open the plan's model, the way in which the run's earlier pictures were computed.

        Raises ModelRefused, and InputRefused where the precision asked for is not that of the run so far.
        """
        from designkit.batch.generate import resumed_settings
        from designkit.generators import open_generator

        resumed = resumed_settings(run, plan.card)
        before = resumed.get("precision")
        if run.records and before is not None and self.precision not in ("auto", before):
            raise InputRefused(
                Problem(
                    code="precision-changed",
                    message=f"the run was begun in {before}, and --precision {self.precision} would mix two kinds",
                    file=str(run.path),
                    fix="leave --precision out to go on with it, or choose another place with --out",
                )
            )
        choice = plan.file.model
        wish: dict[str, Any] = dict(resumed)
        wish.setdefault("precision", self.precision)
        if self._generator is None or self._wish != (choice.name, choice.variant, wish):
            # The old one goes first, so that two models never have to fit into memory.
            self._generator = None
            note(f"opening {choice.name} ...")
            self._generator = open_generator(
                choice.name,
                precision=wish["precision"],
                batch_size=wish.get("batch_size"),
                threads=wish.get("threads"),
                variant=choice.variant,
            )
            self._wish = (choice.name, choice.variant, wish)
        return self._generator


def draw_run(plan: Plan, run: RunFolder, opened: OpenedModel) -> RunReport:
    """Draw what is missing of a plan in an opened run folder, showing how it goes."""
    from designkit.batch.generate import changed_settings, draw_missing, find_work, refresh, report

    work = find_work(plan, run)
    records: list[Record] = []
    if not work.missing:
        refresh(work, run)
        return report(work, (), run)
    generator = opened.generator_for(plan, run)
    warnings = changed_settings(run, generator)
    for warning in warnings:
        note(f"warning: {run.path.name}: {warning}")
    _announce(work, run)
    try:
        with image_progress(run.path.name, len(work.missing)) as advance:
            for record in draw_missing(work, generator, run):
                records.append(record)
                advance()
                check_stopped()
    except Stopped:
        num_done = sum(run.records[request.id].status == "done" for request in work.wanted if request.id in run.records)
        note(f"{run.path.name}: {num_done} of {plural(len(work.wanted), 'image')} done")
        raise
    return report(work, tuple(records), run, warnings=warnings)


def finish_run(report: RunReport, *, seconds: float) -> dict[str, Any]:
    """Draw the contact sheet and the page of a run, and return what `--json` says of it."""
    from designkit.gallery.page import write_page
    from designkit.gallery.sheet import write_sheets
    from designkit.runs.folder import read_run

    contents = read_run(report.folder)
    sheets = write_sheets(contents)
    return {
        "name": report.folder.name,
        "folder": str(report.folder),
        "count": len(contents.records),
        "made": report.num_made,
        "kept": report.num_kept,
        "failed": [
            {"id": record.id, "prompt": record.prompt, "choices": dict(record.choices), "failure": record.failure}
            for record in report.failed
        ],
        "outside": [record.file for record in report.outside],
        "contact_sheets": [str(sheet) for sheet in sheets],
        "page": str(write_page(contents)),
        "seconds": round(seconds, 3),
        "warnings": [{"code": "settings-changed", "message": warning} for warning in report.warnings]
        + [problem_json(problem) for problem in report.too_heavy],
    }


def _announce(work: Work, run: RunFolder) -> None:
    kept = f", {len(work.kept):,} there already" if work.kept else ""
    note(f"{run.path.name}: {plural(len(work.missing), 'image')} to draw with {work.card.name}{kept}")


def _tell(report: RunReport, document: dict[str, Any]) -> None:
    """Say how a run ended and where its pictures are."""
    counts = [f"{report.num_made:,} made"]
    if report.num_kept:
        counts.append(f"{report.num_kept:,} there already")
    if report.failed:
        counts.append(f"{len(report.failed):,} failed")
    took = f" in {duration(document['seconds'])}" if report.num_made else ""
    say(f"{document['name']}: {plural(document['count'], 'image')} ({', '.join(counts)}){took}")
    for record in report.failed[:MAX_LISTED]:
        say(f"  failed: {' · '.join(record.choices.values()) or record.prompt}: {record.failure}")
    if len(report.failed) > MAX_LISTED:
        say(f"  and {len(report.failed) - MAX_LISTED:,} more, listed in {report.folder / 'manifest.jsonl'}")
    if report.outside:
        listed = ", ".join(str(file) for file in document["outside"][:MAX_LISTED])
        more = f" and {len(report.outside) - MAX_LISTED:,} more" if len(report.outside) > MAX_LISTED else ""
        say(f"  {plural(len(report.outside), 'image')} of an earlier plan stay: {listed}{more}")
    for sheet in document["contact_sheets"][:1]:
        say(f"  contact sheet  {sheet}")
    say(f"  page           {document['page']}")
