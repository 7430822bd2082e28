# pyright: basic
"""An adapter and the brand it was learned from, and which pictures tell what it does to its model.

Everything is drawn twice from the same seeds, without the adapter and with it: prompts of the brand (the captions of
held-out pictures first), prompts that have nothing to do with it (DesignBench's), and a few at other strengths.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from designkit.errors import InputRefused, Problem
from designkit.evaluation.designbench import Item, bench_items
from designkit.evaluation.pictures import find_pictures, load_picture
from designkit.generators.adapters import adapter_file, adapter_kind
from designkit.generators.base import Generator, ModelCard
from designkit.generators.weights import read_header
from designkit.values import Adapter, ImageRequest, Size

if TYPE_CHECKING:
    from PIL.Image import Image

CONFIG, PICTURES, MODEL_FOLDER = "config.json", "pictures.json", "model"
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
SMALL_PARAMETERS = 200_000_000
"""Models below this draw more pictures: about a minute of two CPU cores for the starter."""

FIRST_SEED = 2000
MAX_BRAND_PICTURES = 200


@dataclass(frozen=True, kw_only=True)
class BrandPicture:
    """One picture that an adapter was learned from, or that was held out of it: RGB at the size that is drawn."""

    name: str
    caption: str
    held_out: bool
    image: Image


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is reported on: an adapter, its model, and the pictures of its brand; `folder` is where the report goes.

    `adapter` is None where a whole model was learned (`--method full`), which is then in `tuned_model`; `has_strength`
    is False for that and for learned words.
    """

    name: str
    adapter: Path | None
    model: str
    folder: Path
    facts: Mapping[str, Any]
    pictures: tuple[BrandPicture, ...]
    size: Size
    has_strength: bool = True

    @property
    def tuned_model(self) -> str | None:
        """The folder of the model that was learned, where it is a whole one."""
        return str(self.folder / MODEL_FOLDER) if self.adapter is None else None


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One picture to draw: what for, of which prompt (its number in its kind), from which seed, at which strength."""

    kind: str
    number: int
    prompt: str
    seed: int
    strength: float

    @property
    def name(self) -> str:
        """Such as `brand-03-s2000-x100`: what its file is called."""
        return f"{self.kind}-{self.number:02d}-s{self.seed}-x{round(100 * self.strength):03d}"


@dataclass(frozen=True, kw_only=True)
class Shots:
    """Everything that is drawn: by its name, with the prompts of the brand and the items of DesignBench."""

    brand_prompts: tuple[str, ...]
    items: tuple[Item, ...]
    seeds: tuple[int, ...]
    grid_rows: int
    all: tuple[Shot, ...]


def is_adapter(path: Path) -> bool:
    """Whether a path is what `designkit finetune` writes: its folder, or an adapter's file."""
    if path.is_file():
        return path.suffix == ".safetensors"
    facts = _facts(path)
    return facts.get("kind") in ("adapter", "model") and "method" in facts


def read_subject(path: Path, *, model: str | None = None, reference: Path | None = None) -> Subject:
    """The adapter in a folder of `designkit finetune`, or in a file with its `model` and the `reference` pictures.

    `reference` stands for the pictures of a folder, too, where these have moved. Raises InputRefused where the pictures
    are missing or have no captions, ModelRefused where there is no adapter.
    """
    facts = _facts(path) if path.is_dir() else {}
    name = model or facts.get("model")
    file = None if facts.get("kind") == "model" else adapter_file(Adapter(path=str(path)))
    if not name:
        raise InputRefused(
            _problem("adapter-model", path, "the file does not say for which model it is", "--model NAME")
        )
    listed = _listed(path) if path.is_dir() and reference is None else None
    if listed is not None:
        place, entries, size = listed
        pictures = [_picture(Path(place) / each["file"], each, size) for each in entries[:MAX_BRAND_PICTURES]]
    elif reference is not None:
        size = Size(width=0, height=0)
        pictures = [
            _picture(each.path, {"file": each.file, "caption": each.prompt}, None)
            for each in find_pictures(reference).pictures[:MAX_BRAND_PICTURES]
        ]
    else:
        raise InputRefused(
            _problem(
                "adapter-pictures", path, "the pictures that it was learned from are not known", "--reference FOLDER"
            )
        )
    missing = [each for each in pictures if isinstance(each, str)]
    if missing:
        message = f"{len(missing)} of its pictures cannot be read: {', '.join(missing[:3])}"
        raise InputRefused(_problem("adapter-pictures", path, message, "--reference FOLDER, where they are now"))
    found = tuple(each for each in pictures if isinstance(each, BrandPicture))
    if not any(each.caption for each in found):
        raise InputRefused(
            _problem("adapter-captions", path, "none of the pictures has a caption to draw from", "a .txt beside each")
        )
    folder = path if path.is_dir() else path.with_name(f"{path.stem}-report")
    has_strength = file is not None and adapter_kind(read_header(file)) != "words"
    return Subject(
        name=str(facts.get("name") or path.stem), adapter=file, model=name, folder=folder, facts=facts, pictures=found,
        size=size, has_strength=has_strength,
    )  # fmt: skip


def choose_shots(subject: Subject, card: ModelCard) -> Shots:
    """What is drawn: fewer pictures where the model is large."""
    is_small = (card.num_parameters or SMALL_PARAMETERS) < SMALL_PARAMETERS
    num_prompts, num_items, grid_rows = (6, 24, 3) if is_small else (4, 12, 2)
    in_order = sorted(subject.pictures, key=lambda picture: not picture.held_out)
    prompts = tuple(dict.fromkeys(picture.caption for picture in in_order if picture.caption))[:num_prompts]
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + (2 if is_small or len(prompts) < 3 else 1)))
    items = _other_items(num_items)
    grid_rows = min(grid_rows, len(prompts)) if subject.has_strength else 0
    shots = [
        Shot(kind="brand", number=number, prompt=prompt, seed=seed, strength=strength)
        for number, prompt in enumerate(prompts)
        for seed in seeds
        for strength in (STRENGTHS if seed == seeds[0] and number < grid_rows else (0.0, 1.0))
    ]
    shots += [
        Shot(kind="other", number=number, prompt=item.prompt, seed=FIRST_SEED + number, strength=strength)
        for number, item in enumerate(items)
        for strength in (0.0, 1.0)
    ]
    return Shots(brand_prompts=prompts, items=items, seeds=seeds, grid_rows=grid_rows, all=tuple(shots))


def draw_shots(
    subject: Subject, shots: Sequence[Shot], generator: Generator, *, tuned: Generator | None = None,
    num_steps: int | None = None,
) -> Iterator[tuple[Shot, Image | None, str | None]]:  # fmt: skip
    """Draw everything, one strength after the other; yields each picture, or None and why there is none.

    `tuned` is the model that was learned, where it is a whole one; `num_steps` the denoising steps, the model's own
    unless given.
    """
    card = generator.card
    by_name = {shot.name: shot for shot in shots}
    for strength in sorted({shot.strength for shot in shots}):
        requests = [
            _request(
                shot, subject.size if shot.kind == "brand" and subject.size.width else card.native_sizes[0],
                num_steps or card.default_steps,
            )
            for shot in shots
            if shot.strength == strength
        ]  # fmt: skip
        drawing = tuned if strength and tuned is not None else generator
        if strength and subject.adapter is not None:
            worn = (Adapter(path=str(subject.adapter), weight=strength),)
            requests = [replace(request, adapters=worn) for request in requests]
        for drawn in drawing.generate(requests):
            picture = None if drawn.picture is None else drawn.picture.convert("RGB")
            yield by_name[drawn.request.id], picture, drawn.failure


def _other_items(count: int) -> tuple[Item, ...]:
    """So many items of DesignBench, as many of each task, of other subjects in each."""
    everything = bench_items()
    tasks = list(dict.fromkeys(item.task for item in everything))
    each = count // len(tasks)
    return tuple(item for item in everything if item.number // each == tasks.index(item.task))


def _request(shot: Shot, size: Size, num_steps: int | None) -> ImageRequest:
    return ImageRequest(id=shot.name, prompt=shot.prompt, size=size, drawn=size, seed=shot.seed, steps=num_steps)


def _facts(folder: Path) -> dict[str, Any]:
    try:
        facts = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _listed(folder: Path) -> tuple[str, list[dict[str, Any]], Size] | None:
    """The pictures' place, the list of them and the size that they were learned at; None where none is kept."""
    try:
        kept = json.loads((folder / PICTURES).read_text(encoding="utf-8"))
        width, height = map(int, kept["size"].split("x"))
        return kept["place"], list(kept["pictures"]), Size(width=width, height=height)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _picture(path: Path, entry: Mapping[str, Any], size: Size | None) -> BrandPicture | str:
    """The picture at the size that is drawn, or its name where it cannot be read."""
    from PIL import Image, ImageOps

    try:
        image = load_picture(path.read_bytes())
    except Exception:  # Pillow raises many kinds for damaged files.
        return str(entry["file"])
    if size is not None:
        image = ImageOps.fit(image, (size.width, size.height), Image.Resampling.LANCZOS)
    return BrandPicture(
        name=str(entry["file"]),
        caption=str(entry.get("caption") or ""),
        held_out=bool(entry.get("held_out")),
        image=image,
    )


def _problem(code: str, path: Path, message: str, option: str) -> Problem:
    return Problem(code=code, file=str(path), message=message, fix=f"add {option}")


def png_bytes(image: Image) -> bytes:
    """A picture as a PNG file."""
    data = BytesIO()
    image.save(data, "PNG")
    return data.getvalue()
