"""Probes of several encoders side by side, and whether one beats another by the margin that was set beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world_modality.pretraining.labels import GROUPS
from world_modality.pretraining.probes import Errors, Numbers

DECIDING = ("objects", "object velocities")
MARGIN = 0.05
"""By which share of the variance more of it must be explained in each of these groups, of the mean over tasks,"""
OTHERS = ("hand", "gripper")
LOSS = 0.02
"""and how much less of these at most."""
LEAST_RANK = 8.0
"""Effective rank of the latents within a task, below which an encoder counts as collapsed."""
DRAWS = 2000
SEED = 0
Probes = Mapping[str, Any]
"""A ``probes.json``."""


@dataclass(frozen=True)
class Difference:
    """How much more of a group's variance one encoder's probes explain than another's."""

    group: str
    value: float
    low: float
    """Of the 95% interval over episodes: both encoders' errors on the same draw of them, task by task."""
    high: float


def explained(probes: Probes, group: str) -> float:
    """Share of a group's variance that is explained, the mean over the tasks that have such targets."""
    return float(np.mean([errors.explained() for errors in _errors(probes, group).values()]))


def difference(one: Probes, other: Probes, group: str) -> Difference:
    """Of two encoders' probes on the same footage.

    Raises:
        ValueError: they were not made of the same tasks and episodes.
    """
    first, second = _errors(one, group), _errors(other, group)
    if {name: len(each.probe) for name, each in first.items()} != {n: len(each.probe) for n, each in second.items()}:
        raise ValueError(f"the two encoders were probed on other episodes: {sorted(first)} and {sorted(second)}")
    rng = np.random.default_rng(SEED)
    drawn = np.zeros((DRAWS, len(first)))
    for column, name in enumerate(first):
        count = len(first[name].probe)
        weights = rng.multinomial(count, np.full(count, 1 / count), DRAWS).astype(np.float64)
        drawn[:, column] = _shares(first[name], weights) - _shares(second[name], weights)
    low, high = np.quantile(drawn.mean(axis=1), (0.025, 0.975))
    return Difference(group, explained(one, group) - explained(other, group), float(low), float(high))


def _shares(errors: Errors, weights: Numbers) -> Numbers:
    """``Errors.explained`` of a group's sums for many weights [n, E]: [n]."""
    shares: NDArray[np.float64] = 1 - (weights @ errors.probe[:, 0]) / (weights @ errors.mean[:, 0])
    return shares


def _errors(probes: Probes, group: str) -> dict[str, Errors]:
    """By task, a group's sums per episode [E, 1]."""
    found = {name: task["groups"][group]["errors"] for name, task in probes["tasks"].items() if group in task["groups"]}
    return {
        name: Errors(np.array(each["probe"])[:, None], np.array(each["mean"])[:, None]) for name, each in found.items()
    }


def shortfalls(trained: Probes, other: Probes, name: str) -> list[str]:
    """What keeps a trained encoder from beating another one by the margin; empty if it does."""
    found = []
    for group in DECIDING:
        gain = difference(trained, other, group)
        if gain.value < MARGIN or gain.low <= 0:
            found.append(
                f"{group}: {_told(gain)} more than {name}, where {MARGIN:.2f} and an interval above 0 are asked"
            )
    for group in OTHERS:
        gain = difference(trained, other, group)
        if gain.value < -LOSS:
            found.append(f"{group}: {_told(gain)} than {name}, where no less than {-LOSS:.2f} is asked")
    rank = trained["latents"]["effective_rank_within_tasks"]
    if rank < LEAST_RANK:
        found.append(f"effective rank {rank:.1f} within tasks, where {LEAST_RANK:.0f} is asked")
    return found


def _told(gain: Difference) -> str:
    return f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"


def table(encoders: Mapping[str, Probes], against: Sequence[str]) -> str:
    """Markdown: what each encoder's probes explain, how wide its latents are, and each one's gain over some of them."""
    names = tuple(encoders)
    rows = [["share of variance explained", *names]]
    rows += [[group, *(f"{explained(each, group):.3f}" for each in encoders.values())] for group in GROUPS]
    for fact in ("effective_rank", "effective_rank_within_tasks", "first_axis", "dead", "mean_cosine"):
        rows.append([fact.replace("_", " "), *(f"{each['latents'][fact]:.3g}" for each in encoders.values())])
    parts = [_markdown(rows)]
    for base in against:
        gains = [[f"gain over {base}", *(name for name in names if name != base)]]
        for group in GROUPS:
            cells = [_told(difference(encoders[name], encoders[base], group)) for name in gains[0][1:]]
            gains.append([group, *cells])
        parts.append(_markdown(gains))
    return "\n\n".join(parts)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
