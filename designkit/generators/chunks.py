"""How a long prompt is shared out over the windows that a CLIP text encoder reads, each of them on its own.

The web UI's rules (AUTOMATIC1111's stable-diffusion-webui, modules/sd_hijack_clip.py): as many tokens as fit, then the
next window; where a comma stands among the last twenty tokens, the window ends behind it. No word is cut in two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_CHUNKS = 16
"""Windows that a prompt may fill; 1,200 tokens for the usual 77 places of a window."""

COMMA_REACH = 20
WORD_END = "</w>"
"""What CLIP's vocabulary writes behind the last token of a word."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a prompt: its number, how much it counts, and its text in the vocabulary."""

    number: int
    weight: float
    text: str


def share_out(sections: Sequence[Sequence[Token]], room: int) -> list[list[Token]]:
    """The tokens of a prompt in windows of at most `room`; every section begins a window of its own.

    There is always one window at least. There may be more than `MAX_CHUNKS`, which is for the caller to heed.
    """
    return [chunk for section in sections for chunk in _share_out(section, room)] or [[]]


def _share_out(section: Sequence[Token], room: int) -> Iterator[list[Token]]:
    chunk: list[Token] = []
    last_comma = 0  # The place in the chunk behind its last comma.
    for word in _words(section, room):
        if len(chunk) + len(word) > room:
            if not last_comma or len(chunk) - last_comma > COMMA_REACH or len(chunk) - last_comma + len(word) > room:
                last_comma = len(chunk)
            yield chunk[:last_comma]
            chunk, last_comma = chunk[last_comma:], 0
        chunk += word
        if word[-1].text == "," + WORD_END:
            last_comma = len(chunk)
    yield chunk


def _words(section: Sequence[Token], room: int) -> Iterator[list[Token]]:
    """The tokens word by word; a word that fills more than a window comes in parts."""
    word: list[Token] = []
    for token in section:
        word.append(token)
        if token.text.endswith(WORD_END) or len(word) == room:
            yield word
            word = []
    if word:
        yield word
