"""The sentences that the starter model understands: scenes to captions, and the words it knows.

Four ways of saying a scene: a dense sentence that names everything, a partial one that leaves factors
free (so that short prompts give many pictures), a list of tags, and one word order that training never
uses, kept to test whether the model reads or recites. Light: no pictures, no torch.
"""

from __future__ import annotations

import difflib
import random
import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from designkit.starter.colours import COLOURS
from designkit.starter.scenes import Scene
from designkit.starter.subjects import BY_NAME, SUBJECTS, plural

COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "gray": ("grey", "silver"), "purple": ("violet",), "teal": ("turquoise",), "cream": ("beige", "ivory"),
    "navy": ("dark blue", "midnight blue"), "red": ("crimson", "scarlet"), "yellow": ("golden",),
    "pink": ("rose pink",),
    "green": ("emerald",), "brown": ("chocolate brown",), "orange": ("tangerine orange",), "blue": ("azure",),
}  # fmt: skip
PRODUCT_WORDS: dict[str, tuple[str, ...]] = {
    "bottle": ("bottle", "glass bottle"), "can": ("can", "soda can", "tin"), "box": ("box", "carton", "package"),
    "pouch": ("pouch", "bag", "packet"), "cup": ("cup", "paper cup", "takeaway cup"),
}  # fmt: skip
_POSITION_WORDS: dict[str, tuple[str, ...]] = {
    "center": ("in the center", "centered", "in the middle"),
    "left": ("on the left", "on the left side", "with copy space on the right"),
    "right": ("on the right", "on the right side", "with copy space on the left"),
    "top": ("at the top", "with copy space at the bottom", "with copy space below"),
    "bottom": ("at the bottom", "with copy space at the top", "with copy space above"),
}
_COUNT_WORDS = {2: ("two", "a pair of", "2"), 3: ("three", "3")}
# Words that carry no factor of a scene but are at home in a prompt: known, and simply not drawn.
_FILLER = [
    "a",
    "an",
    "the",
    "of",
    "with",
    "and",
    "in",
    "on",
    "at",
    "to",
    "for",
    "by",
    "from",
    "is",
    "as",
    "its",
    "it",
    "one",
    "label",
    "logo",
    "mark",
    "emblem",
    "icon",
    "graphic",
    "vector",
    "poster",
    "ad",
    "advert",
    "advertisement",
    "banner",
    "packaging",
    "package",
    "brand",
    "branding",
    "product",
    "picture",
    "image",
    "drawing",
    "art",
    "artwork",
    "style",
    "minimal",
    "minimalist",
    "simple",
    "modern",
    "bold",
    "clean",
    "bright",
    "nice",
    "shot",
    "close",
    "up",
    "design",
    "designs",
    "colour",
    "color",
    "colored",
    "coloured",
    "illustration",
    "illustrated",
    "showing",
    "background",
    "backdrop",
    "against",
    "over",
    "no",
    "text",
    "words",
    "letters",
]

Factor = Literal[
    "subject",
    "count",
    "colour",
    "style",
    "position",
    "product",
    "product_colour",
    "badge",
    "background",
    "first",
    "second",
]
Kind = Literal["dense", "partial", "tags", "held-out"]


@dataclass(frozen=True, kw_only=True)
class Caption:
    """A sentence and the factors of its scene that it states (what it leaves out may be anything)."""

    text: str
    said: frozenset[Factor]


@dataclass(frozen=True, kw_only=True)
class UnknownWord:
    """A word of a prompt that the starter never learned, and the nearest ones that it did."""

    word: str
    nearest: tuple[str, ...]


def caption(scene: Scene, rng: random.Random, kind: Kind | None = None) -> Caption:
    """Say `scene` in words. `kind` None draws one: dense 50 %, partial 35 %, tags 15 %."""
    if kind is None:
        kind = rng.choices(("dense", "partial", "tags"), (50, 35, 15))[0]
    keep = 1.0 if kind in ("dense", "held-out") else 0.6
    said: set[Factor] = {"subject", "count", "product"}
    thing = _thing(scene, rng, said, keep)
    place = _place(scene, rng, said, keep)
    ground = _ground(scene, rng, said, keep)
    if kind == "tags":
        return Caption(text=_tidy(", ".join((thing, place, _as_tag(ground)))), said=frozenset(said))
    if kind == "held-out":
        return Caption(text=_tidy(f"{ground}, {thing} {place}"), said=frozenset(said))
    sentence = " ".join(part for part in (thing, place, ground) if part)
    if place and ground and rng.random() < 0.3:
        sentence = f"{thing} {ground}, {place}"
    return Caption(text=_tidy(sentence), said=frozenset(said))


def _tidy(text: str) -> str:
    """One comma where several met, none at the ends, and `an` before a vowel."""
    text = re.sub(r"(\s*,)+\s*", ", ", re.sub(r"\s+", " ", text)).strip(" ,")
    return re.sub(r"\ba (?=[aeiou])", "an ", text)


def _as_tag(ground: str) -> str:
    """`on teal` alone would be read as the subject's colour, so a tag says `teal background`."""
    tag = re.sub(r"^on (an? )?", "", ground)
    return f"{tag} background" if tag and len(tag.split()) < 3 and "background" not in tag else tag


def _colour(name: str, rng: random.Random) -> str:
    return rng.choice(COLOUR_WORDS[name]) if name in COLOUR_WORDS and rng.random() < 0.12 else name


def _article(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _named(scene: Scene, rng: random.Random) -> str:
    synonyms = BY_NAME[scene.subject].synonyms
    return rng.choice(synonyms) if synonyms and rng.random() < 0.2 else scene.subject


def _thing(scene: Scene, rng: random.Random, said: set[Factor], keep: float) -> str:
    """The subject with its count, colour, style, badge or product."""
    words: list[str] = []
    if scene.colour and rng.random() < max(keep, 0.75):
        said.add("colour")
        words.append(_colour(scene.colour, rng))
    elif scene.colour is None and keep == 1.0:
        said.add("colour")
    if scene.product:
        return _product(scene, rng, said, keep, words)
    if scene.count > 1:
        words.append(plural(scene.subject))
        noun = f"{rng.choice(_COUNT_WORDS[scene.count])} {' '.join(words)}"
    else:
        words.append(_named(scene, rng))
        noun = _article(" ".join(words))
    thing = _styled(scene, noun, rng, said, keep)
    if scene.badge and rng.random() < keep:
        said.add("badge")
        colour = _colour(scene.badge, rng)
        thing += rng.choice((f" in a {colour} circle", f" in a round {colour} badge", f" in a {colour} circle badge"))
    elif scene.badge is None and keep == 1.0:
        said.add("badge")
    return thing


def _styled(scene: Scene, noun: str, rng: random.Random, said: set[Factor], keep: float) -> str:
    if rng.random() >= (max(keep, 0.75) if scene.style != "flat" else 0.5 * keep):
        if scene.style == "flat" and keep == 1.0:
            said.add("style")  # a full sentence that names no style means flat
        return noun
    said.add("style")
    bare = re.sub(r"^an? ", "", noun)
    if scene.style == "flat":
        forms = (
            f"a flat illustration of {noun}",
            f"a flat {bare}" if bare != noun else f"flat {noun}",
            f"{noun}, flat style,",
        )
    elif scene.style == "sticker":
        forms = (f"a sticker of {noun}", f"{noun} sticker", f"{noun}, sticker style,", f"a die-cut sticker of {noun}")
    elif scene.style == "silhouette":
        forms = (f"a silhouette of {noun}", f"{noun} silhouette", f"{noun}, silhouette style,")
    else:
        forms = (
            f"a paper cut {bare}" if bare != noun else f"paper cut {noun}",
            f"{noun}, paper cut style,",
            f"a paper cut of {noun}",
        )
    return rng.choice(forms)


def _product(scene: Scene, rng: random.Random, said: set[Factor], keep: float, words: list[str]) -> str:
    assert scene.product
    assert scene.product_colour
    form = scene.product if rng.random() < 0.5 else rng.choice(PRODUCT_WORDS[scene.product])
    body = form
    if rng.random() < max(keep, 0.75):
        said.add("product_colour")
        body = f"{_colour(scene.product_colour, rng)} {form}"
    subject = _named(scene, rng)
    mark = _article(" ".join([*words, subject]))
    if not words and rng.random() < 0.4:
        colour = body.removesuffix(form).strip()
        return _article(" ".join(part for part in (colour, subject, form) if part))
    return rng.choice(
        (
            f"{_article(body)} with {mark} on the label",
            f"{_article(body)} with {mark} on it",
            f"{_article(body)} with {mark}",
        )
    )


def _place(scene: Scene, rng: random.Random, said: set[Factor], keep: float) -> str:
    chance = 0.4 * keep if scene.position == "center" else keep
    if rng.random() >= chance:
        if scene.position == "center" and keep == 1.0:
            said.add("position")  # a full sentence that names no place means the center
        return ""
    said.add("position")
    return rng.choice(_POSITION_WORDS[scene.position])


def _ground(scene: Scene, rng: random.Random, said: set[Factor], keep: float) -> str:
    if rng.random() >= max(keep, 0.8):
        return ""
    said |= {"background", "first"}
    first = _colour(scene.first, rng)
    if scene.background == "plain":
        said.add("second")
        forms = (
            "on a plain {0} background",
            "on a {0} background",
            "on plain {0}",
            "on {0}",
            "on a solid {0} background",
        )
        return rng.choice(forms).format(first)
    assert scene.second
    if keep < 1.0 and rng.random() < 0.3:
        return {
            "gradient": f"on a {first} gradient", "striped": f"on a striped {first} background",
            "dotted": f"on a dotted {first} background", "sunburst": f"on a {first} sunburst",
        }[scene.background]  # fmt: skip
    said.add("second")
    second = _colour(scene.second, rng)
    forms = {
        "gradient": (f"on a {first} to {second} gradient", f"on a {first} and {second} gradient background"),
        "striped": (f"on a {first} background with {second} stripes", f"on {first} and {second} stripes"),
        "dotted": (f"on a {first} background with {second} dots", f"on a {first} background with {second} polka dots"),
        "sunburst": (f"on a {first} and {second} sunburst", f"on a {first} and {second} sunburst background"),
    }[scene.background]
    return rng.choice(forms)


@cache
def known_words() -> frozenset[str]:
    """Every word that captions use, in any of their forms."""
    words: set[str] = set(_FILLER)
    phrases = [*COLOURS, *(word for group in COLOUR_WORDS.values() for word in group)]
    phrases += [
        word for group in (*PRODUCT_WORDS.values(), *_POSITION_WORDS.values(), *_COUNT_WORDS.values()) for word in group
    ]
    for subject in SUBJECTS:
        phrases += [subject.name, subject.plural, *subject.synonyms]
    phrases += [
        "flat illustration style sticker die-cut silhouette paper cut circle round badge",
        "plain solid background gradient",
    ]
    phrases += ["striped stripes dotted dots polka sunburst bottles cans boxes pouches cups"]
    for phrase in phrases:
        words.update(_words(phrase))
    return frozenset(words)


def unknown_words(prompt: str) -> tuple[UnknownWord, ...]:
    """The words of `prompt` that the starter never saw, each with up to three nearest known ones."""
    known = known_words()
    candidates = sorted(known - {short for short in _FILLER if len(short) < 5})
    found: dict[str, UnknownWord] = {}
    for word in _words(prompt):
        if word in known or word in found or word.isdigit():
            continue
        if word.endswith("s") and word[:-1] in known:
            continue
        near = difflib.get_close_matches(word, candidates, n=8, cutoff=0.6)
        near.sort(key=lambda candidate: candidate[0] != word[0])  # slips seldom change the first letter
        found[word] = UnknownWord(word=word, nearest=tuple(near[:3]))
    return tuple(found.values())


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:-[^\W_]+)*", text.lower())
