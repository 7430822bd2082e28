"""designkit makes design variants from prompt files, with any text-to-image model or with its own.

A whole run in a few lines:

    import designkit

    (file,) = designkit.read_prompts(["prompts/summer-soda-ad.yaml"])
    plan = designkit.make_plan(file, limit=12)
    generator = designkit.open_generator("starter")
    for image in generator.generate(list(plan.requests())):
        print(image.request.prompt, image.save("pictures"))

Importing the package is light: each public name loads its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from designkit.errors import (
    DesignkitError,
    ImageFailed,
    ImagesFailed,
    InputRefused,
    ModelRefused,
    Problem,
    RunInUse,
    StorageError,
)

if TYPE_CHECKING:
    from designkit.batch.generate import RunReport, generate
    from designkit.batch.plan import Plan, make_plan, read_prompts
    from designkit.evaluation.adapter_report import report_adapter
    from designkit.gallery.adapter_page import write_adapter_page
    from designkit.gallery.page import write_page
    from designkit.gallery.sheet import write_sheets
    from designkit.generators import open_generator
    from designkit.generators.base import Generator, ModelCard
    from designkit.generators.catalog import find_card, list_cards
    from designkit.prompts.file import PromptFile
    from designkit.runs.folder import RunContents, read_run
    from designkit.training.finetuning.begin import finetune
    from designkit.values import Adapter, GeneratedImage, ImageRequest, Record, Size

__version__ = "0.1.0"

__all__ = [
    "Adapter",
    "DesignkitError",
    "GeneratedImage",
    "Generator",
    "ImageFailed",
    "ImageRequest",
    "ImagesFailed",
    "InputRefused",
    "ModelCard",
    "ModelRefused",
    "Plan",
    "Problem",
    "PromptFile",
    "Record",
    "RunContents",
    "RunInUse",
    "RunReport",
    "Size",
    "StorageError",
    "__version__",
    "find_card",
    "finetune",
    "generate",
    "list_cards",
    "make_plan",
    "open_generator",
    "read_prompts",
    "read_run",
    "report_adapter",
    "write_adapter_page",
    "write_page",
    "write_sheets",
]

# Where each name that is not imported above lives.
_HOMES = {
    "Adapter": "designkit.values",
    "GeneratedImage": "designkit.values",
    "Generator": "designkit.generators.base",
    "ImageRequest": "designkit.values",
    "ModelCard": "designkit.generators.base",
    "Plan": "designkit.batch.plan",
    "PromptFile": "designkit.prompts.file",
    "Record": "designkit.values",
    "RunContents": "designkit.runs.folder",
    "RunReport": "designkit.batch.generate",
    "Size": "designkit.values",
    "find_card": "designkit.generators.catalog",
    "finetune": "designkit.training.finetuning.begin",
    "generate": "designkit.batch.generate",
    "list_cards": "designkit.generators.catalog",
    "make_plan": "designkit.batch.plan",
    "open_generator": "designkit.generators",
    "read_prompts": "designkit.batch.plan",
    "read_run": "designkit.runs.folder",
    "report_adapter": "designkit.evaluation.adapter_report",
    "write_adapter_page": "designkit.gallery.adapter_page",
    "write_page": "designkit.gallery.page",
    "write_sheets": "designkit.gallery.sheet",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'designkit' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
