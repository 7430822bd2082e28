"""What an adapter says of itself: the header of its file, and its model card. Private unless asked otherwise."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from designkit.files import write_durably
from designkit.generators.base import ModelCard
from designkit.training.data import Survey
from designkit.training.finetuning.families import TunedFamily
from designkit.training.finetuning.methods import METHODS
from designkit.training.finetuning.pictures import BrandPictures
from designkit.training.finetuning.recipe import FinetuneRecipe
from designkit.training.finetuning.score import brand_words
from designkit.training.finetuning.whole import MODEL_FOLDER
from designkit.training.finetuning.wording import learned_word, rare_words


def adapter_header(
    recipe: FinetuneRecipe, card: ModelCard, family: TunedFamily, found: Survey, brand: BrandPictures
) -> dict[str, str]:  # fmt: skip
    """The header of an adapter's file: ModelSpec 1.0.1, and what it was learned from, without paths or captions.

    The pictures are one hash over all of theirs: it proves which set it was to whoever has the set, and tells nobody
    else. Where the recipe asks for an open header, captions (counted as kohya's tools do), the brand's words, creators
    and licences stand in it too. No date, so that the same training gives the same bytes.
    """
    pictures = hashlib.sha256("".join(sorted(entry.sha256 for entry in found.entries)).encode()).hexdigest()
    return {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{family.architecture}/{METHODS[recipe.method].kind}",
        "modelspec.implementation": "diffusers",
        "modelspec.title": recipe.name,
        "modelspec.license": recipe.data.licence,
        "modelspec.description": f"{recipe.method} for {card.name}, made with designkit",
        **_network(recipe),
        "designkit.model_revision": card.revision,
        "designkit.pipeline": card.pipeline or "",
        "designkit.pictures": str(len(found.entries)),
        "designkit.pictures_sha256": pictures,
        "designkit.pictures_licence": recipe.data.licence,
        **(_open_header(found, brand) if recipe.header == "open" else {}),
    }


def _open_header(found: Survey, brand: BrandPictures) -> dict[str, str]:
    """What people may want to read in an adapter's file, and others would not want there."""
    captions = {example.item.name: example.caption for example in (*brand.training, *brand.held_out)}
    counts = Counter(part.strip() for caption in captions.values() for part in caption.split(",") if part.strip())
    creators = sorted({name for entry in found.entries if (name := entry.item.creator or entry.creator)})
    licences = sorted({name for entry in found.entries if (name := entry.item.licence or entry.rights)})
    facts = {
        "modelspec.trigger_phrase": " ".join(brand_words(list(captions.values()))),
        "modelspec.author": "; ".join(creators), "designkit.picture_licences": "; ".join(licences),
    }  # fmt: skip
    return {
        **{name: text for name, text in facts.items() if text},
        "designkit.captions": json.dumps(sorted(set(captions.values())), ensure_ascii=False),
        "ss_tag_frequency": json.dumps({"pictures": dict(sorted(counts.items()))}, ensure_ascii=False),
    }


def write_card(recipe: FinetuneRecipe, card: ModelCard, facts: Mapping[str, Any], out: Path) -> None:
    """Write `README.md`: what the adapter is, how it is used, how well it learned, under which licences."""
    held_out = facts["held_out_loss"]
    measured = (
        f"Its state is that of step {facts['best_step']:,}, whose loss on {facts['held_out']} held-out pictures was "
        f"the least ({held_out:.4f})."
        if held_out is not None
        else "No state did better than the base model on held-out pictures, or none were held out: it is the last one."
    )
    is_whole = recipe.method == "full"
    licence = card.licence if is_whole else recipe.data.licence
    text = f"""\
---
base_model: {card.name}
license: {licence}
library_name: diffusers
tags: [{METHODS[recipe.method].kind or "full-finetune"}, text-to-image, designkit]
---
# {recipe.name}

{_what(recipe)} for {card.name} ({card.family}, revision {card.revision}), learned from
{facts["pictures"]} pictures. {measured} Base and {"model" if is_whole else "adapter"} on the same prompts and seeds: \
`preview.png`.

In a prompt file:

    {usage(recipe, out)}
{_said(recipe)}
The model's licence is {card.licence}; the pictures' is {recipe.data.licence}. {_told(recipe)}
"""
    write_durably((out / MODEL_FOLDER if is_whole else out) / "README.md", text.encode())


def _told(recipe: FinetuneRecipe) -> str:
    """What somebody who is given the files learns about the pictures."""
    place = "model's files" if recipe.method == "full" else "adapter's file"
    if recipe.header == "open":
        return f"Captions, creators and licences of the pictures are in the {place}; their names and paths are not."
    return f"Names, captions and paths of the pictures are\nnot in the {place}."


def usage(recipe: FinetuneRecipe, out: Path, *, weight: float = 0.8) -> str:
    """The line of a prompt file that uses what was learned."""
    if recipe.method == "full":
        return f"model: {out / MODEL_FOLDER}"
    strength = "" if recipe.method == "textual-inversion" else f", weight: {weight:g}"
    return f"model: {{name: {recipe.model}, adapters: [{{path: {out}{strength}}}]}}"


def words_to_say(recipe: FinetuneRecipe) -> str | None:
    """What a prompt has to say so that what was learned shows; None where any prompt does."""
    if recipe.method == "textual-inversion":
        return learned_word(recipe)
    return " ".join(sorted(rare_words(recipe))) if recipe.method == "dreambooth" else None


def _what(recipe: FinetuneRecipe) -> str:
    if recipe.method == "full":
        return "A model of which all of the denoiser was trained anew, from weights"
    if recipe.method == "textual-inversion":
        return f"A learned word ({recipe.vectors} vectors)"
    return f"A {recipe.method} adapter (rank {recipe.rank})"


def _said(recipe: FinetuneRecipe) -> str:
    said = words_to_say(recipe)
    return f"\nSay `{said}` in the prompt.\n" if said else ""


def _network(recipe: FinetuneRecipe) -> dict[str, str]:
    """What kohya's tools want to know of layers."""
    if recipe.method in ("textual-inversion", "full"):
        return {}
    module = {"ss_network_module": "networks.lora"}
    if recipe.method == "lokr":
        module = {"ss_network_module": "lycoris.kohya", "ss_network_args": '{"algo": "lokr"}'}
    return {**module, "ss_network_dim": str(recipe.rank), "ss_network_alpha": str(recipe.rank)}
