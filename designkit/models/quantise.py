"""Latents that are letters of an alphabet: vector quantisation with a learned codebook, and by rounding."""

# pyright: basic
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_DECAY = 0.95  # of the moving averages that the codebook follows
_LEAST_USE = 0.3  # of an even share: a code that is used less is dead


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """Latents [N, D, h, w] after quantisation, with gradients passed straight through; `codes` [N, h, w] int64.

    `commitment` is the squared distance to the codebook, summed over a sample's latents, [N].
    """

    latents: Tensor
    codes: Tensor
    commitment: Tensor


class VectorQuantiser(nn.Module):
    """The nearest of `num_codes` vectors, each a moving average of what was mapped to it.

    van den Oord et al., arXiv 1711.00937; averages as in its appendix A.1. In training, codes that are hardly used
    are put where the batch is.
    """

    vectors: Tensor
    use: Tensor
    sums: Tensor

    def __init__(self, num_codes: int, dim: int) -> None:
        super().__init__()
        self.num_codes = num_codes
        start = torch.randn(num_codes, dim)
        self.register_buffer("vectors", start)
        self.register_buffer("use", torch.ones(num_codes))  # codes in a batch, on average, over an even share
        self.register_buffer("sums", start.clone())

    def forward(self, latents: Tensor) -> Quantised:
        """Quantise latents [N, D, h, w]; in training the codebook follows them."""
        rows = _as_rows(latents)
        codes = self.nearest(rows)
        if self.training:
            self._follow(rows.detach(), codes)
        quantised = _as_latents(self.vectors[codes], latents)
        commitment = (latents - quantised.detach()).square().flatten(1).sum(dim=1)
        codes = codes.reshape(len(latents), *latents.shape[2:])
        return Quantised(latents=latents + (quantised - latents).detach(), codes=codes, commitment=commitment)

    def nearest(self, rows: Tensor) -> Tensor:
        """The numbers [M] of the vectors nearest to rows [M, D]."""
        vectors = self.vectors.to(rows.dtype)
        return (vectors.square().sum(dim=1) - 2 * rows.detach() @ vectors.T).argmin(dim=1)

    @torch.no_grad()
    def start_at(self, rows: Tensor, rng: torch.Generator, *, num_rounds: int = 10) -> None:
        """Put the codes at the k-means of rows [M, D]."""
        self.vectors.copy_(k_means(rows, self.num_codes, rng, num_rounds=num_rounds))
        self.sums.copy_(self.vectors)
        self.use.fill_(1.0)

    @torch.no_grad()
    def _follow(self, rows: Tensor, codes: Tensor) -> None:
        rows = rows.float()
        share = self.num_codes / len(rows)
        use = torch.bincount(codes, minlength=self.num_codes).float() * share
        sums = torch.zeros_like(self.sums).index_add_(0, codes, rows) * share
        self.use.lerp_(use, 1 - _DECAY)
        self.sums.lerp_(sums, 1 - _DECAY)
        self.vectors.copy_(self.sums / self.use.clamp(min=1e-6)[:, None])
        dead = (self.use < _LEAST_USE).nonzero()[:, 0]
        if len(dead):
            chosen = rows[torch.randint(len(rows), (len(dead),)).to(rows.device)]
            self.vectors[dead] = chosen
            self.sums[dead] = chosen
            self.use[dead] = 1.0


class FiniteScalarQuantiser(nn.Module):
    """Each channel bounded and rounded to one of `levels[channel]` values (Mentzer et al., arXiv 2309.15505)."""

    levels: Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        self.num_codes = math.prod(levels)
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.float32)[:, None, None], persistent=False)

    def forward(self, latents: Tensor) -> Quantised:
        """Quantise latents [N, D, h, w] to values in [-1, 1]."""
        half = (self.levels - 1) / 2
        # An even number of levels has no middle one: shifted by a half, so that rounding gives exactly that many.
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)
        reach = half * (1 + 1e-3)
        shift = torch.atanh(offset / reach)
        bounded = torch.tanh(latents + shift) * reach - offset
        rounded = bounded + (bounded.round() - bounded).detach()
        numbers = (bounded.detach().round() + torch.div(self.levels, 2, rounding_mode="floor")).long()
        steps = torch.cumprod(torch.cat([torch.ones_like(self.levels[:1]), self.levels[:-1]]), dim=0).long()
        return Quantised(
            latents=rounded / torch.div(self.levels, 2, rounding_mode="floor"), codes=(numbers * steps).sum(dim=1),
            commitment=latents.new_zeros(len(latents)),
        )  # fmt: skip


def perplexity(codes: Tensor, num_codes: int) -> float:
    """How many codes are in use, each counted by its share: e to the entropy of their use, 1 to `num_codes`."""
    share = torch.bincount(codes.flatten(), minlength=num_codes).double() / codes.numel()
    return float(torch.exp(-torch.xlogy(share, share).sum()))


def k_means(rows: Tensor, count: int, rng: torch.Generator, *, num_rounds: int) -> Tensor:
    """`count` centres [count, D] of rows [M, D] by Lloyd's rounds, begun at rows far apart (k-means++)."""
    rows = rows.float()
    centres = rows[torch.randint(len(rows), (1,), generator=rng)]
    nearest = (rows - centres).square().sum(dim=1)
    while len(centres) < count:
        weights = nearest.cpu() if float(nearest.sum()) > 0 else torch.ones(len(rows))
        one = rows[torch.multinomial(weights, 1, generator=rng)]
        centres = torch.cat([centres, one])
        nearest = torch.minimum(nearest, (rows - one).square().sum(dim=1))
    for _ in range(num_rounds):
        owner = torch.cdist(rows, centres).argmin(dim=1)
        sizes = torch.bincount(owner, minlength=count)
        means = torch.zeros_like(centres).index_add_(0, owner, rows) / sizes.clamp(min=1)[:, None]
        centres = torch.where(sizes[:, None] > 0, means, centres)
    return centres


def _as_rows(latents: Tensor) -> Tensor:
    return latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])


def _as_latents(rows: Tensor, like: Tensor) -> Tensor:
    return rows.reshape(len(like), *like.shape[2:], like.shape[1]).permute(0, 3, 1, 2)
