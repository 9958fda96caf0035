"""``lerobot-eval`` and ``wm rollout``, each as it is typed, with an onlooker who notes the joints after every step.

    python -m support.onlookers stock|ours NOTES FLAGS...

Neither is changed: what they call is wrapped from outside. NOTES gets a file per episode, named by task, initial state
and seed at reset, with a JSON line of all joint positions after the reset and after every control step.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from world_modality.benchmarks.contract import Step
from world_modality.benchmarks.libero.libero_config import import_configured_libero
from world_modality.benchmarks.libero.quiet import import_libero
from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.facts.benchmarks import SUITES
from world_modality.imports import replaced
from world_modality.rollout import setup
from world_modality.rollout.episodes import Episode, flow_seed
from world_modality.rollout.pool import HANG_SECONDS, Pool, preloaded
from world_modality.study.specs import SimSpec

PLUGIN_TYPE = "libero_world"


class Notes:
    """The joints of one episode, begun anew by every reset to it."""

    def __init__(self, folder: Path, task: int, init_state: int, seed: int) -> None:
        self._file = folder / f"task{task}_init{init_state}_seed{seed}.jsonl"
        self._file.unlink(missing_ok=True)

    def add(self, positions: ArrayLike) -> None:
        """A line more: joint positions [nq], as they are read back to the last bit."""
        with self._file.open("a") as file:
            file.write(json.dumps(np.asarray(positions, dtype=np.float64).tolist()) + "\n")


def read_notes(folder: Path) -> dict[str, NDArray[np.float64]]:
    """Joint positions [1 + control steps, nq] of every episode by its name."""
    return {
        file.stem: np.array([json.loads(line) for line in file.read_text().splitlines()])
        for file in sorted(folder.glob("*.jsonl"))
    }


# Ours


class WatchedSimulator(LiberoSimulator):
    """Our simulator, which notes the joints."""

    def __init__(self, spec: SimSpec, task: int, assets: Path, notes: Path) -> None:
        super().__init__(spec, task, assets)
        self._folder = notes
        self._notes: Notes | None = None

    def reset(self, init_state: int | None, seed: int) -> None:
        self._notes = None  # it settles by steps
        super().reset(init_state, seed)
        assert init_state is not None
        self._notes = Notes(self._folder, self.task.index, init_state, seed)
        self._notes.add(self.qpos())

    def step(self, action: ArrayLike) -> Step:
        step = super().step(action)
        if self._notes is not None:
            self._notes.add(self.qpos())
        return step


def watched_pool(notes: Path, sim: SimSpec, assets: Path, workers: int) -> closing[Pool]:
    """The simulator processes of a rollout, whose simulators note the joints."""
    open_task = partial(WatchedSimulator, sim, assets=assets, notes=notes)
    return closing(Pool(open_task, workers, HANG_SECONDS, preloaded([sim.suite])))


def ours(notes: Path, flags: Sequence[str]) -> None:
    """``wm rollout``."""
    from world_modality.cli.main import app

    with replaced(setup, "simulator_pool", partial(watched_pool, notes)):
        app(["rollout", *flags], standalone_mode=False)


# lerobot-eval's


class Onlooker:
    """Stands beside LeRobot's only environment: notes the joints, and knows which query of which episode is next."""

    def __init__(self, notes: Path, suite: str, joints: Callable[[Any], ArrayLike]) -> None:
        """``joints`` finds the positions of all joints [nq] below the environment."""
        self._folder, self._suite, self._joints = notes, suite, joints
        self._notes: Notes | None = None
        self.episode = Episode(0, 0, 0)
        self.steps = 0

    def reset(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """The environment's ``reset``, watched."""

        def reset(env: Any, seed: int | None = None, **rest: Any) -> Any:
            states = SUITES[self._suite].init_states
            assert states is not None
            repeat, state = divmod(env.init_state_id, states)
            found = original(env, seed=seed, **rest)
            assert seed is not None
            self.episode, self.steps = Episode(env.task_id, state, repeat), 0
            self._notes = Notes(self._folder, env.task_id, state, seed)
            self._notes.add(self._joints(env))
            return found

        return reset

    def step(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """The environment's ``step``, watched."""

        def step(env: Any, action: Any) -> Any:
            found = original(env, action)
            assert self._notes is not None
            self._notes.add(self._joints(env))
            self.steps += 1
            return found

        return step

    def select_action(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """A policy's ``select_action``, which is given our noise, where it takes any, as an argument."""
        from world_modality.policies.host import host_of

        def select_action(policy: Any, batch: Any) -> Any:
            noise = host_of(policy.config.type).noise
            assert noise is not None
            replan = self.steps // policy.config.n_action_steps
            with noise(policy, [flow_seed(self._suite, self.episode, replan)]) as arguments:
                return original(policy, batch, **arguments)

        return select_action


def stock(notes: Path, flags: Sequence[str]) -> None:
    """``lerobot-eval`` in one environment: LeRobot's own LIBERO, or ours as the plugin brings it.

    LeRobot's own is configured first, with the assets that ``LEROBOT_WM_LIBERO_ASSETS`` names; ours needs nothing. What
    a policy draws its noise from is the only thing that another seed would not decide: it is given ours.
    """
    from lerobot.configs.parser import parse_arg
    from lerobot.policies.factory import get_policy_class
    from lerobot.scripts import lerobot_eval
    from lerobot.utils.import_utils import register_third_party_plugins

    from world_modality.policies.config_file import read_config_file
    from world_modality.training.arguments import command_line

    register_third_party_plugins()  # as it does itself before it asks for the policy
    environment, joints = watched_environment(str(parse_arg("env.type", flags)))
    onlooker = Onlooker(notes, str(parse_arg("env.task", flags)), joints)
    policy = get_policy_class(read_config_file(Path(str(parse_arg("policy.path", flags))))["type"])
    with ExitStack() as stack:
        for owner, name in ((environment, "reset"), (environment, "step"), (policy, "select_action")):
            stack.enter_context(replaced(owner, name, getattr(onlooker, name)(getattr(owner, name))))
        stack.enter_context(command_line(list(flags), "lerobot-eval"))
        lerobot_eval.main()


def watched_environment(kind: str) -> tuple[type, Callable[[Any], ArrayLike]]:
    """The class of the environments of a type of LeRobot's, and where one has its joints."""
    if kind == PLUGIN_TYPE:
        from world_modality.benchmarks.gym_env import SimulatorEnv

        return SimulatorEnv, lambda env: env.simulator.qpos()
    import_libero()
    import_configured_libero()
    from lerobot.envs.libero import LiberoEnv

    return LiberoEnv, lambda env: env._env.sim.data.qpos


if __name__ == "__main__":
    program, folder, *rest = sys.argv[1:]
    Path(folder).mkdir(parents=True, exist_ok=True)
    {"stock": stock, "ours": ours}[program](Path(folder).resolve(), rest)
