"""The detector that ships: which traits of a picture it names, and where its weights are."""

from __future__ import annotations

from pathlib import Path

from designkit.starter.scenes import BACKGROUNDS, PRODUCTS, STYLES

TRAITS: dict[str, tuple[str | None, ...]] = {
    "style": STYLES, "background": BACKGROUNDS, "product": (None, *PRODUCTS),
}  # fmt: skip
WEIGHTS = Path(__file__).with_name("detector.safetensors")
