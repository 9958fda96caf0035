"""All that the future of a LIBERO episode depends on, kept beside it and put back."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.libero.view import POSE_FIELDS

MODEL_FIELDS = (*POSE_FIELDS, "site_rgba")
"""What differs between a task's models: resets move fixtures, and a stove that is on glows."""
VALUES = (np.ndarray, np.generic, bool, int, float, tuple, type(None))


@dataclass(frozen=True)
class Snapshot:
    """A moment between two control steps."""

    task: Any
    """Identity of the simulator that made it."""
    data: Any
    """mujoco.MjData: also what is derived, of which experts and contacts read the last physics step's."""
    model: Mapping[str, NDArray[Any]]
    controller: Mapping[str, Any]
    gripper: NDArray[np.float64]
    clock: tuple[int, float]
    seen: tuple[NDArray[Any], ...]
    """What pictures and state of this moment are made of."""


def take(sim_env: Any, task: Any, seen: tuple[NDArray[Any], ...]) -> Snapshot:
    """The moment that a robosuite environment is in."""
    model, robot = sim_env.sim.model._model, sim_env.robots[0]
    values = {name: value for name, value in vars(robot.controller).items() if isinstance(value, VALUES)}
    return Snapshot(
        task=task,
        data=copy(sim_env.sim.data._data),
        model={name: getattr(model, name).copy() for name in MODEL_FIELDS},
        controller=deepcopy(values),
        gripper=np.array(robot.gripper.current_action),
        clock=(sim_env.timestep, sim_env.cur_time),
        seen=tuple(value.copy() for value in seen),
    )


def put_back(sim_env: Any, snapshot: Snapshot) -> None:
    """Bring a robosuite environment of the same task back to a moment."""
    for name, value in snapshot.model.items():
        getattr(sim_env.sim.model._model, name)[:] = value
    sim_env.sim.data._data = copy(snapshot.data)  # MuJoCo 3.3.2 copies into no other data from Python
    robot = sim_env.robots[0]
    vars(robot.controller).update(deepcopy(dict(snapshot.controller)))
    robot.gripper.current_action = snapshot.gripper.copy()
    sim_env.timestep, sim_env.cur_time = snapshot.clock
