"""A task's simulator as a gymnasium environment, such as LeRobot's evaluation drives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from world_modality.benchmarks.contract import Picture, Simulator, open_simulator
from world_modality.facts.benchmarks import SUITES
from world_modality.study.specs import SimSpec

WHOLE = "observation."  # a camera that begins so is a dataset's whole key: its suite has one, without a name
SEEDS = 2**31


class SimulatorEnv(gymnasium.Env[dict[str, Any], NDArray[np.float32]]):
    """Episodes of one task, from its recorded initial states in turn where there are any.

    An observation is ``pixels``, uint8 [H, W, 3] by camera, turned as in the suite's public dataset, and ``agent_pos``,
    float32 [S]: LeRobot makes a policy's inputs of these without any processor of an environment's own. An episode ends
    at success, or when the simulator ends it; its horizon is for whoever drives to keep.
    """

    def __init__(
        self,
        spec: SimSpec,
        task: int,
        assets: Path | None,
        *,
        horizon: int | None = None,
        first: int = 0,
        stride: int = 1,
        recorded: bool = True,
        pictures_every: int = 1,
    ) -> None:
        """Nothing is opened before the first reset: vector environments ask one for its spaces and drop it.

        Args:
            spec: suite, size and style of the pictures, settling, exactness.
            task: index of the task in the suite.
            assets: the folder that ``open_assets`` found.
            horizon: control steps of an episode; the suite's by default.
            first: which initial state the first episode starts from,
            stride: and by how many every further one moves on: the number of environments beside each other.
            recorded: False draws every scene from its seed, as of suites without recorded states.
            pictures_every: control steps between new pictures; the state is new at every one.
        """
        suite = SUITES[spec.suite]
        self._spec, self._assets, self._suite = spec, assets, suite
        self.task_id = task
        self.init_state_id = first
        self._stride, self.init_states = stride, recorded and suite.init_states is not None
        self._every = pictures_every
        self._simulator: Simulator | None = None
        self._pictures: Mapping[str, Picture] = {}
        self._steps = 0
        self._max_episode_steps = horizon or suite.horizon  # where LeRobot looks for it
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": suite.control_rate}
        self.render_mode = "rgb_array"
        picture = spaces.Box(0, 255, (spec.camera_size, spec.camera_size, 3), np.uint8)
        numbers = (len(suite.state),)
        self.observation_space = spaces.Dict(
            {
                "pixels": picture if self._unnamed else spaces.Dict(dict.fromkeys(suite.cameras, picture)),
                "agent_pos": spaces.Box(-np.inf, np.inf, numbers, np.float32),
            }
        )
        self.action_space = spaces.Box(suite.action.low, suite.action.high, (suite.action.size,), np.float32)

    @property
    def task_description(self) -> str:
        """The instruction."""
        return self.simulator.language

    @property
    def task(self) -> str:
        """The instruction as well: LeRobot takes it where it finds no description."""
        return self.task_description

    @property
    def assets(self) -> dict[str, str]:
        """``source`` and ``digest`` of the object models that it simulates with."""
        return {"source": self._spec.assets_origin, "digest": self._spec.assets_digest}

    @property
    def simulator(self) -> Simulator:
        """The simulator, opened if it is not (seconds).

        Raises:
            UserError: as ``open_simulator``.
        """
        if self._simulator is None:
            self._simulator = open_simulator(self._spec, self.task_id, self._assets)
        return self._simulator

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start the next episode; without a seed one is drawn."""
        super().reset(seed=seed, options=options)
        drawn = int(self.np_random.integers(SEEDS)) if seed is None else seed
        state = None
        if self.init_states:
            assert self._suite.init_states is not None
            state = self.init_state_id % self._suite.init_states
        self.simulator.reset(state, drawn)
        self.init_state_id += self._stride
        self._steps = 0
        return self._observe(), {"is_success": False}

    def step(self, action: NDArray[np.float32]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Execute one action [A]; ``is_success`` in what it tells is the outcome."""
        step = self.simulator.step(self._suite.action.executed(np.asarray(action, dtype=np.float32)))
        self._steps += 1
        told = {"is_success": step.success, "progress": step.progress, "task_id": self.task_id}
        return self._observe(), step.reward, step.success or step.terminated, False, told

    def render(self) -> Picture:
        """The first camera's picture that was last shown."""
        return next(iter(self._pictures.values()))

    def close(self) -> None:
        """Free the simulator; a reset opens another one."""
        if self._simulator is not None:
            self._simulator.close()
        self._simulator = None

    @property
    def _unnamed(self) -> bool:
        return next(iter(self._suite.cameras)).startswith(WHOLE)

    def _observe(self) -> dict[str, Any]:
        seen = self.simulator.observe(None if self._steps % self._every == 0 else ())
        self._pictures = seen.images or self._pictures
        pixels = next(iter(self._pictures.values())) if self._unnamed else dict(self._pictures)
        return {"pixels": pixels, "agent_pos": seen.state}
