"""Do recorded actions move the robot in the simulator as they did where they were recorded?

The first actions of some episodes are executed from the task's first initial state. The robot begins nearly alike in
all of them, and in its first steps it meets nothing, so the way that it goes should be the recorded one. On recorded
data of the embedded assets, with noise among what was executed, both had a cosine of 0.99 and a ratio of 1.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from world_modality.checks.features import DATA
from world_modality.checks.finding import Finding
from world_modality.data.schema import ACTION
from world_modality.facts.benchmarks import Suite

STEPS = 20  # control steps that are replayed
EPISODES = 2  # of each instruction
MOVED = 0.01  # metres or radians: less is no way that could be compared
OTHERWISE, UNSURE = 0.5, 0.8  # cosine of both ways
LARGEST_RATIO, LARGE_RATIO = 3.0, 1.7  # of their lengths


@dataclass(frozen=True)
class Replayed:
    """States of one episode's first steps, float [n + 1, S], as recorded and as the same actions led to."""

    episode: int
    recorded: NDArray[np.float64]
    simulated: NDArray[np.float64]


def replay_findings(replays: Sequence[Replayed], suite: Suite) -> Iterator[Finding]:
    """What tells that actions mean something else in the data than in the simulator."""
    driven = [name for name in suite.state if name in suite.action.names]
    columns = [suite.state.index(name) for name in driven]
    ways = [(_way(each.recorded, columns), _way(each.simulated, columns)) for each in replays]
    pairs = [(a, b) for a, b in ways if min(np.linalg.norm(a), np.linalg.norm(b)) > MOVED]
    if not pairs:
        return
    cosine = float(np.median([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs]))
    ratio = float(np.median([np.linalg.norm(b) / np.linalg.norm(a) for a, b in pairs]))
    off = max(ratio, 1 / ratio)
    if cosine >= UNSURE and off <= LARGE_RATIO:
        return
    recorded, simulated = (np.median([pair[side] for pair in pairs], axis=0) for side in (0, 1))
    moved = ", ".join(
        f"{name} {one:+.2f} as recorded and {other:+.2f} in the simulator"
        for name, one, other in zip(driven, recorded, simulated, strict=True)
    )
    if cosine < UNSURE:
        why = "see the order and signs of their numbers, and whether they are relative moves in the same frame"
    else:
        why = "see their scale, the controller, and whether frames were left out"
    yield Finding(
        "error" if cosine < OTHERWISE or off > LARGEST_RATIO else "warning",
        DATA,
        ACTION,
        f"replayed in the simulator, the first {STEPS} actions of {len(pairs)} episodes lead elsewhere than they did "
        f"({moved}; cosine {cosine:.2f}, {ratio:.1f} times as far): {why}",
    )


def _way(states: NDArray[np.float64], columns: Sequence[int]) -> NDArray[np.float64]:
    way: NDArray[np.float64] = states[-1, columns] - states[0, columns]
    return way
