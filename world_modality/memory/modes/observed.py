"""Memories made of latents as they were or will be seen, without a prediction."""

from __future__ import annotations

from torch import Tensor

from world_modality.memory.modes.base import MemoryInputs, MemoryMode, register


@register
class Persistence(MemoryMode):
    """The present latent in every slot: a second look at the present, and no future."""

    name = "persistence"
    isolates = "history, a trained network and foresight together: the same encoder's view of the present"
    needs_history = True

    def memory(self, inputs: MemoryInputs) -> Tensor:
        """z_t, as often as there are slots."""
        assert inputs.history is not None
        return inputs.history[:, -1, None, None].expand(inputs.shape)


@register
class Oracle(MemoryMode):
    """What really came: the most that any prediction could give. In training and offline alone."""

    name = "oracle"
    isolates = "the bound: a perfect prediction"
    needs_future = True

    def memory(self, inputs: MemoryInputs) -> Tensor:
        """z_{t+1..t+K}; past the episode's end its last latent."""
        assert inputs.future is not None
        return inputs.future[:, None].expand(inputs.shape)
