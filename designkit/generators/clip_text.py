# pyright: basic, reportPrivateImportUsage=false
"""Prompts of any length with weighted words, as CLIP encoders' embeddings, for pipelines that take those.

A prompt that fits one window and weighs nothing comes out as diffusers itself encodes it, to the bit. A weighted
token moves along the line from what the empty prompt has in its place:

    z' = z_empty + weight * (z - z_empty)

which is what ComfyUI (comfy/sd1_clip.py, `encode_token_weights`) and, for weights above one, compel do. Windows are
encoded one by one and put in a row (see `chunks`); the pooled vector that SDXL wants is that of the first, unweighted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from designkit.generators.chunks import MAX_CHUNKS, Token, share_out
from designkit.generators.strength import Strength


def num_chunks(pipeline: Any, prompt: Strength) -> int:
    """How many windows a prompt fills, at most `MAX_CHUNKS`, in the encoder in which it fills the most."""
    longest = max(len(_chunks(pipeline, tokenizer, prompt)) for tokenizer, _ in _encoders(pipeline))
    return min(longest, MAX_CHUNKS)


def fits(pipeline: Any, prompt: Strength) -> bool:
    """Whether a prompt needs none of this: it surely fills one window only, and every word in it counts once."""
    # A token is one byte at least, once learned words of several vectors are spelt out.
    return prompt.is_even and all(
        len(pipeline.maybe_convert_prompt(prompt.text, tokenizer).encode()) <= _room(tokenizer)
        for tokenizer, _ in _encoders(pipeline)
    )


def embed(
    pipeline: Any, prompts: Sequence[Strength], negatives: Sequence[Strength] | None, *, count: int
) -> dict[str, Any]:
    """The arguments that stand for prompts (and negative prompts) of `count` windows in a call of the pipeline.

    Shorter ones are filled up with empty windows, since both kinds must be of one length. The embeddings are
    [N, count * window, channels] in the encoders' precision, the pooled ones of SDXL [N, channels].
    """
    arguments: dict[str, Any] = {}
    with torch.inference_mode():
        for prefix, texts in (("", prompts), ("negative_", negatives)):
            if texts is None:
                continue
            embeddings, pooled = _encode(pipeline, texts, count)
            arguments[f"{prefix}prompt_embeds"] = embeddings
            if pooled is not None:
                arguments[f"{prefix}pooled_prompt_embeds"] = pooled
    return arguments


def _encoders(pipeline: Any) -> list[tuple[Any, Any]]:
    """The tokenizers and text encoders of a pipeline, one or two; SDXL's refiner has the second only."""
    names = ("", "_2")
    pairs = [(getattr(pipeline, f"tokenizer{n}", None), getattr(pipeline, f"text_encoder{n}", None)) for n in names]
    return [(tokenizer, encoder) for tokenizer, encoder in pairs if tokenizer is not None and encoder is not None]


def _room(tokenizer: Any) -> int:
    """Tokens of a prompt that a window holds beside the marks of its start and end."""
    return tokenizer.model_max_length - 2


def _chunks(pipeline: Any, tokenizer: Any, prompt: Strength) -> list[list[Token]]:
    """The windows of a prompt, as its pieces are tokenized one by one."""
    sections: list[list[Token]] = []
    for section in prompt.sections:
        tokens: list[Token] = []
        for piece in section:
            # Learned words of several vectors (textual inversion) are spelt out, as diffusers does.
            text = pipeline.maybe_convert_prompt(piece.text, tokenizer)
            numbers = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids
            names = tokenizer.convert_ids_to_tokens(numbers)
            tokens += [Token(number, piece.weight, name) for number, name in zip(numbers, names, strict=True)]
        sections.append(tokens)
    return share_out(sections, _room(tokenizer))


def _encode(pipeline: Any, prompts: Sequence[Strength], count: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Embeddings of all encoders side by side, and the pooled vector of the last encoder that has one."""
    # Stable Diffusion reads the last layer behind its norm; SDXL, which has two encoders, the last but one without.
    is_xl = hasattr(pipeline, "text_encoder_2")
    columns: list[torch.Tensor] = []
    pooled: torch.Tensor | None = None
    for tokenizer, encoder in _encoders(pipeline):
        windows = [_chunks(pipeline, tokenizer, prompt)[:count] for prompt in prompts]
        windows = [[*filled, *[[]] * (count - len(filled))] for filled in windows]
        empty, _ = _run(encoder, tokenizer, [[]], is_xl=is_xl)
        row: list[torch.Tensor] = []
        for place in range(count):
            chunks = [window[place] for window in windows]
            embeddings, vector = _run(encoder, tokenizer, chunks, is_xl=is_xl)
            row.append(_weigh(embeddings, empty, chunks))
            if place == 0 and vector is not None:
                pooled = vector
        columns.append(torch.cat(row, dim=1))
    return torch.cat(columns, dim=-1), pooled


def _run(
    encoder: Any, tokenizer: Any, chunks: Sequence[Sequence[Token]], *, is_xl: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Embeddings [N, window, channels] of one window a prompt, and for SDXL's second encoder the pooled [N, channels].

    The windows go through the encoder together, as diffusers sends whole prompts.
    """
    length = tokenizer.model_max_length
    rows = [[tokenizer.bos_token_id, *(token.number for token in chunk), tokenizer.eos_token_id] for chunk in chunks]
    lengths = [len(row) for row in rows]
    padded = [[*row, *[tokenizer.pad_token_id] * (length - len(row))] for row in rows]
    numbers = torch.tensor(padded, device=encoder.device)
    if is_xl:
        output = encoder(numbers, output_hidden_states=True)
        return output.hidden_states[-2], output[0] if output[0].ndim == 2 else None
    mask = None
    if getattr(encoder.config, "use_attention_mask", False):
        mask = torch.tensor([[place < end for place in range(length)] for end in lengths], device=encoder.device).long()
    return encoder(numbers, attention_mask=mask)[0], None


def _weigh(embeddings: torch.Tensor, empty: torch.Tensor, chunks: Sequence[Sequence[Token]]) -> torch.Tensor:
    """Each token moved by its weight; tokens that count once keep their very bits."""
    weights = torch.ones(embeddings.shape[:2], dtype=embeddings.dtype)
    for number, chunk in enumerate(chunks):
        # The first place is that of the start mark.
        weights[number, 1 : len(chunk) + 1] = torch.tensor([token.weight for token in chunk], dtype=embeddings.dtype)
    weights = weights.to(embeddings.device).unsqueeze(-1)
    return torch.where(weights == 1, embeddings, empty + weights * (embeddings - empty))
