"""What a fine-tuning's recipe may say, and the settings that a folder of pictures gets without one."""

from __future__ import annotations

import random
from typing import Literal

from pydantic import Field, model_validator

from designkit.starter.captions import caption
from designkit.starter.scenes import training_scene
from designkit.training.config import Schedule, Strict

Method = Literal["lora", "dreambooth", "lokr", "textual-inversion", "full"]

Quantised = Literal["none", "int8", "nf4"]

_RATES: dict[Method, tuple[float, float]] = {
    "lora": (1e-3, 1e-4), "dreambooth": (1e-3, 1e-4), "lokr": (3e-3, 1e-3), "textual-inversion": (5e-3, 5e-3),
    "full": (1e-4, 1e-5),
}  # fmt: skip
"""Learning rates for small and for large models."""

_KEPT_SEED = 77

SMALL_PARAMETERS = 200_000_000
"""Models below this learn at higher rates and in larger batches."""


class FinetuneData(Strict):
    """The pictures, and what is said of them."""

    folder: str = Field(description="the pictures' folder; relative to where designkit is run")
    instance_prompt: str | None = Field(
        default=None, description="caption of the pictures that have none of their own, such as `lumen brand design`"
    )
    class_prompt: str | None = Field(
        default=None,
        description="prior preservation (DreamBooth, arXiv 2208.12242): the model's own pictures of this prompt are "
        "learned from beside yours, so that it does not forget what others of the kind look like",
    )
    num_class_pictures: int = Field(default=16, gt=0, description="how many of them are drawn")
    keep: tuple[str, ...] = Field(
        default=(),
        description="prompts that have nothing to do with the brand and are to be followed as before: the model's own "
        "pictures of them, one each, are learned from as those of a class are; the starter has some of its own",
    )
    prior_weight: float = Field(default=1.0, ge=0, description="weight in the loss of the model's own pictures")
    resolution_px: int | None = Field(
        default=None, ge=32, description="side of the square whose area pictures are brought to; the model's own "
        "unless given; pictures are never enlarged",
    )  # fmt: skip
    ground: str = Field(default="white", description="colour that transparent pictures are laid on")
    held_out: float = Field(
        default=0.15, ge=0, le=0.5, description="share that is not learned from, by which the best state is chosen"
    )
    caption_dropout: float = Field(default=0.05, ge=0, le=1, description="share of captions left out, for guidance")
    licence: str = Field(default="unknown", description="of the pictures, and so of what is learned from them")


class FinetunePreviews(Strict):
    """What a look at the half-trained model draws, always of the same seeds, beside the base model."""

    prompts: tuple[str, ...] = Field(default=(), description="captions of held-out pictures unless given")
    count: int = Field(default=4, gt=0, le=16)
    steps: int | None = Field(default=None, gt=0, description="denoising steps; the model's own unless given")


class FinetuneRecipe(Strict):
    """Everything that makes an adapter."""

    kind: Literal["finetune"] = "finetune"
    name: str
    model: str = "starter"
    method: Method = "lora"
    seed: int = 0
    rank: int = Field(
        default=16, gt=0, description="of lora's and lokr's updates; their alpha is the rank, so their scale is 1"
    )
    layers: Literal["attention", "all"] = Field(
        default="attention", description="all: also the feed-forward layers and convolutions of the denoiser"
    )
    text_encoder: bool = Field(default=False, description="also adapt the text encoders' attention; CLIP alone")
    text_rate: float = Field(default=0.5, gt=0, description="text encoder's learning rate over the denoiser's")
    word: str | None = Field(
        default=None, description="textual-inversion: what it learns to be called in prompts; <name> unless given"
    )
    initial_words: str = Field(default="design", description="textual-inversion: whose meaning it begins from")
    vectors: int = Field(default=4, gt=0, le=32, description="textual-inversion: how many; each takes a token's place")
    weighting: Literal["auto", "none", "min-snr", "flow"] = Field(
        default="auto",
        description="of the loss over noise levels. min-snr: arXiv 2303.09556; flow: (alpha + sigma)^2, the "
        "rectified flow's in v-prediction; auto: none for flow models, flow where the noise schedule ends in pure "
        "noise (which min-snr gives no weight at all), min-snr elsewhere",
    )
    snr_gamma: float = Field(default=5.0, gt=0)
    gradient_checkpointing: bool = Field(default=False, description="less memory for a third more time")
    quantise: Quantised = Field(
        default="none",
        description="the base model in fewer bits under a lora: int8 (torchao) or nf4 (bitsandbytes, linear layers), "
        "packages of the extra [quantise]",
    )
    header: Literal["private", "open"] = Field(
        default="private",
        description="of the adapter's file. private: hashes and counts; open: also captions, the words that stand for "
        "the brand, creators and licences, as other tools show them",
    )
    report: bool = Field(
        default=True, description="draw and measure a brand report at the end, with the command; previews.steps counts"
    )
    data: FinetuneData
    previews: FinetunePreviews = FinetunePreviews()
    training: Schedule

    @model_validator(mode="after")
    def _known_prior(self) -> FinetuneRecipe:
        if self.data.class_prompt is not None and not self.data.class_prompt.strip():
            raise ValueError("data.class_prompt is empty: say what the model should not forget, such as `a soda can`")
        return self


def learns_text(recipe: FinetuneRecipe) -> bool:
    """Whether captions are read anew at every step, because how they are read is learned."""
    return recipe.text_encoder or recipe.method == "textual-inversion"


def starter_prompts(count: int = 64) -> tuple[str, ...]:
    """Prompts of all that the starter was taught, always the same ones: what a brand's adapter should leave alone."""
    scenes = [training_scene(index, seed=_KEPT_SEED, simple=index % 2 == 0) for index in range(count)]
    return tuple(caption(scene, random.Random(scene.jitter), "dense").text for scene in scenes)


def finetune_preset(
    folder: str, num_pictures: int, *, model: str, num_parameters: int | None, method: Method, name: str
) -> FinetuneRecipe:
    """The best settings known for so many pictures and a model of that size."""
    is_small = (num_parameters or SMALL_PARAMETERS) < SMALL_PARAMETERS
    # A learned word leaves prompts alone that do not say it.
    kept = starter_prompts() if model == "starter" and method != "textual-inversion" else ()
    # Beside kept prompts every other step is theirs.
    steps = min(1_500, max(900 if kept else 500, 30 * num_pictures))
    rate = _RATES[method][0 if is_small else 1] * (1.0 if is_small or num_pictures >= 9 else 0.5)
    return FinetuneRecipe(
        name=name, model=model, method=method,
        data=FinetuneData(folder=folder, keep=kept, prior_weight=2.0 if kept else 1.0),
        layers="all" if is_small else "attention", text_encoder=False,
        gradient_checkpointing=not is_small,
        training=Schedule(
            steps=steps, batch_size=4 if is_small else 2, learning_rate=rate, beta1=0.9, beta2=0.999,
            weight_decay=1e-4, warmup_steps=50, cooldown=0.5, ema_decay=0.99, precision="auto",
        ),
    )  # fmt: skip
