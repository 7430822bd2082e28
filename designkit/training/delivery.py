"""Write a trained GAN or VAE as a model folder that generators open."""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from designkit.files import write_durably
from designkit.generators.catalog import STARTER_FOLDER
from designkit.generators.native import CONFIG, README, WEIGHTS, NativeConfig
from designkit.generators.starter_parts import LATENT_STRIDE, LatentCodec, part_fingerprint
from designkit.values import Size


def native_size(shape: tuple[int, ...], codec: LatentCodec | None) -> Size:
    """The size of the pictures of samples [C, H, W] (of a codec's latents, eight times theirs); 1 x 1 for points."""
    stride = LATENT_STRIDE if codec is not None else 1
    height, width = shape[1:] if len(shape) == 3 else (1, 1)
    return Size(width=width * stride, height=height * stride)


def parts_used(condition: str, codec: LatentCodec | None) -> dict[str, str]:
    """The fingerprints of the starter's parts that a model leans on."""
    parts = {}
    if condition == "text":
        parts["text_encoder"] = part_fingerprint("text_encoder")
    if codec is not None:
        parts["vae"] = part_fingerprint("vae")
    return parts


def write_model(
    out: Path, facts: NativeConfig, weights: Mapping[str, Tensor], *, readme: str, picture: Image.Image | None,
    half: bool = False, is_self_contained: bool = True, exact: Mapping[str, Tensor] | None = None,
) -> None:  # fmt: skip
    """Write config.json, model.safetensors, README.md and samples.png to `out`; the config comes last.

    `half` stores weights in half precision, but for the `exact` tensors. `is_self_contained` brings along the
    starter's parts that the model leans on.
    """
    out.mkdir(parents=True, exist_ok=True)
    if is_self_contained:
        parts = {"text_encoder": ("text_encoder", "tokenizer"), "vae": ("vae",)}
        for part in (folder for name in facts.starter_parts for folder in parts[name]):
            shutil.copytree(STARTER_FOLDER / part, out / part, dirs_exist_ok=True)
    if picture is not None:
        picture.save(out / "samples.png")
    dtype = torch.float16 if half else torch.float32
    tensors = {name: w.detach().cpu() for name, w in weights.items()}
    tensors = {name: (w.to(dtype) if w.is_floating_point() else w).contiguous() for name, w in tensors.items()}
    write_durably(out / WEIGHTS, save({**tensors, **(exact or {})}))
    write_durably(out / README, readme.encode())
    write_durably(out / CONFIG, json.dumps(facts.to_json(), indent=2).encode() + b"\n")
