"""From a plan to pictures in a run folder: what is missing is drawn, and each picture is safe before it counts.

    with open_run(folder) as run:
        work = find_work(plan, run)
        for record in draw_missing(work, generator, run):
            ...                                    # one record an image, as soon as the disk has it

Pictures are encoded and saved in a second thread while the generator draws on. Stopping anywhere loses no
picture that was drawn, and the same calls afterwards carry on where it stopped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import platform
from collections import deque
from collections.abc import Generator as Generated
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, get_args

from designkit.batch.plan import Plan
from designkit.batch.weight import weight_problems, weight_warning
from designkit.design.formats import Format
from designkit.errors import Problem, StorageError
from designkit.generators.base import Generator, ModelCard, Precision
from designkit.runs.folder import RunFolder, open_run, picture_file
from designkit.runs.metadata import picture_texts
from designkit.runs.picture import encode_png
from designkit.values import GeneratedImage, ImageRequest, Record, Size

MAX_UNSAVED_IMAGES = 4
"""How many drawn pictures may wait to be saved before the generator has to wait for the disk."""

_VERSIONED = ("designkit", "torch", "diffusers", "transformers", "pillow", "numpy")
# The settings of a generator that its pictures' bytes depend on, and those of them that it can be opened with again.
_SETTINGS = ("device", "precision", "batch_size", "threads")
_SETTINGS_THAT_RESUME = ("precision", "batch_size", "threads")


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a run is to hold, what it holds already and what has to be drawn.

    `wanted` is the whole plan in order; `kept` are the records of those that are there already; `outside`
    are pictures made for an earlier plan, which stay; `limits` are the formats that a file may be too heavy for.
    """

    card: ModelCard
    plan_facts: Mapping[str, Any]
    wanted: tuple[ImageRequest, ...]
    kept: tuple[Record, ...]
    missing: tuple[ImageRequest, ...]
    outside: tuple[Record, ...]
    limits: Mapping[Size, Format]


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """How a run ended: how many images were made now and kept from before, and the failed and outside ones.

    `too_heavy` tells, format by format, which files ad servers would refuse for their weight.
    """

    folder: Path
    num_made: int
    num_kept: int
    failed: tuple[Record, ...]
    outside: tuple[Record, ...]
    warnings: tuple[str, ...]
    too_heavy: tuple[Problem, ...] = ()


def generate(plan: Plan, generator: Generator, folder: str | Path) -> RunReport:
    """Draw what the run folder does not hold yet of a plan, and say how it went.

    Raises StorageError where the folder cannot be written and RunInUse where another process writes to it.
    Images that fail are recorded and reported, and tried again by the next call.

        report = generate(make_plan(file), open_generator("draft"), "outputs/summer")
    """
    with open_run(Path(folder)) as run:
        work = find_work(plan, run)
        warnings = changed_settings(run, generator)
        return report(work, tuple(draw_missing(work, generator, run)), run, warnings=warnings)


def find_work(plan: Plan, run: RunFolder) -> Work:
    """Compare a plan with what the run folder holds; every picture in it is read and checked by its hash."""
    wanted = tuple({request.id: request for request in plan.requests()}.values())
    intact = run.intact(request.id for request in wanted)
    asked_for = {request.id for request in wanted}
    return Work(
        card=plan.card,
        plan_facts={
            "prompts": plan.file.document.plain(),
            "brand": str(plan.file.brand) if plan.file.brand else None,
            "model": dataclasses.asdict(plan.file.model),
            "limit": plan.limit,
            "count": len(wanted),
            "images": [request.id for request in wanted],
        },
        wanted=wanted,
        kept=tuple(run.records[request.id] for request in wanted if request.id in intact),
        missing=tuple(request for request in wanted if request.id not in intact),
        outside=tuple(record for id, record in run.records.items() if id not in asked_for and record.status == "done"),
        limits=plan.limits,
    )


def resumed_settings(run: RunFolder, card: ModelCard) -> dict[str, Any]:
    """The precision, batch size and threads that the run's pictures were made with, to open the generator with.

    Empty for a new run and for one that another model drew; the pictures of one run come out the same to the
    byte only where these stay the same.
    """
    if run.description.get("model", {}).get("revision") != card.revision:
        return {}
    settings = run.description.get("generator", {})
    resumed = {name: settings[name] for name in _SETTINGS_THAT_RESUME if name in settings}
    if resumed.get("precision") not in get_args(Precision):
        resumed.pop("precision", None)
    return resumed


def changed_settings(run: RunFolder, generator: Generator) -> tuple[str, ...]:
    """What differs from the way in which the run's earlier pictures were computed, one sentence each."""
    if not resumed_settings(run, generator.card) or not run.records:
        return ()
    before = {**run.description["generator"], **run.description["versions"]}
    now = {**_settings(generator), **_versions()}
    changes = [f"{name} {before.get(name)} -> {now[name]}" for name in now if before.get(name) != now[name]]
    if not changes:
        return ()
    return (f"new pictures may differ in rounding from those made before: {', '.join(changes)}",)


def draw_missing(work: Work, generator: Generator, run: RunFolder) -> Generated[Record]:
    """Draw what is missing and yield each image's record as soon as the disk has picture and record.

    Raises StorageError at the first picture that cannot be saved; what was yielded before is safe. Ending the
    iteration early, by an exception too, first saves what has been drawn.
    """
    if not work.missing:
        refresh(work, run)
        return
    run.describe(_description(work, generator.card, settings=_settings(generator), versions=_versions()))
    undrawn = {request.id: request for request in work.missing}
    with ThreadPoolExecutor(1, thread_name_prefix="save") as saver:
        unsaved: deque[Future[Record]] = deque()
        try:
            for image in generator.generate(work.missing):
                undrawn.pop(image.request.id, None)
                unsaved.append(saver.submit(_save, image, generator, run, work.limits))
                while unsaved and (unsaved[0].done() or len(unsaved) > MAX_UNSAVED_IMAGES):
                    yield unsaved.popleft().result()
            for request in undrawn.values():
                image = GeneratedImage(request=request, picture=None, failure="the generator ended without drawing it")
                unsaved.append(saver.submit(_save, image, generator, run, work.limits))
            while unsaved:
                yield unsaved.popleft().result()
        except StorageError:
            saver.shutdown(cancel_futures=True)
            raise


def report(work: Work, records: tuple[Record, ...], run: RunFolder, *, warnings: tuple[str, ...] = ()) -> RunReport:
    """The report on a run from its work and the records that drawing gave."""
    return RunReport(
        folder=run.path,
        num_made=sum(record.status == "done" for record in records),
        num_kept=len(work.kept),
        failed=tuple(record for record in records if record.status == "failed"),
        outside=work.outside,
        warnings=warnings,
        too_heavy=weight_problems(_weights(work, run), work.limits),
    )


def refresh(work: Work, run: RunFolder) -> None:
    """Bring `run.json` up to date with a plan that needs no drawing; raises StorageError."""
    before = run.description
    settings, versions = before.get("generator", {}), before.get("versions") or _versions()
    run.describe(_description(work, work.card, settings=settings, versions=versions))


def _description(
    work: Work, card: ModelCard, *, settings: Mapping[str, Any], versions: Mapping[str, str]
) -> dict[str, Any]:
    """What `run.json` holds: the plan, the model, how it computes here, and the versions of what computes."""
    return {
        "format": 1,
        "plan": work.plan_facts,
        "model": {
            **_model_facts(card),
            "family": card.family,
            "pipeline": card.pipeline,
            "num_parameters": card.num_parameters,
            "commercial_use": card.commercial_use,
            "notes": card.notes,
        },
        "generator": dict(settings),
        "versions": dict(versions),
    }


def _weights(work: Work, run: RunFolder) -> Iterator[tuple[Record, int]]:
    """The pictures of the plan that are there, with the bytes of their files; none where nothing limits them."""
    for request in work.wanted if work.limits else ():
        record = run.records.get(request.id)
        if record is not None and record.file is not None:
            with contextlib.suppress(OSError):
                yield record, (run.path / record.file).stat().st_size


def _save(image: GeneratedImage, generator: Generator, run: RunFolder, limits: Mapping[Size, Format]) -> Record:
    """Encode one picture, put it on the disk, then its record; a failed image gives a record alone."""
    request = image.request
    failure = _failure(image)
    record = Record(
        id=request.id,
        status="failed" if failure else "done",
        file=None,
        file_sha256=None,
        pixels_sha256=None,
        prompt=request.prompt,
        negative=request.negative,
        choices=dict(request.choices),
        seed=request.seed,
        width=request.size.width,
        height=request.size.height,
        settings={
            "steps": request.steps,
            "guidance": request.guidance,
            "scheduler": request.scheduler,
            "adapters": [dataclasses.asdict(adapter) for adapter in request.adapters],
            "drawn": str(request.drawn),
            **_settings(generator),
        },
        model=_model_facts(generator.card),
        seconds=round(image.seconds, 4),
        warnings=image.warnings,
        failure=failure,
        copies=request.copies,
    )
    if failure:
        return run.add(record, None)
    picture = image.image if image.image.mode in ("RGB", "RGBA") else image.image.convert("RGB")
    before = run.records.get(request.id)
    record = dataclasses.replace(
        record,
        file=before.file if before and before.file else picture_file(request),
        pixels_sha256=hashlib.sha256(picture.tobytes()).hexdigest(),
    )
    png = encode_png(picture, picture_texts(record))
    too_heavy = weight_warning(len(png), request.size, limits)
    if too_heavy is not None:
        record = dataclasses.replace(record, warnings=(*record.warnings, too_heavy))
    return run.add(record, png)


def _failure(image: GeneratedImage) -> str | None:
    """Why there is no picture to deliver, None where there is one."""
    if image.picture is None:
        return image.failure or "the generator gave neither a picture nor a reason"
    width, height = image.picture.size
    if (width, height) != (image.request.size.width, image.request.size.height):
        return f"the generator drew {width}x{height} instead of {image.request.size}"
    return None


def _model_facts(card: ModelCard) -> dict[str, Any]:
    return {"name": card.name, "revision": card.revision, "licence": card.licence}


def _settings(generator: Generator) -> dict[str, object]:
    return {name: generator.settings[name] for name in _SETTINGS if name in generator.settings}


def _versions() -> dict[str, str]:
    """The versions of Python and of the packages that pictures may depend on, as far as they are installed."""
    versions = {"python": platform.python_version()}
    for package in _VERSIONED:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
