"""Pairs of episodes on the same scenes whose truth is known, many studies at once: what stopping early looks at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from world_modality.evidence.outcomes import Floats


@dataclass(frozen=True, slots=True)
class Pairs:
    """Two checkpoints on the scenes of some tasks."""

    control: tuple[float, ...]  # success of the control on each task, over all its scenes
    gains: tuple[float, ...]  # of the treated arm on each task
    init_states: int = 50
    repeats: int = 1
    scene_sd: float = 1.0  # of the initial states' difficulty, on the probit scale, where an episode's own luck has 1
    shared: float = 0.5  # chance that both arms meet the same luck in an episode

    @property
    def gain(self) -> float:
        """The true difference: the mean over tasks."""
        return float(np.mean(self.gains))

    def gaps(self, studies: int, generator: np.random.Generator) -> Floats:
        """Every scene's mean difference; float [studies, init_states, tasks], so that a look is a stretch of states."""
        shape = (studies, self.init_states, len(self.control))
        difficulty = self.scene_sd * generator.standard_normal(shape)
        both = np.array(self.control), np.array(self.control) + np.array(self.gains)
        one, two = (ndtr(np.sqrt(1 + self.scene_sd**2) * ndtri(rate) + difficulty) for rate in both)
        total = np.zeros(shape)
        for _ in range(self.repeats):
            luck, own = generator.random(shape), generator.random(shape)
            other = np.where(generator.random(shape) < self.shared, luck, own)
            total += (other < two).astype(np.float64) - (luck < one)
        return total / self.repeats

    def looks(self, studies: int, per_look: int, generator: np.random.Generator) -> list[Floats]:
        """The same cut into looks of ``per_look`` scenes of each task; float [studies, scenes] each."""
        gaps = self.gaps(studies, generator)
        return [
            gaps[:, start : start + per_look].reshape(studies, -1) for start in range(0, self.init_states, per_look)
        ]
