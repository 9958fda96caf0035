"""Memories without a word about this scene: controls for parameters, statistics and the machinery itself."""

from __future__ import annotations

import torch
from torch import Tensor

from world_modality.memory.modes.base import MemoryInputs, MemoryMode, register


@register
class Disabled(MemoryMode):
    """No world memory: the policy is SmolVLA."""

    name = "disabled"
    isolates = "SmolVLA itself"
    needs_world = False

    def memory(self, inputs: MemoryInputs) -> None:
        """Nothing."""


@register
class Zero(MemoryMode):
    """All slots zero, so that the injector's residual is exactly zero."""

    name = "zero"
    isolates = "that the machinery does no harm: equals disabled, by algebra"

    def memory(self, inputs: MemoryInputs) -> Tensor:
        """Zeros."""
        return torch.zeros(inputs.shape, device=inputs.standardiser.mean.device)


@register
class Learned(MemoryMode):
    """Constants trained with the policy: every parameter of the memory's path and no information about the scene."""

    name = "learned"
    isolates = "capacity: all the parameters, no information"
    needs_learned = True

    def memory(self, inputs: MemoryInputs) -> Tensor:
        """The same for every sample, with its gradient."""
        assert inputs.learned is not None
        return inputs.learned.expand(inputs.shape)


@register
class Random(MemoryMode):
    """Normal draws with the latents' mean and covariance, each slot by itself: looks like latents, knows nothing."""

    name = "random"
    isolates = "content: the latents' statistics without any content"

    def memory(self, inputs: MemoryInputs) -> Tensor:
        """Draws keyed by ``inputs.seeds``."""
        return inputs.standardiser.draw(inputs.seeds, inputs.hypotheses * inputs.horizon).view(inputs.shape)


@register
class AuxOnly(MemoryMode):
    """The Prophet learns beside the policy, which never reads it."""

    name = "aux_only"
    isolates = "the auxiliary loss: the Prophet reads cached latents alone, so it too equals disabled"

    def memory(self, inputs: MemoryInputs) -> None:
        """Nothing."""
