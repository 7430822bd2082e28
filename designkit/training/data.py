"""Pictures to learn from: what was found and what is left out, told before anything runs, then one array of pixels.

found = survey(Path("pictures"), cache=out / "cache")      # opens every file once; nothing is moved or changed
print(found.text())
pictures = load(found, side_px=64, cache=out / "cache")    # uint8 [N, 64, 64, C] on disk, kept by content
rows = order(step, 32, len(pictures.training), seed=seed)  # splits.order: the batch of a step
pixels = to_tensor(pictures.pixels[pictures.training[rows]])
"""

# pyright: basic
from __future__ import annotations

import base64
import hashlib
import json
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from designkit.errors import InputRefused, Problem
from designkit.files import sync_folder, write_durably
from designkit.training.pictures import SUFFIXES, PictureRefused, cut_square, decode, flatten
from designkit.training.sources import Item, find_items
from designkit.training.splits import FINGERPRINT_SIDE, fingerprint, held_out, near_duplicates, plain_ground

if TYPE_CHECKING:
    import torch

Colour = Literal["auto", "rgb", "grey", "rgba"]

_VERSION = 2  # of what is kept on disk; raised when decoding or cutting changes
_THREADS = 2


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One usable picture: where it is, what it is, what had to be done to it.

    `profile` is the name of its ICC profile, `creator` and `rights` what the file itself says; `ground` is the colour
    (`#rrggbb`) of its border where that is all one colour.
    """

    item: Item
    sha256: str
    width: int
    height: int
    mode: str
    steps: tuple[str, ...]
    fingerprint: bytes
    format: str = ""
    profile: str | None = None
    creator: str | None = None
    rights: str | None = None
    ground: str | None = None


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A file that is not learned from, and why."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What was found at a place. `duplicates[i]` is the first picture that picture i is a near-duplicate of."""

    place: Path
    kind: str
    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...]
    num_other_files: int
    notes: tuple[str, ...]
    duplicates: np.ndarray
    layout: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, sorted."""
        return tuple(sorted({entry.item.label for entry in self.entries if entry.item.label is not None}))

    @property
    def num_captions(self) -> int:
        """How many pictures have a caption."""
        return sum(entry.item.caption is not None for entry in self.entries)

    def check(self) -> None:
        """Raise InputRefused where there is no usable picture."""
        if self.entries:
            return
        reasons = "; ".join(f"{each.name} {each.reason}" for each in self.left_out[:3])
        message = f"there is no usable picture here. {reasons}".rstrip(" .")
        raise InputRefused(
            Problem(
                code="no-pictures", file=str(self.place), message=message,
                fix="name a folder with PNG, JPEG, WebP or TIFF files",
            )
        )  # fmt: skip

    def summary(self) -> dict[str, Any]:
        """The report as data."""
        sides = sorted(min(entry.width, entry.height) for entry in self.entries)
        counts = Counter(entry.item.label for entry in self.entries if entry.item.label is not None)
        groups = Counter(self.duplicates.tolist())
        return {
            "place": str(self.place),
            "kind": self.kind,
            "layout": self.layout,
            "pictures": len(self.entries),
            "shorter_side_px": {"least": sides[0], "median": sides[len(sides) // 2], "most": sides[-1]}
            if sides
            else {},
            "classes": dict(sorted(counts.items())),
            "captions": self.num_captions,
            "conversions": dict(Counter(step for entry in self.entries for step in entry.steps).most_common()),
            "near_duplicates": sum(count for count in groups.values() if count > 1),
            "near_duplicate_groups": sum(count > 1 for count in groups.values()),
            "left_out": [{"name": each.name, "reason": each.reason} for each in self.left_out],
            "other_files": self.num_other_files,
            "notes": list(self.notes),
        }

    def text(self, *, max_names: int = 10) -> str:
        """The report as lines for a person; at most `max_names` files that are left out are named."""
        facts = self.summary()
        lines = [f"{self.place}: {facts['pictures']:,} pictures ({self.kind})"]
        if self.entries:
            sides = facts["shorter_side_px"]
            lines.append(f"  shorter side: {sides['least']} to {sides['most']} px, median {sides['median']}")
        if facts["classes"]:
            shown = [f"{name} {count:,}" for name, count in facts["classes"].items()]
            more = f", and {len(shown) - 12} more" if len(shown) > 12 else ""
            lines.append(f"  {len(shown)} classes: {', '.join(shown[:12])}{more}")
        if self.num_captions:
            lines.append(f"  {self.num_captions:,} of {len(self.entries):,} have a caption")
        lines += [f"  {step}: {count:,}" for step, count in facts["conversions"].items()]
        if facts["near_duplicates"]:
            lines.append(
                f"  {facts['near_duplicates']:,} are near-duplicates, in {facts['near_duplicate_groups']:,} groups; a "
                "group is learned from or held out as a whole"
            )
        lines += [f"  note: {note}" for note in self.notes]
        if self.num_other_files:
            lines.append(f"  {self.num_other_files:,} other files are no pictures, and are not looked at")
        if self.left_out:
            lines.append(f"  {len(self.left_out):,} left out (they stay where they are):")
            lines += [f"    {each.name} {each.reason}" for each in self.left_out[:max_names]]
            if len(self.left_out) > max_names:
                lines.append(f"    ... and {len(self.left_out) - max_names:,} more (all of them with --json)")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures at the size of training: `pixels` uint8 [N, S, S, C], C = 1, 3 or 4, read from disk as needed.

    `labels` int [N] number `classes` (-1: none); `training` and `held_out` are the two parts of the numbers 0..N-1.
    """

    pixels: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    captions: tuple[str | None, ...]
    names: tuple[str, ...]
    training: np.ndarray
    held_out: np.ndarray

    @property
    def num_channels(self) -> int:
        """1 grey, 3 colour, 4 colour with alpha."""
        return self.pixels.shape[3]


def survey(place: Path, *, cache: Path | None = None) -> Survey:
    """Open every file at a place once and say what it is; broken, huge and tiny ones are left out by name.

    `cache` is a folder that keeps what was learned of files that do not change. Nothing at the place is changed.
    Raises InputRefused where there is nothing there, or what is said about the pictures has mistakes.
    """
    source = find_items(place)
    known = _read_known(cache)
    facts: list[dict[str, Any]] = list(_in_threads(lambda item: _examine(item, known), source.items))
    entries, left_out, num_other = [], [], 0
    for item, fact in zip(source.items, facts, strict=True):
        if "refusal" not in fact:
            look = base64.b64decode(fact["fingerprint"])
            entries.append(Entry(item=item, **{**fact, "steps": tuple(fact["steps"]), "fingerprint": look}))
        elif source.kind == "folder" and "no picture" in fact["refusal"] and item.suffix.lower() not in SUFFIXES:
            num_other += 1
        else:
            left_out.append(LeftOut(name=item.name, reason=fact["refusal"]))
    _write_known(cache, source.items, facts)
    side = FINGERPRINT_SIDE
    looks = np.frombuffer(b"".join(entry.fingerprint for entry in entries), np.uint8).reshape(-1, side, side, 3)
    return Survey(
        place=place, kind=source.kind, entries=tuple(entries), left_out=tuple(left_out), num_other_files=num_other,
        notes=source.notes, duplicates=near_duplicates(looks), layout=source.layout,
    )  # fmt: skip


def load(
    found: Survey,
    *,
    side_px: int,
    colour: Colour = "auto",
    ground: str = "white",
    held_out_share: float = 0.1,
    cache: Path,
) -> Pictures:
    """The pictures of a survey cut square to `side_px`, decoded once and kept in `cache` by their content.

    `colour` auto is grey where all pictures are, else rgb; transparency is laid on `ground` unless it is rgba.
    Raises InputRefused where the survey found no pictures.
    """
    found.check()
    if colour == "auto":
        colour = "grey" if all(entry.mode == "L" for entry in found.entries) else "rgb"
    mode = {"grey": "L", "rgb": "RGB", "rgba": "RGBA"}[colour]
    settings = f"{_VERSION}/{side_px}/{mode}/{ground}/"
    key = hashlib.sha256((settings + "".join(entry.sha256 for entry in found.entries)).encode()).hexdigest()
    file = cache / f"pictures-{key[:24]}.npy"
    if not file.exists():
        _write_pixels(file, found.entries, side_px=side_px, mode=mode, ground=ground)
    pixels = np.load(file, mmap_mode="r", allow_pickle=False)
    numbers = {name: number for number, name in enumerate(found.classes)}
    labels = [entry.item.label for entry in found.entries]
    is_held_out = held_out([entry.sha256 for entry in found.entries], found.duplicates, labels, share=held_out_share)
    return Pictures(
        pixels=pixels, labels=np.array([-1 if label is None else numbers[label] for label in labels]),
        classes=found.classes, captions=tuple(entry.item.caption for entry in found.entries),
        names=tuple(entry.item.name for entry in found.entries),
        training=np.nonzero(~is_held_out)[0], held_out=np.nonzero(is_held_out)[0],
    )  # fmt: skip


def open_pictures(place: Path, *, cache: Path, **settings: Any) -> Pictures:
    """`survey`, then `load` with these settings; of several processes the first one fills the cache for all."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return load(survey(place, cache=cache), cache=cache, **settings)
    from designkit.training.processes import state

    with state().main_process_first():
        return load(survey(place, cache=cache), cache=cache, **settings)


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """uint8 [N, H, W, C] -> float32 [N, C, H, W] in [-1, 1]."""
    import torch

    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0).contiguous()


def _examine(item: Item, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What can be said of a file: the fields of Entry as JSON, or {"refusal": why it is left out}."""
    kept = known.get(item.name)
    if kept is not None and item.stamp is not None and kept["stamp"] == item.stamp:
        return kept["fact"]
    try:
        data = item.read()
    except OSError as error:
        return {"refusal": f"cannot be read: {(error.strerror or str(error)).lower()}"}
    try:
        picture = decode(data, suffix=item.suffix)
    except PictureRefused as error:
        return {"refusal": str(error)}
    flat = flatten(picture.image, "white")
    look = base64.b64encode(fingerprint(flat).tobytes()).decode()
    return {
        "sha256": hashlib.sha256(data).hexdigest(), "width": picture.image.width, "height": picture.image.height,
        "mode": picture.image.mode, "steps": list(picture.steps), "fingerprint": look,
        "format": picture.format, "profile": picture.profile, "creator": picture.creator, "rights": picture.rights,
        "ground": plain_ground(flat),
    }  # fmt: skip


def _read_known(cache: Path | None) -> dict[str, dict[str, Any]]:
    if cache is None:
        return {}
    try:
        kept = json.loads((cache / "survey.json").read_text(encoding="utf-8"))
        return kept["files"] if kept["version"] == _VERSION else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # What is kept only saves time; anything odd in it is looked at anew.


def _write_known(cache: Path | None, items: Iterable[Item], facts: Iterable[dict[str, Any]]) -> None:
    files = {
        item.name: {"stamp": item.stamp, "fact": fact}
        for item, fact in zip(items, facts, strict=True)
        if item.stamp is not None
    }
    if cache is not None and files:
        cache.mkdir(parents=True, exist_ok=True)
        write_durably(cache / "survey.json", json.dumps({"version": _VERSION, "files": files}).encode())


def _write_pixels(file: Path, entries: tuple[Entry, ...], *, side_px: int, mode: str, ground: str) -> None:
    """Decode all pictures into one array on disk, whole or not at all; arrays of earlier settings go."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for old in file.parent.glob("pictures-*.npy*"):
        old.unlink()
    channels = {"L": 1, "RGB": 3, "RGBA": 4}[mode]
    partial = file.with_suffix(".npy.partial")
    shape = (len(entries), side_px, side_px, channels)
    pixels = np.lib.format.open_memmap(partial, "w+", np.uint8, shape)

    def square(entry: Entry) -> np.ndarray:
        image = decode(entry.item.read(), suffix=entry.item.suffix).image
        image = image if mode == "RGBA" else flatten(image, ground)
        return np.asarray(cut_square(image.convert(mode), side_px)).reshape(side_px, side_px, channels)

    for index, array in enumerate(_in_threads(square, entries)):
        pixels[index] = array
    pixels.flush()
    del pixels
    partial.replace(file)
    sync_folder(file.parent)


def _in_threads(work: Any, things: Iterable[Any]) -> Iterator[Any]:
    """`map`, on two threads (the decoders let go of the interpreter), with Pillow's warnings of odd metadata off."""
    with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as threads:
        warnings.simplefilter("ignore")
        yield from threads.map(work, things)
