"""The moving average of the weights, which draws better than the weights themselves."""

# pyright: basic, reportPrivateImportUsage=false
from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping

import torch


class MovingAverage:
    """Exponential moving average of named weights.

    After n updates the decay is min(decay, (1 + n) / (10 + n)), so that the first, poor weights are
    forgotten quickly.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor], decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self.shadow = {name: weight.detach().clone() for name, weight in weights.items()}

    @torch.no_grad()
    def update(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Move the average towards the weights by one step."""
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        names = list(self.shadow)
        if names:
            torch._foreach_lerp_([self.shadow[n] for n in names], [weights[n].detach() for n in names], 1 - decay)

    @torch.no_grad()
    def copy_to(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Write the average over the weights."""
        for name, average in self.shadow.items():
            weights[name].copy_(average)

    @contextlib.contextmanager
    def in_place_of(self, weights: Mapping[str, torch.Tensor]) -> Generator[None]:
        """Within, the weights are their average; afterwards they are what they were, bit for bit."""
        kept = {name: weights[name].detach().clone() for name in self.shadow}
        self.copy_to(weights)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, weight in kept.items():
                    weights[name].copy_(weight)

    @torch.no_grad()
    def load(self, shadow: Mapping[str, torch.Tensor], num_updates: int) -> None:
        """Restore a saved average."""
        self.num_updates = num_updates
        for name, average in self.shadow.items():
            average.copy_(shadow[name])
