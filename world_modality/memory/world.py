"""The world memory as one module: statistics, Prophet, and the way from the memory into the policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from world_modality.errors import UserError
from world_modality.memory.action_conditioning import Held, NoisyActions, SuffixEmbedding
from world_modality.memory.attachment import Sockets, WorldSizes
from world_modality.memory.bank import Bank
from world_modality.memory.fusion import Fusion, build_fusion
from world_modality.memory.modes import MemoryInputs
from world_modality.memory.prophet import Prophet
from world_modality.memory.randomness import borrowed_generator
from world_modality.memory.standardiser import Standardiser
from world_modality.memory.target import target_of

DONORS = 64  # histories of training episodes that a checkpoint carries for the mode "shuffle"


class Constants(nn.Module):
    """Trained numbers that depend on nothing: the memory of the mode "learned". A module, so that PEFT can keep it."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.randn(shape))


class WorldMemory(nn.Module):
    """Predicts the latents to come and lets the policy read the memory at one place, while it is being held there.

    Memory and latents inside are standardised (see :class:`Standardiser`).
    """

    donors: Tensor

    def __init__(
        self,
        sizes: WorldSizes,
        seed: int,
        *,
        learned: bool = False,
        prophet: Callable[[WorldSizes], nn.Module] = Prophet,
        fusion: Callable[[WorldSizes, Held], Fusion] = build_fusion,
    ) -> None:
        """``prophet`` and ``fusion`` make those parts; ``learned``: there are constants for the mode "learned"."""
        super().__init__()
        self.sizes = sizes
        self.target = target_of(sizes.target)
        self._held = Held()
        self.bank: Bank | None = None  # the latents of the training episodes, where somebody brought them
        self.standardiser = Standardiser(sizes.dim, sizes.tokens)
        # Histories [64, T, P, W] from the training set, standardised: the donors of rollouts.
        self.register_buffer("donors", torch.zeros(DONORS, sizes.context, sizes.tokens, sizes.dim))
        with borrowed_generator() as generator:  # or every draw after this would differ from the plain policy's
            generator.manual_seed(seed)
            self.prophet = prophet(sizes)
            self.fusion = fusion(sizes, self._held)
            self.learned = Constants(sizes.memory) if learned else None

    def attach(self, sockets: Sockets) -> None:
        """Hook onto a policy's model: from now on it reads the memory whenever one is held."""
        self.fusion.attach(sockets)
        if self.sizes.actions:  # around ``embed_suffix``, which LeRobot looks up on the instance
            sockets.flow.embed_suffix = SuffixEmbedding(sockets.flow, self._held)

    def linger(self, memory: Tensor | None) -> None:
        """Hold a memory until the next pass holds its own: the backward pass may run the hooks again."""
        self._held.memory = memory

    @contextmanager
    def held(self, memory: Tensor | None) -> Iterator[None]:
        """Hold memory [B, N, K, P, W], or nothing, for the forward passes inside the ``with`` block."""
        self._held.memory = memory
        try:
            yield
        finally:
            self._held.memory = None

    @contextmanager
    def reading(self, memory: Callable[[NoisyActions | None], Tensor | None]) -> Iterator[None]:
        """Hold what ``memory`` makes, for the forward passes inside the ``with`` block.

        It is made once, of None, or anew for every velocity, of its noisy actions, if the Prophet follows them.
        """
        if not self.sizes.actions:
            with self.held(memory(None)):
                yield
            return
        self._held.follow = memory
        try:
            with self.held(None):
                yield
        finally:
            self._held.follow = None

    @property
    def has_donors(self) -> bool:
        """Whether a training has brought the histories that :meth:`donors_for` gives."""
        return bool(self.donors.any())

    def donors_for(self, seeds: tuple[int, ...]) -> Tensor:
        """One of the donor histories per seed, [B, T, P, W]; UserError if there are none."""
        if not self.has_donors:
            raise UserError(
                "world_memory_mode_rollout: this checkpoint has no donors, the histories of training episodes that "
                "'shuffle' predicts from: train it first, or choose another mode"
            )
        return self.donors[torch.tensor([seed % DONORS for seed in seeds], device=self.donors.device)]


def memory_inputs(
    world: WorldMemory,
    seeds: tuple[int, ...],
    *,
    history: Tensor | None = None,
    donors: Tensor | None = None,
    noisy: NoisyActions | None = None,
) -> MemoryInputs:
    """What a memory mode may draw on; ``history`` and ``donors`` [B, T, P, W] standardised, ``noisy`` if it follows."""
    return MemoryInputs(
        sizes=world.sizes,
        seeds=seeds,
        standardiser=world.standardiser,
        predict=lambda seen: world.prophet(seen, noisy),
        history=history,
        donors=donors,
        learned=None if world.learned is None else world.learned.values,
    )
