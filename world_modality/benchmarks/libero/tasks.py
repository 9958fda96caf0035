"""LIBERO's tasks as hf-libero ships them: language, BDDL file and recorded init states."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.libero.quiet import import_libero, libero_folder, silenced
from world_modality.errors import UserError


@dataclass(frozen=True)
class Task:
    """One task of a suite.

    ``init_states`` is float64 [50, 1 + nq + nv]: recorded simulator states (time, positions, velocities).
    """

    suite: str
    index: int
    name: str
    language: str
    bddl: Path
    init_states: NDArray[np.float64]

    def init_state_digest(self, init_state: int) -> str:
        """16 hex digits over the bytes of one init state."""
        return hashlib.sha256(np.ascontiguousarray(self.init_states[init_state]).tobytes()).hexdigest()[:16]


def instructions(suite: str) -> dict[int, str]:
    """The instruction of every task of ``suite``; UserError if there is no such suite."""
    return {index: task.language for index, task in enumerate(_tasks(suite))}


def load_task(suite: str, index: int) -> Task:
    """Read task ``index`` of ``suite`` (e.g. "libero_spatial", 0..9) from the installed hf-libero.

    Raises:
        UserError: no such suite, or no such task in it.
    """
    import_libero()
    import torch

    tasks = _tasks(suite)
    if not 0 <= index < len(tasks):
        raise UserError(f"{suite} has no task {index}: its tasks are 0 to {len(tasks) - 1}")
    task = tasks[index]
    root = libero_folder()
    # The files are numpy pickles of the installed package, hence weights_only=False.
    states = torch.load(root / "init_files" / task.problem_folder / task.init_states_file, weights_only=False)
    return Task(
        suite=suite,
        index=index,
        name=task.name,
        language=task.language,
        bddl=root / "bddl_files" / task.problem_folder / task.bddl_file,
        init_states=np.asarray(states, dtype=np.float64),
    )


def _tasks(suite: str) -> Sequence[Any]:
    import_libero()
    from libero.libero import benchmark

    suites = benchmark.get_benchmark_dict()
    if suite not in suites:
        raise UserError(f"unknown LIBERO suite {suite!r}: use one of {', '.join(sorted(suites))}")
    with silenced():
        tasks: Sequence[Any] = suites[suite]().tasks
    return tasks
