"""Learned words (textual inversion, arXiv 2208.01618): vectors in text encoders' vocabularies, and taken out again.

    word = read_word(Path("lumen/adapter.safetensors"))       # Word(text="<lumen>", vectors={"text_encoder": [4, 768]})
    with spoken([pipeline], [word]):
        pipeline("a can, <lumen>")

A word of n vectors is n tokens, `<lumen> <lumen>_1 <lumen>_2`; diffusers' `maybe_convert_prompt` unfolds it.
Files are those that diffusers' `load_textual_inversion`, AUTOMATIC1111 and ComfyUI read: one tensor [n, width], named
by the word, for one text encoder; `clip_l` and `clip_g` for Stable Diffusion XL's two. These tools but the first call
a word by the name of its file; ours stands in the header as `modelspec.trigger_phrase`.
"""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

TRIGGER = "modelspec.trigger_phrase"
_OF_TWO = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}


@dataclass(frozen=True, kw_only=True)
class Word:
    """A learned word: what is written in prompts, and its vectors [n, width] by text encoder."""

    text: str
    vectors: Mapping[str, Tensor]

    @property
    def tokens(self) -> list[str]:
        """What a tokenizer knows it by, one token a vector."""
        count = len(next(iter(self.vectors.values())))
        return [self.text, *(f"{self.text}_{number}" for number in range(1, count))]


class GrownEmbedding(nn.Module):
    """A text encoder's vocabulary with the vectors of one word behind it; the first of them is number `first`.

    What was there keeps its very module, so that taking the word out restores it bit for bit.
    """

    def __init__(self, base: nn.Module, vectors: Tensor, first: int) -> None:
        super().__init__()
        self.base = base
        # Behind the base, whose precision then goes on being the text encoder's own.
        self.added = nn.Embedding.from_pretrained(vectors.clone(), freeze=False)
        self.first = first

    @property
    def vectors(self) -> nn.Parameter:
        """Those of the word, [n, width]."""
        assert isinstance(self.added.weight, nn.Parameter)
        return self.added.weight

    @property
    def weight(self) -> Tensor:
        """The vocabulary that was there, [words, width]."""
        weight = self.base.weight
        assert isinstance(weight, Tensor)
        return weight

    def forward(self, numbers: Tensor) -> Tensor:
        """Vectors [..., width] of tokens [...]."""
        is_new = numbers >= self.first
        known = self.base(numbers.masked_fill(is_new, 0))
        new = self.added((numbers - self.first).clamp(0, len(self.vectors) - 1))
        return torch.where(is_new.unsqueeze(-1), new.to(known.dtype), known)


def read_word(file: Path) -> Word:
    """The word of a file that `adapter_kind` calls "words"; one that names itself nowhere is called as its file is."""
    with safe_open(file, "pt") as opened:
        header = opened.metadata() or {}
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no dict
    by_encoder = {encoder: tensors[name] for encoder, name in _OF_TWO.items() if name in tensors}
    vectors = by_encoder or {"text_encoder": next(iter(tensors.values()))}
    (name, *others) = tensors
    own_name = None if others or name in ("emb_params", "clip_l", "clip_g", "*") else name
    text = header.get(TRIGGER) or own_name or file.name.removesuffix(".safetensors")
    return Word(text=text, vectors={key: each if each.dim() == 2 else each[None] for key, each in vectors.items()})


def word_tensors(word: Word) -> dict[str, Tensor]:
    """The tensors of a word's file."""
    if len(word.vectors) == 1:
        return {word.text: word.vectors["text_encoder"]}
    return {_OF_TWO[encoder]: tensor for encoder, tensor in word.vectors.items()}


@contextmanager
def spoken(pipelines: Sequence[Any], words: Sequence[Word]) -> Iterator[None]:
    """Within, prompts of the pipelines may use the words; afterwards every part is the one that was there.

    The pipelines share their text encoders and have tokenizers of their own. Raises ValueError for a word that does
    not fit the text encoders, or that they know already.
    """
    kept: list[tuple[Any, str, Any]] = []
    embeddings: list[tuple[Any, Any]] = []
    try:
        for word in words:
            for encoder_name in word.vectors:
                encoder = getattr(pipelines[0], encoder_name, None)
                if encoder is None:
                    raise ValueError(f"{word.text} is for two text encoders, and the model has one")
                tokenizer_name = encoder_name.replace("text_encoder", "tokenizer")
                kept += [(each, tokenizer_name, getattr(each, tokenizer_name)) for each in pipelines]
                embeddings.append((encoder, encoder.get_input_embeddings()))
            add_word(pipelines, word)
        yield
    finally:
        for pipeline, name, tokenizer in reversed(kept):
            setattr(pipeline, name, tokenizer)
        for encoder, embedding in reversed(embeddings):
            encoder.set_input_embeddings(embedding)


def add_word(pipelines: Sequence[Any], word: Word) -> dict[str, GrownEmbedding]:
    """Put a word into tokenizers (copies of those there) and text encoders; the new vocabularies by encoder."""
    grown: dict[str, GrownEmbedding] = {}
    num_encoders = sum(getattr(pipelines[0], name, None) is not None for name in _OF_TWO)
    if len(word.vectors) < num_encoders:
        raise ValueError(f"{word.text} is for one text encoder, and the model has two")
    for encoder_name, vectors in word.vectors.items():
        encoder = getattr(pipelines[0], encoder_name)
        tokenizer_name = encoder_name.replace("text_encoder", "tokenizer")
        for pipeline in pipelines:
            tokenizer = deepcopy(getattr(pipeline, tokenizer_name))
            if taken := [token for token in word.tokens if token in tokenizer.get_vocab()]:
                raise ValueError(f"{taken[0]} is a word of the model already")
            tokenizer.add_tokens(word.tokens)
            setattr(pipeline, tokenizer_name, tokenizer)
        first = getattr(pipelines[0], tokenizer_name).convert_tokens_to_ids(word.text)
        base = encoder.get_input_embeddings()
        if vectors.shape[1] != base.weight.shape[1]:
            raise ValueError(
                f"its vectors have {vectors.shape[1]} numbers, and the model's words {base.weight.shape[1]}"
            )
        grown[encoder_name] = GrownEmbedding(base, vectors.float().to(base.weight.device), first)
        encoder.set_input_embeddings(grown[encoder_name])
    return grown
