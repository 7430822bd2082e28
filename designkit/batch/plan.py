"""From a prompt file to image requests: sizes, seeds and ids are decided here and only here.

    (file,) = read_prompts(["prompts/summer-soda-ad.yaml"])
    plan = make_plan(file, limit=12)
    print(plan.count, [str(problem) for problem in plan.warnings])
    for request in plan.requests(): ...

What the model cannot do is refused or reported here, before any weights load; torch is not imported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from designkit.batch.adapters import adapter_fingerprint, adapter_warnings, check_adapters, without_learned_words
from designkit.batch.brand_words import brand_words, far_words, placeholder_names
from designkit.batch.drawing import choose_drawn_size, enlargement
from designkit.batch.ids import Identity
from designkit.batch.looks import find_duplicates, look_of, sizes_of
from designkit.batch.strength import PromptAdapters, check_strength, strength_warnings
from designkit.batch.weight import weight_limits
from designkit.design.formats import BUILT_IN, Format, Formats, read_formats, resolve_size
from designkit.errors import InputRefused, Problem
from designkit.generators.base import ModelCard, Setting
from designkit.prompts.expand import Expansion, Variant
from designkit.prompts.file import PromptFile
from designkit.prompts.file import read_prompts as read_prompt_files
from designkit.values import Adapter, ImageRequest, Size

if TYPE_CHECKING:
    from designkit.design.brand import Brand

MAX_IMAGES = 10_000
"""More images than this are made only when a number is asked for."""

MAX_CHECKED_VARIANTS = 10_000
NUM_WORD_CHECKED_VARIANTS = 200  # of a plan that is larger
MAX_WORD_WARNINGS = 50

# What a PNG of a design takes, from flat shapes (less) to photographs (more); for estimates only.
_PNG_BYTES_PER_PIXEL = 1.2
_PNG_BYTES_AT_LEAST = 3_000

CheckPrompts = Callable[[ModelCard, Sequence[str]], Sequence[Problem]]
"""Says what a model will not make of prompts: words that it cuts off, words that it never learned."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a plan will take: drawing time and space on the disk."""

    seconds: float
    disk_bytes: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a prompt file asks of a model, decided and counted, but not yet expanded.

    `count` is the exact number of images: variants x sizes x seeds, less those that come out the same, at most
    `limit`. (Beyond 10,000 variants, those that come out the same are not looked for, and of their words only a
    part is checked; `requests` leaves out what comes out the same even so.) `num_variants` is the number of
    variants that the file's sample takes. `drawn` tells at which size each one asked for is drawn. `warnings`
    has what the model will not honour, once each.
    """

    file: PromptFile
    card: ModelCard
    count: int
    num_variants: int
    limit: int | None = None
    drawn: Mapping[Size, Size]
    warnings: tuple[Problem, ...] = ()
    too_many: Problem | None = None
    expansion: Expansion = field(repr=False, compare=False)
    words: Mapping[str, str] = field(repr=False, compare=False)
    formats: Formats = field(default=BUILT_IN, repr=False, compare=False)

    @property
    def limits(self) -> Mapping[Size, Format]:
        """For each size that has a weight limit, the strictest of the named formats that the file asks for."""
        return weight_limits(self.file, self.formats)

    def requests(self) -> Iterator[ImageRequest]:
        """The images in order, one by one: variant by variant, for each size, for each seed; none twice."""
        return islice(self._distinct(), self.limit)

    def check_size(self) -> None:
        """Raise InputRefused when the plan is larger than anyone makes by mistake, and no number was asked for."""
        if self.too_many is not None:
            raise InputRefused(self.too_many)

    def estimate(self, seconds_per_image: float) -> Estimate:
        """What the plan will take, at this speed, on average over its sizes."""
        sizes = [sizes_of(entry, self.card, self.formats) for entry in self.file.entries[:1000]]
        areas = [size.width * size.height for row in sizes for size in row]
        bytes_each = max(_PNG_BYTES_PER_PIXEL * sum(areas) / len(areas), _PNG_BYTES_AT_LEAST)
        return Estimate(seconds=self.count * seconds_per_image, disk_bytes=int(self.count * bytes_each))

    def _distinct(self) -> Iterator[ImageRequest]:
        seen: set[int] = set()
        maker = _Maker(self.file, self.card, self.drawn, self.formats)
        for variant in self.expansion.sample(self.words):
            for request in maker.requests(variant):
                key = int(request.id, 16)
                if key not in seen:
                    seen.add(key)
                    yield request


def read_prompts(
    arguments: Sequence[str], *, overrides: Sequence[str] = (), stdin: TextIO | None = None
) -> tuple[PromptFile, ...]:
    """Read each argument: a prompt file (.yaml, .txt, .csv, .jsonl), `-` for standard input, or a bare prompt.

    `overrides` are `key=value` texts (a dotted key and a YAML value) laid over every file. Raises InputRefused
    with every mistake of every file, the names of sizes included.
    """
    return read_prompt_files(
        arguments,
        overrides=overrides,
        stdin=stdin,
        check_size=resolve_size,
        open_formats=lambda paths: read_formats(paths).resolve,
        open_brand=_open_brand,
    )


def make_plan(
    file: PromptFile,
    *,
    card: ModelCard | None = None,
    limit: int | None = None,
    check_prompts: CheckPrompts | None = None,
) -> Plan:
    """Decide and count every image of a prompt file; `card` is found by the file's model name unless given.

    `limit` takes the first images only. Raises InputRefused for what cannot be made at all (an unknown size
    or scheduler, a damaged brand, adapters for a model that takes none), ModelRefused for a model or adapter
    that is missing; everything else that a model will not honour becomes a warning.
    """
    from designkit.generators.catalog import find_card

    card = card or find_card(file.model.name)
    problems: list[Problem] = []
    formats = read_formats(file.formats)
    brand = _read_brand(file, problems)
    file, brand_warnings = _with_brand(file, brand, card)
    words = brand_words(brand, card) if brand is not None else {}
    drawn = _drawn_sizes(file, card, formats, problems)
    problems += _refusals(file, card, limit)
    if problems:
        raise InputRefused(dict.fromkeys(problems))
    check_adapters(file, card)
    expansion = Expansion(file)
    if expansion.total == 0:
        fix = "exclude fewer combinations"
        raise InputRefused(file.problem("no-variants", "no combination is left to make", key="exclude", fix=fix))
    num_variants = expansion.num_sampled
    num_checked = num_variants if num_variants <= MAX_CHECKED_VARIANTS else NUM_WORD_CHECKED_VARIANTS
    variants = list(islice(expansion.sample(words), num_checked))
    check_strength(file, card, variants)
    duplicates, example = find_duplicates(card, variants, formats) if num_variants == len(variants) else (0, "")
    count = _num_images(file, card, expansion, num_variants, words, formats) - duplicates
    too_many = _too_many(file, count, limit)
    warnings = [
        *file.warnings,
        *brand_warnings,
        *_format_warnings(file, formats),
        *_setting_warnings(file, card),
        *_size_warnings(file, drawn),
        *_sample_warnings(file, expansion.total, num_variants),
        *_duplicate_warnings(file, duplicates, example),
        *strength_warnings(file, card, variants),
        *adapter_warnings(file, card),
        *_word_warnings(file, card, variants, check_prompts),
        *too_many,
    ]
    return Plan(
        file=file,
        card=card,
        count=count if limit is None else min(count, limit),
        num_variants=num_variants,
        limit=limit,
        drawn=drawn,
        warnings=tuple(dict.fromkeys(warnings)),
        too_many=next(iter(too_many), None),
        expansion=expansion,
        words=words,
        formats=formats,
    )


class _Maker:
    """Makes the requests of variants, with what is the same for all of them at hand."""

    def __init__(self, file: PromptFile, card: ModelCard, drawn: Mapping[Size, Size], formats: Formats) -> None:
        self.file = file
        self.card = card
        self.drawn = drawn
        self.formats = formats
        self._identity = Identity(card, variant=file.model.variant)
        self._sizes: dict[tuple[str, ...], tuple[Size, ...]] = {}
        self._in_prompts = PromptAdapters(file)
        self._fingerprints: dict[str, str] = {}

    def requests(self, variant: Variant) -> Iterator[ImageRequest]:
        settings = variant.settings
        look = look_of(variant, self.card)
        adapters = self.file.model.adapters
        if look.tags:
            adapters = (*adapters, *self._in_prompts.of(variant.prompt))
        fingerprints = [(self._fingerprint(adapter), adapter.weight) for adapter in adapters]
        if settings.sizes not in self._sizes:
            self._sizes[settings.sizes] = sizes_of(settings, self.card, self.formats)
        for size in self._sizes[settings.sizes]:
            drawn = self.drawn[size]
            ids = self._identity.ids(
                settings.seeds,
                prompt=look.prompt,
                negative=look.negative,
                size=size,
                drawn=drawn,
                steps=look.steps,
                guidance=look.guidance,
                scheduler=look.scheduler,
                adapters=fingerprints,
            )
            for seed, name in ids:
                yield ImageRequest(
                    id=name,
                    prompt=look.prompt,
                    negative=look.negative,
                    size=size,
                    drawn=drawn,
                    seed=seed,
                    steps=look.steps,
                    guidance=look.guidance,
                    scheduler=look.scheduler,
                    adapters=adapters,
                    choices=variant.choices,
                    file=self.file.source,
                    name=variant.name,
                    copies=variant.copies,
                )

    def _fingerprint(self, adapter: Adapter) -> str:
        if adapter.path not in self._fingerprints:
            self._fingerprints[adapter.path] = adapter_fingerprint(adapter)
        return self._fingerprints[adapter.path]


def _open_brand(place: Path) -> tuple[str, ...]:
    """The words that a brand has; raises InputRefused for a damaged one."""
    from designkit.design.brand import read_brand

    return placeholder_names(read_brand(place))


def _read_brand(file: PromptFile, problems: list[Problem]) -> Brand | None:
    if file.brand is None:
        return None
    from designkit.design.brand import read_brand

    try:
        return read_brand(file.brand)
    except InputRefused as error:
        problems += error.problems
        return None


def _with_brand(file: PromptFile, brand: Brand | None, card: ModelCard) -> tuple[PromptFile, list[Problem]]:
    """The file with the brand's adapter, where the model takes adapters; and what of the brand the model cannot say."""
    if brand is None:
        return file, []
    fix = "name another colour, or choose a model that knows more of them"
    written = json.dumps(file.document.plain())
    mentioned = [name for name in placeholder_names(brand) if name in written]
    warnings = [
        file.problem("colour-word-far", message, key="prompt", fix=fix) for message in far_words(brand, card, mentioned)
    ]
    if not brand.adapters:
        return file, warnings
    if "adapters" not in card.accepts:
        message = f"{card.name} takes no adapters; what the brand has of them is left out"
        fix = "choose a model that takes adapters, or leave it so"
        return file, [*warnings, file.problem("brand-adapter-left-out", message, key="brand", fix=fix)]
    adapters = (*file.model.adapters, *brand.adapters)
    return replace(file, model=replace(file.model, adapters=adapters)), warnings


def _format_warnings(file: PromptFile, formats: Formats) -> Iterator[Problem]:
    """The names whose meaning a file of one's own changes."""
    used = {name.strip().lower() for entry in file.entries for name in entry.all_sizes}
    for name in formats.replaced:
        if name in used:
            message = f"{name!r} is {formats.resolve(name)} here, and {resolve_size(name)} everywhere else"
            yield file.problem("format-replaced", message, key="formats", fix="give your own size a name of its own")


def _drawn_sizes(file: PromptFile, card: ModelCard, formats: Formats, problems: list[Problem]) -> dict[Size, Size]:
    """For each size asked for, the size that the model draws; sizes that do not exist are reported."""
    drawn: dict[Size, Size] = {}
    for name in dict.fromkeys(name for entry in file.entries for name in entry.all_sizes):
        try:
            size = formats.resolve(name)
            drawn[size] = choose_drawn_size(size, card)
        except InputRefused as error:
            problems += (file.problem(each.code, each.message, key="sizes", fix=each.fix) for each in error.problems)
    if any(not entry.sizes for entry in file.entries):
        drawn.setdefault(card.native_sizes[0], choose_drawn_size(card.native_sizes[0], card))
    return drawn


def _refusals(file: PromptFile, card: ModelCard, limit: int | None) -> Iterator[Problem]:
    """What cannot be made at all."""
    if limit is not None and limit < 1:
        yield Problem(code="limit", message=f"a limit of {limit} leaves nothing to make", fix="give at least 1")
    if file.model.adapters and "adapters" not in card.accepts:
        message, fix = f"{card.name} takes no adapters", "remove them, or choose a model that takes them"
        yield file.problem("adapters-not-accepted", message, key="model.adapters", fix=fix)
    schedulers = _every_setting(file, "scheduler")
    if "scheduler" in card.accepts and schedulers:
        from designkit.generators.schedulers import scheduler_problem

        for name in schedulers:
            problem = scheduler_problem(name)
            if problem:
                yield file.problem(problem.code, problem.message, key="model.scheduler", fix=problem.fix)


def _num_images(
    file: PromptFile,
    card: ModelCard,
    expansion: Expansion,
    num_variants: int,
    words: Mapping[str, str],
    formats: Formats,
) -> int:
    """Variants x sizes x seeds, also where rows have sizes and seeds of their own."""
    if any(entry.varies_settings for entry in file.entries):
        if num_variants == expansion.total:
            classes = expansion.settings_counts()
        else:
            classes = ((expansion.variant(place, words).settings, 1) for place in expansion.positions())
        return sum(count * len(sizes_of(settings, card, formats)) * len(settings.seeds) for settings, count in classes)
    each = [len(sizes_of(entry, card, formats)) * len(entry.seeds) for entry in file.entries]
    if len(set(each)) == 1:
        return num_variants * each[0]
    if num_variants == expansion.total:
        return sum(count * images for count, images in zip(expansion.counts, each, strict=True))
    return sum(each[expansion.entry_at(place)] for place in expansion.positions())


def _every_setting(file: PromptFile, name: str) -> dict[str, None]:
    """Every value that a setting has somewhere in a file, for all variants or for some."""
    places = (place for entry in file.entries for place in (entry, *entry.when))
    return dict.fromkeys(value for place in places if (value := getattr(place, name)) is not None)


def _duplicate_warnings(file: PromptFile, duplicates: int, example: str) -> Iterator[Problem]:
    if not duplicates:
        return
    made = "1 image comes" if duplicates == 1 else f"{duplicates:,} images come"
    message = f"{made} out the same as another and will be made once, such as {_shorten(example)!r}"
    fix = "make the values differ, or leave one of them out"
    yield file.problem("duplicate-variant", message, key="prompt", fix=fix)


def _setting_warnings(file: PromptFile, card: ModelCard) -> Iterator[Problem]:
    """What the file sets and the model has not, once each."""
    is_set: dict[Setting, tuple[str, bool, str]] = {
        "negative": ("negative", any(entry.negative.source for entry in file.entries), "a negative prompt"),
        "steps": ("model.steps", bool(_every_setting(file, "steps")), "steps"),
        "guidance": ("model.guidance", bool(_every_setting(file, "guidance")), "guidance"),
        "scheduler": ("model.scheduler", bool(_every_setting(file, "scheduler")), "another scheduler"),
    }
    for setting, (key, is_given, words) in is_set.items():
        if is_given and setting not in card.accepts:
            message, fix = f"{card.name} does not take {words}; it is left out", "remove it, or choose another model"
            yield file.problem(f"{setting}-not-accepted", message, key=key, fix=fix)


def _size_warnings(file: PromptFile, drawn: Mapping[Size, Size]) -> Iterator[Problem]:
    enlarged = {size: made for size, made in drawn.items() if enlargement(size, made) > 1}
    if enlarged:
        parts = [f"{size} (drawn at {made}, {enlargement(size, made):.2g}x)" for size, made in enlarged.items()]
        message = f"the model cannot draw so large, pictures are enlarged: {', '.join(parts)}"
        yield file.problem("size-enlarged", message, key="sizes", fix="ask for smaller sizes, or choose a larger model")


def _sample_warnings(file: PromptFile, total: int, num_variants: int) -> Iterator[Problem]:
    if num_variants < total and file.sample.method == "full":
        message = f"only the first {num_variants:,} of {total:,} variants are made, in order"
        yield file.problem("first-variants", message, key="sample", fix="write method: random to draw from all of them")


def _word_warnings(
    file: PromptFile, card: ModelCard, variants: Sequence[Variant], check_prompts: CheckPrompts | None
) -> Iterator[Problem]:
    """What the model will not read of the prompts, at the place of the prompt."""
    if check_prompts is None:
        from designkit.generators.prompt_check import check_prompts
    texts = dict.fromkeys(variant.prompt for variant in variants)
    if "negative" in card.accepts:
        texts |= dict.fromkeys(variant.negative for variant in variants if variant.negative)
    found = without_learned_words(check_prompts(card, list(texts)), file)
    for problem in found[:MAX_WORD_WARNINGS]:
        yield file.problem(problem.code, problem.message, key=problem.key or "prompt", fix=problem.fix)
    if len(found) > MAX_WORD_WARNINGS:
        message = f"and {len(found) - MAX_WORD_WARNINGS:,} more prompts like these"
        yield file.problem(found[-1].code, message, key="prompt")


def _too_many(file: PromptFile, count: int, limit: int | None) -> tuple[Problem, ...]:
    """The refusal of more images than anyone makes by mistake; none where a number was asked for."""
    if count <= MAX_IMAGES or limit is not None or file.sample.count is not None:
        return ()
    message = f"{count:,} images are asked for; more than {MAX_IMAGES:,} are made only when a number is given"
    fix = "write sample: {method: random, count: 24} in the file (or --set 'sample={method: random, count: 24}'), "
    return (file.problem("too-many-images", message, key="sample", fix=fix + "or take the first with --limit 24"),)


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
