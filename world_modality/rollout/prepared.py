"""A rollout stage's inputs put together: policy, encoder and what its records have in common."""

from __future__ import annotations

import torch

from world_modality.data.hub import ENCODER
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.facts.memory import MODES
from world_modality.facts.policies import note_of
from world_modality.policies.chunk_policy import ChunkPolicy, load_policy
from world_modality.rollout.cell import Cell
from world_modality.rollout.setup import NewHistory, described_device, history_maker, require_picture_size, software
from world_modality.store.done import read_done
from world_modality.store.layout import StageFolder
from world_modality.store.stage import StageContext
from world_modality.study.specs import EncoderSpec, RolloutSpec


def prepare(spec: RolloutSpec, context: StageContext) -> tuple[ChunkPolicy, Cell, NewHistory | None]:
    """The policy, what its records have in common, and what makes an episode's window of the encoder, if it reads
    one."""
    # One thread: how many cores a job was given must not decide how its sums are rounded.
    torch.set_num_threads(1)
    device, told = described_device(spec.device)
    training = context.one("checkpoint")
    policy = load_policy(
        training / "pretrained_model", device, spec.memory, spec.num_steps, spec.n_action_steps, spec.batch, spec.dtype
    )
    require_picture_size(policy.config, spec.sim.camera_size)
    suite = SUITES[spec.sim.suite]
    cell = Cell(
        suite,
        spec.sim,
        spec.memory,
        spec.n_action_steps,
        spec.horizon,
        training.parent.name,
        policy.trained_memory,
        told,
        software(suite),
        note_of(str(policy.config.type), spec.memory),
    )
    return policy, cell, _new_history(spec, context, policy, device)


def _new_history(spec: RolloutSpec, context: StageContext, policy: ChunkPolicy, device: str) -> NewHistory | None:
    """What makes an episode's window of the sealed encoder; None for memory modes that never encode a frame."""
    if not MODES[spec.memory].needs_history:
        return None
    folder = context.one("encoder")
    record = read_done(StageFolder(folder.parent).done)
    if record is None:
        raise UserError(f"{folder.parent} is not a sealed encoder; run the study again, which makes what is missing.")
    new_history = history_maker(policy.config, spec.memory, EncoderSpec.model_validate(record.spec), folder, device)
    if policy.config.world_encoder_digest not in ("", ENCODER.digest(folder)):
        raise UserError(
            f"{folder} does not hold the weights of the encoder the checkpoint was trained with; verify it."
        )
    return new_history
