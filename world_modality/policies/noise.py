"""Ways in which a LeRobot policy is given its noise row by row, so that many rows can be computed together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

Noise = Callable[[Any, Sequence[int]], AbstractContextManager[Mapping[str, torch.Tensor]]]
"""``(policy, seeds)`` -> a block in which row i draws by ``seeds[i]`` alone; yields further arguments of
``predict_action_chunk``. Always drawn on the CPU, so that devices agree."""


@contextmanager
def given_noise(policy: Any, seeds: Sequence[int]) -> Iterator[Mapping[str, torch.Tensor]]:
    """Flow matching draws once, at the start, and takes that noise as an argument: [B, chunk_size, max_action_dim]."""
    config = policy.config
    yield {"noise": _drawn(_generators(seeds), (config.chunk_size, config.max_action_dim), config.device)}


@contextmanager
def noise_at_every_step(policy: Any, seeds: Sequence[int]) -> Iterator[Mapping[str, torch.Tensor]]:
    """Diffusion starts from noise that it takes as an argument; DDPM adds more at every denoising step.

    diffusers takes a generator per row, which LeRobot does not pass on: so the step is given them.
    """
    config, generators = policy.config, _generators(seeds)
    shape = (config.horizon, config.action_feature.shape[0])
    scheduler = policy.diffusion.noise_scheduler
    step = scheduler.step
    scheduler.step = lambda *arguments, **named: step(*arguments, **{**named, "generator": generators})
    try:
        yield {"noise": _drawn(generators, shape, config.device)}
    finally:
        del scheduler.step


@contextmanager
def no_noise(_policy: Any, _seeds: Sequence[int]) -> Iterator[Mapping[str, torch.Tensor]]:
    """ACT draws while it is trained alone."""
    yield {}


def _generators(seeds: Sequence[int]) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def _drawn(generators: Sequence[torch.Generator], shape: tuple[int, ...], device: Any) -> torch.Tensor:
    """Standard normal numbers float32 [len(generators), *shape]."""
    return torch.cat([torch.randn((1, *shape), generator=generator) for generator in generators]).to(device)
