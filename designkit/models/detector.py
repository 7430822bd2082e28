"""A small network that says which subject is where in a picture of flat design, and of what kind the picture is."""

# pyright: basic
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
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
    """Scores for every subject, and for "nothing", in every cell of 8 x 8 pixels; and for each trait's values.

    `traits` maps a trait of the whole picture (its style, its kind of background) to the number of its
    values. `forward` takes pictures [N, 3, H, W] in [-1, 1] (sides multiples of 32) and returns logits
    [N, num_subjects + 1, H / 8, W / 8], the last class "nothing", and {trait: logits [N, values]}.
    """

    def __init__(self, num_subjects: int, traits: Mapping[str, int], width: int = 32) -> None:
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
        self.traits = nn.ModuleDict({name: nn.Linear(2 * 6 * width, count) for name, count in traits.items()})

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Logits of every class in every cell, and of every value of each trait."""
        cells = self.quarter(self.fine(self.stem(pictures)))
        wide = self.eighth(cells)
        deep = self.deep(wide)
        size = cells.shape[-2:]
        context = [functional.interpolate(part, size=size, mode="bilinear") for part in (deep, wide)]
        mixed = self.mix(functional.silu(self.join(torch.cat([*context, cells], dim=1))))
        pooled = torch.cat([mixed.mean(dim=(2, 3)), mixed.amax(dim=(2, 3))], dim=1)
        return self.head(mixed), {name: head(pooled) for name, head in self.traits.items()}

    @torch.no_grad()
    def detect(
        self, pictures: torch.Tensor, *, threshold: float = 0.3
    ) -> tuple[list[list[Detection]], dict[str, torch.Tensor]]:
        """The subjects of each picture, surest first, and {trait: the likeliest value [N]}.

        A peak within two cells of a surer one is the same subject.
        """
        cells, traits = self(pictures)
        return self._peaks(cells, threshold), {name: logits.argmax(1) for name, logits in traits.items()}

    def _peaks(self, cells: torch.Tensor, threshold: float) -> list[list[Detection]]:
        scores = cells.float().softmax(dim=1)[:, :-1]
        best, subject = scores.max(dim=1)  # [N, H / 8, W / 8]
        # By logits: where the network is sure, neighbouring cells round to the same share, and all would be peaks.
        lead = cells[:, :-1].amax(dim=1) - cells[:, -1]
        peaks = functional.max_pool2d(lead[:, None], 5, stride=1, padding=2)[:, 0] == lead
        found: list[list[Detection]] = []
        for index in range(len(cells)):
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


def load_detector(path: Path, traits: Mapping[str, Sequence[object]], num_subjects: int) -> Detector:
    """The detector in a safetensors file, in float32, ready to judge."""
    detector = Detector(num_subjects, {name: len(values) for name, values in traits.items()})
    detector.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
    return detector.eval().requires_grad_(False)


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
