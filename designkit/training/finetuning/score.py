"""How good a set of pictures is to learn a brand from: 0 to 100, in parts, each with its rule and its advice.

The rules are starting points put together from what the makers of such tools ask for (FINETUNE.md names them), written
down so that a set can be improved on purpose; they are no measurement of what a model will learn.

| part | points | full where | none where |
|---|---|---|---|
| number | 20 | 12 different pictures or more | 2 or fewer |
| variety | 20 | each picture is 24 levels (of 255) or more from the one most like it | all are alike |
| duplicates | 10 | no near-duplicates | half of the pictures are repeats |
| resolution | 15 | every picture has the area that the model learns at | every picture has half its side or less |
| captions | 20 | every caption is its own, names the brand, has 3 words or more, and is read to its end | no captions |
| grounds | 5 | no more than 60 % of the pictures stand on one plain colour | all do |
| rights | 10 | licence and creator of each picture are known | of none |
"""

# pyright: basic
from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from designkit.training.splits import FINGERPRINT_SIDE

ENOUGH_PICTURES, TOO_FEW_PICTURES = 12, 2
DIFFERENT_LEVELS = 24.0
"""Root mean square difference, in levels of 255 at 16 x 16 pixels, from which two pictures count as unlike."""

FEWEST_WORDS = 3
ONE_GROUND_SHARE = 0.6
SAME_GROUND_LEVELS = 24
BRAND_WORD_SHARE = 0.8

_PLAIN_WORDS = frozenset((
    "a", "an", "the", "of", "on", "in", "at", "with", "and", "or", "for", "to", "by", "from", "is", "are", "as",
    "its", "it", "this", "that", "these", "one", "two", "three", "plain", "simple", "flat", "brand", "branding",
    "branded", "design", "designs", "style", "styles", "styled", "logo", "logos", "image", "picture", "photo",
    "photograph", "illustration", "drawing", "graphic", "background", "ground", "backdrop", "white", "black", "red",
    "green", "blue", "yellow", "orange", "purple", "pink", "teal", "brown", "gray", "grey", "cream", "center",
    "centre", "left", "right", "top", "bottom", "middle", "product", "products", "pack", "package", "packaging",
    "poster", "ad", "banner", "can", "bottle", "box", "bag", "pouch", "cup", "jar", "label", "shot", "view",
    "front", "side",
    "upon", "over", "under", "above", "below", "behind", "beside", "near", "against", "into", "showing", "shows",
))  # fmt: skip
"""Words that cannot stand for a brand alone, though every caption may have them."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of the score: `points` of `most`, what was found, and what would mend it (None where nothing need)."""

    name: str
    points: float
    most: int
    finding: str
    advice: str | None = None


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What the score looks at of each picture.

    `fingerprint` is uint8 [16, 16, 3], `group` the number of its near-duplicates, `scale` the square root of its area
    over that which the model learns at, `ground` the colour of its border where that is plain.
    """

    fingerprint: np.ndarray
    group: int
    scale: float
    caption: str | None
    words_cut: int = 0
    ground: str | None = None
    has_licence: bool = False
    has_creator: bool = False


def score_parts(pictures: Sequence[Traits]) -> tuple[Part, ...]:
    """The parts of a set's score, in the order of the table above; at least one picture is needed."""
    return (
        _number(pictures), _variety(pictures), _duplicates(pictures), _resolution(pictures), _captions(pictures),
        _grounds(pictures), _rights(pictures),
    )  # fmt: skip


def total(parts: Sequence[Part]) -> int:
    """The score of 0 to 100."""
    return round(sum(part.points for part in parts))


def brand_words(captions: Sequence[str]) -> tuple[str, ...]:
    """The words that at least four in five captions share and that mean nothing else: what stands for the brand."""
    words = [re.findall(r"[\w'-]+", caption.lower()) for caption in captions]
    counts = Counter(word for caption in words for word in dict.fromkeys(caption))  # in the order of their appearance
    least = max(1, math.ceil(BRAND_WORD_SHARE * len(captions)))
    return tuple(word for word, count in counts.items() if count >= least and word not in _PLAIN_WORDS)


def _number(pictures: Sequence[Traits]) -> Part:
    count = len({picture.group for picture in pictures})
    share = _between(count, TOO_FEW_PICTURES, ENOUGH_PICTURES)
    advice = None
    if count < ENOUGH_PICTURES:
        advice = f"add {ENOUGH_PICTURES - count} pictures that differ from these; 12 to 30 are enough for most brands"
    return _part("number", share, 20, f"{count} different pictures", advice)


def _variety(pictures: Sequence[Traits]) -> Part:
    kept = list({picture.group: picture for picture in reversed(pictures)}.values())
    if len(kept) < 2:
        return _part(
            "variety", 0.0, 20, "one picture alone has no variety", "add pictures of other products and scenes"
        )
    rows = np.stack([picture.fingerprint for picture in kept]).reshape(len(kept), -1).astype(np.float64)
    squares = np.square(rows).sum(axis=1)
    gaps = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * rows @ rows.T, 0) / (3 * FINGERPRINT_SIDE**2))
    np.fill_diagonal(gaps, np.inf)
    nearest = gaps.min(axis=1)
    share = float(np.minimum(1.0, nearest / DIFFERENT_LEVELS).mean())
    finding = f"each differs from the one most like it by {nearest.mean():.0f} levels of 255 on average"
    advice = "show other products, arrangements and scenes, not one scene again" if share < 0.75 else None
    return _part("variety", share, 20, finding, advice)


def _duplicates(pictures: Sequence[Traits]) -> Part:
    num_repeats = len(pictures) - len({picture.group for picture in pictures})
    share = 1.0 - min(1.0, 2 * num_repeats / len(pictures))
    advice = "keep the best one of each group; what is there twice is learned by heart" if num_repeats else None
    return _part("duplicates", share, 10, f"{num_repeats} near-duplicates" if num_repeats else "none", advice)


def _resolution(pictures: Sequence[Traits]) -> Part:
    share = sum(_between(picture.scale, 0.5, 1.0) for picture in pictures) / len(pictures)
    num_small = sum(picture.scale < 0.995 for picture in pictures)
    finding = (
        f"{num_small} of {len(pictures)} have fewer pixels than the model learns at" if num_small else "all suffice"
    )
    advice = (
        "export these larger: a small picture is learned small and soft, it is never enlarged" if num_small else None
    )
    return _part("resolution", share, 15, finding, advice)


def _captions(pictures: Sequence[Traits]) -> Part:
    captions = [picture.caption for picture in pictures if picture.caption]
    if not captions:
        return _part("captions", 0.0, 20, "none", "say in each caption what is seen, beginning with the brand's name")
    found: list[str] = []
    advice: list[str] = []
    share = len(captions) / len(pictures)
    if len(captions) < len(pictures):
        found.append(f"{len(pictures) - len(captions)} are missing")
        advice.append("write the missing ones")
    most_common, times = Counter(captions).most_common(1)[0]
    if len(captions) > 1 and times > len(captions) / 2:
        share *= 0.5
        found.append(f"{times} of {len(captions)} are the same ({most_common[:40]!r})")
        advice.append("say in each what only its picture shows: all that is never said is learned as the brand")
    words = brand_words(captions)
    if not words:
        share *= 0.7
        found.append("no word stands for the brand in all of them")
        advice.append("begin each with one made-up or rare word, such as the brand's name")
    else:
        found.append(f"{', '.join(map(repr, words[:3]))} in all of them")
    num_short = sum(len(caption.split()) < FEWEST_WORDS for caption in captions)
    if num_short:
        share *= 1.0 - 0.5 * num_short / len(captions)
        found.append(f"{num_short} have fewer than {FEWEST_WORDS} words")
        advice.append("name product, place and ground in each")
    num_cut = sum(picture.words_cut > 0 for picture in pictures)
    if num_cut:
        share *= 1.0 - 0.5 * num_cut / len(captions)
        found.append(f"{num_cut} are longer than the model reads")
        advice.append("shorten these, the most important words first")
    return _part("captions", share, 20, "; ".join(found), "; ".join(advice) or None)


def _grounds(pictures: Sequence[Traits]) -> Part:
    colours = [np.array([int(p.ground[at : at + 2], 16) for at in (1, 3, 5)]) for p in pictures if p.ground]
    largest = max(
        (sum(int(np.abs(one - other).max()) <= SAME_GROUND_LEVELS for other in colours) for one in colours), default=0
    )
    share = largest / len(pictures)
    finding = f"{largest} of {len(pictures)} stand on one plain colour" if largest > 1 else "they differ"
    advice = None
    if len(pictures) > 1 and share > ONE_GROUND_SHARE:
        advice = "vary the ground, or name its colour in the captions: else it is learned as part of the brand"
    return _part(
        "grounds", 1.0 - _between(share, ONE_GROUND_SHARE, 1.0) if len(pictures) > 1 else 1.0, 5, finding, advice
    )


def _rights(pictures: Sequence[Traits]) -> Part:
    licences, creators = (sum(getattr(p, name) for p in pictures) for name in ("has_licence", "has_creator"))
    share = (0.7 * licences + 0.3 * creators) / len(pictures)
    finding = f"licence known of {licences}, creator of {creators} of {len(pictures)}"
    advice = None
    if share < 0.999:
        advice = "write `licence` and `creator` into metadata.jsonl, or --set data.licence=NAME for all"
    return _part("rights", share, 10, finding, advice)


def _part(name: str, share: float, most: int, finding: str, advice: str | None) -> Part:
    return Part(name=name, points=round(share * most, 1), most=most, finding=finding, advice=advice)


def _between(value: float, low: float, high: float) -> float:
    """Where a value lies from low (0) to high (1)."""
    return min(1.0, max(0.0, (value - low) / (high - low)))
