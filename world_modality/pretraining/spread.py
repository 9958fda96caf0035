"""How much of their room latents use: what tells that an encoder has collapsed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spectrum(latents: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of the variance of ``latents`` [N, D] along its principal axes, falling; zeros if nothing varies."""
    centred = latents - latents.mean(axis=0)
    variances = np.linalg.svd(centred, compute_uv=False) ** 2
    total = variances.sum()
    shares: NDArray[np.float64] = variances / total if total > 0 else np.zeros_like(variances)
    return shares


def effective_rank(latents: NDArray[np.float64]) -> float:
    """exp(entropy) of the spectrum: as many equally wide axes would be as uncertain. 0 if nothing varies.

    Roy and Vetterli: The effective rank: a measure of effective dimensionality, 2007.

    >>> effective_rank(np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]))
    2.0
    """
    shares = spectrum(latents)
    shares = shares[shares > 0]
    return round(float(np.exp(-(shares * np.log(shares)).sum())), 6) if len(shares) else 0.0
