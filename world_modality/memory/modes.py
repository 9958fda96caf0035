"""What the world memory holds: one small class per mode, for training and rollout alike.

To add a mode, write a :class:`MemoryMode` with a name, say what it needs, and decorate it with :func:`register`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from world_modality.errors import UserError
from world_modality.memory.standardiser import Standardiser


@dataclass(frozen=True)
class MemoryInputs:
    """What a mode may draw on. Latents are standardised float32; B samples, T history, K slots, D dimensions."""

    slots: int  # K
    seeds: tuple[int, ...]  # one key per sample for a mode's own draws; never the global generator
    standardiser: Standardiser
    history: Tensor | None  # [B, T, D], ending at t; there whenever the mode needs it
    prediction: Tensor | None  # [B, K, D], the Prophet's t+1..t+K; there whenever the mode needs it

    @property
    def shape(self) -> tuple[int, int, int]:
        """(B, K, D) of the memory."""
        return len(self.seeds), self.slots, self.standardiser.mean.numel()


class MemoryMode(ABC):
    """One thing the world memory can hold."""

    name: ClassVar[str]
    needs_world: ClassVar[bool] = True  # the policy must have been built with world modules
    needs_prediction: ClassVar[bool] = False  # the Prophet must run (in training it always does, for its own loss)
    needs_latents: ClassVar[bool] = False  # history latents, beyond what the Prophet reads

    @property
    def needs_history(self) -> bool:
        """Whether a rollout in this mode must encode what the policy sees."""
        return self.needs_latents or self.needs_prediction

    @abstractmethod
    def memory(self, inputs: MemoryInputs) -> Tensor | None:
        """The memory [B, K, D] in standardised latents, or None if nothing is injected at all."""


MODES: dict[str, MemoryMode] = {}


def register[M: type[MemoryMode]](mode: M) -> M:
    """Class decorator: make the mode known by its name."""
    if mode.name in MODES:
        raise ValueError(f"memory mode '{mode.name}' is registered twice")
    MODES[mode.name] = mode()
    return mode


def find_mode(name: str) -> MemoryMode:
    """The mode of that name; UserError if there is none."""
    try:
        return MODES[name]
    except KeyError:
        raise UserError(f"'{name}' is not a memory mode; choose one of {', '.join(MODES)}") from None


@register
class Disabled(MemoryMode):
    """No world memory: the policy is SmolVLA."""

    name = "disabled"
    needs_world = False

    def memory(self, inputs: MemoryInputs) -> None:
        """Nothing."""


@register
class Zero(MemoryMode):
    """All slots zero, so that the injector's residual is exactly zero: checks that the machinery does no harm."""

    name = "zero"

    def memory(self, inputs: MemoryInputs) -> Tensor:
        """Zeros."""
        return torch.zeros(inputs.shape, device=inputs.standardiser.mean.device)


@register
class Predicted(MemoryMode):
    """The Prophet's prediction: the hypothesis under test."""

    name = "pred"
    needs_prediction = True

    def memory(self, inputs: MemoryInputs) -> Tensor:
        """The prediction, with its gradient."""
        assert inputs.prediction is not None
        return inputs.prediction


@register
class Random(MemoryMode):
    """Normal draws with the latents' mean and covariance, each slot by itself: looks like latents, knows nothing."""

    name = "random"

    def memory(self, inputs: MemoryInputs) -> Tensor:
        """Draws keyed by ``inputs.seeds``."""
        return inputs.standardiser.draw(inputs.seeds, inputs.slots)
