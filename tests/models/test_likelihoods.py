"""Likelihoods against torch.distributions and scipy, bits a dimension against closed forms."""

import math

import pytest
import torch
from scipy.stats import logistic

from designkit.models.likelihoods import (
    LIKELIHOODS,
    Likelihood,
    best_guess,
    bits_per_dimension,
    log_likelihood,
    logistic_log_probability,
    num_outputs,
)


def test_gaussian_and_bernoulli_are_those_of_torch_summed_over_the_picture():
    rng = torch.Generator().manual_seed(0)
    x, outputs = torch.rand((4, 3, 5, 5), generator=rng) * 2 - 1, torch.randn((4, 3, 5, 5), generator=rng)
    log_deviation = torch.tensor([-1.0, 0.0, 0.5])[:, None, None]
    normal = torch.distributions.Normal(outputs, log_deviation.exp()).log_prob(x).sum(dim=(1, 2, 3))
    torch.testing.assert_close(log_likelihood("gaussian", outputs, x, log_deviation=log_deviation), normal)
    coin = (x > 0).float()
    flips = torch.distributions.Bernoulli(logits=outputs).log_prob(coin).sum(dim=(1, 2, 3))
    torch.testing.assert_close(log_likelihood("bernoulli", outputs, 2 * coin - 1), flips)


def test_the_logistic_gives_each_level_its_share_and_all_levels_together_one():
    levels = 17
    values = torch.linspace(-1, 1, levels, dtype=torch.float64)
    for mean, scale in ((0.1, 0.05), (-2.0, 0.3), (0.9, 4.0)):
        log_scale = torch.full_like(values, math.log(scale))
        found = logistic_log_probability(values, torch.full_like(values, mean), log_scale, levels=levels).exp()
        edges = logistic.cdf([-math.inf, *(values[:-1] + 1 / (levels - 1)).tolist(), math.inf], mean, scale)
        torch.testing.assert_close(found, torch.from_numpy(edges[1:] - edges[:-1]), rtol=1e-9, atol=1e-15)
        assert float(found.sum()) == pytest.approx(1.0, abs=1e-12)


def test_the_logistic_stays_finite_with_gradients_far_out_in_its_tails():
    mean = torch.tensor([-60.0, 60.0, 0.0], requires_grad=True)
    log_scale = torch.tensor([-9.0, -9.0, -9.0], requires_grad=True)
    found = logistic_log_probability(torch.tensor([0.5, -0.5, 0.0]), mean, log_scale, levels=256)
    found.sum().backward()
    assert found.isfinite().all()
    assert mean.grad is not None
    assert mean.grad.isfinite().all()
    assert mean.grad[0] > 0 > mean.grad[1]


def test_a_picture_is_taken_to_the_nearest_level():
    mean, log_scale = torch.zeros(1), torch.zeros(1)
    exact = logistic_log_probability(torch.tensor([0.125]), mean, log_scale, levels=17)
    near = logistic_log_probability(torch.tensor([0.125 + 0.02]), mean, log_scale, levels=17)
    assert torch.equal(exact, near)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_best_guess_is_the_picture_that_the_numbers_are_sure_of(likelihood: Likelihood):
    x = torch.tensor([-0.999, 0.0, 0.999]).reshape(1, 3, 1, 1)
    numbers = {"bernoulli": torch.logit((x + 1) / 2), "gaussian": x, "logistic": torch.cat([x, x - 5], dim=1)}
    assert numbers[likelihood].shape[1] == num_outputs(likelihood, 3)
    torch.testing.assert_close(best_guess(likelihood, numbers[likelihood]), x, atol=1e-5, rtol=0)


def test_bits_a_dimension_of_a_standard_normal_are_its_entropy_and_of_even_levels_their_logarithm():
    entropy = 0.5 * math.log(2 * math.pi * math.e)
    at_unit_width = bits_per_dimension(7 * entropy, 7, likelihood="gaussian", levels=3)  # levels of width 1
    assert at_unit_width == pytest.approx(2.047, abs=5e-4)
    assert bits_per_dimension(10 * math.log(256), 10, likelihood="logistic", levels=256) == pytest.approx(8)
    even = bits_per_dimension(10 * math.log(2), 10, likelihood="gaussian", levels=256)  # over [-1, 1], 255 widths
    assert even == pytest.approx(math.log2(255))
