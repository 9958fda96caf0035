"""Which claims a study makes: read off its columns' memory modes, never off their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from world_modality.evidence.plan import BETTER, CONTENT, HARMLESS, Claim
from world_modality.facts.memory import MODES
from world_modality.study.specs import ReportColumn

PLACEBOS = ("zero", "random")
"""Memories without content: that the memory beats them is part of the decision rule, and comes first."""
ANY_BETTER = "the memory helps"


def claims_of(columns: Sequence[ReportColumn], margin: float) -> tuple[Claim, ...]:
    """The study's claims in the order of testing; none for a study of one arm.

    The first arm that is trained and rolled out on predicted memory (without one, the first that holds any memory but
    zero) carries the decision rule: it beats its own placebos, then the arm without memory; an arm trained and rolled
    out on zero memory equals the latter. Its other ablations follow in the rule's sequence, beside the rule. Every
    further arm with a memory is a family of its own with the same order, at an equal share of a further alpha.
    """
    baseline = next(column for column in columns if column.trained == "disabled")
    own = [column for column in columns if column.name == column.arm and column.trained not in ("disabled", "zero")]
    first = next((each for each in own if each.trained == each.rolled == "pred"), own[0] if own else None)
    claims: list[Claim] = []
    if first is not None:
        claims += _rule(first, baseline, columns, margin)
    claims += [
        _claim(column, baseline, margin, f"{column.name} = {baseline.name}", HARMLESS, kind="equal")
        for column in columns
        if column.name == column.arm and column.trained == column.rolled == "zero"
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
            for claim in _rule(column, baseline, columns, margin)
        ]
    return tuple(claims)


def _rule(arm: ReportColumn, baseline: ReportColumn, columns: Sequence[ReportColumn], margin: float) -> list[Claim]:
    """One arm's claims of gain in their order: over its placebos, over the baseline, over its other ablations."""
    ablations = [column for column in columns if column.arm == arm.name and column.name != arm.name]
    placebos = [column for mode in PLACEBOS for column in ablations if column.rolled == mode]
    others = [column for column in ablations if column not in placebos]
    part = BETTER if arm.rolled == "pred" else ANY_BETTER
    return [
        *(_claim(arm, each, margin, _name(arm, each, columns), CONTENT) for each in placebos),
        _claim(arm, baseline, margin, f"{arm.name} > {baseline.name}", part),
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
        treated_words="with an idle memory" if kind == "equal" else _words(treated),
        control_words=with_memory(control.rolled) if same else _words(control),
        kind="equal" if kind == "equal" else "better",
        scope="checkpoint" if same else "recipe",
        same_checkpoints=same,
        margin=margin,
    )


def _words(column: ReportColumn) -> str:
    """How a sentence speaks of a column: its memory, and what it was trained on where that differs."""
    trained = "" if column.trained == column.rolled else f" after training {with_memory(column.trained)}"
    return f"{with_memory(column.rolled)}{trained}"


def with_memory(mode: str) -> str:
    """How a sentence names policies in a memory mode: "with predicted memory"."""
    return "without memory" if mode == "disabled" else f"with {MODES[mode].noun}"
