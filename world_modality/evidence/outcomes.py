"""Outcomes of one arm, by column; two arms side by side; their differences scene by scene."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """One arm's episodes: element i of every column belongs to episode i. All columns have shape [episodes].

    Made from any order; kept sorted by seed, task, initial state, repeat, and read-only. ValueError when the columns
    differ in length or an episode comes twice.
    """

    seed: Ints  # training seed of the checkpoint
    task: Ints
    init_state: Ints
    repeat: Ints
    success: Bools

    def __post_init__(self) -> None:
        key = (self.seed, self.task, self.init_state, self.repeat)
        columns = [np.asarray(column, dtype=np.int64) for column in key]
        success = np.asarray(self.success, dtype=np.bool_)
        if any(column.shape != (success.size,) for column in (*columns, success)):
            raise ValueError(f"columns must be flat and equally long, got {[np.shape(c) for c in (*key, success)]}")
        code = _code(columns)
        if np.any(np.diff(code) <= 0):
            order = np.argsort(code, kind="stable")
            columns, success, code = [column[order] for column in columns], success[order], code[order]
            twice = np.flatnonzero(np.diff(code) == 0)
            if twice.size:
                episode = [int(column[twice[0]]) for column in columns]
                raise ValueError(f"episode (seed, task, init state, repeat) = {episode} comes twice")
        for name, column in zip(self.__slots__, (*columns, success), strict=True):
            own = column.copy()
            own.flags.writeable = False
            object.__setattr__(self, name, own)

    def __len__(self) -> int:
        return int(self.success.size)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Training seeds, ascending."""
        return tuple(ranks(self.seed)[0].tolist())

    @property
    def tasks(self) -> tuple[int, ...]:
        """Task numbers, ascending."""
        return tuple(ranks(self.task)[0].tolist())

    @property
    def rate(self) -> float:
        """Share of successful episodes; NaN without episodes."""
        return float(self.success.mean()) if len(self) else float("nan")

    def where(self, chosen: Bools) -> Outcomes:
        """The episodes that ``chosen`` (shape [episodes]) marks."""
        return Outcomes(*(getattr(self, name)[chosen] for name in self.__slots__))

    def of_seeds(self, seeds: Iterable[int]) -> Outcomes:
        """The episodes of these training seeds."""
        return self.where(np.isin(self.seed, list(seeds)))

    def of_task(self, task: int) -> Outcomes:
        """The episodes of one task."""
        return self.where(self.task == task)

    def same_episodes(self, other: Outcomes) -> bool:
        """Whether both hold exactly the same episodes."""
        return len(self) == len(other) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in self.__slots__[:-1]
        )


def ranks(column: Ints) -> tuple[Ints, Ints]:
    """The distinct values of a column, ascending, and every element's place among them; int [values], int
    [episodes]."""
    if not column.size:
        return column, column
    low = int(column.min())
    span = int(column.max()) - low + 1
    if span > 4 * column.size + 1024:
        values, rank = np.unique(column, return_inverse=True)
        return values, np.asarray(rank, dtype=np.int64)
    # Small ranges, which study data have, are counted rather than sorted: that is several times faster.
    present = np.bincount(column - low, minlength=span) > 0
    return np.flatnonzero(present) + low, (np.cumsum(present) - 1)[column - low]


def _code(columns: Sequence[Ints]) -> Ints:
    """One integer per episode that sorts as the columns do, first column first; shape [episodes]."""
    code: Ints = np.zeros(columns[0].size, dtype=np.int64)
    size = 1
    for column in columns:
        values, rank = ranks(column)
        size *= max(1, values.size)
        if size >= 2**62:
            raise ValueError("too many different seeds, tasks, init states and repeats to number the episodes")
        code = code * max(1, values.size) + rank
    return code


def scenes(outcomes: Outcomes) -> tuple[Ints, Ints, Ints]:
    """Task and initial state of every scene, sorted, and every episode's scene; int [scenes] twice, int [episodes]."""
    return scene_ranks(outcomes.task, outcomes.init_state)


def scene_ranks(of_task: Ints, of_state: Ints) -> tuple[Ints, Ints, Ints]:
    """The same of any episodes' tasks and initial states; int [episodes] each."""
    tasks, task = ranks(of_task)
    states, state = ranks(of_state)
    code, index = ranks(task * max(1, states.size) + state)
    return tasks[code // max(1, states.size)], states[code % max(1, states.size)], index


def common_episodes(treated: Outcomes, control: Outcomes) -> tuple[Outcomes, Outcomes]:
    """Both arms on the episodes that both hold."""
    if treated.same_episodes(control):
        return treated, control
    columns = [np.concatenate([getattr(treated, name), getattr(control, name)]) for name in Outcomes.__slots__[:-1]]
    code = _code(columns)
    own, other = code[: len(treated)], code[len(treated) :]
    return treated.where(np.isin(own, other)), control.where(np.isin(other, own))


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """``treated - control`` by scene: a scene (task, initial state) is a cluster, whatever was repeated in it.

    All columns have shape [clusters], sorted by task and initial state. The repeats of a scene, and the checkpoints
    of several training seeds in it, share its difficulty, so only scenes count as independent.
    """

    task: Ints
    init_state: Ints
    episodes: Ints  # pairs in the scene
    only_treated: Ints  # pairs in which the treated arm alone succeeded
    only_control: Ints

    def __len__(self) -> int:
        return int(self.episodes.size)

    @property
    def total(self) -> Ints:
        """Successes of the treated arm minus those of the control; int [clusters]."""
        return self.only_treated - self.only_control

    @property
    def means(self) -> Floats:
        """Mean difference per scene; float [clusters] within [-1, 1]."""
        return self.total / self.episodes

    @property
    def estimate(self) -> float:
        """The difference, each scene counting the same however often it was repeated."""
        return float(self.means.mean())

    @property
    def pairs(self) -> int:
        """Pairs of episodes in all scenes."""
        return int(self.episodes.sum())

    def of_task(self, task: int) -> Clusters:
        """The scenes of one task."""
        chosen = self.task == task
        return Clusters(*(getattr(self, name)[chosen] for name in self.__slots__))


def clusters_of(treated: Outcomes, control: Outcomes) -> Clusters:
    """The paired differences by scene. ValueError unless both arms hold the same episodes, and at least one."""
    if not len(treated) or not treated.same_episodes(control):
        raise ValueError("treated and control must hold the same episodes, and at least one")
    task, state, index = scenes(treated)

    def count(chosen: Bools) -> Ints:
        return np.bincount(index[chosen], minlength=task.size).astype(np.int64)

    return Clusters(
        task=task,
        init_state=state,
        episodes=np.bincount(index, minlength=task.size).astype(np.int64),
        only_treated=count(treated.success & ~control.success),
        only_control=count(control.success & ~treated.success),
    )


@dataclass(frozen=True, slots=True, eq=False)
class CellRates:
    """Success rate of every seed on every task."""

    seeds: tuple[int, ...]
    tasks: tuple[int, ...]
    rate: Floats  # [seeds, tasks], each scene counting the same; NaN where a seed has no episode of a task
    scenes: Ints  # [seeds, tasks]

    @property
    def means(self) -> Floats:
        """Per seed the mean over scenes, each counting the same; float [seeds], NaN where a task is missing."""
        return np.asarray((self.rate * self.scenes).sum(axis=1) / self.scenes.sum(axis=1), dtype=np.float64)


def cell_rates(outcomes: Outcomes) -> CellRates:
    """Success rates by seed and task."""
    seeds, rows = ranks(outcomes.seed)
    tasks, columns = ranks(outcomes.task)
    shape, cells = (seeds.size, tasks.size), seeds.size * tasks.size
    cell, state = rows * tasks.size + columns, outcomes.init_state
    # Episodes are sorted, so a scene's stand together.
    first = np.flatnonzero((np.diff(cell, prepend=-1) != 0) | (np.diff(state, prepend=0) != 0))
    repeats = np.diff(first, append=len(outcomes))
    mean = np.add.reduceat(outcomes.success.astype(np.int64), first) / repeats if first.size else np.zeros(0)
    scenes = np.bincount(cell[first], minlength=cells).reshape(shape)
    total = np.bincount(cell[first], weights=mean, minlength=cells).reshape(shape)
    rate = np.divide(total, scenes, out=np.full(shape, np.nan), where=scenes > 0)
    return CellRates(tuple(seeds.tolist()), tuple(tasks.tolist()), rate, scenes)


def outcomes_of(
    seed: ArrayLike, task: ArrayLike, init_state: ArrayLike, repeat: ArrayLike, success: ArrayLike
) -> Outcomes:
    """``Outcomes`` from sequences of any kind (lists, columns of a table); one value per episode each."""
    one, two, three, four = (np.asarray(column, dtype=np.int64) for column in (seed, task, init_state, repeat))
    return Outcomes(one, two, three, four, np.asarray(success, dtype=np.bool_))
