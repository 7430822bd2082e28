"""The autoencoder's recipe."""

# pyright: basic, reportAttributeAccessIssue=false, reportArgumentType=false
import torch

from designkit.starter.renderer import render
from designkit.starter.scenes import training_scene
from designkit.training.config import AutoencoderRecipe, Schedule
from designkit.training.recipes.autoencoder import (
    CROP,
    AutoencoderTask,
    DecoderTask,
    pictures_to_tensor,
    standardise_latents,
)

TINY = AutoencoderRecipe(
    channels=(8, 8, 8, 8), norm_groups=1, crop_px=64, equivariance_share=1.0, training=Schedule(steps=1),
    decoder_training=Schedule(steps=1),
)  # fmt: skip


def pixels(count: int) -> torch.Tensor:
    return pictures_to_tensor([render(training_scene(index, seed=3), CROP) for index in range(count)])


def test_pictures_become_tensors_between_minus_one_and_one():
    tensor = pixels(2)
    assert tensor.shape == (2, 3, 128, 128)
    assert tensor.min() >= -1
    assert tensor.max() <= 1
    assert tensor.dtype == torch.float32


def test_standardised_latents_have_mean_0_and_deviation_1_and_the_pictures_do_not_change():
    torch.manual_seed(1)
    autoencoder = AutoencoderTask(TINY, seed=3).autoencoder.eval()
    truth = pixels(64)
    with torch.no_grad():
        before = autoencoder.decode(autoencoder.encode(truth).latent_dist.mean).sample
        standardise_latents(autoencoder, seed=3)
        latents = autoencoder.encode(truth).latent_dist.mean
        after = autoencoder.decode(latents).sample
    assert torch.allclose(before, after, atol=1e-4)
    assert latents.mean(dim=(0, 2, 3)).abs().max() < 0.2
    assert (latents.std(dim=(0, 2, 3)) - 1).abs().max() < 0.2
    assert autoencoder.config.scaling_factor == 1.0


def test_sharpening_the_decoder_leaves_the_latent_space_as_it_was():
    torch.manual_seed(2)
    autoencoder = AutoencoderTask(TINY, seed=3).autoencoder
    task = DecoderTask(autoencoder, TINY, seed=3)
    truth = pixels(2)
    before = autoencoder.encode(truth).latent_dist.mean.detach()
    optimizer = torch.optim.SGD(task.phases(Schedule(steps=1))[0].groups[0]["params"], lr=0.1)
    loss, _ = task.module(task.batch(0, 2))
    loss.backward()
    optimizer.step()
    assert torch.equal(before, autoencoder.encode(truth).latent_dist.mean)
    assert not torch.equal(
        autoencoder.decoder.conv_out.weight.grad, torch.zeros_like(autoencoder.decoder.conv_out.weight)
    )


def test_a_batch_is_fixed_by_its_step_and_its_crops_have_the_size_asked_for():
    task = AutoencoderTask(TINY, seed=3)
    first, again, other = task.batch(4, 2), task.batch(4, 2), task.batch(5, 2)
    assert first["pixels"].shape == (2, 3, 64, 64)
    assert torch.equal(first["pixels"], again["pixels"])
    assert torch.equal(first["noise"], again["noise"])
    assert not torch.equal(first["pixels"], other["pixels"])
