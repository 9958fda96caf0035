"""What a study claims, read off its conditions' memory modes, never off their names; and the plan it registers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from world_modality.evidence.effect import Levels
from world_modality.evidence.plan import BETTER, CONTENT, HARMLESS, OTHER_BETTER, Assumptions, Claim, Plan, beats
from world_modality.evidence.recipe import FEWEST_SEEDS
from world_modality.evidence.resampling import digest_of
from world_modality.facts.memory import MODES
from world_modality.study.looks import scene_order
from world_modality.study.specs import ReportCell, ReportCondition, ReportSpec

PLACEBOS = ("zero", "random")
"""Memories without content: that the memory beats them is part of the decision rule, and comes first."""

SUITE_STEP = 100
"""Tasks are numbered through all suites of a study: 100 times the suite's place, plus the task. No suite has more."""


def claims_of(
    conditions: Sequence[ReportCondition], margin: float, aligned: frozenset[str] = frozenset()
) -> tuple[Claim, ...]:
    """The study's claims in the order of testing; none for a study of one arm.

    The first arm that is trained and rolled out on predicted memory carries the decision rule; without one, the first
    that holds any memory but zero; without any memory, the first with a control. It beats its own placebos, then its
    control; an arm trained and rolled out on zero memory equals the latter, unless that is ``aligned``. Its other
    ablations follow in the rule's sequence, beside the rule. Every further arm with a memory or a control is a family
    of its own with the same order, at an equal share of a further alpha. An arm without control is compared with its
    ablations alone. What was trained for fewer steps is shown, and claims nothing.
    """
    conditions = [condition for condition in conditions if not condition.step]
    by_name = {condition.name: condition for condition in conditions}
    arms = [condition for condition in conditions if condition.name == condition.arm]
    plain = {each.name for each in conditions if each.trained == "disabled" and each.arm not in aligned}
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
        claims += _rule(first, conditions, margin)
    claims += [
        _claim(
            condition,
            by_name[condition.against],
            margin,
            f"{condition.name} = {condition.against}",
            HARMLESS,
            kind="equal",
        )
        for condition in idle
    ]
    further = [condition for condition in own if condition is not first]
    for condition in further:
        claims += [
            replace(
                claim,
                part="",
                treated_words=claim.treated_words
                if claim.treated_words == condition.name
                else f"{claim.treated_words} ({condition.name})",
                family=condition.name,
                share=1 / len(further),
            )
            for claim in _rule(condition, conditions, margin)
        ]
    return tuple(claims)


def _rank(condition: ReportCondition) -> int:
    """The smaller, the better an arm's condition can carry the decision rule."""
    return 0 if condition.trained == condition.rolled == "pred" else 2 if condition.trained == "disabled" else 1


def _rule(arm: ReportCondition, conditions: Sequence[ReportCondition], margin: float) -> list[Claim]:
    """One arm's claims of gain in their order: over its placebos, over its control, over its other ablations."""
    ablations = [condition for condition in conditions if condition.arm == arm.name and condition.name != arm.name]
    placebos = [condition for mode in PLACEBOS for condition in ablations if condition.rolled == mode]
    others = [condition for condition in ablations if condition not in placebos]
    others.sort(key=lambda condition: bool(MODES[condition.rolled].look_ahead))  # no claim of content waits for those
    policy = beats(arm.name, arm.against)  # without a memory it is the policy that is asked about
    part = BETTER if arm.rolled == "pred" else policy if arm.trained == "disabled" else OTHER_BETTER
    controls = [condition for condition in conditions if condition.name == arm.against]
    return [
        *(_claim(arm, each, margin, _name(arm, each, conditions), CONTENT) for each in placebos),
        *(_claim(arm, each, margin, f"{arm.name} > {each.name}", part) for each in controls),
        *(_claim(arm, each, margin, _name(arm, each, conditions), "") for each in others),
    ]


def _name(arm: ReportCondition, ablation: ReportCondition, conditions: Sequence[ReportCondition]) -> str:
    """``pred > zero`` where no other condition could be meant, else the conditions' names."""
    alike = [
        condition for condition in conditions if condition.name == condition.arm and condition.rolled == arm.rolled
    ]
    taken = {condition.arm for condition in conditions} & {arm.rolled, ablation.rolled}
    if len(alike) == 1 and not taken:
        return f"{arm.rolled} > {ablation.rolled}"
    return f"{arm.name} > {ablation.name}"


def _claim(
    treated: ReportCondition, control: ReportCondition, margin: float, name: str, part: str, kind: str = "better"
) -> Claim:
    same = treated.arm == control.arm
    policies = treated.trained == control.trained == "disabled"  # no memory tells them apart
    return Claim(
        name=name,
        part=part,
        treated=treated.name,
        control=control.name,
        treated_words=treated.name if policies else _words(treated),
        control_words=control.name if policies else MODES[control.rolled].noun if same else _words(control),
        kind="equal" if kind == "equal" else "better",
        scope="checkpoint" if same or _few(treated, control) else "recipe",
        same_checkpoints=same,
        margin=margin,
    )


def _few(*conditions: ReportCondition) -> bool:
    """Whether there are given checkpoints among them, too few to say something about how they were trained."""
    return any(0 < condition.given < FEWEST_SEEDS for condition in conditions)


def _words(condition: ReportCondition) -> str:
    """How a sentence speaks of a condition: its memory, and what it was trained on where that differs."""
    trained = "" if condition.trained == condition.rolled else f" after training with {MODES[condition.trained].noun}"
    return f"{MODES[condition.rolled].noun}{trained}"


def task_number(spec: ReportSpec, suite: str, task: int) -> int:
    """A task's number in the plan: its own number in a study of one suite."""
    return SUITE_STEP * spec.suites.index(suite) + task


def judged_cells(spec: ReportSpec) -> tuple[ReportCell, ...]:
    """The cells of conditions that can be claimed something about: of trainings' last steps."""
    early = {condition.name for condition in spec.conditions if condition.step}
    return tuple(cell for cell in spec.cells if cell.condition not in early)


def plan_of(spec: ReportSpec) -> Plan | None:
    """The study's plan; None where nothing is compared (one arm, no ablations)."""
    settings = spec.evidence
    aligned = frozenset(arm.name for arm in spec.arms if arm.aligned)
    claims = claims_of(spec.conditions, settings.margin, aligned)
    if not claims:
        return None
    cells = judged_cells(spec)
    plain = [each for each in spec.conditions if each.trained == "disabled" and each.arm not in aligned]
    places = {task_number(spec, cell.suite, cell.task): (cell.suite, cell.task) for cell in cells}
    return Plan(
        study=spec.study,
        label=spec.label,
        claims=claims,
        seeds=tuple(dict.fromkeys(cell.seed for cell in cells)),
        tasks=tuple(sorted(places)),
        init_states=spec.init_states,
        repeats=spec.repeats,
        baseline=next(iter(plain), spec.conditions[0]).name,
        looks=settings.looks,
        spending=settings.spending,
        effect=settings.effect,
        design=_design(spec, cells),
        stop_early=settings.stop_early or 0,
        order=tuple(scene_order(*places[number], spec.init_states) for number in sorted(places))
        if settings.stop_early
        else (),
        levels=Levels(settings.alpha, settings.confidence, settings.power),
        assumptions=Assumptions(
            settings.rate, settings.run_sd, settings.task_sd, settings.disagree_runs, settings.disagree_memories
        ),
    )


def _design(spec: ReportSpec, cells: Sequence[ReportCell]) -> str:
    """Digest of everything that is rolled out; of a study that stops early the same after every look."""
    rows = [[cell.condition, cell.seed, cell.suite, cell.task, cell.rollout] for cell in (*cells, *spec.later)]
    return digest_of(sorted(rows) if spec.evidence.stop_early else rows)
