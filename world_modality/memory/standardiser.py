"""Mean, scale and correlation of the latents: they standardise the world memory and match random memory to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from world_modality.memory.randomness import keyed_normal

SMALLEST_SCALE = 1e-3  # of the largest: a dimension that hardly varies must not have its rounding errors blown up


class Standardiser(nn.Module):
    """Buffers ``mean`` [P, D], ``scale`` [D] and ``factor`` [D, D] of the training latents, saved with the checkpoint.

    World memory lives in standardised latents ``(z - mean) / scale``: there a zero is the average scene. Each of a
    frame's P tokens has a mean of its own; ``factor @ factor.T`` is their covariance around it, the same for all P.
    Until :meth:`fit` the buffers are 0, 1 and the identity.
    """

    mean: Tensor
    scale: Tensor
    factor: Tensor

    def __init__(self, dim: int, tokens: int = 1) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(tokens, dim))
        self.register_buffer("scale", torch.ones(dim))
        self.register_buffer("factor", torch.eye(dim))

    def fit(self, mean: npt.NDArray[np.float32], factor: npt.NDArray[np.float32]) -> None:
        """Take over the latents' ``mean`` [P, D] and a factor [D, D] of their covariance, ``factor @ factor.T``."""
        tokens, dim = self.mean.shape
        if mean.shape != (tokens, dim) or factor.shape != (dim, dim):
            raise ValueError(
                f"latents have {tokens} tokens of {dim} dimensions, but mean is {mean.shape} and factor {factor.shape}"
            )
        scale = np.sqrt(np.square(factor, dtype=np.float64).sum(axis=1))
        scale = np.maximum(scale, SMALLEST_SCALE * scale.max()) if scale.any() else np.ones(dim)
        for buffer, value in ((self.mean, mean), (self.scale, scale), (self.factor, factor / scale[:, None])):
            buffer.copy_(torch.from_numpy(np.asarray(value, np.float32)))

    @property
    def fitted(self) -> bool:
        """Whether the buffers hold anything but what they begin with."""
        plain = torch.eye(len(self.factor), device=self.factor.device)
        return not (torch.equal(self.factor, plain) and bool((self.mean == 0).all() and (self.scale == 1).all()))

    def forward(self, latents: Tensor) -> Tensor:
        """Latents [..., P, D] in their own units -> standardised float32 [..., P, D]."""
        return (latents.float() - self.mean) / self.scale

    def draw(self, seeds: Sequence[int], tokens: int) -> Tensor:
        """Standardised tokens [len(seeds), tokens, D], normal with the latents' mean and covariance, keyed by row."""
        noise = keyed_normal(seeds, (tokens, self.factor.shape[1]))
        return noise.to(self.factor.device) @ self.factor.T
