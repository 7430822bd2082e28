"""FLUX layers as Black Forest Labs name them, under which kohya's tools and ComfyUI keep adapters of FLUX.1 and FLUX.2.

    diffusers                                        Black Forest Labs
    transformer_blocks.0.attn.to_q, to_k, to_v       double_blocks.0.img_attn.qkv, the three one above the other
    single_transformer_blocks.0.attn.to_q ... and
        proj_mlp (FLUX.1), to_qkv_mlp_proj (FLUX.2)  single_blocks.0.linear1

Read off diffusers 0.42 (`loaders/lora_conversion_utils.py`) and ComfyUI (`comfy/utils.py`, `flux_to_diffusers`). Layers
that are one there are joined: their A above each other, their B along the diagonal, so that the update is the same.
"""

# pyright: basic
from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

# What a layer is called, and for joined ones at which place of how many it stands.
_DOUBLE: Mapping[str, tuple[str, int, int]] = {
    "attn.to_q": ("img_attn.qkv", 0, 3), "attn.to_k": ("img_attn.qkv", 1, 3), "attn.to_v": ("img_attn.qkv", 2, 3),
    "attn.add_q_proj": ("txt_attn.qkv", 0, 3), "attn.add_k_proj": ("txt_attn.qkv", 1, 3),
    "attn.add_v_proj": ("txt_attn.qkv", 2, 3),
    "attn.to_out.0": ("img_attn.proj", 0, 1), "attn.to_add_out": ("txt_attn.proj", 0, 1),
    "ff.net.0.proj": ("img_mlp.0", 0, 1), "ff.net.2": ("img_mlp.2", 0, 1),
    "ff_context.net.0.proj": ("txt_mlp.0", 0, 1), "ff_context.net.2": ("txt_mlp.2", 0, 1),
    "ff.linear_in": ("img_mlp.0", 0, 1), "ff.linear_out": ("img_mlp.2", 0, 1),
    "ff_context.linear_in": ("txt_mlp.0", 0, 1), "ff_context.linear_out": ("txt_mlp.2", 0, 1),
}  # fmt: skip
_SINGLE: Mapping[str, tuple[str, int, int]] = {
    "attn.to_q": ("linear1", 0, 4), "attn.to_k": ("linear1", 1, 4), "attn.to_v": ("linear1", 2, 4),
    "proj_mlp": ("linear1", 3, 4), "proj_out": ("linear2", 0, 1),
    "attn.to_qkv_mlp_proj": ("linear1", 0, 1), "attn.to_out": ("linear2", 0, 1),
}  # fmt: skip
_MLP_RATIO = 4  # of FLUX.1, the only one whose single blocks have their feed-forward layer apart
_LAYER = re.compile(r"transformer\.(single_)?transformer_blocks\.(\d+)\.(.+)\.lora_([AB])\.weight")


def is_flux(tensors: Mapping[str, Tensor]) -> bool:
    """Whether every tensor of an adapter, in diffusers' names, belongs to a layer of FLUX that is known here."""
    return bool(tensors) and all(_place(name) for name in tensors)


def is_flux_2(tensors: Mapping[str, Tensor]) -> bool:
    """Whether layers are among them that FLUX.2 has and FLUX.1 has not."""
    marks = (".attn.to_qkv_mlp_proj.", ".ff.linear_in.", ".ff.linear_out.", ".ff_context.linear_in.")
    return any(mark in name for name in tensors for mark in marks)


def has_flux_2_widths(tensors: Mapping[str, Tensor]) -> bool:
    """Whether an adapter in Black Forest Labs' names has layers as wide as FLUX.2's.

    Attention and feed-forward together are 9 times as wide as the model, in FLUX.1 7 times; alone 6 times, and 4 times.
    What has neither (adapters of attention alone) is called the same in both.
    """
    for name, down in tensors.items():
        match = re.fullmatch(r"(.*(?:linear1|(?:img|txt)_mlp[._]0))\.lora_(down|A)\.weight", name)
        if match:
            up = tensors.get(f"{match[1]}.lora_{'up' if match[2] == 'down' else 'B'}.weight")
            return up is not None and up.shape[0] / down.shape[1] in (6, 9)
    return any(name.startswith("diffusion_model.") for name in tensors)


def flux_layers(tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """A [rank, in] and B [out, rank] of an adapter by the layers' own names, joined where they are one there."""
    found: dict[str, dict[int, tuple[Tensor, Tensor]]] = {}
    counts: dict[str, int] = {}
    for name, tensor in tensors.items():
        place = _place(name)
        assert place is not None, name
        layer, slot, count = place
        counts[layer] = count
        if ".lora_A." in name:
            found.setdefault(layer, {})[slot] = (tensor, tensors[name.replace(".lora_A.", ".lora_B.")])
    return {layer: _joined(parts, counts[layer]) for layer, parts in found.items()}


def _place(name: str) -> tuple[str, int, int] | None:
    match = _LAYER.fullmatch(name)
    known = (_SINGLE if match[1] else _DOUBLE).get(match[3]) if match else None
    if match is None or known is None:
        return None
    blocks = "single_blocks" if match[1] else "double_blocks"
    return f"{blocks}.{match[2]}.{known[0]}", known[1], known[2]


def _joined(parts: Mapping[int, tuple[Tensor, Tensor]], count: int) -> tuple[Tensor, Tensor]:
    if count == 1:
        return parts[0]
    # Layers that the adapter leaves alone keep their rows, of zeros.
    attended = [up.shape[0] for slot, (_, up) in parts.items() if slot < 3]
    width = attended[0] if attended else next(iter(parts.values()))[1].shape[0] // _MLP_RATIO
    heights = [width if slot < 3 else _MLP_RATIO * width for slot in range(count)]
    downs, ups = zip(*(parts[slot] for slot in sorted(parts)), strict=True)
    up = torch.zeros(sum(heights), sum(each.shape[1] for each in ups), dtype=ups[0].dtype)
    column = 0
    for slot, each in zip(sorted(parts), ups, strict=True):
        row = sum(heights[:slot])
        up[row : row + each.shape[0], column : column + each.shape[1]] = each
        column += each.shape[1]
    return torch.cat(downs), up
