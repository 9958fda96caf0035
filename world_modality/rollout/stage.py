"""Stage "rollout": one checkpoint in one memory mode on one task, in the simulator."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import torch

from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.online import HistoryEncoder
from world_modality.errors import UserError
from world_modality.memory.modes import find_mode
from world_modality.policies.chunk_policy import ChunkPolicy, load_policy
from world_modality.rollout.cell import Cell
from world_modality.rollout.history import LatentHistory
from world_modality.rollout.pool import Pool
from world_modality.rollout.records import Ledger
from world_modality.rollout.scheduler import Scheduler
from world_modality.rollout.units import units_of
from world_modality.rollout.worker import World
from world_modality.sim.assets import open_assets
from world_modality.sim.environment import Environment
from world_modality.store.files import folder_digest
from world_modality.store.layout import StageFolder
from world_modality.store.machine import versions
from world_modality.store.record import read_record
from world_modality.store.stage import Facts, StageContext
from world_modality.study.specs import EncoderSpec, RolloutSpec, SimSpec

HANG_SECONDS = 300.0  # without a sign of a simulator; a reset takes seconds, a chunk less

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


def run(spec: RolloutSpec, context: StageContext) -> Facts:
    """Roll out every unit of the cell and write records.jsonl, sorted by unit.

    Inputs: "checkpoint", a training; "encoder", when the memory mode reads what the policy sees. UserError
    when the two do not belong together, the simulator would show the policy pictures of another size than it was
    trained on, its assets are not those of the spec, or a unit's simulator crashes time and again.
    """
    # One thread: how many cores a job was given must not decide how its sums are rounded.
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    training = context.one("checkpoint")
    policy = load_policy(
        training / "pretrained_model", device, spec.memory, spec.num_steps, spec.n_action_steps, spec.batch
    )
    _require_picture_size(policy.config, spec.sim.camera_size)
    open_assets(spec.sim)  # refuses other assets than planned before any simulator starts
    cell = Cell(
        spec.sim,
        spec.memory,
        spec.n_action_steps,
        spec.horizon,
        training.parent.name,
        policy.trained_memory,
        device,
        versions(SOFTWARE),
    )
    ledger = Ledger(context.work / "records", units_of(spec))
    scheduler = Scheduler(cell, ledger, policy, _history(spec, context, policy, device), context.progress)
    with closing(ledger), closing(_pool(spec, min(context.cores, len(ledger.units)))) as pool:
        account = scheduler.run(pool)
    ledger.publish(context.artifact / "records.jsonl")
    successes = sum(record.success for record in ledger.done.values())
    context.progress.say(f"{context.progress.label}  {account.summary(context.cores)}")
    return {"units": len(ledger.done), "successes": successes, "device": device}


def _pool(spec: RolloutSpec, workers: int) -> Pool:
    preload = "world_modality.rollout.preload"
    return Pool(partial(open_world, spec.sim, spec.init_states), workers, HANG_SECONDS, preload)


def _require_picture_size(config: Any, size: int) -> None:
    """UserError unless the checkpoint was trained on pictures of ``size`` x ``size`` pixels."""
    for name, feature in config.image_features.items():
        height, width = feature.shape[1:]
        if "empty_camera" not in name and (height, width) != (size, size):
            raise UserError(
                f"simulator.camera_size is {size}, but the checkpoint was trained on {name} of {height}x{width} "
                f"pixels; roll it out at that size, or train it on data of {size}x{size}."
            )


def open_world(sim: SimSpec, init_states: tuple[int, ...], task: int) -> World:
    """The simulator of a task; UserError if an initial state of the study does not exist."""
    world = Environment(sim, task, open_assets(sim))
    missing = [state for state in init_states if not 0 <= state < world.init_state_count]
    if missing:
        raise UserError(
            f"rollouts.init_states: {sim.suite} task {task} has no initial state {missing[0]}; choose from "
            f"0 to {world.init_state_count - 1}."
        )
    return world


def _history(
    spec: RolloutSpec, context: StageContext, policy: ChunkPolicy, device: str
) -> Callable[[], LatentHistory] | None:
    """What makes a unit's window of the encoder; None for memory modes that never encode a frame."""
    if not find_mode(spec.memory).needs_history:
        return None
    folder = context.one("encoder")
    record = read_record(StageFolder(folder.parent).done)
    if record is None:
        raise UserError(f"{folder.parent} is not a sealed encoder; run the study again, which makes what is missing.")
    encoder_spec = EncoderSpec.model_validate(record.spec)
    config = policy.config
    config.require_encoder(encoder_spec, config.world_camera)
    if config.world_encoder_digest not in ("", folder_digest(folder)):
        raise UserError(
            f"{folder} does not hold the weights of the encoder the checkpoint was trained with; verify it."
        )
    encoder = HistoryEncoder(load_encoder(encoder_spec, folder, device), config.world_context)
    delay = find_mode(spec.memory).delay * config.world_horizon
    return partial(LatentHistory, encoder, config.world_camera, delay)
