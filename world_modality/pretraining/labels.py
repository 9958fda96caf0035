"""What the clips of a take show, in numbers that probes are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from world_modality.pretraining.probes import Numbers
from world_modality.pretraining.takes import Take

GROUPS = ("hand", "gripper", "objects", "hand velocity", "gripper velocity", "object velocities", "contact")
"""What is probed, together, in one unit: m, m/s, or 0 and 1."""
LEAST_SPREAD = {"objects": 0.005, "object velocities": 0.01}
"""Standard deviation (m, m/s) over a task's clips below which an object's coordinate is no target: it never moved."""


@dataclass(frozen=True)
class Labels:
    """Targets [N, T] of N clips, each with its group and name."""

    values: Numbers
    groups: tuple[str, ...]
    names: tuple[str, ...]


def label(take: Take, clips: NDArray[np.int64]) -> Labels:
    """Where things are in the last frame of each clip [N, m], and how fast they went from the first frame to it."""
    last = clips[:, -1]
    seconds = (clips.shape[1] - 1) / take.info.rate

    def velocity(values: NDArray[np.float32]) -> NDArray[np.float32]:
        speeds: NDArray[np.float32] = (values[last] - values[clips[:, 0]]) / seconds
        return speeds

    places = take.places.reshape(len(take.places), -1)
    opening = take.opening[:, None]
    axes = ("x", "y", "z")
    objects = tuple(f"{name} {axis}" for name in take.info.objects for axis in axes)
    blocks = (
        ("hand", take.hand[last], axes),
        ("gripper", opening[last], ("opening",)),
        ("objects", places[last], objects),
        ("hand velocity", velocity(take.hand), axes),
        ("gripper velocity", velocity(opening), ("opening",)),
        ("object velocities", velocity(places), objects),
        ("contact", np.any(take.touched[last], axis=1, keepdims=True), ("any",)),
    )
    return Labels(
        values=np.concatenate([np.asarray(values, np.float64) for _, values, _ in blocks], axis=1),
        groups=tuple(group for group, _, names in blocks for _ in names),
        names=tuple(name for _, _, names in blocks for name in names),
    )


def varying(labels: Labels) -> Labels:
    """Without objects' coordinates that hardly vary, and without anything that does not vary at all."""
    spread = labels.values.std(axis=0)
    kept = [number for number, group in enumerate(labels.groups) if spread[number] > LEAST_SPREAD.get(group, 0.0)]
    return Labels(
        labels.values[:, kept],
        tuple(labels.groups[number] for number in kept),
        tuple(labels.names[number] for number in kept),
    )
