"""Quantisers: gradients pass straight through, averages lead to k-means, letters are counted rightly."""

# pyright: basic, reportArgumentType=false, reportOperatorIssue=false

import math

import pytest
import torch
from sklearn.cluster import KMeans

from designkit.models.quantise import FiniteScalarQuantiser, VectorQuantiser, k_means, perplexity


def rows_as_latents(rows: torch.Tensor) -> torch.Tensor:
    return rows.T[None, :, :, None]


@pytest.mark.parametrize("kind", ["vq", "fsq"])
def test_the_gradient_of_quantised_latents_passes_straight_through(kind: str):
    torch.manual_seed(0)
    quantiser = VectorQuantiser(6, 3) if kind == "vq" else FiniteScalarQuantiser((5, 5, 4))
    latents, weight = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 3, 4, 4)
    (quantiser.eval()(latents).latents * weight).sum().backward()
    if kind == "vq":
        expected = weight
    else:  # of the bounding before the rounding, alone
        again = latents.detach().clone().requires_grad_(True)
        half = torch.tensor([2.0, 2.0, 1.5])[:, None, None] * 1.001
        offset = torch.tensor([0.0, 0.0, 0.5])[:, None, None]
        bounded = torch.tanh(again + torch.atanh(offset / half)) * half - offset
        (bounded / 2 * weight).sum().backward()
        expected = again.grad
    torch.testing.assert_close(latents.grad, expected)


def test_commitment_pulls_latents_to_their_letters_and_not_the_letters():
    quantiser = VectorQuantiser(4, 2).eval()
    latents = torch.randn(3, 2, 2, 2, requires_grad=True)
    found = quantiser(latents)
    letters = quantiser.vectors[found.codes].permute(0, 3, 1, 2)
    torch.testing.assert_close(found.commitment, (latents - letters).square().sum(dim=(1, 2, 3)))
    found.commitment.sum().backward()
    torch.testing.assert_close(latents.grad, 2 * (latents - letters).detach())
    assert not list(quantiser.parameters())


def test_averages_over_batches_lead_to_the_centres_of_k_means():
    rng = torch.Generator().manual_seed(0)
    centres = torch.tensor([[4.0, 0.0], [-4.0, 0.0], [0.0, 4.0], [0.0, -4.0]])
    rows = centres[torch.randint(4, (800,), generator=rng)] + 0.5 * torch.randn((800, 2), generator=rng)
    torch.manual_seed(1)
    quantiser = VectorQuantiser(4, 2)
    quantiser.start_at(rows[:100], rng, num_rounds=1)
    quantiser.train()
    for _ in range(600):
        quantiser(rows_as_latents(rows))
    expected = torch.from_numpy(KMeans(4, n_init=3, random_state=0).fit(rows.numpy()).cluster_centers_)
    found = quantiser.vectors
    nearest = torch.cdist(expected.float(), found).min(dim=1)
    assert sorted(nearest.indices.tolist()) == [0, 1, 2, 3]
    assert float(nearest.values.max()) < 0.02


def test_lloyds_rounds_end_where_scikit_learns_do():
    rng = torch.Generator().manual_seed(3)
    rows = torch.randn((300, 4), generator=rng) + 6 * torch.randint(2, (300, 4), generator=rng)
    ours = min(
        float(torch.cdist(rows, k_means(rows, 16, rng, num_rounds=60)).min(dim=1).values.square().sum())
        for _ in range(4)
    )
    assert ours <= 1.05 * KMeans(16, n_init=4, random_state=0).fit(rows.numpy()).inertia_


def test_dead_letters_come_back_where_the_latents_are():
    torch.manual_seed(0)
    quantiser = VectorQuantiser(32, 2)
    with torch.no_grad():
        quantiser.vectors[1:] += 100  # all but one are out of reach
        quantiser.sums.copy_(quantiser.vectors)
    latents = rows_as_latents(torch.randn(512, 2))
    assert perplexity(quantiser.eval()(latents).codes, 32) == pytest.approx(1.0)
    quantiser.train()
    for _ in range(600):
        quantiser(latents)
    assert perplexity(quantiser.eval()(latents).codes, 32) > 20


def test_perplexity_is_one_for_one_letter_and_all_for_even_use():
    assert perplexity(torch.zeros(50, dtype=torch.int64), 8) == 1.0
    assert perplexity(torch.arange(40) % 8, 8) == pytest.approx(8.0)
    assert perplexity(torch.tensor([0, 0, 0, 1]), 2) == pytest.approx(
        math.exp(0.75 * math.log(4 / 3) + 0.25 * math.log(4))
    )


def test_rounding_has_exactly_the_letters_of_its_levels():
    levels = (8, 5, 2)
    quantiser = FiniteScalarQuantiser(levels)
    assert quantiser.num_codes == 80
    found = quantiser(4 * torch.randn((1, 3, 200, 200), generator=torch.Generator().manual_seed(0)))
    assert set(found.codes.flatten().tolist()) == set(range(80))
    letters = {
        (code, *row)
        for code, row in zip(found.codes.flatten().tolist(), found.latents[0].flatten(1).T.tolist(), strict=True)
    }
    assert len(letters) == 80  # one letter a number
    assert float(found.latents.abs().max()) <= 1.0
    for channel, count in enumerate(levels):
        assert len(found.latents[:, channel].unique()) == count
