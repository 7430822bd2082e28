"""What is known of a brand's pictures before any weights load: a line each, what is wrong, and the score of the set.

    check = check_pictures(found, recipe.data, find_card("starter"))
    print(check.text())                  # what `designkit finetune PICTURES --check` shows
    write_check(check, Path("outputs/lumen-lora"))

No torch is needed for it. Nothing in the folder of pictures is moved or changed: files that cannot be read are listed.
"""

# pyright: basic
from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from designkit.files import write_durably
from designkit.generators.base import ModelCard
from designkit.generators.prompt_check import dropped_words
from designkit.training.data import Entry, LeftOut, Survey
from designkit.training.finetuning.pictures import caption_of
from designkit.training.finetuning.recipe import FinetuneData
from designkit.training.finetuning.score import Part, Traits, score_parts, total
from designkit.training.splits import FINGERPRINT_SIDE, held_out

CHECK_FILE = "check.json"
QUARANTINE_FILE = "quarantine.txt"
MAX_CAPTION = 46


@dataclass(frozen=True, kw_only=True)
class PictureLine:
    """What is known of one picture.

    `colour` says how its colours are meant and what is done about it; `twin` names the first picture that it is a
    near-duplicate of; `words_cut` are the words at the end of its caption that the model does not read.
    """

    name: str
    width: int
    height: int
    format: str
    colour: str
    has_alpha: bool
    caption: str | None
    caption_from: str | None
    words_cut: tuple[str, ...]
    twin: str | None
    held_out: bool
    is_small: bool
    licence: str | None
    creator: str | None
    source: str | None
    steps: tuple[str, ...]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What somebody may want to mend, in words."""
        remarks: list[str] = []
        if not self.caption:
            remarks.append("NO CAPTION")
        if self.words_cut:
            remarks.append(f"caption is cut before {self.words_cut[0]!r}")
        if self.twin:
            remarks.append(f"like {self.twin}")
        if self.is_small:
            remarks.append("small")
        remarks += [step for step in self.steps if step != "has transparency"]
        return tuple(remarks)


@dataclass(frozen=True, kw_only=True)
class PictureCheck:
    """What is known of a set of pictures; `parts` make up its score of 0 to 100."""

    place: Path
    layout: str
    model: str
    area_px: int
    pictures: tuple[PictureLine, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def score(self) -> int:
        """0 to 100; 0 where there is no usable picture."""
        return total(self.parts)

    @property
    def without_caption(self) -> tuple[str, ...]:
        """The names of the pictures that have none."""
        return tuple(line.name for line in self.pictures if not line.caption)

    def to_json(self) -> dict[str, Any]:
        """Everything as data, in the shape of `check.json`."""
        return {
            "place": str(self.place), "layout": self.layout, "model": self.model, "side_px": self.area_px,
            "score": self.score, "parts": [asdict(part) for part in self.parts],
            "pictures": [{**asdict(line), "remarks": list(line.remarks)} for line in self.pictures],
            "without_caption": list(self.without_caption), "left_out": [asdict(each) for each in self.left_out],
            "notes": list(self.notes),
        }  # fmt: skip

    def text(self, *, every: bool = True) -> str:
        """The check for a person; without `every`, only pictures that somebody may want to look at have a line."""
        return "\n".join(self._lines(every))

    def _lines(self, every: bool) -> Iterator[str]:
        count = len(self.pictures)
        yield f"{self.place}: {count} pictures ({self.layout}), to learn at {self.area_px} px for {self.model}"
        shown = [line for line in self.pictures if every or line.remarks]
        yield from (f"  {row}" for row in _table(shown))
        yield from (f"  note: {note}" for note in self.notes)
        if self.left_out:
            yield f"  {len(self.left_out)} cannot be used; they stay where they are:"
            yield from (f"    {each.name} {each.reason}" for each in self.left_out)
        if self.without_caption:
            yield f"  {len(self.without_caption)} have no caption: write one into a .txt file of the picture's name or"
            yield "  into metadata.jsonl, or give all such pictures one with --instance-prompt 'lumen brand design'"
        if self.parts:
            yield f"  score of the set: {self.score} of 100"
            for part in self.parts:
                yield f"    {part.name:<10} {part.points:4.0f} of {part.most:<2}  {part.finding}"
                if part.advice:
                    yield f"    {'':<10} {'':>10}  -> {part.advice}"


def check_pictures(found: Survey, data: FinetuneData, card: ModelCard) -> PictureCheck:
    """What is known of the pictures of a survey, for a model of this card; nothing is refused here."""
    side = data.resolution_px or math.isqrt(card.native_sizes[0].width * card.native_sizes[0].height)
    captions = [caption_of(entry.item, data) for entry in found.entries]
    cut = dropped_words(card, [caption for caption in captions if caption], is_one_window=True)
    hashes = [entry.sha256 for entry in found.entries]
    is_held_out = held_out(hashes, found.duplicates, [None] * len(hashes), share=data.held_out)
    lines: list[PictureLine] = []
    traits: list[Traits] = []
    for number, (entry, caption) in enumerate(zip(found.entries, captions, strict=True)):
        first = int(found.duplicates[number])
        scale = math.sqrt(entry.width * entry.height) / side
        licence = entry.item.licence or entry.rights or (data.licence if data.licence != "unknown" else None)
        creator = entry.item.creator or entry.creator
        words_cut = cut.get(caption or "", ())
        lines.append(
            PictureLine(
                name=entry.item.name, width=entry.width, height=entry.height, format=entry.format,
                colour=_colour(entry), has_alpha="has transparency" in entry.steps, caption=caption,
                caption_from=_caption_from(entry, data, caption), words_cut=words_cut,
                twin=found.entries[first].item.name if first != number else None,
                held_out=bool(is_held_out[number]), is_small=scale < 0.995, licence=licence, creator=creator,
                source=entry.item.source, steps=entry.steps,
            )
        )  # fmt: skip
        look = np.frombuffer(entry.fingerprint, np.uint8).reshape(FINGERPRINT_SIDE, FINGERPRINT_SIDE, 3)
        traits.append(
            Traits(
                fingerprint=look, group=first, scale=scale, caption=caption, words_cut=len(words_cut),
                ground=entry.ground, has_licence=licence is not None, has_creator=creator is not None,
            )
        )  # fmt: skip
    return PictureCheck(
        place=found.place, layout=found.layout, model=card.name, area_px=side, pictures=tuple(lines),
        left_out=found.left_out, notes=found.notes, parts=score_parts(traits) if traits else (),
    )  # fmt: skip


def write_check(check: PictureCheck, folder: Path) -> None:
    """Write `check.json`, and `quarantine.txt` with the files that cannot be used; raises StorageError."""
    write_durably(folder / CHECK_FILE, (json.dumps(check.to_json(), ensure_ascii=False, indent=1) + "\n").encode())
    quarantine = folder / QUARANTINE_FILE
    if check.left_out:
        lines = [f"{each.name}\t{each.reason}\n" for each in check.left_out]
        write_durably(quarantine, "".join(lines).encode())
    else:
        quarantine.unlink(missing_ok=True)


def _colour(entry: Entry) -> str:
    """How the file's colours are meant."""
    if entry.profile is None:
        cmyk = any(step.startswith("CMYK") for step in entry.steps)
        return "CMYK, no profile" if cmyk else "no profile: sRGB"
    return entry.profile[:24]


def _caption_from(entry: Entry, data: FinetuneData, caption: str | None) -> str | None:
    if caption is None or (entry.item.caption or "").strip():
        return entry.item.caption_from if caption else None
    return "instance prompt" if data.instance_prompt else "folder name"


def _table(lines: Sequence[PictureLine]) -> Iterator[str]:
    if not lines:
        return
    rows = [("picture", "size", "colour", "alpha", "caption", "remarks")]
    rows += [
        (
            line.name, f"{line.width}x{line.height}", line.colour, "yes" if line.has_alpha else "", _short(line),
            "; ".join((*line.remarks, *(["held out"] if line.held_out else []))),
        )
        for line in lines
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True) if width).rstrip()


def _short(line: PictureLine) -> str:
    caption = line.caption or "-"
    return caption if len(caption) <= MAX_CAPTION else f"{caption[: MAX_CAPTION - 3]}..."
