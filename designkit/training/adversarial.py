"""Losses of the adversarial game and the penalties that keep a discriminator from running away.

Every loss is a function of the discriminator's logits on real and on generated samples; every penalty is
computed in float32 whatever the precision around it.
"""

# pyright: basic
from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Literal["minimax", "non-saturating", "lsgan", "wgan", "wgan-gp", "hinge", "relativistic"]
LOSSES: tuple[Loss, ...] = ("minimax", "non-saturating", "lsgan", "wgan", "wgan-gp", "hinge", "relativistic")

Critic = Callable[[Tensor], Tensor]
"""Samples [N, ...] -> logits [N]."""


def discriminator_loss(kind: Loss, real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator lowers, from its logits [N] on real and on generated samples.

    minimax, non-saturating: -log D(real) - log(1 - D(fake)) (Goodfellow et al., arXiv 1406.2661); lsgan: with targets
    1 and 0 and the factor 1/2 (Mao et al., arXiv 1611.04076, equation 9); wgan, wgan-gp: fake - real (Arjovsky et
    al., arXiv 1701.07875); hinge (Lim & Ye, arXiv 1705.02894); relativistic: each real sample against a generated
    one (Jolicoeur-Martineau, arXiv 1807.00734), as R3GAN uses it.
    """
    real, fake = real.float(), fake.float()
    if kind in ("minimax", "non-saturating"):
        return F.softplus(-real).mean() + F.softplus(fake).mean()
    if kind == "lsgan":
        return 0.5 * ((real - 1).square().mean() + fake.square().mean())
    if kind in ("wgan", "wgan-gp"):
        return fake.mean() - real.mean()
    if kind == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    if kind == "relativistic":
        return F.softplus(fake - real).mean()
    raise ValueError(f"there is no adversarial loss {kind!r}; there are {', '.join(LOSSES)}")


def generator_loss(kind: Loss, real: Tensor, fake: Tensor) -> Tensor:
    """What the generator lowers; `real` counts for the relativistic loss alone. See `discriminator_loss`."""
    real, fake = real.float(), fake.float()
    if kind == "minimax":
        return -F.softplus(fake).mean()  # log(1 - D(fake))
    if kind == "non-saturating":
        return F.softplus(-fake).mean()
    if kind == "lsgan":
        return 0.5 * (fake - 1).square().mean()
    if kind in ("wgan", "wgan-gp", "hinge"):
        return -fake.mean()
    if kind == "relativistic":
        return F.softplus(real - fake).mean()
    raise ValueError(f"there is no adversarial loss {kind!r}; there are {', '.join(LOSSES)}")


def zero_centred_penalty(critic: Critic, samples: Tensor) -> Tensor:
    """Mean squared gradient of the critic at samples: R1 at real ones, R2 at generated ones.

    Mescheder et al., arXiv 1801.04406, equation 9, without the factor gamma / 2.
    """
    return _squared_slopes(critic, samples).mean()


def one_centred_penalty(critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """Mean of (gradient's length - 1)^2 at random points between real and generated samples.

    Gulrajani et al., arXiv 1704.00028, equation 3, without the factor lambda.
    """
    share = torch.rand((len(real), *[1] * (real.ndim - 1)), generator=rng).to(real)
    between = real.detach() * share + fake.detach() * (1 - share)
    return (_squared_slopes(critic, between).add(1e-12).sqrt() - 1).square().mean()


def lecam_penalty(real: Tensor, fake: Tensor, real_anchor: Tensor, fake_anchor: Tensor) -> Tensor:
    """Distance of the logits to the other side's moving average: (real - fake_anchor)^2 + (fake - real_anchor)^2.

    Tseng et al., arXiv 2104.03310, without the weight lambda. Anchors are moving averages of the
    logits on real and on generated samples.
    """
    return (real.float() - fake_anchor).square().mean() + (fake.float() - real_anchor).square().mean()


@torch.no_grad()
def clip_weights(module: torch.nn.Module, limit: float) -> None:
    """Hold every weight in [-limit, limit], which is how the first WGAN bounds its slopes (arXiv 1701.07875)."""
    for parameter in module.parameters():
        parameter.clamp_(-limit, limit)


def _squared_slopes(critic: Critic, samples: Tensor) -> Tensor:
    """Squared length [N] of the critic's gradient at each sample, itself differentiable."""
    with torch.autocast(samples.device.type, enabled=False):
        points = samples.detach().float().requires_grad_(True)
        (slopes,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return slopes.flatten(1).square().sum(dim=1)
