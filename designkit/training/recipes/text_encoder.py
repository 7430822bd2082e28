"""Make the starter's own tokenizer, and teach its text encoder to read captions before it meets a picture.

The encoder first learns to name every factor that a caption states (subject, colours, position, ...; "not
said" is an answer too), from the last token and from the padding after it. The denoiser then starts with
words that are already told apart, and trains the encoder further.
"""

# pyright: basic, reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false
from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from designkit.starter.captions import Caption, Factor, caption, known_words
from designkit.starter.colours import COLOURS
from designkit.starter.scenes import BACKGROUNDS, COUNTS, POSITIONS, PRODUCTS, STYLES, Scene, training_scene
from designkit.starter.subjects import SUBJECTS
from designkit.training.config import Schedule, TextEncoderRecipe
from designkit.training.loop import Phase

_START, _END = "<|startoftext|>", "<|endoftext|>"
_COLOUR_NAMES = (None, *COLOURS)
ANSWERS: dict[Factor, tuple[Any, ...]] = {
    "subject": tuple(subject.name for subject in SUBJECTS), "count": COUNTS, "colour": _COLOUR_NAMES, "style": STYLES,
    "position": POSITIONS, "product": (None, *PRODUCTS), "product_colour": _COLOUR_NAMES, "badge": _COLOUR_NAMES,
    "background": BACKGROUNDS, "first": tuple(COLOURS), "second": _COLOUR_NAMES,
}  # fmt: skip


def build_tokenizer(recipe: TextEncoderRecipe, folder: Path, *, seed: int) -> CLIPTokenizer:
    """Learn byte-pair merges on the caption grammar, write a CLIP tokenizer into `folder` and load it."""
    if not (folder / "tokenizer_config.json").exists():
        rng = random.Random(seed)
        lines = [caption(training_scene(index, seed=seed), rng).text for index in range(recipe.num_captions)]
        lines += [" ".join(sorted(known_words()))] * 20
        tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ])  # fmt: skip
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=recipe.vocabulary_size, special_tokens=[_START, _END], end_of_word_suffix="</w>",
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        )  # fmt: skip
        tokenizer.train_from_iterator(lines, trainer)
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.model.save(str(folder))
        made = CLIPTokenizer(
            str(folder / "vocab.json"), str(folder / "merges.txt"), unk_token=_END, bos_token=_START, eos_token=_END,
            pad_token=_END, model_max_length=recipe.max_tokens,
        )  # fmt: skip
        made.save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder)


def build_text_encoder(recipe: TextEncoderRecipe, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A fresh CLIP text transformer of the recipe's size for this tokenizer."""
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=recipe.width, intermediate_size=4 * recipe.width,
        num_hidden_layers=recipe.layers, num_attention_heads=recipe.heads, max_position_embeddings=recipe.max_tokens,
        hidden_act="gelu", projection_dim=recipe.width, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    ))  # fmt: skip


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    """Texts -> token ids [N, max_tokens], padded and cut as the pipeline does it."""
    encoded = tokenizer(
        texts, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )
    return encoded.input_ids


class TextEncoderTask:
    """Name every stated factor of a caption from the encoder's output."""

    def __init__(self, encoder: CLIPTextModel, tokenizer: CLIPTokenizer, *, seed: int) -> None:
        self.tokenizer = tokenizer
        self.seed = seed
        self.module = CaptionReader(encoder)

    def batch(self, step: int, size: int) -> dict[str, Any]:
        """`size` captions, the answers they give, and the padding position to read as well."""
        rng = random.Random(f"text/{self.seed}/{step}")
        scenes = [training_scene(rng.getrandbits(40), seed=self.seed) for _ in range(size)]
        captions = [caption(scene, rng) for scene in scenes]
        ids = tokenize(self.tokenizer, [entry.text for entry in captions])
        return {"ids": ids, **questions(ids, scenes, captions, rng, end=self.tokenizer.eos_token_id)}

    def phases(self, schedule: Schedule) -> list[Phase]:
        """One phase: all weights at the schedule's rate."""
        return [
            Phase(loss=self.module, groups=[{"params": list(self.module.parameters()), "lr": schedule.learning_rate}])
        ]

    def look(self) -> None:
        """Nothing to see."""


def questions(
    ids: torch.Tensor, scenes: Sequence[Scene], captions: Sequence[Caption], rng: random.Random, *, end: int
) -> dict[str, Any]:
    """Which tokens of `ids` [N, tokens] to read, and the answers: {"positions": [N, 2], "answers": {factor: [N]}}.

    Read are the caption's `end` token and one of the padding after it. A factor that a caption leaves out
    has the answer "not said".
    """
    ends = (ids == end).int().argmax(dim=1)
    later = torch.tensor([rng.randint(int(end), ids.shape[1] - 1) for end in ends])
    answers = {
        factor: torch.tensor([_answer(s, c, factor) for s, c in zip(scenes, captions, strict=True)])
        for factor in ANSWERS
    }
    return {"positions": torch.stack([ends, later], dim=1), "answers": answers}


def _answer(scene: Scene, said: Caption, factor: Factor) -> int:
    answers = ANSWERS[factor]
    return answers.index(getattr(scene, factor)) if factor in said.said else len(answers)


class CaptionReader(torch.nn.Module):
    """A text encoder with one linear head a factor, which names what a caption says."""

    def __init__(self, encoder: CLIPTextModel) -> None:
        super().__init__()
        self.encoder = encoder
        width = encoder.config.hidden_size
        self.heads = torch.nn.ModuleDict(
            {f: torch.nn.Linear(width, len(answers) + 1) for f, answers in ANSWERS.items()}
        )

    def forward(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss of naming every factor of a batch of captions, and {"named": share named right}."""
        return self.name_factors(self.encoder(batch["ids"]).last_hidden_state, batch["positions"], batch["answers"])

    def name_factors(
        self, hidden: torch.Tensor, positions: torch.Tensor, answers: dict[Factor, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Mean cross-entropy over factors, read from `hidden` [N, tokens, width], and the share named right."""
        rows = torch.arange(hidden.shape[0])[:, None]
        read = hidden[rows, positions]  # [N, 2, width]
        total = hidden.new_zeros((), dtype=torch.float32)
        right = 0.0
        for factor, answer in answers.items():
            guess = self.heads[factor](read).float()
            answer = answer[:, None].expand(-1, 2)
            total = total + functional.cross_entropy(guess.flatten(0, 1), answer.flatten())
            right += float((guess.argmax(-1) == answer).float().mean()) / len(ANSWERS)
        return total / len(ANSWERS), {"named": right}
