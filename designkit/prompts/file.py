"""Reading prompt files: from the words on a command line to checked, frozen values, every mistake reported at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TextIO

from designkit.documents import Node, nearest, validate
from designkit.errors import InputRefused, Problem
from designkit.prompts.entries import Axis, CheckSize, Entry, Exclusion, read_entries
from designkit.prompts.sampling import Sample
from designkit.prompts.schema import PromptDocument
from designkit.prompts.scope import BRAND_WORDS
from designkit.prompts.seeds import Seeds
from designkit.prompts.sources import Source, apply_overrides, read_source
from designkit.prompts.styles import apply_styles
from designkit.values import Adapter

NEED_COUNT = ("random", "balanced", "latin")
BRAND_FILES = ("brand.yaml", "brand.yml", "_brand.yml")


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """The model that a file asks for; None is the model's own setting. Adapters' paths are as they open."""

    name: str = "starter"
    variant: str | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    adapters: tuple[Adapter, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PromptFile:
    """A checked prompt file.

    `name` is fit for a folder; `source` is what messages call it (its path, "standard input", "the prompt").
    `brand` is the folder of the brand kit, or a Design Tokens file; `formats` are files of sizes of one's own. Each
    of `entries` is one prompt with its axes and settings; `sizes`, `seeds` and `model` are those of the file, which
    entries of a table may replace.
    """

    name: str
    path: Path | None
    source: str
    kind: Literal["ad", "packaging", "branding"] | None
    brand: Path | None
    formats: tuple[Path, ...] = ()
    entries: tuple[Entry, ...]
    axes: tuple[Axis, ...]
    exclude: tuple[Exclusion, ...]
    zipped: tuple[tuple[str, ...], ...] = ()
    sizes: tuple[str, ...]
    seeds: Seeds
    sample: Sample
    model: ModelChoice
    warnings: tuple[Problem, ...] = ()
    document: Node = field(repr=False, compare=False)

    @property
    def negative(self) -> str:
        """The negative prompt of the first entry, as it was written."""
        return self.entries[0].negative.source

    def problem(self, code: str, message: str, *, key: str, fix: str | None = None) -> Problem:
        """A Problem at a dotted key of this file, or at the nearest key above it."""
        keys = key.split(".")
        while keys:
            node = self.document.get(*keys)
            if node is not None:
                return node.problem(code, message, key=key, fix=fix)
            keys.pop()
        return Problem(code=code, message=message, file=self.source, key=key, fix=fix)


def read_prompts(
    arguments: Sequence[str],
    *,
    overrides: Sequence[str] = (),
    stdin: TextIO | None = None,
    check_size: CheckSize | None = None,
    open_formats: Callable[[Sequence[Path]], CheckSize] | None = None,
    open_brand: Callable[[Path], Collection[str]] | None = None,
) -> tuple[PromptFile, ...]:
    """Read each argument: a prompt file (.yaml, .txt, .csv, .jsonl), `-` for standard input, or a bare prompt.

    `overrides` are `key=value` texts (a dotted key and a YAML value) laid over every file. `check_size` raises
    InputRefused for a text that is no size; without it sizes are checked when a plan is made. `open_formats` gives
    the check for a file that names sizes of its own, `open_brand` the words that a brand has (`brand.primary`)
    beside its name, style and what it avoids. Raises InputRefused with every mistake of every file.
    """
    files: list[PromptFile] = []
    problems: list[Problem] = []
    if not arguments:
        problems.append(
            Problem(code="no-prompts", message="no prompt file is given", fix="name one, or write a prompt")
        )
    for argument in arguments:
        try:
            source, mistakes = apply_overrides(read_source(argument, stdin), overrides)
            problems += mistakes
            source = apply_styles(source)
            outside = _Outside(check_size, open_formats, open_brand)
            files.append(_read_file(source, outside, from_shell=_names_brand(overrides)))
        except InputRefused as error:
            problems += error.problems
    problems += _name_problems(files)
    if problems:
        raise InputRefused(dict.fromkeys(problems))
    return tuple(files)


@dataclass(frozen=True)
class _Outside:
    """What is known beyond the words of a prompt file: sizes and brands."""

    check_size: CheckSize | None
    open_formats: Callable[[Sequence[Path]], CheckSize] | None
    open_brand: Callable[[Path], Collection[str]] | None

    def size_check(self, formats: Sequence[Path], problems: list[Problem]) -> CheckSize | None:
        """The check for sizes where these files name more of them."""
        if not formats or self.open_formats is None:
            return self.check_size if not formats else None
        try:
            return self.open_formats(formats)
        except InputRefused as error:
            problems += error.problems
            return None

    def brand_words(self, brand: Path | None, problems: list[Problem]) -> Collection[str]:
        """The words that a brand has; all of the kind where it cannot be read, the sure ones where nobody looks."""
        if self.open_brand is None:
            return BRAND_WORDS
        if brand is None:
            return _ANY_BRAND_WORD
        try:
            return self.open_brand(brand)
        except InputRefused as error:
            problems += error.problems
            return _ANY_BRAND_WORD


class _AnyBrandWord(tuple[str, ...]):
    """The words of a brand that cannot be read: every name of their kind, of which three are sure."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.startswith("brand.")


_ANY_BRAND_WORD = _AnyBrandWord(BRAND_WORDS)


def _read_file(source: Source, outside: _Outside, *, from_shell: bool) -> PromptFile:
    checked = validate(PromptDocument, source.document)
    problems = checked if isinstance(checked, list) else []
    document = None if isinstance(checked, list) else checked
    brand = _find_brand(source, problems, from_shell=from_shell)
    formats = tuple(_find_formats(source))
    has_brand = source.document.get("brand") is not None
    words = outside.brand_words(brand, problems) if has_brand else None
    reading = read_entries(source, document, outside.size_check(formats, problems), words)
    if document and document.sample.method in NEED_COUNT and document.sample.count is None:
        node = source.document.get("sample") or source.document
        method = document.sample.method
        message, fix = f"{method} sampling needs a count", f"write sample: {{method: {method}, count: 24}}"
        problems.append(node.problem("sample-count", message, key="sample", fix=fix))
    problems = list(dict.fromkeys([*problems, *reading.problems]))
    if problems or document is None:
        raise InputRefused(sorted(problems, key=lambda problem: problem.line or 0))
    first = reading.entries[0]
    return PromptFile(
        name=source.name,
        path=source.path,
        source=source.place,
        kind=document.kind,
        brand=brand,
        formats=formats,
        entries=tuple(reading.entries),
        axes=reading.axes,
        exclude=reading.exclude,
        zipped=reading.zipped,
        sizes=first.sizes,
        seeds=first.seeds,
        sample=Sample(method=document.sample.method, count=document.sample.count, seed=document.sample.seed),
        model=_model(source, document),
        warnings=tuple(dict.fromkeys(reading.warnings)),
        document=source.document,
    )


def _model(source: Source, document: PromptDocument) -> ModelChoice:
    written = document.model
    folder = source.path.parent if source.path else Path()
    adapters = tuple(
        Adapter(
            path=str(folder / adapter.path) if (folder / adapter.path).exists() else adapter.path, weight=adapter.weight
        )
        for adapter in written.adapters
    )
    return ModelChoice(
        name=written.name,
        variant=written.variant,
        steps=written.steps,
        guidance=written.guidance,
        scheduler=written.scheduler,
        adapters=adapters,
    )


def _names_brand(overrides: Sequence[str]) -> bool:
    return any(override.partition("=")[0].strip() == "brand" for override in overrides)


def _find_brand(source: Source, problems: list[Problem], *, from_shell: bool) -> Path | None:
    """The brand's folder: relative to the prompt file, then to `brands/` beside it; from a shell, as it is typed."""
    node = source.document.get("brand")
    if node is None or not isinstance(node.value, str):
        return None
    here = source.path.parent if source.path else Path()
    places = [here / node.value, here / "brands" / node.value]
    if from_shell:
        places.insert(0, Path(node.value))
    for place in places:
        if any((place / name).is_file() for name in BRAND_FILES) or (place.suffix == ".json" and place.is_file()):
            return place
    existing = next((folder for folder in places if folder.is_dir()), None)
    if existing is not None:
        message = f"the folder {existing} holds no brand.yaml"
        problems.append(
            node.problem("missing-brand", message, key="brand", fix="add one with the brand's name and style")
        )
        return None
    known = {path.parent.name: path for name in BRAND_FILES for path in here.glob(f"brands/*/{name}")}
    near = nearest(Path(node.value).name, list(known))
    fix = f"did you mean {known[near].parent.relative_to(here)}?" if near else "check the path, or remove the line"
    problems.append(node.problem("missing-brand", f"there is no brand at {places[0]}", key="brand", fix=fix))
    return None


def _find_formats(source: Source) -> Iterator[Path]:
    """The files of named sizes, relative to the prompt file."""
    node = source.document.get("formats")
    here = source.path.parent if source.path else Path()
    for item in node.value if node and isinstance(node.value, tuple) else (node,) if node else ():
        if isinstance(item.value, str):
            yield here / item.value


def _name_problems(files: Sequence[PromptFile]) -> list[Problem]:
    """Files that would share a run folder."""
    owners: Mapping[str, str] = {}
    problems: list[Problem] = []
    for file in files:
        folded = file.name.casefold()
        if folded in owners:
            message = f"it would be made in the same run folder ({file.name}) as {owners[folded]}"
            fix = "rename one of them, or run them one after the other with different --out"
            problems.append(Problem(code="same-name", message=message, file=file.source, fix=fix))
        else:
            owners = {**owners, folded: file.source}
    return problems
