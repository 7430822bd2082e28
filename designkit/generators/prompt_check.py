"""What a model's text encoder makes of prompts: words that it cuts off, and words that it never learned.

Tokens are counted with the model's own tokenizer files; neither torch nor transformers is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from designkit.errors import Problem
from designkit.generators.base import ModelCard
from designkit.generators.catalog import SHIPPED, STARTER_FOLDER
from designkit.generators.chunks import MAX_CHUNKS, Token, share_out
from designkit.generators.families import find_family
from designkit.generators.native import FAMILIES as NATIVE
from designkit.generators.native import find_class
from designkit.generators.strength import Strength, parse_strength
from designkit.generators.weights import read_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_LARGEST_LIMIT = 100_000  # Tokenizers without a limit say so with an absurdly large one.


def check_prompts(card: ModelCard, prompts: Iterable[str]) -> tuple[Problem, ...]:
    """What will be lost of these prompts (codes `words-cut-off` and `unknown-word`), each text looked at once.

    A model whose tokenizer is not on this disk, or has no limit, is not checked for length.
    """
    distinct = list(dict.fromkeys(prompts))
    if card.reads != "text":
        return tuple(_unread(card, distinct))
    return (*_cut_off(card, distinct), *_unknown(card, distinct))


def dropped_words(
    card: ModelCard, prompts: Iterable[str], *, is_one_window: bool = False
) -> dict[str, tuple[str, ...]]:
    """For each prompt that is too long for this model, the words that no text encoder of it will read.

    `is_one_window` says that the text is read as it stands and by the encoder's one window alone, as captions are in
    training, even where drawing reads on.
    """
    encoders = list(_text_encoders(card))
    reads_on = "word_weights" in card.accepts and not is_one_window
    dropped: dict[str, tuple[str, ...]] = {}
    for prompt in dict.fromkeys(prompts):
        if reads_on:
            lost = [encoder.lost_in_windows(parse_strength(prompt)) for encoder in encoders]
        else:
            text = prompt if is_one_window else parse_strength(prompt).plain
            lost = [encoder.lost(text) for encoder in encoders]
        # What one encoder cuts off, another one with more room may still read.
        dropped[prompt] = tuple(min(lost, key=len, default="").split())
    return {prompt: words for prompt, words in dropped.items() if words}


def _unread(card: ModelCard, prompts: list[str]) -> Iterator[Problem]:
    """What a model that reads classes, or nothing at all, makes of prompts."""
    if card.reads == "nothing":
        yield Problem(
            code="prompt-ignored", key="prompt",
            message=f"{card.name} reads no prompts: the seed alone sets what it draws",
            fix="choose a model that was trained with captions or classes",
        )  # fmt: skip
        return
    for prompt in prompts:
        if find_class(prompt, card.classes) is None:
            yield Problem(
                code="class-not-named", key="prompt",
                message=f"the prompt {_beginning(prompt)!r} names no class of {card.name}; the seed picks one",
                fix=f"name one of {', '.join(card.classes)}",
            )  # fmt: skip


def _cut_off(card: ModelCard, prompts: list[str]) -> Iterator[Problem]:
    for prompt, words in dropped_words(card, prompts).items():
        lost = " ".join(words)
        yield Problem(
            code="words-cut-off",
            key="prompt",
            message=f"{card.name} does not read the end of the prompt {_beginning(prompt)!r}; it drops: {lost}",
            fix="say the same in fewer words, the most important ones first",
        )


def _unknown(card: ModelCard, prompts: list[str]) -> Iterator[Problem]:
    if card.name not in SHIPPED:
        return
    from designkit.starter.captions import unknown_words

    for unknown in unknown_words("\n".join(parse_strength(prompt).text for prompt in prompts)):
        nearest = f"words near it that it knows: {', '.join(unknown.nearest)}" if unknown.nearest else None
        yield Problem(
            code="unknown-word",
            key="prompt",
            message=f"the {card.name} model never learned the word {unknown.word!r}",
            fix=nearest or "use another word, or another model",
        )


@dataclass(frozen=True, kw_only=True)
class _TextEncoder:
    """One tokenizer of a model, and how many tokens of a prompt fit, its own marks not counted."""

    tokenizer: Tokenizer
    limit: int

    def lost(self, prompt: str) -> str:
        """What of a prompt is not read, from the first word on that is not read whole."""
        if len(prompt.encode()) <= self.limit:
            return ""  # A token is one byte at least.
        offsets = self.tokenizer.encode(prompt, add_special_tokens=False).offsets
        if len(offsets) <= self.limit:
            return ""
        start = offsets[self.limit][0]
        while start > 0 and not prompt[start - 1].isspace() and not prompt[start].isspace():
            start -= 1
        return prompt[start:]

    def lost_in_windows(self, prompt: Strength) -> str:
        """What of a prompt is not read where it may fill `MAX_CHUNKS` windows."""
        # Two windows that follow each other in a section hold more tokens together than fit one.
        if 2 * len(prompt.text.encode()) // self.limit + len(prompt.sections) < MAX_CHUNKS:
            return ""
        full = " ".join("".join(piece.text for piece in section) for section in prompt.sections)
        sections: list[list[Token]] = []
        start = 0
        for section in prompt.sections:
            tokens: list[Token] = []
            for piece in section:
                encoding = self.tokenizer.encode(piece.text, add_special_tokens=False)
                # Which token it is does not matter here, but where it begins in the full text.
                starts = (start + offset for offset, _ in encoding.offsets)
                tokens += [Token(place, 1.0, text) for place, text in zip(starts, encoding.tokens, strict=True)]
                start += len(piece.text)
            sections.append(tokens)
            start += 1
        beyond = chain.from_iterable(share_out(sections, self.limit)[MAX_CHUNKS:])
        first = next(beyond, None)
        return "" if first is None else full[first.number :]


def _text_encoders(card: ModelCard) -> Iterator[_TextEncoder]:
    if card.folder is None or not card.folder.is_dir():
        return
    limits = find_family(card.pipeline).text_limits
    leans_on_starter = card.family in NATIVE and not (card.folder / "tokenizer").is_dir()
    for folder in sorted((STARTER_FOLDER if leans_on_starter else card.folder).glob("tokenizer*")):
        tokenizer = _read_tokenizer(folder)
        if tokenizer is None:
            continue
        limit = limits.get(folder.name) or _own_limit(folder, tokenizer)
        if limit is not None:
            yield _TextEncoder(tokenizer=tokenizer, limit=limit)


def _own_limit(folder: Path, tokenizer: Tokenizer) -> int | None:
    path = folder / "tokenizer_config.json"
    limit = read_json(path).get("model_max_length") if path.is_file() else None
    if not isinstance(limit, int) or limit > _LARGEST_LIMIT:
        return None
    return limit - tokenizer.num_special_tokens_to_add(is_pair=False)


def _read_tokenizer(folder: Path) -> Tokenizer | None:
    """The tokenizer of a folder, without the truncation and padding that it may have been saved with."""
    from tokenizers import Tokenizer

    if (folder / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        return _read_clip_tokenizer(folder)
    return None


def _read_clip_tokenizer(folder: Path) -> Tokenizer | None:
    """CLIP's tokenizer from the two files that older models have; None when they are another kind's."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary: dict[str, Any] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    start, end = "<|startoftext|>", "<|endoftext|>"
    if start not in vocabulary or end not in vocabulary:
        return None
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    pairs = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
    merges = [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix="</w>", unk_token=end))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    # Words, contractions, single digits, runs of signs; white space separates and is dropped.
    words = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.post_processor = processors.RobertaProcessing((end, vocabulary[end]), (start, vocabulary[start]))
    return tokenizer


def _beginning(prompt: str) -> str:
    return prompt if len(prompt) <= 40 else f"{prompt[:39]}…"
