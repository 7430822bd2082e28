"""`designkit lint`: what is wrong, risky or wasteful in prompt files, for people, editors and build servers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from designkit.cli.console import plural, problem_json, say, say_json
from designkit.cli.planning import AsJson, Model, Overrides, Prompts
from designkit.errors import InputRefused

LEVELS = ("error", "warning", "note")


def lint(
    prompts: Prompts,
    model: Model = None,
    overrides: Overrides = None,
    banned: Annotated[
        Path | None, typer.Option("--banned", help="A text file of words that no prompt may have, one a line.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Count warnings as errors.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check prompt files without drawing: exit code 0, or 2 where there are errors (with --strict: warnings)."""
    from designkit.batch.lint import lint as find
    from designkit.batch.lint import read_banned

    words = read_banned(banned) if banned is not None else None
    findings = find(prompts, model=model, overrides=overrides or (), banned=words)
    counts = Counter(finding.level for finding in findings)
    if as_json:
        say_json(
            {
                f"{level}s": [problem_json(finding.problem) for finding in findings if finding.level == level]
                for level in LEVELS
            }
        )
    else:
        for finding in findings:
            problem = finding.problem
            place = f"{problem.place}: " if problem.place else ""
            say(f"{place}{finding.level} {problem.code}: {problem.message}")
            if problem.fix:
                say(f"  fix: {problem.fix}")
        told = ", ".join(plural(counts[level], level) for level in LEVELS if counts[level])
        say(told or "nothing to say")
    if counts["error"] or (strict and counts["warning"]):
        raise typer.Exit(InputRefused.exit_code)
