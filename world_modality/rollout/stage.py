"""Stage "rollout": one checkpoint in one memory mode on one task, in the simulator."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import torch

from world_modality.data.hub import ENCODER
from world_modality.errors import UserError
from world_modality.memory.modes import find_mode
from world_modality.policies.chunk_policy import ChunkPolicy, load_policy
from world_modality.rollout.cell import Cell
from world_modality.rollout.made_with import disagreement
from world_modality.rollout.records import Ledger
from world_modality.rollout.setup import (
    NewHistory,
    described_device,
    history_maker,
    require_picture_size,
    roll_out,
    software,
)
from world_modality.rollout.simulators import expect_simulators
from world_modality.rollout.units import units_of
from world_modality.store.layout import StageFolder
from world_modality.store.record import read_record
from world_modality.store.stage import Facts, StageContext
from world_modality.study.specs import EncoderSpec, RolloutSpec

MADE_WITH = "made_with.json"


def run(spec: RolloutSpec, context: StageContext) -> Facts:
    """Roll out every unit of the cell, together with whoever else does, and write records.jsonl, sorted by unit.

    Inputs: "checkpoint", a training; "encoder", when the memory mode reads what the policy sees. UserError
    when the two do not belong together, the simulator would show the policy pictures of another size than it was
    trained on, its assets are not those of the spec, the cell was begun on another device or with other software, or a
    unit's simulator crashes time and again.
    """
    expect_simulators()
    policy, cell, new_history = prepare(spec, context)
    _require_same_machinery(context.work, cell)
    with closing(Ledger(context.work / "records", units_of(spec))) as ledger:
        account = roll_out(cell, ledger, policy, new_history, context.cores, context.progress)
        context.settle()
        ledger.publish(context.artifact / "records.jsonl")
    successes = sum(record.success for record in ledger.done.values())
    facts = {"units": len(ledger.done), "successes": successes, "device": cell.device}
    return {**facts, "last_attempt": account.told(context.cores)}


def _require_same_machinery(work: Path, cell: Cell) -> None:
    """Units of a cell are paired with those of others, so all are made alike: UserError if some were made otherwise."""
    other = disagreement(work / MADE_WITH, {"device": cell.device, **cell.versions})
    if other:
        name, found, here = other
        raise UserError(
            f"this cell was begun with {name} {found}, and here it is {here}: go on with it where it was begun, or "
            f"remove {work} to begin anew"
        )


def prepare(spec: RolloutSpec, context: StageContext) -> tuple[ChunkPolicy, Cell, NewHistory | None]:
    """The policy, what its records have in common, and what makes a unit's window of the encoder, if it reads one."""
    # One thread: how many cores a job was given must not decide how its sums are rounded.
    torch.set_num_threads(1)
    device, told = described_device()
    training = context.one("checkpoint")
    policy = load_policy(
        training / "pretrained_model", device, spec.memory, spec.num_steps, spec.n_action_steps, spec.batch
    )
    require_picture_size(policy.config, spec.sim.camera_size)
    cell = Cell(
        spec.sim,
        spec.memory,
        spec.n_action_steps,
        spec.horizon,
        training.parent.name,
        policy.trained_memory,
        told,
        software(),
    )
    return policy, cell, _new_history(spec, context, policy, device)


def _new_history(spec: RolloutSpec, context: StageContext, policy: ChunkPolicy, device: str) -> NewHistory | None:
    """What makes a unit's window of the sealed encoder; None for memory modes that never encode a frame."""
    if not find_mode(spec.memory).needs_history:
        return None
    folder = context.one("encoder")
    record = read_record(StageFolder(folder.parent).done)
    if record is None:
        raise UserError(f"{folder.parent} is not a sealed encoder; run the study again, which makes what is missing.")
    new_history = history_maker(policy.config, spec.memory, EncoderSpec.model_validate(record.spec), folder, device)
    if policy.config.world_encoder_digest not in ("", ENCODER.digest(folder)):
        raise UserError(
            f"{folder} does not hold the weights of the encoder the checkpoint was trained with; verify it."
        )
    return new_history
