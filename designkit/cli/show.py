"""The commands that only look: `plan`, `models list`, `models show` and `doctor`."""

from __future__ import annotations

import itertools
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from designkit.cli.console import (
    duration,
    file_size,
    note,
    plural,
    print_warnings,
    problem_json,
    say,
    say_json,
    table,
)
from designkit.cli.planning import AsJson, Limit, Model, OptionalPrompts, Overrides, make_plans
from designkit.cli.speed import guess_speed
from designkit.errors import DesignkitError, InputRefused, ModelRefused, Problem, StorageError

if TYPE_CHECKING:
    from designkit.batch.plan import Plan
    from designkit.generators.base import ModelCard
    from designkit.values import ImageRequest

MAX_REQUESTS_JSON = 10_000
"""How many requests `plan --json` lists; `count` is exact beyond."""

NUM_SHOWN = 5
"""How many variants of each file `plan` shows."""

models_app = typer.Typer(help="The models that can be drawn with.", no_args_is_help=True, rich_markup_mode=None)


def print_version(is_wanted: bool) -> None:
    """Print the version and end, where it is wanted."""
    if is_wanted:
        from designkit import __version__

        say(__version__)
        raise typer.Exit


def plan(
    prompts: OptionalPrompts = None,
    model: Model = None,
    limit: Limit = None,
    overrides: Overrides = None,
    picture: Annotated[
        Path | None,
        typer.Option("--from", metavar="PICTURE", help="Print the prompt file that a PNG, JPEG or WebP was made with."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count the images of prompt files and show what they will be, without drawing any."""
    if picture is not None:
        _print_imported(picture, prompts, as_json=as_json)
        return
    prompts = prompts or []
    if not as_json:
        plans = make_plans(prompts, model=model, limit=limit, overrides=overrides)
        print_warnings(dict.fromkeys(problem for each in plans for problem in each.warnings))
        say("\n\n".join(_plan_text(each) for each in plans))
        return
    document: dict[str, Any] = {"count": 0, "requests": [], "files": [], "warnings": [], "errors": []}
    try:
        plans = make_plans(prompts, model=model, limit=limit, overrides=overrides)
    except DesignkitError as error:
        say_json(document | {"errors": [problem_json(problem) for problem in error.problems]})
        raise typer.Exit(error.exit_code) from None
    requests = itertools.chain.from_iterable(each.requests() for each in plans)
    warnings = dict.fromkeys(problem for each in plans for problem in each.warnings)
    say_json(
        document
        | {
            "count": sum(each.count for each in plans),
            "requests": [_request_json(request) for request in itertools.islice(requests, MAX_REQUESTS_JSON)],
            "files": [_plan_json(each) for each in plans],
            "warnings": [problem_json(problem) for problem in warnings],
        }
    )


def _print_imported(picture: Path, prompts: list[str] | None, *, as_json: bool) -> None:
    """Print the prompt file that is rebuilt from what a picture says about itself."""
    from designkit.batch.importing import import_picture

    if prompts:
        fix = "run the two one after the other: plan --from PICTURE > FILE.yaml, and then plan FILE.yaml"
        problem = Problem(code="option", message="--from makes a prompt file and takes none", file="--from", fix=fix)
        raise InputRefused(problem)
    imported = import_picture(picture)
    if not as_json:
        for text in imported.notes:
            note(f"note: {text}")
        say(imported.text.rstrip("\n"))
        return
    found = asdict(imported.settings)
    say_json({"prompt_file": imported.text, "settings": found, "notes": list(imported.notes), "errors": []})


@models_app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models that are on this disk and ready to draw."""
    from designkit.generators.catalog import list_cards

    cards = list_cards()
    if as_json:
        say_json({"models": [card_json(card) for card in cards], "errors": []})
        return
    rows = [(card.name, _one_line(card)) for card in cards]
    say(table(rows, indent=""))
    say("\nAlso: a folder in the diffusers layout, a .safetensors file, or a Hub id such as org/model@revision.")


@models_app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help="starter, draft, a Hub id (with @revision), a folder or a file.")],
    as_json: AsJson = False,
) -> None:
    """Show what a model is, what it accepts, and under which licence."""
    from designkit.generators.catalog import find_card

    card = find_card(name)
    if as_json:
        say_json(card_json(card))
        return
    facts = card_json(card)
    facts["accepts"] = ", ".join(facts["accepts"]) or "the prompt alone"
    facts["native_sizes"] = ", ".join(str(size) for size in card.native_sizes)
    facts["notes"] = "; ".join(card.notes)
    if card.num_parameters is not None:
        facts["num_parameters"] = f"{card.num_parameters:,}"
    say(
        table(
            ((key.replace("_", " "), str(value)) for key, value in facts.items() if value not in (None, "")), indent=""
        )
    )


def card_json(card: ModelCard) -> dict[str, Any]:
    """A model card as `--json` gives it."""
    return {
        "name": card.name,
        "family": card.family,
        "pipeline": card.pipeline,
        "licence": card.licence,
        "commercial_use": card.commercial_use,
        "revision": card.revision,
        "folder": str(card.folder) if card.folder else None,
        "num_parameters": card.num_parameters,
        "native_sizes": [str(size) for size in card.native_sizes],
        "size_multiple": card.size_multiple,
        "min_side_px": card.min_side_px,
        "max_pixels": card.max_pixels,
        "accepts": sorted(card.accepts),
        "default_steps": card.default_steps,
        "default_guidance": card.default_guidance,
        "notes": list(card.notes),
    }


def _plan_text(plan: Plan) -> str:
    """What a plan comes to, on a few lines."""
    card = plan.card
    sizes = [str(size) if size == drawn else f"{size} (drawn at {drawn})" for size, drawn in plan.drawn.items()]
    images = plural(plan.count, "image")
    rows = [
        ("variants", f"{plan.num_variants:,}" + (f", the first {images} of them" if plan.limit == plan.count else "")),
        ("sizes", ", ".join(sizes)),
        ("model", f"{card.name}, licence {card.licence}, commercial use: {card.commercial_use}"),
        *[("adapter", f"{adapter.path} at {adapter.weight:g}") for adapter in plan.file.model.adapters],
        ("takes", _takes(plan)),
    ]
    lines = [f"{plan.file.source}: {images}", table(rows)]
    for request in itertools.islice(plan.requests(), NUM_SHOWN):
        choices = ", ".join(f"{axis}: {value}" for axis, value in request.choices.items())
        lines.append(f"  - {request.prompt}" + (f"\n      {choices}" if choices else ""))
    if plan.count > NUM_SHOWN:
        lines.append(f"  ... and {plan.count - NUM_SHOWN:,} more")
    return "\n".join(lines)


def _takes(plan: Plan) -> str:
    """Time and disk space of a plan in words."""
    speed = guess_speed(plan, Path("outputs"))
    estimate = plan.estimate(speed.seconds_per_image)
    basis = "as the last run of it" if speed.is_measured else "a guess until a run has measured it"
    return f"about {duration(estimate.seconds)} ({basis}) and {file_size(estimate.disk_bytes)} on the disk"


def _plan_json(plan: Plan) -> dict[str, Any]:
    speed = guess_speed(plan, Path("outputs"))
    estimate, limits = plan.estimate(speed.seconds_per_image), plan.limits
    return {
        "name": plan.file.name,
        "file": plan.file.source,
        "count": plan.count,
        "variants": plan.num_variants,
        "sizes": [
            {
                "width": size.width,
                "height": size.height,
                "drawn_width": drawn.width,
                "drawn_height": drawn.height,
                "max_bytes": limits[size].max_bytes if size in limits else None,
            }
            for size, drawn in plan.drawn.items()
        ],
        "model": card_json(plan.card),
        "seconds": round(estimate.seconds, 1),
        "seconds_are_measured": speed.is_measured,
        "disk_bytes": estimate.disk_bytes,
    }


def _request_json(request: ImageRequest) -> dict[str, Any]:
    return {
        "id": request.id,
        "file": request.file,
        "prompt": request.prompt,
        "negative": request.negative,
        "choices": dict(request.choices),
        "name": request.name,
        "copies": [dict(copy) for copy in request.copies],
        "width": request.size.width,
        "height": request.size.height,
        "drawn_width": request.drawn.width,
        "drawn_height": request.drawn.height,
        "seed": request.seed,
        "steps": request.steps,
        "guidance": request.guidance,
        "scheduler": request.scheduler,
        "adapters": [asdict(adapter) for adapter in request.adapters],
    }


def _one_line(card: ModelCard) -> str:
    sizes = ", ".join(str(size) for size in card.native_sizes[:3])
    return f"{card.family}, {sizes}, licence {card.licence} (commercial use: {card.commercial_use})"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of `doctor`: what was looked at, what was found, and what to do where that is not good."""

    name: str
    found: str
    is_good: bool = True
    fix: str | None = None
    exit_code: int = 0


def doctor(
    out: Annotated[Path, typer.Option("--out", help="Where runs are to go.")] = Path("outputs"), as_json: AsJson = False
) -> None:
    """Look at this machine: what pictures can be made with here, and what is in the way."""
    checks = list(_checks(out))
    if as_json:
        say_json({"checks": [asdict(check) for check in checks], "good": all(check.is_good for check in checks)})
    else:
        say(
            table(((check.name, check.found if check.is_good else f"{check.found} (!)") for check in checks), indent="")
        )
        for check in checks:
            if check.fix:
                say(f"{check.name}: {check.fix}")
    exit_code = max(check.exit_code for check in checks)
    if exit_code:
        raise typer.Exit(exit_code)


def _checks(out: Path) -> Iterator[Check]:
    from designkit import __version__

    yield Check(name="designkit", found=__version__)
    yield Check(name="python", found=f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield _compute_check()
    yield _memory_check()
    yield _disk_check(out)
    yield _starter_check()


def _compute_check() -> Check:
    """Torch, the device that it will use, and in which precision."""
    try:
        from designkit.models.device import choose_compute

        compute = choose_compute()
        import torch
    except (ImportError, OSError) as error:
        fix = "install designkit again in a fresh environment"
        return Check(name="torch", found=f"cannot be loaded: {error}", is_good=False, fix=fix, exit_code=1)
    where = torch.cuda.get_device_name(compute.device) if compute.device.type == "cuda" else compute.device.type
    cores = "1 core" if compute.threads == 1 else f"{compute.threads} cores"
    return Check(name="torch", found=f"{torch.__version__} on {where}, {cores}, {compute.precision} ({compute.reason})")


def _memory_check() -> Check:
    try:
        num_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return Check(name="memory", found="unknown")
    return Check(name="memory", found=file_size(num_bytes))


def _disk_check(out: Path) -> Check:
    """Whether runs can be written, tried in the nearest folder that exists."""
    from designkit.files import TEMPORARY_PREFIX, write_durably

    place = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    probe = place / f"{TEMPORARY_PREFIX}doctor"
    try:
        write_durably(probe, b"designkit")
        probe.unlink()
    except (StorageError, OSError) as error:
        fix = error.problems[0].fix if isinstance(error, StorageError) else str(error)
        return Check(name="disk", found=f"{place} cannot be written", is_good=False, fix=fix, exit_code=4)
    return Check(name="disk", found=f"{file_size(shutil.disk_usage(place).free)} free for {out}")


def _starter_check() -> Check:
    from designkit.generators.catalog import find_card

    try:
        card = find_card("starter")
    except ModelRefused as error:
        problem = error.problems[0]
        return Check(name="starter", found=problem.message, is_good=False, fix=problem.fix, exit_code=error.exit_code)
    assert card.folder is not None, "the starter lies in a folder"
    num_bytes = sum(path.stat().st_size for path in card.folder.rglob("*") if path.is_file())
    return Check(name="starter", found=f"there, {file_size(num_bytes)}, revision {card.revision[:12]}")
