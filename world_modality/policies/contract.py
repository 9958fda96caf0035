"""The contract of policies: what one chunk of actions is planned from, and who plans it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.contract import Observation
from world_modality.errors import UserError

ActionChunk = NDArray[np.float32]
"""Actions in the dataset's units, float32 [chunk_size, A]."""


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """What one chunk of actions is planned from, and nothing else."""

    observation: Observation
    language: str
    """The instruction."""
    noise_seed: int
    """The same seed gives the same noise in every arm and on every device."""
    past: tuple[Observation, ...] = ()
    """Those of the control steps just before, oldest first, if the policy looks back."""
    latents: NDArray[np.float32] | None = None
    """Latents [T, P, W] of the frames that end at this observation, if the memory mode reads them."""
    future: NDArray[np.float32] | None = None
    """Latents [K, P, W] of what comes, for memory that needs it: in offline evaluation, or where a rollout looks
    ahead."""
    zero_memory: bool = False
    """Whether the memory holds zeros, whatever the rollout's mode: what a look ahead goes on with."""


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What a rollout must know of a policy before it asks it anything."""

    kind: str
    """Its LeRobot type, or what serves it, for people."""
    pictures: Mapping[str, tuple[int, int]]
    """Height and width of the pictures that it looks at, by camera: a checkpoint's own names, our names if served."""
    chunk_size: int | None
    """Actions per chunk; None: only its chunks tell."""
    n_action_steps: int
    """Actions of a chunk that are executed, unless something else is asked for."""
    action: tuple[str, ...] | None = None
    """Names of the numbers of an action; None: it does not say."""
    memory: str = "disabled"
    """What the world memory holds in this rollout,"""
    trained_memory: str = "disabled"
    """and what it held in training; "disabled" without one."""
    num_steps: int | None = None
    """Steps that make a chunk out of noise; None where there are none, or where it does not say."""
    seeded: bool = True
    """Whether a request's noise seed decides the noise. If not, the same episode may take another trajectory."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What else decides its actions, by name."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of software that computes it elsewhere, by name."""


class PolicyLost(UserError):
    """What computes the policy went away while it was asked: what it was planning is missing data, no failure."""


class Policy(Protocol):
    """The part of a policy that plans a rollout's chunks."""

    @property
    def batch(self) -> int:
        """Requests that are answered at once, at most: the number of rows decides how sums are rounded."""

    @property
    def past_steps(self) -> int:
        """Observations before the present one that the policy wants."""

    @property
    def clock(self) -> Callable[[], float]:
        """Tells the seconds by which its answers are timed."""

    def infer(self, requests: Sequence[PolicyRequest]) -> list[ActionChunk]:
        """A chunk per request, each a function of its request alone; 1 to ``batch`` requests of one instruction.

        PolicyLost if what computes it went away; it can be asked again.
        """

    def trial(self, request: PolicyRequest, rows: int) -> float:
        """Seconds that ``rows`` rows take, which are thrown away."""


class WatchedPolicy(Policy, Protocol):
    """A policy that says what it is and how its memory was read: :class:`~.chunk_policy.ChunkPolicy`, a checkpoint
    that is loaded here, and :class:`~.remote.ServedPolicy`, which another process serves."""

    @property
    def facts(self) -> PolicyFacts:
        """What a rollout must fit."""

    def infer_watched(self, request: PolicyRequest) -> tuple[ActionChunk, Mapping[str, float]]:
        """The chunk that ``infer`` gives, and gate and attention by name; empty without a memory."""

    def close(self) -> None:
        """Hang up, where another process computes it."""
