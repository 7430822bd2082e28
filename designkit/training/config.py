"""What a training recipe's file may say: one YAML file, every key checked, every default in one place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from designkit.documents import Node, parse_document, read_document, validate, with_value
from designkit.errors import InputRefused, Problem

AnyRecipe = TypeVar("AnyRecipe", bound=BaseModel)


OptimizerName = Literal["adamw", "adamw-8bit", "prodigy", "schedule-free"]


class Strict(BaseModel):
    """A part of a recipe: no unknown keys, no changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Schedule(Strict):
    """How long and how fast one stage learns. Exactly one of `steps` and `minutes` is given."""

    steps: int | None = Field(default=None, gt=0, description="optimizer steps; exactly repeatable")
    minutes: float | None = Field(default=None, gt=0, description="wall-clock budget of training, over all sittings")
    batch_size: int = Field(default=64, gt=0)
    optimizer: OptimizerName = Field(
        default="adamw",
        description="all but adamw are packages of the extra [optimizers]; prodigy: learning_rate=1 leaves the rate to "
        "it; schedule-free: with cooldown=0 and ema_decay=0, since it averages by itself",
    )
    learning_rate: float = Field(default=4e-4, gt=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.99, gt=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_steps: int = Field(default=100, ge=0)
    cooldown: float = Field(default=0.3, ge=0, le=1, description="share of the run over which the rate falls to 0")
    gradient_clip: float = Field(default=1.0, gt=0, description="longest gradient of a phase; inf never cuts")
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="bf16", description="auto: bf16 where the device is faster with it; a resumed run keeps its choice"
    )
    micro_batch: int | None = Field(
        default=None, gt=0, description="rows computed at once in each process; halved where memory does not suffice"
    )
    compile: bool = Field(
        default=False, description="compile the losses with torch.compile: slow to begin, then faster"
    )
    checkpoint_minutes: float = Field(default=5.0, gt=0)
    tensorboard: bool = Field(default=False, description="also write TensorBoard events; log.csv is always written")

    @model_validator(mode="after")
    def _one_length(self) -> Schedule:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give exactly one of steps and minutes")
        return self


class AutoencoderRecipe(Strict):
    """The picture autoencoder: 8 x 8 pixels become one latent of `latent_channels` numbers."""

    channels: tuple[int, ...] = (24, 48, 96, 128)
    latent_channels: int = 4
    norm_groups: int = 8
    crop_px: int = Field(default=128, description="side of the square cut from each 128 px scene, a multiple of 32")
    gradient_weight: float = Field(default=0.5, description="weight of the L1 of image gradients")
    kl_weight: float = 1e-6
    equivariance_share: float = Field(default=0.15, description="share of steps that also train the halved latent")
    recoloured_share: float = Field(
        default=0.5, ge=0, le=1, description="share of a batch in colours that no scene has, so that any can be kept"
    )
    anchor_weight: float = Field(
        default=4.0, ge=0, description="where it learns on: how firmly the latents of scenes stay where they are"
    )
    training: Schedule = Schedule(minutes=27)
    decoder_training: Schedule = Schedule(minutes=20)


class TextEncoderRecipe(Strict):
    """The caption encoder, first trained to name every factor of the scene that a caption describes."""

    vocabulary_size: int = 1536
    num_captions: int = Field(default=20_000, description="captions that the tokenizer's merges are learned from")
    width: int = 256
    layers: int = 3
    heads: int = 4
    max_tokens: int = 32
    training: Schedule = Schedule(steps=700)


class DenoiserRecipe(Strict):
    """The UNet, trained on latents with v-prediction."""

    channels: tuple[int, ...] = (64, 128, 256)
    transformer_layers: tuple[int, ...] = (1, 1, 1)
    num_scenes: int = Field(default=60_000, description="scenes whose latents are kept; captions are drawn afresh")
    num_simple_scenes: int = Field(
        default=10_000, description="how many of them, the first, show one thing on plain ground"
    )
    fresh_share: float = Field(
        default=0.15, description="share of a batch's size that is encoded anew until all are kept"
    )
    text_rate: float = Field(default=0.5, description="text encoder's learning rate over the UNet's")
    caption_dropout: float = 0.1
    noisiest_share: float = Field(
        default=0.25, ge=0, lt=0.8, description="share of a batch in the noisiest tenth, where the text alone tells"
    )
    naming_weight: float = Field(default=0.1, ge=0, description="weight of naming the caption's factors in the loss")
    training: Schedule


class DiffusionRecipe(Strict):
    """Everything that makes a text-to-image model of the starter's kind."""

    kind: Literal["diffusion"]
    name: str
    seed: int = 0
    start_from: str | None = Field(
        default=None,
        description="name or folder of a pipeline of the same kind of which a part learns on, the rest stays as it is",
    )
    learns: Literal["denoiser", "autoencoder"] = Field(
        default="denoiser",
        description="what of start_from learns: the denoiser with the text encoder, or the autoencoder, which learns "
        "colours that no scene has while its latents of scenes stay where they are",
    )
    sizes: tuple[str, ...] = ("128x128", "128x128", "128x128", "160x96", "96x160")
    autoencoder: AutoencoderRecipe = AutoencoderRecipe()
    text_encoder: TextEncoderRecipe = TextEncoderRecipe()
    denoiser: DenoiserRecipe | None = None

    @model_validator(mode="after")
    def _has_what_learns(self) -> DiffusionRecipe:
        if self.learns == "autoencoder" and self.start_from is None:
            raise ValueError("learns: autoencoder goes on from a model: name it in start_from")
        if self.learns == "denoiser" and self.denoiser is None:
            raise ValueError("denoiser is missing: give at least denoiser.training")
        return self


class DetectorRecipe(Strict):
    """The detector that judges pictures of flat design (`designkit evaluate --bench design`)."""

    kind: Literal["detector"]
    name: str
    seed: int = 11
    training: Schedule


def read_recipe(path: Path, overrides: Sequence[str] = (), *, model: type[AnyRecipe] = DiffusionRecipe) -> AnyRecipe:
    """The recipe in a YAML file, with `key=value` overrides (dotted key, YAML value) laid over it.

    Raises InputRefused with every mistake, each with file, line and key.
    """
    return _checked(model, read_document(path), overrides)


def change_recipe(recipe: AnyRecipe, overrides: Sequence[str]) -> AnyRecipe:
    """A recipe with `key=value` overrides laid over it; raises InputRefused."""
    if not overrides:
        return recipe
    return _checked(type(recipe), parse_document(recipe_text(recipe), name="the preset"), overrides)


def recipe_text(recipe: BaseModel) -> str:
    """A recipe as YAML with every default written out, which `read_recipe` reads back as an equal one."""
    import io

    from ruamel.yaml import YAML

    text = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # pyright: ignore[reportAttributeAccessIssue]
    yaml.dump(_plain(recipe.model_dump(mode="json", exclude_none=True)), text)  # pyright: ignore[reportUnknownMemberType]
    return text.getvalue()


def _checked(model: type[AnyRecipe], document: Node, overrides: Sequence[str]) -> AnyRecipe:
    for override in overrides:
        key, equals, written = override.partition("=")
        if not equals or not key.strip():
            raise InputRefused(
                Problem(
                    code="override", message="no value is set", file=f"--set {override}",
                    fix="write --set key=value, such as --set training.steps=1000",
                )
            )  # fmt: skip
        value = parse_document(written, name=f"--set {key}", has_lines=False)
        document = with_value(document, key.strip().split("."), value)
    recipe = validate(model, document)
    if isinstance(recipe, list):
        raise InputRefused(recipe)
    return recipe


def _plain(value: Any) -> Any:
    """What YAML writes as the documents here are read: infinity is a word, not YAML's own sign for it."""
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_plain(below) for below in cast("list[Any]", value)]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
