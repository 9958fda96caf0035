"""One MetaWorld task as a deterministic simulator that renders only when asked."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from world_modality.benchmarks.contract import Observation, Picture, Pose, Step
from world_modality.benchmarks.graphics import choose_opengl
from world_modality.benchmarks.metaworld.moment import Moment, put_back, take
from world_modality.benchmarks.metaworld.tasks import instructions, task_names
from world_modality.errors import UserError
from world_modality.facts.benchmarks import METAWORLD_ACTION, METAWORLD_CAMERA
from world_modality.imports import importing
from world_modality.study.specs import SimSpec

CAMERA = "corner2"
CAMERA_PLACE = (0.75, 0.075, 0.7)  # where LeRobot's environment, and so the public dataset, moves it
STATE_SIZE = 4  # of MetaWorld's 39 numbers: the hand's position (m), and the fingers' opening from 0 to 1
MAX_GEOMS = 1000
ROBOT = ("base", "mocap")
"""Bodies at the roots of the arm and of what pulls its hand."""


class Told(NamedTuple):
    """A moment between two steps, with what was told of it."""

    moment: Moment
    raw: NDArray[np.float64]
    distance: float | None
    stepped: bool


class MetaWorldSimulator:
    """A :class:`~world_modality.benchmarks.contract.Simulator` that can also be restored."""

    def __init__(self, spec: SimSpec, task: int, assets: Path | None) -> None:  # noqa: ARG002
        """Load the task's scene (0.2 s, and once per process 0.5 s of imports); MetaWorld brings its own ``assets``."""
        self.spec = spec
        self.name = task_names(spec.suite)[task]
        self._language = instructions(spec.suite)[task]
        self._env: Any = _load(self.name, spec.camera_size)
        self._new: Moment = take(self._env)
        self._raw: NDArray[np.float64] = np.zeros(0)
        self._started = ""
        self._distance: float | None = None  # of the goal after the last step, as far as MetaWorld tells it
        self._stepped = False
        self._renderer: Any = None

    @property
    def language(self) -> str:
        """The instruction, as in the public dataset."""
        return self._language

    @property
    def init_state_digest(self) -> str:
        """16 hex digits of the scene that was drawn: positions of the arm, of objects and of the goal."""
        return self._started

    def reset(self, init_state: int | None, seed: int) -> None:
        """Start an episode whose object and goal the seed decides, as LeRobot's environment does in a new process."""
        if init_state is not None:
            raise UserError(f"{self.spec.suite} has no recorded initial states, so no initial state {init_state}")
        env = self._open()
        put_back(env, self._new)
        env.seed(seed)
        self._raw, _ = env.reset(seed=seed)
        self._distance, self._stepped = None, False
        drawn = (env.data.qpos, env.model.body_pos, env.model.site_pos, env._target_pos)
        self._started = hashlib.sha256(b"".join(np.asarray(part).tobytes() for part in drawn)).hexdigest()[:16]
        for _ in range(self.spec.settle_steps):
            self.step(METAWORLD_ACTION.no_op)

    def step(self, action: ArrayLike) -> Step:
        """Execute one action [4] for one control step (1/80 s); the episode goes on after a success."""
        command = np.asarray(action, dtype=np.float32)
        self._raw, reward, _, _, info = self._open().step(command)
        success = bool(info["success"])
        told = self._told(float(info["obj_to_target"]))
        self._distance = 0.0 if success and told is not None else told  # which ends at a radius of some centimetres
        return Step(success=success, terminated=False, reward=float(reward), progress=float(success))

    def observe(self, cameras: Sequence[str] | None = None) -> Observation:
        """The picture, and the state float32 [4]: the hand's position (m), the fingers' opening from 0 to 1."""
        self._open()
        chosen = (METAWORLD_CAMERA,) if cameras is None else cameras
        state = self._raw[:STATE_SIZE].astype(np.float32)
        return Observation({camera: self.render(camera) for camera in chosen}, state)

    def render(self, camera: str) -> Picture:
        """The picture, uint8 [H, W, 3], flipped on both axes as LeRobot does with this camera's."""
        import mujoco

        env = self._open()
        if self._renderer is None:
            self._renderer = self._new_renderer(env.model)
        self._renderer.update_scene(env.data, {METAWORLD_CAMERA: CAMERA}[camera])
        if self.spec.render == "fast":
            self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
            self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        return np.ascontiguousarray(self._renderer.render()[::-1, ::-1])

    def poses(self) -> Mapping[str, Pose]:
        """Poses of everything but the arm, of its hand, and of the goal, which has no rotation."""
        env = self._open()
        found = {
            env.model.body(body).name or f"body {body}": np.concatenate((env.data.xpos[body], env.data.xquat[body]))
            for body in _things(env.model)
        }
        hand = env.data.body("hand")
        found["hand"] = np.concatenate((hand.xpos, hand.xquat))
        found["goal"] = np.concatenate((env._target_pos, (1.0, 0.0, 0.0, 0.0)))
        return found

    def goal_distances(self) -> Mapping[str, float]:
        """MetaWorld's own distance to the goal (m); nothing before the first step, nor of tasks that have none."""
        self._open()
        return {} if self._distance is None else {"goal": self._distance}

    def snapshot(self) -> Told:
        """The moment between two steps; see :class:`~world_modality.benchmarks.contract.Restorable`."""
        return Told(take(self._open()), self._raw.copy(), self._distance, self._stepped)

    def restore(self, snapshot: Told) -> None:
        """Go back to a snapshot of this simulator."""
        put_back(self._open(), snapshot.moment)
        self._raw = snapshot.raw.copy()
        self._distance, self._stepped = snapshot.distance, snapshot.stepped

    def raw(self) -> NDArray[np.float64]:
        """What MetaWorld's experts see [39]: hand, fingers and objects now and a step before, and the goal."""
        self._open()
        return self._raw.copy()

    def close(self) -> None:
        """Free the simulator and its OpenGL context."""
        if self._renderer is not None:
            self._renderer.close()
        self._renderer = self._env = None

    def _told(self, distance: float) -> float | None:
        """A distance that MetaWorld tells; None of a task whose distance is 0 from the first step on, which says 0
        always."""
        tells = self._distance is not None or not self._stepped
        self._stepped = True
        return distance if tells and np.isfinite(distance) and (distance > 0 or self._distance is not None) else None

    def _open(self) -> Any:
        """MetaWorld's environment; RuntimeError after ``close``."""
        if self._env is None:
            raise RuntimeError(f"the simulator of {self.spec.suite} task {self.name} is closed")
        return self._env

    def _new_renderer(self, model: Any) -> Any:
        """MetaWorld's own frees what belongs to other simulators of the process, so it is never asked."""
        from world_modality.benchmarks.renderer import Renderer

        if self.spec.render == "fast":
            model.vis.quality.offsamples = 0  # read when the context is made
        size = self.spec.camera_size
        return Renderer(model, size, size, max_geom=MAX_GEOMS)


def _load(name: str, size: int) -> Any:
    """MetaWorld's environment of a task, which draws object and goal from its seed and never ends by itself."""
    choose_opengl()
    with importing():
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    env: Any = ALL_V3_ENVIRONMENTS[name](width=size, height=size)
    # What MT1's tasks set, and LeRobot after them; the tasks themselves are scenes that were drawn once.
    env._set_task_called, env._partially_observable = True, False
    env._freeze_rand_vec, env.seeded_rand_vec = False, True
    vars(env).pop("sawyer_observation_space", None)  # was made for a hidden goal
    env.max_path_length = sys.maxsize  # rollouts have a horizon of their own
    env.model.camera(CAMERA).pos[:] = CAMERA_PLACE
    return env


def _things(model: Any) -> list[int]:
    """Bodies that are no part of the arm."""
    roots = [model.body(name).id for name in ROBOT]
    return [body for body in range(1, model.nbody) if model.body_rootid[body] not in roots]
