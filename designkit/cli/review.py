"""`designkit review`: judge the pictures of a run on a local page, and export what was chosen."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from designkit.cli.console import note, plural, say, say_json
from designkit.cli.planning import AsJson
from designkit.cli.stopping import Stopped
from designkit.errors import InputRefused, Problem


def review(
    run: Annotated[Path, typer.Argument(help="The run folder.", show_default=False)],
    export: Annotated[
        Path | None, typer.Option("--export", help="Copy the picks here, with ratings and a table; serve no page.")
    ] = None,
    stars: Annotated[
        int | None, typer.Option("--stars", min=1, max=5, help="Export what has so many stars, not the picks.")
    ] = None,
    reviewer: Annotated[str, typer.Option("--reviewer", help="Whose verdicts they are.")] = "Reviewer",
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Judge the pictures of a run on a page of this machine: pick, reject, stars, blind votes on pairs."""
    if not re.fullmatch(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,60}", reviewer.strip()):
        raise InputRefused(
            Problem(
                code="reviewer",
                message=f"{reviewer!r} cannot be a reviewer's name",
                key="--reviewer",
                fix="give a name of 1 to 60 characters",
            )
        )
    if stars is not None and export is None:
        raise InputRefused(
            Problem(code="stars", message="--stars belongs to an export", key="--stars", fix="add --export FOLDER")
        )
    if export is not None:
        _export(run, export, stars, as_json)
    else:
        _serve(run, reviewer.strip(), open_browser=open_browser, as_json=as_json)


def _export(run: Path, folder: Path, stars: int | None, as_json: bool) -> None:
    from designkit.gallery.export import TABLE, export_review
    from designkit.runs.folder import read_run
    from designkit.runs.reviews import ReviewLog

    report = export_review(read_run(run), ReviewLog(run), folder, min_stars=stars)
    if as_json:
        say_json({**asdict(report), "folder": str(folder), "table": str(folder / TABLE), "errors": []})
        return
    for warning in report.warnings:
        note(f"warning: {warning}")
    removed = f", {len(report.removed):,} of an earlier choice removed" if report.removed else ""
    say(f"{plural(len(report.copies), 'picture')} in {folder}{removed}")
    say(f"  all verdicts  {folder / TABLE}")


def _serve(run: Path, reviewer: str, *, open_browser: bool, as_json: bool) -> None:
    try:
        from designkit.gallery.server import Review, serve
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("starlette", "uvicorn", "h11", "anyio"):
            raise
        raise InputRefused(
            Problem(
                code="extra-missing",
                message=f"the review page needs {error.name}, which is not installed",
                fix="pip install 'designkit[review]'; exporting works without it",
            )
        ) from None
    from designkit.gallery.page import write_page
    from designkit.runs.folder import read_run

    def announce(address: str) -> None:
        if as_json:
            say_json({"address": address, "run": str(run), "errors": []})
        else:
            say(f"Review of {run}: open this link, which works once; Ctrl-C ends the review.\n  {address}")
        # Whoever reads this through a pipe waits for it.
        print(end="", flush=True)
        if open_browser:
            import webbrowser

            webbrowser.open(address)

    # Before the page is up, so that a folder without a run is told at once.
    read_run(run)
    server = Review(run, reviewer=reviewer)
    try:
        serve(server, announce)
    except Stopped as stopped:
        _finish(server, write_page(read_run(run)), as_json)
        # Ctrl-C is how a review ends; anything else that stops it is told by the exit code.
        if stopped.exit_code != 130:
            raise typer.Exit(stopped.exit_code) from None


def _finish(server: object, page: Path, as_json: bool) -> None:
    from designkit.gallery.server import Review
    from designkit.runs.preferences import contests_of

    assert isinstance(server, Review)
    standings = server.log.standings().values()
    picks = sum(standing.flag == "pick" for standing in standings)
    if as_json:
        return
    judged = sum(standing.flag != "none" or standing.stars > 0 for standing in standings)
    say(f"{plural(judged, 'picture')} judged, {picks:,} picked, {plural(len(contests_of(server.log.votes())), 'vote')}")
    say(f"  page    {page}")
    if picks:
        say(f"  export  designkit review {server.path} --export FOLDER")
