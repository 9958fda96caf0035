"""What a memory mode is, what it may draw on, and the registry that training, offline evaluation and rollout share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from world_modality.errors import UserError
from world_modality.memory.standardiser import Standardiser


@dataclass(frozen=True)
class MemoryInputs:
    """What a mode may draw on; what a mode does not ask for may be None.

    Latents are standardised float32: B samples, T history, N hypotheses, K steps ahead, W numbers per frame.
    """

    hypotheses: int  # N
    horizon: int  # K
    seeds: tuple[int, ...]  # one key per sample for a mode's own draws; never the global generator
    standardiser: Standardiser
    predict: Callable[[Tensor], Tensor]  # the Prophet: history [B, T, W] -> [B, N, K, W]
    history: Tensor | None = None  # [B, T, W], ending at t, or ``delay`` horizons earlier for a mode that asks so
    prediction: Tensor | None = None  # [B, N, K, W]: predict(history ending at t), if it was made already
    future: Tensor | None = None  # [B, K, W]: what really came, known in training and offline alone
    donors: Tensor | None = None  # [B, T, W]: histories of other episodes
    learned: Tensor | None = None  # [N, K, W]: trained constants

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(B, N, K, W) of the memory."""
        return len(self.seeds), self.hypotheses, self.horizon, self.standardiser.mean.numel()

    def predicted(self) -> Tensor:
        """The Prophet's answer to ``history`` [B, N, K, W], with its gradient unless it is :meth:`detached`."""
        if self.prediction is not None:
            return self.prediction
        assert self.history is not None
        return self.predict(self.history)

    def detached(self) -> MemoryInputs:
        """The same, but no gradient leads from what is predicted back to the Prophet."""
        made = None if self.prediction is None else self.prediction.detach()
        return replace(self, predict=lambda seen: self.predict(seen).detach(), prediction=made)


class MemoryMode(ABC):
    """One thing the world memory can hold: a name, what it needs, and what it makes of it."""

    name: ClassVar[str]
    isolates: ClassVar[str]  # what a comparison with this mode tells, for tables
    needs_world: ClassVar[bool] = True  # the policy must have been built with world modules
    needs_history: ClassVar[bool] = False  # a rollout must encode what the policy sees
    needs_future: ClassVar[bool] = False  # what really comes: no rollout can give that
    needs_donors: ClassVar[bool] = False  # histories of other episodes
    needs_learned: ClassVar[bool] = False  # trained constants: only in a checkpoint trained in this mode
    needs_prophet: ClassVar[bool] = False  # the Prophet makes the memory, so the policy's loss trains it too
    delay: ClassVar[int] = 0  # how many horizons before t the history ends

    @property
    def rollable(self) -> bool:
        """Whether a rollout can be in this mode."""
        return not self.needs_future

    @abstractmethod
    def memory(self, inputs: MemoryInputs) -> Tensor | None:
        """The memory [B, N, K, W] in standardised latents, or None if nothing is injected at all."""


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
