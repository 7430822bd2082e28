"""What text encoders make of captions: named tensors with one row a caption."""

# pyright: basic
from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

Text = dict[str, Tensor]


def join(texts: Sequence[Mapping[str, Tensor]]) -> Text:
    """Texts of one row each as one of N rows; shorter ones are filled up with zeros, which their masks tell."""
    joined: Text = {}
    for name in texts[0]:
        rows = [text[name] for text in texts]
        longest = max(row.shape[1] for row in rows) if rows[0].dim() > 1 else 0
        if any(row.dim() > 1 and row.shape[1] != longest for row in rows):
            rows = [pad(row, (*(0, 0) * (row.dim() - 2), 0, longest - row.shape[1])) for row in rows]
        joined[name] = torch.cat(rows)
    return joined
