"""Networks that the user has: tiny ones of each kind, held against transformers' own way of using them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTokenizer,
    Dinov2Config,
    Dinov2Model,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)

from designkit.errors import ModelRefused
from designkit.evaluation.pretrained import TextVisionExtractor, VisionExtractor, open_pretrained
from designkit.evaluation.report import open_extractor
from designkit.generators.catalog import find_card
from tests.evaluation.samples import CREAM, RED, TEAL, drawing

PICTURES = [drawing(TEAL, RED, 40), drawing(CREAM, RED, 60, side=64)]
PROMPTS = ["a red apple on a plain teal background", "a red apple on a plain cream background"]
LAYERS = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**LAYERS, "image_size": 32, "patch_size": 8}
TEXT = {**LAYERS, "vocab_size": 3000, "max_position_embeddings": 24}


def save_tokenizer(folder: Path) -> CLIPTokenizer:
    starter = find_card("starter").folder
    assert starter is not None
    tokenizer = CLIPTokenizer.from_pretrained(starter / "tokenizer")
    tokenizer.save_pretrained(folder)
    return tokenizer


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of a few thousand random numbers, as its owners would publish it."""
    folder = tmp_path_factory.mktemp("models") / "tiny-clip"
    torch.manual_seed(0)
    tokenizer = save_tokenizer(folder)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = CLIPConfig(text_config={**TEXT, **ends}, vision_config=VISION, projection_dim=12)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


def test_clip_scores_are_the_cosines_of_transformers_own_call(clip: Path) -> None:
    extractor = open_extractor(str(clip))
    assert isinstance(extractor, TextVisionExtractor)
    assert extractor.name.startswith("tiny-clip:")
    assert (extractor.licence, extractor.text_title) == ("mit", "CLIP score")
    assert extractor.resize == "bicubic, antialiased, shorter side 32, then the middle 32 px"
    model = CLIPModel.from_pretrained(clip).eval()
    tokens = CLIPTokenizer.from_pretrained(clip)(PROMPTS, padding="max_length", max_length=24, return_tensors="pt")
    pixels = CLIPImageProcessor.from_pretrained(clip)(PICTURES, return_tensors="pt")
    with torch.inference_mode():
        both = model(**tokens, **pixels)
        logits = both.logits_per_image / model.logit_scale.exp()
    theirs = 100 * logits.diagonal().clamp(min=0).numpy()
    assert extractor.text_scores(PICTURES, PROMPTS) == pytest.approx(theirs, abs=1e-4)
    features = np.stack(extractor.features(PICTURES))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    assert features == pytest.approx(both.image_embeds.numpy(), abs=1e-5)


def test_a_prompt_that_is_too_long_is_cut_off(clip: Path) -> None:
    extractor = open_pretrained(str(clip))
    assert isinstance(extractor, TextVisionExtractor)
    assert len(extractor.text_scores(PICTURES[:1], ["red apple " * 200])) == 1


def test_siglip_is_read_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_tokenizer(tmp_path)
    SiglipModel(SiglipConfig(text_config=TEXT, vision_config=VISION)).save_pretrained(tmp_path)
    SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    extractor = open_pretrained(str(tmp_path))
    assert isinstance(extractor, TextVisionExtractor)
    assert (extractor.text_title, extractor.resize) == ("SigLIP score", "bicubic, antialiased, size 32x32")
    assert [vector.shape for vector in extractor.features(PICTURES)] == [(16,)] * 2
    assert all(0 <= score <= 100 for score in extractor.text_scores(PICTURES, PROMPTS))


def test_dinov2_gives_its_pooled_output(tmp_path: Path) -> None:
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    Dinov2Model(Dinov2Config(**size)).save_pretrained(tmp_path / "dino")  # pyright: ignore[reportArgumentType]
    processor = CLIPImageProcessor(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32})
    processor.save_pretrained(tmp_path / "dino")
    extractor = open_pretrained(str(tmp_path / "dino"))
    assert type(extractor) is VisionExtractor
    assert extractor.licence == "unknown"
    with torch.inference_mode():
        theirs = Dinov2Model.from_pretrained(tmp_path / "dino").eval()(**processor(PICTURES, return_tensors="pt"))
    assert np.stack(extractor.features(PICTURES)) == pytest.approx(theirs.pooler_output.numpy(), abs=1e-5)


def test_pickles_other_kinds_and_damaged_files_are_refused(clip: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(clip, tmp_path / "copy"))
    weights = copy / "model.safetensors"
    weights.rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelRefused, match=r"no model\.safetensors"):
        open_pretrained(str(copy))
    weights.write_bytes((copy / "pytorch_model.bin").read_bytes()[:-10])
    with pytest.raises(ModelRefused, match="bytes long"):
        open_pretrained(str(copy))
    (copy / "config.json").write_text('{"model_type": "bert", "auto_map": {"AutoModel": "evil.Model"}}')
    with pytest.raises(ModelRefused, match="of the kind 'bert'"):
        open_pretrained(str(copy))
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ModelRefused):
        open_pretrained(str(tmp_path))


@pytest.mark.parametrize(("name", "message"), [
    ("nobody/nothing-at-all", "is not on this disk"), ("./no/such/folder", "neither a folder nor the name"),
])  # fmt: skip
def test_what_is_nowhere_is_told_without_a_network(name: str, message: str) -> None:
    with pytest.raises(ModelRefused, match=message):
        open_extractor(name)
