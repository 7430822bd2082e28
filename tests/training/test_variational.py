"""What VAEs lower, against closed forms: divergences, bounds that order and converge, and what equals what."""

# pyright: basic, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import Tensor

from designkit.models.likelihoods import gaussian_log_density
from designkit.models.vae import Posterior
from designkit.training.variational import (
    beta_penalty,
    importance_bound,
    info_penalty,
    kl_to_standard,
    log_weights,
    mean_discrepancy,
    num_active_units,
    total_correlation_terms,
    with_free_bits,
)


def posterior(rng: torch.Generator, *shape: int) -> Posterior:
    return Posterior(mean=torch.randn(shape, generator=rng), log_variance=torch.randn(shape, generator=rng) - 1)


def test_the_divergence_is_that_of_torch_and_of_a_monte_carlo_average():
    rng = torch.Generator().manual_seed(0)
    one = posterior(rng, 4, 6)
    normal = torch.distributions.Normal(one.mean, torch.exp(0.5 * one.log_variance))
    standard = torch.distributions.Normal(torch.zeros(4, 6), torch.ones(4, 6))
    torch.testing.assert_close(kl_to_standard(one), torch.distributions.kl_divergence(normal, standard))
    draws = one.sample(rng, 20_000).unflatten(0, (20_000, 4))
    average = (normal.log_prob(draws) - standard.log_prob(draws)).mean(dim=0)
    torch.testing.assert_close(kl_to_standard(one), average, atol=0.06, rtol=0)


def test_the_gradient_through_the_draw_is_that_of_finite_differences_at_the_same_noise():
    rng = torch.Generator().manual_seed(0)
    start = posterior(rng, 1, 3)
    values = torch.cat([start.mean, start.log_variance], dim=1).double()

    def expectation(numbers: Tensor) -> Tensor:
        mean, log_variance = numbers.chunk(2, dim=1)
        noise = torch.Generator().manual_seed(7)
        z = Posterior(mean=mean, log_variance=log_variance).sample(noise, 200)
        return (torch.sin(z) * z.square()).sum(dim=1).mean()

    assert torch.autograd.gradcheck(expectation, values.requires_grad_(True), eps=1e-6, atol=1e-7)


def test_the_draws_gradient_is_the_gradient_of_the_expectation():
    mean = torch.tensor([[0.7]], requires_grad=True)
    log_variance = torch.tensor([[-0.4]], requires_grad=True)
    z = Posterior(mean=mean, log_variance=log_variance).sample(torch.Generator().manual_seed(0), 200_000)
    z.square().mean().backward()  # E z^2 = m^2 + s^2
    assert mean.grad is not None
    assert log_variance.grad is not None
    assert float(mean.grad) == pytest.approx(1.4, abs=0.02)
    assert float(log_variance.grad) == pytest.approx(math.exp(-0.4), abs=0.02)


def test_beta_one_and_info_of_zero_and_one_are_the_plain_divergence():
    rng = torch.Generator().manual_seed(0)
    one = posterior(rng, 8, 5)
    divergence = with_free_bits(kl_to_standard(one), 0.0)
    assert torch.equal(beta_penalty(divergence, 1.0, 0.0), divergence)
    discrepancy = mean_discrepancy(one.mean, torch.randn((8, 5), generator=rng))
    assert torch.equal(info_penalty(divergence, discrepancy, alpha=0.0, scale=1.0), divergence)
    assert torch.equal(beta_penalty(divergence, 2.0, 3.0), 2 * (divergence - 3).abs())
    torch.testing.assert_close(
        info_penalty(divergence, discrepancy, alpha=1.0, scale=5.0), (5 * discrepancy).expand_as(divergence)
    )


def test_total_correlation_with_beta_one_is_the_divergence_of_the_draw_and_knows_dependence():
    rng = torch.Generator().manual_seed(0)
    one = posterior(rng, 16, 4)
    z = one.sample(rng)
    terms = total_correlation_terms(one, z, num_samples=1000)
    deviation = torch.exp(0.5 * one.log_variance)
    log_ratio = torch.distributions.Normal(one.mean, deviation).log_prob(z) - torch.distributions.Normal(
        0.0, 1.0
    ).log_prob(z)
    torch.testing.assert_close(sum(terms), log_ratio.sum(dim=1), rtol=1e-4, atol=1e-4)
    means = torch.randn((400, 1), generator=rng)
    found = []
    for other in (means, torch.randn((400, 1), generator=rng)):  # a second dimension that follows the first, or not
        both = Posterior(mean=torch.cat([means, other], dim=1), log_variance=torch.full((400, 2), -4.0))
        found.append(float(total_correlation_terms(both, both.sample(rng), num_samples=400)[1].mean()))
    assert found[0] > found[1] + 1


def test_free_bits_take_the_price_of_dimensions_that_tell_less():
    divergence = torch.tensor([[0.1, 2.0], [0.3, 1.0]], requires_grad=True)
    torch.testing.assert_close(with_free_bits(divergence, 0.5), torch.tensor([2.5, 1.5]))
    with_free_bits(divergence, 0.5).sum().backward()
    torch.testing.assert_close(divergence.grad, torch.tensor([[0.0, 1.0], [0.0, 1.0]]))


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_the_discrepancy_of_equal_sets_is_nothing_of_one_distribution_nothing_in_the_mean_and_grows_apart(kernel: str):
    rng = torch.Generator().manual_seed(0)
    rows = torch.randn((60, 3), generator=rng)
    assert float(mean_discrepancy(rows, rows, kernel=kernel)) == pytest.approx(0.0, abs=1e-6)  # type: ignore[arg-type]
    found = torch.stack([
        mean_discrepancy(*torch.randn((2, 40, 3), generator=rng), kernel=kernel, unbiased=True)  # type: ignore[arg-type]
        for _ in range(300)
    ])  # fmt: skip
    assert float(found.min()) < 0  # unbiased: on both sides of nothing
    assert abs(float(found.mean())) < 4 * float(found.std()) / 300**0.5
    shifted = [float(mean_discrepancy(rows, rows + shift, kernel=kernel)) for shift in (0.0, 0.5, 1.0, 2.0)]  # type: ignore[arg-type]
    assert all(less < more for less, more in pairwise(shifted))


def test_bounds_rise_with_more_draws_to_the_exact_likelihood_of_a_linear_gaussian_model():
    """z ~ N(0, I), x ~ N(W z + b, s^2 I), so that x ~ N(b, W W^T + s^2 I); the posterior is a little off on purpose."""
    rng = torch.Generator().manual_seed(0)
    weight, offset, deviation = torch.randn((4, 2), generator=rng), torch.randn(4, generator=rng), 0.7
    z = torch.randn((50, 2), generator=rng)
    x = z @ weight.T + offset + deviation * torch.randn((50, 4), generator=rng)
    exact = (
        torch.distributions.MultivariateNormal(offset, weight @ weight.T + deviation**2 * torch.eye(4))
        .log_prob(x)
        .mean()
    )
    covariance = torch.linalg.inv(torch.eye(2) + weight.T @ weight / deviation**2)
    mean = (x - offset) @ weight @ covariance / deviation**2
    own = Posterior(mean=mean + 0.1, log_variance=(1.3 * covariance.diagonal()).log().expand(50, 2))

    def bound(count: int) -> float:
        latents = own.sample(rng, count)
        outputs = latents @ weight.T + offset
        scale = torch.tensor(math.log(deviation))
        likelihood = gaussian_log_density(x.repeat(count, 1), outputs, scale).sum(dim=1)
        return float(importance_bound(log_weights(likelihood, own, latents)).mean())

    elbo = sum(bound(1) for _ in range(400)) / 400
    five = sum(bound(5) for _ in range(200)) / 200
    fifty = sum(bound(50) for _ in range(40)) / 40
    many = bound(20_000)
    assert elbo < five < fifty < float(exact) + 0.005
    assert many == pytest.approx(float(exact), abs=0.005)
    assert float(exact) - elbo > 0.1


def test_one_draws_bound_is_the_evidence_lower_bound():
    rng = torch.Generator().manual_seed(0)
    one = posterior(rng, 6, 3)
    latents = one.sample(rng)
    likelihood = torch.randn(6, generator=rng)
    normal = torch.distributions.Normal(one.mean, torch.exp(0.5 * one.log_variance))
    expected = (
        likelihood
        + torch.distributions.Normal(0.0, 1.0).log_prob(latents).sum(dim=1)
        - normal.log_prob(latents).sum(dim=1)
    )
    torch.testing.assert_close(importance_bound(log_weights(likelihood, one, latents)), expected)


def test_a_linear_vae_learns_probabilistic_principal_components():
    """Its best bound is the exact likelihood of PCA's model, which nothing passes (Lucas et al., arXiv 1911.02469)."""
    digits = load_digits().data[::3]
    digits = digits[:, digits.std(axis=0) > 0.5] / 16
    pca = PCA(8).fit(digits)
    ceiling = pca.score(digits)
    x = torch.from_numpy(digits)
    x = x - x.mean(dim=0)
    torch.manual_seed(0)
    dim = x.shape[1]
    encode = (0.1 * torch.randn(dim, 8, dtype=torch.float64)).requires_grad_(True)
    decode = (0.1 * torch.randn(8, dim, dtype=torch.float64)).requires_grad_(True)
    log_variance = torch.zeros(8, dtype=torch.float64, requires_grad=True)
    log_deviation = torch.zeros((), dtype=torch.float64, requires_grad=True)
    weights = [encode, decode, log_variance, log_deviation]

    def bound() -> Tensor:
        """The ELBO, its expectation over draws in closed form: E |x - Wz|^2 = |x - Wm|^2 + sum s_d^2 |w_d|^2."""
        own = Posterior(mean=x @ encode, log_variance=log_variance.expand(len(x), 8))
        likelihood = gaussian_log_density(x, own.mean @ decode, log_deviation).sum(dim=1)
        spread = (log_variance.exp() * decode.square().sum(dim=1)).sum() / (2 * torch.exp(2 * log_deviation))
        return (likelihood - spread - kl_to_standard(own).sum(dim=1)).mean()

    optimizer = torch.optim.LBFGS(weights, max_iter=300, history_size=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -bound()
        loss.backward()
        return loss

    optimizer.step(closure)
    found = float(bound().detach())
    assert found <= ceiling + 1e-4  # scikit-learn divides by N - 1
    assert found == pytest.approx(ceiling, abs=0.02)
    assert float(torch.exp(2 * log_deviation.detach())) == pytest.approx(pca.noise_variance_, rel=0.02)
    spanned = torch.linalg.svdvals(torch.linalg.qr(decode.detach().T).Q.T @ torch.from_numpy(pca.components_.T))
    assert float(spanned.min()) > 0.999  # the same subspace


def test_units_are_active_where_their_means_vary():
    rng = torch.Generator().manual_seed(0)
    means = torch.randn((500, 6), generator=rng) * torch.tensor([1.0, 1.0, 0.0, 0.02, 0.5, 0.0])
    assert num_active_units(means) == 3
