"""DesignBench: what a text-to-image model makes of sentences about flat design, task by task.

    items = bench_items()
    verdicts = judge(pictures, items)          # one picture an item, in order
    for score in scores(verdicts): ...

GenEval's idea (arXiv 2310.11513) on this domain: each prompt states facts that a detector and the pixels can
check, and a picture is right when all of its task's facts are there. The prompts follow from this file alone,
so that `bench_id` names them; the judge is the detector that ships (its own errors show in the row of rendered
answers) and nearest-name colours. `held-out combination` asks for pairs of subject and colour, `word order` for
an order of words that the starter's training never showed (`starter.scenes.pair_is_held_out`,
`starter.captions`); other models know no such difference.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from designkit.starter.colours import COLOURS, nearest_colour
from designkit.starter.detector import TRAITS, WEIGHTS
from designkit.starter.glyphs import sprites
from designkit.starter.renderer import centres, render
from designkit.starter.scenes import BACKGROUNDS, POSITIONS, PRODUCTS, STYLES, Scene, pair_is_held_out
from designkit.starter.subjects import SUBJECTS, plural
from designkit.values import Size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from designkit.models.detector import Detection

PER_TASK = 48
_SEEN = Size(width=128, height=128)  # what the judge looks at, whatever size was drawn
_THIRD = _SEEN.width / 3
_SURE, _SURE_ENOUGH = 0.3, 0.05  # to count subjects; to name the likeliest one
_PLACES = {
    "center": "in the center", "left": "on the left", "right": "on the right", "top": "at the top",
    "bottom": "at the bottom",
}  # fmt: skip
_COUNTS = {2: "two", 3: "three"}


@dataclass(frozen=True, kw_only=True)
class Item:
    """One prompt of the benchmark, and the scene that answers it."""

    task: str
    number: int
    prompt: str
    scene: Scene

    @property
    def name(self) -> str:
        """Such as `counting-07`: what files and reports call it."""
        return f"{self.task.replace(' ', '-')}-{self.number:02d}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the judge found in the picture of one item: each fact asked for, and whether it is there."""

    item: Item
    facts: Mapping[str, bool]

    @property
    def right(self) -> bool:
        """Whether every fact is there."""
        return all(self.facts.values())


@dataclass(frozen=True, kw_only=True)
class Score:
    """The share of a task's pictures that are right, with its 95 % Wilson interval; all in 0..1."""

    task: str
    right: int
    total: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """right / total."""
        return self.right / self.total


def bench_items(per_task: int = PER_TASK) -> list[Item]:
    """`per_task` prompts of every task, always the same ones; a smaller number takes the first of each."""
    items: list[Item] = []
    for task, make in _TASKS.items():
        rng = random.Random(f"designbench/{task}")
        for number in range(per_task):
            prompt, scene = make(number, rng)
            items.append(Item(task=task, number=number, prompt=prompt, scene=scene))
    return items


def bench_id(items: Sequence[Item]) -> str:
    """The first 8 hexadecimal digits of the SHA-256 of all prompts: two scores compare only under the same id."""
    return hashlib.sha256("\n".join(item.prompt for item in items).encode()).hexdigest()[:8]


def prompt_lines(items: Sequence[Item]) -> str:
    """The items as a JSON Lines prompt file, one seed each, the task and the item's name as columns."""
    rows = [
        {"prompt": item.prompt, "task": item.task, "item": item.name, "seed": 1000 + place}
        for place, item in enumerate(items)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def judge(pictures: Sequence[Image.Image | None], items: Sequence[Item]) -> list[Verdict]:
    """Look at one picture an item (any size, RGB); None, a picture that could not be made, is wrong in all."""
    import torch

    from designkit.models.detector import load_detector

    detector = load_detector(WEIGHTS, TRAITS, len(SUBJECTS))
    blank = Image.new("RGB", (_SEEN.width, _SEEN.height))
    seen = [_as_seen(picture) if picture is not None else blank for picture in pictures]
    verdicts: list[Verdict] = []
    for start in range(0, len(items), 32):
        part = seen[start : start + 32]
        pixels = torch.as_tensor(np.stack([np.asarray(picture) for picture in part])).permute(0, 3, 1, 2)
        found, traits = detector.detect(pixels.float() / 127.5 - 1, threshold=_SURE_ENOUGH)
        for place, (picture, detections) in enumerate(zip(part, found, strict=True)):
            item = items[start + place]
            named = {name: TRAITS[name][int(values[place])] for name, values in traits.items()}
            facts = _FACTS[item.task](_Look(picture, tuple(detections), named), item.scene)
            if pictures[start + place] is None:
                facts = dict.fromkeys(facts, False)
            verdicts.append(Verdict(item=item, facts=facts))
    return verdicts


def scores(verdicts: Sequence[Verdict]) -> list[Score]:
    """One score a task, in the order of the tasks, and their mean as `all tasks` (each task weighs the same)."""
    rows: list[Score] = []
    for task in dict.fromkeys(verdict.item.task for verdict in verdicts):
        right = [verdict.right for verdict in verdicts if verdict.item.task == task]
        low, high = wilson_interval(sum(right), len(right))
        rows.append(Score(task=task, right=sum(right), total=len(right), low=low, high=high))
    low, high = wilson_interval(sum(row.right for row in rows), sum(row.total for row in rows))
    everything = Score(
        task="all tasks", right=sum(row.right for row in rows), total=sum(row.total for row in rows), low=low, high=high
    )
    return [*rows, everything]


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share, right / total (Wilson 1927): never outside 0..1, honest at 0 and at 1."""
    z = 1.959964
    share, weight = right / total, z * z / total
    middle = (share + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt(share * (1 - share) / total + weight / (4 * total))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def rendered_answers(items: Sequence[Item], *, glyph_set: str = "fluent") -> list[Image.Image]:
    """What a perfect model would draw: judged, they show the judge's own errors."""
    return [render(item.scene, _SEEN, glyph_set=glyph_set) for item in items]


def blank_pictures(items: Sequence[Item]) -> list[Image.Image]:
    """A control that answers nothing: the same grey for every prompt."""
    return [Image.new("RGB", (_SEEN.width, _SEEN.height), (128, 128, 128)) for _ in items]


def noise_pictures(items: Sequence[Item]) -> list[Image.Image]:
    """A control that answers nothing: blurred noise, another for every prompt."""
    shape = (_SEEN.height, _SEEN.width, 3)
    grains = (np.random.default_rng(place).integers(0, 256, shape, dtype=np.uint8) for place in range(len(items)))
    return [Image.fromarray(grain).filter(ImageFilter.GaussianBlur(1)) for grain in grains]


# What is asked for: each task makes (prompt, scene) number `number`; every value comes up equally often.

Make = Callable[[int, random.Random], tuple[str, Scene]]
_NAMES = tuple(subject.name for subject in SUBJECTS)
_PAINTS = tuple(COLOURS)


def _plain(rng: random.Random, subject: str, *, apart: Sequence[str | None] = ()) -> Scene:
    """One subject on a ground in none of the colours `apart`, nor in its own: what cannot be seen is no question."""
    apart = (*apart, _own_colour(subject))
    return Scene(
        subject=subject, colour=None, style="flat", count=1, position="center", product=None, product_colour=None,
        badge=None, background="plain", first=rng.choice([paint for paint in _PAINTS if paint not in apart]),
        second=None, jitter=rng.getrandbits(32),
    )  # fmt: skip


@cache
def _own_colour(subject: str) -> str:
    """The colour name of a subject's drawing: the median of its opaque pixels."""
    pixels = np.asarray(sprites("fluent")[subject].convert("RGBA"))
    return _colour_name(np.median(pixels[pixels[..., 3] > 128][:, :3], axis=0))


def _subject(number: int) -> str:
    """Every subject once before any comes again."""
    return _names_from(number)[0]


def _names_from(number: int) -> list[str]:
    block, place = divmod(number, len(_NAMES))
    names = random.Random(f"designbench/subjects/{block}").sample(_NAMES, len(_NAMES))
    return names[place:] + names[:place]


def _article(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _on(scene: Scene) -> str:
    return f"on a plain {scene.first} background"


def _single(number: int, rng: random.Random) -> tuple[str, Scene]:
    scene = _plain(rng, _subject(number))
    return f"{_article(scene.subject)} {_on(scene)}", scene


def _two(number: int, rng: random.Random) -> tuple[str, Scene]:
    subject = _subject(number)
    other = rng.choice([name for name in _NAMES if name != subject])
    scene = _plain(rng, subject, apart=[_own_colour(other)])
    return f"{_article(scene.subject)} and {_article(other)} {_on(scene)}", replace(scene, other=other)


def _counting(number: int, rng: random.Random) -> tuple[str, Scene]:
    scene = replace(_plain(rng, _subject(number)), count=2 + number % 2)
    return f"{_COUNTS[scene.count]} {plural(scene.subject)} {_on(scene)}", scene


def _coloured(number: int, rng: random.Random, *, held_out: bool = False) -> tuple[str, Scene]:
    subject = _subject(number)
    while not (paints := [paint for paint in _PAINTS if pair_is_held_out(subject, paint) == held_out]):
        subject = rng.choice(_NAMES)
    colour = rng.choice(paints)
    scene = replace(_plain(rng, subject, apart=[colour]), colour=colour)
    return f"{_article(f'{colour} {subject}')} {_on(scene)}", scene


def _held_out(number: int, rng: random.Random) -> tuple[str, Scene]:
    return _coloured(number, rng, held_out=True)


def _placed(number: int, rng: random.Random) -> tuple[str, Scene]:
    scene = replace(_plain(rng, _subject(number)), position=POSITIONS[number % len(POSITIONS)])
    return f"{_article(scene.subject)} {_PLACES[scene.position]} {_on(scene)}", scene


def _binding(number: int, rng: random.Random) -> tuple[str, Scene]:
    subject = _subject(number)
    other = rng.choice([name for name in _NAMES if name != subject])
    colour, other_colour = rng.sample(_PAINTS, 2)
    scene = _plain(rng, subject, apart=[colour, other_colour])
    scene = replace(scene, colour=colour, other=other, other_colour=other_colour)
    return f"{_article(f'{colour} {subject}')} and {_article(f'{other_colour} {other}')} {_on(scene)}", scene


def _ground(number: int, rng: random.Random) -> tuple[str, Scene]:
    paint = _PAINTS[number % len(_PAINTS)]
    subject = next(name for name in _names_from(number) if _own_colour(name) != paint)
    scene = _plain(rng, subject, apart=[other for other in _PAINTS if other != paint])
    return f"{_article(scene.subject)} {_on(scene)}", scene


def _pattern(number: int, rng: random.Random) -> tuple[str, Scene]:
    scene = _plain(rng, _subject(number))
    kind = BACKGROUNDS[number % len(BACKGROUNDS)]
    if kind == "plain":
        return f"{_article(scene.subject)} {_on(scene)}", scene
    second = rng.choice([paint for paint in _PAINTS if paint != scene.first])
    words = {
        "gradient": f"on a {scene.first} to {second} gradient",
        "striped": f"on a {scene.first} background with {second} stripes",
        "dotted": f"on a {scene.first} background with {second} dots",
        "sunburst": f"on a {scene.first} and {second} sunburst background",
    }[kind]
    return f"{_article(scene.subject)} {words}", replace(scene, background=kind, second=second)


def _styled(number: int, rng: random.Random) -> tuple[str, Scene]:
    style = STYLES[number % len(STYLES)]
    scene = replace(_plain(rng, _subject(number)), style=style)
    if style == "silhouette":
        colour = rng.choice([paint for paint in _PAINTS if paint != scene.first])
        return f"{_article(f'{colour} {scene.subject}')} silhouette {_on(scene)}", replace(scene, colour=colour)
    words = {
        "flat": f"a flat illustration of {_article(scene.subject)}",
        "sticker": f"a sticker of {_article(scene.subject)}",
        "paper cut": f"a paper cut {scene.subject}",
    }[style]
    return f"{words} {_on(scene)}", scene


def _product(number: int, rng: random.Random) -> tuple[str, Scene]:
    form = PRODUCTS[number % len(PRODUCTS)]
    body = rng.choice(_PAINTS)
    scene = replace(_plain(rng, _subject(number), apart=[body]), product=form, product_colour=body)
    return f"{_article(f'{body} {form}')} with {_article(scene.subject)} on the label {_on(scene)}", scene


def _reordered(number: int, rng: random.Random) -> tuple[str, Scene]:
    scene = _plain(rng, _subject(number))
    return f"{_on(scene)}, {_article(scene.subject)}", scene


_TASKS: dict[str, Make] = {
    "single subject": _single, "two subjects": _two, "counting": _counting, "colour": _coloured,
    "position": _placed, "attribute binding": _binding, "background colour": _ground, "background type": _pattern,
    "style": _styled, "product form": _product, "held-out combination": _held_out,
    "word order": _reordered,
}  # fmt: skip


# What is found: the facts of each task.


@dataclass(frozen=True)
class _Look:
    """One picture as the judge sees it: 128 x 128 RGB, its subjects (surest first), its traits."""

    picture: Image.Image
    subjects: tuple[Detection, ...]
    traits: Mapping[str, str | None]

    def named(self, place: int = 0) -> str | None:
        return _NAMES[self.subjects[place].subject] if place < len(self.subjects) else None

    def find(self, subject: str) -> Detection | None:
        """The surest of the detections of `subject`, where one is sure enough to be counted."""
        sure = [entry for entry in self.subjects if entry.confidence > _SURE]
        return next((entry for entry in sure if _NAMES[entry.subject] == subject), None)

    def ground(self) -> str:
        """The colour name of the outer frame: median of the outermost three pixels."""
        pixels = np.asarray(self.picture)
        sides = (pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:])
        return _colour_name(np.median(np.concatenate([side.reshape(-1, 3) for side in sides]), axis=0))

    def colour_at(self, x: float, y: float, reach_px: int) -> str | None:
        """The colour name of what differs from the ground around a point; None where nothing does."""
        pixels = np.asarray(self.picture).astype(int)
        ground = np.median(np.concatenate([pixels[:3].reshape(-1, 3), pixels[-3:].reshape(-1, 3)]), axis=0)
        left, top = max(0, round(x) - reach_px), max(0, round(y) - reach_px)
        window = pixels[top : round(y) + reach_px, left : round(x) + reach_px].reshape(-1, 3)
        painted = window[np.abs(window - ground).sum(axis=1) > 60]
        return _colour_name(np.median(painted, axis=0)) if len(painted) >= 40 else None


def _as_seen(picture: Image.Image) -> Image.Image:
    """The picture's middle square at 128 pixels."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.convert("RGB").crop((left, top, left + side, top + side))
    smaller = Image.Resampling.BOX if side > _SEEN.width else Image.Resampling.BICUBIC
    return square.resize((_SEEN.width, _SEEN.height), smaller)


def _colour_name(colour: np.ndarray) -> str:
    red, green, blue = (round(float(channel)) for channel in colour)
    return nearest_colour((red, green, blue))


def _subject_facts(look: _Look, scene: Scene) -> dict[str, bool]:
    return {"subject": look.named() == scene.subject}


def _pair_facts(look: _Look, scene: Scene) -> dict[str, bool]:
    assert scene.other
    return {"first subject": look.find(scene.subject) is not None, "other subject": look.find(scene.other) is not None}


def _count_facts(look: _Look, scene: Scene) -> dict[str, bool]:
    sure = [entry for entry in look.subjects if entry.confidence > _SURE]
    return {
        "subject": bool(sure) and all(_NAMES[entry.subject] == scene.subject for entry in sure),
        "count": len(sure) == scene.count,
    }


def _colour_facts(look: _Look, scene: Scene) -> dict[str, bool]:
    best = look.subjects[0] if look.subjects else None
    painted = best is not None and look.colour_at(best.x, best.y, 24) == scene.colour
    return {"subject": look.named() == scene.subject, "colour": painted}


def _place_facts(look: _Look, scene: Scene) -> dict[str, bool]:
    best = look.subjects[0] if look.subjects else None
    ((x, y),) = centres(scene, _SEEN)
    right = best is not None and (
        _ninth(best.x, best.y) == _ninth(x, y) or abs(best.x - x) + abs(best.y - y) < 16
    )  # fmt: skip
    return {"subject": look.named() == scene.subject, "place": right}


def _ninth(x: float, y: float) -> tuple[int, int]:
    return min(2, int(x / _THIRD)), min(2, int(y / _THIRD))


def _binding_facts(look: _Look, scene: Scene) -> dict[str, bool]:
    facts: dict[str, bool] = {}
    for which, subject, colour in (("first", scene.subject, scene.colour), ("other", scene.other, scene.other_colour)):
        assert subject
        found = look.find(subject)
        facts[f"{which} subject"] = found is not None
        facts[f"{which} colour"] = found is not None and look.colour_at(found.x, found.y, 20) == colour
    return facts


def _ground_facts(look: _Look, scene: Scene) -> dict[str, bool]:
    return {"background colour": look.ground() == scene.first}


def _trait_facts(trait: str) -> Callable[[_Look, Scene], dict[str, bool]]:
    return lambda look, scene: {trait: look.traits[trait] == getattr(scene, trait)}


_FACTS: dict[str, Callable[[_Look, Scene], dict[str, bool]]] = {
    "single subject": _subject_facts, "two subjects": _pair_facts, "counting": _count_facts,
    "colour": _colour_facts, "position": _place_facts, "attribute binding": _binding_facts,
    "background colour": _ground_facts, "background type": _trait_facts("background"),
    "style": _trait_facts("style"), "product form": _trait_facts("product"), "held-out combination": _colour_facts,
    "word order": lambda look, scene: {**_subject_facts(look, scene), **_ground_facts(look, scene)},
}  # fmt: skip
