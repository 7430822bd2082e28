"""The subjects that the starter model draws: their names, other words for them, and their glyph files.

One line a subject: `name: glyph file | other words`. The name is what captions and reports use; the
glyph file is its stem in the flat Fluent Emoji set (MIT), the code point its place in Noto Color Emoji,
the second set, which is kept for checking that a detector has not learned one drawing by heart.
"""

from __future__ import annotations

from dataclasses import dataclass

_TABLE = """
apple: red-apple 1F34E | red apple
lemon: lemon 1F34B | citrus, lemonade
watermelon: watermelon 1F349 | melon slice
strawberry: strawberry 1F353
cherry: cherries 1F352 | cherries
pizza: pizza 1F355 | pizza slice
donut: doughnut 1F369 | doughnut
ice cream: soft-ice-cream 1F366 | ice cream cone, soft serve
coffee: hot-beverage 2615 | coffee cup, cup of coffee, espresso
teapot: teapot 1FAD6 | tea pot
tulip: tulip 1F337
sunflower: sunflower 1F33B
cactus: cactus 1F335
pine tree: evergreen-tree 1F332 | fir tree, evergreen
herb: herb 1F33F | mint, tea leaf, tea leaves, leaves
cat: cat-face 1F431 | kitten
fox: fox 1F98A
panda: panda 1F43C
fish: fish 1F41F
butterfly: butterfly 1F98B
bee: honeybee 1F41D | honeybee, honey bee
sun: sun-with-face 1F31E | sunshine
moon: crescent-moon 1F319 | crescent moon, crescent
star: star 2B50
fire: fire 1F525 | flame
mountain: snow-capped-mountain 1F3D4 | mountains, peak
heart: red-heart 2764
crown: crown 1F451
gift: wrapped-gift 1F381 | present, gift box
light bulb: light-bulb 1F4A1 | bulb, lamp
rocket: rocket 1F680 | spaceship
umbrella: umbrella 2602 | parasol
"""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One thing that the starter can draw."""

    name: str
    fluent: str
    codepoint: int
    synonyms: tuple[str, ...]

    @property
    def plural(self) -> str:
        """The English plural of the name."""
        return plural(self.name)


_IRREGULAR = {
    "cherry": "cherries", "strawberry": "strawberries", "butterfly": "butterflies", "fish": "fish", "fox": "foxes",
    "cactus": "cactuses", "fire": "flames", "coffee": "coffees",
}  # fmt: skip


def plural(name: str) -> str:
    """The English plural of a subject's name."""
    return _IRREGULAR.get(name, name + "s")


def _read_table() -> tuple[Subject, ...]:
    subjects: list[Subject] = []
    for line in _TABLE.strip().splitlines():
        name, rest = line.split(": ", 1)
        source, _, words = rest.partition(" | ")
        fluent, codepoint = source.split()
        synonyms = tuple(word.strip() for word in words.split(",") if word.strip())
        subjects.append(Subject(name=name, fluent=fluent, codepoint=int(codepoint, 16), synonyms=synonyms))
    return tuple(subjects)


SUBJECTS: tuple[Subject, ...] = _read_table()
BY_NAME: dict[str, Subject] = {subject.name: subject for subject in SUBJECTS}
