"""What variational autoencoders lower: divergences and bounds, as pure functions in nats a sample.

Everything is summed over a sample's dimensions and never averaged over them: an average would weigh pixels and
latents wrongly against each other.
"""

# pyright: basic
from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from designkit.models.likelihoods import gaussian_log_density
from designkit.models.vae import Posterior

Kernel = Literal["imq", "rbf"]


def kl_to_standard(posterior: Posterior) -> Tensor:
    """Kullback-Leibler divergence of N(m, s^2) from N(0, 1) of each latent dimension, [N, D].

    (m^2 + s^2 - 1 - ln s^2) / 2: Kingma and Welling, arXiv 1312.6114, appendix B.
    """
    mean, log_variance = posterior.mean.flatten(1), posterior.log_variance.flatten(1)
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def with_free_bits(divergence: Tensor, least: float) -> Tensor:
    """The divergence of each dimension [N, D], summed to [N], where no dimension's batch mean counts below `least`.

    Kingma et al., arXiv 1606.04934, appendix C.8: nothing is won by pressing a dimension below that.
    """
    if least == 0:
        return divergence.sum(dim=1)
    is_free = divergence.mean(dim=0) < least
    return torch.where(is_free, least, divergence).sum(dim=1)


def beta_penalty(divergence: Tensor, beta: float, capacity: float) -> Tensor:
    """Beta times the divergence [N] of Higgins et al. (2017), or its distance from a capacity in nats.

    Burgess et al., arXiv 1804.03599, equation 8.
    """
    return beta * ((divergence - capacity).abs() if capacity else divergence)


def total_correlation_terms(posterior: Posterior, latents: Tensor, num_samples: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mutual information, total correlation and dimension-wise divergence, [N] each, estimated within the batch.

    `latents` [N, ...] are one draw of the posterior, `num_samples` the size of the data. They sum to
    log q(z|x) - log p(z), whatever the estimate. Chen et al., arXiv 1802.04942, minibatch-weighted sampling
    (equation 3 and appendix C.1).
    """
    z, mean = latents.flatten(1), posterior.mean.flatten(1)
    log_deviation = 0.5 * posterior.log_variance.flatten(1)
    log_own = gaussian_log_density(z, mean, log_deviation).sum(dim=1)  # log q(z|x)
    log_prior = gaussian_log_density(z, torch.zeros_like(z), torch.zeros_like(z)).sum(dim=1)
    pairs = gaussian_log_density(z[:, None], mean[None], log_deviation[None])  # [N, N, D]
    count = math.log(len(z) * num_samples)
    log_joint = torch.logsumexp(pairs.sum(dim=2), dim=1) - count  # log q(z)
    log_margins = (torch.logsumexp(pairs, dim=1) - count).sum(dim=1)  # log of the product of q(z_d)
    return log_own - log_joint, log_joint - log_margins, log_margins - log_prior


def mean_discrepancy(first: Tensor, second: Tensor, *, kernel: Kernel = "imq", unbiased: bool = False) -> Tensor:
    """Squared maximum mean discrepancy of two sets [N, D] and [M, D], by Gretton et al. (2012), lemma 6.

    Kernels are scaled for a standard normal prior in D dimensions: `imq` sums c / (c + |x - y|^2) over
    c = 2 D s, s = 0.1 .. 10 (Tolstikhin et al., arXiv 1711.01558, section 4); `rbf` is exp(-|x - y|^2 / D). The plain
    estimate of equal sets is 0; the unbiased one, of sets of one distribution, is 0 in the mean.
    """
    within = _kernel(first, first, kernel), _kernel(second, second, kernel)
    across = _kernel(first, second, kernel)
    if unbiased:
        sums = [(gram.sum() - gram.diagonal().sum()) / (len(gram) * (len(gram) - 1)) for gram in within]
    else:
        sums = [gram.mean() for gram in within]
    return sums[0] + sums[1] - 2 * across.mean()


def info_penalty(divergence: Tensor, discrepancy: Tensor, *, alpha: float, scale: float) -> Tensor:
    """(1 - alpha) KL + (alpha + lambda - 1) MMD, [N]: Zhao et al., arXiv 1706.02262, equation 6."""
    return (1 - alpha) * divergence + (alpha + scale - 1) * discrepancy


def log_weights(log_likelihood: Tensor, posterior: Posterior, latents: Tensor) -> Tensor:
    """Log p(x|z) p(z) / q(z|x) [K, N] of K draws `latents` [K * N, ...], all of the first draw first."""
    count = len(latents) // len(posterior.mean)
    z = latents.flatten(1).unflatten(0, (count, -1))
    own = gaussian_log_density(z, posterior.mean.flatten(1), 0.5 * posterior.log_variance.flatten(1)).sum(dim=2)
    prior = gaussian_log_density(z, torch.zeros_like(z), torch.zeros_like(z)).sum(dim=2)
    return log_likelihood.unflatten(0, (count, -1)) + prior - own


def importance_bound(weights: Tensor) -> Tensor:
    """The bound [N] on log p(x) by K weights [K, N]; K = 1 is the ELBO. Burda et al., arXiv 1509.00519, equation 8."""
    return torch.logsumexp(weights, dim=0) - math.log(len(weights))


def num_active_units(means: Tensor, *, least: float = 0.01) -> int:
    """Latent dimensions whose mean [N, D] varies over the data by more than `least`; Burda et al., section 5.1."""
    return int((means.flatten(1).var(dim=0) > least).sum())


def _kernel(first: Tensor, second: Tensor, kernel: Kernel) -> Tensor:
    dim = first.shape[1]
    squares = torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist").square()
    if kernel == "rbf":
        return torch.exp(-squares / dim)
    parts = [2 * dim * s / (2 * dim * s + squares) for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)]
    return torch.stack(parts).sum(dim=0)
