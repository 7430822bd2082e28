"""A small network that says which subject is where in a picture of flat design."""

# pyright: basic
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

CELL_PX = 8


@dataclass(frozen=True, kw_only=True)
class Detection:
    """One subject found: its class number, how sure (0..1), and its middle in pixels from the top left."""

    subject: int
    confidence: float
    x: float
    y: float


class Detector(nn.Module):
    """Scores for every subject, and for "nothing", in every cell of 8 x 8 pixels.

    `forward` takes pictures [N, 3, H, W] in [-1, 1] (sides multiples of 32) and returns logits
    [N, num_subjects + 1, H / 8, W / 8]; the last class is "nothing".
    """

    def __init__(self, num_subjects: int, width: int = 32) -> None:
        super().__init__()
        self.num_subjects = num_subjects
        self.stem = _down(3, width)
        self.fine = _down(width, 2 * width)
        self.quarter = nn.Sequential(_down(2 * width, 3 * width), _Residual(3 * width))
        self.eighth = nn.Sequential(_down(3 * width, 4 * width), _Residual(4 * width))
        self.deep = nn.Sequential(_down(4 * width, 6 * width), _Residual(6 * width), _Residual(6 * width))
        self.join = nn.Conv2d(6 * width + 4 * width + 3 * width, 6 * width, 1)
        self.mix = _Residual(6 * width)
        self.head = nn.Conv2d(6 * width, num_subjects + 1, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Logits of every class in every cell."""
        cells = self.quarter(self.fine(self.stem(pictures)))
        wide = self.eighth(cells)
        deep = self.deep(wide)
        size = cells.shape[-2:]
        context = [functional.interpolate(part, size=size, mode="bilinear") for part in (deep, wide)]
        return self.head(self.mix(functional.silu(self.join(torch.cat([*context, cells], dim=1)))))

    @torch.no_grad()
    def detect(self, pictures: torch.Tensor, *, threshold: float = 0.3) -> list[list[Detection]]:
        """The subjects of each picture, surest first; a peak within two cells of a surer one is the same subject."""
        scores = self(pictures).float().softmax(dim=1)[:, :-1]
        best, subject = scores.max(dim=1)  # [N, H / 8, W / 8]
        peaks = functional.max_pool2d(best[:, None], 5, stride=1, padding=2)[:, 0] == best
        found: list[list[Detection]] = []
        for index in range(len(pictures)):
            rows, columns = torch.nonzero(peaks[index] & (best[index] > threshold), as_tuple=True)
            entries = [
                Detection(
                    subject=int(subject[index, row, column]),
                    confidence=float(best[index, row, column]),
                    x=(int(column) + 0.5) * CELL_PX,
                    y=(int(row) + 0.5) * CELL_PX,
                )
                for row, column in zip(rows, columns, strict=True)
            ]
            found.append(sorted(entries, key=lambda entry: -entry.confidence))
        return found


def _down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.GroupNorm(8, outputs), nn.SiLU())


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        return cells + self.layers(cells)
