"""Principal directions of vectors at unit variance: how networks begin to read captions."""

# pyright: basic
from __future__ import annotations

import torch
from torch import Tensor

_LEAST_SHARE = 0.01


@torch.no_grad()
def whitening(vectors: Tensor) -> Tensor:
    """Rows [R, K] that take vectors [N, K] to their principal directions, widest first, each of unit variance.

    A text encoder's vectors differ far more by some factors (the ground's colour) than by others (the subject), and
    learning by gradients takes the wide ones first. Directions below a hundredth of the widest's variance are left
    out, so that words which no caption used cannot throw the networks.
    """
    variances, directions = torch.linalg.eigh(torch.cov(vectors.float().T))
    variances, directions = variances.flip(0), directions.flip(1)
    counted = variances > _LEAST_SHARE * variances[0]
    return (directions[:, counted] / variances[counted].sqrt()).T
