"""From a brand's pictures to an adapter or a model: data, rehearsal, training, the best state, and what is written.

    for step in finetune(recipe, Path("outputs/lumen-lora"), threads=2):
        print(step.report.step, step.report.loss)

The folder ends with `adapter.safetensors` (or, where all was trained, `model/`), `config.json`, `README.md` and
`preview.png`; checkpoints, curves and what was computed once are below it. The same call again goes on where it
stopped.
"""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from designkit.errors import TrainingStopped
from designkit.files import write_durably
from designkit.generators.base import ModelCard
from designkit.generators.catalog import find_card
from designkit.generators.loading import be_quiet, load_pipeline
from designkit.training.data import Survey, survey
from designkit.training.finetuning.card import adapter_header, write_card
from designkit.training.finetuning.families import TunedFamily, find_tuned_family
from designkit.training.finetuning.kept import Kept
from designkit.training.finetuning.methods import METHODS
from designkit.training.finetuning.pictures import BrandPictures, brand_pictures, write_picture_list
from designkit.training.finetuning.previews import Previews, labelled_rows
from designkit.training.finetuning.quantised import quantisation
from designkit.training.finetuning.recipe import SMALL_PARAMETERS, FinetuneRecipe, learns_text
from designkit.training.finetuning.task import FinetuneTask, Inputs, read_best, take_best
from designkit.training.finetuning.wording import check_wording, worded
from designkit.training.loop import StageReport, stage, train
from designkit.training.processes import state
from designkit.values import Size

MAX_RELOAD_ERROR = 1e-4
"""Largest difference between the outputs of an adapter and of the same one saved and loaded again, in the rehearsal."""
MAX_RELOAD_SHARE = 0.15
"""The same of a base in 16 bits, as a share of what the adapter changes."""


def look_at_pictures(recipe: FinetuneRecipe, card: ModelCard, found: Survey) -> BrandPictures:
    """What of a survey is learned from, and how; needs no weights. Raises InputRefused, ModelRefused."""
    find_tuned_family(card.pipeline, model=card.name)
    check_wording(recipe)
    return worded(brand_pictures(found, recipe.data, card), recipe)


def finetune(
    recipe: FinetuneRecipe, out: Path, *, threads: int = 1, found: Survey | None = None
) -> Generator[StageReport]:
    """Learn an adapter and write it to `out`; yields a report a step.

    `found` is what is known of the pictures, if they were looked at already. Raises InputRefused for pictures that
    cannot be used, ModelRefused for a model that is not there or of no known family, TrainingStopped where the
    rehearsal or the training fails, StorageError where `out` cannot be written.
    """
    torch.set_num_threads(threads)
    card = find_card(recipe.model)
    family = find_tuned_family(card.pipeline, model=recipe.model)
    found = found or survey(Path(recipe.data.folder), cache=out / "cache")
    brand = look_at_pictures(recipe, card, found)
    pipeline = _load(card, recipe, family)
    inputs = Inputs(pipeline, family, Kept(out / "cache" / "inputs", card.revision), recipe)
    with state().main_process_first():
        brand = _with_prior(brand, recipe, pipeline, card, out / "prior")
        _compute_inputs(inputs, brand, recipe)
    torch.manual_seed(recipe.seed)
    learning = METHODS[recipe.method].begin(pipeline, family, recipe)
    if recipe.gradient_checkpointing:
        getattr(pipeline, family.denoiser).enable_gradient_checkpointing()
    previews = Previews(
        pipeline, card, _preview_prompts(recipe, brand), _preview_size(brand), recipe.previews, out / "previews"
    )
    checkpoints = out / "checkpoints"
    best_file = checkpoints / "best.safetensors"
    task = FinetuneTask(recipe, pipeline, family, learning, inputs, brand, previews, best_file)
    header = adapter_header(recipe, card, family, found, look_at_pictures(recipe, card, found))
    for part in learning.parts.values():
        part.to(state().device)
    if not any(checkpoints.glob("checkpoint-*")):
        best_file.unlink(missing_ok=True)
        rehearse(task, header, card, out)
    yield from stage("adapter", train(task, recipe.training, checkpoints))
    if state().is_main_process:
        _deliver(task, recipe, card, header, brand, found, out)


def rehearse(task: FinetuneTask, header: dict[str, str], card: ModelCard, out: Path) -> None:
    """One update, one save, one reload, before hours are spent; afterwards all is what it was.

    Raises TrainingStopped where the update is no number, or what is read again does not do what was written.
    """
    weights = task.learning.weights
    kept = {name: weight.detach().clone() for name, weight in weights.items()}
    batch = task.batch(0, 1)
    loss, _ = task.loss(batch)
    loss.backward()
    gradients = [weight.grad for weight in weights.values() if weight.grad is not None]
    if not gradients or not all(bool(grad.isfinite().all()) for grad in [loss.detach(), *gradients]):
        raise TrainingStopped("the first update is no number", fix="try --set training.precision=fp32")
    rng = torch.Generator().manual_seed(task.seed)
    with torch.no_grad():
        for weight in weights.values():
            # By noise, in all that learns: one step's update is too small to tell a wrong strength from rounding.
            amount = (0.05 if task.dtype == torch.float32 else 0.25) * (float(weight.abs().mean()) or 1.0)
            weight += amount * torch.randn(weight.shape, generator=rng).to(weight)
    task.module.zero_grad(set_to_none=True)
    folder = out / f"rehearsal-{state().process_index}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        METHODS[task.recipe.method].write(task.pipeline, task.learning, header, folder)
        error, effect = _reload_error(task, batch, card, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        task.num_steps = 0
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(kept[name])
    # What a base in 16 bits computes is rounded anew wherever weights lie elsewhere; a wrong strength is far from that.
    limit = MAX_RELOAD_ERROR if task.dtype == torch.float32 else max(MAX_RELOAD_ERROR, MAX_RELOAD_SHARE * effect)
    if not error <= limit:
        raise TrainingStopped(
            f"what was saved and loaded again differs by {error:.2g} of its output (at most {limit:.2g})",
            fix="the installed diffusers and peft may not fit each other: `designkit doctor` lists them",
        )


@torch.no_grad()
def _reload_error(task: FinetuneTask, batch: dict[str, Any], card: ModelCard, folder: Path) -> tuple[float, float]:
    """The largest change of the prediction between memory and folder, and between learned and not: shares of it.

    Where nothing knows any more what was not learned, the second is 0.2, a wrong strength's on small networks.
    """
    was_training = {name: part.training for name, part in task.learning.parts.items()}
    for part in task.learning.parts.values():
        part.eval()
    before = task.guess(batch)
    unlearned = before
    if task.learning.unlearned is not None:
        with task.learning.unlearned():
            unlearned = task.guess(batch)
    try:
        with METHODS[task.recipe.method].read_again(task.pipeline, task.learning, card, folder):
            after = task.guess(batch)
    finally:
        for name, part in task.learning.parts.items():
            part.train(was_training[name])
    largest = before.abs().max().clamp(min=1e-8)
    effect = float((unlearned - before).abs().max() / largest) if task.learning.unlearned is not None else 0.2
    return float((after - before).abs().max() / largest), effect


def _load(card: ModelCard, recipe: FinetuneRecipe, family: TunedFamily) -> Any:
    """The pipeline of a card; large ones in bf16 on a GPU, everything else in fp32, the denoiser quantised if asked."""
    is_large = (card.num_parameters or SMALL_PARAMETERS) >= SMALL_PARAMETERS
    is_gpu = torch.device(state().device or "cpu").type == "cuda"
    be_quiet()
    dtype = torch.bfloat16 if is_large and is_gpu else torch.float32
    pipeline = load_pipeline(card, dtype, quantisation=quantisation(recipe, family, card, dtype))
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            part.eval()
    return pipeline


def _compute_inputs(inputs: Inputs, brand: BrandPictures, recipe: FinetuneRecipe) -> None:
    """Encode every picture, and every caption unless reading is learned; neither encoder is needed for them again."""
    device = state().device
    pipeline = inputs.pipeline
    helpers = [part for name, part in pipeline.components.items() if isinstance(part, nn.Module)]
    helpers = [part for part in helpers if part is not getattr(pipeline, inputs.family.denoiser)]
    for part in helpers:
        part.to(device)
    for example in (*brand.training, *brand.held_out):
        inputs.latents(example)
        if not learns_text(recipe):
            inputs.text(example.caption)
    if not learns_text(recipe):
        inputs.text("")
    for part in helpers:
        part.to("cpu")


def _with_prior(
    brand: BrandPictures, recipe: FinetuneRecipe, pipeline: Any, card: ModelCard, folder: Path
) -> BrandPictures:
    """The pictures with the model's own ones beside them, as many steps for one kind as for the other."""
    from designkit.training.finetuning.prior import draw_prior

    own = draw_prior(pipeline, card, brand.training, recipe, folder)
    if not own:
        return brand
    # As often as the brand's own, however many there are of either.
    repeated = [own[number % len(own)] for number in range(max(len(brand.training), len(own)))]
    brand_often = [brand.training[number % len(brand.training)] for number in range(len(repeated))]
    return replace(brand, training=(*brand_often, *repeated))


def _preview_prompts(recipe: FinetuneRecipe, brand: BrandPictures) -> Sequence[str]:
    if recipe.previews.prompts:
        return recipe.previews.prompts
    captions = [example.caption for example in (*brand.held_out, *brand.training) if not example.is_own]
    return list(dict.fromkeys(captions))[: recipe.previews.count]


def _preview_size(brand: BrandPictures) -> Size:
    sizes = [example.size for example in brand.training]
    return max(sorted(set(sizes), key=str), key=sizes.count)


def _deliver(
    task: FinetuneTask, recipe: FinetuneRecipe, card: ModelCard, header: dict[str, str], brand: BrandPictures,
    found: Survey, out: Path,
) -> None:  # fmt: skip
    """Write the best state, and the last where none is known to be better, with its card and preview."""
    best = read_best(task.best_file) if brand.held_out else None
    if best is not None and best.step == 0:
        best = None  # nothing that was learned does better than the base model: not to be called the best
    if best is not None:
        take_best(task.best_file, task.learning)
    METHODS[recipe.method].deliver(task.pipeline, task.learning, header, card, out)
    facts = {
        "kind": "model" if recipe.method == "full" else "adapter", "method": recipe.method, "name": recipe.name,
        "model": card.name, "model_revision": card.revision, "pipeline": card.pipeline, "rank": recipe.rank,
        "best_step": best.step if best else None, "held_out_loss": best.loss if best else None,
        "pictures": len(found.entries), "held_out": len(brand.held_out),
    }  # fmt: skip
    write_durably(out / "config.json", (json.dumps(facts, indent=1) + "\n").encode())
    write_card(recipe, card, facts, out)
    write_picture_list(look_at_pictures(recipe, card, found), found.place, out)
    # Last of all: what was learned is whole and described by now, whether or not it can be drawn with here.
    with contextlib.suppress(Exception):
        base, drawn = task.previews.base(), task.previews.draw()
        labelled_rows({"base": base or drawn, recipe.name: drawn}).save(out / "preview.png")
