"""A process that works on one rollout cell of a results tree: ``python -m support.toy_stage ROOT CHANGES RUNNER``."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from support.toy_world import ToyPolicy, open_slow, spec_from, toy_cell

from world_modality.rollout.episodes import episodes_of
from world_modality.rollout.pool import Pool
from world_modality.rollout.records import Ledger
from world_modality.rollout.scheduler import Scheduler
from world_modality.store.execute import execute
from world_modality.store.keys import stage_key
from world_modality.store.leases import Leases
from world_modality.store.stage import StageContext, StageRequest
from world_modality.study.specs import RolloutSpec


def request(changes: dict[str, Any]) -> StageRequest:
    """The toy's cell as a stage."""
    spec = spec_from(json.dumps(changes))
    key = stage_key("rollout", 1, {}, spec.address(), [])
    return StageRequest("rollout", key, 1, "rollout toy", spec, spec.address(), {}, ())


def pool(*_: Any) -> Pool:
    """Simulator processes that take their time."""
    return Pool(open_slow, 2, 60.0, ["support.toy_world"])


def toy(spec: RolloutSpec, context: StageContext) -> dict[str, int]:
    """What the real stage does, without importing a policy's libraries."""
    folder = context.work / "records"
    folder.mkdir(exist_ok=True)
    leases = Leases(folder / "leases", beat_s=1.0)  # whoever finds one silent need not look on for half a minute
    with closing(Ledger(folder, episodes_of(spec), leases)) as ledger, closing(pool()) as simulators:
        Scheduler(toy_cell(spec), ledger, ToyPolicy(batch=3), None, context.progress, 4).run(simulators)
        context.begin_sealing()
        ledger.publish(context.artifact / "records.jsonl", context.volatile / "timing.jsonl")
    return {"episodes": len(ledger.done)}


def real(spec: RolloutSpec, context: StageContext) -> Any:
    """The real stage on the toy's simulators and policy."""
    from world_modality.rollout import setup, stage

    ready = context.artifact.parents[2] / "ready"  # imports take longer than the cell, and not equally long
    ready.mkdir(exist_ok=True)
    (ready / str(os.getpid())).touch()
    while len(list(ready.iterdir())) < 2:
        time.sleep(0.01)
    replaced: Any = setup
    replaced.simulator_pool, replaced.open_assets = (lambda *_given: closing(pool())), lambda _sim: None
    replaced.prepare = lambda spec, _context: (ToyPolicy(batch=3), toy_cell(spec), None)
    replaced = stage
    replaced.expect_simulators = lambda _suites: None
    return stage.run(spec, context)


if __name__ == "__main__":
    changes = json.loads(sys.argv[2])
    sealed = execute(
        Path(sys.argv[1]), request(changes), globals()[sys.argv[3]], cores=2, stream=io.StringIO(), shared=True
    )
    print("sealed it" if sealed else "found it sealed")
