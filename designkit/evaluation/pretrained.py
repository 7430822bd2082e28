# pyright: basic, reportPrivateImportUsage=false
"""Extractors that are networks of others, from weights that the user has: CLIP, SigLIP, and the DINOs.

A folder in the layout of transformers, or a Hub id with an optional `@revision`; safetensors alone, and never code
from a repository. Comparing design by these is usual in the field (FD-DINOv2: Stein et al. 2023, arXiv 2306.04675).
"""

from __future__ import annotations

from designkit.models.device import choose_compute  # isort: skip - comes before torch, and says why

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from designkit.errors import ModelRefused, Problem
from designkit.evaluation.resampling import Array
from designkit.generators.licences import read_licence
from designkit.generators.loading import be_quiet
from designkit.generators.weights import fingerprint, read_header, read_json

if TYPE_CHECKING:
    from PIL.Image import Image

TEXT_TITLES = {"clip": "CLIP score", "siglip": "SigLIP score", "siglip2": "SigLIP score"}
"""The kinds of networks that know text, and what their score is called."""

VISION_KINDS = ("dinov2", "dinov2_with_registers", "dinov3_vit")

_FILES = [
    "config.json", "preprocessor_config.json", "processor_config.json", "README.md",
    "model.safetensors", "model-*.safetensors",
    "model.safetensors.index.json", "tokenizer*", "vocab.*", "merges.txt", "special_tokens_map.json", "spiece.model",
]  # fmt: skip


USUAL = (
    "facebook/dinov2-base", "facebook/dinov2-small", "openai/clip-vit-large-patch14", "openai/clip-vit-base-patch32",
    "google/siglip-base-patch16-224",
)  # fmt: skip
"""What likeness and prompts are usually measured by elsewhere."""


def installed_extractors() -> tuple[str, ...]:
    """Of the usual networks those in the local Hub cache: the first DINO and the first that knows text; no download."""
    from huggingface_hub import try_to_load_from_cache

    there = [name for name in USUAL if isinstance(try_to_load_from_cache(name, "model.safetensors"), str)]
    dino = [name for name in there if "dino" in name]
    return (*dino[:1], *[name for name in there if name not in dino][:1])


def open_pretrained(name: str) -> VisionExtractor:
    """The extractor in a folder or under a Hub id; raises ModelRefused where there is none that can be used."""
    folder = Path(name) if Path(name).is_dir() else _fetch(name)
    config = read_json(folder / "config.json")
    kind = str(config.get("model_type"))
    if kind not in (*TEXT_TITLES, *VISION_KINDS):
        known = ", ".join((*TEXT_TITLES, *VISION_KINDS))
        message = f"is a network of the kind {kind!r}, from which no features are taken here"
        raise ModelRefused(_problem("extractor-kind", folder, message, fix=f"use one of the kinds {known}"))
    weights = sorted(folder.glob("model*.safetensors"))
    if not weights:
        message = "has no model.safetensors; weights in other files can run code while they are read"
        raise ModelRefused(_problem("extractor-weights", folder, message, fix="use a version with safetensors files"))
    for path in weights:
        read_header(path)
    is_commit = len(folder.name) == 40 and folder.parent.name == "snapshots"
    revision = folder.name if is_commit else fingerprint([folder / "config.json", *weights], folder)
    short = name.partition("@")[0].rstrip("/").rpartition("/")[2] or folder.resolve().name
    opened = TextVisionExtractor if kind in TEXT_TITLES else VisionExtractor
    return opened(folder, kind=kind, name=f"{short}:{revision[:8]}")


class VisionExtractor:
    """Features of a vision transformer: the pooled output, one vector for each picture."""

    batch_size = 8

    def __init__(self, folder: Path, *, kind: str, name: str) -> None:
        from transformers import AutoImageProcessor, AutoModel

        be_quiet()
        compute = choose_compute(precision="fp32")
        self.kind = kind
        self.name = name
        self.licence: str | None = read_licence(folder)
        self._device = compute.device
        try:
            self._processor = AutoImageProcessor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, backend="pil"
            )
            self._model = AutoModel.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
            ).to(self._device)
        except Exception as error:  # Whatever transformers raises for files that it cannot make sense of.
            message = f"transformers could not load it: {(str(error) or repr(error)).splitlines()[0]}"
            raise ModelRefused(
                _problem("extractor-load", folder, message, fix="check that the folder is whole")
            ) from error
        self._model.eval()
        self.resize = _describe_resize(self._processor)

    def features(self, pictures: Sequence[Image]) -> list[Array]:
        """The pooled output for each picture."""
        with torch.inference_mode():
            return list(self._vision(pictures).float().cpu().numpy())

    def _vision(self, pictures: Sequence[Image]) -> torch.Tensor:
        return self._model(**self._inputs(pictures)).pooler_output

    def _inputs(self, pictures: Sequence[Image]) -> Any:
        return self._processor(images=list(pictures), return_tensors="pt").to(self._device)


class TextVisionExtractor(VisionExtractor):
    """CLIP or SigLIP: features of pictures in the space that texts share."""

    def __init__(self, folder: Path, *, kind: str, name: str) -> None:
        super().__init__(folder, kind=kind, name=name)
        from transformers import AutoTokenizer

        self.text_title = TEXT_TITLES[kind]
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:
            message = f"its tokenizer could not be loaded: {(str(error) or repr(error)).splitlines()[0]}"
            raise ModelRefused(
                _problem("extractor-load", folder, message, fix="check that the folder is whole")
            ) from error
        self._max_tokens = self._model.config.text_config.max_position_embeddings

    def text_scores(self, pictures: Sequence[Image], prompts: Sequence[str]) -> list[float]:
        """100 times the cosine of each picture with its prompt, at least 0 (CLIPScore: Hessel et al. 2021, 2104.08718).

        Without that paper's factor of 2.5, as torchmetrics has it. A longer prompt than the network takes is cut off.
        """
        with torch.inference_mode():
            tokens = self._tokenizer(
                list(prompts), padding="max_length", truncation=True, max_length=self._max_tokens, return_tensors="pt"
            )
            texts = self._model.get_text_features(**tokens.to(self._device)).pooler_output
            cosines = torch.cosine_similarity(self._vision(pictures), texts)
        return [100 * max(0.0, float(cosine)) for cosine in cosines]

    def _vision(self, pictures: Sequence[Image]) -> torch.Tensor:
        return self._model.get_image_features(**self._inputs(pictures)).pooler_output


def _describe_resize(processor: Any) -> str:
    from PIL import Image

    size = dict(processor.size)
    sides = size.get("shortest_edge") or f"{size.get('width')}x{size.get('height')}"
    cut = f", then the middle {processor.crop_size['width']} px" if getattr(processor, "do_center_crop", False) else ""
    kept = "shorter side" if "shortest_edge" in size else "size"
    return f"{Image.Resampling(int(processor.resample)).name.lower()}, antialiased, {kept} {sides}{cut}"


def _fetch(name: str) -> Path:
    """The folder of a Hub id in the local cache, downloaded if it is not there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    model_id, _, revision = name.partition("@")
    try:
        try:
            folder = Path(snapshot_download(model_id, revision=revision or None, local_files_only=True))
            if any(folder.glob("model*.safetensors")):
                return folder
        except LocalEntryNotFoundError:
            pass
        return Path(snapshot_download(model_id, revision=revision or None, allow_patterns=_FILES))
    except HFValidationError:
        message, fix = "is neither a folder nor the name of a model on the Hub", "check its spelling"
    except GatedRepoError:
        message = "may be read only by those who accepted its terms"
        fix = f"accept them at https://huggingface.co/{model_id}, then log in with `hf auth login`"
    except RepositoryNotFoundError:
        message, fix = "is neither on this disk nor on the Hub", "check its spelling"
    except Exception as error:  # Whatever the network and the libraries below the Hub's may raise.
        message = f"is not on this disk, and fetching it failed: {(str(error) or repr(error)).splitlines()[0]}"
        fix = "check the network, or give the folder of a network that is on this disk"
    raise ModelRefused(Problem(code="extractor-missing", message=f"the extractor {name} {message}", fix=fix))


def _problem(code: str, folder: Path, message: str, *, fix: str) -> Problem:
    return Problem(code=code, file=str(folder), message=message, fix=fix)
