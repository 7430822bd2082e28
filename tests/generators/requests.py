"""Short ways of asking for small pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from designkit.generators import open_generator
from designkit.values import ImageRequest, Size

SMALL = Size(width=64, height=64)


def ask(seed: int = 0, **changes: Any) -> ImageRequest:
    """A request for 64 x 64 pixels in two steps, whose prompt tells the seed."""
    values: dict[str, Any] = {
        "id": f"image-{seed}",
        "prompt": f"soda can number {seed} on plain teal",
        "size": SMALL,
        "drawn": SMALL,
        "seed": seed,
        "steps": 2,
        "guidance": 4.0,
    }
    return ImageRequest(**{**values, **changes})


def open_tiny(folder: Path, **settings: Any) -> Any:
    """Open the model of a folder, in fp32 on one thread unless told otherwise."""
    return open_generator(str(folder), **{"precision": "fp32", "threads": 1, **settings})


def pixels(generator: Any, requests: list[ImageRequest]) -> dict[str, bytes]:
    """Draw the requests and return the pixels of each by its id; a failure fails the test."""
    return {image.request.id: image.image.tobytes() for image in generator.generate(requests)}
