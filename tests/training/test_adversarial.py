"""Losses and penalties of the adversarial game against closed forms."""

import math

import pytest
import torch

from designkit.models.gan import Discriminator, GanConfig
from designkit.training.adversarial import (
    LOSSES,
    clip_weights,
    discriminator_loss,
    generator_loss,
    lecam_penalty,
    one_centred_penalty,
    zero_centred_penalty,
)
from designkit.training.ema import MovingAverage


@pytest.mark.parametrize(
    ("kind", "logit", "of_discriminator", "of_generator"),
    [
        ("minimax", 0.0, math.log(4), -math.log(2)),
        ("non-saturating", 0.0, math.log(4), math.log(2)),
        ("lsgan", 0.5, 0.25, 0.125),
        ("wgan", 0.3, 0.0, -0.3),
        ("wgan-gp", 0.3, 0.0, -0.3),
        ("hinge", 0.0, 2.0, 0.0),
        ("relativistic", 0.7, math.log(2), math.log(2)),
    ],
)
def test_losses_at_the_equilibrium(kind, logit, of_discriminator, of_generator):
    logits = torch.full((5,), logit)
    assert float(discriminator_loss(kind, logits, logits)) == pytest.approx(of_discriminator, abs=1e-6)
    assert float(generator_loss(kind, logits, logits)) == pytest.approx(of_generator, abs=1e-6)


@pytest.mark.parametrize("kind", LOSSES)
def test_both_players_pull_the_generated_logit_in_opposite_directions(kind):
    real, fake = torch.zeros(3), torch.zeros(3, requires_grad=True)
    (of_critic,) = torch.autograd.grad(discriminator_loss(kind, real, fake).mean(), fake, materialize_grads=True)
    (of_drawer,) = torch.autograd.grad(generator_loss(kind, real, fake).mean(), fake)
    assert (of_drawer < 0).all()
    assert (of_critic >= 0).all()


@pytest.mark.parametrize("kind", ["relativistic", "wgan"])
def test_these_losses_do_not_see_a_constant_added_to_every_logit(kind):
    real, fake = torch.randn(6), torch.randn(6)
    torch.testing.assert_close(
        discriminator_loss(kind, real, fake), discriminator_loss(kind, real + 7, fake + 7), rtol=1e-5, atol=1e-5
    )


def test_an_unknown_loss_is_named():
    with pytest.raises(ValueError, match="no adversarial loss 'hinged'; there are minimax"):
        discriminator_loss("hinged", torch.zeros(1), torch.zeros(1))  # type: ignore[arg-type]


def test_penalties_of_a_linear_critic_are_those_of_its_slope():
    slope = torch.tensor([0.6, -1.2, 0.4])
    real, fake = torch.randn(9, 3), torch.randn(9, 3) + 4

    def critic(x: torch.Tensor) -> torch.Tensor:
        return x @ slope

    squared = float(slope.square().sum())
    assert float(zero_centred_penalty(critic, real)) == pytest.approx(squared, rel=1e-5)
    gradient_penalty = float(one_centred_penalty(critic, real, fake, torch.Generator().manual_seed(0)))
    assert gradient_penalty == pytest.approx((math.sqrt(squared) - 1) ** 2, rel=1e-4)


@pytest.mark.parametrize(("shift", "weight"), [(1.0, 10.0), (3.0, 10.0), (1.0, 2.0)])
def test_wgan_gp_of_a_pure_shift_has_the_slope_one_plus_shift_over_twice_the_weight(shift, weight):
    fake = torch.linspace(-1, 1, 16, dtype=torch.float64)[:, None]
    real, slope = fake + shift, torch.tensor([0.4], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([slope], line_search_fn="strong_wolfe", tolerance_grad=1e-12, tolerance_change=1e-14)

    def objective() -> torch.Tensor:
        optimizer.zero_grad()

        def critic(x: torch.Tensor) -> torch.Tensor:
            return x.double() @ slope

        game = discriminator_loss("wgan-gp", real @ slope, fake @ slope)
        loss = game + weight * one_centred_penalty(critic, real, fake, torch.Generator().manual_seed(0))
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(objective)
    assert slope.item() == pytest.approx(1 + shift / (2 * weight), rel=1e-5)


def dirac_gan(gamma: float, steps: int, *, rate: float = 0.1) -> list[float]:
    """Radius (theta, psi) while both players step in turn; real data at 0, fake at theta, D(x) = psi x."""
    psi, theta = (torch.ones(1, 1, dtype=torch.float64, requires_grad=True) for _ in range(2))
    real = torch.zeros(1, 1, dtype=torch.float64)
    radii = []
    for _ in range(steps):
        fake = theta.detach()
        loss = torch.nn.functional.softplus(fake @ psi - real @ psi).sum()
        if gamma:
            for points in (real, fake):
                loss = loss + gamma / 2 * zero_centred_penalty(lambda x, psi=psi: x.double() @ psi, points)
        (slope,) = torch.autograd.grad(loss, psi)
        psi = (psi - rate * slope).detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(torch.nn.functional.softplus(real @ psi - theta @ psi).sum(), theta)
        theta = (theta - rate * slope).detach().requires_grad_(True)
        radii.append(math.hypot(psi.item(), theta.item()))
    return radii


def recursion(gamma: float, steps: int, *, rate: float = 0.1) -> float:
    psi = theta = 1.0
    for _ in range(steps):
        psi -= rate * (theta / (1 + math.exp(-theta * psi)) + 2 * gamma * psi)
        theta += rate * psi / (1 + math.exp(theta * psi))
    return math.hypot(psi, theta)


def test_the_dirac_gan_circles_without_penalties_and_converges_with_r1_and_r2():
    with_penalties, without = dirac_gan(0.3, 500), dirac_gan(0.0, 500)
    assert with_penalties[-1] < 1e-6 < 0.14 < without[-1]
    assert with_penalties[199] == pytest.approx(recursion(0.3, 200), rel=1e-4)
    assert without[199] == pytest.approx(recursion(0.0, 200), rel=1e-4)
    assert recursion(0.3, 4000) < 1e-50  # and without: 0.14 after as many steps
    assert recursion(0.0, 4000) == pytest.approx(0.14, abs=0.01)


def test_the_best_discriminator_of_two_gaussians_is_p_over_p_plus_q():
    places = torch.special.ndtri((torch.arange(4000, dtype=torch.float64) + 0.5) / 4000)
    real, fake = places * 1.0 + 1, places - 1  # log p / q = 2 x
    weights = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], line_search_fn="strong_wolfe", max_iter=100)

    def objective() -> torch.Tensor:
        optimizer.zero_grad()
        logits = [weights[0] * x + weights[1] for x in (real, fake)]
        loss = discriminator_loss("non-saturating", logits[0], logits[1])
        loss.backward()
        return loss

    optimizer.step(objective)
    x = torch.tensor([-1.5, -0.3, 0.0, 0.8, 2.0], dtype=torch.float64)
    density = torch.distributions.Normal
    p, q = density(1.0, 1.0).log_prob(x).exp(), density(-1.0, 1.0).log_prob(x).exp()
    torch.testing.assert_close(torch.sigmoid(weights[0] * x + weights[1]).detach(), p / (p + q), rtol=0.01, atol=2e-3)


def test_lecam_draws_logits_to_the_other_sides_average():
    logits = torch.tensor([1.0, 3.0])
    assert float(lecam_penalty(logits, -logits, torch.tensor(2.0), torch.tensor(-2.0))) == pytest.approx(34.0)
    real = torch.zeros(1, requires_grad=True)
    (slope,) = torch.autograd.grad(lecam_penalty(real, -logits, torch.tensor(2.0), torch.tensor(-2.0)), real)
    assert slope.item() == pytest.approx(2 * 2.0)


def test_penalties_are_computed_in_float32_inside_bfloat16():
    config = GanConfig(shape=(1, 8, 8), latent_dim=4, widths=(16, 16))
    torch.manual_seed(0)
    critic, pictures = Discriminator(config), torch.randn(4, 1, 8, 8)
    plain = zero_centred_penalty(critic, pictures)
    with torch.autocast("cpu", torch.bfloat16):
        inside = zero_centred_penalty(critic, pictures)
    assert inside.dtype == torch.float32
    assert inside.item() == plain.item() > 0
    inside.backward()
    assert critic.head.weight.grad is not None


def test_clipping_holds_every_weight_within_the_limit():
    critic = Discriminator(GanConfig(backbone="mlp", shape=(2,), widths=(8,)))
    clip_weights(critic, 0.01)
    assert max(float(parameter.detach().abs().max()) for parameter in critic.parameters()) <= 0.01


def test_after_one_half_life_the_average_has_gone_half_the_way():
    layer = torch.nn.Linear(1, 1)
    with torch.no_grad():
        layer.weight.fill_(0.0)
    weights = dict(layer.named_parameters())
    average = MovingAverage(weights, 0.5 ** (1 / 20))
    average.num_updates = 10**9  # the ramp of the first updates is over
    with torch.no_grad():
        layer.weight.fill_(1.0)
    for _ in range(20):
        average.update(weights)
    assert float(average.shadow["weight"]) == pytest.approx(0.5, rel=1e-4)
