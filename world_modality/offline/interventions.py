"""What a model of the discrete line reads of the world, and the same corrupted: another token, another memory.

A corruption takes its place alone. All else of a frame stays, and the same is drawn for every checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lerobot_policy_world_modality.world_policy import INDEX
from world_modality.discrete.transformer import Answer, Seen
from world_modality.facts.offline import CORRUPTIONS, Corruption, known_as
from world_modality.offline.donors import Frames, judged_frames
from world_modality.offline.judged import Judged
from world_modality.store.keys import keyed_seed

MEMORY_POOL = 256
"""Frames whose memories stand for those of all judged ones where each slot is drawn by itself."""
AT_ONCE = 64


def answer(policy: Any, batch: dict[str, Any], *, token: Tensor | None = None, memory: Tensor | None = None) -> Answer:
    """The policy's own answer to a batch of :meth:`Judged.batch`.

    Args:
        policy: of type ``world_transformer``.
        batch: with the frames' latents.
        token: int64 [B, P] to be read in place of the frames' tokens; None: the frames' own.
        memory: [B, N, K, P, W] that its actions read, standardised; None: none.
    """
    reading = nullcontext() if policy.world is None else policy.world.held(memory)
    with torch.no_grad(), _reading_token(policy.model, token), reading:
        found: Answer = policy._answer(batch)
        return found


@contextmanager
def _reading_token(model: Any, token: Tensor | None) -> Iterator[None]:
    """Inside, the transformer is told ``token`` whatever it is given."""

    def told(_module: Any, given: tuple[Seen]) -> tuple[Seen]:
        return (replace(given[0], token=token),)

    hook = None if token is None else model.register_forward_pre_hook(told)
    try:
        yield
    finally:
        if hook is not None:
            hook.remove()


@dataclass(frozen=True)
class Interventions:
    """What can be corrupted of a judged checkpoint."""

    judged: Judged

    @cached_property
    def left_out(self) -> dict[str, str]:
        """The corruptions that mean nothing to this checkpoint on these episodes, and why."""
        found = {each.name: self._why_not(each) for each in CORRUPTIONS}
        return {name: why for name, why in found.items() if why}

    @property
    def possible(self) -> tuple[Corruption, ...]:
        """The others."""
        return tuple(each for each in CORRUPTIONS if each.name not in self.left_out)

    def memory(self, frames: Frames) -> Tensor | None:
        """The memory [B, N, K, P, W] that the actions of frames [B] read uncorrupted, standardised; None without."""
        policy = self.judged.policy
        if policy.world is None:
            return None
        batch = {INDEX: torch.from_numpy(frames)}
        with torch.no_grad():
            window = policy._window(policy.world, batch)
            prediction = policy.world.prophet(window.history, None)
            made: Tensor | None = policy._training_memory(policy.world, batch, window, prediction, None)
        return made

    def token(self, corruption: Corruption, frames: Frames) -> Tensor:
        """What frames [B] read in place of their tokens, int64 [B, P]."""
        cache, donors = self.judged.tokens, self.judged.donors
        assert cache is not None
        places = cache.tokens.shape[1]
        found: NDArray[Any]
        if corruption.kind == "uniform":
            drawn = [
                np.random.default_rng(self._seed(corruption, frame)).integers(cache.codebook.size, size=places)
                for frame in frames
            ]
            found = np.stack(drawn)
        elif corruption.kind == "marginal":
            found = cache.tokens[donors.any(frames, corruption.name, places), np.arange(places)]
        else:
            found = cache.tokens[self._others(corruption, frames)]
        return torch.from_numpy(found.astype(np.int64)).to(self.judged.policy.config.device)

    def corrupted_memory(self, corruption: Corruption, frames: Frames, clean: Tensor) -> Tensor:
        """What the actions of frames [B] read in place of their memory ``clean`` [B, N, K, P, W]."""
        if corruption.other:
            other = self.memory(self._others(corruption, frames))
            assert other is not None
            return other
        if corruption.kind == "random":
            seeds = [self._seed(corruption, frame) for frame in frames]
            drawn: Tensor = self.judged.policy.world.standardiser.draw(seeds, clean[0].numel() // clean.shape[-1])
            return drawn.view(clean.shape)
        if corruption.kind == "oracle":
            policy = self.judged.policy
            window = policy._window(policy.world, {INDEX: torch.from_numpy(frames)})
            future: Tensor = window.future[:, None].expand(clean.shape)
            return future
        if corruption.kind == "marginal":
            return self._slot_by_slot(corruption, frames, clean)
        return torch.zeros_like(clean)

    def _slot_by_slot(self, corruption: Corruption, frames: Frames, clean: Tensor) -> Tensor:
        slots = clean[0].numel() // clean.shape[-1]
        chosen = np.stack(
            [
                np.random.default_rng(self._seed(corruption, frame)).integers(len(self._pool), size=slots)
                for frame in frames
            ]
        )
        drawn = self._pool.flatten(1, -2)[torch.from_numpy(chosen), torch.arange(slots)]
        return drawn.view(clean.shape).to(clean.device)

    @cached_property
    def _pool(self) -> Tensor:
        """Memories [M, N, K, P, W] of some judged frames, on the CPU."""
        frames = judged_frames(self.judged.donors.bounds, MEMORY_POOL)
        made = [self.memory(frames[start : start + AT_ONCE]) for start in range(0, len(frames), AT_ONCE)]
        return torch.cat([each.cpu() for each in made if each is not None])

    def _others(self, corruption: Corruption, frames: Frames) -> Frames:
        donors = self.judged.donors
        if corruption.other == "task":
            return donors.other_task(frames, corruption.name)
        return donors.other_episode(frames, corruption.name)

    def _seed(self, corruption: Corruption, frame: int | np.int64) -> int:
        return keyed_seed("offline", corruption.name, self.judged.donors.seed, int(frame))

    def _why_not(self, corruption: Corruption) -> str:
        policy = self.judged.policy
        model, mode = policy.config.row, policy.config.train_mode
        if corruption.of == "token" and model.world_input != "token":
            return f"model {model.name} reads no world token"
        if corruption.of == "memory":
            if policy.world is None:
                return f"model {known_as(model.name, mode.name)} reads no memory"
            if not (mode.needs_history or mode.needs_future):
                return f"its memory holds {mode.holds}, whatever the frame"
            if corruption.kind == mode.name:
                return f"that is what its memory holds in mode '{mode.name}'"
        return self.judged.donors.lacking.get(corruption.other, "")
