"""From what a recipe says of its data to samples in memory, those to learn from and those held out."""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from safetensors.torch import load_file, save

from designkit.files import write_durably
from designkit.generators.starter_parts import LatentCodec, part_fingerprint
from designkit.training.collapse import MIN_HELD_OUT
from designkit.training.data import open_pictures
from designkit.training.processes import state
from designkit.training.sample_data import SampleData
from designkit.training.samples import Samples, as_latents, digits, from_pictures, points, scenes, textures

Condition = Literal["none", "classes", "text"]

_SAMPLES_VERSION = 1  # of what is kept of made samples; raised when they would come out different


def gather(data: SampleData, *, seed: int, cache: Path) -> tuple[Condition, Samples, Samples, LatentCodec | None]:
    """What condition there is, the samples to learn from and those held out, and the codec of latents.

    Scenes and decoded pictures are kept in `cache`. Raises InputRefused for pictures that cannot be used.
    """
    made: Condition = "none"
    codec = LatentCodec() if data.space == "latents" else None
    if data.source == "pictures":
        assert data.folder is not None
        pictures = open_pictures(
            Path(data.folder), cache=cache, side_px=data.side_px or 64, colour=data.colour, held_out_share=data.held_out
        )
        condition = data.condition
        if condition == "auto":
            condition = "classes" if len(pictures.classes) > 1 else "captions" if all(pictures.captions) else "none"
        learned, held_out = from_pictures(pictures, condition)
        if codec is not None:
            learned, held_out = as_latents(learned, codec), as_latents(held_out, codec)
        kinds: dict[str, Condition] = {"classes": "classes", "captions": "text"}
        return kinds.get(condition, "none"), learned, held_out, codec
    if data.source == "textures":
        learned, held_out = textures(data.count, side_px=data.side_px or 64, share=data.held_out, seed=seed)
        if data.condition in ("auto", "none"):
            return "none", Samples(values=learned.values), Samples(values=held_out.values), None
        return "classes", learned, held_out, None
    if data.source == "digits":
        samples = digits()
        made = "none" if data.condition in ("auto", "none") else "classes"
        if made == "none":
            samples = Samples(values=samples.values)
    elif data.source == "scenes":
        made = "none" if data.condition in ("auto", "none") else "text"
        samples = _made_scenes(data, seed, made, codec, cache)
    else:
        samples = points(data.source, data.count, seed=seed)
    learned, held_out = samples.split(data.held_out, seed=seed, at_least=MIN_HELD_OUT)
    return made, learned, held_out, codec


def _made_scenes(data: SampleData, seed: int, condition: str, codec: LatentCodec | None, cache: Path) -> Samples:
    """Rendered scenes, as pictures or latents, made once and kept."""
    key = hashlib.sha256(
        f"{_SAMPLES_VERSION}/{seed}/{data.model_dump_json()}/{condition}/{codec and part_fingerprint('vae')}/"
        f"{condition == 'text' and part_fingerprint('text_encoder')}".encode()
    ).hexdigest()[:24]
    file = cache / f"scenes-{key}.safetensors"
    with state().main_process_first():
        if not file.exists():
            _write_scenes(data, seed, condition, codec, file)
    kept = load_file(file)
    return Samples(values=kept["values"], conditions=kept.get("conditions"))


def _write_scenes(data: SampleData, seed: int, condition: str, codec: LatentCodec | None, file: Path) -> None:
    samples = scenes(
        data.count, side_px=data.side_px or (128 if codec else 64), seed=seed,
        num_simple=round(data.count * data.simple_share),
        num_captions=data.num_captions if condition == "text" else 0,
    )  # fmt: skip
    samples = as_latents(samples, codec) if codec else samples
    tensors = {"values": samples.values, "conditions": samples.conditions}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_durably(file, save({name: tensor for name, tensor in tensors.items() if tensor is not None}))
