"""What sets the look of a variant, as far as a model honours it, and how many images come out the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from designkit.design.formats import BUILT_IN, Formats
from designkit.generators.base import ModelCard
from designkit.generators.strength import AdapterTag, adapter_tags, without_tags
from designkit.prompts.entries import Entry, Settings
from designkit.prompts.expand import Variant
from designkit.prompts.seeds import Seeds
from designkit.values import Size

# Fewer images than this are compared one by one, which is faster than by ranges of seeds.
_FEW_IMAGES = 100_000


@dataclass(frozen=True, slots=True)
class Look:
    """Everything but size and seed that sets the pixels; what the model has not is None or empty."""

    prompt: str
    negative: str
    steps: int | None
    guidance: float | None
    scheduler: str | None
    tags: tuple[AdapterTag, ...] = ()


def look_of(variant: Variant, card: ModelCard) -> Look:
    """What a model will make of a variant."""
    takes, settings = card.accepts, variant.settings
    steps = settings.steps if settings.steps is not None else card.default_steps
    guidance = settings.guidance if settings.guidance is not None else card.default_guidance
    return Look(
        without_tags(variant.prompt),
        variant.negative if "negative" in takes else "",
        steps if "steps" in takes else None,
        guidance if "guidance" in takes else None,
        settings.scheduler if "scheduler" in takes else None,
        adapter_tags(variant.prompt),
    )


def sizes_of(entry: Entry | Settings, card: ModelCard, formats: Formats = BUILT_IN) -> tuple[Size, ...]:
    """The sizes of an entry or a variant, each once; the model's default where none is named."""
    return tuple(dict.fromkeys(map(formats.resolve, entry.sizes))) or card.native_sizes[:1]


def find_duplicates(card: ModelCard, variants: Sequence[Variant], formats: Formats = BUILT_IN) -> tuple[int, str]:
    """How many images of these variants come out the same as an earlier one, and the prompt of the first."""
    by_look: defaultdict[Look, list[Settings]] = defaultdict(list)
    for variant in variants:
        by_look[look_of(variant, card)].append(variant.settings)
    duplicates, example = 0, ""
    for look, entries in by_look.items():
        repeated = _num_repeated(entries, card, formats) if len(entries) > 1 else 0
        duplicates += repeated
        example = example or (look.prompt if repeated else "")
    return duplicates, example


def _num_repeated(entries: Sequence[Entry | Settings], card: ModelCard, formats: Formats = BUILT_IN) -> int:
    """How many pairs of size and seed the entries have in common."""
    rows = [(sizes_of(entry, card, formats), entry.seeds) for entry in entries]
    num_images = sum(len(sizes) * len(seeds) for sizes, seeds in rows)
    if num_images <= _FEW_IMAGES:
        return num_images - len({(size, seed) for sizes, seeds in rows for size in sizes for seed in seeds})
    taken: defaultdict[Size, list[range]] = defaultdict(list)
    num_new = 0
    # Rows that are alike all through add nothing, and only the others are compared range by range.
    for sizes, seeds in dict.fromkeys(rows):
        for size in sizes:
            new = _without(seeds, taken[size])
            taken[size] += new
            num_new += sum(map(len, new))
    return num_images - num_new


def _without(seeds: Seeds, taken: Sequence[range]) -> list[range]:
    """The seeds that are in none of the ranges."""
    left = list(seeds.ranges)
    for other in taken:
        parts = (
            (range(each.start, min(each.stop, other.start)), range(max(each.start, other.stop), each.stop))
            for each in left
        )
        left = [part for pair in parts for part in pair if part]
    return left
