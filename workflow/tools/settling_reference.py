"""Write down how LIBERO's scenes settle with the installed MuJoCo: ``python workflow/tools/settling_reference.py``.

Only with the version that published evaluations are made with. See world_modality/benchmarks/libero/settling.py.
"""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from dataclasses import astuple
from importlib.metadata import version
from typing import Any

import numpy as np

from world_modality.benchmarks.contract import open_assets, open_simulator, simulator_spec
from world_modality.benchmarks.libero.settling import REFERENCE, SETTLE_STEPS, Moved, moved, reference, start_fault
from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.facts.benchmarks import SUITES
from world_modality.store.files import write_json
from world_modality.store.progress import Progress

STARTS = ((0, 0), (11, 1), (22, 2), (33, 3), (44, 4))
"""Initial states and seeds: the seed decides where fixtures stand."""
STAYS = Moved(0.001, 0.001, 0.5)  # less is not worth a line


def movements(suite: str, task: int, assets: str) -> dict[str, list[list[float]]]:
    """By object: the least and the most sideways (m), upwards (m) and tilt (degrees) over ``STARTS``."""
    spec = simulator_spec(SUITES[suite], assets, camera_size=64, render="fast", settle_steps=SETTLE_STEPS)
    found: dict[str, list[tuple[float, ...]]] = {}
    with closing(open_simulator(spec, task, open_assets(spec))) as simulator:
        assert isinstance(simulator, LiberoSimulator)
        for init_state, seed in STARTS:
            simulator.reset(init_state, seed)
            settled = simulator.poses()
            for name, pose in simulator.placed.items():
                found.setdefault(name, []).append(astuple(moved(pose, settled[name])))
    ranges = {name: [np.min(values, axis=0), np.max(values, axis=0)] for name, values in found.items()}
    return {
        name: [[round(float(low), 4), round(float(high), 4)] for low, high in zip(least, most, strict=True)]
        for name, (least, most) in ranges.items()
        if (np.abs([least, most]) > astuple(STAYS)).any()
    }


def main() -> None:
    """Replace the suites' part of the reference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="+")
    parser.add_argument("--assets", default="package")
    arguments = parser.parse_args()
    kept: dict[str, Any] = json.loads(REFERENCE.read_text()) if REFERENCE.exists() else {"tasks": {}, "apart": {}}
    for suite in arguments.suites:
        progress, own = Progress(suite), {}
        for task in range(SUITES[suite].tasks):
            progress.update(task, SUITES[suite].tasks, "tasks")
            own[str(task)] = movements(suite, task, arguments.assets)
        kept = {**kept, "mujoco": version("mujoco"), "tasks": {**kept["tasks"], suite: own}}
        write_json(REFERENCE, kept)
        reference.cache_clear()
        odd = {str(task): states_apart(suite, task, arguments.assets) for task in range(SUITES[suite].tasks)}
        apart = {task: states for task, states in odd.items() if states}
        kept = {**kept, "apart": {**kept["apart"], suite: apart}}
        write_json(REFERENCE, kept)
        progress.update(len(own), len(own), "tasks")


def states_apart(suite: str, task: int, assets: str) -> list[int]:
    """Recorded states that settle otherwise than those of ``STARTS``."""
    spec = simulator_spec(SUITES[suite], assets, camera_size=64, render="fast", settle_steps=SETTLE_STEPS)
    found = []
    with closing(open_simulator(spec, task, open_assets(spec))) as simulator:
        assert isinstance(simulator, LiberoSimulator)
        for init_state in range(len(simulator.task.init_states)):
            simulator.reset(init_state, init_state)
            if start_fault(suite, task, simulator.placed, simulator.poses()):
                found.append(init_state)
    return found


if __name__ == "__main__":
    main()
