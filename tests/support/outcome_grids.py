"""Outcomes from a grid of successes."""

from __future__ import annotations

import numpy as np

from world_modality.evidence.outcomes import Outcomes


def grid(success) -> Outcomes:
    """Outcomes of successes laid out as [seeds, tasks, initial states, repeats], all numbered from 0."""
    success = np.asarray(success, dtype=bool)
    seed, task, state, repeat = (axis.ravel() for axis in np.indices(success.shape))
    return Outcomes(seed, task, state, repeat, success.ravel())


def flat(treated: list[bool], control: list[bool], scenes: list[int]) -> tuple[Outcomes, Outcomes]:
    """Two arms on one task, one seed: episode i lies in ``scenes[i]``, repeated as often as that comes up."""
    scenes = np.asarray(scenes)
    repeat = np.array([int((scenes[:i] == scene).sum()) for i, scene in enumerate(scenes)], dtype=int)
    zeros = np.zeros(len(scenes), dtype=int)
    return tuple(Outcomes(zeros, zeros, scenes, repeat, np.asarray(arm, dtype=bool)) for arm in (treated, control))
