"""What a half-trained model makes, as one picture: a grid of pictures, or points among the real ones."""

# pyright: basic
from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

_GAP_PX = 2
_LEAST_SIDE_PX = 48
_PLOT_PX = 640
_REAL, _DRAWN, _PAPER = (150, 158, 170), (226, 92, 60), (252, 251, 248)


def to_picture(pixels: Tensor) -> Image.Image:
    """[C, H, W] in [-1, 1] as a picture: grey for one channel, RGB for three, RGBA for four."""
    levels = ((pixels.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy()
    return Image.fromarray(levels[0] if len(levels) == 1 else np.ascontiguousarray(levels.transpose(1, 2, 0)))


def picture_grid(pictures: Tensor, *, columns: int) -> Image.Image:
    """[N, C, H, W] in [-1, 1] row by row on white; tiny pictures are enlarged without smoothing."""
    factor = max(1, -(-_LEAST_SIDE_PX // pictures.shape[3]))
    height, width = pictures.shape[2] * factor, pictures.shape[3] * factor
    rows = -(-len(pictures) // columns)
    sheet = Image.new(
        "RGB", (columns * (width + _GAP_PX) + _GAP_PX, rows * (height + _GAP_PX) + _GAP_PX), (255, 255, 255)
    )
    for index, pixels in enumerate(pictures):
        picture = to_picture(pixels).convert("RGBA").resize((width, height), Image.Resampling.NEAREST)
        row, column = divmod(index, columns)
        place = (_GAP_PX + column * (width + _GAP_PX), _GAP_PX + row * (height + _GAP_PX))
        sheet.paste(picture, place, picture)
    return sheet


def scatter_plot(real: Tensor, drawn: Tensor) -> Image.Image:
    """Points [N, 2] of the data in grey and generated ones in orange, over the range of the data."""
    low, high = real.min(dim=0).values, real.max(dim=0).values
    margin = 0.15 * float((high - low).max())
    span = float((high - low).max()) + 2 * margin
    corner = (low + high) / 2 - span / 2
    scale = 2  # Drawn larger and averaged down, for smooth discs.
    plot = Image.new("RGB", (_PLOT_PX * scale, _PLOT_PX * scale), _PAPER)
    draw = ImageDraw.Draw(plot)
    for points, colour, radius in ((real, _REAL, 2.0), (drawn, _DRAWN, 2.5)):
        for x, y in ((points.float() - corner) / span * _PLOT_PX * scale).tolist():
            y = _PLOT_PX * scale - y
            draw.ellipse((x - radius * scale, y - radius * scale, x + radius * scale, y + radius * scale), fill=colour)
    for row, (name, colour) in enumerate((("data", _REAL), ("generated", _DRAWN))):
        top = (14 + 22 * row) * scale
        draw.ellipse((14 * scale, top, 24 * scale, top + 10 * scale), fill=colour)
        draw.text((32 * scale, top + 5 * scale), name, fill=(40, 40, 46), anchor="lm", font_size=14 * scale)
    return plot.reduce(scale)
