"""All units of one rollout cell, resumable at the next missing one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from world_modality.errors import UserError
from world_modality.rollout.loop import History, PlanError, Planner, SimulatorCrashError, World, run_unit
from world_modality.rollout.records import Journal, Record
from world_modality.rollout.units import Unit, environment_seed, flow_seed, units_of
from world_modality.store.progress import Progress
from world_modality.study.specs import RolloutSpec

MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Cell:
    """What all records of a cell have in common."""

    spec: RolloutSpec
    checkpoint: str
    trained_memory: str
    device: str
    versions: Mapping[str, str]


class Simulators:
    """Opens the simulator when it is first needed and again after a crash, and never twice at once."""

    def __init__(self, open_world: Callable[[], World]) -> None:
        self._open = open_world
        self._world: World | None = None

    def get(self) -> World:
        """The running simulator; SimulatorCrashError if it does not start. UserError passes through."""
        if self._world is None:
            try:
                self._world = self._open()
            except UserError:
                raise
            except Exception as error:
                raise SimulatorCrashError(f"{type(error).__name__}: {error}") from error
        return self._world

    def discard(self) -> None:
        """Close the simulator, which may be broken: a failure to close it must not hide why."""
        world, self._world = self._world, None
        if world is not None:
            with suppress(Exception):
                world.close()


def run_cell(
    cell: Cell,
    journal: Journal,
    open_world: Callable[[], World],
    planner: Planner,
    history: History | None,
    progress: Progress,
) -> None:
    """Roll out every unit that ``journal`` lacks, in order, and journal each before the next begins.

    Raises UserError when one unit's simulator crashes ``MAX_ATTEMPTS`` times or the policy gives no usable
    actions; finished units stay in the journal.
    """
    units = units_of(cell.spec)
    simulators = Simulators(open_world)
    try:
        for unit in units:
            _report(progress, journal, len(units))
            if unit not in journal.done:
                journal.append(_finish(cell, unit, simulators, planner, history))
        _report(progress, journal, len(units))
    finally:
        simulators.discard()


def _report(progress: Progress, journal: Journal, total: int) -> None:
    successes = sum(record.success for record in journal.done.values())
    progress.update(len(journal.done), total, "units", f"{successes} success{'es' * (successes != 1)}")


def _finish(cell: Cell, unit: Unit, simulators: Simulators, planner: Planner, history: History | None) -> Record:
    """Run a unit until it has an outcome: a crash is missing data, never a failure."""
    spec = cell.spec
    crashes: list[str] = []
    while True:
        try:
            world = simulators.get()
            start = time.monotonic()
            outcome = run_unit(unit, spec.sim.suite, world, planner, history, spec.n_action_steps, spec.horizon)
            break
        except SimulatorCrashError as crash:
            crashes.append(str(crash))
            simulators.discard()
            if len(crashes) == MAX_ATTEMPTS:
                raise UserError(
                    f"the simulator crashed {MAX_ATTEMPTS} times on {_name(spec, unit)} (last: {crash}); "
                    "finished units are kept: repair the cause and run again."
                ) from crash
        except PlanError as error:
            raise UserError(
                f"{_name(spec, unit)}: {error}; check checkpoint {cell.checkpoint} and rollouts.n_action_steps."
            ) from error
    return Record(
        suite=spec.sim.suite,
        assets=spec.sim.assets,
        assets_digest=spec.sim.assets_digest,
        task=unit.task,
        language=world.language,
        init_state=unit.init_state,
        init_state_digest=world.init_state_digest(unit.init_state),
        repeat=unit.repeat,
        environment_seed=environment_seed(spec.sim.suite, unit),
        flow_seed=flow_seed(spec.sim.suite, unit, 0),
        checkpoint=cell.checkpoint,
        trained_memory=cell.trained_memory,
        memory=spec.memory,
        success=outcome.success,
        steps=outcome.steps,
        episode_return=float(outcome.success),
        replans=outcome.replans,
        attempts=len(crashes) + 1,
        note="; ".join(crashes),
        device=cell.device,
        versions=cell.versions,
        wall_s=round(time.monotonic() - start, 3),
    )


def _name(spec: RolloutSpec, unit: Unit) -> str:
    return f"{spec.sim.suite} task {unit.task}, init state {unit.init_state}, repeat {unit.repeat}"
