# pyright: basic, reportPrivateImportUsage=false
"""From a card to a pipeline of diffusers in memory, by safetensors files and known classes alone."""

from __future__ import annotations

import inspect
import os
import warnings
from copy import copy, deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Read by diffusers when it is imported: no class is ever fetched from a model's own repository.
os.environ["DIFFUSERS_DISABLE_REMOTE_CODE"] = "1"

import torch

from designkit.errors import ModelRefused, Problem
from designkit.generators import hub
from designkit.generators.base import ModelCard
from designkit.generators.download import fetch
from designkit.generators.families import find_family
from designkit.generators.folder import check_folder, component_names
from designkit.generators.singlefile import recognise
from designkit.generators.weights import FLAVOURS, choose_flavour, read_header


def load_pipeline(
    card: ModelCard, dtype: torch.dtype, *, variant: str | None = None, quantisation: Any = None
) -> Any:  # fmt: skip
    """The pipeline of a card whose files are on this disk, in `dtype`, on the CPU, ready to be called.

    `quantisation` (diffusers' PipelineQuantizationConfig) brings parts of a folder's pipeline to fewer bits.
    Raises ModelRefused when a part or a package is missing, or when diffusers cannot make sense of the files.
    """
    assert card.folder is not None, "the model is not on this disk"
    _refuse_missing_packages(card)
    be_quiet()
    try:
        is_file = card.folder.is_file()
        pipeline = (
            _load_file(card.folder, dtype) if is_file else _load_folder(card.folder, dtype, variant, quantisation)
        )
    except ModelRefused:
        raise
    except ImportError as error:
        raise ModelRefused(
            Problem(
                code="model-needs-package",
                message=f"{card.name} needs a package that is not installed: {_first_line(error)}",
                fix="install it in designkit's environment",
            )
        ) from error
    except Exception as error:
        raise ModelRefused(
            Problem(
                code="model-load-failed",
                file=str(card.folder),
                message=f"diffusers could not load it: {_first_line(error)}",
                fix="check that the folder is whole; `designkit models show` lists what is there",
            )
        ) from error
    _refuse_other_kinds(pipeline)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def be_quiet() -> None:
    """Keep the libraries' hints, warnings and progress bars off the terminal: designkit reports by itself.

    Holds for the whole process from then on, since pipelines draw in several threads.
    """
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    for name in ("accelerate", "diffusers", "huggingface_hub", "peft", "transformers"):
        warnings.filterwarnings("ignore", module=rf"{name}(\.|$)")


def share_pipeline(pipeline: Any) -> Any:
    """A second pipeline with the same networks, for another thread: what a call changes, it has for itself.

    These are the scheduler, and tokenizers, which keep the way of cutting off that they were last called with.
    """
    own = {
        name: deepcopy(part)
        for name, part in pipeline.components.items()
        if name == "scheduler" or name.startswith("tokenizer")
    }
    shared = copy(pipeline)
    for name, part in own.items():
        setattr(shared, name, part)
    return shared


def _load_folder(folder: Path, dtype: torch.dtype, variant: str | None, quantisation: Any = None) -> Any:
    index = check_folder(folder)
    _, empty = component_names(index)
    if index["_class_name"].startswith(("StableCascade", "Wuerstchen")):
        import diffusers

        # A part that both have and that the loader does not look for is imported by naming this class.
        _ = diffusers.WuerstchenCombinedPipeline
    from diffusers.pipelines.auto_pipeline import AutoPipelineForText2Image
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

    arguments: dict[str, Any] = {
        "dtype": dtype,
        "use_safetensors": True,
        "local_files_only": True,
        "variant": variant or _only_flavour(folder),
        "quantization_config": quantisation,
        **dict.fromkeys(empty),  # Parts that a model goes without must be named, or diffusers calls them missing.
    }
    if _is_listed(index["_class_name"]):
        return AutoPipelineForText2Image.from_pretrained(folder, **arguments)
    return DiffusionPipeline.from_pretrained(folder, **arguments)


def _load_file(path: Path, dtype: torch.dtype) -> Any:
    """A checkpoint in one file; the configuration of its parts comes from a folder beside it, or from the Hub."""
    kind = recognise(read_header(path), path)
    configuration = path.with_suffix("")
    if not (configuration / "model_index.json").is_file():
        configuration = hub.find_snapshot(kind.configuration, None) or fetch(kind.configuration, has_weights=False)
    import diffusers

    return getattr(diffusers, kind.pipeline).from_single_file(
        str(path), config=str(configuration), local_files_only=True, dtype=dtype, safety_checker=None
    )


def _is_listed(pipeline_class: str) -> bool:
    """Whether diffusers' own table of text-to-image pipelines has this class or another of its family."""
    from diffusers.pipelines import auto_pipeline

    listed = [
        *auto_pipeline.AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values(),
        *auto_pipeline.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING.values(),
        *auto_pipeline.AUTO_INPAINT_PIPELINES_MAPPING.values(),
    ]
    return any(pipeline_class == known.__name__ for known in listed)


def _only_flavour(folder: Path) -> str | None:
    """The flavour that a folder consists of when some part has no plain weights ("fp16"), else None."""
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        chosen = choose_flavour(sorted(path.name for path in part.glob("*.safetensors")))
        for flavour in FLAVOURS:
            if chosen and all(f".{flavour}." in name for name in chosen):
                return flavour
    return None


def _refuse_missing_packages(card: ModelCard) -> None:
    missing = [name for name in find_family(card.pipeline).needs if find_spec(name) is None]
    if missing:
        raise ModelRefused(
            Problem(
                code="model-needs-package",
                message=f"{card.family} models need {' and '.join(missing)}, which designkit does not bring along",
                fix=f"run `pip install {' '.join(missing)}` in designkit's environment",
            )
        )


def _refuse_other_kinds(pipeline: Any) -> None:
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(pipeline.__call__).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    if "prompt" not in parameters:
        reason = "it takes no prompt"
    elif "num_frames" in parameters:
        reason = "it makes films"
    elif needed := [name for name, value in parameters.items() if value.default is value.empty and name != "prompt"]:
        reason = f"it cannot do without {' and '.join(needed)}"
    else:
        return
    name = type(pipeline).__name__
    raise ModelRefused(
        Problem(
            code="model-other-kind",
            message=f"{name} is no text-to-image pipeline: {reason}",
            fix="use a model that makes pictures from text alone",
        )
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
