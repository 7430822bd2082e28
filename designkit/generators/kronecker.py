"""LoKr adapters (arXiv 2212.10650) as LoRA adapters: a Kronecker product as a product of two thin matrices.

The update of a layer is `w1 (x) w2`, each a matrix or a product of two. Its singular values are all products of one of
w1's and one of w2's, its singular vectors the Kronecker products of theirs (Van Loan, "The ubiquitous Kronecker
product", 2000, section 2); so the best LoRA of a rank follows from two small decompositions, however wide the layer is.
"""

# pyright: basic
from __future__ import annotations

import json
from collections.abc import Mapping

import torch
from torch import Tensor

_NEGLIGIBLE = 1e-6
"""Singular values below this share of the largest one are rounding."""


KERNELS = "designkit.kernels"
"""The header's entry with the kernels of convolutions, which the factors of a decomposed one do not tell."""


def lora_of_lokr(tensors: Mapping[str, Tensor], header: Mapping[str, str], *, max_rank: int) -> dict[str, Tensor]:
    """`<layer>.lora_A.weight` and `lora_B` of every layer with `lokr_w1`, `lokr_w2` or their factors `_a` and `_b`.

    PEFT's configuration, which diffusers puts into headers, scales the update by alpha / rank, as an `alpha` of LyCORIS
    does where a factor is decomposed. Kernels that the header does not tell are 3 x 3 in layers called conv, conv1 or
    conv2. Raises KeyError for a factor that is missing.
    """
    written, kernels = header.get("lora_adapter_metadata"), json.loads(header.get(KERNELS, "{}"))
    layers = dict.fromkeys(name.rpartition(".lokr_")[0] for name in tensors if ".lokr_" in name)
    told: dict[str, float] = {}
    for name, value in (json.loads(written) if written else {}).items():
        told[name.rpartition(".")[2]] = value
    scale = told.get("alpha", 1.0) / told.get("r", told.get("alpha", 1.0))
    lora: dict[str, Tensor] = {}
    for layer in layers:
        left, right = (_factor(tensors, f"{layer}.lokr_w{side}") for side in (1, 2))
        kernel = tuple(right.shape[2:]) or tuple(kernels.get(layer, _usual_kernel(layer)))
        down, up = _thin(left, right.flatten(1), max_rank=max_rank)
        own = _alpha_scale(tensors, layer) if f"{layer}.alpha" in tensors else scale
        lora[f"{layer}.lora_A.weight"] = down.reshape(len(down), -1, *kernel).contiguous()
        lora[f"{layer}.lora_B.weight"] = (own * up).reshape(*up.shape, *(1 for _ in kernel)).contiguous()
    return lora


def _usual_kernel(layer: str) -> tuple[int, ...]:
    return (3, 3) if layer.rpartition(".")[2] in ("conv", "conv1", "conv2") else ()


def _factor(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if name in tensors:
        return tensors[name]
    return tensors[f"{name}_a"] @ tensors[f"{name}_b"]


def _alpha_scale(tensors: Mapping[str, Tensor], layer: str) -> float:
    """LyCORIS' scale: alpha over the rank of a decomposed factor, 1 where both are whole."""
    ranks = [tensors[name].shape[0] for side in (1, 2) if (name := f"{layer}.lokr_w{side}_b") in tensors]
    return float(tensors[f"{layer}.alpha"]) / ranks[-1] if ranks else 1.0


def _thin(left: Tensor, right: Tensor, *, max_rank: int) -> tuple[Tensor, Tensor]:
    """`down` [rank, in] and `up` [out, rank] whose product is left (x) right, as well as `max_rank` allows."""
    parts = [torch.linalg.svd(matrix.double(), full_matrices=False) for matrix in (left, right)]
    values = torch.outer(parts[0].S, parts[1].S).flatten()
    order = values.argsort(descending=True, stable=True)[:max_rank]
    rank = max(1, int((values[order] > _NEGLIGIBLE * values.max()).sum()))
    first, second = order[:rank] // len(parts[1].S), order[:rank] % len(parts[1].S)
    root = values[order[:rank]].sqrt()
    up = torch.einsum("ar,br->abr", parts[0].U[:, first], parts[1].U[:, second]).flatten(0, 1) * root
    down = torch.einsum("ra,rb->rab", parts[0].Vh[first], parts[1].Vh[second]).flatten(1) * root[:, None]
    return down.float(), up.float()
