# pyright: basic, reportPrivateImportUsage=false, reportArgumentType=false
"""Weighted words and long prompts: equal to diffusers where nothing is asked for, to compel where something is."""

from __future__ import annotations

import random

import pytest
import torch

from designkit.generators import clip_text
from designkit.generators.chunks import MAX_CHUNKS
from designkit.generators.strength import parse_strength
from tests.generators import tiny_pipelines
from tests.generators.requests import ask, open_tiny, pixels

FAMILIES = ["StableDiffusionPipeline", "StableDiffusionXLPipeline"]
TEXTS = ["soda can, plain teal", "", "Café 3x (in red) 词", "a lemon tree in the sun, flat style"]
LONG = ", ".join(f"word number {number} of a long prompt" for number in range(9))


@pytest.fixture(params=FAMILIES)
def pipeline(request):
    return tiny_pipelines.BUILDERS[request.param]()


@pytest.fixture(params=FAMILIES)
def folder(request, tiny_model):
    return tiny_model(request.param)


def by_diffusers(pipeline, prompts, negatives):
    """What the pipeline itself makes of plain prompts: embeddings, negative ones, and pooled ones of SDXL."""
    with torch.inference_mode():
        parts = pipeline.encode_prompt(
            prompts, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=True, negative_prompt=negatives
        )
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    return dict(zip(names, parts, strict=False))


def escaped(text):
    return text.replace("(", r"\(").replace(")", r"\)")


@pytest.mark.parametrize("wrap", ["{}", "({}:1.0)", "(({}:0.5):2)"])
def test_a_weight_of_one_equals_plain_diffusers_to_the_bit(pipeline, wrap):
    prompts = [parse_strength(wrap.format(escaped(text))) for text in TEXTS]
    negatives = prompts[::-1]
    ours = clip_text.embed(pipeline, prompts, negatives, count=1)
    theirs = by_diffusers(pipeline, TEXTS, TEXTS[::-1])
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_weights_above_one_equal_those_of_compel(pipeline):
    compel = pytest.importorskip("compel")
    is_xl = hasattr(pipeline, "text_encoder_2")
    wrapper = (compel.CompelForSDXL if is_xl else compel.CompelForSD)(pipeline, device="cpu")
    theirs = wrapper("soda (can)1.5 on plain (teal)1.2")
    ours = clip_text.embed(pipeline, [parse_strength("soda (can:1.5) on plain (teal:1.2)")], None, count=1)
    assert torch.allclose(ours["prompt_embeds"], theirs.embeds, atol=1e-5)
    plain = clip_text.embed(pipeline, [parse_strength("soda can on plain teal")], None, count=1)
    assert (ours["prompt_embeds"] - plain["prompt_embeds"]).abs().max() > 0.05


def test_a_word_of_weight_nothing_is_as_the_empty_prompt_and_its_neighbours_keep_their_bits(pipeline):
    weighted = clip_text.embed(pipeline, [parse_strength("ab (cd:0) ef")], None, count=1)["prompt_embeds"]
    plain = clip_text.embed(pipeline, [parse_strength("ab cd ef")], None, count=1)["prompt_embeds"]
    empty = clip_text.embed(pipeline, [parse_strength("")], None, count=1)["prompt_embeds"]
    word = slice(3, 5)  # The tiny tokenizer has one token a letter, behind the start mark.
    assert torch.equal(weighted[:, word], empty[:, word])
    rest = [place for place in range(77) if place not in (3, 4)]
    assert torch.equal(weighted[:, rest], plain[:, rest])


def test_break_and_length_give_each_window_the_embeddings_it_has_alone(pipeline):
    prompt = parse_strength("first part BREAK (second:1.4) part")
    both = clip_text.embed(pipeline, [prompt], None, count=2)
    first, second = (
        clip_text.embed(pipeline, [parse_strength(part)], None, count=1) for part in ("first part", "(second:1.4) part")
    )
    assert torch.equal(both["prompt_embeds"], torch.cat([first["prompt_embeds"], second["prompt_embeds"]], dim=1))
    if "pooled_prompt_embeds" in both:
        assert torch.equal(both["pooled_prompt_embeds"], first["pooled_prompt_embeds"])


def test_no_word_is_cut_in_two_and_a_window_ends_behind_a_comma(pipeline):
    chunks = clip_text._chunks(pipeline, pipeline.tokenizer, parse_strength(LONG))
    texts = ["".join(token.text for token in chunk).replace("</w>", " ").strip() for chunk in chunks]
    assert " ".join(texts).replace(" ,", ",") == LONG
    assert all(len(chunk) <= 75 for chunk in chunks)
    assert all(text.endswith(",") for text in texts[:-1])
    assert len(clip_text._chunks(pipeline, pipeline.tokenizer, parse_strength("x" * 200))) == 3


def test_short_negative_prompts_are_filled_up_with_empty_windows(pipeline):
    prompt, negative = parse_strength(LONG), parse_strength("blurry")
    count = clip_text.num_chunks(pipeline, prompt)
    assert count > 2
    arguments = clip_text.embed(pipeline, [prompt], [negative], count=count)
    assert arguments["negative_prompt_embeds"].shape == arguments["prompt_embeds"].shape
    empty = clip_text.embed(pipeline, [parse_strength("")], None, count=1)["prompt_embeds"]
    assert torch.equal(arguments["negative_prompt_embeds"][:, -77:], empty)


def test_a_prompt_of_unreasonable_length_fills_the_windows_that_there_are(pipeline):
    prompt = parse_strength(LONG * 20)
    assert clip_text.num_chunks(pipeline, prompt) == MAX_CHUNKS
    assert clip_text.embed(pipeline, [prompt], None, count=MAX_CHUNKS)["prompt_embeds"].shape[1] == 77 * MAX_CHUNKS


def test_weights_breaks_and_the_end_of_long_prompts_change_pictures(folder):
    generator = open_tiny(folder, batch_size=1)
    prompts = [
        "soda can on teal", "soda (can:1.4) on teal", "soda [can] on teal", "soda can BREAK on teal", LONG,
        LONG + ", red",
    ]  # fmt: skip
    images = list(generator.generate([ask(3, id=text, prompt=text) for text in prompts]))
    assert [(image.failure, image.warnings) for image in images] == [(None, ())] * len(prompts)
    assert len({image.image.tobytes() for image in images}) == len(prompts)
    weighted, plain = ask(3, negative="(red:1.5)"), ask(3, negative="red")
    assert pixels(generator, [weighted]) != pixels(generator, [plain])


def test_brackets_that_weigh_nothing_draw_what_plain_words_draw(folder):
    generator = open_tiny(folder, batch_size=2)
    (even,) = pixels(generator, [ask(1, prompt="a (soda:1.0) can")]).values()
    (escaped_,) = pixels(generator, [ask(1, prompt=r"a \(soda\) can")]).values()
    (plain,) = pixels(generator, [ask(1, prompt="a soda can")]).values()
    assert even == plain != escaped_


def test_bytes_do_not_depend_on_neighbours_of_other_lengths_and_weights(folder):
    generator = open_tiny(folder, batch_size=4)
    texts = ["soda can", "soda (can:1.3)", LONG, "a BREAK b", "[lemon] tree", "(tea:0.7) cup", LONG + " (end:1.2)"]
    requests = [ask(seed, prompt=text) for seed, text in enumerate(texts)]
    requests.append(ask(7, negative=LONG))
    expected = pixels(generator, requests)
    assert pixels(generator, random.Random(1).sample(requests, k=len(requests))) == expected
    for request in requests[1::2]:
        assert pixels(generator, [request]) == {request.id: expected[request.id]}


def test_latent_consistency_models_weigh_words_as_their_parents_do(tmp_path):
    from diffusers import LatentConsistencyModelPipeline, LCMScheduler, UNet2DConditionModel

    parts = tiny_pipelines.stable_diffusion().components
    config = {name: value for name, value in parts["unet"].config.items() if not name.startswith("_")}
    unet = UNet2DConditionModel(**{**config, "time_cond_proj_dim": 8}).eval()
    names = ("vae", "text_encoder", "tokenizer")
    LatentConsistencyModelPipeline(
        **{name: parts[name] for name in names}, unet=unet, scheduler=LCMScheduler(), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(tmp_path)  # fmt: skip
    generator = open_tiny(tmp_path)
    prompts = ["a soda can", "a (soda:1.0) can", "a (soda:1.6) can", LONG]
    drawn = pixels(generator, [ask(0, id=text, prompt=text) for text in prompts])
    assert drawn["a soda can"] == drawn["a (soda:1.0) can"]
    assert len(set(drawn.values())) == 3


def test_encoders_that_cannot_weigh_read_the_words_and_say_so(tiny_model):
    generator = open_tiny(tiny_model("FluxPipeline"))
    weighted, plain = ask(0, prompt="a (soda:1.3) can, BREAK, in (red)"), ask(0, prompt="a soda can, , in (red)")
    (image,), (same,) = generator.generate([weighted]), generator.generate([plain])
    assert image.image.tobytes() == same.image.tobytes()
    assert image.warnings == ("flux models take no weights of words, so it was left out",)
