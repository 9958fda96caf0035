"""Stage "rollout": one checkpoint in one memory mode on one task, in the simulator."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from world_modality.errors import UserError
from world_modality.imports import importing
from world_modality.rollout.cell import Cell
from world_modality.rollout.episodes import episodes_of
from world_modality.rollout.pool import expect_simulators
from world_modality.rollout.records import TIMINGS, DamagedNote, Ledger, Record, disagreement
from world_modality.store.files import write_json
from world_modality.store.stage import TIMING, Facts, StageContext
from world_modality.study.specs import RolloutSpec

MANIFEST = "manifest.json"


def run(spec: RolloutSpec, context: StageContext) -> Facts:
    """Roll out every episode of the cell, together with whoever else does, and write records.jsonl, sorted by episode.

    Inputs: "checkpoint", a training or a given one; "encoder", when the memory mode reads what the policy sees.
    UserError when the two do not belong together, the policy's server is away or serves another one, the simulator
    would show the policy pictures of another size than it was trained on, its assets are not those of the spec, the
    cell was begun on another device or with other software, or an episode's simulator crashes time and again.
    """
    expect_simulators([spec.sim.suite])  # they import while this process imports torch: seconds, on a core of their own
    with importing():
        from world_modality.rollout.setup import prepare, roll_out

    policy, cell, new_history = prepare(spec, context)
    with closing(policy), closing(Ledger(context.work / "records", episodes_of(spec))) as ledger:
        _require_same_machinery(context.work, cell, ledger.done.values())
        account = roll_out(cell, ledger, policy, new_history, context.cores, context.progress)
        context.begin_sealing()
        ledger.publish(context.artifact / "records.jsonl", context.volatile / TIMINGS)
    if account is not None:
        write_json(context.volatile / TIMING, {"last_attempt": account.told(context.cores)})
    successes = sum(record.success for record in ledger.done.values())
    return {"episodes": len(ledger.done), "successes": successes, "device": cell.device}


def _require_same_machinery(work: Path, cell: Cell, records: Iterable[Record]) -> None:
    """Episodes of a cell are paired with those of others, so all are made alike: UserError if some were made
    otherwise. Every record says what it was made with; the note says it before there is one."""
    wanted = {"device": cell.device, **cell.versions}
    made = ({"device": record.device, **record.versions} for record in records)
    found = ((name, each.get(name), wanted[name]) for each in made for name in wanted if each.get(name) != wanted[name])
    other = next(found, None)
    if other is None:
        try:
            other = disagreement(work / MANIFEST, wanted)
        except DamagedNote:
            other = disagreement(work / MANIFEST, wanted, anew=True)
    if other:
        name, before, here = other
        raise UserError(
            f"this cell was begun with {name} {before}, and here it is {here}: go on with it where it was begun, or "
            f"remove {work} to begin anew"
        )
