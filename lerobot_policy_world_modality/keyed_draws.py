"""Random draws of a training or a rollout that depend on what they are for alone.

Training: on (seed, step, frame), so a resumed run, another rank and another arm meet the same noise for the same frame
at the same step. Rollout: on the flow noise, which the caller keys by episode and replan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from world_modality.memory.randomness import draw_each
from world_modality.store.keys import keyed_seed

Step = int | str  # a training step, or "eval" where losses at different steps are to be comparable


def seeds_of_frames(purpose: str, seed: int, step: Step, index: Tensor) -> tuple[int, ...]:
    """One seed per sample for ``purpose``; ``index`` int64 [B] holds the dataset's global frame indices."""
    return tuple(keyed_seed(purpose, seed, step, frame) for frame in index.tolist())


def seeds_of_noise(purpose: str, noise: Tensor) -> tuple[int, ...]:
    """One seed per sample for ``purpose``, a function of the sample's row of ``noise`` [B, ...] alone."""
    rows = noise.detach().float().cpu().contiguous().numpy()
    return tuple(keyed_seed(purpose, hashlib.sha256(row.tobytes()).hexdigest()) for row in rows)


def draw_noise_and_time(model: Any, seeds: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Noise float32 [B, chunk_size, max_action_dim] and time float32 [B], by SmolVLA's own samplers on the CPU."""
    cpu = torch.device("cpu")
    shape = (1, model.config.chunk_size, model.config.max_action_dim)
    with _unchecked_distributions():
        draws = draw_each(seeds, lambda: (model.sample_noise(shape, cpu), model.sample_time(1, cpu)))
    noise, time = zip(*draws, strict=True)
    return torch.cat(noise).to(device), torch.cat(time).to(device)


@contextmanager
def _unchecked_distributions() -> Iterator[None]:
    """PyTorch checks a distribution's constants each time one is made: per sample, that is most of a draw's time."""
    checked = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(checked)
