# pyright: basic, reportPrivateImportUsage=false
"""The diffusion generator: equal to plain diffusers, the same bytes whatever stands beside, and no bad picture."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from designkit.errors import InputRefused
from designkit.generators.diffusion import BLOCKED, DiffusionGenerator
from designkit.generators.families import FAMILIES
from designkit.models.device import free_cores
from designkit.values import Size
from tests.generators import tiny_pipelines
from tests.generators.requests import SMALL, ask, open_tiny, pixels

BATCHED = [name for name in tiny_pipelines.BUILDERS if FAMILIES[name].is_batched]


@pytest.fixture
def stable_diffusion(tiny_model):
    return open_tiny(tiny_model("StableDiffusionPipeline"))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers' own schedulers
@pytest.mark.parametrize("pipeline_class", tiny_pipelines.BUILDERS)
def test_each_family_draws_what_plain_diffusers_draws(pipeline_class, tiny_model):
    family = FAMILIES[pipeline_class]
    request = ask(7, negative="blurry edges" if family.takes_negative else "")
    generator = open_tiny(tiny_model(pipeline_class), batch_size=1)
    (image,) = generator.generate([request])

    pipeline = tiny_pipelines.BUILDERS[pipeline_class]()
    pipeline.set_progress_bar_config(disable=True)
    negative = {"negative_prompt": request.negative} if family.takes_negative else {}
    expected = pipeline(
        prompt=request.prompt,
        **negative,
        width=64,
        height=64,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(7),
        **{str(family.guidance_argument): 4.0},
        **family.always,
        **family.with_negative,
    ).images[0]
    assert image.warnings == ()
    assert image.image.tobytes() == expected.tobytes()


@pytest.mark.parametrize("pipeline_class", tiny_pipelines.BUILDERS)
def test_each_family_honours_prompt_negative_seed_guidance_and_size(pipeline_class, tiny_model):
    generator = open_tiny(tiny_model(pipeline_class), batch_size=1)
    wide = Size(width=96, height=64)
    variants = [
        ask(1),
        ask(1, prompt="a lemon tree"),
        *([ask(1, negative="lemon")] if FAMILIES[pipeline_class].takes_negative else []),
        ask(2, prompt=ask(1).prompt),
        ask(1, guidance=2.0),
        ask(1, size=wide, drawn=wide),
    ]
    images = list(generator.generate(variants))
    assert [image.failure for image in images] == [None] * len(variants)
    assert [image.image.size for image in images] == [(image.request.size.width, 64) for image in images]
    assert len({image.image.tobytes() for image in images}) == len(variants)


@pytest.mark.parametrize("pipeline_class", BATCHED)
def test_bytes_do_not_depend_on_neighbours_order_or_fill(pipeline_class, tiny_model):
    generator = open_tiny(tiny_model(pipeline_class), batch_size=4)
    requests = [ask(seed) for seed in range(10)]
    expected = pixels(generator, requests)
    shuffled = random.Random(3).sample(requests, k=10)
    assert pixels(generator, shuffled) == expected
    resumed = {**pixels(generator, requests[:3]), **pixels(generator, requests[3:])}
    assert resumed == expected
    for request in requests[::4]:
        assert pixels(generator, [request]) == {request.id: expected[request.id]}


@pytest.mark.parametrize("pipeline_class", sorted(set(tiny_pipelines.BUILDERS) - set(BATCHED)))
def test_families_not_proven_in_batches_draw_one_at_a_time(pipeline_class, tiny_model):
    generator = open_tiny(tiny_model(pipeline_class), batch_size=4)
    assert generator.settings["batch_size"] == 1
    requests = [ask(seed) for seed in range(3)]
    expected = pixels(generator, requests)
    assert pixels(generator, requests[::-1]) == expected


def test_bf16_bytes_do_not_depend_on_neighbours_either(tiny_model):
    generator = open_tiny(tiny_model("StableDiffusionPipeline"), precision="bf16", batch_size=4)
    requests = [ask(seed) for seed in range(6)]
    expected = pixels(generator, requests)
    assert pixels(generator, requests[::-1]) == expected
    assert pixels(generator, requests[2:3]) == {"image-2": expected["image-2"]}


def test_another_process_draws_the_same_bytes(stable_diffusion, tiny_model, tmp_path):
    settings = stable_diffusion.settings
    program = (
        "from tests.generators.requests import ask\n"
        "from designkit.generators import open_generator\n"
        f"generator = open_generator({str(tiny_model('StableDiffusionPipeline'))!r}, precision='fp32', threads=1,"
        f" batch_size={settings['batch_size']})\n"
        f"[image.save({str(tmp_path)!r}) for image in generator.generate([ask(seed) for seed in (5, 3)])]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
    here = pixels(stable_diffusion, [ask(seed) for seed in range(6)])
    for name in ("image-5", "image-3"):
        assert Image.open(tmp_path / f"{name}.png").tobytes() == here[name]


def test_batch_sizes_differ_by_one_grey_level_at_most(tiny_model):
    requests = [ask(seed) for seed in range(8)]
    drawn = {}
    for size in (1, 2, 4, 8):
        generator = open_tiny(tiny_model("StableDiffusionPipeline"), batch_size=size)
        drawn[size] = np.stack(
            [
                np.asarray(image.image, np.int16)
                for image in sorted(generator.generate(requests), key=lambda i: i.request.seed)
            ]
        )
    for first, second in itertools.combinations(drawn.values(), 2):
        assert np.abs(first - second).max() <= 1


def test_requests_with_different_settings_may_be_mixed(stable_diffusion):
    wide = Size(width=96, height=64)
    requests = [ask(0), ask(1, steps=3), ask(2), ask(3, drawn=wide, size=wide), ask(4, guidance=1.0), ask(5)]
    together = pixels(stable_diffusion, requests)
    alone = {key: value for request in requests for key, value in pixels(stable_diffusion, [request]).items()}
    assert together == alone


def test_the_delivered_size_is_exact_when_the_drawn_one_is_another(stable_diffusion):
    (image,) = stable_diffusion.generate([ask(1, size=Size(width=301, height=250))])
    assert image.image.size == (301, 250)


def test_a_request_that_fails_does_not_touch_its_neighbours(stable_diffusion, monkeypatch):
    requests = [ask(seed) for seed in range(4)]
    expected = pixels(stable_diffusion, requests)
    encode = stable_diffusion._pipelines[0].encode_prompt

    def fail_on_number_two(prompt, *arguments, **settings):
        if any("number 2" in text for text in prompt):
            raise RuntimeError("the text encoder choked\nand said more")
        return encode(prompt, *arguments, **settings)

    for pipeline in stable_diffusion._pipelines:
        monkeypatch.setattr(pipeline, "encode_prompt", fail_on_number_two)
    images = {image.request.id: image for image in stable_diffusion.generate(requests)}
    assert images["image-2"].failure == "RuntimeError: the text encoder choked"
    for name in ("image-0", "image-1", "image-3"):
        assert images[name].image.tobytes() == expected[name]


def test_running_out_of_memory_keeps_the_shape_and_fails_only_those_pictures(stable_diffusion, monkeypatch):
    large = Size(width=128, height=128)
    requests = [ask(0), ask(1, drawn=large, size=large), ask(2)]
    prepare = stable_diffusion._pipelines[0].prepare_latents

    def too_little_memory(batch_size, channels, height, *arguments):
        if height == 128:
            raise torch.OutOfMemoryError("tried to allocate too much")
        return prepare(batch_size, channels, height, *arguments)

    for pipeline in stable_diffusion._pipelines:
        monkeypatch.setattr(pipeline, "prepare_latents", too_little_memory)
    images = {image.request.id: image for image in stable_diffusion.generate(requests)}
    assert images["image-1"].failure.startswith("out of memory while drawing 4 x 128x128")
    assert images["image-0"].picture is not None
    assert images["image-2"].picture is not None


def test_numbers_that_are_not_finite_are_drawn_again_in_fp32_and_the_weights_come_back(tiny_model):
    generator = open_tiny(tiny_model("StableDiffusionPipeline"), precision="bf16", batch_size=2)
    pipeline = generator._pipelines[0]
    weights = {name: value.clone() for name, value in pipeline.unet.state_dict().items()}

    def overflow(module, inputs, output):
        if output.dtype != torch.float32:
            output = output.clone()
            output[1] = torch.inf  # The second picture of the batch only.
        return output

    hook = pipeline.vae.post_quant_conv.register_forward_hook(overflow)
    first, second = generator.generate([ask(0), ask(1)])
    hook.remove()
    assert first.warnings == ()
    assert second.warnings == ("drawn again in fp32, because bf16 failed",)
    assert all(torch.equal(value, weights[name]) for name, value in pipeline.unet.state_dict().items())
    # What came out is what bf16 draws, but for its coarser arithmetic.
    (usual,) = generator.generate([ask(1)])
    difference = np.asarray(second.image, np.int16) - np.asarray(usual.image, np.int16)
    assert np.abs(difference).mean() < 8
    assert first.image.tobytes() == pixels(generator, [ask(0)])["image-0"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_numbers_that_stay_not_finite_are_a_failure_and_never_a_picture(precision, tiny_model):
    generator = open_tiny(tiny_model("StableDiffusionPipeline"), precision=precision)
    with torch.no_grad():
        generator._pipelines[0].vae.decoder.conv_out.bias[0] = torch.nan
    (image,) = generator.generate([ask(0)])
    assert image.picture is None
    assert "not finite" in image.failure


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_picture_that_is_meant_to_be_black_is_delivered(precision, tiny_model):
    generator = open_tiny(tiny_model("StableDiffusionPipeline"), precision=precision)
    with torch.no_grad():
        generator._pipelines[0].vae.decoder.conv_out.weight.zero_()
        generator._pipelines[0].vae.decoder.conv_out.bias.fill_(-1)
    (image,) = generator.generate([ask(0, prompt="plain black background")])
    assert image.image.getextrema() == ((0, 0), (0, 0), (0, 0))


def test_a_picture_that_the_safety_checker_blackened_is_a_failure(tmp_path):
    folder = tmp_path / "checked"
    tiny_pipelines.stable_diffusion_with_safety_checker(blocks_everything=True).save_pretrained(folder)
    (image,) = open_tiny(folder).generate([ask(0)])
    assert image.picture is None
    assert image.failure == BLOCKED


def test_fp16_on_a_cpu_is_refused_with_the_reason(tiny_model):
    with pytest.raises(InputRefused, match=r"fp16 is refused on a CPU.*--precision auto, bf16 or fp32"):
        open_tiny(tiny_model("StableDiffusionPipeline"), precision="fp16", device="cpu")


def test_settings_name_everything_that_sets_the_pixels(tiny_model):
    generator = open_tiny(tiny_model("StableDiffusionPipeline"), precision="bf16", batch_size=2, device="cpu")
    assert generator.settings == {
        "device": "cpu", "precision": "bf16", "precision_reason": "asked for", "batch_size": 2, "threads": 1,
        "workers": free_cores(),
    }  # fmt: skip


def test_what_a_model_cannot_honour_is_said_with_every_picture(tiny_model):
    generator = open_tiny(tiny_model("FluxPipeline"))
    (image,) = generator.generate([ask(0, scheduler="ddim")])
    assert image.warnings == ("flux models take no other scheduler, so it was left out",)


def test_a_negative_prompt_without_guidance_is_said_to_play_no_part(stable_diffusion):
    images = list(stable_diffusion.generate([ask(0, guidance=1.0), ask(0, guidance=1.0, negative="lemon")]))
    assert images[0].image.tobytes() == images[1].image.tobytes()
    assert images[1].warnings == ("the negative prompt plays no part at guidance 1",)


def test_the_models_own_defaults_are_used(tmp_path):
    plain = tiny_pipelines.save("StableDiffusionPipeline", tmp_path / "plain", facts={})
    tuned = tiny_pipelines.save(
        "StableDiffusionPipeline",
        tmp_path / "tuned",
        facts={"defaults": {"steps": 3, "guidance": 6.0, "guidance_rescale": 0.5, "scheduler": "dpm++"}},
    )
    bare = ask(0, steps=None, guidance=None)
    (image,) = open_tiny(tuned).generate([bare])
    generator = open_tiny(plain)
    generator._defaults = {"guidance_rescale": 0.5}
    (same,) = generator.generate([ask(0, steps=3, guidance=6.0, scheduler="dpm++")])
    assert image.image.tobytes() == same.image.tobytes()
    generator._defaults = {}
    (other,) = generator.generate([ask(0, steps=3, guidance=6.0, scheduler="dpm++")])
    assert image.image.tobytes() != other.image.tobytes()


def test_generators_satisfy_the_protocol(stable_diffusion):
    assert isinstance(stable_diffusion, DiffusionGenerator)
    assert stable_diffusion.card.family == "stable-diffusion"
    assert stable_diffusion.card.native_sizes == (SMALL,)
