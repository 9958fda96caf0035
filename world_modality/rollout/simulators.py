"""The simulators of a rollout. Their processes import this module, and so nothing that only the policy needs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from world_modality.errors import UserError
from world_modality.rollout.pool import Pool, warm_up
from world_modality.rollout.worker import World
from world_modality.sim.environment import Environment
from world_modality.sim.graphics import choose_opengl
from world_modality.study.specs import SimSpec

HANG_SECONDS = 300.0  # without a sign of a simulator; a reset takes seconds, a chunk less
PRELOAD = "world_modality.rollout.preload"


def expect_simulators() -> None:
    """Let what simulator processes import be imported while the policy is loaded.

    UserError if this machine cannot render: the process that imports could not say so.
    """
    choose_opengl()
    warm_up(PRELOAD)


def simulator_pool(sim: SimSpec, assets: Path, states: tuple[int, ...], workers: int) -> Pool:
    """Simulator processes for any tasks of the suite, with the assets that ``open_assets`` has checked."""
    return Pool(partial(open_world, sim, assets, states), workers, HANG_SECONDS, PRELOAD)


def open_world(sim: SimSpec, assets: Path, init_states: tuple[int, ...], task: int) -> World:
    """The simulator of a task; UserError if one of the initial states does not exist."""
    world = Environment(sim, task, assets)
    missing = [state for state in init_states if not 0 <= state < world.init_state_count]
    if missing:
        raise UserError(
            f"{sim.suite} task {task} has no initial state {missing[0]}; choose from 0 to {world.init_state_count - 1}."
        )
    return world
