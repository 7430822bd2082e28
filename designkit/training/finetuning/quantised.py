"""A base model in fewer bits, which learns through adapters alone (QLoRA, arXiv 2305.14314); packages of `[quantise]`.

int8   torchao: the denoiser's weights in 8 bits, on any device
nf4    bitsandbytes: its linear layers in 4 bits, on a GPU
"""

# pyright: basic, reportPrivateImportUsage=false, reportMissingImports=false
from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch

from designkit.errors import InputRefused, Problem
from designkit.generators.base import ModelCard
from designkit.training.finetuning.families import TunedFamily
from designkit.training.finetuning.recipe import FinetuneRecipe, Quantised

_PACKAGES: Mapping[Quantised, str] = {"int8": "torchao", "nf4": "bitsandbytes"}


def quantisation(recipe: FinetuneRecipe, family: TunedFamily, card: ModelCard, dtype: torch.dtype) -> Any:
    """What diffusers is told when it loads the pipeline; None where nothing is to be quantised.

    Raises InputRefused where the method trains the weights themselves, the model is a single file, or the package or
    a GPU for it is missing.
    """
    if recipe.quantise == "none":
        return None
    package = _PACKAGES[recipe.quantise]
    if recipe.method not in ("lora", "dreambooth"):
        raise _refused(f"{recipe.method} is not learned over fewer bits", "leave it out, or choose --method lora")
    if card.folder is not None and card.folder.is_file():
        raise _refused(f"{card.name} is a single file, which is not quantised", "use the model as a folder")
    if find_spec(package) is None:
        fix = f"run `pip install {package}` in designkit's environment, or leave quantise out"
        raise _refused(f"{recipe.quantise} needs {package}, which is not installed", fix)
    if recipe.quantise == "nf4" and not torch.cuda.is_available():
        raise _refused("nf4 needs a GPU, and there is none", "set quantise=int8, which any device computes")
    with _quietly():
        from diffusers import BitsAndBytesConfig, PipelineQuantizationConfig, TorchAoConfig

        if recipe.quantise == "int8":
            from torchao.quantization import Int8WeightOnlyConfig

            config: Any = TorchAoConfig(Int8WeightOnlyConfig())
        else:
            config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    return PipelineQuantizationConfig(quant_mapping={family.denoiser: config})


@contextmanager
def _quietly() -> Iterator[None]:
    """The packages tell of kernels that they do not find; none is needed."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _refused(message: str, fix: str) -> InputRefused:
    return InputRefused(Problem(code="finetune-quantise", key="quantise", message=message, fix=fix))
