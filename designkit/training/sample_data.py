"""Where a GAN or a VAE learns from, as a recipe says it; `gathering.py` makes samples of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from designkit.training.config import Strict


class SampleData(Strict):
    """Where the samples come from."""

    source: Literal["pictures", "digits", "scenes", "textures", "two-gaussians", "ring", "grid"] = Field(
        default="pictures",
        description="pictures of `folder`; scikit-learn's handwritten digits; rendered design scenes; patches of "
        "scikit-image's brick, grass and gravel; or points: two Gaussians, eight on a ring, twenty-five on a grid",
    )
    folder: str | None = Field(default=None, description="the pictures' folder; relative to where designkit is run")
    side_px: int | None = Field(
        default=None,
        ge=8,
        le=256,
        description="side of the square that pictures are cut to; chosen by their size unless given",
    )
    colour: Literal["auto", "rgb", "grey", "rgba"] = "auto"
    condition: Literal["auto", "none", "classes", "captions"] = Field(
        default="auto", description="classes: folders of `folder`; captions: its metadata.jsonl or .txt files"
    )
    count: int = Field(default=10_000, gt=0, description="how many scenes, patches or points are made")
    simple_share: float = Field(default=0.0, ge=0, le=1, description="share of scenes with one thing on plain ground")
    num_captions: int = Field(default=4, gt=0, description="captions a scene; one is drawn at each visit")
    space: Literal["pixels", "latents"] = Field(
        default="pixels",
        description="latents: learn the starter's autoencoder's latents, an eighth of the pictures' side",
    )
    held_out: float = Field(
        default=0.1, ge=0, le=0.5, description="share that is not learned from, to see collapse and memorising by"
    )

    @model_validator(mode="after")
    def _folder_of_pictures(self) -> SampleData:
        if (self.source == "pictures") != (self.folder is not None):
            raise ValueError("source pictures needs a folder, and no other source takes one")
        if self.space == "latents" and self.source not in ("pictures", "scenes"):
            raise ValueError(f"latents are of colour pictures, and {self.source} are none; set space: pixels")
        return self
