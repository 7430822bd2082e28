"""Augmentation: the identity at probability 0, exact where it can be, and differentiable twice."""

import pytest
import torch

from designkit.models.augment import DEFAULT_OPERATIONS, OPERATIONS, AdaptiveProbability, augment


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_colours_and_flips_are_off_unless_asked_for():
    assert set(DEFAULT_OPERATIONS) == {"shift", "scale", "cutout"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_probability_zero_is_the_identity_and_one_changes_pictures(operation):
    pictures = torch.randn(6, 3, 8, 8)
    assert torch.equal(augment(pictures, [operation], rng(), probability=0.0), pictures)
    assert not torch.equal(augment(pictures, [operation], rng()), pictures)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_can_be_differentiated_twice(operation):
    pictures = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)

    def smooth(x: torch.Tensor) -> torch.Tensor:
        return augment(x, [operation], rng(3)).tanh()

    assert torch.autograd.gradcheck(smooth, (pictures,))
    assert torch.autograd.gradgradcheck(smooth, (pictures,))


def test_a_shift_moves_whole_pixels_and_brings_in_zeros():
    pictures = torch.rand(64, 1, 16, 16) + 1
    moved = augment(pictures, ["shift"], rng())
    for before, after in zip(pictures[:, 0], moved[:, 0], strict=True):
        padded = torch.nn.functional.pad(before, (2, 2, 2, 2))
        shifts = [padded[r : r + 16, c : c + 16] for r in range(5) for c in range(5)]
        assert any(torch.equal(after, shifted) for shifted in shifts)


def test_a_zoom_keeps_the_middle_and_constant_pictures_within():
    pictures = torch.ones(16, 1, 9, 9)
    assert torch.allclose(augment(pictures, ["scale"], rng())[:, :, 4, 4], torch.ones(()))


def test_flips_and_turns_only_move_pixels():
    pictures = torch.randn(8, 2, 6, 6)
    for operation in ("flip", "rotate"):
        turned = augment(pictures, [operation], rng())
        assert torch.equal(turned.flatten(2).sort().values, pictures.flatten(2).sort().values)
    oblong = torch.randn(8, 2, 6, 4)
    assert augment(oblong, ["rotate"], rng()).shape == oblong.shape


def test_the_probability_moves_by_pictures_over_its_unit_and_stays_below_its_cap():
    controller = AdaptiveProbability(images_per_unit=100, most=0.8)
    for update in range(1, 4):  # the mean sign climbs from 0: 1/8, 15/64, ... below the target at first
        controller.update(torch.ones(10))
        assert float(controller.probability) == 0.0, update
    while float(controller.sureness) <= controller.target:
        controller.update(torch.ones(10))
    assert float(controller.probability) == pytest.approx(0.1)
    controller.update(torch.ones(10))
    assert float(controller.probability) == pytest.approx(0.2)
    for _ in range(50):
        controller.update(torch.ones(10))
    assert float(controller.probability) == 0.8
    for _ in range(200):
        controller.update(-torch.ones(10))
    assert float(controller.probability) == 0.0


def test_the_adaptive_state_is_kept_by_a_checkpoint():
    controller, other = AdaptiveProbability(images_per_unit=100), AdaptiveProbability(images_per_unit=100)
    for _ in range(20):
        controller.update(torch.ones(10))
    other.load_state_dict(controller.state_dict())
    assert float(other.probability) == float(controller.probability) > 0
