"""Adapter files for every tool: diffusers/PEFT, kohya and ComfyUI names, one strength in all of them.

    adapter = read_adapter(Path("lumen/adapter.safetensors"))
    write_adapter(Path("lumen-kohya.safetensors"), adapter, "kohya")

A low-rank update is `B @ A` with A [rank, in] and B [out, rank], convolutions with two more dimensions. Tools that find
an alpha multiply by alpha / rank, others by 1. Here the factor is always folded into B, and an alpha is written only
where its layout has one, equal to the rank: so strength 1.0 means the same everywhere.

Layouts, by the loaders that read them (diffusers 0.42 `loaders/lora_conversion_utils.py`; kohya-ss sd-scripts
`networks/lora.py`; ComfyUI `comfy/lora.py`):

    diffusers  unet.<layer>.lora_A.weight, .lora_B.weight; text_encoder.<layer>...
    kohya      lora_unet_<layer with _ for .>.lora_down.weight, .lora_up.weight, .alpha; lora_te_text_model_<layer>
               (lora_te1_ and lora_te2_ where there are two text encoders)
               FLUX: lora_unet_double_blocks_0_img_attn_qkv and so on (flux_names.py)
    comfyui    kohya's names for UNets, diffusers' own for transformers: those that ComfyUI's key map lists. It lists
               FLUX.2's only lately, and always diffusion_model.<Black Forest Labs' layer>.lora_A.weight, .lora_B.weight
"""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load, save
from torch import Tensor

from designkit.errors import ModelRefused, Problem
from designkit.files import write_durably
from designkit.generators.adapters import adapter_file, adapter_kind
from designkit.generators.flux_names import flux_layers, has_flux_2_widths, is_flux, is_flux_2
from designkit.generators.kronecker import KERNELS, lora_of_lokr
from designkit.generators.weights import read_header
from designkit.values import Adapter

Layout = Literal["diffusers", "kohya", "comfyui"]
LAYOUTS: tuple[Layout, ...] = ("diffusers", "kohya", "comfyui")

_PART = re.compile(r"(unet|transformer|text_encoder(?:_2|_3)?)\.(.+)\.lora_([AB])\.weight")
_WIDTH_OF_SDXL = 2048


@dataclass(frozen=True, kw_only=True)
class AdapterWeights:
    """A low-rank adapter in diffusers' names, scale folded, and what its header says (text to text)."""

    tensors: Mapping[str, Tensor]
    header: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def has_two_text_encoders(self) -> bool:
        """Whether it is of Stable Diffusion XL's kind, as far as can be told."""
        if "stable-diffusion-xl" in self.header.get("modelspec.architecture", ""):
            return True
        widths = [t.shape[1] for name, t in self.tensors.items() if name.endswith("attn2.to_k.lora_A.weight")]
        return _WIDTH_OF_SDXL in widths or any(name.startswith("text_encoder_2.") for name in self.tensors)


def read_adapter(path: Path, *, max_rank: int = 128) -> AdapterWeights:
    """The adapter of a file or folder, in whichever layout; raises ModelRefused where it is none of these.

    A LoKr becomes a LoRA of the rank that it takes, or of `max_rank` with the least error where that is less.
    """
    file = adapter_file(Adapter(path=str(path)))
    data = file.read_bytes()
    tensors = {name: tensor.float() for name, tensor in load(data).items()}
    header = _header(data)
    if adapter_kind(read_header(file)) == "words":
        raise ModelRefused(
            Problem(
                code="adapter-unknown-kind", file=str(file),
                message="is a learned word, which every tool reads as it is",
                fix="copy the file to where the tool has its embeddings, named after the word",
            )
        )  # fmt: skip
    if any(".lokr_" in name for name in tensors):
        try:
            tensors = lora_of_lokr(tensors, header, max_rank=max_rank)
        except KeyError as error:
            raise ModelRefused(_unreadable(file, f"{error.args[0]} of a LoKr is missing")) from None
        stale = ("ss_network", KERNELS, "lora_adapter_metadata")
        header = {name: value for name, value in header.items() if not name.startswith(stale)}
    if not all(_PART.fullmatch(name) for name in tensors):
        tensors = _from_other_names(tensors, file)
    elif header.get("lora_adapter_metadata"):
        tensors = _fold_configured(tensors, header.pop("lora_adapter_metadata"))
    header.pop("lora_adapter_metadata", None)
    unknown = [name for name in tensors if not _PART.fullmatch(name)]
    if unknown:
        raise ModelRefused(_unreadable(file, f"{unknown[0]} belongs to no layer that is known"))
    return AdapterWeights(tensors=tensors, header=header)


def adapter_bytes(adapter: AdapterWeights, layout: Layout) -> bytes:
    """The file of an adapter in a layout; the same adapter always gives the same bytes. Raises ModelRefused."""
    tensors = {name: tensor.contiguous() for name, tensor in _named(adapter, layout).items()}
    header = {**adapter.header, "format": "pt", "modelspec.hash_sha256": f"0x{_content_hash(adapter.tensors)}"}
    return _sorted_header(save(tensors, dict(sorted(header.items()))))


def write_adapter(path: Path, adapter: AdapterWeights, layout: Layout) -> None:
    """Write an adapter's file whole or not at all; raises StorageError, ModelRefused."""
    write_durably(path, adapter_bytes(adapter, layout))


def _named(adapter: AdapterWeights, layout: Layout) -> dict[str, Tensor]:
    is_unet = any(name.startswith("unet.") for name in adapter.tensors)
    if layout == "diffusers":
        return dict(adapter.tensors)
    if is_flux(adapter.tensors) and (layout == "kohya" or _is_flux_2(adapter)):
        return _flux_named(adapter, layout)
    if layout == "comfyui" and not is_unet:
        return dict(adapter.tensors)
    if not is_unet:
        raise ModelRefused(
            Problem(
                code="adapter-layout",
                message="kohya's tools train no such transformer, so there are no names of theirs for its layers",
                fix="use --to comfyui or --to diffusers",
            )
        )
    named: dict[str, Tensor] = {}
    is_of_one_rank = _is_of_one_rank(adapter)
    for name, tensor in adapter.tensors.items():
        part, layer, side = _split(name)
        stem = f"{_kohya_part(part, two=adapter.has_two_text_encoders)}_{_kohya_layer(part, layer)}"
        named[f"{stem}.lora_{'down' if side == 'A' else 'up'}.weight"] = tensor
        if side == "A" and is_of_one_rank:
            named[f"{stem}.alpha"] = torch.tensor(float(tensor.shape[0]))
    return named


def _flux_named(adapter: AdapterWeights, layout: Layout) -> dict[str, Tensor]:
    named: dict[str, Tensor] = {}
    for layer, (down, up) in flux_layers(adapter.tensors).items():
        if layout == "comfyui":
            named |= {f"diffusion_model.{layer}.lora_A.weight": down, f"diffusion_model.{layer}.lora_B.weight": up}
            continue
        stem = f"lora_unet_{layer.replace('.', '_')}"
        named |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
        named[f"{stem}.alpha"] = torch.tensor(float(down.shape[0]))
    return named


def _is_flux_2(adapter: AdapterWeights) -> bool:
    return is_flux_2(adapter.tensors) or "flux-2" in adapter.header.get("modelspec.architecture", "").lower()


def _is_of_one_rank(adapter: AdapterWeights) -> bool:
    """Whether alphas may be written: given several, diffusers 0.42 confuses those of some layers of UNets.

    Without an alpha every tool takes the rank.
    """
    return len({tensor.shape[0] for name, tensor in adapter.tensors.items() if ".lora_A." in name}) == 1


def _split(name: str) -> tuple[str, str, str]:
    match = _PART.fullmatch(name)
    assert match is not None, name
    return match[1], match[2], match[3]


def _kohya_part(part: str, *, two: bool) -> str:
    if part == "unet":
        return "lora_unet"
    return {"text_encoder": "lora_te1" if two else "lora_te", "text_encoder_2": "lora_te2"}[part]


def _kohya_layer(part: str, layer: str) -> str:
    # Transformers 5 has CLIP's text model without the level `text_model`, which every other tool expects.
    if part.startswith("text_encoder") and not layer.startswith("text_model."):
        layer = f"text_model.{layer}"
    return layer.replace(".", "_")


def _from_other_names(tensors: dict[str, Tensor], file: Path) -> dict[str, Tensor]:
    """Kohya's names, and older ones of diffusers', as diffusers itself reads them, with alphas folded into B."""
    from diffusers import loaders

    is_double = any(name.startswith(("lora_te1_", "lora_te2_")) for name in tensors)
    mixin: Any = loaders.StableDiffusionXLLoraLoaderMixin if is_double else loaders.StableDiffusionLoraLoaderMixin
    is_flux_file = any(re.search(r"(double|single)_blocks[._]\d", name) for name in tensors)
    try:
        if is_flux_file:
            return _from_flux_names(tensors)
        converted, alphas = mixin.lora_state_dict(dict(tensors))
    except Exception as error:
        raise ModelRefused(_unreadable(file, str(error).strip().splitlines()[0])) from error
    named = {_modern(name): tensor for name, tensor in converted.items() if not name.endswith(".alpha")}
    # An alpha is named after its layer, or after the layer's first matrix.
    layers = {name: _modern(name.removesuffix(".alpha")).removesuffix(".lora_A.weight") for name in alphas or {}}
    scales = {layers[name]: float(alpha) for name, alpha in (alphas or {}).items()}
    for name in named:
        part, layer, side = _split(name) if _PART.fullmatch(name) else ("", "", "")
        alpha = scales.get(f"{part}.{layer}")
        if side == "B" and alpha is not None:
            named[name] = named[name] * (alpha / named[name].shape[1])
    return named


def _from_flux_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Black Forest Labs' names in kohya's or ComfyUI's spelling; FLUX.1 and FLUX.2 differ in how wide layers are."""
    from diffusers import loaders

    mixin: Any = loaders.Flux2LoraLoaderMixin if has_flux_2_widths(tensors) else loaders.FluxLoraLoaderMixin
    converted = mixin.lora_state_dict(dict(tensors))
    return converted[0] if isinstance(converted, tuple) else converted


def _modern(name: str) -> str:
    """A name of diffusers' older layouts as PEFT has it now."""
    name = name.replace(".processor.", ".")
    name = re.sub(r"\.to_(q|k|v)_lora\.", r".to_\1.lora.", name).replace(".to_out_lora.", ".to_out.0.lora.")
    if name.startswith("text_encoder"):
        name = re.sub(r"\.self_attn\.to_(q|k|v)\.", r".self_attn.\1_proj.", name)
        name = name.replace(".self_attn.to_out.0.", ".self_attn.out_proj.")
    name = re.sub(r"\.(lora_linear_layer\.|lora\.|lora_)down\.", ".lora_A.", name)
    return re.sub(r"\.(lora_linear_layer\.|lora\.|lora_)up\.", ".lora_B.", name)


def _fold_configured(tensors: dict[str, Tensor], written: str) -> dict[str, Tensor]:
    """PEFT's own scale (alpha / rank, by layer where there are patterns), which diffusers writes into the header."""
    try:
        configuration = json.loads(written)
    except ValueError:
        return tensors
    folded = dict(tensors)
    for name, tensor in tensors.items():
        part, layer, side = _split(name)
        if side == "B":
            alpha = configuration.get(f"{part}.lora_alpha", tensor.shape[1])
            patterns = configuration.get(f"{part}.alpha_pattern") or {}
            alpha = next((value for key, value in patterns.items() if re.fullmatch(rf"(.*\.)?{key}", layer)), alpha)
            is_stable = configuration.get(f"{part}.use_rslora", False)
            folded[name] = tensor * (alpha / (tensor.shape[1] ** 0.5 if is_stable else tensor.shape[1]))
    return folded


def _content_hash(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _header(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + length]).get("__metadata__") or {})


def _sorted_header(data: bytes) -> bytes:
    """The same file with the entries of its header's metadata in order, which safetensors leaves to chance."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def _unreadable(file: Path, reason: str) -> Problem:
    return Problem(
        code="adapter-unknown-kind", file=str(file), message=f"is no LoRA adapter that can be converted: {reason}",
        fix="convert LoRA adapters of Stable Diffusion, SDXL or a transformer",
    )  # fmt: skip
