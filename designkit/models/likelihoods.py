"""What a decoder's numbers mean: the probability of a picture, its best guess of the pixels, and bits a dimension.

A decoder makes one or two numbers a pixel and channel; a likelihood turns them into log p(x | z), summed over pixels
and channels and never averaged, so that it weighs rightly against the divergence of the latents.

| likelihood | of | numbers | what else is learned |
|---|---|---|---|
| bernoulli | values in 0..1 (pixels moved there) | a logit | |
| gaussian | densities | a mean | one variance for all, as in Rybkin et al. (arXiv 2006.13202) |
| logistic | levels | a mean and a log scale | |
"""

# pyright: basic
from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Likelihood = Literal["bernoulli", "gaussian", "logistic"]

LIKELIHOODS: tuple[Likelihood, ...] = ("bernoulli", "gaussian", "logistic")

_LEAST_LOG_DEVIATION = -6.0
_LEAST_LOG_SCALE = -7.0


def num_outputs(likelihood: Likelihood, num_channels: int) -> int:
    """How many channels a decoder makes for pictures of so many."""
    return 2 * num_channels if likelihood == "logistic" else num_channels


def log_likelihood(
    likelihood: Likelihood, outputs: Tensor, x: Tensor, *, log_deviation: Tensor | None = None, levels: int = 256
) -> Tensor:
    """Log p(x | z) in nats [N] of samples x [N, C, H, W] in [-1, 1], given what the decoder made of z.

    `log_deviation` is the gaussian's, a number or one a channel [C, 1, 1]; `levels` how many values a channel of a
    pixel can have, which the logistic counts by.
    """
    if likelihood == "bernoulli":
        each = -F.binary_cross_entropy_with_logits(outputs, (x + 1) / 2, reduction="none")
    elif likelihood == "gaussian":
        assert log_deviation is not None
        each = gaussian_log_density(x, outputs, log_deviation.clamp(min=_LEAST_LOG_DEVIATION))
    else:
        mean, log_scale = outputs.chunk(2, dim=1)
        each = logistic_log_probability(x, mean, log_scale, levels=levels)
    return each.flatten(1).sum(dim=1)


def best_guess(likelihood: Likelihood, outputs: Tensor) -> Tensor:
    """The mean picture [N, C, H, W] in about [-1, 1] of what the decoder made; a logistic's is cut off there."""
    if likelihood == "bernoulli":
        return 2 * torch.sigmoid(outputs) - 1
    return outputs if likelihood == "gaussian" else outputs.chunk(2, dim=1)[0].clamp(-1, 1)


def gaussian_log_density(x: Tensor, mean: Tensor, log_deviation: Tensor) -> Tensor:
    """Log N(x; mean, deviation), of every number."""
    return -0.5 * ((x - mean) * torch.exp(-log_deviation)).square() - log_deviation - 0.5 * math.log(2 * math.pi)


def logistic_log_probability(x: Tensor, mean: Tensor, log_scale: Tensor, *, levels: int) -> Tensor:
    """Log of the probability that a logistic variable falls to the level of x, of every number.

    `levels` values lie evenly in [-1, 1], ends included; the outermost take all that lies beyond them (Salimans et
    al., arXiv 1701.05517, equation 2). x is taken to the nearest level.
    """
    half = 1 / (levels - 1)
    x = ((x + 1) / (2 * half)).round() * 2 * half - 1
    inverse = torch.exp(-log_scale.clamp(min=_LEAST_LOG_SCALE))
    upper, lower = (x - mean + half) * inverse, (x - mean - half) * inverse
    # sigmoid(upper) - sigmoid(lower), written so that nothing cancels far out in either tail.
    width = 2 * half * inverse
    within = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(-width))
    lowest, highest = x < -1 + half, x > 1 - half
    return torch.where(lowest, F.logsigmoid(upper), torch.where(highest, F.logsigmoid(-lower), within))


def bits_per_dimension(nats: Tensor | float, num_dimensions: int, *, likelihood: Likelihood, levels: int) -> float:
    """Bits a dimension of a negative log likelihood in nats a sample.

    A density over [-1, 1] is counted as probability of the level's width, 2 / (levels - 1).
    """
    bits = float(nats) / num_dimensions / math.log(2)
    return bits - math.log2(2 / (levels - 1)) if likelihood == "gaussian" else bits
