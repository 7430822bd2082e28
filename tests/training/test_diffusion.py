"""The whole recipe: from a YAML file to a pipeline that any diffusers tool can load."""

# pyright: basic, reportPrivateImportUsage=false
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline

from designkit.errors import InputRefused
from designkit.generators import open_generator
from designkit.generators.catalog import find_card
from designkit.training.config import read_recipe
from designkit.training.recipes.diffusion import train_diffusion
from designkit.training.recipes.text_encoder import ANSWERS, TextEncoderTask, build_text_encoder, build_tokenizer
from designkit.values import ImageRequest, Size

TINY = """\
kind: diffusion
name: tiny
seed: 3
sizes: [64x64, 96x64]
autoencoder:
  channels: [8, 8, 8, 8]
  norm_groups: 1
  crop_px: 32
  training: {steps: 1, batch_size: 2}
  decoder_training: {steps: 1, batch_size: 1}
text_encoder:
  width: 32
  layers: 1
  num_captions: 300
  training: {steps: 1, batch_size: 4}
denoiser:
  channels: [32, 32, 32]
  num_scenes: 8
  num_simple_scenes: 4
  training: {steps: 3, batch_size: 2}
"""


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def trained(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "tiny"
    steps = list(train_diffusion(read_recipe(recipe_file), out))
    assert [step.stage for step in steps] == ["text encoder", "autoencoder", *["denoiser"] * 3, "decoder"]
    return out


def test_what_comes_out_is_a_plain_stable_diffusion_pipeline(trained: Path):
    pipeline = StableDiffusionPipeline.from_pretrained(trained, dtype=torch.float32)
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    assert pipeline.vae.config.scaling_factor == 1.0
    assert pipeline.tokenizer.model_max_length == 32


def test_every_stage_that_draws_leaves_previews_and_curves(trained: Path):
    for stage in ("autoencoder", "denoiser", "decoder"):
        folder = trained / "checkpoints" / stage
        assert (folder / "curves.png").exists()
        assert len(list((folder / "previews").iterdir())) >= 2


def test_the_trained_folder_draws_through_the_generator_interface(trained: Path):
    card = find_card(str(trained))
    assert card.native_sizes == (Size(width=64, height=64), Size(width=96, height=64))
    assert (card.licence, card.commercial_use, card.default_steps) == ("apache-2.0", "yes", 20)
    size = Size(width=64, height=64)
    request = ImageRequest(id="a", prompt="a red apple", size=size, drawn=size, seed=1, steps=2, guidance=3.0)
    (image,) = open_generator(str(trained), precision="fp32", batch_size=1).generate([request])
    assert image.image.size == (64, 64)


def test_training_again_makes_no_step_and_the_same_weights(trained: Path, recipe_file: Path):
    weights = trained / "unet" / "diffusion_pytorch_model.safetensors"
    before = weights.read_bytes()
    assert list(train_diffusion(read_recipe(recipe_file), trained)) == []
    assert weights.read_bytes() == before


def test_a_pipeline_learns_on_with_its_tokenizer_and_autoencoder_as_they_were(trained: Path, tmp_path: Path):
    path = tmp_path / "further.yaml"
    path.write_text(TINY.replace("name: tiny", f"name: more\nstart_from: {trained}"))
    out = tmp_path / "more"
    assert [step.stage for step in train_diffusion(read_recipe(path), out)] == ["text encoder", *["denoiser"] * 3]

    def weights(folder: Path, part: str) -> bytes:
        return next((folder / part).glob("*.safetensors")).read_bytes()

    assert weights(out, "vae") == weights(trained, "vae")
    assert [path for path in out.glob("*/*.json") if str(trained) in path.read_text()] == []
    assert weights(out, "unet") != weights(trained, "unet")
    assert weights(out, "text_encoder") != weights(trained, "text_encoder")
    prompt = "a red apple on the left"
    tokenizers = [StableDiffusionPipeline.from_pretrained(folder).tokenizer for folder in (trained, out)]
    assert tokenizers[0](prompt).input_ids == tokenizers[1](prompt).input_ids


def test_an_autoencoder_learns_all_colours_while_the_rest_stays_as_it_was(trained: Path, tmp_path: Path):
    path = tmp_path / "colours.yaml"
    text = TINY.replace("name: tiny", f"name: colours\nstart_from: {trained}\nlearns: autoencoder")
    path.write_text(text[: text.index("text_encoder:")])
    out = tmp_path / "colours"
    assert [step.stage for step in train_diffusion(read_recipe(path), out)] == ["autoencoder"]

    def weights(folder: Path, part: str) -> bytes:
        return next((folder / part).glob("*.safetensors")).read_bytes()

    assert weights(out, "vae") != weights(trained, "vae")
    assert weights(out, "unet") == weights(trained, "unet")
    assert weights(out, "text_encoder") == weights(trained, "text_encoder")
    assert list(train_diffusion(read_recipe(path), out)) == []


def test_a_recipe_says_what_is_missing_for_what_learns(recipe_file: Path):
    with pytest.raises(InputRefused, match="start_from"):
        read_recipe(recipe_file, ["learns=autoencoder"])
    with pytest.raises(InputRefused, match="denoiser is missing"):
        read_recipe(Path("prompts/train/starter-colours.yaml"), ["learns=denoiser"])


def test_learning_on_from_a_model_without_a_folder_is_refused(recipe_file: Path, tmp_path: Path):
    recipe = read_recipe(recipe_file, ["start_from=draft"])
    with pytest.raises(InputRefused, match="draft"):
        list(train_diffusion(recipe, tmp_path / "out"))


def test_the_tokenizer_keeps_the_grammars_words_whole_and_ends_every_caption(tmp_path: Path):
    recipe = read_recipe(Path("prompts/train/starter.yaml"), ["text_encoder.num_captions=2000"])
    tokenizer = build_tokenizer(recipe.text_encoder, tmp_path / "tokenizer", seed=1)
    assert tokenizer.tokenize("two red apples, teal") == ["two</w>", "red</w>", "apples</w>", ",</w>", "teal</w>"]
    ids = tokenizer("an unheard-of wörd").input_ids
    assert ids[0] == tokenizer.bos_token_id
    assert ids[-1] == tokenizer.eos_token_id


def test_the_text_encoder_is_asked_for_every_factor_at_the_end_of_the_caption_or_after(tmp_path: Path):
    recipe = read_recipe(Path("prompts/train/starter.yaml"), ["text_encoder.num_captions=500"]).text_encoder
    tokenizer = build_tokenizer(recipe, tmp_path / "tokenizer", seed=1)
    task = TextEncoderTask(build_text_encoder(recipe, tokenizer), tokenizer, seed=1)
    batch = task.batch(0, 16)
    ends = batch["ids"].gather(1, batch["positions"][:, :1])
    assert (ends == tokenizer.eos_token_id).all()
    assert (batch["positions"][:, 1] >= batch["positions"][:, 0]).all()
    for factor, answers in ANSWERS.items():
        assert int(batch["answers"][factor].min()) >= 0
        assert int(batch["answers"][factor].max()) <= len(answers)


@pytest.mark.parametrize(
    ("change", "place", "word"),
    [
        (("width: 32", "widht: 32"), ":12:text_encoder.widht", "width"),
        (
            ("training: {steps: 1, batch_size: 4}", "training: {steps: 1, minutes: 2}"),
            ":15:text_encoder.training",
            "exactly one",
        ),
        (("num_scenes: 8", "num_scenes: many"), ":18:denoiser.num_scenes", "number"),
    ],
)
def test_a_mistake_in_a_recipe_is_told_with_its_line_and_key(
    tmp_path: Path, change: tuple[str, str], place: str, word: str
):
    path = tmp_path / "wrong.yaml"
    path.write_text(TINY.replace(*change))
    with pytest.raises(InputRefused) as caught:
        read_recipe(path)
    (problem,) = caught.value.problems
    assert problem.place == f"{path}{place}"
    assert word in str(problem)


def test_overrides_lie_over_the_file(recipe_file: Path):
    recipe = read_recipe(recipe_file, ["denoiser.training.steps=7", "name=other"])
    assert recipe.denoiser is not None
    assert recipe.denoiser.training.steps == 7
    assert recipe.denoiser.training.batch_size == 2
    assert recipe.name == "other"
    with pytest.raises(InputRefused, match="--set steps"):
        read_recipe(recipe_file, ["steps"])
