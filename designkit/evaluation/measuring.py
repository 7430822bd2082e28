# pyright: basic
"""From pictures to vectors: each picture is read once, measured by every extractor, and the results are kept.

Whatever is known of a picture's bytes is not computed again, so that a stopped evaluation goes on where it was. A
picture that cannot be read is named, and the others go on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from designkit.evaluation.cache import MeasureCache
from designkit.evaluation.extractors import Extractor, squeezed
from designkit.evaluation.likeness import multiscale_similarity, peak_signal_to_noise, structural_similarity
from designkit.evaluation.pictures import Picture, load_picture, sha256
from designkit.evaluation.resampling import Array

if TYPE_CHECKING:
    from PIL.Image import Image

LIKENESS_PX = 256
"""Two pictures are compared pixel by pixel as squares of this side."""

MAX_PSNR = 100.0
"""What the PSNR of equal pictures, which is infinite, is written as."""

_CHUNK = 8


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One picture with its vectors by the name of the measure, or the reason why it has none."""

    picture: Picture
    sha256: str = ""
    vectors: Mapping[str, Array] = field(default_factory=dict[str, Array])
    failure: str | None = None


def measure_pictures(
    pictures: Sequence[Picture], extractors: Sequence[Extractor], cache: MeasureCache, *, threads: int = 1
) -> Iterator[Measured]:
    """Measure pictures, in order, and yield each once its results are safe.

    Beside each extractor's vector, under its name, stand `text:<name>` (one number) where the extractor knows text
    and the picture has a prompt, and `classes:<name>` where it knows classes.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="measure") as pool:
        for start in range(0, len(pictures), _CHUNK):
            yield from _measure_chunk(pictures[start : start + _CHUNK], extractors, cache, pool)


def text_measure(extractor: Extractor, prompt: str) -> str:
    """The name under which the fit of a picture to a prompt is kept."""
    return f"text:{extractor.name}:{hashlib.sha256(prompt.encode()).hexdigest()[:24]}"


def compare_pairs(
    pairs: Sequence[tuple[Measured, Measured]], cache: MeasureCache, *, threads: int = 1
) -> Iterator[Array | None]:
    """PSNR in decibels, SSIM and MS-SSIM of each pair of pictures, in order, as squares of `LIKENESS_PX`: [3].

    None where one of them can no longer be read.
    """

    def compare(pair: tuple[Measured, Measured]) -> Array | None:
        try:
            first, second = (_square(each.picture.path) for each in pair)
        except Exception:  # Whatever Pillow raises for a file that changed meanwhile.
            return None
        psnr = min(MAX_PSNR, peak_signal_to_noise(first, second))
        return np.asarray([psnr, structural_similarity(first, second), multiscale_similarity(first, second)], "<f4")

    with ThreadPoolExecutor(threads, thread_name_prefix="compare") as pool:
        for start in range(0, len(pairs), _CHUNK):
            chunk = pairs[start : start + _CHUNK]
            names = [f"likeness:1:{LIKENESS_PX}:{second.sha256}" for _, second in chunk]
            known = [cache.get(first.sha256, [name]).get(name) for (first, _), name in zip(chunk, names, strict=True)]
            missing = [index for index, value in enumerate(known) if value is None]
            for index, value in zip(missing, pool.map(compare, [chunk[index] for index in missing]), strict=True):
                known[index] = value
            cache.put(
                [
                    (chunk[index][0].sha256, {names[index]: value})
                    for index in missing
                    if (value := known[index]) is not None
                ]
            )
            yield from known


@dataclass(kw_only=True)
class _Read:
    """A picture of a chunk on its way: its hash, what is known of it, and its pixels where something is missing."""

    picture: Picture
    sha256: str = ""
    image: Image | None = None
    vectors: dict[str, Array] = field(default_factory=dict[str, Array])
    failure: str | None = None


def _measure_chunk(
    pictures: Sequence[Picture], extractors: Sequence[Extractor], cache: MeasureCache, pool: ThreadPoolExecutor
) -> Iterator[Measured]:
    reads = [_Read(picture=picture) for picture in pictures]
    contents = list(pool.map(_read, pictures))
    to_decode: list[tuple[_Read, bytes]] = []
    for read, content in zip(reads, contents, strict=True):
        if isinstance(content, str):
            read.failure = content
            continue
        read.sha256 = sha256(content)
        wanted = [name for extractor in extractors for name in _wanted(extractor, read.picture)]
        read.vectors = cache.get(read.sha256, wanted)
        if len(read.vectors) < len(wanted):
            to_decode.append((read, content))
    del contents
    for (read, _), image in zip(to_decode, pool.map(_decode, [content for _, content in to_decode]), strict=True):
        if isinstance(image, str):
            read.failure = image
        else:
            read.image = image
    before = {id(read): set(read.vectors) for read in reads}
    for extractor in extractors:
        _extract(extractor, [read for read in reads if read.image is not None], pool)
    cache.put(
        (read.sha256, {name: value for name, value in read.vectors.items() if name not in before[id(read)]})
        for read in reads
        if read.image is not None
    )
    for read in reads:
        yield Measured(picture=read.picture, sha256=read.sha256, vectors=read.vectors, failure=read.failure)


def _wanted(extractor: Extractor, picture: Picture) -> list[str]:
    names = [extractor.name]
    if picture.prompt and hasattr(extractor, "text_scores"):
        names.append(text_measure(extractor, picture.prompt))
    if hasattr(extractor, "class_probabilities"):
        names.append(f"classes:{extractor.name}")
    return names


def _extract(extractor: Any, reads: Sequence[_Read], pool: ThreadPoolExecutor) -> None:
    """Fill in what the extractor has to say about each picture and is not known yet."""
    missing = [read for read in reads if extractor.name not in read.vectors]
    images = [read.image for read in missing]
    if extractor.batch_size == 1:
        found = [vectors[0] for vectors in pool.map(extractor.features, [[image] for image in images])]
    else:
        step = extractor.batch_size
        found = [each for at in range(0, len(images), step) for each in extractor.features(images[at : at + step])]
    for read, vector in zip(missing, found, strict=True):
        read.vectors[extractor.name] = np.asarray(vector, "<f4")
    if hasattr(extractor, "text_scores"):
        unread = [
            read
            for read in reads
            if read.picture.prompt and text_measure(extractor, read.picture.prompt) not in read.vectors
        ]
        for at in range(0, len(unread), extractor.batch_size):
            part = unread[at : at + extractor.batch_size]
            scores = extractor.text_scores([read.image for read in part], [read.picture.prompt for read in part])
            for read, score in zip(part, scores, strict=True):
                read.vectors[text_measure(extractor, read.picture.prompt)] = np.asarray([score], "<f4")
    if hasattr(extractor, "class_probabilities"):
        name = f"classes:{extractor.name}"
        unread = [read for read in reads if name not in read.vectors]
        classes = extractor.class_probabilities([read.image for read in unread])
        for read, value in zip(unread, classes, strict=True):
            read.vectors[name] = np.asarray(value, "<f4")


def _read(picture: Picture) -> bytes | str:
    """The bytes of a picture's file, or why there are none."""
    try:
        return picture.path.read_bytes()
    except FileNotFoundError:
        return "the file is not there any more"
    except OSError as error:
        return f"cannot be read: {(error.strerror or str(error)).lower()}"


def _decode(data: bytes) -> Image | str:
    """The picture in a file's bytes, or why there is none."""
    try:
        return load_picture(data)
    except Exception as error:  # Pillow raises many kinds for damaged files.
        return f"is no picture that can be read: {' '.join(str(error).split()) or type(error).__name__}"


def _square(path: Path) -> Array:
    return np.asarray(squeezed(load_picture(path.read_bytes()), LIKENESS_PX))
