# pyright: basic, reportPrivateImportUsage=false
"""What of a prompt is lost: the same that transformers' own tokenizers cut off."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from designkit.generators import clip_text
from designkit.generators.base import ModelCard
from designkit.generators.catalog import find_card
from designkit.generators.chunks import MAX_CHUNKS
from designkit.generators.prompt_check import check_prompts, dropped_words
from designkit.generators.strength import parse_strength
from tests.generators import tiny_pipelines

LONG = "A soda can, on plain   teal; flat style with\tan orange sunburst, Café 3x and glossy highlights behind it"


@pytest.fixture
def long_card(tiny_model):
    """A model that reads prompts of any length, window by window."""
    return find_card(str(tiny_model("StableDiffusionPipeline")))


@pytest.fixture
def card(long_card):
    """The same as pipelines read it that know one window only."""
    return replace(long_card, accepts=long_card.accepts - {"word_weights"})


def kept_by_transformers(folder, prompt):
    """The words that the tokenizer of a pipeline keeps whole when it cuts off at its own limit."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    length = tokenizer.model_max_length
    cut = tokenizer(prompt, truncation=True, max_length=length, return_offsets_mapping=True)["offset_mapping"]
    end = max(stop for _, stop in cut)
    return tuple(match[0] for match in re.finditer(r"\S+", prompt) if match.end() <= end)


@pytest.mark.parametrize("text", [LONG, f"{LONG} {LONG}", "x" * 200, "词" * 60, "éa " * 60])
def test_the_words_that_transformers_would_cut_off_are_listed(card, text):
    words = tuple(text.split())
    kept = kept_by_transformers(card.folder / "tokenizer", text)
    assert dropped_words(card, [text]) == {text: words[len(kept) :]}


def test_prompts_that_fit_are_not_reported(card):
    assert dropped_words(card, ["soda can on teal", "", "x" * 75]) == {}
    assert check_prompts(card, ["soda can on teal"]) == ()


def test_long_prompts_lose_nothing_until_every_window_is_full(long_card):
    assert dropped_words(long_card, [LONG, f"{LONG} {LONG}", "(red:1.3) can BREAK " + LONG]) == {}
    many = ", ".join(f"word{number}" for number in range(400))
    (lost,) = dropped_words(long_card, [many]).values()
    assert lost[-1] == "word399"
    first = int(lost[0].strip("word,"))
    # One token a letter, a comma and no space: each of the 16 windows holds ten of these words or so.
    kept = [f"word{number}," for number in range(first)]
    assert 14 * 75 < sum(map(len, kept)) <= 16 * 75


def test_what_is_dropped_is_what_the_pipeline_does_not_encode(long_card):
    pipeline = tiny_pipelines.stable_diffusion()
    prompt = "start (red:1.3) BREAK " + ", ".join(f"(word{number}:1.2) and more" for number in range(150))
    chunks = clip_text._chunks(pipeline, pipeline.tokenizer, parse_strength(prompt))[MAX_CHUNKS:]
    beyond = "".join(token.text for chunk in chunks for token in chunk).replace("</w>", " ")
    (lost,) = dropped_words(long_card, [prompt]).values()
    assert "".join(lost) == beyond.replace(" ", "")


def test_only_words_count_not_their_weights(card):
    assert dropped_words(card, ["(soda:1.25) " * 12, r"\(soda\) " * 9]) == {}
    starter = replace(card, name="starter")
    assert check_prompts(starter, ["a (red:1.3) panda BREAK on [teal] <lora:xyzzy:0.5>"]) == ()


def test_each_distinct_prompt_is_reported_once_with_what_it_loses(card):
    (problem,) = check_prompts(card, [LONG, LONG, "short"])
    assert problem.code == "words-cut-off"
    assert problem.message.endswith("it drops: highlights behind it")


def test_words_that_a_second_encoder_still_reads_are_not_lost(tiny_model):
    flux = find_card(str(tiny_model("FluxPipeline")))  # CLIP reads 77 tokens, T5 reads 512.
    assert dropped_words(flux, [LONG]) == {}
    (words,) = dropped_words(flux, [" ".join(f"word{number}" for number in range(200))]).values()
    assert words[-1] == "word199"
    plain = find_card(str(tiny_model("StableDiffusion3Pipeline")))  # Without its T5, 77 is all there is.
    assert dropped_words(plain, [LONG])


def test_clip_files_of_older_models_are_read_as_transformers_reads_them(tiny_model, tmp_path):
    folder = Path(shutil.copytree(tiny_model("StableDiffusionPipeline"), tmp_path / "older"))
    expected = dropped_words(find_card(str(folder)), [LONG * 20])
    tokenizer = json.loads((folder / "tokenizer" / "tokenizer.json").read_text())
    (folder / "tokenizer" / "tokenizer.json").unlink()
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps(tokenizer["model"]["vocab"]))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    assert dropped_words(find_card(str(folder)), [LONG * 20]) == expected != {}


def test_models_without_a_tokenizer_on_this_disk_are_not_checked():
    assert check_prompts(find_card("draft"), [LONG * 20]) == ()


def test_words_that_the_starter_never_learned_are_reported_with_the_nearest(card):
    starter = ModelCard(
        name="starter", family="stable-diffusion", revision="1", licence="apache-2.0", native_sizes=card.native_sizes
    )
    problems = check_prompts(starter, ["a red panda on teal", "a read panda on teal", "a read panda"])
    assert [(problem.code, problem.message) for problem in problems] == [
        ("unknown-word", "the starter model never learned the word 'read'")
    ]
    assert problems[0].fix is not None
    assert "red" in problems[0].fix
