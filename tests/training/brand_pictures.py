"""Folders of small pictures with captions, to fine-tune tiny models on."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

SIZES = ((64, 64), (96, 64), (64, 64), (64, 96), (64, 64), (64, 64), (96, 64), (64, 64))


def write_pictures(folder: Path, *, captions: bool = True) -> Path:
    """Eight pictures of three shapes, one of them alone in its shape, each with a .txt caption where asked for."""
    folder.mkdir()
    for number, size in enumerate(SIZES):
        picture = Image.new("RGB", size, (200, 20 + 25 * number, 125))
        ImageDraw.Draw(picture).ellipse((8, 8, 20 + 5 * number, 50), fill=(10 * number, 224, 20))
        picture.save(folder / f"{number}.png")
        if captions:
            (folder / f"{number}.txt").write_text(f"zurvi can number {number}")
    return folder
