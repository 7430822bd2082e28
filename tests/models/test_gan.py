"""Networks of GANs: what they are equal to, what their options change, and what must not change."""

import pytest
import torch

from designkit.models.gan import Discriminator, GanConfig, GeneratorNetwork, default_widths, draw_mixing, truncate
from designkit.models.normalisation import VirtualBatchNorm

R3 = GanConfig(shape=(3, 16, 16), latent_dim=8, widths=(32, 32, 16), group_width=16)
STYLED = GanConfig(
    shape=(3, 16, 16), latent_dim=8, widths=(32, 32, 16), mapping_layers=2, is_modulated=True, blocks_per_stage=2
)
SHAPES = [
    GanConfig(backbone="mlp", shape=(2,), latent_dim=4, widths=(16, 16)),
    GanConfig(backbone="mlp", shape=(1, 8, 8), latent_dim=4, widths=(16,)),
    GanConfig(backbone="dcgan", shape=(3, 64, 64), latent_dim=100, widths=(32, 16, 16, 8, 8)),
    GanConfig(
        backbone="dcgan", shape=(1, 28, 28), latent_dim=16, widths=(16, 8, 8), generator_normalisation="batch",
        discriminator_normalisation="spectral",
    ),
    GanConfig(backbone="dcgan", shape=(1, 8, 8), latent_dim=16, widths=(16, 8), generator_normalisation="virtual"),
    GanConfig(shape=(4, 16, 24), latent_dim=8, widths=(32, 16)),
    R3,
]  # fmt: skip


def seeded(config: GanConfig) -> GeneratorNetwork:
    """A generator whose zero-initialised parts are not zero any more, as after training."""
    torch.manual_seed(1)
    network = GeneratorNetwork(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize("config", SHAPES, ids=lambda config: f"{config.backbone}-{'x'.join(map(str, config.shape))}")
def test_samples_have_the_shape_of_the_config_and_logits_are_one_a_sample(config: GanConfig):
    generator, critic = GeneratorNetwork(config), Discriminator(config)
    samples = generator(torch.randn(3, config.latent_dim))
    assert samples.shape == (3, *config.shape)
    assert critic(samples).shape == (3,)
    assert GanConfig.from_json(config.to_json()) == config


def test_default_widths_end_at_four_to_seven_pixels_for_every_usual_side():
    for side, base in ((8, 4), (16, 4), (28, 7), (32, 4), (96, 6), (256, 4)):
        assert side / 2 ** (len(default_widths(side)) - 1) == base
    with pytest.raises(ValueError, match="a side of 50 px cannot be halved"):
        default_widths(50)


def test_everything_wrong_with_a_config_is_said_at_once():
    bad = GanConfig(shape=(3, 20, 20), widths=(40, 40, 40, 40), generator_normalisation="batch", condition="text")
    said = "; ".join(bad.problems())
    for part in ("20 x 20 pixels", "exists for dcgan alone", "above group_width 32 are not", "condition_dim"):
        assert part in said
    with pytest.raises(ValueError, match="unknown keys: depth"):
        GanConfig.from_json({"depth": 3})


def test_modulation_that_has_learned_nothing_leaves_exactly_the_plain_network():
    plain = GeneratorNetwork(R3)
    styled = GeneratorNetwork(GanConfig.from_json({**R3.to_json(), "is_modulated": True}))
    missing = styled.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing
    assert all(".modulation." in name for name in missing)
    latents = torch.randn(2, R3.latent_dim)
    torch.testing.assert_close(styled(latents), plain(latents), rtol=0, atol=0)


def test_truncation_one_is_the_identity_and_zero_makes_all_pictures_one():
    network = seeded(STYLED)
    styles = network.map(torch.randn(4, STYLED.latent_dim))
    centre = network.centre()
    assert torch.equal(truncate(styles, centre, 1.0), styles)
    drawn = network.synthesise(truncate(styles, centre, 0.0))
    assert all(torch.equal(picture, drawn[0]) for picture in drawn)
    assert not torch.equal(network.synthesise(styles)[0], network.synthesise(styles)[1])


def test_the_centre_of_a_mapped_space_is_the_mean_style_of_each_condition():
    config = GanConfig.from_json({**STYLED.to_json(), "condition": "classes", "condition_dim": 2, "embedding_dim": 4})
    network = seeded(config)
    one_hot = torch.eye(2)
    latents = torch.randn(20_000, config.latent_dim)
    with torch.no_grad():
        means = torch.stack([network.map(latents, c.expand(20_000, -1)).mean(0) for c in one_hot])
    torch.testing.assert_close(network.centre(one_hot), means, rtol=0, atol=0.1 * float(means.std()) + 0.05)


@pytest.mark.parametrize("config", [R3, STYLED], ids=["plain", "styled"])
def test_styles_of_every_layer_alike_draw_what_one_style_draws(config: GanConfig):
    network = seeded(config)
    styles = network.map(torch.randn(2, config.latent_dim))
    assert torch.equal(network.synthesise(styles[:, None].repeat(1, network.num_layers, 1)), network.synthesise(styles))


def test_mixing_takes_over_from_a_layer_on_and_never_the_coarsest():
    network = seeded(STYLED)
    mixed = draw_mixing(network, torch.Generator().manual_seed(0), 64, None, probability=0.5)
    assert mixed is not None
    taken = mixed.isfinite().all(dim=2)
    assert not taken[:, 0].any()
    assert torch.equal(taken, taken.cummax(dim=1).values)
    assert 0.2 < taken[:, -1].float().mean() < 0.8
    latents = torch.randn(64, STYLED.latent_dim)
    drawn, alone = network(latents, mix_with=mixed), network(latents)
    for is_mixed, a, b in zip(taken[:, -1], drawn, alone, strict=True):
        assert torch.allclose(a, b, atol=1e-5) != bool(is_mixed)
    assert draw_mixing(network, torch.Generator(), 4, None, probability=0) is None


def test_spectral_normalisation_holds_every_layers_largest_singular_value_at_one():
    config = GanConfig.from_json({**R3.to_json(), "discriminator_normalisation": "spectral"})
    critic = Discriminator(config)
    for _ in range(60):
        critic(torch.randn(2, *config.shape))
    critic.eval()
    for layer in (layer for layer in critic.modules() if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)):
        weight = layer.weight.detach()
        if weight.abs().max() > 0:  # the last layer of each block starts at 0
            largest = torch.linalg.matrix_norm(weight.flatten(1), ord=2)
            torch.testing.assert_close(largest, torch.ones(()), rtol=0.02, atol=0)


def test_virtual_batch_normalisation_does_not_see_batch_mates_and_batch_normalisation_does():
    torch.manual_seed(0)
    reference, mates, one = torch.randn(16, 3, 4, 4), 5 * torch.randn(7, 3, 4, 4), torch.randn(1, 3, 4, 4)
    virtual, batch = VirtualBatchNorm(3), torch.nn.BatchNorm2d(3)
    virtual.is_collecting = True
    torch.testing.assert_close(virtual(reference), batch(reference), rtol=1e-4, atol=1e-4)
    virtual.is_collecting = False
    for layer, is_alone in ((virtual, True), (batch, False)):
        in_company = layer(torch.cat([one, mates]))[:1]
        assert torch.allclose(in_company, layer(one), atol=1e-6) == is_alone


def test_virtual_batch_normalisation_is_the_joint_statistic_of_reference_and_sample():
    torch.manual_seed(0)
    reference, one = torch.randn(16, 3, 4, 4), 3 + torch.randn(1, 3, 4, 4)
    layer = VirtualBatchNorm(3)
    layer.is_collecting = True
    layer(reference)
    layer.is_collecting = False
    expected = torch.nn.BatchNorm2d(3)(torch.cat([reference, one]))[-1:]
    torch.testing.assert_close(layer(one), expected, rtol=1e-4, atol=1e-4)


def test_a_virtually_normalised_generator_learns_through_its_reference_and_draws_without_it():
    config = GanConfig(
        backbone="dcgan", shape=(1, 8, 8), latent_dim=4, widths=(16, 8), generator_normalisation="virtual"
    )
    torch.manual_seed(0)
    network = GeneratorNetwork(config)
    network(torch.randn(4, 4)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    network.settle(torch.randn(64, 4))
    other = GeneratorNetwork(config).eval()
    other.load_state_dict(network.state_dict())
    latents = torch.randn(3, 4)
    assert torch.equal(other(latents), network.eval()(latents))
    torch.testing.assert_close(other(latents)[:1], other(latents[:1]))


def test_batch_statistics_are_measured_anew_for_averaged_weights():
    config = GanConfig(backbone="dcgan", shape=(1, 8, 8), latent_dim=4, widths=(16, 8), generator_normalisation="batch")
    torch.manual_seed(0)
    network = GeneratorNetwork(config)
    with torch.no_grad():
        network.body.project.weight.mul_(30)
    latents = torch.randn(64, 4)
    network.settle(latents)
    torch.testing.assert_close(network.eval()(latents), network.train()(latents), rtol=1e-2, atol=1e-2)


def test_the_condition_reaches_the_picture_and_the_logit():
    config = GanConfig.from_json({**R3.to_json(), "condition": "classes", "condition_dim": 3, "embedding_dim": 4})
    generator, critic = seeded(config), Discriminator(config)
    latents, one_hot = torch.randn(1, config.latent_dim).repeat(3, 1), torch.eye(3)
    pictures = generator(latents, one_hot)
    assert not torch.allclose(pictures[0], pictures[1])
    logits = critic(pictures[:1].repeat(3, 1, 1, 1), one_hot)
    assert len(set(logits.tolist())) == 3
    seen = critic.features(pictures[:1].repeat(3, 1, 1, 1))
    torch.testing.assert_close(critic.match(seen, one_hot).diagonal() + critic.head(seen)[:, 0], logits)
    with pytest.raises(ValueError, match="needs a condition"):
        generator(latents)
