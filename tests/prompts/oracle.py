"""Random templates in the grammar that designkit shares with dynamicprompts, and what each of the two makes of them.

The oracle is the installed dynamicprompts 0.31.0 in its combinatorial mode. Where designkit differs on purpose (the
table in `designkit/prompts/GRAMMAR.md`), templates are made such that the difference cannot show, but for the
separator of counts, which is written out, and for spaces at the ends, which are compared without.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from designkit.prompts.expand import expand
from designkit.prompts.file import read_prompts

MAX_STRINGS = 300

WORDS = ("red", "blue", "soda can", "big-box", "a.b", "(bright:1.2)", "[soft]", "x_1", "größe", "1.5", "it's", "50")

WILDCARDS: Mapping[str, Sequence[str]] = {
    "colours.txt": ("red", "teal", "dark {blue|green}"),
    "one.txt": ("only",),
    "places/city.txt": ("Rome", "Oslo, Norway"),
    "places/wild/wood.txt": ("a wood", "oak of __colours__"),
    "greeting.txt": ("hello ${who:you}", "bye"),
    "deep.txt": ("${inner={m|n}}<${inner}>", "%{( ... )$$__one__}"),
    "pantry.yaml": ("moods:", "  calm: [still, mild]", "  wild: ['3::loud', 'fierce {1|2}']", "flat: [even]"),
    "extra.json": ('{"json": {"deep": ["j one", "j two"]}}',),
}

NAMES = (
    "colours",
    "one",
    "places/city",
    "places/*",
    "places/**",
    "city",
    "greeting",
    "deep",
    "moods/calm",
    "moods/wild",
    "moods/*",
    "flat",
    "json/deep",
    "c*s",
    "[op]ne",
    "on?",
)
COUNTED = ("colours", "places/city", "moods/calm", "json/deep")


def write_wildcards(folder: Path) -> Path:
    """The wildcards that the templates use, as files; returns their folder."""
    root = folder / "wildcards"
    if root.exists():
        shutil.rmtree(root)
    for name, lines in WILDCARDS.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


class Maker:
    """Makes templates, each from the state of its own random numbers."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.variables: list[str] = []

    def template(self) -> str:
        """A template; its variables are set at the start, in the middle, or behind where they are used."""
        rolls = self.random
        parts = [self.phrase(3, is_top=True) for _ in range(rolls.randint(1, 3))]
        for number in range(rolls.choice((0, 0, 1, 2))):
            name = f"v{number}"
            value = self.phrase(2)
            parts.insert(rolls.randint(0, len(parts)), f"${{{name}={value}}}")
            self.variables.append(name)
            parts.insert(rolls.randint(0, len(parts)), self.use(name))
        return " ".join(parts)

    def use(self, name: str) -> str:
        rolls = self.random
        return rolls.choice((f"${{{name}}}", f"${{{name}:{self.word()}}}", f"${{{name}}} and ${{{name}}}"))

    def word(self) -> str:
        return self.random.choice(WORDS)

    def phrase(self, depth: int, *, is_top: bool = False) -> str:
        """Words and constructs in a row; begins with a word, since dynamicprompts eats spaces there."""
        pieces = [self.word()]
        pieces += [self.piece(depth - 1) for _ in range(self.random.randint(0, 2))]
        return self.random.choice((" ", ", ", "-")).join(pieces)

    def piece(self, depth: int) -> str:
        rolls = self.random
        if depth <= 0:
            return self.word()
        kind = rolls.choices(
            ("word", "choice", "weights", "count", "wildcard", "parameters", "unset", "wrap", "counted"),
            (2, 4, 2, 3, 4, 1, 1, 2, 2),
        )[0]
        if kind == "word":
            return self.word()
        if kind == "choice":
            return "{" + "|".join(self.option(depth) for _ in range(rolls.randint(2, 4))) + "}"
        if kind == "weights":
            weight = rolls.choice(("0.5", "2", "3.25", "10", "0"))
            return "{" + "|".join(f"{weight}::{self.option(depth)}" for _ in range(rolls.randint(2, 3))) + "}"
        if kind == "count":
            bounds = rolls.choice(("1", "2", "1-2", "2-3", "-2", "2-", "0-1", "3-1", "5"))
            separator = rolls.choice((" and ", ", ", "; ", " | "))
            options: list[str] = [*rolls.sample(WORDS, rolls.randint(2, 4))]
            if rolls.random() < 0.4:
                options[0] = f"{options[0]} {self.piece(depth - 1)}"
            return "{" + bounds + "$$" + separator + "$$" + "|".join(options) + "}"
        if kind == "counted":
            bounds = rolls.choice(("1", "2", "1-2", "9"))
            return "{" + bounds + "$$ + $$__" + rolls.choice(COUNTED) + "__}"
        if kind == "wildcard":
            return f"__{rolls.choice(NAMES)}__"
        if kind == "parameters":
            return f"__greeting(who={rolls.choice(('Ann', '{Bo|Cy}', '__one__', 'Di Di'))})__"
        if kind == "unset":
            return f"${{unset:{self.phrase(depth - 1)}}}"
        marker = rolls.choice(("...", "…", "....", "⋯"))
        return f"%{{{self.word()} {marker} {self.word()}$${self.phrase(depth - 1)}}}"

    def option(self, depth: int) -> str:
        return "" if self.random.random() < 0.1 else self.phrase(depth - 1)


def templates(first: int, count: int) -> Iterator[str]:
    """Templates by the seeds that they are made from, without those that have too many strings to be compared."""
    for seed in range(first, first + count):
        yield Maker(seed).template()


class Oracle:
    """What dynamicprompts makes of templates."""

    def __init__(self, wildcards: Path) -> None:
        from dynamicprompts.generators import CombinatorialPromptGenerator
        from dynamicprompts.wildcards import WildcardManager

        self.generator = CombinatorialPromptGenerator(WildcardManager(wildcards))

    def strings(self, template: str) -> dict[str, None] | None:
        """Every string, trimmed; None where there are more than `MAX_STRINGS`."""
        found = self.generator.generate(template, MAX_STRINGS + 1)
        return None if len(found) > MAX_STRINGS else dict.fromkeys(text.strip() for text in found)


def our_strings(template: str, folder: Path, *, limit: int = 3 * MAX_STRINGS) -> dict[str, None]:
    """Every string that designkit makes of a template with the wildcards in `folder`, in order."""
    path = folder / "template.yaml"
    quoted = template.replace("'", "''")
    path.write_text(f"prompt: '{quoted}'\n", encoding="utf-8")
    (file,) = read_prompts([str(path)])
    found: dict[str, None] = {}
    for number, variant in enumerate(expand(file, {})):
        assert number < limit, f"more than {limit} variants"
        found[variant.prompt] = None
    return found
