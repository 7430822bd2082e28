"""The Gaussian mixture of latents: equal to scikit-learn's, and draws that depend on their seeds alone."""

# pyright: basic, reportOptionalIterable=false

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture as Reference

from designkit.models.mixture import GaussianMixture, fit_mixture, standard_normal


def clusters() -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    centres = 6 * torch.randn((3, 4), generator=rng)
    turns = torch.randn((3, 4, 4), generator=rng)
    which = torch.randint(3, (1500,), generator=rng)
    return centres[which] + torch.einsum("nij,nj->ni", turns[which], torch.randn((1500, 4), generator=rng))


def test_fitting_and_density_are_those_of_scikit_learn():
    rows = clusters()
    ours = fit_mixture(rows, 3, seed=0, tolerance=1e-6, shrinkage=0.0)
    theirs = Reference(3, tol=1e-6, random_state=0).fit(rows.numpy())
    assert float(ours.log_density(rows).mean()) == pytest.approx(theirs.score(rows.numpy()), abs=1e-3)
    for mean in theirs.means_:
        assert float((ours.means - torch.from_numpy(mean)).norm(dim=1).min()) < 0.05


def test_draws_have_the_mean_and_covariance_of_the_mixture_and_depend_on_their_seeds_alone():
    rows = clusters()
    mixture = fit_mixture(rows, 3, seed=0, shrinkage=0.0)
    drawn = mixture.sample(range(4000))
    assert torch.equal(drawn[17], mixture.sample([17])[0])
    torch.testing.assert_close(drawn.mean(dim=0), rows.mean(dim=0), atol=0.4, rtol=0)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(rows.T), atol=0.1 * float(np.cov(rows.T).max()))
    torch.testing.assert_close(mixture.mean.float(), rows.mean(dim=0), atol=1e-3, rtol=0)


def test_a_standard_normal_is_the_prior():
    prior = standard_normal(3)
    rows = torch.randn(5, 3)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(rows).sum(dim=1)
    torch.testing.assert_close(prior.log_density(rows).float(), expected)
    assert torch.equal(prior.mean, torch.zeros(3))


def test_few_rows_get_few_components_and_covariances_that_can_be_drawn_from():
    mixture = fit_mixture(torch.randn((30, 20), generator=torch.Generator().manual_seed(0)), 10, seed=0)
    assert len(mixture.weights) == 1
    assert mixture.sample([0]).isfinite().all()
    wide = fit_mixture(torch.randn((8, 600), generator=torch.Generator().manual_seed(0)), 1, seed=0)
    assert wide.factors.shape == (1, 600)
    assert wide.sample([1]).shape == (1, 600)


def test_tensors_of_a_mixture_bring_it_back():
    mixture = fit_mixture(clusters(), 3, seed=0)
    again = GaussianMixture.from_tensors(mixture.tensors())
    assert torch.equal(again.sample([1, 2]), mixture.sample([1, 2]))
