"""Methods that lay updates over a network's layers: LoRA and LoKr, by PEFT."""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from peft import LoKrConfig, LoraConfig, get_peft_model_state_dict
from peft.tuners.lokr.layer import LoKrLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from designkit.errors import InputRefused, Problem
from designkit.generators.kronecker import KERNELS
from designkit.training.finetuning.families import CLIP_ATTENTION, TunedFamily
from designkit.training.finetuning.learning import Learning, freeze
from designkit.training.finetuning.recipe import FinetuneRecipe

ADAPTER = "brand"


def begin_lora(pipeline: Any, family: TunedFamily, recipe: FinetuneRecipe) -> Learning:
    """Low-rank updates (arXiv 2106.09685) of the denoiser's layers and, where asked for, of CLIP's attention.

    Draws from torch's global generator. Raises InputRefused where text encoders are to learn and the family keeps them.
    """
    if recipe.text_encoder and not family.text_encoders:
        raise _keeps_text_encoders(f"{recipe.model} keeps its text encoders", "only CLIP's are adapted")
    layers = {family.denoiser: _layers(family, recipe)}
    if recipe.text_encoder:
        layers |= dict.fromkeys(family.text_encoders, CLIP_ATTENTION)
    targets = {name: _named(getattr(pipeline, name), endings) for name, endings in layers.items()}
    # alpha = rank: the update counts as it is, in every tool, whether it reads an alpha or not.
    configs = {
        name: LoraConfig(r=recipe.rank, lora_alpha=recipe.rank, target_modules=names) for name, names in targets.items()
    }
    return _add_adapters(pipeline, configs)


def begin_lokr(pipeline: Any, family: TunedFamily, recipe: FinetuneRecipe) -> Learning:
    """Kronecker products (LoKr, arXiv 2212.10650) over the denoiser's layers: files of a few megabytes.

    Draws from torch's global generator. Raises InputRefused where text encoders are to learn.
    """
    if recipe.text_encoder:
        raise _keeps_text_encoders("lokr adapts the denoiser alone", "or choose --method lora")
    targets = _named(getattr(pipeline, family.denoiser), _layers(family, recipe))
    config = LoKrConfig(r=recipe.rank, alpha=recipe.rank, target_modules=targets)
    # From shapes alone diffusers does not find out how convolutions are factored.
    told = {"r": recipe.rank, "alpha": recipe.rank, "target_modules": targets, "decompose_factor": -1}
    written = json.dumps({f"{family.denoiser}.{name}": value for name, value in told.items()})
    learning = _add_adapters(pipeline, {family.denoiser: config})
    kernels = {
        f"{family.denoiser}.{name}": layer.get_base_layer().kernel_size
        for name, layer in learning.parts[family.denoiser].named_modules()
        if isinstance(layer, LoKrLayer) and isinstance(layer.get_base_layer(), nn.Conv2d)
    }
    return replace(learning, header={"lora_adapter_metadata": written, KERNELS: json.dumps(kernels)})


def adapter_tensors(parts: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """The adapter as diffusers and PEFT name it: `unet.<layer>.lora_A.weight` [rank, in], `lora_B` [out, rank]."""
    tensors: dict[str, Tensor] = {}
    for part, module in parts.items():
        for name, tensor in get_peft_model_state_dict(module, adapter_name=ADAPTER).items():
            tensors[f"{part}.{name}"] = tensor.detach().float().cpu().contiguous().clone()
    return tensors


def _add_adapters(pipeline: Any, configs: Mapping[str, Any]) -> Learning:
    """Lay fresh adapters over parts of the pipeline, in fp32 whatever the base is in; their update is zero."""
    freeze(pipeline)
    for name, config in configs.items():
        part = getattr(pipeline, name)
        part.add_adapter(config, adapter_name=ADAPTER)
        for parameter in part.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
    parts: dict[str, nn.Module] = {name: getattr(pipeline, name) for name in configs}
    weights = {
        f"{part}.{name}": parameter
        for part, module in parts.items()
        for name, parameter in module.named_parameters()
        if ADAPTER in name.split(".")
    }

    @contextmanager
    def resting() -> Iterator[None]:
        try:
            yield
        finally:
            pipeline.set_adapters([ADAPTER], [1.0])
            for weight in weights.values():
                weight.requires_grad_(True)

    @contextmanager
    def unlearned() -> Iterator[None]:
        layers = [layer for part in parts.values() for layer in part.modules() if isinstance(layer, BaseTunerLayer)]
        for layer in layers:  # Not by enable_adapters: that would also say what learns, in the middle of a step.
            layer._disable_adapters = True
        try:
            yield
        finally:
            for layer in layers:
                layer._disable_adapters = False

    return Learning(
        parts=parts, weights=weights, tensors=lambda: adapter_tensors(parts), resting=resting, unlearned=unlearned
    )


def _layers(family: TunedFamily, recipe: FinetuneRecipe) -> Sequence[str]:
    return family.attention if recipe.layers == "attention" else family.everything


def _named(part: nn.Module, endings: Sequence[str]) -> list[str]:
    """The layers of a part whose names end so; other modules may be called alike."""
    return [
        name
        for name, module in part.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d)) and f".{name}".endswith(tuple(f".{each}" for each in endings))
    ]


def _keeps_text_encoders(message: str, why: str) -> InputRefused:
    return InputRefused(
        Problem(code="finetune-text-encoder", key="text_encoder", message=message, fix=f"leave text_encoder out; {why}")
    )
