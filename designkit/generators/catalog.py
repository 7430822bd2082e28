"""From a model's name to its card: what it is, what it accepts, under which licence; weights stay unread.

A name is one of those that ship (`starter`, `starter-gan`, `starter-vae`), `draft`, a folder, a `.safetensors` file,
or a Hub id with an optional `@revision`. Nothing here imports torch, diffusers or the Hub's library, so that a plan
answers at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from designkit.errors import ModelRefused, Problem
from designkit.generators import hub
from designkit.generators.base import ModelCard
from designkit.generators.families import find_family
from designkit.generators.folder import check_folder, pickle_problem
from designkit.generators.licences import UNKNOWN, commercial_use, read_licence
from designkit.generators.native import is_native, native_card
from designkit.generators.singlefile import recognise
from designkit.generators.weights import (
    PICKLE_SUFFIXES,
    fingerprint,
    num_parameters,
    read_header,
    read_json,
    weight_files,
)
from designkit.values import Size

_STARTERS = Path(__file__).parent.parent / "starter"
STARTER_FOLDER = _STARTERS / "weights"

SHIPPED: Mapping[str, Path] = {
    "starter": STARTER_FOLDER,
    "starter-gan": _STARTERS / "gan",
    "starter-vae": _STARTERS / "vae",
}
"""The models that come with designkit, by name; an installation may lack some."""

_HUB_ID = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


def find_card(name: str) -> ModelCard:
    """The card of the model that `name` means; raises ModelRefused, with the nearest name, when there is none."""
    if name == "draft":
        return DRAFT_CARD
    if name in SHIPPED:
        if not SHIPPED[name].is_dir():
            raise ModelRefused(_left_out(name))
        return _folder_card(name, SHIPPED[name])
    path = Path(name).expanduser()
    if name and path.is_dir():
        return _folder_card(name, path)
    if path.is_file():
        return _file_card(name, path)
    match = _HUB_ID.fullmatch(name)
    if match is None or _is_path(name):
        raise ModelRefused(_unknown(name))
    return _hub_card(name, match["id"], match["revision"])


def list_cards() -> tuple[ModelCard, ...]:
    """The cards of the models that come with this installation, the default first."""
    return (*(find_card(name) for name, folder in SHIPPED.items() if folder.is_dir()), DRAFT_CARD)


DRAFT_CARD = ModelCard(
    name="draft",
    family="draft",
    revision="1",
    licence="CC0-1.0",
    native_sizes=(Size(width=512, height=512),),
    size_multiple=1,
    min_side_px=1,
    max_pixels=10_000 * 10_000,
    accepts=frozenset({"size"}),
    num_parameters=0,
    commercial_use="yes",
    notes=("placeholders in the colours and words of the prompt; no model is used",),
)


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What a model's own `designkit.json` (beside model_index.json) says about it; every key may be left out.

        {"licence": "apache-2.0", "commercial_use": "yes", "notes": ["flat art only"],
         "native_sizes": ["128x128", "96x160"], "any_size": false,
         "defaults": {"steps": 20, "guidance": 4.0, "scheduler": "dpm++", "guidance_rescale": 0.5}}

    Sizes are width x height in pixels. Where there are native sizes, only these are drawn, unless `any_size`
    is true.
    """

    licence: str | None = None
    commercial_use: Literal["yes", "no", "ask"] | None = None
    native_sizes: tuple[Size, ...] = ()
    any_size: bool = False
    notes: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])


def read_facts(folder: Path) -> ModelFacts:
    """The facts in `designkit.json` of a model folder, or none where it has no such file; raises ModelRefused."""
    path = folder / "designkit.json"
    if not path.is_file():
        return ModelFacts()
    values = read_json(path)
    try:
        values["native_sizes"] = tuple(_read_size(text) for text in values.get("native_sizes", ()))
        values["notes"] = tuple(map(str, values.get("notes", ())))
        return ModelFacts(**values)
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelRefused(
            Problem(code="model-file-damaged", file=str(path), message=f"cannot be used: {error}")
        ) from None


def _read_size(text: str) -> Size:
    width, height = text.split("x")
    return Size(width=int(width), height=int(height))


def _folder_card(name: str, folder: Path, *, revision: str | None = None) -> ModelCard:
    """The card of a folder, in the diffusers layout or our own; `revision` is a Hub commit, else a fingerprint."""
    if is_native(folder):
        return native_card(name, folder)
    index = check_folder(folder)
    files = weight_files(folder)
    facts = read_facts(folder)
    known = hub.KNOWN.get(name.partition("@")[0])
    licence = facts.licence or read_licence(folder)
    return _card(
        name=name,
        pipeline=index["_class_name"],
        revision=revision or fingerprint([*files, *_configuration_files(folder)], folder),
        licence=known.licence if known and licence == UNKNOWN else licence,
        drawing=_read_drawing(folder),
        facts=facts,
        known=known,
        folder=folder,
        num_parameters=num_parameters([read_header(path) for path in files]),
    )


def _file_card(name: str, path: Path) -> ModelCard:
    """The card of a single-file checkpoint; which pipeline it belongs to is seen from its tensors' names."""
    if path.suffix in PICKLE_SUFFIXES:
        raise ModelRefused(pickle_problem(path))
    if path.suffix != ".safetensors":
        raise ModelRefused(
            Problem(
                code="model-file-type",
                file=str(path),
                message=f"a {path.suffix or 'nameless'} file is no model that can be opened",
                fix="name a folder in the diffusers layout, or a .safetensors checkpoint",
            )
        )
    header = read_header(path)
    kind = recognise(header, path)
    return _card(
        name=name,
        pipeline=kind.pipeline,
        revision=fingerprint([path], path.parent),
        licence=UNKNOWN,
        drawing=_Drawing(side_px=kind.native_side_px),
        folder=path,
        num_parameters=num_parameters([header]),
        notes=(f"{kind.title} in one file; ask whoever published it for its licence",),
    )


def _hub_card(name: str, model_id: str, revision: str | None) -> ModelCard:
    """The card of a Hub model: from its cached files, or else what is known by its name."""
    snapshot = hub.find_snapshot(model_id, revision)
    if snapshot is not None and not hub.is_partial(snapshot):
        return _folder_card(name, snapshot, revision=snapshot.name)
    if hub.is_offline():
        raise ModelRefused(
            Problem(
                code="model-not-cached",
                message=f"the model {name} is not on this disk, and HF_HUB_OFFLINE forbids fetching it",
                fix=_nearest_hint(name) or "unset HF_HUB_OFFLINE, or name a model that is on this disk",
            )
        )
    known = hub.KNOWN.get(model_id)
    return _card(
        name=name,
        pipeline=known.pipeline if known else None,
        revision=snapshot.name if snapshot else revision or "main",
        licence=known.licence if known else UNKNOWN,
        known=known,
        notes=("not on this disk: generating downloads it from the Hub first",),
    )


@dataclass(frozen=True, kw_only=True)
class _Drawing:
    """At which sizes a model draws, as far as its configuration files tell."""

    side_px: int | None = None
    vae_scale: int = 8


def _card(
    *,
    name: str,
    pipeline: str | None,
    revision: str,
    licence: str,
    drawing: _Drawing | None = None,
    facts: ModelFacts | None = None,
    known: hub.KnownModel | None = None,
    folder: Path | None = None,
    num_parameters: int | None = None,
    notes: tuple[str, ...] = (),
) -> ModelCard:
    family = find_family(pipeline)
    drawing, facts = drawing or _Drawing(), facts or ModelFacts()
    side = drawing.side_px or family.native_side_px
    native = facts.native_sizes or (Size(width=side, height=side),)
    return ModelCard(
        name=name,
        family=family.name,
        revision=revision,
        licence=licence,
        native_sizes=native,
        size_multiple=drawing.vae_scale * family.grid,
        min_side_px=min(64, *(min(size.width, size.height) for size in native)),
        max_pixels=max(family.max_pixels, *(size.width * size.height for size in native)),
        accepts=family.accepts - {"size"} if facts.native_sizes and not facts.any_size else family.accepts,
        default_steps=_first(facts.defaults.get("steps"), known and known.steps, family.steps),
        default_guidance=_first(facts.defaults.get("guidance"), known and known.guidance, family.guidance),
        pipeline=pipeline,
        folder=folder,
        num_parameters=num_parameters,
        commercial_use=facts.commercial_use or commercial_use(licence),
        notes=(*facts.notes, *notes),
    )


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _configuration_files(folder: Path) -> list[Path]:
    """Every file but weights that changes what is drawn."""
    return [path for path in folder.glob("**/*") if path.suffix in {".json", ".txt", ".model"} and path.is_file()]


def _read_drawing(folder: Path) -> _Drawing:
    """The size that a denoiser was trained at, and how many pixels one latent pixel stands for."""
    vae_scale = _vae_scale(folder)
    for denoiser in ("unet", "transformer"):
        path = folder / denoiser / "config.json"
        if path.is_file():
            latent_side = read_json(path).get("sample_size")
            side = latent_side * vae_scale if isinstance(latent_side, int) else None
            return _Drawing(side_px=side, vae_scale=vae_scale)
    return _Drawing(vae_scale=vae_scale)


def _vae_scale(folder: Path) -> int:
    """Pixels a latent pixel: each level of an image encoder but one halves the picture."""
    path = folder / "vae" / "config.json"
    if not path.is_file():
        return 8
    configuration = read_json(path)
    for key, num_unhalved in (("block_out_channels", 1), ("encoder_block_out_channels", 1), ("temperal_downsample", 0)):
        if isinstance(configuration.get(key), list):
            return 2 ** (len(configuration[key]) - num_unhalved)
    return 8


def _is_path(name: str) -> bool:
    """Whether a name that leads nowhere was meant as a path: it looks like one, or begins with a folder that is."""
    parent = Path(name).parent
    looks_like_path = name.startswith(("/", ".", "~")) or Path(name).suffix in {".safetensors", *PICKLE_SUFFIXES}
    return looks_like_path or (parent != Path() and parent.is_dir())


def _unknown(name: str) -> Problem:
    """Why a name leads to no model, with the nearest names that do."""
    path = Path(name).expanduser()
    message = f"there is no model at {name}" if _is_path(name) else f"there is no model named {name!r}"
    hint = _nearest_hint(name, beside=path.parent)
    return Problem(
        code="model-missing",
        message=message,
        fix=hint or "use `starter`, a model folder, a .safetensors file, or a Hub id such as owner/name",
    )


def _left_out(name: str) -> Problem:
    there = [other for other, folder in SHIPPED.items() if folder.is_dir()]
    return Problem(
        code="model-missing",
        message=f"{name} did not come with this installation: there is no {SHIPPED[name]}",
        fix=f"use {there[0]}" if there else "install designkit again",
    )


def _nearest_hint(name: str, *, beside: Path | None = None) -> str:
    shipped = [name for name, folder in SHIPPED.items() if folder.is_dir()]
    candidates = [*shipped, "draft", *hub.KNOWN, *hub.cached_models()]
    if beside is not None and beside.is_dir():
        prefix = name[: len(name) - len(Path(name).name)]
        candidates += [prefix + path.name for path in beside.iterdir() if _may_be_model(path)]
    lowered = {candidate.lower(): candidate for candidate in candidates}
    nearest = difflib.get_close_matches(name.lower(), lowered, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(lowered[match] for match in nearest)}?" if nearest else ""


def _may_be_model(path: Path) -> bool:
    return path.suffix == ".safetensors" or (path / "model_index.json").is_file() or is_native(path)
