"""Stage "rollout": one checkpoint in one memory mode on one task, in the simulator."""

from __future__ import annotations

from typing import Any

import torch

from world_modality.data.hub import ENCODER
from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.online import HistoryEncoder
from world_modality.errors import UserError
from world_modality.memory.modes import find_mode
from world_modality.policies.chunk_policy import ChunkPolicy, load_policy
from world_modality.rollout.cell import Cell, run_cell
from world_modality.rollout.history import LatentHistory
from world_modality.rollout.loop import World
from world_modality.rollout.records import Journal
from world_modality.sim.assets import open_assets
from world_modality.sim.environment import Environment
from world_modality.store.layout import StageFolder
from world_modality.store.machine import versions
from world_modality.store.record import read_record
from world_modality.store.stage import Facts, StageContext
from world_modality.study.specs import EncoderSpec, RolloutSpec

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
    policy = load_policy(training / "pretrained_model", device, spec.memory, spec.num_steps, spec.n_action_steps)
    _require_picture_size(policy.config, spec.sim.camera_size)
    cell = Cell(spec, training.parent.name, policy.trained_memory, device, versions(SOFTWARE))
    journal = Journal(context.work / "records.jsonl")
    history = _history(spec, context, policy, device)
    run_cell(cell, journal, lambda: _open_world(spec), policy, history, context.progress)
    journal.publish(context.artifact / "records.jsonl")
    successes = sum(record.success for record in journal.done.values())
    return {"units": len(journal.done), "successes": successes, "device": device}


def _require_picture_size(config: Any, size: int) -> None:
    """UserError unless the checkpoint was trained on pictures of ``size`` x ``size`` pixels."""
    for name, feature in config.image_features.items():
        height, width = feature.shape[1:]
        if "empty_camera" not in name and (height, width) != (size, size):
            raise UserError(
                f"simulator.camera_size is {size}, but the checkpoint was trained on {name} of {height}x{width} "
                f"pixels; roll it out at that size, or train it on data of {size}x{size}."
            )


def _open_world(spec: RolloutSpec) -> World:
    """The simulator; UserError if an initial state of the study does not exist."""
    world = Environment(spec.sim, spec.task, open_assets(spec.sim))
    missing = [state for state in spec.init_states if not 0 <= state < world.init_state_count]
    if missing:
        raise UserError(
            f"rollouts.init_states: {spec.sim.suite} task {spec.task} has no initial state {missing[0]}; choose from "
            f"0 to {world.init_state_count - 1}."
        )
    return world


def _history(spec: RolloutSpec, context: StageContext, policy: ChunkPolicy, device: str) -> LatentHistory | None:
    """The encoder's window, for memory modes that read it; zero, random and disabled never encode a frame."""
    if not find_mode(spec.memory).needs_history:
        return None
    folder = context.one("encoder")
    record = read_record(StageFolder(folder.parent).done)
    if record is None:
        raise UserError(f"{folder.parent} is not a sealed encoder; run the study again, which makes what is missing.")
    encoder_spec = EncoderSpec.model_validate(record.spec)
    config = policy.config
    config.require_encoder(encoder_spec)
    if config.world_encoder_digest not in ("", ENCODER.digest(folder)):
        raise UserError(
            f"{folder} does not hold the weights of the encoder the checkpoint was trained with; verify it."
        )
    encoder = HistoryEncoder(load_encoder(encoder_spec, folder, device), config.world_context)
    delay = find_mode(spec.memory).delay * config.world_horizon
    return LatentHistory(encoder, config.cameras, delay)
