# pyright: basic, reportPrivateImportUsage=false, reportCallIssue=false
"""Every method of fine-tuning: what it writes does in diffusers what it did in memory, and resuming changes no byte."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

from designkit.errors import InputRefused, ModelRefused
from designkit.generators.adapter_formats import LAYOUTS, read_adapter, write_adapter
from designkit.generators.catalog import find_card
from designkit.training.data import survey
from designkit.training.finetuning.finetune import finetune, look_at_pictures
from designkit.training.finetuning.methods import METHODS
from designkit.training.finetuning.recipe import Method
from designkit.values import Adapter
from tests.generators.requests import ask, open_tiny, pixels
from tests.training.tiny_finetunings import denoise, learn, recipe_for, run

SD, SDXL = "StableDiffusionPipeline", "StableDiffusionXLPipeline"
PROMPT = "a <zurvi> can"


@pytest.fixture(scope="module")
def learned(models, pictures, tmp_path_factory):
    """What each method makes of the tiny Stable Diffusion, learned once."""
    root = tmp_path_factory.mktemp("learned")

    def folder(method: Method) -> Path:
        out = root / method
        recipe = recipe_for(models(SD), pictures, "training.steps=3", "previews.prompts=[can]", method=method)
        return out if out.is_dir() else run(recipe, out)

    return folder


def load_with_diffusers(method: str, model: Path, out: Path):
    """What was learned, loaded by diffusers' own ways alone."""
    if method == "full":
        return DiffusionPipeline.from_pretrained(out / "model")
    pipeline = DiffusionPipeline.from_pretrained(model)
    file = out / "adapter.safetensors"
    if method == "textual-inversion" and hasattr(pipeline, "text_encoder_2"):
        for name, number in (("clip_l", ""), ("clip_g", "_2")):
            pipeline.load_textual_inversion(
                load_file(file)[name], token="<zurvi>", text_encoder=getattr(pipeline, f"text_encoder{number}"),
                tokenizer=getattr(pipeline, f"tokenizer{number}"),
            )  # fmt: skip
    elif method == "textual-inversion":
        pipeline.load_textual_inversion(str(out), weight_name=file.name)
    elif method == "lokr" and hasattr(pipeline, "unet"):
        pipeline.unet.load_lora_adapter(str(out), weight_name=file.name, prefix="unet")
    else:
        pipeline.load_lora_weights(str(out), weight_name=file.name)
    return pipeline


@pytest.mark.parametrize(
    ("method", "pipeline_class"),
    [
        *((method, SD) for method in METHODS),
        ("lokr", SDXL),
        ("textual-inversion", SDXL),
        ("full", SDXL),
        ("lokr", "Flux2KleinPipeline"),
        ("lokr", "ZImagePipeline"),
        ("full", "ZImagePipeline"),
    ],
)
def test_what_is_written_draws_in_diffusers_what_was_learned(models, pictures, tmp_path, method, pipeline_class):
    model = models(pipeline_class)
    recipe = recipe_for(model, pictures, "data.held_out=0", "training.steps=2", method=method)
    learned = denoise(learn(recipe, tmp_path / "out").pipeline, PROMPT)
    loaded = denoise(load_with_diffusers(method, model, tmp_path / "out"), PROMPT)
    torch.testing.assert_close(loaded, learned, rtol=0, atol=1e-5)
    assert (learned - denoise(DiffusionPipeline.from_pretrained(model), PROMPT)).abs().max() > 1e-3


@pytest.mark.parametrize("method", ["dreambooth", "lokr", "textual-inversion", "full"])
def test_stopped_and_resumed_in_the_middle_of_a_round_gives_the_same_bytes(models, pictures, tmp_path, method):
    recipe = recipe_for(models(SD), pictures, "training.micro_batch=1", "training.ema_decay=0.9", method=method)
    whole = run(recipe, tmp_path / "whole")
    steps = finetune(recipe, tmp_path / "stopped")
    for _ in range(3):
        next(steps)
    steps.close()
    resumed = run(recipe, tmp_path / "stopped")
    written = "model/unet/diffusion_pytorch_model.safetensors" if method == "full" else "adapter.safetensors"
    for name in (written, "preview.png"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("method", ["lora", "lokr", "textual-inversion"])
def test_generators_use_what_was_learned_and_are_the_same_model_afterwards(models, learned, method):
    out, generator = learned(method), open_tiny(models(SD))
    pipeline = generator._pipelines[0]
    parts = {name: getattr(pipeline, name) for name in ("unet", "text_encoder", "vae")}
    before = {name: {key: value.clone() for key, value in part.state_dict().items()} for name, part in parts.items()}
    words, request = dict(pipeline.tokenizer.get_vocab()), ask(0, prompt=PROMPT)
    plain = pixels(generator, [request])
    adapted = pixels(generator, [ask(0, prompt=PROMPT, adapters=(Adapter(path=str(out)),))])
    assert adapted != plain
    assert pixels(generator, [request]) == plain
    assert pipeline.tokenizer.get_vocab() == words
    for name, part in parts.items():
        after = part.state_dict()
        assert after.keys() == before[name].keys()
        assert all(torch.equal(after[key], value) for key, value in before[name].items())


def test_adapters_of_every_kind_are_mixed_each_at_its_weight(models, learned):
    generator = open_tiny(models(SD))
    lora, lokr, word = (Adapter(path=str(learned(kind))) for kind in ("lora", "lokr", "textual-inversion"))
    half = Adapter(path=lokr.path, weight=0.5)
    mixtures = [(), (lora,), (lokr,), (half,), (word,), (lora, lokr), (lora, half), (lora, half, word)]
    drawn = [
        pixels(generator, [ask(0, prompt=PROMPT, adapters=mixture, steps=1)])["image-0"]
        for mixture in (*mixtures, *reversed(mixtures))
    ]
    assert len(set(drawn)) == len(mixtures)
    assert drawn == drawn[::-1]


def test_a_learned_word_is_weighed_in_the_prompt_and_fills_windows_unfolded(models, learned, tmp_path):
    adapter, generator = Adapter(path=str(learned("textual-inversion"))), open_tiny(models(SD))
    prompts = ["can <zurvi>", "can (<zurvi>:0.5)", "can"]
    requests = [ask(0, id=text, prompt=text, adapters=(adapter,)) for text in prompts]
    assert len(set(pixels(generator, requests).values())) == len(prompts)
    ((name, vectors),) = load_file(learned("textual-inversion") / "adapter.safetensors").items()
    vectors[-1] = 0.0
    save_file({name: vectors}, tmp_path / "other.safetensors")
    # Of the word's four vectors the window has room for three.
    long = [ask(0, prompt="teal " * 18 + name, adapters=(Adapter(path=str(path)),)) for path in (
        tmp_path / "other.safetensors", adapter.path,
    )]  # fmt: skip
    assert pixels(generator, long[:1]) != pixels(generator, long[1:])
    in_bf16 = list(open_tiny(models(SD), precision="bf16").generate(requests[:1]))
    assert [image.failure for image in in_bf16] == [None]
    with pytest.raises(ModelRefused, match="no strength of its own"):
        next(generator.generate([ask(0, adapters=(Adapter(path=adapter.path, weight=0.8),))]))


def test_a_full_fine_tuning_ends_as_a_model_that_knows_what_its_base_knew(models, learned):
    model, out = models(SD), learned("full")
    base, card = find_card(str(model)), find_card(str(out / "model"))
    assert (card.licence, card.native_sizes, card.pipeline) == (base.licence, base.native_sizes, base.pipeline)
    assert card.revision != base.revision
    assert pixels(open_tiny(out / "model"), [ask(0)]) != pixels(open_tiny(model), [ask(0)])
    assert "model: " + str(out / "model") in (out / "model" / "README.md").read_text()


def test_a_lokr_becomes_a_lora_that_draws_the_same_in_every_layout(models, learned, tmp_path):
    model, out = models(SD), learned("lokr")
    expected = denoise(load_with_diffusers("lokr", model, out))
    for layout in LAYOUTS:
        write_adapter(tmp_path / "lora.safetensors", read_adapter(out), layout)
        pipeline = DiffusionPipeline.from_pretrained(model)
        pipeline.load_lora_weights(str(tmp_path), weight_name="lora.safetensors")
        torch.testing.assert_close(denoise(pipeline), expected, rtol=0, atol=1e-5)
    assert max(t.shape[0] for n, t in read_adapter(out, max_rank=2).tensors.items() if "lora_A" in n) == 2


def test_dreambooth_says_which_prompts_it_needs(models, pictures):
    def problems(*overrides: str) -> list[tuple[str | None, str]]:
        recipe = recipe_for(models(SD), pictures, *overrides).model_copy(update={"method": "dreambooth"})
        with pytest.raises(InputRefused) as refusal:
            look_at_pictures(recipe, find_card(recipe.model), survey(pictures))
        return [(problem.key or problem.file, problem.message) for problem in refusal.value.problems]

    ((key, message),) = problems("data.instance_prompt=a zurvi can")
    assert (key, "needs class_prompt" in message) == ("data.class_prompt", True)
    ((key, message),) = problems("data.instance_prompt=a zurvi can", "data.class_prompt=can a zurvi")
    assert (key, "has no word that the class prompt" in message) == ("data.instance_prompt", True)
    lacking = problems("data.instance_prompt=a lumen can", "data.class_prompt=a can")
    assert [file for file, _ in lacking] == [f"{number}.png" for number in range(8)]


def test_a_learned_word_stands_in_every_caption_and_is_one_word(models, pictures):
    recipe = recipe_for(models(SD), pictures, "word=zurvi", method="textual-inversion")
    brand = look_at_pictures(recipe, find_card(recipe.model), survey(pictures))
    assert {example.caption[:10] for example in (*brand.training, *brand.held_out)} == {"zurvi can "}
    recipe = recipe_for(models(SD), pictures, method="textual-inversion")
    brand = look_at_pictures(recipe, find_card(recipe.model), survey(pictures))
    assert all(example.caption.startswith("<zurvi>, zurvi can") for example in brand.training)
    for wrong in ("two words", "LOUD", ""):
        recipe = recipe_for(models(SD), pictures, f"word={wrong!r}", method="textual-inversion")
        with pytest.raises(InputRefused, match="single word"):
            look_at_pictures(recipe, find_card(recipe.model), survey(pictures))


@pytest.mark.parametrize("method", ["lokr", "textual-inversion", "full"])
def test_methods_that_keep_the_text_encoders_say_so(models, pictures, tmp_path, method):
    recipe = recipe_for(models(SD), pictures, "text_encoder=true", method=method)
    with pytest.raises(InputRefused, match="text_encoder"):
        run(recipe, tmp_path / "out")
