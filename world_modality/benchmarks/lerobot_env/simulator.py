"""One task of an environment of LeRobot's as a simulator.

Such an environment draws its pictures at every step, so nothing is saved where none are looked at. What it cannot tell,
poses of things and recorded states, it does not.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from world_modality.benchmarks.contract import Observation, Picture, Pose, Step
from world_modality.benchmarks.graphics import choose_opengl
from world_modality.benchmarks.lerobot_env.environment import LeRobotEnv
from world_modality.benchmarks.lerobot_env.opengl import share_opengl
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.imports import importing
from world_modality.study.specs import SimSpec

SEEDS = 2**32  # that numpy's older generators take


class LeRobotSimulator:
    """A :class:`~world_modality.benchmarks.contract.Simulator`, as repeatable as the environment itself is."""

    def __init__(self, told: LeRobotEnv, spec: SimSpec, task: int) -> None:
        """Make the environment (seconds).

        Raises:
            UserError: LeRobot knows no such type, or its config has no such settings.
        """
        if task >= len(told.tasks):
            raise UserError(f"{spec.suite} names {len(told.tasks)} tasks of LeRobot's {told.type}, so none is {task}")
        self._told, self._spec, self._task = told, spec, task
        self._env: Any = self._make()
        self._seen: Mapping[str, Any] = {}
        self._started = ""

    @property
    def language(self) -> str:
        """The instruction that the suite's row says."""
        return self._told.tasks[self._task][0]

    @property
    def init_state_digest(self) -> str:
        """16 hex digits of all that the environment showed of the scene that was drawn."""
        return self._started

    def reset(self, init_state: int | None, seed: int) -> None:
        """Start the episode that the environment draws from the seed."""
        if init_state is not None:
            raise UserError(f"{self._spec.suite} has no recorded initial states, so no initial state {init_state}")
        env = self._open()
        if self._told.anew and self._started:
            env.close()
            env = self._env = self._make()
        random.seed(seed)
        np.random.seed(seed % SEEDS)
        self._seen, _ = env.reset(seed=seed % SEEDS)
        self._started = _digest(self._seen)
        for _ in range(self._spec.settle_steps):
            self.step(SUITES[self._spec.suite].action.no_op)

    def step(self, action: ArrayLike) -> Step:
        """Execute one action; what LeRobot's environments do at an episode's end, also for want of time, ends it."""
        seen, reward, terminated, truncated, info = self._open().step(np.asarray(action, dtype=np.float32))
        self._seen = seen
        if self._told.success not in info:
            known = ", ".join(info) or "nothing"
            raise UserError(
                f"{self._spec.suite}: LeRobot's {self._told.type} tells no '{self._told.success}' at a step, but "
                f"{known}: name its key as success"
            )
        success = bool(info[self._told.success])
        return Step(success, bool(terminated or truncated), float(reward), float(success))

    def observe(self, cameras: Sequence[str] | None = None) -> Observation:
        """Pictures, by default all of the suite's, and the state."""
        self._open()
        chosen = tuple(self._told.cameras) if cameras is None else cameras
        parts = [np.asarray(self._at(place), dtype=np.float32).ravel() for place in self._told.state]
        return Observation({camera: self.render(camera) for camera in chosen}, np.concatenate(parts))

    def render(self, camera: str) -> Picture:
        """The picture of the last observation, resized where the environment draws another size."""
        self._open()
        picture = np.ascontiguousarray(self._at(self._told.cameras[camera]))
        height, width, _ = picture.shape
        if height != width:
            raise UserError(
                f"{self._spec.suite}: LeRobot's {self._told.type} draws pictures of {height}x{width}, and a study's "
                "are square: set what makes them so in its settings"
            )
        return picture if height == self._spec.camera_size else _resized(picture, self._spec.camera_size)

    def poses(self) -> Mapping[str, Pose]:
        """None: the environment does not tell any."""
        self._open()
        return {}

    def close(self) -> None:
        """Free the environment."""
        if self._env is not None:
            self._env.close()
        self._env = None

    def _open(self) -> Any:
        if self._env is None:
            raise RuntimeError(f"the simulator of {self._spec.suite} task {self._task} is closed")
        return self._env

    def _at(self, place: str) -> Any:
        value: Any = self._seen
        for key in place.split("/"):
            if not isinstance(value, Mapping) or key not in value:
                known = ", ".join(_places(self._seen))
                raise UserError(f"{self._spec.suite}: LeRobot's {self._told.type} shows no {place}, but {known}")
            value = value[key]
        return value

    def _make(self) -> Any:
        """The environment itself, out of the vector of one that LeRobot makes: that would reset by itself at an end."""
        choose_opengl()
        with importing():
            from lerobot.envs.factory import make_env, make_env_config
            from lerobot.utils.import_utils import register_third_party_plugins

        share_opengl()
        if self._told.module:
            importlib.import_module(self._told.module)
        else:
            register_third_party_plugins()
        _, own = self._told.tasks[self._task]
        sizes = dict.fromkeys(self._told.sized_by, self._spec.camera_size)
        try:
            config = make_env_config(self._told.type, **{**self._told.settings, **own, **sizes})
        except (TypeError, ValueError) as error:
            raise UserError(f"{self._spec.suite}: LeRobot makes no environment of that ({error})") from None
        with contextlib.redirect_stdout(io.StringIO()):
            made = make_env(config, n_envs=1)
            (vector,) = next(iter(made.values())).values()
        return vector.envs[0]


def _places(seen: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for name, value in seen.items():
        if isinstance(value, Mapping):
            yield from _places(value, f"{before}{name}/")
        else:
            yield f"{before}{name}"


def _digest(seen: Mapping[str, Any]) -> str:
    total = hashlib.sha256()
    for place in sorted(_places(seen)):
        value: Any = seen
        for key in place.split("/"):
            value = value[key]
        total.update(place.encode() + np.ascontiguousarray(value).tobytes())
    return total.hexdigest()[:16]


def _resized(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Bilinear, averaging over what a smaller picture's pixel covers."""
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR))
