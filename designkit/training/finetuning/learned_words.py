"""Textual inversion (arXiv 2208.01618): a new word is learned, and the model stays as it is."""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from designkit.errors import InputRefused, Problem
from designkit.generators.words import TRIGGER, Word, add_word, word_tensors
from designkit.training.finetuning.families import TunedFamily
from designkit.training.finetuning.learning import Learning, freeze
from designkit.training.finetuning.recipe import FinetuneRecipe
from designkit.training.finetuning.wording import learned_word


def begin_word(pipeline: Any, family: TunedFamily, recipe: FinetuneRecipe) -> Learning:
    """Vectors of a new word in each of the text encoders' vocabularies, beginning as those of the initial words.

    Raises InputRefused where the family has no vocabulary of CLIP's, or where the model knows the word already.
    """
    text = learned_word(recipe)
    if not family.text_encoders or recipe.text_encoder:
        message = "learns a word of CLIP's text encoders alone"
        reason = f"{recipe.model} keeps its text encoders" if not family.text_encoders else "text_encoder is set"
        raise _refused("method", f"textual-inversion {message}, and {reason}", "choose --method lora")
    freeze(pipeline)
    first = {name: _initial_vectors(pipeline, name, recipe) for name in family.text_encoders}
    kept = {name: getattr(pipeline, name.replace("text_encoder", "tokenizer")) for name in family.text_encoders}
    try:
        grown = add_word([pipeline], Word(text=text, vectors=first))
    except ValueError as error:
        raise _refused("word", str(error), "choose another, such as --set word='<lumen>'") from error
    spelt = {name: getattr(pipeline, name.replace("text_encoder", "tokenizer")) for name in family.text_encoders}
    names = (family.denoiser, *family.text_encoders)

    def tensors() -> dict[str, Tensor]:
        vectors = {name: each.vectors.detach().float().cpu().contiguous().clone() for name, each in grown.items()}
        return word_tensors(Word(text=text, vectors=vectors))

    def put(tokenizers: dict[str, Any], embeddings: dict[str, nn.Module]) -> None:
        for name in family.text_encoders:
            setattr(pipeline, name.replace("text_encoder", "tokenizer"), tokenizers[name])
            getattr(pipeline, name).set_input_embeddings(embeddings[name])

    @contextmanager
    def resting() -> Iterator[None]:
        put(kept, {name: each.base for name, each in grown.items()})
        try:
            yield
        finally:
            put(spelt, dict(grown))

    return Learning(
        parts={name: getattr(pipeline, name) for name in names},
        weights={f"{name}.vectors": each.vectors for name, each in grown.items()},
        tensors=tensors, resting=resting, header={TRIGGER: text},
    )  # fmt: skip


def _initial_vectors(pipeline: Any, encoder_name: str, recipe: FinetuneRecipe) -> Tensor:
    """As many vectors as the word has, those of the initial words over and over."""
    tokenizer = getattr(pipeline, encoder_name.replace("text_encoder", "tokenizer"))
    numbers = tokenizer(recipe.initial_words, add_special_tokens=False).input_ids
    if not numbers:
        raise _refused("initial_words", "there are none to begin from", "leave them out, or give a word")
    known = getattr(pipeline, encoder_name).get_input_embeddings().weight
    rows = [numbers[place % len(numbers)] for place in range(recipe.vectors)]
    return known[torch.tensor(rows, device=known.device)].detach().float().clone()


def _refused(key: str, message: str, fix: str) -> InputRefused:
    return InputRefused(Problem(code="learned-word", key=key, message=message, fix=fix))
