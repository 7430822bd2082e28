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
    from designkit.values import Adapter, GeneratedImage, ImageRequest, Record, Size

__version__ = "0.1.0"

__all__ = [
    "Adapter",
    "DesignkitError",
    "GeneratedImage",
    "ImageFailed",
    "ImageRequest",
    "ImagesFailed",
    "InputRefused",
    "ModelRefused",
    "Problem",
    "Record",
    "RunInUse",
    "Size",
    "StorageError",
    "__version__",
]

# Where each name that is not imported above lives.
_HOMES = {
    "Adapter": "designkit.values",
    "GeneratedImage": "designkit.values",
    "ImageRequest": "designkit.values",
    "Record": "designkit.values",
    "Size": "designkit.values",
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
