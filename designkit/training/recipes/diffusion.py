"""From nothing to a text-to-image pipeline: tokenizer, autoencoder, text encoder, denoiser, export.

With `start_from` the denoiser and the text encoder, or the autoencoder, of an existing pipeline learn on instead.
Every stage keeps its checkpoints under the output folder and its result beside them; the same call again goes on with
the first stage that has not ended.
"""

# pyright: basic, reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false
from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from designkit.errors import InputRefused, Problem
from designkit.files import write_durably
from designkit.generators.catalog import find_card
from designkit.training.config import DiffusionRecipe
from designkit.training.loop import StageReport, stage, train
from designkit.training.processes import state
from designkit.training.recipes.autoencoder import (
    AutoencoderTask,
    DecoderTask,
    WideningTask,
    standardise_latents,
)
from designkit.training.recipes.denoiser import DenoiserTask, build_denoiser, build_scheduler
from designkit.training.recipes.text_encoder import TextEncoderTask, build_text_encoder, build_tokenizer
from designkit.values import Size


def train_diffusion(recipe: DiffusionRecipe, out: Path, *, threads: int = 1) -> Generator[StageReport]:
    """Train every stage that is not finished and write the pipeline to `out`.

    `threads` sets torch's threads. Raises StorageError where `out` cannot
    be written and TrainingStopped when a loss is not finite.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    if recipe.start_from is not None:
        yield from _train_further(recipe, recipe.start_from, out)
        return
    assert recipe.denoiser is not None  # The recipe was checked.
    checkpoints = out / "checkpoints"
    with state().main_process_first():
        tokenizer = build_tokenizer(recipe.text_encoder, out / "tokenizer", seed=recipe.seed)
    text = TextEncoderTask(build_text_encoder(recipe.text_encoder, tokenizer), tokenizer, seed=recipe.seed)
    yield from stage("text encoder", train(text, recipe.text_encoder.training, checkpoints / "text-encoder"))

    torch.manual_seed(recipe.seed)  # A stage begins alike, whether or not those before it were trained just now.
    pictures = AutoencoderTask(recipe.autoencoder, seed=recipe.seed)
    yield from stage("autoencoder", train(pictures, recipe.autoencoder.training, checkpoints / "autoencoder"))
    autoencoder = pictures.autoencoder.eval().requires_grad_(False)
    standardise_latents(autoencoder, seed=recipe.seed)

    sizes = _sizes(recipe)
    torch.manual_seed(recipe.seed)
    denoiser = build_denoiser(
        recipe.denoiser, latent_channels=recipe.autoencoder.latent_channels, text_width=recipe.text_encoder.width,
        latent_side=sizes[0].width // 8,
    )  # fmt: skip
    task = DenoiserTask(recipe.denoiser, denoiser, text.module, tokenizer, autoencoder, sizes=sizes, seed=recipe.seed)
    yield from stage("denoiser", train(task, recipe.denoiser.training, checkpoints / "denoiser"))

    sharper = DecoderTask(autoencoder.requires_grad_(True), recipe.autoencoder, seed=recipe.seed)
    yield from stage("decoder", train(sharper, recipe.autoencoder.decoder_training, checkpoints / "decoder"))
    export_pipeline(
        out, denoiser=denoiser, encoder=text.module.encoder, autoencoder=autoencoder, tokenizer=tokenizer, recipe=recipe
    )


def _train_further(recipe: DiffusionRecipe, start: str, out: Path) -> Generator[StageReport]:
    folder = find_card(start).folder
    if folder is None:
        raise InputRefused(
            Problem(
                code="start-from", file=start, message="is not a model folder on this disk",
                fix="name a folder that `designkit train diffusion` wrote, or starter",
            )
        )  # fmt: skip
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    autoencoder = AutoencoderKL.from_pretrained(folder / "vae").float().eval().requires_grad_(False)
    denoiser = UNet2DConditionModel.from_pretrained(folder / "unet").float().train()
    for part in (autoencoder, denoiser):
        part.register_to_config(_name_or_path="")  # Where it came from on this disk is nobody else's business.
    if recipe.learns == "autoencoder":
        task = WideningTask(autoencoder.train().requires_grad_(True), recipe.autoencoder, seed=recipe.seed)
        yield from stage("autoencoder", train(task, recipe.autoencoder.training, out / "checkpoints" / "autoencoder"))
    else:
        yield from _train_denoiser_further(recipe, denoiser, encoder, tokenizer, autoencoder, out)
    export_pipeline(
        out, denoiser=denoiser, encoder=encoder, autoencoder=autoencoder, tokenizer=tokenizer, recipe=recipe
    )


def _train_denoiser_further(
    recipe: DiffusionRecipe, denoiser: UNet2DConditionModel, encoder: CLIPTextModel, tokenizer: CLIPTokenizer,
    autoencoder: AutoencoderKL, out: Path,
) -> Generator[StageReport]:  # fmt: skip
    assert recipe.denoiser is not None  # The recipe was checked.
    text = TextEncoderTask(encoder.train(), tokenizer, seed=recipe.seed)
    yield from stage("text encoder", train(text, recipe.text_encoder.training, out / "checkpoints" / "text-encoder"))
    task = DenoiserTask(
        recipe.denoiser, denoiser, text.module, tokenizer, autoencoder, sizes=_sizes(recipe), seed=recipe.seed
    )
    yield from stage("denoiser", train(task, recipe.denoiser.training, out / "checkpoints" / "denoiser"))


def _sizes(recipe: DiffusionRecipe) -> list[Size]:
    return [Size(width=int(width), height=int(height)) for width, height in (text.split("x") for text in recipe.sizes)]


def export_pipeline(
    out: Path,
    *,
    denoiser: UNet2DConditionModel,
    encoder: CLIPTextModel,
    autoencoder: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    recipe: DiffusionRecipe,
) -> None:
    """Write a StableDiffusionPipeline folder with half-precision weights (stored so, never computed so on a CPU)."""
    if not state().is_main_process:
        return
    scheduler = DPMSolverMultistepScheduler.from_config(build_scheduler().config, algorithm_type="dpmsolver++")
    pipeline = StableDiffusionPipeline(
        vae=autoencoder, text_encoder=encoder, tokenizer=tokenizer, unet=denoiser, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, image_encoder=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.to(torch.float16)
    pipeline.save_pretrained(out)
    facts = {
        "native_sizes": list(dict.fromkeys(recipe.sizes)), "licence": "apache-2.0", "commercial_use": "yes",
        "defaults": {"steps": 20, "guidance": 4.0, "guidance_rescale": 0.5},
    }  # fmt: skip
    write_durably(out / "designkit.json", json.dumps(facts, indent=2).encode() + b"\n")
