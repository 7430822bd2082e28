"""Is a generative model collapsing, or learning its pictures by heart? Seen by samples that it never learned from."""

# pyright: basic
from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_HELD_OUT = 16
"""With fewer held-out samples than this, coverage is too coarse to warn by."""

_NEAREST = 5
_FEATURE_SIDE = 8


@dataclass(frozen=True, kw_only=True)
class Health:
    """How generated samples lie among held-out and learned ones.

    `coverage` is the share of held-out samples that have a generated one among their neighbours, and
    `possible_coverage` what as many learned samples reach. `memorised` is the share of generated samples that
    lie nearer to a learned than to a held-out sample; 0.5 is what fresh samples show.
    """

    coverage: float
    possible_coverage: float
    memorised: float


def features(samples: Tensor) -> Tensor:
    """What samples are compared by: points as they are, pictures as 8 x 8 mean colours; [N, D] float32."""
    if samples.ndim == 2:
        return samples.float()
    return F.adaptive_avg_pool2d(samples.float(), _FEATURE_SIDE).flatten(1)


def coverage(real: Tensor, other: Tensor, *, nearest: int = _NEAREST) -> float:
    """Share of real samples whose ball to their `nearest`-th neighbour holds one of the others, all [N, D] features.

    Naeem et al., arXiv 2002.09797, section 3.
    """
    nearest = min(nearest, len(real) - 1)
    radii = torch.cdist(real, real).kthvalue(nearest + 1, dim=1).values  # the nearest of all is the sample itself
    return float((torch.cdist(real, other).min(dim=1).values <= radii).float().mean())


def check_health(generated: Tensor, learned: Tensor, held_out: Tensor) -> Health:
    """Compare generated with learned and held-out samples, all [N, ...]; as many of each as there are held-out ones."""
    count = len(held_out)
    held, drawn, known = features(held_out), features(generated)[:count], features(learned)[:count]
    nearer = torch.cdist(drawn, known).min(dim=1).values < torch.cdist(drawn, held).min(dim=1).values
    return Health(
        coverage=coverage(held, drawn),
        possible_coverage=coverage(held, known),
        memorised=float(nearer.float().mean()),
    )


def warnings_of(health: Health, *, advice: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What there is to warn of, in words; `advice` names the settings that help against collapse here."""
    found: list[str] = []
    if health.coverage < 0.5 * health.possible_coverage:
        help_ = "; ".join(advice) or "try a stronger penalty, augmentation, or a lower learning rate"
        found.append(
            f"mode collapse: what is drawn resembles {health.coverage:.0%} of the held-out samples, where learned ones "
            f"reach {health.possible_coverage:.0%}; {help_}"
        )
    if health.memorised > 0.85:
        found.append(
            f"memorising: {health.memorised:.0%} of what is drawn lies nearer to a learned than to a held-out sample "
            "(50% is usual); train for fewer steps, add pictures, or let augment be adaptive"
        )
    return tuple(found)
