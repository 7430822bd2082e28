r"""How strongly each word of a prompt counts, in the notation of the Stable Diffusion web UI, read from filled-in text.

    (word:1.3)           counts 1.3 times            (word)  1.1 times        [word]  1 / 1.1 times; nesting multiplies
    BREAK                what follows is read by the text encoder on its own
    <lora:name:0.8>      the adapter called `name` is laid over the model, at strength 0.8
    \( \) \[ \] \\       these characters themselves

A bracket without its partner is text. `[a:b:0.5]` and `[a|b]`, which change the prompt while a picture is drawn, are
mistakes rather than words. The notation is that of AUTOMATIC1111's stable-diffusion-webui (modules/prompt_parser.py and
its documentation); `AND` is a word here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby

STEP = 1.1
"""What one bare pair of brackets multiplies or divides by."""

MAX_WEIGHT = 10.0
MAX_NESTING = 50


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that counts `weight` times."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class AdapterTag:
    """`<lora:name:weight>` as it was written, and what it says."""

    written: str
    name: str
    weight: float


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something in a filled-in prompt that cannot be drawn: a stable code, what is wrong, and the fix."""

    code: str
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class Strength:
    """A prompt taken apart.

    `sections` are what stands between BREAKs. `text` holds the words alone. `plain` is for encoders that cannot weigh
    words: numbers and BREAK are gone, bare brackets have stayed as the punctuation that they are there. `is_weighted`
    says whether anything was asked for that such encoders cannot do; `unmatched` names brackets without a partner.
    """

    sections: tuple[tuple[Piece, ...], ...]
    text: str
    plain: str
    is_weighted: bool = False
    tags: tuple[AdapterTag, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    unmatched: str = ""

    @property
    def is_even(self) -> bool:
        """Whether every word counts once and nothing is set apart, so that `text` says it all."""
        return len(self.sections) == 1 and all(piece.weight == 1 for piece in self.sections[0])


@lru_cache(maxsize=4096)
def parse_strength(prompt: str) -> Strength:
    """Take a prompt apart; never fails, what cannot be drawn is among `mistakes`."""
    if not _MARKS.search(prompt):
        return Strength(sections=((Piece(prompt),),), text=prompt, plain=prompt)
    tags, mistakes = _read_tags(prompt)
    reading = _read_groups(without_tags(prompt))
    sections = tuple(_merged(section) for section in _sections(reading.root))
    return Strength(
        sections=sections,
        text=" ".join("".join(piece.text for piece in section) for section in sections).strip(),
        plain=_plain(reading.root).strip(),
        is_weighted=len(sections) > 1 or any(piece.weight != 1 for section in sections for piece in section),
        tags=tuple(tags),
        mistakes=(*mistakes, *reading.mistakes),
        unmatched="".join(reading.unmatched),
    )


def without_tags(prompt: str) -> str:
    """The prompt without its adapter tags; one space or comma goes with each."""
    if "<" not in prompt or not _TAG.search(prompt):
        return prompt
    return _TAG_WITH_SPACE.sub("", prompt).strip()


def adapter_tags(prompt: str) -> tuple[AdapterTag, ...]:
    """The adapters that a prompt names, in order."""
    return parse_strength(prompt).tags if "<" in prompt else ()


def escape_strength(text: str) -> str:
    r"""The text as it must be written to be read literally: `a (red) can` becomes `a \(red\) can`."""
    return re.sub(r"\\(?=[()\[\]\\]|\Z)|[()\[\]]", lambda match: "\\" + match[0], text)


_MARKS = re.compile(r"[()\[\]<]|\\\\|\bBREAK\b")
_TAG = re.compile(r"<(?:lora|lyco):([^<>\n]*)>", re.IGNORECASE)
_TAG_WITH_SPACE = re.compile(r"(?:\s*,)?\s*" + _TAG.pattern, re.IGNORECASE)
_TOKEN = re.compile(
    r"""
      \\(?P<escape>[()\[\]\\])
    | (?P<break>\s*\bBREAK\b\s*)
    | (?P<open>[(\[])
    | :\s*(?P<weight>[+-]?(?:\d+\.?\d*|\.\d+))\s*\)
    | (?P<close>[)\]])
    | (?P<mark>[:|])
    | (?P<text>[^\\()\[\]:|\sB]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*")
_PARTNER = {")": "(", "]": "["}


class _Break:
    """Where a new section begins."""


@dataclass(slots=True)
class _Group:
    """A pair of brackets (or the whole prompt): what is inside, and how much it counts.

    `marks` are the offsets, in `parts`, of the colons and bars that stand directly inside.
    """

    bracket: str
    parts: list[str | _Group | _Break] = field(default_factory=list["str | _Group | _Break"])
    marks: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    weight: float = 1.0
    is_numbered: bool = False


@dataclass(slots=True)
class _Reading:
    root: _Group
    mistakes: list[Mistake]
    unmatched: list[str]


def _read_tags(prompt: str) -> tuple[list[AdapterTag], list[Mistake]]:
    tags: list[AdapterTag] = []
    mistakes: list[Mistake] = []
    for match in _TAG.finditer(prompt):
        name, _, weight = (part.strip() for part in match[1].partition(":"))
        if not name or (weight and not _NUMBER.fullmatch(weight)) or (weight and abs(float(weight)) > MAX_WEIGHT):
            fix = f"write <lora:name:0.8>, with one strength from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}"
            mistakes.append(Mistake("adapter-tag", f"{match[0]} names no adapter and strength", fix))
        else:
            tags.append(AdapterTag(written=match[0], name=name, weight=float(weight or 1)))
    return tags, mistakes


def _read_groups(text: str) -> _Reading:
    """The brackets of a text as a tree; those without a partner have become text."""
    reading = _Reading(root=_Group(bracket=""), mistakes=[], unmatched=[])
    stack = [reading.root]
    for token in _TOKEN.finditer(text):
        kind, written = token.lastgroup, token[0]
        here = stack[-1]
        if kind == "escape":
            here.parts.append(token["escape"])
        elif kind == "break":
            here.parts.append(_Break())
        elif kind == "open" and len(stack) <= MAX_NESTING:
            stack.append(_Group(bracket=written))
        elif kind == "weight" and here.bracket == "(":
            _close(stack, reading, weight=float(token["weight"]))
        elif kind == "close" and here.bracket == _PARTNER[written]:
            _close(stack, reading)
        elif kind == "weight":
            # Nothing weighs here, so it is a colon, a number and a bracket.
            here.marks.append((":", len(here.parts)))
            here.parts += [written[:-1], ")"]
            reading.unmatched.append(")")
        else:
            if kind == "mark":
                here.marks.append((written, len(here.parts)))
            elif kind in ("open", "close"):
                reading.unmatched.append(written)
            here.parts.append(written)
    for group in reversed(stack[1:]):
        reading.unmatched.append(group.bracket)
        below = stack[stack.index(group) - 1]
        below.parts += [group.bracket, *group.parts]
    return reading


def _close(stack: list[_Group], reading: _Reading, *, weight: float | None = None) -> None:
    group = stack.pop()
    if weight is not None:
        group.weight, group.is_numbered = weight, True
        if abs(weight) > MAX_WEIGHT:
            fix = f"write a number from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}; words that matter take about 1.3"
            written = f"({_shorten(_plain(group))}:{weight:g})"
            reading.mistakes.append(Mistake("word-weight", f"{written} counts too strongly to be drawn", fix))
    elif group.bracket == "(":
        group.weight = STEP
    else:
        group.weight = 1 / STEP
        _refuse_scheduling(group, reading)
    stack[-1].parts.append(group)


def _refuse_scheduling(group: _Group, reading: _Reading) -> None:
    """Report `[from:to:when]`, `[to:when]` and `[a|b]`: they would change the prompt from step to step."""
    colons = [place for mark, place in group.marks if mark == ":"]
    tail = group.parts[colons[-1] + 1 :] if colons else []
    is_scheduled = bool(colons) and _NUMBER.fullmatch("".join(part if isinstance(part, str) else "(" for part in tail))
    if is_scheduled or any(mark == "|" for mark, _ in group.marks):
        written = f"[{_shorten(_plain(group))}]"
        fix = r"write {a|b} to draw both, (word:0.9) to weigh a word, or \[ and \] for these brackets themselves"
        message = f"{written} would change the prompt while the picture is drawn, which designkit does not do"
        reading.mistakes.append(Mistake("prompt-scheduling", message, fix))


def _flat(group: _Group, weight: float) -> Iterator[Piece | _Break]:
    for part in group.parts:
        if isinstance(part, str):
            yield Piece(part, weight)
        elif isinstance(part, _Group):
            yield from _flat(part, weight * part.weight)
        else:
            yield part


def _sections(root: _Group) -> Iterator[list[Piece]]:
    section: list[Piece] = []
    for piece in _flat(root, 1.0):
        if isinstance(piece, Piece):
            section.append(piece)
        else:
            yield section
            section = []
    yield section


def _merged(pieces: list[Piece]) -> tuple[Piece, ...]:
    """The pieces, those that follow each other at one weight joined."""
    runs = groupby(pieces, key=lambda piece: round(piece.weight, 6))
    return tuple(Piece("".join(piece.text for piece in run), weight) for weight, run in runs)


def _plain(group: _Group) -> str:
    """What stands in a group, without numbers and BREAK, with the brackets that carry no number."""
    texts: list[str] = []
    for part in group.parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, _Break):
            texts.append(" ")
        else:
            inside = _plain(part)
            is_bare = not part.is_numbered
            texts.append(f"{part.bracket}{inside}{')' if part.bracket == '(' else ']'}" if is_bare else inside)
    return "".join(texts)


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
