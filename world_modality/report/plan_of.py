"""The plan that a study registers: a pure function of what its report asks for."""

from __future__ import annotations

from world_modality.evidence.effect import Levels
from world_modality.evidence.keyed import digest_of
from world_modality.evidence.plan import Assumptions, Plan
from world_modality.report.claims import claims_of
from world_modality.study.specs import ReportSpec

SUITE_STEP = 100
"""Tasks are numbered through all suites of a study: 100 times the suite's place, plus the task. No suite has more."""


def task_number(spec: ReportSpec, suite: str, task: int) -> int:
    """A task's number in the plan: its own number in a study of one suite."""
    return SUITE_STEP * spec.suites.index(suite) + task


def plan_of(spec: ReportSpec) -> Plan | None:
    """The study's plan; None where nothing is compared (one arm, no ablations)."""
    settings = spec.evidence
    claims = claims_of(spec.columns, settings.margin)
    if not claims:
        return None
    tasks = dict.fromkeys(task_number(spec, cell.suite, cell.task) for cell in spec.cells)
    return Plan(
        study=spec.study,
        label=spec.label,
        claims=claims,
        seeds=tuple(dict.fromkeys(cell.seed for cell in spec.cells)),
        tasks=tuple(sorted(tasks)),
        init_states=spec.init_states,
        repeats=spec.repeats,
        baseline=next((column for column in spec.columns if column.trained == "disabled"), spec.columns[0]).name,
        looks=settings.looks,
        spending=settings.spending,
        effect=settings.effect,
        design=digest_of([[cell.column, cell.seed, cell.suite, cell.task, cell.rollout] for cell in spec.cells]),
        levels=Levels(settings.alpha, settings.confidence, settings.power),
        assumptions=Assumptions(
            settings.rate, settings.run_sd, settings.task_sd, settings.disagree_runs, settings.disagree_memories
        ),
    )
