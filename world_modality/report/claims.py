"""Which claims a study makes: read off its columns' memory modes, never off their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from world_modality.evidence.plan import BETTER, CONTENT, HARMLESS, RANDOM_MEMORY, ZERO_MEMORY, Claim
from world_modality.facts.memory import MODES
from world_modality.study.specs import ReportColumn

PLACEBOS: tuple[str, ...] = ("zero", "random")
"""Memories without content: that the memory beats them is part of the decision rule, and comes first."""
ANY_BETTER = "the memory helps"
WORDS: dict[str, str] = {
    "disabled": "without memory",
    "zero": ZERO_MEMORY,
    "learned": "with learned constants as memory",
    "pred": "with predicted memory",
    "oracle": "with the true future as memory",
    "persistence": "with the present latent as memory",
    "stale": "with an outdated prediction as memory",
    "shuffle": "with another episode's prediction as memory",
    "time_shuffle": "with a prediction in the wrong order as memory",
    "random": RANDOM_MEMORY,
    "aux_only": "with a prediction that is trained and not read",
}


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
    part = BETTER if arm.rolled == "pred" else "" if arm.trained == "disabled" else ANY_BETTER
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
        treated_words="with an idle memory" if kind == "equal" else _words(treated),
        control_words=_memory(control.rolled) if same else _words(control),
        kind="equal" if kind == "equal" else "better",
        scope="checkpoint" if same else "recipe",
        same_checkpoints=same,
        margin=margin,
    )


def _words(column: ReportColumn) -> str:
    """How a sentence speaks of a column: its memory, and what it was trained on where that differs."""
    trained = "" if column.trained == column.rolled else f" after training {_memory(column.trained)}"
    return f"{_memory(column.rolled)}{trained}"


def _memory(mode: str) -> str:
    return WORDS.get(mode) or f"with {MODES[mode].holds} as memory"
