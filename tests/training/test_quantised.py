# pyright: basic, reportPrivateImportUsage=false
"""Adapters over a base in fewer bits: they learn, load again over the base as it is, and resume to the same bytes."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch

from designkit.errors import InputRefused
from designkit.generators.adapter_formats import read_adapter
from designkit.training.finetuning import quantised
from designkit.training.finetuning.finetune import finetune
from designkit.values import Adapter
from tests.generators.requests import ask, open_tiny, pixels
from tests.training.tiny_finetunings import learn, recipe_for, run

pytestmark = pytest.mark.filterwarnings("ignore")
INSTALLED = [
    pytest.param("int8", marks=pytest.mark.skipif(find_spec("torchao") is None, reason="needs torchao")),
    pytest.param(
        "nf4",
        marks=pytest.mark.skipif(
            find_spec("bitsandbytes") is None or not torch.cuda.is_available(), reason="needs bitsandbytes and a GPU"
        ),
    ),
]


@pytest.mark.parametrize("kind", INSTALLED)
@pytest.mark.parametrize("pipeline_class", ["StableDiffusionPipeline", "Flux2KleinPipeline"])
def test_an_adapter_learns_over_fewer_bits_and_draws_over_all_of_them(models, pictures, tmp_path, kind, pipeline_class):
    model = models(pipeline_class)
    recipe = recipe_for(model, pictures, f"quantise={kind}", "training.steps=3", "layers=attention")
    pipeline = learn(recipe, tmp_path / "out").pipeline
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    layer = next(layer for name, layer in denoiser.named_modules() if name.endswith("to_q.base_layer"))
    assert type(layer.weight).__name__ == {"int8": "Int8Tensor", "nf4": "Params4bit"}[kind]
    assert all(tensor.dtype == torch.float32 for tensor in read_adapter(tmp_path / "out").tensors.values())
    generator = open_tiny(model)
    adapted = ask(0, adapters=(Adapter(path=str(tmp_path / "out")),))
    assert pixels(generator, [adapted]) != pixels(generator, [ask(0)])


@pytest.mark.parametrize("kind", INSTALLED)
def test_stopped_and_resumed_over_fewer_bits_gives_the_same_bytes(models, pictures, tmp_path, kind):
    model = models("StableDiffusionPipeline")
    recipe = recipe_for(model, pictures, f"quantise={kind}", "training.steps=4", "training.micro_batch=1")
    whole = run(recipe, tmp_path / "whole")
    steps = finetune(recipe, tmp_path / "stopped")
    for _ in range(2):
        next(steps)
    steps.close()
    resumed = run(recipe, tmp_path / "stopped")
    assert (resumed / "adapter.safetensors").read_bytes() == (whole / "adapter.safetensors").read_bytes()


def test_what_cannot_be_quantised_is_refused_with_the_reason(models, pictures, tmp_path, monkeypatch):
    model = models("StableDiffusionPipeline")
    with pytest.raises(InputRefused, match="full is not learned over fewer bits"):
        run(recipe_for(model, pictures, "quantise=int8", method="full"), tmp_path / "out")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(quantised, "find_spec", lambda name: "found")
    with pytest.raises(InputRefused, match="nf4 needs a GPU"):
        run(recipe_for(model, pictures, "quantise=nf4"), tmp_path / "out")
    monkeypatch.setattr(quantised, "find_spec", lambda name: None)
    with pytest.raises(InputRefused, match="pip install bitsandbytes"):
        run(recipe_for(model, pictures, "quantise=nf4"), tmp_path / "out")
