"""Verdicts in plain words."""

from __future__ import annotations

import math

from world_modality.evidence.judge import Judgement
from world_modality.evidence.points import points
from world_modality.evidence.verdict import Verdict


def sentence(verdict: Verdict) -> str:
    """One verdict: what, about what it speaks, how sure, and what would have been seen."""
    if verdict.identical:
        claim = verdict.claim
        return f"{claim.treated} equals {claim.control} exactly: the same outcome in every unit ({_counts(verdict)})."
    return f"{_what(verdict)} {_scope(verdict)} ({_numbers(verdict)}){_because(verdict)}."


def _what(verdict: Verdict) -> str:
    claim = verdict.claim
    if verdict.word == "helps":
        return f"Success {claim.treated_words} is higher than {claim.control_words}"
    if verdict.word == "hurts":
        return f"Success {claim.treated_words} is lower than {claim.control_words}"
    if verdict.word == "equivalent":
        within = f"{100 * claim.margin:g} points"
        return f"Success {claim.treated_words} is the same as {claim.control_words}, to within {within},"
    return f"It cannot be told whether success {claim.treated_words} differs from that {claim.control_words}"


def _scope(verdict: Verdict) -> str:
    seeds = verdict.effect.seeds
    if verdict.effect.scope == "recipe":
        return "when the recipe is trained anew"
    if verdict.claim.same_checkpoints:
        return "in this checkpoint" if seeds == 1 else f"in these {seeds} checkpoints"
    return "for this checkpoint of each arm" if seeds == 1 else f"for these {seeds} checkpoints of each arm"


def _numbers(verdict: Verdict) -> str:
    effect, claim = verdict.effect, verdict.claim
    parts = [f"{claim.treated} - {claim.control} = {points(effect.estimate, signed=True)} points"]
    if not effect.problem:
        low, high = (points(limit, signed=True) for limit in (effect.interval.low, effect.interval.high))
        parts.append(f"{100 * effect.levels.confidence:.4g}% interval {low} to {high}")
        if verdict.word == "helps" and effect.interval.low <= 0:
            parts.append(f"decided one-sided: at least {points(max(0.0, effect.bounds.low), signed=True)}")
        if verdict.word == "hurts" and effect.interval.high >= 0:
            parts.append(f"decided one-sided: at most {points(min(0.0, effect.bounds.high), signed=True)}")
    clause = ", ".join([*parts, _counts(verdict)])
    if math.isnan(effect.detectable):
        return clause
    if effect.detectable > 1:
        return f"{clause}; too little for any difference, however large, to be found"
    return f"{clause}; smallest detectable difference {points(effect.detectable)}"


def _counts(verdict: Verdict) -> str:
    effect = verdict.effect
    seeds = f"{effect.seeds} training seed{'s' if effect.seeds != 1 else ''}"
    return f"{seeds}, {effect.units:,} units per arm on {effect.clusters:,} scenes"


def _because(verdict: Verdict) -> str:
    return f": {verdict.reason}" if verdict.reason else ""


def headline(judgement: Judgement) -> str:
    """The verdict of a study, to be pasted into a paper: the primary claims, the gain first, and the plan's digest."""
    label, seal = judgement.plan.label, f"Plan {judgement.plan.digest}."
    if judgement.withheld:
        return f"{label}: no verdict, since this does not hold: {judgement.withheld}. {seal}"
    ordered = [verdict for verdict in primary_first(judgement) if verdict.primary and verdict.claim.part]
    return f"{label}: {' '.join(sentence(verdict) for verdict in ordered)} {seal}"


def primary_first(judgement: Judgement) -> list[Verdict]:
    """Every verdict in the order in which it is told: the decided ones first, of those the recipe's."""
    return sorted(judgement.verdicts, key=lambda each: (not each.primary, each.effect.scope != "recipe"))
