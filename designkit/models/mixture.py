"""A Gaussian mixture over latents: fitted by expectation maximisation, kept as tensors, drawn from by seeds."""

# pyright: basic
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from designkit.models.quantise import k_means

_LEAST_VARIANCE = 1e-6  # added to every variance, as scikit-learn does
_LEAST_SHRINKAGE = 0.05  # how far each covariance is drawn to its diagonal where rows are many
_MOST_JOINT_DIM = 512  # beyond, dimensions are independent: a covariance would take more room than the networks


@dataclass(frozen=True, kw_only=True)
class GaussianMixture:
    """`weights` [K] that sum to 1, `means` [K, D], and `factors` [K, D, D], lower triangles L with covariance L L^T.

    Where dimensions are independent `factors` are their standard deviations, [K, D].
    """

    weights: Tensor
    means: Tensor
    factors: Tensor

    def log_density(self, rows: Tensor) -> Tensor:
        """Log density in nats [N] of rows [N, D]."""
        return torch.logsumexp(_log_joint(rows.double(), self), dim=1)

    @property
    def mean(self) -> Tensor:
        """The mean of all, [D]."""
        return self.weights @ self.means

    def sample(self, seeds: Sequence[int]) -> Tensor:
        """One draw a seed, [N, D] float32, on the CPU; each depends on its own seed alone."""
        drawn: list[Tensor] = []
        for seed in seeds:
            rng = torch.Generator().manual_seed(seed)
            noise = torch.randn(self.means.shape[1], generator=rng)
            component = int(torch.multinomial(self.weights.float(), 1, generator=rng))
            factor = self.factors[component].float()
            drawn.append(self.means[component].float() + (factor @ noise if factor.ndim == 2 else factor * noise))
        return torch.stack(drawn)

    def tensors(self) -> dict[str, Tensor]:
        """What a model folder keeps, in fp32."""
        named = {"weights": self.weights, "means": self.means, "factors": self.factors}
        return {f"mixture.{name}": tensor.float().contiguous() for name, tensor in named.items()}

    @staticmethod
    def from_tensors(tensors: dict[str, Tensor]) -> GaussianMixture:
        """The mixture among a model folder's tensors."""
        return GaussianMixture(**{name: tensors[f"mixture.{name}"] for name in ("weights", "means", "factors")})


def standard_normal(dim: int) -> GaussianMixture:
    """The prior, as a mixture of one."""
    return GaussianMixture(weights=torch.ones(1), means=torch.zeros(1, dim), factors=torch.ones(1, dim))


def fit_mixture(
    rows: Tensor, num_components: int, *, seed: int, num_rounds: int = 100, tolerance: float = 1e-3,
    shrinkage: float | None = None,
) -> GaussianMixture:  # fmt: skip
    """Fit so many Gaussians to rows [N, D] by expectation maximisation, from k-means on.

    Fewer are fitted where there are not 2 D rows each. `shrinkage` draws covariances to their diagonal, 0 leaves them
    as they are; unless given it grows as rows are few. Rounds end when the mean log density gains less than
    `tolerance`.
    """
    rows = rows.flatten(1).double()
    count, dim = rows.shape
    num_components = max(1, min(num_components, count // (2 * min(dim, _MOST_JOINT_DIM))))
    if shrinkage is None:
        shrinkage = min(1.0, _LEAST_SHRINKAGE + dim * num_components / (5 * count))
    centres = k_means(rows, num_components, torch.Generator().manual_seed(seed), num_rounds=20).double()
    shares = torch.nn.functional.one_hot(torch.cdist(rows, centres).argmin(dim=1), num_components).double()
    mixture, last = _maximise(rows, shares, shrinkage), -math.inf
    for _ in range(num_rounds):
        joint = _log_joint(rows, mixture)
        density = torch.logsumexp(joint, dim=1)
        if (now := float(density.mean())) - last < tolerance:
            break
        last = now
        mixture = _maximise(rows, torch.exp(joint - density[:, None]), shrinkage)
    return mixture


def _maximise(rows: Tensor, shares: Tensor, shrinkage: float) -> GaussianMixture:
    """The mixture of greatest likelihood, given how much of each row [N, D] is each component's [N, K]."""
    sizes = shares.sum(dim=0) + 1e-10
    means = shares.T @ rows / sizes[:, None]
    factors: list[Tensor] = []
    for component in range(shares.shape[1]):
        away = rows - means[component]
        if rows.shape[1] > _MOST_JOINT_DIM:
            variance = shares[:, component] @ away.square() / sizes[component]
            factors.append((variance + _LEAST_VARIANCE).sqrt())
            continue
        covariance = (shares[:, component, None] * away).T @ away / sizes[component]
        diagonal = torch.diag(covariance.diagonal() + _LEAST_VARIANCE)
        covariance = covariance + _LEAST_VARIANCE * torch.eye(rows.shape[1], dtype=rows.dtype)
        factors.append(torch.linalg.cholesky(torch.lerp(covariance, diagonal, shrinkage)))
    return GaussianMixture(weights=sizes / sizes.sum(), means=means, factors=torch.stack(factors))


def _log_joint(rows: Tensor, mixture: GaussianMixture) -> Tensor:
    """Log of weight times density of each component, [N, K]."""
    weights, means, factors = (t.double() for t in (mixture.weights, mixture.means, mixture.factors))
    away = (rows[None] - means[:, None]).transpose(1, 2)  # [K, D, N]
    if factors.ndim == 2:
        squares, log_volume = (away / factors[:, :, None]).square().sum(dim=1), factors.log().sum(dim=1)
    else:
        squares = torch.linalg.solve_triangular(factors, away, upper=False).square().sum(dim=1)
        log_volume = factors.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    constant = weights.log() - log_volume - 0.5 * rows.shape[1] * math.log(2 * math.pi)
    return (constant[:, None] - 0.5 * squares).T
