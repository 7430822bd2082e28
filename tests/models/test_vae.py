"""Networks of VAEs: shapes of every latent, configs that are refused with every reason, conditions that reach them."""

import pytest
import torch

from designkit.models.vae import Posterior, Vae, VaeConfig

CONFIGS = [
    VaeConfig(shape=(1, 8, 8), latent_dim=5, widths=(16, 8), likelihood="logistic", levels=17),
    VaeConfig(shape=(3, 16, 24), latent="spatial", latent_dim=4, widths=(16, 8, 8), likelihood="bernoulli"),
    VaeConfig(shape=(3, 16, 16), latent="spatial", latent_dim=4, widths=(16, 8), quantiser="vq", codes=12),
    VaeConfig(
        shape=(1, 28, 28), latent="spatial", latent_dim=3, widths=(16, 8, 8), quantiser="fsq", code_levels=(5, 4, 3)
    ),
    VaeConfig(shape=(4, 128, 128), latent_dim=6, widths=(8, 8, 8, 8, 8, 8)),
    VaeConfig(shape=(4, 16, 16), latent_dim=6, widths=(24, 16), encoder_widths=(8, 8)),
]  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.quantiser}-{c.likelihood}-{'x'.join(map(str, c.shape))}")
def test_latents_and_pictures_have_the_shapes_of_the_config(config: VaeConfig):
    torch.manual_seed(0)
    network = Vae(config)
    x = torch.rand((2, *config.shape)) * 2 - 1
    posterior = network.encode(x)
    assert posterior.mean.shape == (2, *config.latent_shape)
    assert posterior.sample(torch.Generator(), 3).shape == (6, *config.latent_shape)
    assert network.pictures(posterior.mean).shape == x.shape
    assert network.log_likelihood(network.decode(posterior.mean), x).shape == (2,)
    assert VaeConfig.from_json(config.to_json()) == config


def test_draws_of_all_pictures_come_before_the_second_draw():
    mean = torch.arange(12.0).reshape(3, 4)
    drawn = Posterior(mean=mean, log_variance=torch.full((3, 4), -12.0)).sample(torch.Generator().manual_seed(4), 2)
    torch.testing.assert_close(drawn, mean.repeat(2, 1), atol=0.02, rtol=0)
    assert not torch.equal(drawn[:3], drawn[3:])


def test_everything_wrong_with_a_config_is_said_at_once():
    bad = VaeConfig(shape=(3, 20, 20), widths=(12, 16, 16, 16), quantiser="vq", condition="text")
    said = "; ".join(bad.problems())
    for part in ("20 x 20 pixels", "widths [12]", "use latent spatial", "codes above 1", "condition_dim"):
        assert part in said
    for values, part in (
        ({"depth": 3}, "unknown keys: depth"),
        ({"quantiser": "fsq", "latent": "spatial"}, "fsq needs code_levels"),
        ({"quantiser": "fsq", "latent": "spatial", "code_levels": [4, 4]}, "64 numbers"),
        ({"shape": [2]}, "a VAE learns pictures"),
        ({"levels": 1}, "levels is 1"),
        ({"widths": [16, 8], "encoder_widths": [8]}, "1 encoder_widths beside 2 widths"),
        ({"widths": [16, 8], "encoder_widths": [8, 4]}, r"widths \[4\]"),
    ):
        with pytest.raises(ValueError, match=part):
            VaeConfig.from_json(values)


def test_the_condition_reaches_latent_and_picture():
    config = VaeConfig(
        shape=(1, 8, 8), latent_dim=4, widths=(16, 8), condition="classes", condition_dim=3, embedding_dim=4
    )
    torch.manual_seed(0)
    network = Vae(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    x, latents, one_hot = torch.zeros(3, 1, 8, 8), torch.zeros(3, 4), torch.eye(3)
    for made in (network.encode(x, one_hot).mean, network.pictures(latents, one_hot)):
        assert not torch.allclose(made[0], made[1])
    with pytest.raises(ValueError, match="needs a condition"):
        network.decode(latents)


def test_captions_begin_as_principal_directions_of_unit_variance():
    config = VaeConfig(
        shape=(1, 8, 8), latent_dim=4, widths=(16, 8), condition="text", condition_dim=6, embedding_dim=8
    )
    rng = torch.Generator().manual_seed(0)
    wide = torch.tensor([9.0, 4.0, 2.0, 1.5, 1.2, 0.01])  # the last is far below a tenth of the widest
    captions = torch.randn((500, 6), generator=rng) * wide + 3
    network = Vae(config)
    network.take_conditions(captions)
    assert network.embed is not None
    embedded = network.embed(captions).detach()
    torch.testing.assert_close(
        torch.cov(embedded.T), torch.diag(torch.tensor([1.0] * 5 + [0.0] * 3)), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(embedded.mean(dim=0), torch.zeros(8), atol=1e-4, rtol=0)


def test_a_text_tells_the_coarsest_stage_what_the_latent_does_not():
    config = VaeConfig(
        shape=(1, 8, 8), latent_dim=4, widths=(16, 8), condition="text", condition_dim=3, embedding_dim=4
    )
    torch.manual_seed(0)
    decoder = Vae(config).decoder
    # Scale and shift of every block start at 0, so that what differs is what the coarsest stage was told.
    first, second = (decoder(torch.zeros(1, 4), each) for each in (torch.zeros(1, 4), torch.ones(1, 4)))
    assert not torch.allclose(first, second)


def test_only_quantised_models_quantise():
    with pytest.raises(ValueError, match="nothing to quantise by"):
        Vae(CONFIGS[0]).quantise(torch.zeros(1, 5))


def test_no_gradient_is_missing_and_the_deviation_of_pixels_is_learned():
    torch.manual_seed(0)
    network = Vae(VaeConfig(shape=(3, 8, 8), latent_dim=4, widths=(8, 8)))
    x = torch.rand((4, 3, 8, 8))
    posterior = network.encode(x)
    network.log_likelihood(network.decode(posterior.sample(torch.Generator())), x).sum().backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []
    assert network.log_deviation is not None
    assert network.log_deviation.shape == (3, 1, 1)
