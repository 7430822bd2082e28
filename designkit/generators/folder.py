"""Is a model folder whole, and can loading it run no code but that of diffusers and transformers?

Everything is checked on the files, before any library is asked to load them, and all that is wrong is
reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from designkit.errors import ModelRefused, Problem
from designkit.generators.weights import PICKLE_SUFFIXES, read_header, read_json

# Components that are made of configuration files and have no weights.
_WEIGHTLESS = re.compile(r"scheduler|tokenizer|processor|feature_extractor|guider")
_CODE_FIX = "designkit runs no code that comes with a model; use one that needs none"


def check_folder(folder: Path) -> dict[str, Any]:
    """The `model_index.json` of a whole and safe folder in the diffusers layout; raises ModelRefused otherwise."""
    if not (folder / "model_index.json").is_file():
        raise ModelRefused(_not_a_model(folder))
    index = read_json(folder / "model_index.json")
    problems = [*_index_problems(folder, index), *_code_problems(folder)]
    if not problems:
        for name, entry in _components(index):
            if entry[0] is not None and not _WEIGHTLESS.search(name):
                problems.extend(_weight_problems(folder / name))
    if problems:
        raise ModelRefused(problems)
    return index


def component_names(index: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The components that a pipeline has, and those that its index leaves empty (and that load as None)."""
    entries = list(_components(index))
    return [name for name, entry in entries if entry[0]], [name for name, entry in entries if not entry[0]]


def _components(index: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    for name, entry in index.items():
        if not name.startswith("_") and isinstance(entry, list):
            yield name, cast(list[Any], entry)


def _index_problems(folder: Path, index: Mapping[str, Any]) -> Iterator[Problem]:
    place = str(folder / "model_index.json")
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str):
        yield Problem(
            code="model-code",
            file=place,
            key="_class_name",
            message="the pipeline's class is not one of diffusers' own",
            fix=_CODE_FIX,
        )
    elif not re.fullmatch(r"\w+", pipeline) or pipeline not in _diffusers_names():
        yield Problem(
            code="model-pipeline-unknown",
            file=place,
            key="_class_name",
            message=f"{pipeline} is no pipeline of the installed diffusers",
            fix="install a newer diffusers, or check that this is a model for it",
        )
    for name, entry in _components(index):
        if not re.fullmatch(r"\w+", name) or len(entry) != 2:
            yield Problem(code="model-file-damaged", file=place, key=name, message="is no [library, class] pair")
        elif entry[0] is not None and not _is_trusted(entry[0]):
            yield Problem(
                code="model-code",
                file=place,
                key=name,
                message=f"the class {entry[1]} would come from {entry[0]!r}, which is not diffusers or transformers",
                fix=_CODE_FIX,
            )
        elif entry[0] is not None and not (folder / name).is_dir():
            yield Problem(
                code="model-part-missing",
                file=str(folder / name),
                message=f"the model's {name} ({entry[1]}) is missing",
                fix="copy or download the model again",
            )


def _code_problems(folder: Path) -> Iterator[Problem]:
    for path in sorted(folder.glob("**/*.py")):
        yield Problem(
            code="model-code", file=str(path), message="is a program, and models bring none here", fix=_CODE_FIX
        )
    for path in sorted(folder.glob("**/*config.json")):
        if "auto_map" in read_json(path):
            yield Problem(
                code="model-code", file=str(path), key="auto_map", message="names code of its own", fix=_CODE_FIX
            )


def _weight_problems(component: Path) -> Iterator[Problem]:
    files = sorted(component.glob("*.safetensors"))
    pickles = sorted(path.name for path in component.iterdir() if path.suffix in PICKLE_SUFFIXES)
    if not files:
        if pickles:
            yield pickle_problem(component / pickles[0])
        else:
            yield Problem(
                code="model-part-missing",
                file=str(component),
                message="there is no .safetensors file in this part of the model",
                fix="copy or download the model again",
            )
    for path in sorted(component.glob("*.safetensors.index.json")):
        shards: dict[str, Any] = read_json(path).get("weight_map", {})
        for shard in sorted(set(map(str, shards.values()))):
            if "/" in shard or "\\" in shard or not (component / shard).is_file():
                yield Problem(
                    code="model-part-missing",
                    file=str(path),
                    message=f"it names the shard {shard!r}, which is not beside it",
                    fix="copy or download the model again",
                )
    for path in files:
        try:
            read_header(path)
        except ModelRefused as error:
            yield from error.problems


def pickle_problem(path: Path) -> Problem:
    """Why a pickle is refused, and how a user gets rid of it."""
    return Problem(
        code="model-pickle",
        file=str(path),
        message=f"{path.suffix} files can run code while they are read, so designkit opens safetensors only",
        fix="get the .safetensors version of this model, or convert it on a machine that you can throw away",
    )


def _not_a_model(folder: Path) -> Problem:
    if not folder.is_dir():
        return Problem(
            code="model-missing",
            file=str(folder),
            message="this model is not installed",
            fix="install designkit again, or use another model",
        )
    names = {path.name for path in folder.iterdir()}
    if names & {"adapter_config.json", "pytorch_lora_weights.safetensors", "adapter_model.safetensors"}:
        message, fix = "is an adapter, not a whole model", "name it under `model.adapters` and its base as the model"
    elif any(Path(name).suffix in PICKLE_SUFFIXES for name in names):
        return pickle_problem(folder / min(name for name in names if Path(name).suffix in PICKLE_SUFFIXES))
    else:
        message, fix = "is no model folder: it has no model_index.json", "name the folder that has that file"
    return Problem(code="model-not-a-model", file=str(folder), message=message, fix=fix)


def _is_trusted(library: object) -> bool:
    """Whether a component's library is diffusers, transformers, or one of diffusers' own pipeline modules."""
    if library in ("diffusers", "transformers"):
        return True
    if not isinstance(library, str) or not re.fullmatch(r"[a-z0-9_]+", library):
        return False
    return (_diffusers_folder() / "pipelines" / library / "__init__.py").is_file()


@lru_cache(maxsize=1)
def _diffusers_folder() -> Path:
    spec = find_spec("diffusers")  # Finds the package without importing it.
    if spec is None or not spec.submodule_search_locations:
        raise ModelRefused("diffusers is not installed.", fix="install designkit with its dependencies again")
    return Path(spec.submodule_search_locations[0])


@lru_cache(maxsize=1)
def _diffusers_names() -> frozenset[str]:
    """The class names that diffusers exports, read from its own list of lazy imports."""
    text = (_diffusers_folder() / "__init__.py").read_text(encoding="utf-8")
    return frozenset(re.findall(r'"(\w+)"', text))
