"""Learned embeddings that tell the tokens of a grid apart by each of their coordinates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SCALE = 0.02


class GridEmbedding(nn.Module):
    """The sum of one learned vector per coordinate; an axis of length 1 needs none.

    ``GridEmbedding({"time": 8, "camera": 2}, 64)()`` is [16, 64], the last axis running fastest.
    """

    def __init__(self, axes: dict[str, int], width: int) -> None:
        super().__init__()
        self._axes = dict(axes)
        self._width = width
        first = next(iter(axes))
        for name, length in axes.items():
            if length > 1 or name == first:
                self.register_parameter(name, nn.Parameter(torch.randn(length, width) * SCALE))

    def forward(self) -> Tensor:
        """[product of the axes' lengths, width]."""
        lengths = tuple(self._axes.values())
        total: Tensor | None = None
        for place, (name, length) in enumerate(self._axes.items()):
            vectors = self._parameters.get(name)
            if vectors is not None:
                shape = [1] * len(lengths)
                shape[place] = length
                part = vectors.view(*shape, self._width)
                total = part if total is None else total + part
        assert total is not None
        return total.expand(*lengths, self._width).reshape(-1, self._width)
