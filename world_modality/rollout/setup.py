"""A policy, its encoder, simulators and a ledger put together, for a stage of a study or without one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.online import HistoryEncoder
from world_modality.errors import UserError
from world_modality.memory.modes import find_mode
from world_modality.policies.chunk_policy import ChunkPolicy
from world_modality.rollout.cell import Cell
from world_modality.rollout.history import LatentHistory
from world_modality.rollout.pool import Pool, warm_up
from world_modality.rollout.records import Ledger
from world_modality.rollout.scheduler import Scheduler
from world_modality.rollout.spent import Account
from world_modality.rollout.worker import World
from world_modality.sim.assets import open_assets
from world_modality.sim.environment import Environment
from world_modality.store.progress import Progress
from world_modality.study.specs import EncoderSpec, SimSpec, TrainMode

HANG_SECONDS = 300.0  # without a sign of a simulator; a reset takes seconds, a chunk less
PRELOAD = "world_modality.rollout.preload"

SOFTWARE = (
    "lerobot_policy_world_modality",
    "lerobot",
    "torch",
    "transformers",
    "numpy",
    "mujoco",
    "robosuite",
    "hf-libero",
)

NewHistory = Callable[[], LatentHistory]


def roll_out(
    cell: Cell,
    ledger: Ledger,
    policy: ChunkPolicy,
    new_history: NewHistory | None,
    cores: int,
    progress: Progress,
) -> Account:
    """Work until every unit of the ledger has a record; says what took how long.

    Raises:
        UserError: the assets are not the planned ones, an initial state does not exist, or as ``Scheduler.run``.
    """
    open_assets(cell.sim)  # refuses other assets than planned before any simulator starts
    states = tuple(sorted({unit.init_state for unit in ledger.units}))
    with closing(_pool(cell.sim, states, min(cores, len(ledger.units)))) as pool:
        account = Scheduler(cell, ledger, policy, new_history, progress).run(pool)
    progress.say(f"{progress.label}  {account.summary(cores)}")
    return account


def expect_simulators() -> None:
    """Let what simulator processes import be imported while the policy is loaded."""
    warm_up(PRELOAD)


def _pool(sim: SimSpec, states: tuple[int, ...], workers: int) -> Pool:
    return Pool(partial(open_world, sim, states), workers, HANG_SECONDS, PRELOAD)


def open_world(sim: SimSpec, init_states: tuple[int, ...], task: int) -> World:
    """The simulator of a task; UserError if one of the initial states does not exist."""
    world = Environment(sim, task, open_assets(sim))
    missing = [state for state in init_states if not 0 <= state < world.init_state_count]
    if missing:
        raise UserError(
            f"rollouts.init_states: {sim.suite} task {task} has no initial state {missing[0]}; choose from "
            f"0 to {world.init_state_count - 1}."
        )
    return world


def require_picture_size(config: Any, size: int) -> None:
    """UserError unless the checkpoint was trained on pictures of ``size`` x ``size`` pixels."""
    for name, feature in config.image_features.items():
        height, width = feature.shape[1:]
        if "empty_camera" not in name and (height, width) != (size, size):
            raise UserError(
                f"simulator.camera_size is {size}, but the checkpoint was trained on {name} of {height}x{width} "
                f"pixels; roll it out at that size, or train it on data of {size}x{size}."
            )


def history_maker(config: Any, memory: TrainMode, spec: EncoderSpec, folder: Path, device: str) -> NewHistory:
    """What makes a unit's window of the encoder in ``folder``; UserError if the checkpoint was trained with another."""
    config.require_encoder(spec)
    encoder = HistoryEncoder(load_encoder(spec, folder, device), config.world_context)
    return partial(LatentHistory, encoder, config.cameras, find_mode(memory).delay * config.world_horizon)
