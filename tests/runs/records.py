"""Records and requests to test with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from designkit.values import ImageRequest, Record, Size

SQUARE = Size(width=512, height=512)

REQUEST = ImageRequest(
    id="0123456789ab",
    prompt="a soda can on a teal background",
    negative="text, blurry",
    size=SQUARE,
    drawn=SQUARE,
    seed=7,
    steps=20,
    guidance=4.0,
    scheduler="EulerDiscreteScheduler",
    choices={"product": "soda can", "scene": "teal"},
)

RECORD = Record(
    id="0123456789ab",
    status="done",
    file="images/soda-can-teal-512x512-s7-0123456789ab.png",
    file_sha256="f" * 64,
    pixels_sha256="e" * 64,
    prompt="a soda can on a teal background",
    negative="text, blurry",
    choices={"product": "soda can", "scene": "teal"},
    seed=7,
    width=512,
    height=512,
    settings={
        "steps": 20,
        "guidance": 4.0,
        "scheduler": "EulerDiscreteScheduler",
        "adapters": [],
        "drawn": "512x512",
        "precision": "fp32",
    },
    model={"name": "starter", "revision": "1234567890abcdef", "licence": "Apache-2.0"},
    seconds=1.25,
)


def record(id: str = "0123456789ab", **changes: Any) -> Record:
    """A record like RECORD with another id, and the file that goes with it, and other changes."""
    changes.setdefault("file", f"images/{id}.png")
    return replace(RECORD, id=id, **changes)
