"""What differs between the models that can be fine-tuned, as one table: how text is read, how the network is called.

A row says which part learns, how its layers are called, and gives four functions of the pipeline:

    encode(pipeline, pictures [N, 3, H, W] in [-1, 1]) -> latents [N, C, h, w] as the network sees them
    read(pipeline, captions) -> tensors with one row a caption; where lengths differ, with a `mask` [N, tokens]
    predict(pipeline, noisy [N, C, h, w], times [N], text, shapes) -> what the network makes of them, [N, C, h, w]

`shapes` [N, 4] are the source's height and width and the training size's, in pixels. Noise and loss are in
noising.py; the calls of flow transformers in flows.py.
"""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from designkit.errors import ModelRefused, Problem
from designkit.training.finetuning import flows
from designkit.training.finetuning.noising import DiscreteNoising, FlowNoising
from designkit.training.finetuning.text import Text

UNET_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
UNET_ALL = (
    *UNET_ATTENTION, "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "conv1", "conv2", "time_emb_proj",
)  # fmt: skip
CLIP_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")


@dataclass(frozen=True, kw_only=True)
class TunedFamily:
    """How one class of pipelines is fine-tuned; see the module."""

    denoiser: str
    architecture: str
    noising: type[DiscreteNoising] | type[FlowNoising]
    attention: tuple[str, ...]
    everything: tuple[str, ...]
    encode: Callable[[Any, Tensor], Tensor]
    read: Callable[[Any, Sequence[str]], Text]
    predict: Callable[[Any, Tensor, Tensor, Text, Tensor], Tensor]
    text_encoders: tuple[str, ...] = ()


def find_tuned_family(pipeline_class: str | None, *, model: str) -> TunedFamily:
    """The row of a pipeline class; raises ModelRefused where there is none."""
    family = TUNED_FAMILIES.get(pipeline_class or "")
    if family is None:
        known = ", ".join(name.removesuffix("Pipeline") for name in TUNED_FAMILIES)
        raise ModelRefused(
            Problem(
                code="finetune-family", file=model, message=f"{pipeline_class or 'this model'} is not fine-tuned",
                fix=f"use a model of one of these: {known}",
            )
        )  # fmt: skip
    return family


def _encode_scaled(pipeline: Any, pictures: Tensor) -> Tensor:
    """The mean of the autoencoder's distribution, shifted and scaled to about unit variance."""
    vae = pipeline.vae
    latents = vae.encode(pictures.to(vae.device, vae.dtype)).latent_dist.mean.float()
    mean, std = (getattr(vae.config, f"latents_{name}", None) for name in ("mean", "std"))
    if mean is not None and std is not None:
        mean, std = (torch.tensor(values, device=latents.device).view(1, -1, 1, 1) for values in (mean, std))
        return (latents - mean) * vae.config.scaling_factor / std
    return (latents - (getattr(vae.config, "shift_factor", None) or 0.0)) * vae.config.scaling_factor


def _read_sd(pipeline: Any, captions: Sequence[str]) -> Text:
    embeds, _ = pipeline.encode_prompt(list(captions), pipeline.text_encoder.device, 1, False)
    return {"embeds": embeds}


def _predict_sd(pipeline: Any, noisy: Tensor, times: Tensor, text: Text, shapes: Tensor) -> Tensor:
    return pipeline.unet(noisy, times, text["embeds"], return_dict=False)[0]


def _read_sdxl(pipeline: Any, captions: Sequence[str]) -> Text:
    embeds, _, pooled, _ = pipeline.encode_prompt(
        list(captions),
        device=pipeline.text_encoder_2.device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=False,
    )
    return {"embeds": embeds, "pooled": pooled}


def _predict_sdxl(pipeline: Any, noisy: Tensor, times: Tensor, text: Text, shapes: Tensor) -> Tensor:
    # Source size, upper left corner of the cut, size in training (arXiv 2307.01952, section 2.2).
    corner = torch.zeros_like(shapes[:, :2])
    ids = torch.cat([shapes[:, :2], corner, shapes[:, 2:]], dim=1).to(text["pooled"].dtype)
    added = {"text_embeds": text["pooled"], "time_ids": ids}
    return pipeline.unet(noisy, times, text["embeds"], added_cond_kwargs=added, return_dict=False)[0]


TUNED_FAMILIES: Mapping[str, TunedFamily] = {
    "StableDiffusionPipeline": TunedFamily(
        denoiser="unet", architecture="stable-diffusion-v1", noising=DiscreteNoising, attention=UNET_ATTENTION,
        everything=UNET_ALL, encode=_encode_scaled, read=_read_sd, predict=_predict_sd,
        text_encoders=("text_encoder",),
    ),
    "StableDiffusionXLPipeline": TunedFamily(
        denoiser="unet", architecture="stable-diffusion-xl-v1-base", noising=DiscreteNoising, attention=UNET_ATTENTION,
        everything=UNET_ALL, encode=_encode_scaled, read=_read_sdxl, predict=_predict_sdxl,
        text_encoders=("text_encoder", "text_encoder_2"),
    ),
    # 3.5 is of the same class: medium and large differ in their configuration alone.
    "StableDiffusion3Pipeline": TunedFamily(
        denoiser="transformer", architecture="stable-diffusion-v3", noising=FlowNoising,
        attention=flows.JOINT_ATTENTION, everything=flows.JOINT_ALL, encode=_encode_scaled, read=flows.read_sd3,
        predict=flows.predict_sd3,
    ),
    "FluxPipeline": TunedFamily(
        denoiser="transformer", architecture="flux-1-dev", noising=FlowNoising, attention=flows.JOINT_ATTENTION,
        everything=flows.JOINT_ALL, encode=_encode_scaled, read=flows.read_flux, predict=flows.predict_flux,
    ),
    "Flux2KleinPipeline": TunedFamily(
        denoiser="transformer", architecture="flux-2-klein", noising=FlowNoising, attention=flows.FLUX_2_ATTENTION,
        everything=flows.FLUX_2_ALL, encode=flows.encode_flux_2, read=flows.read_flux_2, predict=flows.predict_flux_2,
    ),
    "QwenImagePipeline": TunedFamily(
        denoiser="transformer", architecture="qwen-image", noising=FlowNoising, attention=flows.JOINT_ATTENTION,
        everything=flows.QWEN_ALL, encode=flows.encode_qwen, read=flows.read_qwen, predict=flows.predict_qwen,
    ),
    "ZImagePipeline": TunedFamily(
        denoiser="transformer", architecture="z-image", noising=FlowNoising, attention=flows.Z_IMAGE_ATTENTION,
        everything=flows.Z_IMAGE_ALL, encode=_encode_scaled, read=flows.read_z_image, predict=flows.predict_z_image,
    ),
}  # fmt: skip
"""One row a pipeline class of diffusers; a test trains, saves and reloads each of them."""
