"""Memories made by the Prophet: the hypothesis under test, and predictions that are wrong in one way each.

Each comes with its gradient, by which the policy's loss trains the Prophet too, unless the inputs are detached.
"""

from __future__ import annotations

import torch
from torch import Tensor

from world_modality.memory.modes.base import MemoryInputs, MemoryMode, register


@register
class Predicted(MemoryMode):
    """The Prophet's prediction: the hypothesis under test."""

    name = "pred"
    isolates = "the hypothesis"
    needs_prophet = True
    needs_history = True

    def memory(self, inputs: MemoryInputs) -> Tensor:
        """The prediction."""
        return inputs.predicted()


@register
class Stale(MemoryMode):
    """The prediction made one horizon ago, from latents that end at t-K: what it foresaw is past by now."""

    name = "stale"
    isolates = "timeliness: a prediction of this episode that came too late"
    needs_prophet = True
    needs_history = True
    delay = 1

    def memory(self, inputs: MemoryInputs) -> Tensor:
        """The late prediction."""
        assert inputs.history is not None
        return inputs.predict(inputs.history)


@register
class Shuffle(MemoryMode):
    """The prediction of any other training episode, maybe of the same task: right in kind, not of this scene."""

    name = "shuffle"
    isolates = "content: a true prediction, of another episode"
    needs_prophet = True
    needs_donors = True

    def memory(self, inputs: MemoryInputs) -> Tensor:
        """The Prophet's answer to the donors' histories."""
        assert inputs.donors is not None
        return inputs.predict(inputs.donors)


@register
class TimeShuffle(MemoryMode):
    """The prediction with its steps ahead in another order: the right content at the wrong times."""

    name = "time_shuffle"
    isolates = "order: what comes, but not when"
    needs_prophet = True
    needs_history = True

    def memory(self, inputs: MemoryInputs) -> Tensor:
        """The prediction, permuted over K by a permutation keyed per sample and never the identity if K > 1."""
        prediction = inputs.predicted()
        order = torch.stack([permutation(seed, inputs.horizon) for seed in inputs.seeds]).to(prediction.device)
        return prediction.gather(2, order[:, None, :, None].expand_as(prediction))


def permutation(seed: int, count: int) -> Tensor:
    """A permutation of ``range(count)`` other than the identity if there is one, int64 [count], keyed by ``seed``."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(count, generator=generator)
        if count < 2 or bool((order != torch.arange(count)).any()):
            return order
