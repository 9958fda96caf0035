"""What one chunk of actions is planned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class View(Protocol):
    """What a policy sees; ``world_modality.benchmarks.contract.Observation`` is one."""

    @property
    def images(self) -> Mapping[str, NDArray[np.uint8]]:
        """Camera name -> picture uint8 [H, W, 3] as in the dataset."""

    @property
    def state(self) -> NDArray[np.float32]:
        """Proprioception, float32 [S]."""


@dataclass(frozen=True, slots=True)
class Question:
    """What one chunk of actions is planned from."""

    view: View
    task: str  # the instruction
    seed: int  # of the flow-matching noise; the same seed gives the same noise in every arm and on every device
    past: tuple[View, ...] = ()  # those of the control steps just before, oldest first, if the policy looks back
    history: NDArray[np.float32] | None = None  # latents [T, W] that end at this view, if the memory mode reads them
