"""The calls of flow-matching transformers: Stable Diffusion 3 and 3.5, FLUX.1, FLUX.2 klein, Qwen-Image, Z-Image.

Each is called as its pipeline calls it, so that what is learned holds when it draws; `times` are shares of noise in
[0, 1]. What the functions take and return is told in families.py.
"""

# pyright: basic, reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from designkit.training.finetuning.text import Text

_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
JOINT_ATTENTION = (*_ATTENTION, "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
JOINT_ALL = (*JOINT_ATTENTION, "ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2", "proj_mlp")
FLUX_2_ATTENTION = (*JOINT_ATTENTION, "attn.to_qkv_mlp_proj", "attn.to_out")
FLUX_2_ALL = (
    *FLUX_2_ATTENTION, "ff.linear_in", "ff.linear_out", "ff_context.linear_in", "ff_context.linear_out",
)  # fmt: skip
"""Its single blocks have attention and feed-forward layers in one."""
QWEN_ALL = (*JOINT_ATTENTION, "img_mlp.net.0.proj", "img_mlp.net.2", "txt_mlp.net.0.proj", "txt_mlp.net.2")
Z_IMAGE_ATTENTION = _ATTENTION
Z_IMAGE_ALL = (*_ATTENTION, "feed_forward.w1", "feed_forward.w2", "feed_forward.w3")


def read_sd3(pipeline: Any, captions: Sequence[str]) -> Text:
    """Joint and pooled embeddings; zeros stand for T5 where it is left out, as the pipeline has it."""
    embeds, _, pooled, _ = pipeline.encode_prompt(
        list(captions), None, None, device=pipeline.text_encoder.device, do_classifier_free_guidance=False
    )
    return {"embeds": embeds, "pooled": pooled}


def predict_sd3(pipeline: Any, noisy: Tensor, times: Tensor, text: Text, shapes: Tensor) -> Tensor:
    """Its timesteps count to a thousand."""
    return pipeline.transformer(
        hidden_states=noisy, timestep=times * 1000, encoder_hidden_states=text["embeds"],
        pooled_projections=text["pooled"], return_dict=False,
    )[0]  # fmt: skip


def read_flux(pipeline: Any, captions: Sequence[str]) -> Text:
    """T5's embeddings and CLIP's pooled one."""
    embeds, pooled, _ = pipeline.encode_prompt(list(captions), device=pipeline.text_encoder.device)
    return {"embeds": embeds, "pooled": pooled}


def predict_flux(pipeline: Any, noisy: Tensor, times: Tensor, text: Text, shapes: Tensor) -> Tensor:
    """Guidance-distilled weights learn at guidance 1, at which they predict what they were distilled from."""
    count, channels, height, width = noisy.shape
    has_guidance = pipeline.transformer.config.guidance_embeds
    tokens = pipeline.transformer(
        hidden_states=pipeline._pack_latents(noisy, count, channels, height, width), timestep=times,
        guidance=torch.ones(count, device=noisy.device) if has_guidance else None,
        pooled_projections=text["pooled"], encoder_hidden_states=text["embeds"],
        txt_ids=torch.zeros(text["embeds"].shape[1], 3, device=noisy.device, dtype=noisy.dtype),
        img_ids=pipeline._prepare_latent_image_ids(count, height // 2, width // 2, noisy.device, noisy.dtype),
        return_dict=False,
    )[0]  # fmt: skip
    return _unpacked(tokens, noisy.shape)


def encode_flux_2(pipeline: Any, pictures: Tensor) -> Tensor:
    """Patches of 2 x 2 latents as channels, brought to unit variance by the autoencoder's own statistics."""
    return pipeline._encode_vae_image(pictures.to(pipeline.vae.device, pipeline.vae.dtype), generator=None).float()


def read_flux_2(pipeline: Any, captions: Sequence[str]) -> Text:
    """Three layers of Qwen3 side by side, filled up to 512 tokens, which the transformer all sees."""
    embeds, _ = pipeline.encode_prompt(list(captions), device=pipeline.text_encoder.device)
    return {"embeds": embeds}


def predict_flux_2(pipeline: Any, noisy: Tensor, times: Tensor, text: Text, shapes: Tensor) -> Tensor:
    """Made for the base weights; those distilled to four steps take no guidance and forget how when they learn."""
    tokens = pipeline.transformer(
        hidden_states=pipeline._pack_latents(noisy), timestep=times, guidance=None,
        encoder_hidden_states=text["embeds"], txt_ids=pipeline._prepare_text_ids(text["embeds"]).to(noisy.device),
        img_ids=pipeline._prepare_latent_ids(noisy).to(noisy.device), return_dict=False,
    )[0]  # fmt: skip
    return tokens.permute(0, 2, 1).reshape(noisy.shape)


def encode_qwen(pipeline: Any, pictures: Tensor) -> Tensor:
    """Its autoencoder takes films; a picture is one of a single frame."""
    vae = pipeline.vae
    latents = vae.encode(pictures.to(vae.device, vae.dtype)[:, :, None]).latent_dist.mean[:, :, 0].float()
    mean, std = (torch.tensor(values, device=latents.device).view(1, -1, 1, 1) for values in (
        vae.config.latents_mean, vae.config.latents_std,
    ))  # fmt: skip
    return (latents - mean) / std


def read_qwen(pipeline: Any, captions: Sequence[str]) -> Text:
    """Embeddings with their mask."""
    embeds, mask = pipeline.encode_prompt(list(captions), device=pipeline.text_encoder.device)
    if mask is None:
        mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device)
    return {"embeds": embeds, "mask": mask}


def predict_qwen(pipeline: Any, noisy: Tensor, times: Tensor, text: Text, shapes: Tensor) -> Tensor:
    """Latents go in packed, with the shape of each picture beside them."""
    count, channels, height, width = noisy.shape
    mask = None if bool(text["mask"].all()) else text["mask"]
    tokens = pipeline.transformer(
        hidden_states=pipeline._pack_latents(noisy, count, channels, height, width), timestep=times, guidance=None,
        encoder_hidden_states=text["embeds"], encoder_hidden_states_mask=mask,
        img_shapes=[[(1, height // 2, width // 2)]] * count, return_dict=False,
    )[0]  # fmt: skip
    return _unpacked(tokens, noisy.shape)


def read_z_image(pipeline: Any, captions: Sequence[str]) -> Text:
    """Embeddings of each caption's own length, filled up to the longest."""
    embeds, _ = pipeline.encode_prompt(
        list(captions), device=pipeline.text_encoder.device, do_classifier_free_guidance=False
    )
    filled = torch.nn.utils.rnn.pad_sequence(list(embeds), batch_first=True)
    lengths = torch.tensor([len(each) for each in embeds], device=filled.device)
    return {"embeds": filled, "mask": torch.arange(filled.shape[1], device=filled.device)[None] < lengths[:, None]}


def predict_z_image(pipeline: Any, noisy: Tensor, times: Tensor, text: Text, shapes: Tensor) -> Tensor:
    """It counts time from noise to picture, and predicts the way there."""
    captions = [embeds[mask] for embeds, mask in zip(text["embeds"], text["mask"], strict=True)]
    drawn = pipeline.transformer(list(noisy[:, :, None].unbind(0)), 1 - times, captions, return_dict=False)[0]
    return -torch.stack(list(drawn))[:, :, 0]


def _unpacked(tokens: Tensor, shape: torch.Size) -> Tensor:
    """Tokens [N, h / 2 * w / 2, 4 C] -> [N, C, h, w]."""
    count, channels, height, width = shape
    patches = tokens.view(count, height // 2, width // 2, channels, 2, 2)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(shape)
