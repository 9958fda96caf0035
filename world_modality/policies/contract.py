"""The contract of policies: what one chunk of actions is planned from, and who plans it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.contract import Observation

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
    """Latents [K, P, W] of what really comes, for mode "oracle" in offline evaluation alone."""


class Policy(Protocol):
    """The part of a policy that a rollout needs; :class:`~world_modality.policies.chunk_policy.ChunkPolicy` is one."""

    @property
    def batch(self) -> int:
        """Rows that are always computed: the shape decides how sums are rounded."""

    @property
    def past_steps(self) -> int:
        """Observations before the present one that the policy wants."""

    def infer(self, requests: Sequence[PolicyRequest]) -> list[ActionChunk]:
        """A chunk per request, each a function of its request alone; 1 to ``batch`` requests of one instruction."""

    def trial(self, request: PolicyRequest, rows: int) -> float:
        """CPU seconds that ``rows`` rows take, which are thrown away."""
