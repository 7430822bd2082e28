"""Scenes of flat design: what is in a picture, how a scene is drawn at random, and which are held out.

A scene is plain data: every factor that the starter model can be asked for, each with a name. The
renderer (`starter.renderer`) turns a scene into a picture, the grammar (`starter.captions`) into
sentences. Combinations that `is_held_out` says yes to are never shown in training, so that a test on
them shows whether the model composes or remembers.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace

from designkit.starter.colours import COLOURS
from designkit.starter.subjects import SUBJECTS

STYLES = ("flat", "sticker", "silhouette", "paper cut")
PRODUCTS = ("bottle", "can", "box", "pouch", "cup")
BACKGROUNDS = ("plain", "gradient", "striped", "dotted", "sunburst")
POSITIONS = ("center", "left", "right", "top", "bottom")
COUNTS = (1, 2, 3)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One picture's content.

    `colour` is the subject's (None: its natural colours). On a `product` the subject is the mark on the
    label and `product_colour` paints the body. `badge` is the colour of a disc behind the subject, or
    None. `second` is the other colour of a background that is not plain. `jitter` seeds the small
    variations (placement, scale, tint, angle of stripes) that no caption names. `other` is a second subject
    beside the first, in `other_colour`; the starter was not shown any, detectors and benchmarks are.
    """

    subject: str
    colour: str | None
    style: str
    count: int
    position: str
    product: str | None
    product_colour: str | None
    badge: str | None
    background: str
    first: str
    second: str | None
    jitter: int
    other: str | None = None
    other_colour: str | None = None


def is_held_out(scene: Scene) -> bool:
    """Whether training never shows this scene's pairing: 10 % of subject x colour, 5 % of subject x product."""
    if scene.colour is not None and pair_is_held_out(scene.subject, scene.colour):
        return True
    return scene.product is not None and pair_is_held_out(scene.subject, scene.product, one_in=20)


def pair_is_held_out(subject: str, other: str, *, one_in: int = 10) -> bool:
    """Whether a subject and a colour (or product) are kept apart in training; fixed for ever by their names."""
    digest = hashlib.sha256(f"held-out:{subject}|{other}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % one_in == 0


def random_scene(rng: random.Random) -> Scene:
    """Draw a scene: each factor is named or left plain by a fixed share, and all its values are equally likely.

    Plain grounds are the rule: patterns have much that no sentence says, and would take most of what is learned.
    """
    subject = rng.choice(SUBJECTS).name
    colour = rng.choice(tuple(COLOURS)) if rng.random() < 0.3 else None
    style = rng.choice(STYLES) if rng.random() < 0.4 else "flat"
    product = rng.choice(PRODUCTS) if rng.random() < 0.25 else None
    count = 1 if product or rng.random() < 0.82 else rng.choice(COUNTS[1:])
    position = rng.choice(POSITIONS) if count == 1 and rng.random() < 0.6 else "center"
    product_colour = rng.choice(tuple(COLOURS)) if product else None
    if product:
        style = "flat"
    badge = None
    if product is None and count == 1 and rng.random() < 0.15:
        badge = _other_than(rng, colour)
    background = "plain" if rng.random() < 0.7 else rng.choice(BACKGROUNDS[1:])
    bare_colour = None if product or badge else colour
    first = _other_than(rng, product_colour, badge, bare_colour)
    second = None if background == "plain" else _other_than(rng, first, product_colour, badge, bare_colour)
    if style == "silhouette" and colour is None:
        colour = _other_than(rng, first, second, badge)
    return Scene(
        subject=subject, colour=colour, style=style, count=count, position=position, product=product,
        product_colour=product_colour, badge=badge, background=background, first=first, second=second,
        jitter=rng.getrandbits(32),
    )  # fmt: skip


def training_scene(index: int, *, seed: int = 0, simple: bool = False) -> Scene:
    """Training scene number `index`: the same for ever, and never a held-out one.

    A `simple` one shows a single subject without product or badge on a plain ground: what to learn first.
    """
    rng = random.Random(f"{seed}/{index}")
    while True:
        scene = random_scene(rng)
        if simple:
            scene = replace(
                scene, count=1, product=None, product_colour=None, badge=None, background="plain", second=None
            )
        if not is_held_out(scene) and scene.colour not in (scene.first, scene.second, scene.badge):
            return scene


def _other_than(rng: random.Random, *taken: str | None) -> str:
    return rng.choice([colour for colour in COLOURS if colour not in taken])
