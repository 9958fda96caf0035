"""`wm rollout` of one episode that ends where simulating would begin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stand_ins import STAND_INS
from support.command_line import ROLLOUT, Outcome, wm
from support.given_inputs import PICTURE

from world_modality.benchmarks.contract import Observation
from world_modality.policies.contract import PolicyRequest


class SimulationBeginsError(Exception):
    """A rollout went as far as its simulators."""


@dataclass
class BegunRollout:
    """`wm rollout`, and what its policy did where simulating would have begun."""

    place: Path
    began: bool = False
    chunk: NDArray[np.float32] | None = None  # what the policy planned from a picture of noise; None if it could not

    def __call__(self, checkpoint: Path, *options: object) -> Outcome:
        self.began, self.chunk = False, None
        own = ("--policy.path", checkpoint, "--output", self.place / f"out-{checkpoint.name}")
        few = ("--tasks", 2, "--episodes", 1, "--horizon", 20, "--cores", 1)
        return wm(ROLLOUT, *own, *few, "--assets", str(STAND_INS), "--render", "fast", *options)

    def simulate(self, cell: Any, ledger: Any, policy: Any, *_: Any) -> None:
        """In place of the simulators: the policy is asked once."""
        self.began = True
        rng = np.random.default_rng(0)
        images: Any = {name: rng.integers(0, 256, (PICTURE, PICTURE, 3), np.uint8) for name in ("image", "image2")}
        view = Observation(images, np.linspace(-0.1, 0.1, 8, dtype=np.float32))
        try:
            (self.chunk,) = policy.infer([PolicyRequest(view, "put it down", 0)])
        except Exception as error:
            raise SimulationBeginsError from error
        raise SimulationBeginsError
