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
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from queue import SimpleQueue
from typing import Any

from designkit.models.device import Compute, choose_compute  # isort: skip - comes before torch, and says why

import numpy as np
import torch
from PIL import Image

from designkit.errors import DesignkitError, InputRefused, ModelRefused, Problem
from designkit.generators import clip_text
from designkit.generators.adapters import adapter_file
from designkit.generators.arguments import call_arguments, negative_counts, unhonoured_settings
from designkit.generators.base import ModelCard, Precision
from designkit.generators.catalog import find_card, read_facts
from designkit.generators.download import fetch
from designkit.generators.families import Family, find_family
from designkit.generators.fit import fit_picture
from designkit.generators.folder import check_folder
from designkit.generators.laying import laid_over
from designkit.generators.loading import be_quiet, load_pipeline, share_pipeline
from designkit.generators.schedulers import make_scheduler, scheduler_problem
from designkit.generators.strength import parse_strength
from designkit.generators.workers import run_side_by_side
from designkit.values import GeneratedImage, ImageRequest

SMALL_PARAMETERS = 200_000_000
"""Models with fewer parameters draw in batches even on a CPU, several calls side by side."""

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
    if card.folder is None:
        model_id, _, revision = card.name.partition("@")
        folder = fetch(model_id, revision or None, variant=variant)
        card = find_card(card.name)
        if card.folder is None:
            check_folder(folder)  # Raises with what is missing.
            raise ModelRefused(f"the model {card.name} was fetched, but is not whole.", fix="remove it from the cache")
    family = find_family(card.pipeline)
    is_small = (card.num_parameters or 0) < SMALL_PARAMETERS
    compute = choose_compute(
        precision=precision, device=device, threads=threads, runs_small_calls=family.is_batched and is_small
    )
    pipeline = _place(load_pipeline(card, compute.dtype, variant=variant), card, compute)
    pipelines = [pipeline, *(share_pipeline(pipeline) for _ in range(compute.workers - 1))]
    return DiffusionGenerator(
        card, pipelines, compute, batch_size=batch_size or _batch_size(family, compute, is_small=is_small)
    )


@dataclass(frozen=True, kw_only=True)
class _Spoilt:
    """A request that came out wrong in a low precision and is to be drawn again."""

    request: ImageRequest
    seconds: float


class DiffusionGenerator:
    """A pipeline of diffusers that is ready to draw; satisfies `Generator`.

    `pipelines` share their networks and have all that a call changes for themselves, so that each can draw
    in a thread of its own.
    """

    def __init__(self, card: ModelCard, pipelines: Sequence[Any], compute: Compute, *, batch_size: int) -> None:
        self.card = card
        self._pipelines = tuple(pipelines)
        self._compute = compute
        self._family = find_family(type(pipelines[0]).__name__)
        self._batch_size = batch_size if self._family.is_batched else 1
        self._parameters = frozenset(inspect.signature(pipelines[0].__call__).parameters)
        self._defaults = read_facts(card.folder).defaults if card.folder and card.folder.is_dir() else {}
        self._own_schedulers: list[Any] = [getattr(pipeline, "scheduler", None) for pipeline in pipelines]
        self._num_side_by_side = 1
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for pipeline in pipelines:
            self._idle.put(pipeline)

    @property
    def settings(self) -> dict[str, object]:
        """What sets the pixels beside the request: the same settings on the same machine give the same bytes.

        `workers` calls run side by side; how many does not change a byte.
        """
        return {
            "device": self._compute.device.type,
            "precision": self._compute.precision,
            "precision_reason": self._compute.reason,
            "batch_size": self._batch_size,
            "threads": self._compute.threads,
            "workers": len(self._pipelines),
        }

    def generate(self, requests: Sequence[ImageRequest]) -> Iterator[GeneratedImage]:
        """Draw every request, grouped by what can share a call, and yield each image as soon as it exists.

        Raises InputRefused for schedulers that do not exist and ModelRefused for adapters that cannot be read, all
        of them at once, before anything is drawn. A request that fails later yields its reason.
        """
        self._refuse_unusable(requests)
        be_quiet()
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
        spoilt: list[_Spoilt] = []
        try:
            with self._set_up(group[0]):
                batches = self._batches(group)
                self._num_side_by_side = min(len(batches), len(self._pipelines))
                drawn = run_side_by_side(
                    self._draw_batch, batches, num_workers=len(self._pipelines), stop=self._interrupt
                )
                with closing(drawn):
                    for image in chain.from_iterable(drawn):
                        if isinstance(image, _Spoilt):
                            spoilt.append(image)
                        else:
                            yield image
                # Widening touches the weights, so it waits until nothing else is drawn.
                for wrong in spoilt:
                    yield self._draw_in_fp32(wrong)
        except DesignkitError as error:  # Only setting up raises these, so nothing of the group is drawn yet.
            for request in group:
                yield GeneratedImage(request=request, picture=None, failure=str(error))

    def _batches(self, group: list[ImageRequest]) -> list[list[ImageRequest]]:
        """Requests that fill as many windows of the text encoder, so many at once; learned words count unfolded."""
        by_length: dict[int, list[ImageRequest]] = {}
        for request in group:
            by_length.setdefault(self._num_chunks(request), []).append(request)
        size = self._batch_size
        return [part[start : start + size] for part in by_length.values() for start in range(0, len(part), size)]

    @contextmanager
    def _set_up(self, request: ImageRequest) -> Iterator[None]:
        """The pipelines with the scheduler and adapters of this request; afterwards exactly as they were before."""
        scheduler = request.scheduler or self._defaults.get("scheduler")
        adapters = request.adapters if self._takes("adapters") else ()
        try:
            if scheduler and self._takes("scheduler"):
                for pipeline, own in zip(self._pipelines, self._own_schedulers, strict=True):
                    pipeline.scheduler = make_scheduler(scheduler, own.config)
            with ExitStack() as stack:
                if adapters:
                    stack.enter_context(laid_over(self._pipelines, adapters, self.card))
                yield
        finally:
            for pipeline, own in zip(self._pipelines, self._own_schedulers, strict=True):
                pipeline.scheduler = own

    def _interrupt(self) -> None:
        """Let calls that are under way end at their next step."""
        for pipeline in self._pipelines:
            pipeline._interrupt = True

    def _draw_batch(self, batch: list[ImageRequest]) -> list[GeneratedImage | _Spoilt]:
        """Draw up to a whole batch on an idle pipeline; what goes wrong is the reason of its own picture only."""
        pipeline = self._idle.get()
        torch.set_num_threads(self._compute.threads)  # A thread that torch does not know yet would use all cores.
        try:
            started = time.perf_counter()
            drawn = self._call_safely(pipeline, batch)
            seconds = (time.perf_counter() - started) / len(batch) / self._num_side_by_side
        finally:
            self._idle.put(pipeline)
        return [self._finish(request, pixels, seconds) for request, pixels in zip(batch, drawn, strict=True)]

    def _call_safely(self, pipeline: Any, batch: list[ImageRequest]) -> list[np.ndarray | str]:
        """Pixels of each request, or why it has none."""
        try:
            return self._call(pipeline, batch)
        except torch.OutOfMemoryError:
            # Another shape would fit and would change bytes; the same shape may fit now that memory is given back.
            torch.cuda.empty_cache()
        except Exception as error:
            if len(batch) == 1:
                return [_reason(error)]
            # One of them is at fault: each alone, in a call of the same shape, which gives the same bytes.
            return [self._call_safely(pipeline, [request])[0] for request in batch]
        try:
            return self._call(pipeline, batch)
        except Exception as error:
            reason = f"out of memory while drawing {self._batch_size} x {batch[0].drawn}: free some, or draw smaller"
            return [reason if isinstance(error, torch.OutOfMemoryError) else _reason(error)] * len(batch)

    def _call(self, pipeline: Any, batch: list[ImageRequest], *, shape: int | None = None) -> list[np.ndarray | str]:
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
        num_chunks = self._num_chunks(batch[0], pipeline)
        if num_chunks:
            prompts = [parse_strength(request.prompt) for request in filled]
            negatives = [parse_strength(request.negative) for request in filled]
            has_negative = "negative_prompt" in arguments
            arguments = {name: value for name, value in arguments.items() if name not in ("prompt", "negative_prompt")}
            arguments |= clip_text.embed(pipeline, prompts, negatives if has_negative else None, count=num_chunks)
        arguments["generator"] = generators if num_slots > 1 else generators[0]
        with torch.inference_mode():
            output = pipeline(**arguments)
        pictures = output.images if hasattr(output, "images") else output.image
        flags = getattr(output, "nsfw_content_detected", None) or [False] * num_slots
        drawn = [BLOCKED if flag else np.asarray(pixels) for pixels, flag in zip(pictures, flags, strict=True)]
        return drawn[: len(batch)]

    def _num_chunks(self, request: ImageRequest, pipeline: Any = None) -> int:
        """How many windows of the text encoder a request fills; 0 where the pipeline encodes plain prompts itself.

        All requests of a call agree in it, so that no picture's text is lengthened because of its neighbours.
        """
        if not self._family.weighs_words:
            return 0
        guidance = self.card.default_guidance if request.guidance is None else request.guidance
        texts = [parse_strength(request.prompt)]
        if self._family.takes_negative and negative_counts([request], self._family, guidance):
            texts.append(parse_strength(request.negative))
        pipeline = pipeline or self._pipelines[0]
        if all(clip_text.fits(pipeline, text) for text in texts):
            return 0
        num_chunks = max(clip_text.num_chunks(pipeline, text) for text in texts)
        return 0 if num_chunks == 1 and all(text.is_even for text in texts) else num_chunks

    def _finish(self, request: ImageRequest, pixels: np.ndarray | str, seconds: float) -> GeneratedImage | _Spoilt:
        """The picture, or the reason why there is none, or that a low precision may have spoilt it."""
        if isinstance(pixels, np.ndarray) and self._compute.precision != "fp32" and _is_suspicious(pixels):
            return _Spoilt(request=request, seconds=seconds)
        return self._deliver(request, pixels, seconds)

    def _draw_in_fp32(self, spoilt: _Spoilt) -> GeneratedImage:
        """Draw one request alone, every number of the model widened to fp32 for the while."""
        pipeline, started = self._pipelines[0], time.perf_counter()
        try:
            with _widened(pipeline):
                (pixels,) = self._call(pipeline, [spoilt.request], shape=1)
        except Exception as error:
            pixels = _reason(error)
        seconds = spoilt.seconds + time.perf_counter() - started
        warning = f"drawn again in fp32, because {self._compute.precision} failed"
        return self._deliver(spoilt.request, pixels, seconds, warning)

    def _deliver(
        self, request: ImageRequest, pixels: np.ndarray | str, seconds: float, *warnings: str
    ) -> GeneratedImage:
        warnings = (*unhonoured_settings(request, self.card, self._family), *warnings)
        if isinstance(pixels, np.ndarray) and not np.isfinite(pixels).all():
            pixels = "the model computed numbers that are not finite; another seed or less guidance may help"
        if isinstance(pixels, str):
            return GeneratedImage(request=request, picture=None, failure=pixels, seconds=seconds, warnings=warnings)
        picture = fit_picture(_to_picture(pixels), request.size)
        return GeneratedImage(request=request, picture=picture, seconds=seconds, warnings=warnings)

    def _takes(self, setting: str) -> bool:
        return setting in self.card.accepts


def _place(pipeline: Any, card: ModelCard, compute: Compute) -> Any:
    """The pipeline on its device; raises ModelRefused when the device has too little memory for it."""
    try:
        return pipeline.to(compute.device)
    except torch.OutOfMemoryError:
        size = (card.num_parameters or 0) * compute.dtype.itemsize / 1e9
        raise ModelRefused(
            Problem(
                code="model-too-large",
                message=f"{card.name} takes {size:.1f} GB in {compute.precision}, more than {compute.device} has free",
                fix="use a smaller model, or end what else uses the device; hidden from designkit with "
                "CUDA_VISIBLE_DEVICES= , the CPU is used instead, slowly",
            )
        ) from None


def _batch_size(family: Family, compute: Compute, *, is_small: bool) -> int:
    """How many pictures a call draws: a power of two, for only with these is a picture's place in it harmless."""
    if not family.is_batched:
        return 1
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


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
