"""The moving average of the weights, which draws better than the weights themselves."""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Mapping

import torch


class MovingAverage:
    """Exponential moving average of a module's trainable weights.

    After n updates the decay is min(decay, (1 + n) / (10 + n)), so that the first, poor weights are
    forgotten quickly.
    """

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self.shadow = {name: p.detach().clone() for name, p in module.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, module: torch.nn.Module) -> None:
        """Move the average towards the module's weights by one step."""
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        weights = dict(module.named_parameters())
        names = list(self.shadow)
        torch._foreach_lerp_([self.shadow[n] for n in names], [weights[n].detach() for n in names], 1 - decay)

    @torch.no_grad()
    def copy_to(self, module: torch.nn.Module) -> None:
        """Put the averaged weights into the module."""
        weights = dict(module.named_parameters())
        for name, average in self.shadow.items():
            weights[name].copy_(average)

    @torch.no_grad()
    def load(self, shadow: Mapping[str, torch.Tensor], num_updates: int) -> None:
        """Restore a saved average."""
        self.num_updates = num_updates
        for name, average in self.shadow.items():
            average.copy_(shadow[name])
