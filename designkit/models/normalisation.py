"""Virtual batch normalisation, and finding the layers that measure batches.

A sample is normalised by the statistics of a fixed reference batch and of itself, so that unlike with batch
normalisation its output does not depend on which others it happens to be processed with (Salimans et al.,
arXiv 1606.03498, section 3.4).
"""

# pyright: basic
from __future__ import annotations

import torch
from torch import Tensor, nn


class VirtualBatchNorm(nn.Module):
    """Normalise each channel of [N, C, H, W] by the reference batch and the sample, then scale and shift it.

    While `is_collecting`, the batch that passes through is the reference: its mean and mean square are kept (with
    their gradients, so that training sees the dependence), and it is normalised by them.
    """

    mean: Tensor
    mean_square: Tensor
    reference_size: Tensor

    def __init__(self, num_channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.is_collecting = False
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.register_buffer("mean", torch.zeros(num_channels))
        self.register_buffer("mean_square", torch.ones(num_channels))
        self.register_buffer("reference_size", torch.ones(()))
        self._fresh: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """The normalised [N, C, H, W]; sample i's part depends on sample i and the reference alone."""
        if self.is_collecting:
            mean, mean_square = x.mean(dim=(0, 2, 3)), x.square().mean(dim=(0, 2, 3))
            self._fresh = (mean, mean_square)
            with torch.no_grad():
                self.mean.copy_(mean)
                self.mean_square.copy_(mean_square)
                self.reference_size.fill_(len(x))
            mean, mean_square = mean[None], mean_square[None]
        else:
            # The kept statistics carry gradients in training only, where they have just been collected.
            fresh = self._fresh if self.training and torch.is_grad_enabled() else None
            kept_mean, kept_square = fresh or (self.mean, self.mean_square)
            share = 1 / (self.reference_size + 1)
            mean = share * x.mean(dim=(2, 3)) + (1 - share) * kept_mean
            mean_square = share * x.square().mean(dim=(2, 3)) + (1 - share) * kept_square
        variance = (mean_square - mean.square()).clamp_min(0)
        scale = self.weight * torch.rsqrt(variance + self.epsilon)  # [N or 1, C]
        return x * scale[:, :, None, None] + (self.bias - mean * scale)[:, :, None, None]


def virtual_norms(module: nn.Module) -> list[VirtualBatchNorm]:
    """Every virtual batch normalisation in a network."""
    return [layer for layer in module.modules() if isinstance(layer, VirtualBatchNorm)]


def batch_norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    """Every batch normalisation in a network."""
    return [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
