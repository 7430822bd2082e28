# pyright: basic, reportPrivateImportUsage=false, reportArgumentType=false
"""From files to a pipeline: every precision and flavour that folders come in, and what is no text-to-image model."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from designkit.errors import ModelRefused
from designkit.generators import loading
from designkit.generators.catalog import find_card
from designkit.generators.families import FAMILIES
from designkit.generators.loading import load_pipeline
from tests.generators import tiny_pipelines
from tests.generators.requests import ask, open_tiny, pixels


def dtypes(pipeline):
    parts = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    return {parameter.dtype for part in parts for parameter in part.parameters()}


def keep_only_half_precision(folder: Path, *parts: str) -> None:
    for part in parts:
        for plain in (folder / part).glob("*.safetensors"):
            if ".fp16." not in plain.name:
                plain.unlink()


@pytest.fixture
def half_precision(tmp_path):
    """A folder that has every part both plain and in fp16."""
    pipeline = tiny_pipelines.stable_diffusion()
    pipeline.save_pretrained(tmp_path)
    pipeline.to(torch.float16).save_pretrained(tmp_path, variant="fp16")
    return tmp_path


@pytest.mark.parametrize("pipeline_class", ["StableDiffusionPipeline", "FluxPipeline", "Lumina2Pipeline"])
@pytest.mark.parametrize("saved", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_folder_of_any_precision_is_opened_in_the_one_asked_for(pipeline_class, saved, precision, tmp_path):
    tiny_pipelines.BUILDERS[pipeline_class]().to(saved).save_pretrained(tmp_path)
    generator = open_tiny(tmp_path, precision=precision)
    assert dtypes(generator._pipelines[0]) == {torch.float32 if precision == "fp32" else torch.bfloat16}
    (image,) = generator.generate([ask(0)])
    assert image.failure is None


def test_a_folder_with_nothing_but_another_flavour_is_opened(half_precision):
    expected = pixels(open_tiny(half_precision, variant="fp16"), [ask(0)])
    keep_only_half_precision(half_precision, "unet", "vae", "text_encoder")
    assert pixels(open_tiny(half_precision), [ask(0)]) == expected


def test_a_flavour_that_only_some_parts_have_is_taken_for_these(half_precision):
    keep_only_half_precision(half_precision, "unet")
    for part in ("vae", "text_encoder"):
        for marked in (half_precision / part).glob("*.fp16.*"):
            marked.unlink()
    (image,) = open_tiny(half_precision).generate([ask(0)])
    assert image.failure is None


def test_the_flavour_asked_for_is_loaded_and_not_the_plain_one(half_precision):
    (half_precision / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(
        (half_precision / "vae" / "diffusion_pytorch_model.safetensors").read_bytes()
    )
    (image,) = open_tiny(half_precision, variant="fp16").generate([ask(0)])
    assert image.failure is None


def test_parts_that_a_model_goes_without_stay_away(tiny_model):
    pipeline = load_pipeline(find_card(str(tiny_model("StableDiffusion3Pipeline"))), torch.float32)
    assert pipeline.text_encoder_3 is None
    assert pipeline.tokenizer_3 is None


def test_a_pipeline_saved_for_editing_draws_from_text(tmp_path, tiny_model):
    from diffusers import StableDiffusionImg2ImgPipeline

    plain = tiny_pipelines.stable_diffusion()
    StableDiffusionImg2ImgPipeline(**plain.components, requires_safety_checker=False).save_pretrained(tmp_path)
    expected = pixels(open_tiny(tiny_model("StableDiffusionPipeline")), [ask(0)])
    assert pixels(open_tiny(tmp_path), [ask(0)]) == expected


def test_a_pipeline_that_takes_no_text_is_refused(tmp_path):
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    network = UNet2DModel(
        sample_size=8, block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    DDPMPipeline(unet=network, scheduler=DDPMScheduler()).save_pretrained(tmp_path)
    with pytest.raises(ModelRefused, match="DDPMPipeline is no text-to-image pipeline: it takes no prompt"):
        open_tiny(tmp_path)


def test_a_missing_package_is_named_with_how_to_add_it(tiny_model, monkeypatch):
    folder = tiny_model("FluxPipeline")
    needy = replace(FAMILIES["FluxPipeline"], needs=("no_such_package",))
    monkeypatch.setattr(loading, "find_family", lambda name: needy)
    with pytest.raises(ModelRefused, match=r"flux models need no_such_package.*pip install no_such_package"):
        open_tiny(folder)


def test_a_model_that_does_not_fit_into_the_devices_memory_is_refused(tiny_model, monkeypatch):
    from diffusers import DiffusionPipeline

    def too_large(self, device):
        raise torch.OutOfMemoryError("tried to allocate 20 GiB")

    monkeypatch.setattr(DiffusionPipeline, "to", too_large)
    with pytest.raises(ModelRefused, match=r"takes 0.0 GB in fp32, more than cpu has free"):
        open_tiny(tiny_model("FluxPipeline"))


def test_opening_leaves_the_terminal_alone(tiny_model, capfd):
    (image,) = open_tiny(tiny_model("StableDiffusionXLPipeline")).generate([ask(0, prompt="teal soda can " * 30)])
    assert image.failure is None
    assert capfd.readouterr() == ("", "")
    assert "diffusers" in sys.modules
