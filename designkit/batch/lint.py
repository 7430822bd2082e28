"""Everything that can be said about prompt files before anything is drawn, sorted by how much it matters.

A plan's refusals are errors and its warnings are warnings; what a plan has no reason to say is added here: words that
the brand or a list of the user's own forbids, and sizes that lose much of what is drawn. Every code is explained in
`designkit/prompts/CODES.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import log
from pathlib import Path
from typing import Literal, TextIO

from designkit.batch.plan import MAX_CHECKED_VARIANTS, Plan, make_plan, read_prompts
from designkit.documents import Node
from designkit.errors import InputRefused, ModelRefused, Problem
from designkit.files import read_text
from designkit.generators.strength import parse_strength
from designkit.prompts.expand import Variant
from designkit.prompts.file import PromptFile

Level = Literal["error", "warning", "note"]

ERRORS_OF_A_RUN = frozenset(("too-many-images",))
"""What a plan only warns of and `generate` refuses."""

NOTES = frozenset(("first-variants",))
"""What a plan tells and that is most often meant."""

KEPT_SHARE = 0.6
"""A size that keeps less than this share of the drawn picture is told."""

STRETCH = 2.5
"""A drawn shape this many times longer or wider than any that the model was trained on is told."""

MAX_BANNED_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was found, and how much it matters: an error is refused by `generate`."""

    level: Level
    problem: Problem


@dataclass(frozen=True, kw_only=True)
class BannedWords:
    """Words that must not stand in a prompt, and who says so."""

    words: tuple[str, ...]
    code: str
    owner: str


def lint(
    arguments: Sequence[str],
    *,
    model: str | None = None,
    overrides: Sequence[str] = (),
    banned: BannedWords | None = None,
    stdin: TextIO | None = None,
) -> tuple[Finding, ...]:
    """Check prompt files as if they were to be drawn; what is wrong with one hides nothing in the others.

    `model` takes the place of each file's own. Raises nothing for what is wrong with the files: that is the outcome.
    """
    findings: dict[Finding, None] = {}
    try:
        files = read_prompts(arguments, overrides=overrides, stdin=stdin)
    except InputRefused as error:
        findings |= dict.fromkeys(Finding(level="error", problem=problem) for problem in error.problems)
        files = _readable(arguments, overrides)
    for file in files:
        if model is not None:
            file = replace(file, model=replace(file.model, name=model, variant=None))
        findings |= dict.fromkeys(_findings(file, banned))
    return tuple(findings)


def read_banned(path: Path) -> BannedWords:
    """The words and phrases of a file, one a line; lines that begin with `#` are comments. Raises InputRefused."""
    lines = (line.strip() for line in read_text(path, max_bytes=MAX_BANNED_BYTES).splitlines())
    words = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    return BannedWords(words=words, code="banned-word", owner=str(path))


def _readable(arguments: Sequence[str], overrides: Sequence[str]) -> tuple[PromptFile, ...]:
    """The files that can be read although others cannot; standard input is gone by now."""
    files: list[PromptFile] = []
    for argument in arguments:
        try:
            files += read_prompts([argument], overrides=overrides) if argument != "-" else ()
        except InputRefused:
            continue
    return tuple(files)


def _findings(file: PromptFile, banned: BannedWords | None) -> Iterator[Finding]:
    try:
        plan = make_plan(file)
    except (InputRefused, ModelRefused) as error:
        for problem in error.problems:
            place = (
                problem
                if problem.file
                else file.problem(problem.code, problem.message, key="model.name", fix=problem.fix)
            )
            yield Finding(level="error", problem=place)
        # What the file alone tells holds all the same.
        yield from (Finding(level="warning", problem=problem) for problem in file.warnings)
        return
    for problem in plan.warnings:
        level = "error" if problem.code in ERRORS_OF_A_RUN else "note" if problem.code in NOTES else "warning"
        yield Finding(level=level, problem=problem)
    for problem in _size_problems(plan):
        yield Finding(level="warning", problem=problem)
    lists = [BannedWords(words=_brand_avoids(file), code="brand-avoids", owner="the brand")]
    for each in [*lists, banned] if banned else lists:
        level = "warning" if each.code == "brand-avoids" else "error"
        yield from (Finding(level=level, problem=problem) for problem in _banned_problems(plan, each))


def _size_problems(plan: Plan) -> Iterator[Problem]:
    """Sizes of which the model draws much that is cropped away, or in a shape that it was never shown."""
    shapes = [log(size.width / size.height) for size in plan.card.native_sizes]
    for size, drawn in plan.drawn.items():
        scale = max(size.width / drawn.width, size.height / drawn.height)
        kept = size.width * size.height / (drawn.width * drawn.height * scale**2)
        if kept < KEPT_SHARE:
            message = (
                f"{size} keeps {kept:.0%} of the picture, which {plan.card.name} draws at {drawn}, "
                "unless its ground is plain and can be continued"
            )
            fix = "ask for a shape nearer to what the model draws, and keep what matters in the middle"
            yield plan.file.problem("size-cropped", message, key="sizes", fix=fix)
        shape = log(drawn.width / drawn.height)
        if min(abs(shape - native) for native in shapes) > log(STRETCH):
            message = (
                f"{size} is drawn at {drawn}, a shape that {plan.card.name} was not made for; it may repeat things"
            )
            fix = "draw it nearer to square and crop it, or compose it from a picture and copy"
            yield plan.file.problem("size-stretched", message, key="sizes", fix=fix)


def _brand_avoids(file: PromptFile) -> tuple[str, ...]:
    if file.brand is None:
        return ()
    from designkit.design.brand import read_brand

    return tuple(read_brand(file.brand).avoid)


def _banned_problems(plan: Plan, banned: BannedWords) -> Iterator[Problem]:
    """Each forbidden word once, where it is written, with how many of the variants have it in prompt or copy."""
    variants = islice(plan.expansion.sample(plan.words), MAX_CHECKED_VARIANTS)
    texts = [_read_by_people(variant) for variant in variants] if banned.words else []
    joined = "\n".join(texts)
    for word in banned.words:
        pattern = _pattern(word)
        if not pattern.search(joined):
            continue
        num_found = sum(pattern.search(text) is not None for text in texts)
        share = f"{num_found:,} of {len(texts):,} variants" if len(texts) > 1 else "the prompt"
        message = f"{banned.owner} forbids {word!r}, and {share} {'have' if num_found > 1 else 'has'} it"
        yield _place(plan.file, pattern, banned.code, message, fix="say it in other words, or leave it out")


def _read_by_people(variant: Variant) -> str:
    """The words that a variant draws or sets: its prompt and its copy, not what it keeps out of the picture."""
    copy = (text for texts in variant.copies for text in texts.values())
    return "\n".join((parse_strength(variant.prompt).text, *copy))


def _pattern(word: str) -> re.Pattern[str]:
    """A word or phrase in any case, alone, with or without a plural s, whatever spaces are in it."""
    parts = word.split()
    last = parts[-1].removesuffix("s") if len(parts[-1]) > 3 else parts[-1]
    spaced = r"\s+".join(re.escape(part) for part in (*parts[:-1], last))
    return re.compile(rf"(?<!\w){spaced}s?(?!\w)", re.IGNORECASE)


def _place(file: PromptFile, pattern: re.Pattern[str], code: str, message: str, *, fix: str) -> Problem:
    """A problem where a word is written, if it stands in the file as it does in the prompts, else at the prompt."""
    for key, node in _texts(file.document):
        match = pattern.search(str(node.value)) if not key.startswith(("negative", "brand")) else None
        if match:
            problem = node.problem(code, message, key=key, fix=fix)
            if node.text_line is None or node.text_line == node.line:
                return problem
            return replace(problem, line=node.text_line + str(node.value).count("\n", 0, match.start()))
    for entry in file.entries:
        if pattern.search(entry.prompt.source):
            return Problem(code=code, message=message, file=file.source, line=entry.line, key="prompt", fix=fix)
    return file.problem(code, message, key="prompt", fix=fix)


def _texts(node: Node, key: str = "") -> Iterator[tuple[str, Node]]:
    """Every text of a document with its dotted key, in order."""
    if isinstance(node.value, str):
        yield key, node
    elif isinstance(node.value, tuple):
        for item in node.value:
            yield from _texts(item, key)
    for name, below in node.items():
        yield from _texts(below, f"{key}.{name}" if key else name)
