"""What a study claims, read off its conditions' memory modes, never off their names; and the plan it registers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from world_modality.evidence.effect import Levels
from world_modality.evidence.keyed import digest_of
from world_modality.evidence.plan import BETTER, CONTENT, HARMLESS, OTHER_BETTER, Assumptions, Claim, Plan
from world_modality.facts.memory import MODES
from world_modality.study.specs import ReportColumn, ReportSpec

PLACEBOS = ("zero", "random")
"""Memories without content: that the memory beats them is part of the decision rule, and comes first."""

SUITE_STEP = 100
"""Tasks are numbered through all suites of a study: 100 times the suite's place, plus the task. No suite has more."""


def claims_of(columns: Sequence[ReportColumn], margin: float) -> tuple[Claim, ...]:
    """The study's claims in the order of testing; none for a study of one arm.

    The first arm that is trained and rolled out on predicted memory (without one, the first that holds any memory but
    zero) carries the decision rule: it beats its own placebos, then its control; an arm trained and rolled out on zero
    memory equals the latter. Its other ablations follow in the rule's sequence, beside the rule. Every further arm with
    a memory or a control is a family of its own with the same order, at an equal share of a further alpha. An arm
    without control is compared with its ablations alone.
    """
    by_name = {column.name: column for column in columns}
    arms = [column for column in columns if column.name == column.arm]
    plain = {column.name for column in columns if column.trained == "disabled"}
    idle = [each for each in arms if each.trained == each.rolled == "zero" and each.against in plain]
    own = [
        each
        for each in arms
        if each.trained not in ("disabled", "zero")
        or (each.against and each not in idle and each.trained == each.rolled)
    ]
    first = min(own, key=_rank, default=None)
    claims: list[Claim] = []
    if first is not None:
        claims += _rule(first, columns, margin)
    claims += [
        _claim(column, by_name[column.against], margin, f"{column.name} = {column.against}", HARMLESS, kind="equal")
        for column in idle
    ]
    further = [column for column in own if column is not first]
    for column in further:
        claims += [
            replace(
                claim,
                part="",
                treated_words=f"{claim.treated_words} ({column.name})",
                family=column.name,
                share=1 / len(further),
            )
            for claim in _rule(column, columns, margin)
        ]
    return tuple(claims)


def _rank(column: ReportColumn) -> int:
    """The smaller, the better an arm's column can carry the decision rule."""
    return 0 if column.trained == column.rolled == "pred" else 2 if column.trained == "disabled" else 1


def _rule(arm: ReportColumn, columns: Sequence[ReportColumn], margin: float) -> list[Claim]:
    """One arm's claims of gain in their order: over its placebos, over its control, over its other ablations."""
    ablations = [column for column in columns if column.arm == arm.name and column.name != arm.name]
    placebos = [column for mode in PLACEBOS for column in ablations if column.rolled == mode]
    others = [column for column in ablations if column not in placebos]
    part = BETTER if arm.rolled == "pred" else "" if arm.trained == "disabled" else OTHER_BETTER
    controls = [column for column in columns if column.name == arm.against]
    return [
        *(_claim(arm, each, margin, _name(arm, each, columns), CONTENT) for each in placebos),
        *(_claim(arm, each, margin, f"{arm.name} > {each.name}", part) for each in controls),
        *(_claim(arm, each, margin, _name(arm, each, columns), "") for each in others),
    ]


def _name(arm: ReportColumn, ablation: ReportColumn, columns: Sequence[ReportColumn]) -> str:
    """``pred > zero`` where no other column could be meant, else the columns' names."""
    alike = [column for column in columns if column.name == column.arm and column.rolled == arm.rolled]
    taken = {column.arm for column in columns} & {arm.rolled, ablation.rolled}
    if len(alike) == 1 and not taken:
        return f"{arm.rolled} > {ablation.rolled}"
    return f"{arm.name} > {ablation.name}"


def _claim(
    treated: ReportColumn, control: ReportColumn, margin: float, name: str, part: str, kind: str = "better"
) -> Claim:
    same = treated.arm == control.arm
    return Claim(
        name=name,
        part=part,
        treated=treated.name,
        control=control.name,
        treated_words=_words(treated),
        control_words=MODES[control.rolled].noun if same else _words(control),
        kind="equal" if kind == "equal" else "better",
        scope="checkpoint" if same else "recipe",
        same_checkpoints=same,
        margin=margin,
    )


def _words(column: ReportColumn) -> str:
    """How a sentence speaks of a column: its memory, and what it was trained on where that differs."""
    trained = "" if column.trained == column.rolled else f" after training with {MODES[column.trained].noun}"
    return f"{MODES[column.rolled].noun}{trained}"


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
