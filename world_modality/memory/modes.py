"""Everything the world memory can hold: one small function per row of ``facts/memory.py``.

What comes from the Prophet comes with its gradient, by which the policy's loss trains the Prophet too, unless the
inputs are detached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from world_modality.facts.memory import MemoryMode
from world_modality.memory.attachment import WorldSizes
from world_modality.memory.bank import Bank
from world_modality.memory.randomness import keyed_normal
from world_modality.memory.standardiser import Standardiser
from world_modality.store.keys import keyed_seed


@dataclass(frozen=True)
class MemoryInputs:
    """What a mode may draw on; what its row does not ask for may be None.

    Latents are standardised float32: B samples, T frames seen, N hypotheses, K frames ahead, P tokens of W numbers.
    """

    sizes: WorldSizes
    seeds: tuple[int, ...]  # one key per sample for a mode's own draws; never the global generator
    standardiser: Standardiser
    predict: Callable[[Tensor], Tensor]  # the Prophet: history [B, T, P, W] -> [B, N, K, P, W]
    history: Tensor | None = (
        None  # [B, T, P, W], ending at t, or ``delay`` prediction horizons earlier for a mode that asks so
    )
    prediction: Tensor | None = None  # [B, N, K, P, W]: predict(history ending at t), if it was made already
    future: Tensor | None = None  # [B, K, P, W]: what really came, known in training and offline alone
    donors: Tensor | None = None  # [B, T, P, W]: histories of other episodes
    learned: Tensor | None = None  # [N, K, P, W]: trained constants
    truth: float = 0.0  # probability that a sample is shown ``future``
    bank: Bank | None = None  # the latents of the training episodes
    own: Tensor | None = None  # int64 [B]: place in the bank of each sample's own episode, -1 if it is not there

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """(B, N, K, P, W) of the memory."""
        return len(self.seeds), *self.sizes.memory

    def predicted(self) -> Tensor:
        """The Prophet's answer to ``history`` [B, N, K, P, W], with its gradient unless it is :meth:`detached`."""
        if self.prediction is not None:
            return self.prediction
        assert self.history is not None
        return self.predict(self.history)

    def detached(self) -> MemoryInputs:
        """The same, but no gradient leads from what is predicted back to the Prophet."""
        made = None if self.prediction is None else self.prediction.detach()
        return replace(self, predict=lambda seen: self.predict(seen).detach(), prediction=made)


def make_memory(mode: MemoryMode, inputs: MemoryInputs) -> Tensor | None:
    """The memory [B, N, K, P, W] of ``mode`` in standardised latents, or None if nothing is injected at all.

    Raises:
        ValueError: the mode's function gives another shape, which a mode of another package may do.
    """
    memory: Tensor | None = mode.make.load()(inputs)
    if memory is not None and memory.shape != inputs.shape:
        raise ValueError(f"memory mode '{mode.name}' gives {list(memory.shape)}, where {list(inputs.shape)} is read")
    return memory


def nothing(_inputs: MemoryInputs) -> None:
    """No memory at all."""


def zero(inputs: MemoryInputs) -> Tensor:
    """Zeros, so that the injector's residual is exactly zero."""
    return torch.zeros(inputs.shape, device=inputs.standardiser.mean.device)


def learned(inputs: MemoryInputs) -> Tensor:
    """Constants trained with the policy, the same for every sample, with their gradient."""
    assert inputs.learned is not None
    return inputs.learned.expand(inputs.shape)


def predicted(inputs: MemoryInputs) -> Tensor:
    """The Prophet's prediction: the hypothesis under test."""
    return inputs.predicted()


def oracle(inputs: MemoryInputs) -> Tensor:
    """What really came, z_{t+1..t+K}; past the episode's end its last latent."""
    assert inputs.future is not None
    return inputs.future[:, None].expand(inputs.shape)


def scheduled(inputs: MemoryInputs) -> Tensor:
    """What really came, for a share of the samples, which are drawn by their seeds; the prediction for all others."""
    prediction = inputs.predicted()
    shown = [keyed_seed("truth", seed) < inputs.truth * 2**63 for seed in inputs.seeds]
    mask = torch.tensor(shown, device=prediction.device)[:, None, None, None, None]
    return torch.where(mask, oracle(inputs), prediction)


def persistence(inputs: MemoryInputs) -> Tensor:
    """z_t for every step ahead: a second look at the present, and no future."""
    assert inputs.history is not None
    return inputs.history[:, -1, None, None].expand(inputs.shape)


def stale(inputs: MemoryInputs) -> Tensor:
    """The prediction made one prediction horizon ago, from latents that end at t-K: what it foresaw is past by now."""
    assert inputs.history is not None
    return inputs.predict(inputs.history)


def shuffle(inputs: MemoryInputs) -> Tensor:
    """The prediction of any other training episode, maybe of the same task: right in kind, not of this scene."""
    assert inputs.donors is not None
    return inputs.predict(inputs.donors)


def nearest_other(inputs: MemoryInputs) -> Tensor:
    """What really came after the training frame whose latent is nearest to z_t, of any episode but the sample's own."""
    assert inputs.history is not None
    assert inputs.bank is not None
    assert inputs.own is not None
    rows = inputs.bank.nearest(inputs.history[:, -1], inputs.own, inputs.standardiser)
    future: Tensor = inputs.standardiser(inputs.bank.future(rows, inputs.sizes.prediction_horizon))
    return future[:, None].expand(inputs.shape)


def time_shuffle(inputs: MemoryInputs) -> Tensor:
    """The prediction, its steps ahead permuted: keyed per sample, and never the identity if K > 1."""
    prediction = inputs.predicted()
    order = torch.stack([permutation(seed, inputs.sizes.prediction_horizon) for seed in inputs.seeds]).to(
        prediction.device
    )
    return prediction.gather(2, order[:, None, :, None, None].expand_as(prediction))


def random(inputs: MemoryInputs) -> Tensor:
    """Normal draws with the latents' mean and covariance, each token by itself: looks like latents, knows nothing."""
    tokens = inputs.shape[1] * inputs.shape[2] * inputs.shape[3]
    return inputs.standardiser.draw(inputs.seeds, tokens).view(inputs.shape)


def standard_normal(inputs: MemoryInputs) -> Tensor:
    """Standard normal draws, each number by itself: neither the latents' covariance nor, where raw, their mean."""
    return keyed_normal(inputs.seeds, inputs.shape[1:]).to(inputs.standardiser.mean.device)


def random_scaled(inputs: MemoryInputs) -> Tensor:
    """Directions drawn at random, each of the norm that the prediction has there: per slot, token and camera.

    The norms come without their gradient: else the policy's loss could teach the Prophet to say something by them.
    """
    prediction = inputs.predicted().detach()
    prediction = prediction.reshape(*prediction.shape[:-1], inputs.sizes.cameras, inputs.sizes.latent)
    noise = keyed_normal(inputs.seeds, tuple(prediction.shape[1:])).to(prediction.device)
    scaled: Tensor = F.normalize(noise, dim=-1) * torch.linalg.vector_norm(prediction, dim=-1, keepdim=True)
    return scaled.flatten(-2)


def signflip(inputs: MemoryInputs) -> Tensor:
    """The negative of the prediction: every norm is kept, every direction is the opposite."""
    return -inputs.predicted()


def permutation(seed: int, count: int) -> Tensor:
    """A permutation of ``range(count)`` other than the identity if there is one, int64 [count], keyed by ``seed``."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(count, generator=generator)
        if count < 2 or bool((order != torch.arange(count)).any()):
            return order
