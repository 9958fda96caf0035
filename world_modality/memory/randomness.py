"""Random draws that leave PyTorch's global generator as they found it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def borrowed_generator() -> Iterator[torch.Generator]:
    """The CPU's global generator, to be reseeded at will: its state is put back afterwards.

    For code that draws from the global generator and takes no other. ``torch.manual_seed`` would also
    reseed every GPU, whose state is not put back here; seed the generator that this yields instead.
    """
    generator = torch.default_generator
    state = generator.get_state()
    try:
        yield generator
    finally:
        generator.set_state(state)


def draw_each[T](seeds: Sequence[int], draw: Callable[[], T]) -> list[T]:
    """``draw()`` once per seed, with the CPU's global generator seeded by it."""
    with borrowed_generator() as generator:
        results = []
        for seed in seeds:
            generator.manual_seed(seed)
            results.append(draw())
    return results


def keyed_normal(seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
    """Standard normal float32 [len(seeds), *shape] on the CPU, row i a function of ``seeds[i]`` alone."""
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
