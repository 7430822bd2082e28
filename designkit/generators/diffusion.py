# pyright: basic
"""Drawing with any text-to-image pipeline of diffusers.

An image's bytes depend on its request and on `settings` alone. Three things see to that: each image has its own
noise generator, on the CPU; every call has the same number of pictures in it, a last one repeated where
there are too few; and pipelines for which neighbours were not proven harmless draw one picture at a time.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

from designkit.models.device import Compute, choose_compute  # isort: skip - comes before torch, and says why

import numpy as np
import torch
from PIL import Image

from designkit.errors import DesignkitError, InputRefused, ModelRefused, Problem
from designkit.generators.adapters import adapter_file
from designkit.generators.arguments import call_arguments, unhonoured_settings
from designkit.generators.base import ModelCard, Precision
from designkit.generators.catalog import find_card, read_facts
from designkit.generators.download import fetch
from designkit.generators.families import FAMILIES, UNLISTED, Family
from designkit.generators.fit import fit_picture
from designkit.generators.loading import load_pipeline, quiet_libraries
from designkit.generators.schedulers import make_scheduler, scheduler_problem
from designkit.values import Adapter, GeneratedImage, ImageRequest

BLOCKED = "the model's own safety checker blocked this picture"


def open_diffusion(
    card: ModelCard,
    *,
    precision: Precision = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
    device: str | None = None,
    variant: str | None = None,
) -> DiffusionGenerator:
    """Load the model of a card, downloading it if it is not on this disk; see `open_generator`."""
    compute = choose_compute(precision=precision, device=device, threads=threads)
    if card.folder is None:
        model_id, _, revision = card.name.partition("@")
        fetch(model_id, revision or None, variant=variant)
        card = find_card(card.name)
    pipeline = load_pipeline(card, compute.dtype, variant=variant).to(compute.device)
    family = FAMILIES.get(type(pipeline).__name__, UNLISTED)
    return DiffusionGenerator(card, pipeline, compute, batch_size=batch_size or _batch_size(family, card, compute))


class DiffusionGenerator:
    """A pipeline of diffusers that is ready to draw; satisfies `Generator`."""

    def __init__(self, card: ModelCard, pipeline: Any, compute: Compute, *, batch_size: int) -> None:
        self.card = card
        self._pipeline = pipeline
        self._compute = compute
        self._family = FAMILIES.get(type(pipeline).__name__, UNLISTED)
        self._batch_size = batch_size if self._family.is_batched else 1
        self._parameters = frozenset(inspect.signature(pipeline.__call__).parameters)
        self._defaults = read_facts(card.folder).defaults if card.folder and card.folder.is_dir() else {}
        self._own_scheduler: Any = getattr(pipeline, "scheduler", None)

    @property
    def settings(self) -> dict[str, object]:
        """What sets the pixels beside the request: the same settings on the same machine give the same bytes."""
        return {
            "device": self._compute.device.type,
            "precision": self._compute.precision,
            "precision_reason": self._compute.reason,
            "batch_size": self._batch_size,
            "threads": self._compute.threads,
        }

    def generate(self, requests: Sequence[ImageRequest]) -> Iterator[GeneratedImage]:
        """Draw every request, grouped by what can share a call, and yield each image as soon as it exists.

        Raises InputRefused for schedulers that do not exist and ModelRefused for adapters that cannot be read, all
        of them at once, before anything is drawn. A request that fails later yields its reason.
        """
        self._refuse_unusable(requests)
        groups: dict[object, list[ImageRequest]] = {}
        for request in requests:
            key = (request.drawn, request.steps, request.guidance, request.scheduler, request.adapters)
            groups.setdefault(key, []).append(request)
        for group in groups.values():
            yield from self._draw_group(group)

    def _refuse_unusable(self, requests: Sequence[ImageRequest]) -> None:
        names = {request.scheduler for request in requests if request.scheduler} if self._takes("scheduler") else set()
        problems = [problem for name in sorted(names) if (problem := scheduler_problem(name))]
        if problems:
            raise InputRefused(problems)
        adapters = dict.fromkeys(chain.from_iterable(request.adapters for request in requests))
        for adapter in adapters if self._takes("adapters") else ():
            try:
                adapter_file(adapter)
            except ModelRefused as error:
                problems.extend(error.problems)
        if problems:
            raise ModelRefused(problems)

    def _draw_group(self, group: list[ImageRequest]) -> Iterator[GeneratedImage]:
        """Draw requests that agree in everything but prompt, negative prompt and seed."""
        try:
            with self._set_up(group[0]):
                for start in range(0, len(group), self._batch_size):
                    yield from self._draw_batch(group[start : start + self._batch_size])
        except DesignkitError as error:  # Only setting up raises these, so nothing of the group is drawn yet.
            for request in group:
                yield GeneratedImage(request=request, picture=None, failure=str(error))

    @contextmanager
    def _set_up(self, request: ImageRequest) -> Iterator[None]:
        """The pipeline with the scheduler and adapters of this request; afterwards exactly as it was before."""
        scheduler = request.scheduler or self._defaults.get("scheduler")
        if scheduler and self._takes("scheduler"):
            with quiet_libraries():
                self._pipeline.scheduler = make_scheduler(scheduler, self._own_scheduler.config)
        adapters = request.adapters if self._takes("adapters") else ()
        try:
            if adapters:
                self._load_adapters(adapters)
            yield
        finally:
            if adapters:
                self._pipeline.unload_lora_weights()
            self._pipeline.scheduler = self._own_scheduler

    def _load_adapters(self, adapters: Sequence[Adapter]) -> None:
        names = [f"adapter_{number}" for number in range(len(adapters))]
        for name, adapter in zip(names, adapters, strict=True):
            path = adapter_file(adapter)
            try:
                with quiet_libraries():
                    self._pipeline.load_lora_weights(
                        str(path.parent), weight_name=path.name, adapter_name=name, local_files_only=True
                    )
                is_loaded = name in set(chain.from_iterable(self._pipeline.get_list_adapters().values()))
            except Exception as error:
                raise ModelRefused(_misfit(path, self.card, str(error).splitlines()[0])) from error
            if not is_loaded:
                raise ModelRefused(_misfit(path, self.card, "none of its tensors belongs to a part of this model"))
        self._pipeline.set_adapters(names, [adapter.weight for adapter in adapters])

    def _draw_batch(self, batch: list[ImageRequest]) -> Iterator[GeneratedImage]:
        started = time.perf_counter()
        try:
            drawn = self._call(batch)
        except torch.OutOfMemoryError:
            # Another shape would fit and would change bytes; the same shape may fit now that memory is given back.
            torch.cuda.empty_cache()
            drawn = self._call_or_reasons(batch)
        except Exception as error:
            if len(batch) == 1:
                yield GeneratedImage(request=batch[0], picture=None, failure=_reason(error))
                return
            # One of them is at fault: each alone, in a call of the same shape, which gives the same bytes.
            for request in batch:
                yield from self._draw_batch([request])
            return
        seconds = (time.perf_counter() - started) / len(batch)
        for request, pixels in zip(batch, drawn, strict=True):
            yield self._finish(request, pixels, seconds)

    def _call_or_reasons(self, batch: list[ImageRequest]) -> list[np.ndarray | str]:
        try:
            return self._call(batch)
        except torch.OutOfMemoryError:
            shape = f"{len(batch)} pictures of {batch[0].drawn}" if len(batch) > 1 else f"a picture of {batch[0].drawn}"
            return [f"out of memory while drawing {shape}: free some, or draw smaller or fewer at once"] * len(batch)

    def _call(self, batch: list[ImageRequest], *, shape: int | None = None) -> list[np.ndarray | str]:
        """Pixels of each request, [H, W, C] float32 in [0, 1], or why it has none; raises what the pipeline raises."""
        num_slots = shape or self._batch_size
        filled = [*batch, *[batch[-1]] * (num_slots - len(batch))]
        generators = [torch.Generator("cpu").manual_seed(request.seed) for request in filled]
        arguments = call_arguments(
            filled,
            card=self.card,
            family=self._family,
            parameters=self._parameters,
            model_defaults=self._defaults,
        )
        arguments["generator"] = generators if num_slots > 1 else generators[0]
        with quiet_libraries(), torch.inference_mode():
            output = self._pipeline(**arguments)
        pictures = output.images if hasattr(output, "images") else output.image
        flags = getattr(output, "nsfw_content_detected", None) or [False] * num_slots
        return [BLOCKED if flag else np.asarray(pixels) for pixels, flag in zip(pictures, flags, strict=True)][
            : len(batch)
        ]

    def _finish(self, request: ImageRequest, pixels: np.ndarray | str, seconds: float) -> GeneratedImage:
        """Deliver the picture, or the reason why there is none; what a lower precision spoilt is drawn again."""
        warnings = unhonoured_settings(request, self.card, self._family)
        if isinstance(pixels, np.ndarray) and self._compute.precision != "fp32" and _is_suspicious(pixels):
            started = time.perf_counter()
            pixels = self._draw_in_fp32(request)
            seconds += time.perf_counter() - started
            warnings = (*warnings, f"drawn again in fp32, because {self._compute.precision} failed")
        if isinstance(pixels, np.ndarray) and not np.isfinite(pixels).all():
            pixels = "the model computed numbers that are not finite; another seed or fewer guidance may help"
        if isinstance(pixels, str):
            return GeneratedImage(request=request, picture=None, failure=pixels, seconds=seconds, warnings=warnings)
        picture = fit_picture(_to_picture(pixels), request.size)
        return GeneratedImage(request=request, picture=picture, seconds=seconds, warnings=warnings)

    def _draw_in_fp32(self, request: ImageRequest) -> np.ndarray | str:
        """One request alone, every number of the model widened to fp32 for the while."""
        try:
            with _widened(self._pipeline):
                return self._call([request], shape=1)[0]
        except Exception as error:
            return _reason(error)

    def _takes(self, setting: str) -> bool:
        return setting in self.card.accepts


def _batch_size(family: Family, card: ModelCard, compute: Compute) -> int:
    """How many pictures a call draws: a power of two, for only with these is a picture's place in it harmless."""
    if not family.is_batched:
        return 1
    is_small = (card.num_parameters or 0) < 200_000_000
    if compute.device.type == "cuda":
        return 8 if is_small or family.native_side_px <= 512 else 4
    return 4 if is_small else 1


@contextmanager
def _widened(pipeline: Any) -> Iterator[None]:
    """The pipeline computing in fp32; afterwards each tensor has its own precision and its very bits again."""
    parts = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    tensors = [tensor for part in parts for tensor in chain(part.parameters(), part.buffers())]
    narrow = [tensor for tensor in tensors if tensor.is_floating_point() and tensor.dtype != torch.float32]
    dtypes = [tensor.dtype for tensor in narrow]
    try:
        for tensor in narrow:
            tensor.data = tensor.data.float()
        yield
    finally:
        for tensor, dtype in zip(narrow, dtypes, strict=True):
            tensor.data = tensor.data.to(dtype)


def _is_suspicious(pixels: np.ndarray) -> bool:
    """Whether a low precision may have spoilt a picture: numbers that are not finite, or one colour everywhere."""
    return not np.isfinite(pixels).all() or bool(pixels.min() == pixels.max())


def _to_picture(pixels: np.ndarray) -> Image.Image:
    """A picture of [H, W, 3 or 4] (or [H, W, 1]) numbers in [0, 1], rounded as diffusers rounds."""
    levels = (pixels * 255).round().astype("uint8")
    return Image.fromarray(levels.squeeze(-1)).convert("RGB") if levels.shape[-1] == 1 else Image.fromarray(levels)


def _misfit(path: Any, card: ModelCard, reason: str) -> Problem:
    return Problem(
        code="adapter-misfit",
        file=str(path),
        message=f"this adapter does not fit {card.name} ({card.family}): {reason}",
        fix="use an adapter that was made for this model",
    )


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
