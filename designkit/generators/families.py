"""How the text-to-image pipelines of diffusers differ, as one table.

A pipeline that is not listed is driven by the arguments that its signature names, one request at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from designkit.generators.base import Setting


@dataclass(frozen=True, kw_only=True)
class Family:
    """What one pipeline class takes, beyond what its signature tells.

    `guidance_argument` is the argument that weighs the negative prompt against the prompt, and `guidance_off`
    the value at or below which the negative prompt plays no part. `grid` is the number of latent pixels that a
    drawn side must be a multiple of. `keeps_scheduler` marks flow models, whose sampler is part of the model.
    `is_batched` says that a picture drawn in a batch does not depend on its neighbours; only families for which
    a test shows it carry it. `always` is given with every call, and `with_negative` with those that have a
    negative prompt. `weighs_words` marks pipelines whose encoders are CLIP's alone, so that words can be
    weighted and prompts be of any length (see `clip_text`). `needs` names packages that designkit does not
    bring along. `text_limits` tells, for tokenizers whose own limit is not what counts, how many tokens of a
    prompt the pipeline reads (without what it adds around the prompt).
    """

    name: str
    native_side_px: int = 1024
    grid: int = 2
    max_pixels: int = 2048 * 2048
    steps: int | None = None
    guidance: float | None = None
    guidance_argument: Literal["guidance_scale", "true_cfg_scale"] | None = "guidance_scale"
    guidance_off: float = 1.0
    takes_negative: bool = True
    takes_adapters: bool = True
    takes_size: bool = True
    takes_steps: bool = True
    weighs_words: bool = False
    keeps_scheduler: bool = True
    is_batched: bool = False
    always: Mapping[str, object] = field(default_factory=dict[str, object])
    with_negative: Mapping[str, object] = field(default_factory=dict[str, object])
    needs: tuple[str, ...] = ()
    text_limits: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def accepts(self) -> frozenset[Setting]:
        """The request settings that this family honours."""
        honoured: dict[Setting, bool] = {
            "negative": self.takes_negative,
            "steps": self.takes_steps,
            "guidance": self.guidance_argument is not None,
            "scheduler": not self.keeps_scheduler,
            "size": self.takes_size,
            "adapters": self.takes_adapters,
            "word_weights": self.weighs_words,
        }
        return frozenset(setting for setting, is_honoured in honoured.items() if is_honoured)


# Captions reach the text encoder as they were written, and pictures have the size that was asked for.
_PLAIN_CAPTION: Mapping[str, object] = {"clean_caption": False}
_PLAIN: Mapping[str, object] = {"clean_caption": False, "use_resolution_binning": False}
_EXACT_SIZE: Mapping[str, object] = {"use_resolution_binning": False}

FAMILIES: Mapping[str, Family] = {
    "StableDiffusionPipeline": Family(
        name="stable-diffusion", native_side_px=512, grid=1, max_pixels=1024 * 1024, steps=25, guidance=7.5,
        keeps_scheduler=False, is_batched=True, weighs_words=True,
    ),
    "StableDiffusionXLPipeline": Family(
        name="stable-diffusion-xl", grid=1, max_pixels=1536 * 1536, steps=30, guidance=5.0, keeps_scheduler=False,
        is_batched=True, weighs_words=True,
    ),
    "StableDiffusion3Pipeline": Family(
        name="stable-diffusion-3", steps=28, guidance=7.0, text_limits={"tokenizer_3": 255},
    ),
    # What everybody calls Flux's guidance is a value that the model was distilled with. A negative prompt needs a
    # second pass a step on top, so that one is made only for requests that have a negative prompt.
    "FluxPipeline": Family(
        name="flux", steps=28, guidance=3.5, guidance_off=-1.0, with_negative={"true_cfg_scale": 2.0},
        text_limits={"tokenizer_2": 511},
    ),
    "Flux2Pipeline": Family(
        name="flux-2", steps=50, guidance=4.0, takes_negative=False, needs=("torchvision",),
    ),
    "Flux2KleinPipeline": Family(
        name="flux-2-klein", steps=4, guidance=4.0, takes_negative=False, text_limits={"tokenizer": 500},
    ),
    "ChromaPipeline": Family(name="chroma", steps=35, guidance=5.0, text_limits={"tokenizer": 511}),
    "PixArtAlphaPipeline": Family(
        name="pixart-alpha", steps=20, guidance=4.5, takes_adapters=False, keeps_scheduler=False, always=_PLAIN,
        text_limits={"tokenizer": 119},
    ),
    "PixArtSigmaPipeline": Family(
        name="pixart-sigma", steps=20, guidance=4.5, takes_adapters=False, keeps_scheduler=False, always=_PLAIN,
        text_limits={"tokenizer": 299},
    ),
    "SanaPipeline": Family(
        name="sana", grid=1, steps=20, guidance=4.5, always=_PLAIN, text_limits={"tokenizer": 298},
    ),
    "SanaSprintPipeline": Family(
        name="sana-sprint", grid=1, steps=2, guidance=4.5, takes_negative=False, takes_steps=False, always=_PLAIN,
        text_limits={"tokenizer": 298},
    ),
    "LuminaPipeline": Family(
        name="lumina", steps=30, guidance=4.0, takes_adapters=False, always=_PLAIN_CAPTION,
    ),
    # Lumina 2 puts a sentence of about thirty tokens before every prompt.
    "Lumina2Pipeline": Family(name="lumina-2", steps=30, guidance=4.0, text_limits={"tokenizer": 224}),
    "AuraFlowPipeline": Family(name="auraflow", steps=50, guidance=3.5),
    "QwenImagePipeline": Family(
        name="qwen-image", steps=50, guidance=4.0, guidance_argument="true_cfg_scale", text_limits={"tokenizer": 507},
    ),
    "QwenImage21Pipeline": Family(
        name="qwen-image-2.1", grid=4, steps=40, guidance=4.0, guidance_argument="true_cfg_scale",
        needs=("torchvision",),
    ),
    "ZImagePipeline": Family(
        name="z-image", steps=50, guidance=5.0, guidance_off=0.0, text_limits={"tokenizer": 500},
    ),
    "Krea2Pipeline": Family(name="krea-2", steps=28, guidance=4.5, guidance_off=0.0),
    "CogView3PlusPipeline": Family(
        name="cogview-3", steps=50, guidance=5.0, takes_adapters=False, keeps_scheduler=False,
    ),
    "CogView4Pipeline": Family(name="cogview-4", grid=4, steps=50, guidance=5.0),
    "HunyuanDiTPipeline": Family(
        name="hunyuan-dit", steps=50, guidance=5.0, takes_adapters=False, keeps_scheduler=False, always=_EXACT_SIZE,
    ),
    "HunyuanImagePipeline": Family(
        name="hunyuan-image", grid=1, steps=50, guidance_argument=None, takes_adapters=False,
    ),
    "Kandinsky3Pipeline": Family(name="kandinsky-3", steps=25, guidance=3.0, keeps_scheduler=False),
    "KandinskyV22CombinedPipeline": Family(
        name="kandinsky-2.2", native_side_px=512, grid=8, steps=50, guidance=4.0, takes_adapters=False,
    ),
    "LatentConsistencyModelPipeline": Family(
        name="latent-consistency", native_side_px=512, grid=1, max_pixels=1024 * 1024, steps=4, guidance=8.5,
        takes_negative=False, weighs_words=True,
    ),
    "PRXPipeline": Family(name="prx", native_side_px=512, steps=28, guidance=4.0, always=_EXACT_SIZE, needs=("ftfy",)),
    "KolorsPipeline": Family(name="kolors", grid=1, steps=50, guidance=5.0, needs=("sentencepiece",)),
    "OvisImagePipeline": Family(name="ovis", steps=50, guidance=5.0, takes_adapters=False),
    "GlmImagePipeline": Family(
        name="glm-image", grid=4, steps=50, guidance=1.5, takes_negative=False, takes_adapters=False,
    ),
    "HiDreamImagePipeline": Family(name="hidream", steps=50, guidance=5.0, takes_size=False),
}  # fmt: skip
"""One row a pipeline class of diffusers; a test holds each against the signature of that class."""

UNLISTED = Family(name="diffusers", takes_adapters=False)
"""How a pipeline is treated that is not in the table."""


def find_family(pipeline_class: str | None) -> Family:
    """The row of a pipeline class; one for editing pictures counts as its relative that draws from text alone."""
    return FAMILIES.get((pipeline_class or "").replace("Img2Img", "").replace("Inpaint", ""), UNLISTED)
