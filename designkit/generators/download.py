# pyright: basic
"""Fetching a model from the Hugging Face Hub into the local cache: the files of its pipeline, nothing that runs."""

from __future__ import annotations

from pathlib import Path

from designkit.errors import ModelRefused, Problem
from designkit.generators.weights import PICKLE_SUFFIXES, choose_flavour


def fetch(model_id: str, revision: str | None = None, *, variant: str | None = None, has_weights: bool = True) -> Path:
    """Download a model in the diffusers layout into the cache and return its folder, whose name is the commit.

    Only configuration, tokenizers and safetensors files are fetched, of the flavour `variant`; without
    `has_weights` no weights are. Raises ModelRefused when there is no such model, it has another layout, it may
    not be read, or the network does not answer.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        files = [sibling.rfilename for sibling in HfApi().model_info(model_id, revision=revision).siblings or ()]
        wanted = _wanted_files(files, variant=variant, has_weights=has_weights)
        if "model_index.json" not in wanted:
            raise ModelRefused(_problem(model_id, "has no model_index.json, so it is no model in the diffusers layout"))
        pickled = _pickled_parts(files)
        if pickled:
            message = f"has {' and '.join(pickled)} as pickles only, which can run code while they are read"
            raise ModelRefused(_problem(model_id, message, fix="use a version of it that has safetensors files"))
        return Path(snapshot_download(model_id, revision=revision, allow_patterns=wanted))
    except GatedRepoError:
        fix = f"accept its terms at https://huggingface.co/{model_id}, then log in with `hf auth login`"
        raise ModelRefused(_problem(model_id, "may be read only by those who accepted its terms", fix=fix)) from None
    except RevisionNotFoundError:
        raise ModelRefused(_problem(model_id, f"has no revision {revision!r}")) from None
    except (RepositoryNotFoundError, HFValidationError):
        fix = "check its spelling; a private model needs `hf auth login`"
        raise ModelRefused(_problem(model_id, "is neither on this disk nor on the Hub", fix=fix)) from None
    except ModelRefused:
        raise
    except Exception as error:  # Whatever the network and the libraries below the Hub's may raise.
        fix = "check the network, or use a model that is on this disk (`designkit models list`)"
        message = f"is not on this disk, and fetching it failed: {(str(error) or repr(error)).splitlines()[0]}"
        raise ModelRefused(_problem(model_id, message, fix=fix)) from error


def _wanted_files(names: list[str], *, variant: str | None, has_weights: bool) -> list[str]:
    """Of a repository's files those that a pipeline in the diffusers layout is loaded from."""
    wanted = [name for name in names if name in {"model_index.json", "designkit.json", "README.md"}]
    parts: dict[str, list[str]] = {}
    for name in names:
        part, _, file = name.rpartition("/")
        if not part or "/" in part:
            continue
        if file.endswith(".safetensors"):
            parts.setdefault(part, []).append(file)
        elif file.endswith((".json", ".txt", ".model", ".jinja")):
            wanted.append(name)
    if has_weights:
        wanted += [f"{part}/{file}" for part, files in parts.items() for file in choose_flavour(sorted(files), variant)]
    return wanted


def _pickled_parts(names: list[str]) -> list[str]:
    """The parts of a model that have weights, but none in safetensors files."""
    suffixes: dict[str, set[str]] = {}
    for path in map(Path, names):
        if len(path.parts) == 2:
            suffixes.setdefault(path.parts[0], set()).add(path.suffix)
    return sorted(part for part, found in suffixes.items() if found & PICKLE_SUFFIXES and ".safetensors" not in found)


def _problem(model_id: str, message: str, *, fix: str | None = None) -> Problem:
    return Problem(code="model-missing", message=f"the model {model_id} {message}", fix=fix)
