"""The starter's text encoder and autoencoder, which small models of our own lean on instead of bringing theirs.

A model that was trained with them names them by their fingerprints, and is refused where they are not the same:
other weights would give other vectors for the same words.
"""

# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from diffusers import AutoencoderKL  # pyright: ignore[reportPrivateImportUsage]
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from designkit.errors import ModelRefused, Problem
from designkit.generators.catalog import STARTER_FOLDER
from designkit.generators.weights import fingerprint

Part = Literal["text_encoder", "vae"]

LATENT_STRIDE = 8
"""Pixels a latent pixel of the starter's autoencoder."""


@lru_cache(maxsize=4)
def part_fingerprint(part: Part, *, folder: Path = STARTER_FOLDER) -> str:
    """What identifies the weights of a part (for the text encoder, its tokenizer too)."""
    files = [*(folder / part).glob("*.safetensors")]
    if part == "text_encoder":
        files += [path for path in (folder / "tokenizer").iterdir() if path.suffix in (".json", ".txt")]
    return fingerprint(sorted(files), folder)


def require_part(part: Part, expected: str, *, model: str) -> None:
    """Raise ModelRefused unless the installed starter has exactly the part that a model was trained with."""
    if part_fingerprint(part) != expected:
        what = {"text_encoder": "text encoder", "vae": "autoencoder"}[part]
        raise ModelRefused(
            Problem(
                code="starter-part-differs", file=model,
                message=f"was trained with another version of the starter's {what} than is installed",
                fix="install the designkit that it came with, or train it again",
            )
        )  # fmt: skip


class TextReader:
    """Captions to vectors: the text encoder's last token, which in training names every factor that is said.

        vectors = TextReader().read(["a red apple", "two cats"])   # [2, 256]

    Each text is read alone, so that its vector does not depend on its neighbours.
    """

    def __init__(self, folder: Path = STARTER_FOLDER) -> None:
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval()
        self.encoder.requires_grad_(False)
        self.width: int = self.encoder.config.hidden_size
        self._known: dict[str, Tensor] = {}

    def read(self, texts: Sequence[str]) -> Tensor:
        """Vectors [N, width] float32 of texts; those read before are remembered."""
        for text in texts:
            if text not in self._known:
                if len(self._known) > 20_000:
                    self._known.clear()
                self._known[text] = self.read_many([text])[0]
        return torch.stack([self._known[text] for text in texts])

    @torch.no_grad()
    def read_many(self, texts: Sequence[str]) -> Tensor:
        """Vectors [N, width] of texts read in one go, for training: faster, and equal but for rounding."""
        ids = self.tokenizer(
            list(texts), padding="max_length", max_length=self.tokenizer.model_max_length, truncation=True,
            return_tensors="pt",
        ).input_ids  # fmt: skip
        hidden = self.encoder(ids).last_hidden_state  # [N, tokens, width]
        ends = (ids == self.tokenizer.eos_token_id).int().argmax(dim=1)
        return hidden[torch.arange(len(ids)), ends].float()


class LatentCodec:
    """Pictures to latents and back, through the starter's autoencoder in fp32."""

    def __init__(self, folder: Path = STARTER_FOLDER, *, device: torch.device | str = "cpu") -> None:
        self.autoencoder = AutoencoderKL.from_pretrained(folder / "vae").float().eval().to(device)
        self.autoencoder.requires_grad_(False)
        self.scale = float(self.autoencoder.config.scaling_factor)
        self.num_channels = int(self.autoencoder.config.latent_channels)

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in [-1, 1] -> latents [N, C, H / 8, W / 8] of about unit variance."""
        device = self.autoencoder.device
        return self.autoencoder.encode(pictures.to(device)).latent_dist.mean * self.scale

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [N, C, h, w] -> pictures [N, 3, 8 h, 8 w] in about [-1, 1]."""
        return self.autoencoder.decode(latents.to(self.autoencoder.device) / self.scale).sample
