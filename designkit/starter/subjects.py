"""The subjects that the starter model draws: their names, other words for them, and their glyph files.

One line a subject: `name: glyph file | other words`. The name is what captions and reports use; the
glyph file is its stem in the flat Fluent Emoji set (MIT), the code point its place in Noto Color Emoji,
the second set, which is kept for checking that a detector has not learned one drawing by heart.
"""

from __future__ import annotations

from dataclasses import dataclass

_TABLE = """
apple: red-apple 1F34E | red apple
pear: pear 1F350
lemon: lemon 1F34B | citrus, lemonade
orange fruit: tangerine 1F34A | tangerine, mandarin, clementine, orange juice
banana: banana 1F34C
watermelon: watermelon 1F349 | melon slice
grapes: grapes 1F347 | grape, bunch of grapes
strawberry: strawberry 1F353
cherry: cherries 1F352 | cherries
peach: peach 1F351
pineapple: pineapple 1F34D | ananas
blueberry: blueberries 1FAD0 | blueberries
avocado: avocado 1F951
tomato: tomato 1F345
carrot: carrot 1F955
mushroom: mushroom 1F344 | toadstool
bread: bread 1F35E | loaf, loaf of bread
croissant: croissant 1F950
cheese: cheese-wedge 1F9C0 | cheese wedge
burger: hamburger 1F354 | hamburger
pizza: pizza 1F355 | pizza slice
fries: french-fries 1F35F | french fries
donut: doughnut 1F369 | doughnut
cookie: cookie 1F36A | biscuit
cake: birthday-cake 1F382 | birthday cake
cupcake: cupcake 1F9C1 | muffin
chocolate: chocolate-bar 1F36B | chocolate bar
candy: candy 1F36C | sweet, bonbon
lollipop: lollipop 1F36D
ice cream: soft-ice-cream 1F366 | ice cream cone, soft serve
honey: honey-pot 1F36F | honey pot
coffee: hot-beverage 2615 | coffee cup, cup of coffee, espresso
teapot: teapot 1FAD6 | tea pot
wine: wine-glass 1F377 | wine glass, glass of wine
cocktail: cocktail-glass 1F378 | cocktail glass, martini
soda: cup-with-straw 1F964 | cup with straw, soft drink
beer: beer-mug 1F37A | beer mug, mug of beer
milk: glass-of-milk 1F95B | glass of milk
rose: rose 1F339
tulip: tulip 1F337
sunflower: sunflower 1F33B
blossom: cherry-blossom 1F338 | cherry blossom, jasmine
cactus: cactus 1F335
palm tree: palm-tree 1F334 | palm
pine tree: evergreen-tree 1F332 | fir tree, evergreen
clover: four-leaf-clover 1F340 | four leaf clover, shamrock
maple leaf: maple-leaf 1F341
herb: herb 1F33F | mint, tea leaf, tea leaves, leaves
cat: cat-face 1F431 | kitten
dog: dog-face 1F436 | puppy
fox: fox 1F98A
bear: bear 1F43B
panda: panda 1F43C
rabbit: rabbit-face 1F430 | bunny, hare
lion: lion 1F981
tiger: tiger-face 1F42F
frog: frog 1F438
owl: owl 1F989
penguin: penguin 1F427
bird: bird 1F426
duck: duck 1F986
flamingo: flamingo 1F9A9
fish: fish 1F41F
whale: spouting-whale 1F433
octopus: octopus 1F419
turtle: turtle 1F422 | tortoise
butterfly: butterfly 1F98B
bee: honeybee 1F41D | honeybee, honey bee
elephant: elephant 1F418
unicorn: unicorn 1F984
sun: sun-with-face 1F31E | sunshine
moon: crescent-moon 1F319 | crescent moon, crescent
star: star 2B50
cloud: cloud 2601
rainbow: rainbow 1F308
snowflake: snowflake 2744 | snow flake
fire: fire 1F525 | flame
droplet: droplet 1F4A7 | water drop, drop
lightning: high-voltage 26A1 | lightning bolt, bolt
wave: water-wave 1F30A | ocean wave
mountain: snow-capped-mountain 1F3D4 | mountains, peak
heart: red-heart 2764
diamond: gem-stone 1F48E | gem, gemstone, jewel
crown: crown 1F451
gift: wrapped-gift 1F381 | present, gift box
balloon: balloon 1F388
light bulb: light-bulb 1F4A1 | bulb, lamp
camera: camera 1F4F7
rocket: rocket 1F680 | spaceship
car: automobile 1F697 | automobile
bicycle: bicycle 1F6B2 | bike
sailboat: sailboat 26F5 | boat, sailing boat
airplane: airplane 2708 | plane
umbrella: umbrella 2602 | parasol
key: key 1F511
bell: bell 1F514
shirt: t-shirt 1F455 | t-shirt, tee shirt
book: closed-book 1F4D5
trophy: trophy 1F3C6 | award
house: house 1F3E0 | home
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
    "grapes": "bunches of grapes", "fries": "portions of fries", "headphones": "pairs of headphones", "leaf": "leaves",
    "fish": "fish", "cherry": "cherries", "blueberry": "blueberries", "strawberry": "strawberries", "candy": "candies",
    "butterfly": "butterflies", "ladybug": "ladybugs", "orange fruit": "orange fruits", "mango": "mangoes",
    "tomato": "tomatoes", "maple leaf": "maple leaves", "lightning": "lightning bolts", "fire": "flames",
    "broccoli": "broccoli heads", "honey": "honey pots", "corn": "corn cobs", "watch": "watches", "anchor": "anchors",
    "bread": "loaves of bread", "coffee": "coffees", "chocolate": "chocolate bars", "milk": "glasses of milk",
    "beer": "beers", "wine": "wine glasses", "peach": "peaches", "octopus": "octopuses", "fox": "foxes", "bus": "buses",
    "cactus": "cactuses", "hibiscus": "hibiscus flowers", "trophy": "trophies", "sheep": "sheep",
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
