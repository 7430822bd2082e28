# pyright: basic, reportPrivateImportUsage=false, reportArgumentType=false
"""Text-to-image pipelines of every kind, with random weights and a few thousand parameters.

Each builder makes one from diffusers' own classes; `save` writes it to a folder as any tool would.
All of them draw eight pixels (Sana four) for each latent one, as their big relatives do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import pre_tokenizers

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
LETTERS = [chr(code) for code in range(33, 127)]


def clip_tokenizer():
    """A byte-level CLIP tokenizer with 77 places; one token a letter."""
    from transformers import CLIPTokenizer

    tokens = [*BYTES, *(f"{letter}</w>" for letter in BYTES), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=[], model_max_length=77)


def t5_tokenizer():
    """A T5 tokenizer that spells everything."""
    from transformers import T5Tokenizer

    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    return T5Tokenizer(vocab=[*special, *((letter, -3.0) for letter in LETTERS)], extra_ids=0, model_max_length=512)


def gemma_tokenizer():
    """A Gemma tokenizer that spells everything."""
    from transformers import GemmaTokenizer

    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", "\n", *LETTERS]
    return GemmaTokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=[])


def qwen_tokenizer():
    """A byte-level Qwen tokenizer with the smallest chat template."""
    from transformers import Qwen2Tokenizer

    tokens = [*BYTES, "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Qwen2Tokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=[])
    tokenizer.chat_template = "{% for message in messages %}{{ message.role }}: {{ message.content }}{% endfor %}"
    return tokenizer


def clip_text_model(*, hidden: int = 8, has_projection: bool = False):
    """A one-layer CLIP text encoder (two layers where the last but one is read)."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    configuration = CLIPTextConfig(
        vocab_size=2 * len(BYTES) + 2,
        hidden_size=hidden,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=hidden,
        bos_token_id=2 * len(BYTES),
        eos_token_id=2 * len(BYTES) + 1,
        pad_token_id=2 * len(BYTES) + 1,
    )
    return (CLIPTextModelWithProjection if has_projection else CLIPTextModel)(configuration).eval()


def t5_encoder(*, hidden: int = 16):
    """A one-layer T5 encoder."""
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(vocab_size=4 + len(LETTERS), d_model=hidden, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    ).eval()


def gemma_encoder(*, hidden: int = 16):
    """A two-layer Gemma 2 model."""
    from transformers import Gemma2Config, Gemma2Model

    return Gemma2Model(
        Gemma2Config(
            vocab_size=7 + len(LETTERS),
            hidden_size=hidden,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            query_pre_attn_scalar=8,
        )
    ).eval()


def kl_autoencoder(*, latent_channels: int = 4, **settings):
    """An image autoencoder that turns 8 x 8 pixels into one latent pixel."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=latent_channels,
        sample_size=64,
        **settings,
    ).eval()


def stable_diffusion():
    """StableDiffusionPipeline with DDIM, as the shipped starter model is laid out."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    torch.manual_seed(0)
    return StableDiffusionPipeline(
        vae=kl_autoencoder(),
        text_encoder=clip_text_model(),
        tokenizer=clip_tokenizer(),
        unet=UNet2DConditionModel(
            sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, attention_head_dim=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=8,
        ).eval(),
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip


def stable_diffusion_with_safety_checker(*, blocks_everything: bool):
    """The same with a safety checker, as Stable Diffusion 1 came."""
    from diffusers import StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessorPil

    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    checker = StableDiffusionSafetyChecker(
        CLIPConfig(text_config={}, vision_config={**vision, "image_size": 32, "patch_size": 16}, projection_dim=8)
    )
    # A picture is blocked when it is nearer to a concept than this; nearness lies between -1 and 1.
    checker.concept_embeds_weights.data.fill_(-2.0 if blocks_everything else 2.0)
    checker.special_care_embeds_weights.data.fill_(2.0)
    plain = stable_diffusion()
    size = {"height": 32, "width": 32}
    return StableDiffusionPipeline(
        **{name: plain.components[name] for name in ("vae", "text_encoder", "tokenizer", "unet", "scheduler")},
        safety_checker=checker.eval(),
        feature_extractor=CLIPImageProcessorPil(size=size, crop_size=size),
    )


def stable_diffusion_xl():
    """StableDiffusionXLPipeline with its two text encoders."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    torch.manual_seed(0)
    return StableDiffusionXLPipeline(
        vae=kl_autoencoder(),
        text_encoder=clip_text_model(),
        text_encoder_2=clip_text_model(has_projection=True),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=UNet2DConditionModel(
            sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, attention_head_dim=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=16,
            addition_embed_type="text_time", addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 8, use_linear_projection=True,
        ).eval(),
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
        add_watermarker=False,
    )  # fmt: skip


def stable_diffusion_3():
    """StableDiffusion3Pipeline without its third text encoder, as it is often shared."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    torch.manual_seed(0)
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8, in_channels=4, out_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=2,
            joint_attention_dim=32, caption_projection_dim=16, pooled_projection_dim=16, pos_embed_max_size=16,
        ).eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=kl_autoencoder(shift_factor=0.06),
        text_encoder=clip_text_model(has_projection=True),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip_text_model(has_projection=True),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=None,
        tokenizer_3=None,
    )  # fmt: skip


def flux():
    """FluxPipeline with the guidance embedding of its "dev" weights."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    torch.manual_seed(0)
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=kl_autoencoder(shift_factor=0.1),
        text_encoder=clip_text_model(),
        tokenizer=clip_tokenizer(),
        text_encoder_2=t5_encoder(),
        tokenizer_2=t5_tokenizer(),
        transformer=FluxTransformer2DModel(
            in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=16, pooled_projection_dim=8, guidance_embeds=True, axes_dims_rope=(4, 6, 6),
        ).eval(),
    )  # fmt: skip


def flux_2_klein():
    """Flux2KleinPipeline; of its text encoder layers 9, 18 and 27 are read, so it has as many."""
    from diffusers import (
        AutoencoderKLFlux2,
        FlowMatchEulerDiscreteScheduler,
        Flux2KleinPipeline,
        Flux2Transformer2DModel,
    )
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    return Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=AutoencoderKLFlux2(
            block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4, latent_channels=4, sample_size=64
        ).eval(),
        text_encoder=Qwen3ForCausalLM(
            Qwen3Config(
                vocab_size=len(BYTES) + 3, hidden_size=8, intermediate_size=8, num_hidden_layers=27,
                num_attention_heads=2, num_key_value_heads=1, head_dim=4,
            )
        ).eval(),
        tokenizer=qwen_tokenizer(),
        transformer=Flux2Transformer2DModel(
            in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=24, timestep_guidance_channels=16, axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False,
        ).eval(),
    )  # fmt: skip


def pixart_sigma():
    """PixArtSigmaPipeline."""
    from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

    torch.manual_seed(0)
    return PixArtSigmaPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5_encoder(),
        vae=kl_autoencoder(),
        transformer=PixArtTransformer2DModel(
            sample_size=8, num_layers=1, attention_head_dim=8, num_attention_heads=2, cross_attention_dim=16,
            caption_channels=16, in_channels=4, out_channels=8, use_additional_conditions=False,
        ).eval(),
        scheduler=DPMSolverMultistepScheduler(),
    )  # fmt: skip


def sana():
    """SanaPipeline with its deep-compression autoencoder (here four pixels a latent pixel)."""
    from diffusers import AutoencoderDC, DPMSolverMultistepScheduler, SanaPipeline, SanaTransformer2DModel

    torch.manual_seed(0)
    widths = (8, 8, 8)
    return SanaPipeline(
        tokenizer=gemma_tokenizer(),
        text_encoder=gemma_encoder(),
        vae=AutoencoderDC(
            latent_channels=4, attention_head_dim=4, encoder_block_out_channels=widths,
            decoder_block_out_channels=widths, encoder_layers_per_block=(1, 1, 1), decoder_layers_per_block=(1, 1, 1),
            encoder_qkv_multiscales=((), (), ()), decoder_qkv_multiscales=((), (), ()), scaling_factor=0.4,
        ).eval(),
        transformer=SanaTransformer2DModel(
            in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=8, num_layers=1,
            num_cross_attention_heads=2, cross_attention_head_dim=8, cross_attention_dim=16, caption_channels=16,
            sample_size=16,
        ).eval(),
        scheduler=DPMSolverMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0, algorithm_type="dpmsolver++"
        ),
    )  # fmt: skip


def lumina2():
    """Lumina2Pipeline."""
    from diffusers import FlowMatchEulerDiscreteScheduler, Lumina2Pipeline, Lumina2Transformer2DModel

    torch.manual_seed(0)
    return Lumina2Pipeline(
        transformer=Lumina2Transformer2DModel(
            sample_size=8, in_channels=4, hidden_size=16, num_layers=1, num_refiner_layers=1, num_attention_heads=2,
            num_kv_heads=1, multiple_of=8, axes_dim_rope=(4, 2, 2), axes_lens=(300, 32, 32), cap_feat_dim=16,
        ).eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=kl_autoencoder(shift_factor=0.1),
        text_encoder=gemma_encoder(),
        tokenizer=gemma_tokenizer(),
    )  # fmt: skip


def qwen_image():
    """QwenImagePipeline with its vision-language text encoder."""
    from diffusers import (
        AutoencoderKLQwenImage,
        FlowMatchEulerDiscreteScheduler,
        QwenImagePipeline,
        QwenImageTransformer2DModel,
    )
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(0)
    text = {
        "vocab_size": len(BYTES) + 3, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
        "bos_token_id": len(BYTES), "eos_token_id": len(BYTES), "pad_token_id": len(BYTES),
    }  # fmt: skip
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    return QwenImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=AutoencoderKLQwenImage(
            base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4
        ).eval(),
        text_encoder=Qwen2_5_VLForConditionalGeneration(
            Qwen2_5_VLConfig(text_config=text, vision_config=vision)
        ).eval(),
        tokenizer=qwen_tokenizer(),
        transformer=QwenImageTransformer2DModel(
            in_channels=16, out_channels=4, num_layers=1, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=16, axes_dims_rope=(4, 6, 6),
        ).eval(),
    )  # fmt: skip


def z_image():
    """ZImagePipeline."""
    from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
    from transformers import Qwen3Config, Qwen3Model

    torch.manual_seed(0)
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=kl_autoencoder(shift_factor=0.1),
        text_encoder=Qwen3Model(
            Qwen3Config(
                vocab_size=len(BYTES) + 3, hidden_size=16, intermediate_size=16, num_hidden_layers=2,
                num_attention_heads=2, num_key_value_heads=1, head_dim=8,
            )
        ).eval(),
        tokenizer=qwen_tokenizer(),
        transformer=ZImageTransformer2DModel(
            in_channels=4, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=16,
            axes_dims=[4, 6, 6], axes_lens=[1024, 64, 64],
        ).eval(),
    )  # fmt: skip


BUILDERS: dict[str, Callable] = {
    "StableDiffusionPipeline": stable_diffusion,
    "StableDiffusionXLPipeline": stable_diffusion_xl,
    "StableDiffusion3Pipeline": stable_diffusion_3,
    "FluxPipeline": flux,
    "Flux2KleinPipeline": flux_2_klein,
    "PixArtSigmaPipeline": pixart_sigma,
    "SanaPipeline": sana,
    "Lumina2Pipeline": lumina2,
    "QwenImagePipeline": qwen_image,
    "ZImagePipeline": z_image,
}


TINY_FACTS: dict[str, object] = {"native_sizes": ["64x64"], "any_size": True, "defaults": {"steps": 2}}


def save(pipeline_class: str, folder: Path, *, licence: str = "apache-2.0", facts: dict | None = None) -> Path:
    """Build the tiny pipeline of this class and save it with a model card and a `designkit.json` (see TINY_FACTS)."""
    BUILDERS[pipeline_class]().save_pretrained(folder, safe_serialization=True)
    (folder / "README.md").write_text(f"---\nlicense: {licence}\n---\n# A tiny model\n", encoding="utf-8")
    (folder / "designkit.json").write_text(json.dumps(TINY_FACTS if facts is None else facts), encoding="utf-8")
    return folder
