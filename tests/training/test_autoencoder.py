"""The autoencoder's tasks: recolouring reaches every colour, and widening holds what was known."""

# pyright: basic, reportPrivateImportUsage=false, reportAttributeAccessIssue=false, reportOptionalSubscript=false
# pyright: reportOptionalMemberAccess=false
import torch

from designkit.training.config import AutoencoderRecipe
from designkit.training.recipes.autoencoder import WideningTask, build_autoencoder, recolour


def test_recolouring_maps_each_channel_between_two_levels_of_its_picture():
    rng = torch.Generator().manual_seed(0)
    ramp = torch.linspace(-1, 1, 5).view(1, 1, 1, 5).expand(64, 3, 1, 5)  # grey: the order of channels does not matter
    changed = recolour(ramp, rng)
    assert changed.shape == ramp.shape
    assert float(changed.abs().max()) <= 1.0
    middle = (changed[..., :1] + changed[..., -1:]) / 2
    torch.testing.assert_close(changed[..., 2:3], middle)  # straight lines stay straight
    white = changed[:, :, 0, -1]
    assert bool(((white.abs() == 1).float().mean() - 0.5).abs() < 0.1)  # half of the levels are full ones


def test_recolouring_exchanges_channels_of_a_picture_alike_at_every_pixel():
    rng = torch.Generator().manual_seed(1)
    red = torch.full((200, 3, 2, 2), -1.0)
    red[:, 0] = 1.0
    changed = recolour(red, rng)
    torch.testing.assert_close(changed[:, :, :1, :1].expand_as(changed), changed)
    assert float(changed[:, :, 0, 0].mean(dim=0).std()) < 0.1  # no channel is favoured


def test_scenes_are_decoded_from_where_they_always_were_and_their_latents_are_held():
    recipe = AutoencoderRecipe(channels=(8, 8), norm_groups=1, crop_px=16, recoloured_share=0.5, anchor_weight=10.0)
    torch.manual_seed(0)
    task = WideningTask(build_autoencoder(recipe), recipe, seed=3)
    batch = task.batch(0, 4)
    side = 16 // 2
    batch["noise"] = torch.zeros(4, 4, side, side)
    assert int(batch["is_known"].sum()) == 2
    loss, measured = task.module(batch)
    assert measured["moved"] == 0.0  # nothing is learned yet
    torch.testing.assert_close(float(loss.detach()), measured["distance"])

    with torch.no_grad():  # move every latent by one: the anchor sees the known half of them
        task.autoencoder.quant_conv.bias[: recipe.latent_channels] += 1.0
    loss, measured = task.module(batch)
    torch.testing.assert_close(measured["moved"], 0.5, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(float(loss.detach()), measured["distance"] + 10.0 * 0.5, rtol=1e-5, atol=1e-5)

    known = task.module.known.encode(batch["pixels"][batch["is_known"]]).latent_dist.mean
    drawn = task.autoencoder.decode(known).sample
    truth = batch["pixels"][batch["is_known"]]
    only = {**{name: batch[name][batch["is_known"]] for name in ("pixels", "noise")}, "is_known": torch.ones(2) > 0}
    _, measured = task.module(only)
    gradients = sum(0.5 * (drawn.diff(dim=axis) - truth.diff(dim=axis)).abs().mean() for axis in (2, 3))
    torch.testing.assert_close(measured["distance"], float(((drawn - truth).abs().mean() + gradients).detach()))


def test_what_is_known_never_learns_and_no_checkpoint_keeps_it():
    recipe = AutoencoderRecipe(channels=(8, 8), norm_groups=1, crop_px=16)
    task = WideningTask(build_autoencoder(recipe), recipe, seed=3)
    own = {id(parameter) for parameter in task.module.parameters()}
    assert own == {id(parameter) for parameter in task.autoencoder.parameters()}
    assert not any(parameter.requires_grad for parameter in task.module.known.parameters())
