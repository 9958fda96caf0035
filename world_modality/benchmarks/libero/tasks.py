"""LIBERO's tasks as hf-libero ships them, and LIBERO-PRO's: language, BDDL file and recorded init states."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.libero.perturbed import TASKS, register_objects
from world_modality.benchmarks.libero.quiet import import_libero, libero_folder, silenced
from world_modality.errors import UserError, in_one_line
from world_modality.facts.benchmarks import SUITES
from world_modality.store.files import file_digest

INIT_FILES = Path(__file__).with_name("init_files.txt")
"""``SHA256  SUITE/FILE`` per line, as `sha256sum` writes it: hf-libero's recorded states."""


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
    """The instruction of every task of ``suite``; UserError if there is no such suite.

    Of a perturbed suite that of its BDDL files: their names, from which hf-libero takes an instruction, are those of
    the tasks that were perturbed.
    """
    base = SUITES[suite].perturbs
    if base is None:
        return {index: task.language for index, task in enumerate(_tasks(suite))}
    folder = perturbed_folder() / "bddl_files" / suite
    return {index: language_of(folder / task.bddl_file) for index, task in enumerate(_tasks(base))}


def language_of(bddl: Path) -> str:
    """The instruction in a BDDL file, as hf-libero's parser has it: lower case, one space between words."""
    found = re.search(r"\(:language\s+([^()]*)\)", bddl.read_text(encoding="utf-8"))
    if found is None:
        raise UserError(f"{bddl} names no (:language ...): it is no task of LIBERO")
    return " ".join(found[1].lower().split())


def perturbed_folder() -> Path:
    """LIBERO-PRO's ``bddl_files`` and ``init_files``, fetched if they must be."""
    return TASKS.folder("leave LIBERO-PRO's suites out")


def load_task(suite: str, index: int) -> Task:
    """Read task ``index`` of ``suite`` (e.g. "libero_spatial", 0..9) from the installed hf-libero.

    Raises:
        UserError: no such suite, or no such task in it.
    """
    import_libero()
    base = SUITES[suite].perturbs
    if base is not None:
        return _load_perturbed(suite, base, index)
    tasks = _tasks(suite)
    if not 0 <= index < len(tasks):
        raise UserError(f"{suite} has no task {index}: its tasks are 0 to {len(tasks) - 1}")
    task = tasks[index]
    root = libero_folder()
    states = own_states(root / "init_files", f"{task.problem_folder}/{task.init_states_file}")
    return Task(
        suite=suite,
        index=index,
        name=task.name,
        language=task.language,
        bddl=root / "bddl_files" / task.problem_folder / task.bddl_file,
        init_states=states,
    )


@cache
def init_file_digests() -> Mapping[str, str]:
    """Path of each of hf-libero's files of recorded states, below its ``init_files`` -> sha256, as the locked package
    brings it."""
    lines = (line.split("  ", 1) for line in INIT_FILES.read_text().splitlines())
    return {name: digest for digest, name in lines}


def own_states(folder: Path, name: str) -> NDArray[np.float64]:
    """The recorded states of the file ``name`` of hf-libero's ``init_files``.

    UserError unless it is, byte by byte, the file that this release was made with.
    """
    file = folder / name
    try:
        found = file_digest(file)
    except OSError as error:
        found = error.strerror or "unreadable"
    wanted = init_file_digests().get(name, "not known")
    if found != wanted:
        raise UserError(
            f"{file} is not the file of recorded states that this release knows (sha256 {found}, not {wanted}): "
            "install anew the hf-libero that envs/requirements.txt pins"
        )
    return read_states(file)


def read_states(file: Path) -> NDArray[np.float64]:
    """The recorded states of one of hf-libero's files, which are pickles of an array: nothing but an array is read.

    UserError if the file holds anything else, none of which is run.
    """
    import torch

    rebuild: Any = np.zeros(0).__reduce__()[
        0
    ]  # by the name that numpy 1 gave it when the files were made, and by numpy 2's
    rebuilds = [(rebuild, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")]
    try:
        with torch.serialization.safe_globals([np.ndarray, np.dtype, np.dtypes.Float64DType, *rebuilds]):
            return np.asarray(torch.load(file, weights_only=True), dtype=np.float64)
    except (OSError, pickle.UnpicklingError, RuntimeError, ValueError, TypeError, EOFError) as error:
        raise UserError(
            f"{file} holds no recorded states of LIBERO ({in_one_line(error)}): install hf-libero anew"
        ) from error


def _load_perturbed(suite: str, base: str, index: int) -> Task:
    """A task has the name of the one that it perturbs, and files of its own."""
    name, root = _tasks(base)[index].name, perturbed_folder()
    register_objects()
    bddl = root / "bddl_files" / suite / f"{name}.bddl"
    with np.load(root / "init_files" / suite / f"{name}.pruned_init.npz") as found:
        states = np.asarray(found["states"], dtype=np.float64)
    return Task(suite, index, name, language_of(bddl), bddl, states)


def _tasks(suite: str) -> Sequence[Any]:
    import_libero()
    from libero.libero import benchmark

    suites = benchmark.get_benchmark_dict()
    if suite not in suites:
        raise UserError(f"unknown LIBERO suite {suite!r}: use one of {', '.join(sorted(suites))}")
    with silenced():
        tasks: Sequence[Any] = suites[suite]().tasks
    return tasks
