"""Pictures of a half-trained model, of fixed prompts and seeds, below those of the base model."""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

import inspect
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from designkit.generators.arguments import call_arguments
from designkit.generators.base import ModelCard
from designkit.generators.catalog import read_facts
from designkit.generators.families import find_family
from designkit.training.finetuning.recipe import FinetunePreviews
from designkit.values import ImageRequest, Size

_GAP_PX, _CELL_PX, _LABEL_PX = 4, 192, 18
_INK, _PAPER = (60, 60, 66), (255, 255, 255)


class Previews:
    """Draws the same pictures again and again with a pipeline as it is; the base model's are kept in `folder`."""

    def __init__(
        self, pipeline: Any, card: ModelCard, prompts: Sequence[str], size: Size, settings: FinetunePreviews,
        folder: Path, *, first_seed: int = 0,
    ) -> None:  # fmt: skip
        self.pipeline = pipeline
        self.card = card
        self.folder = folder
        self.requests = [
            ImageRequest(
                id=f"preview-{number}", prompt=prompts[number % len(prompts)], size=size, drawn=size,
                seed=first_seed + number, steps=settings.steps or card.default_steps,
            )
            for number in range(settings.count)
        ]  # fmt: skip

    def look(self, *, is_base: bool) -> Image.Image:
        """Two rows, base and now; where nothing is learned yet, the base model's alone."""
        drawn = self.draw()
        if is_base:
            self.folder.mkdir(parents=True, exist_ok=True)
            for request, picture in zip(self.requests, drawn, strict=True):
                picture.save(self.folder / f"{request.id}.png")
            return labelled_rows({"base": drawn})
        return labelled_rows({"base": self.base(), "now": drawn})

    def base(self) -> list[Image.Image]:
        """The base model's pictures, as far as they were kept."""
        files = [self.folder / f"{request.id}.png" for request in self.requests]
        return [Image.open(file).convert("RGB") for file in files if file.is_file()]

    @torch.no_grad()
    def draw(self) -> list[Image.Image]:
        """The pictures that the pipeline draws now."""
        family = find_family(self.card.pipeline)
        folder = self.card.folder
        defaults = read_facts(folder).defaults if folder is not None and folder.is_dir() else {}
        parameters = inspect.signature(self.pipeline.__call__).parameters
        at_once = len(self.requests) if family.is_batched else 1
        pictures: list[Image.Image] = []
        with _in_one_place(self.pipeline):
            for start in range(0, len(self.requests), at_once):
                requests = self.requests[start : start + at_once]
                arguments = call_arguments(
                    requests, card=self.card, family=family, parameters=parameters, model_defaults=defaults
                )
                noise = [torch.Generator("cpu").manual_seed(request.seed) for request in requests]
                # Not in inference mode: tables that a network keeps from it could not be learned with afterwards.
                output = self.pipeline(**arguments, generator=noise if len(noise) > 1 else noise[0])
                for pixels in output.images:
                    levels = (np.nan_to_num(np.asarray(pixels)) * 255).round().astype("uint8")
                    pictures.append(Image.fromarray(levels))
        return pictures


def labelled_rows(rows: dict[str, Sequence[Image.Image]]) -> Image.Image:
    """Pictures row by row on white, each row under its name."""
    num_columns = max(len(pictures) for pictures in rows.values())
    first = next(iter(next(iter(rows.values()))))
    scale = _CELL_PX / max(first.size)
    width, height = round(first.width * scale), round(first.height * scale)
    step = height + _LABEL_PX + _GAP_PX
    sheet = Image.new("RGB", (num_columns * (width + _GAP_PX) + _GAP_PX, len(rows) * step + _GAP_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for row, (name, pictures) in enumerate(rows.items()):
        top = _GAP_PX + row * step
        draw.text((_GAP_PX, top + _LABEL_PX / 2), name, fill=_INK, anchor="lm", font_size=13)
        for column, picture in enumerate(pictures):
            resized = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
            sheet.paste(resized, (_GAP_PX + column * (width + _GAP_PX), top + _LABEL_PX))
    return sheet


@contextmanager
def _in_one_place(pipeline: Any) -> Generator[None]:
    """All parts of the pipeline where its denoiser is; afterwards each where it was."""
    parts: dict[str, Any] = {
        name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)
    }
    denoiser = parts["unet"] if "unet" in parts else parts["transformer"]
    places = {name: part.device for name, part in parts.items()}
    target = denoiser.device
    try:
        for part in parts.values():
            if part.device != target:
                part.to(target)
        yield
    finally:
        for name, part in parts.items():
            if part.device != places[name]:
                part.to(places[name])
