"""Pucks: a finger pushes pucks over a line, before one of them slides off the side of the table.

A benchmark with cameras, state and action of its own, without assets and recorded initial states.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from wm_extension.rows import PUCKS
from world_modality.benchmarks.contract import Action, Observation, Picture, Pose, Step
from world_modality.benchmarks.graphics import choose_opengl
from world_modality.errors import UserError
from world_modality.study.specs import SimSpec

GOALS = (("red",), ("red", "blue"))  # pucks that have to be over the line, by task
LINE = 0.15  # m along x
EDGE = 0.30  # m along y: what is beyond has slid off
SUBSTEPS = 10
HOVER, TOUCH = 0.10, 0.02  # m, heights of the finger's tip
MODEL = """
<mujoco>
  <option timestep="0.005"/>
  <visual><global offwidth="512" offheight="512"/></visual>
  <worldbody>
    <light pos="0 0 1.5" dir="0 0 -1"/>
    <geom name="table" type="box" size="0.5 0.4 0.01" pos="0 0 -0.01" rgba=".8 .8 .7 1"/>
    <geom name="line" type="box" size="0.003 0.4 0.001" pos="0.15 0 0" contype="0" conaffinity="0" rgba="0 0 0 1"/>
    <camera name="top" pos="0 0 1" fovy="50"/>
    <camera name="side" pos="0 -0.9 0.3" xyaxes="1 0 0 0 0.3 1" fovy="50"/>
    <body name="red" pos="0 0 0.02"><freejoint/>
      <geom type="cylinder" size="0.03 0.02" mass="0.1" rgba=".9 .1 .1 1"/></body>
    <body name="blue" pos="0 0 0.02"><freejoint/>
      <geom type="cylinder" size="0.03 0.02" mass="0.1" rgba=".1 .1 .9 1"/></body>
    <body name="finger">
      <joint name="x" type="slide" axis="1 0 0" damping="5"/>
      <joint name="y" type="slide" axis="0 1 0" damping="5"/>
      <joint name="z" type="slide" axis="0 0 1" damping="5"/>
      <geom type="sphere" size="0.015" mass="0.2" rgba=".2 .7 .2 1"/>
    </body>
  </worldbody>
  <actuator>
    <position joint="x" kp="60"/><position joint="y" kp="60"/><position joint="z" kp="60"/>
  </actuator>
</mujoco>
"""


class Pucks:
    """One task; fulfils ``Simulator`` and ``Restorable`` of ``world_modality.benchmarks.contract``."""

    def __init__(self, spec: SimSpec, task: int, assets: Path | None) -> None:
        choose_opengl()
        import mujoco

        self._spec, self._goal = spec, GOALS[task]
        self._model: Any = mujoco.MjModel.from_xml_string(MODEL)
        self._data: Any = mujoco.MjData(self._model)
        self._target = np.zeros(3)  # of the finger
        self._renderer: Any = None
        self._started = ""

    @property
    def language(self) -> str:
        return f"push the {' and the '.join(self._goal)} puck over the line"

    @property
    def init_state_digest(self) -> str:
        return self._started

    def reset(self, init_state: int | None, seed: int) -> None:
        import mujoco

        if init_state is not None:
            raise UserError(f"pucks has no recorded initial states, so none with number {init_state}")
        rng = np.random.default_rng(seed)
        mujoco.mj_resetData(self._model, self._opened())
        self._data.qpos[[0, 7]] = rng.uniform(-0.15, -0.05, 2)
        self._data.qpos[[1, 8]] = np.array([-0.12, 0.12]) + rng.uniform(-0.05, 0.05, 2)
        self._data.qpos[-3:] = self._target = np.array([-0.3, 0.0, HOVER])
        self._data.ctrl[:] = self._target
        mujoco.mj_forward(self._model, self._data)
        self._started = hashlib.sha256(self._data.qpos.tobytes()).hexdigest()[:16]
        for _ in range(self._spec.settle_steps):
            self.step(PUCKS.action.no_op)

    def observe(self, cameras: Sequence[str] | None = None) -> Observation:
        chosen = tuple(PUCKS.cameras) if cameras is None else cameras
        state = np.asarray(self._opened().qpos[-3:], dtype=np.float32)
        return Observation({camera: self.render(camera) for camera in chosen}, state)

    def render(self, camera: str) -> Picture:
        from world_modality.benchmarks.renderer import Renderer

        size = self._spec.camera_size
        self._opened()
        if self._renderer is None:
            self._renderer = Renderer(self._model, size, size, max_geom=100)
        self._renderer.update_scene(self._data, camera)
        picture: Picture = self._renderer.render()
        return picture.copy()

    def step(self, action: ArrayLike) -> Step:
        import mujoco

        self._opened()
        self._target = self._target + np.asarray(action, dtype=np.float64)
        self._data.ctrl[:] = self._target
        mujoco.mj_step(self._model, self._data, SUBSTEPS)
        over = [bool(self.position(puck)[0] > LINE) for puck in self._goal]
        lost = any(abs(self.position(puck)[1]) > EDGE for puck in self._goal)
        success = all(over)
        return Step(success, lost and not success, float(success), sum(over) / len(over))

    def poses(self) -> Mapping[str, Pose]:
        data = self._opened()
        bodies = {name: self._model.body(name).id for name in ("red", "blue", "finger")}
        return {name: np.concatenate((data.xpos[body], data.xquat[body])) for name, body in bodies.items()}

    def snapshot(self) -> Any:
        return copy(self._opened()), self._target.copy()

    def restore(self, snapshot: Any) -> None:
        self._opened()
        data, target = snapshot
        self._data = copy(data)
        self._target = target.copy()

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
        self._renderer = self._data = None

    @property
    def goal(self) -> tuple[str, ...]:
        """The pucks that have to be over the line."""
        return self._goal

    def position(self, body: str) -> np.ndarray:
        """World position [3] (m)."""
        return np.array(self._opened().xpos[self._model.body(body).id])

    def _opened(self) -> Any:
        if self._data is None:
            raise RuntimeError("this simulator is closed")
        return self._data


class PuckExpert:
    """Lowers the finger behind each puck in turn and pushes it over the line."""

    delicate = False
    finishing = False

    def __init__(self, simulator: Pucks, rng: np.random.Generator, noise: float | None) -> None:
        self._simulator, self._rng, self._noise = simulator, rng, noise
        self._phase = "approach"

    @property
    def phase(self) -> str:
        return self._phase

    def act(self) -> Action:
        finger = self._simulator.position("finger")
        left = [puck for puck in self._simulator.goal if self._simulator.position(puck)[0] <= LINE + 0.01]
        puck = self._simulator.position(left[0] if left else self._simulator.goal[-1])
        behind = puck - np.array([0.07, 0.0, 0.0])
        aside = float(np.abs(finger - behind)[:2].max())
        if self._phase == "push" and (finger[0] > puck[0] or abs(finger[1] - puck[1]) > 0.02):
            self._phase = "approach"
        if self._phase == "approach" and aside < 0.02:
            self._phase = "lower"
        if self._phase == "lower" and finger[2] < TOUCH + 0.01:
            self._phase = "push"
        targets = {
            "approach": np.array([*behind[:2], HOVER]) if finger[2] > 0.06 else np.array([*finger[:2], HOVER]),
            "lower": np.array([*behind[:2], TOUCH]),
            "push": np.array([finger[0] + 0.02, puck[1], TOUCH]),
        }
        step = np.clip(targets[self._phase] - finger, PUCKS.action.low, PUCKS.action.high)
        return (0.5 * step).astype(np.float32)

    def disturb(self, action: Action) -> Action:
        if self._noise is None:
            return action
        noisy = action + self._rng.normal(0, 0.002 * self._noise, action.shape)
        return PUCKS.action.executed(noisy.astype(np.float32))
