"""What learns: low-rank updates laid over a pipeline's layers, taken from it again as plain tensors."""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict
from torch import Tensor, nn

from designkit.errors import InputRefused, Problem
from designkit.training.finetuning.families import CLIP_ATTENTION, TunedFamily
from designkit.training.finetuning.recipe import FinetuneRecipe

ADAPTER = "brand"


def add_lora(pipeline: Any, family: TunedFamily, recipe: FinetuneRecipe) -> dict[str, nn.Module]:
    """Lay a fresh adapter over the pipeline (its update is zero) and return the parts that have one, by name.

    Everything else is frozen; the adapter is in fp32 whatever the base is in. Draws from torch's global generator.
    Raises InputRefused where the text encoders are to learn and the family keeps them.
    """
    if recipe.text_encoder and not family.text_encoders:
        raise InputRefused(
            Problem(
                code="finetune-text-encoder", key="text_encoder", message=f"{recipe.model} keeps its text encoders",
                fix="leave text_encoder out; only CLIP's are adapted",
            )
        )  # fmt: skip
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            part.requires_grad_(False)
    layers = {family.denoiser: family.attention if recipe.layers == "attention" else family.everything}
    if recipe.text_encoder:
        layers |= dict.fromkeys(family.text_encoders, CLIP_ATTENTION)
    for name, targets in layers.items():
        # alpha = rank: the update counts as it is, in every tool, whether it reads an alpha or not.
        config = LoraConfig(r=recipe.rank, lora_alpha=recipe.rank, target_modules=list(targets))
        part = getattr(pipeline, name)
        part.add_adapter(config, adapter_name=ADAPTER)
        for parameter in part.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
    return {name: getattr(pipeline, name) for name in layers}


def learned(parts: dict[str, nn.Module]) -> dict[str, nn.Parameter]:
    """The weights that learn, by part and name."""
    return {
        f"{part}.{name}": parameter
        for part, module in parts.items()
        for name, parameter in module.named_parameters()
        if ADAPTER in name.split(".")
    }


def adapter_tensors(parts: dict[str, nn.Module]) -> dict[str, Tensor]:
    """The adapter as diffusers and PEFT name it: `unet.<layer>.lora_A.weight` [rank, in], `lora_B` [out, rank]."""
    tensors: dict[str, Tensor] = {}
    for part, module in parts.items():
        for name, tensor in get_peft_model_state_dict(module, adapter_name=ADAPTER).items():
            tensors[f"{part}.{name}"] = tensor.detach().float().cpu().contiguous().clone()
    return tensors


def is_untouched(parts: dict[str, nn.Module]) -> bool:
    """Whether the adapter changes nothing yet."""
    return not any(bool(torch.any(tensor)) for name, tensor in learned(parts).items() if "lora_B" in name)
