"""Do recorded actions move the robot in the simulator as they did where they were recorded?

The first actions of some episodes are executed from the task's first initial state. The robot begins nearly alike in
all of them, and in its first steps it meets nothing, so the way that it goes should be the recorded one. On data
that were recorded on stand-ins for LIBERO's object models, with noise among what was executed, both had a cosine of
0.99 and a ratio of 1.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from world_modality.checks.features import DATA
from world_modality.checks.finding import Finding
from world_modality.data.schema import ACTION
from world_modality.facts.benchmarks import Suite

STEPS = 20  # control steps that are replayed
EPISODES = 2  # of each instruction
MOST_AXES = 3  # that are tried in every order
MOVED = 0.01  # metres or radians: less is no way that could be compared
OTHERWISE, UNSURE = 0.7, 0.9  # cosine of both ways
BETTER = 0.05  # by which the cosine must be larger with axes exchanged or turned
LARGEST_RATIO, LARGE_RATIO = 3.0, 1.7  # of their lengths

Ways = NDArray[np.float64]
"""[episodes, n]: from the first to the last state, in the numbers that actions drive."""


@dataclass(frozen=True)
class Replayed:
    """States of one episode's first steps, float [n + 1, S], as recorded and as the same actions led to."""

    episode: int
    recorded: NDArray[np.float64]
    simulated: NDArray[np.float64]


def replay_findings(replays: Sequence[Replayed], suite: Suite) -> Iterator[Finding]:
    """What tells that actions mean something else in the data than in the simulator; not of turns of the hand."""
    driven = [name for name in suite.state if name in suite.action.names]
    columns = [suite.state.index(name) for name in driven]
    ways = np.array([(_way(each.recorded, columns), _way(each.simulated, columns)) for each in replays])
    if not len(ways):
        return
    moving = np.linalg.norm(ways[:, 0], axis=1) > MOVED  # a hand that rested would have gone nowhere either
    recorded, simulated = ways[moving, 0], ways[moving, 1]
    if not moving.any():
        return
    ratio = float(np.median(np.linalg.norm(simulated, axis=1) / np.linalg.norm(recorded, axis=1)))
    cosine = _cosine(recorded, simulated)
    better = _better(recorded, simulated, driven, cosine) if cosine < UNSURE else ""
    off = max(ratio, 1 / ratio) if ratio > 0 else np.inf
    if cosine >= UNSURE and off <= LARGE_RATIO:
        return
    if better:
        why = f"they fit with {better}: put their numbers into the suite's order and signs"
    elif off > LARGE_RATIO:
        why = "see their scale, the controller, and whether frames were left out"
    else:
        why = "see the order and signs of their numbers, and whether they are relative moves in the same frame"
    moved = ", ".join(
        f"{name} {one:+.2f} as recorded and {other:+.2f} in the simulator"
        for name, one, other in zip(driven, np.median(recorded, axis=0), np.median(simulated, axis=0), strict=True)
    )
    yield Finding(
        "error" if better or cosine < OTHERWISE or off > LARGEST_RATIO else "warning",
        DATA,
        ACTION,
        f"replayed in the simulator, the first {STEPS} actions of {len(recorded)} episodes lead elsewhere than they "
        f"did ({moved}; cosine {cosine:.2f}, {ratio:.1f} times as far): {why}",
    )


def _way(states: NDArray[np.float64], columns: Sequence[int]) -> NDArray[np.float64]:
    way: NDArray[np.float64] = states[-1, columns] - states[0, columns]
    return way


def _cosine(recorded: Ways, simulated: Ways) -> float:
    """Median over episodes; 0 of one that went nowhere in the simulator."""
    lengths = np.linalg.norm(recorded, axis=1) * np.linalg.norm(simulated, axis=1)
    return float(np.median((recorded * simulated).sum(axis=1) / np.maximum(lengths, MOVED**2)))


def _better(recorded: Ways, simulated: Ways, names: Sequence[str], cosine: float) -> str:
    """The exchange of axes and signs under which both ways are nearly one, in words; empty where there is none."""
    best, told = max(UNSURE, cosine + BETTER), ""
    for order in permutations(range(len(names))) if len(names) <= MOST_AXES else ():
        for signs in product((1, -1), repeat=len(names)):
            found = _cosine(recorded, simulated[:, order] * signs)
            if found > best:
                other = [
                    f"{name} as {'-' * (sign < 0)}{names[place]}"
                    for name, place, sign in zip(names, order, signs, strict=True)
                    if (names[place], sign) != (name, 1)
                ]
                best, told = found, ", ".join(other)
    return told
