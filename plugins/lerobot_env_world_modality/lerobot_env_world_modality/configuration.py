"""What ``--env.type=libero_world`` can be told, and the environments that LeRobot gets for it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from lerobot.envs.utils import _LazyAsyncVectorEnv, freeze_after_episode_end
from lerobot.utils.constants import ACTION, OBS_IMAGE, OBS_IMAGES, OBS_STATE

from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES, Suite
from world_modality.study.specs import SimSpec

Makers = Sequence[Callable[[], gymnasium.Env[Any, Any]]]


@EnvConfig.register_subclass("libero_world")
@dataclass
class LiberoWorldEnv(EnvConfig):  # type: ignore[misc] # mypy does not see LeRobot
    """A suite of World Modality's table, or several with commas between that show and take the same.

    With its defaults an episode is the one of LeRobot's own type ``libero``, to the last bit, but in tasks that begin
    with an open drawer: LeRobot's scene depends on the resets before, this one on its seed.
    """

    task: str | None = "libero_10"
    task_ids: list[int] | None = None
    """Tasks of every suite; None: all."""
    fps: int | None = None
    """Control steps per second: the suite's, and no others."""
    episode_length: int | None = None
    """Control steps of an episode; None: the suite's."""
    camera_size: int = 256
    """Pixels of the square pictures: those that the policy was trained on."""
    render: str = "stock"
    """Style of the pictures: stock, fast (no antialiasing, shadows or reflections) or coarse (fewer triangles, too)."""
    pictures_every: int = 1
    """Control steps between new pictures. LeRobot shows its policy every step, but one that plans chunks and looks at
    the present alone looks only when it plans: with its own n_action_steps here nothing else is drawn, and it acts as
    with all pictures."""
    assets: str | None = None
    """Where object models come from, for suites that need some: package, hub, hub@REVISION or a folder's path; None:
    the first source that the suite knows."""
    exact: bool = True
    """Whether contact forces are solved as often as in robosuite, and not once per physics step."""
    settle_steps: int | None = None
    """No-op control steps at the start of an episode; None: the suite's."""
    init_states: bool = True
    """Start from recorded initial states, in LeRobot's order; False draws each scene from its seed."""

    def __post_init__(self) -> None:
        """Describe what a policy sees and does, under the names that LeRobot gives to what it is shown."""
        if self.pictures_every < 1:
            raise UserError(f"--env.pictures_every={self.pictures_every}: set it to 1 or more control steps")
        suite = self.suites[0]
        if not self.exact and not any(each.exact for each in self.suites):
            raise UserError(
                f"--env.exact=false: {', '.join(each.name for each in self.suites)} has no quicker step; leave it out"
            )
        if self.fps not in (None, suite.control_rate):
            raise UserError(
                f"--env.fps={self.fps}: {suite.name} is simulated at {suite.control_rate} control steps per second "
                "and no others; leave it out"
            )
        self.fps = suite.control_rate
        picture = PolicyFeature(FeatureType.VISUAL, (self.camera_size, self.camera_size, 3))
        self.features = {
            ACTION: PolicyFeature(FeatureType.ACTION, (suite.action.size,)),
            "agent_pos": PolicyFeature(FeatureType.STATE, (len(suite.state),)),
        }
        self.features_map = {ACTION: ACTION, "agent_pos": OBS_STATE}
        for camera in suite.cameras:
            place = "pixels" if camera == OBS_IMAGE else f"pixels/{camera}"
            self.features[place] = picture
            self.features_map[place] = OBS_IMAGE if camera == OBS_IMAGE else f"{OBS_IMAGES}.{camera}"

    @property
    def suites(self) -> tuple[Suite, ...]:
        """The suites that ``task`` names.

        Raises:
            UserError: it names none, an unknown one, or some that differ in what a policy sees and does.
        """
        named = tuple(SUITES[name.strip()] for name in (self.task or "").split(",") if name.strip())
        if not named:
            raise UserError("--env.task names no suite: name one, such as libero_spatial")
        first = named[0]
        for other in named[1:]:
            if (other.cameras, other.state, other.action) != (first.cameras, first.state, first.action):
                raise UserError(f"--env.task: {other.name} shows and takes other things than {first.name}")
        return named

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """None: the environments are made here, and not by gymnasium's names."""
        return {}

    def create_envs(self, n_envs: int, use_async_envs: bool = False) -> dict[str, dict[int, Any]]:
        """By suite and task a vector of ``n_envs`` environments, whose simulators open at their first reset.

        Raises:
            UserError: no such task, or the assets cannot be had.
        """
        made = vector_of_processes if use_async_envs and n_envs > 1 else vector_in_turn
        modules = dict.fromkeys(module for suite in self.suites for module in suite.preload)
        multiprocessing.set_forkserver_preload([*modules, "__main__"])  # once for all processes of asynchronous ones
        environments: dict[str, dict[int, Any]] = {}
        for suite in self.suites:
            spec, assets = self._simulated(suite)
            makers = {task: self._makers(spec, task, assets, n_envs) for task in self._tasks(suite)}
            environments[suite.name] = {task: made(makers[task]) for task in makers}
        return environments

    def _tasks(self, suite: Suite) -> list[int]:
        chosen = range(suite.tasks) if self.task_ids is None else sorted(set(self.task_ids))
        unknown = [task for task in chosen if not 0 <= task < suite.tasks]
        if unknown or not chosen:
            raise UserError(f"--env.task_ids: {suite.name} has tasks 0 to {suite.tasks - 1}, choose of those")
        return list(chosen)

    def _simulated(self, suite: Suite) -> tuple[SimSpec, Path | None]:
        """What simulates a suite, and the folder of its assets."""
        from world_modality.benchmarks.contract import open_assets, simulator_spec

        spec = simulator_spec(
            suite,
            self.assets,
            camera_size=self.camera_size,
            render=self.render,
            settle_steps=self.settle_steps,
            exact=self.exact,
            setting="--env.assets",
        )
        if spec.assets:
            print(f"{suite.name}: {suite.benchmark}'s assets are {spec.assets} ({spec.assets_digest})")
        return spec, open_assets(spec)

    def _makers(self, spec: SimSpec, task: int, assets: Path | None, count: int) -> Makers:
        """What makes each environment of a vector."""
        from world_modality.benchmarks.gym_env import SimulatorEnv

        make = partial(
            SimulatorEnv,
            spec,
            task,
            assets,
            horizon=self.episode_length,
            stride=count,
            recorded=self.init_states,
            pictures_every=self.pictures_every,
        )
        return [partial(make, first=number) for number in range(count)]


def vector_of_processes(makers: Makers) -> _LazyAsyncVectorEnv:
    """Each environment in a process of its own, started when the task's turn comes."""
    return _LazyAsyncVectorEnv(list(makers))


def vector_in_turn(makers: Makers) -> gymnasium.vector.SyncVectorEnv:
    """All environments in this process.

    A finished one rests until the next episode, as in processes. LeRobot's own synchronous vectors let it begin another
    one meanwhile, and its initial state is skipped.
    """
    return gymnasium.vector.SyncVectorEnv(
        [freeze_after_episode_end(maker) for maker in makers],
        autoreset_mode=gymnasium.vector.AutoresetMode.NEXT_STEP,
    )
