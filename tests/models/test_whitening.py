"""Principal directions of vectors at unit variance."""

# pyright: basic
import torch

from designkit.models.whitening import whitening


def test_wide_directions_come_first_at_unit_variance_and_narrow_ones_are_left_out():
    rng = torch.Generator().manual_seed(0)
    turned, _ = torch.linalg.qr(torch.randn((4, 4), generator=rng))
    vectors = torch.randn((5000, 4), generator=rng) * torch.tensor([10.0, 3.0, 2.0, 0.1]) @ turned.T + 7
    rows = whitening(vectors)
    assert rows.shape == (3, 4)
    torch.testing.assert_close(torch.cov((vectors @ rows.T).T), torch.eye(3), rtol=0, atol=1e-4)
    directions = rows / rows.norm(dim=1, keepdim=True)
    torch.testing.assert_close((directions @ turned[:, :3]).abs(), torch.eye(3), rtol=0, atol=0.05)
