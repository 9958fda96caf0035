"""How much memory a training holds before its first activation, from how many numbers it has of which kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

FULL = 4  # bytes of a float32


@dataclass(frozen=True)
class Numbers:
    """So many numbers of ``width`` bytes each; only those of trained parameters get gradients."""

    count: int
    width: int
    trained: bool


@dataclass(frozen=True)
class Footprint:
    """Bytes, without activations, which grow with batch, pictures and fusion, and without CUDA's own."""

    weights: int
    gradients: int
    moments: int
    masters: int
    update: int
    """Of an optimiser step alone: what it holds while it runs."""

    @property
    def total(self) -> int:
        """Their sum, which is held during an optimiser step."""
        return self.weights + self.gradients + self.moments + self.masters + self.update


def footprint(numbers: Iterable[Numbers], *, masters: bool) -> Footprint:
    """What weights, gradients and AdamW take.

    A gradient is as wide as its weight, and AdamW keeps two moments per trained weight, as wide as the weight. With
    ``masters`` a trained weight narrower than float32 also has a float32 copy that AdamW updates, with float32 moments
    and, during a step, a float32 gradient.
    """
    kinds = list(numbers)
    trained = [kind for kind in kinds if kind.trained]
    copies = sum(kind.count * FULL for kind in trained if masters and kind.width < FULL)
    return Footprint(
        weights=sum(kind.count * kind.width for kind in kinds),
        gradients=sum(kind.count * kind.width for kind in trained),
        moments=sum(2 * kind.count * (max(kind.width, FULL) if masters else kind.width) for kind in trained),
        masters=copies,
        update=copies,
    )


def numbers_of(module: Any) -> list[Numbers]:
    """The parameters and buffers of a ``torch.nn.Module``, on any device; shared ones count once."""
    counts: Counter[tuple[int, bool]] = Counter()
    for tensor in (*module.parameters(), *module.buffers()):
        counts[tensor.element_size(), bool(tensor.requires_grad)] += tensor.numel()
    return [Numbers(count, width, trained) for (width, trained), count in sorted(counts.items())]
