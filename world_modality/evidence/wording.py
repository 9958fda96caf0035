"""Verdicts in plain words."""

from __future__ import annotations

from world_modality.evidence.judge import Judgement
from world_modality.evidence.points import found_text, points
from world_modality.evidence.verdict import Verdict


def sentence(verdict: Verdict) -> str:
    """One verdict: the word, about what it speaks, how sure, and what would have been seen."""
    claim = verdict.claim
    if verdict.identical:
        counts = _counts(verdict)
        return f"{claim.treated} equals {claim.control} exactly: the same trajectory in every episode ({counts})."
    told = f"{verdict.word.capitalize()}: {_scope(verdict)}, {_what(verdict)} ({_numbers(verdict)})"
    reason = "" if verdict.effect.problem or not verdict.reason else f": {verdict.reason}"
    return f"{told}{reason}."


def _what(verdict: Verdict) -> str:
    claim, gap = verdict.claim, verdict.effect.estimate
    if verdict.word == "equivalent":
        return f"{claim.treated_words} and {claim.control_words} differ by less than {100 * claim.margin:g} points"
    if verdict.word == "helps":
        change = f"raised success by {points(abs(gap))}"
    elif verdict.word == "hurts":
        change = f"lowered success by {points(abs(gap))}"
    else:
        change = f"changed success by {points(gap, signed=True)}"
    return f"{claim.treated_words} {change} points against {claim.control_words}"


def _scope(verdict: Verdict) -> str:
    seeds = verdict.effect.seeds
    if verdict.effect.scope == "recipe":
        return "across trainings"
    if verdict.claim.same_checkpoints:
        return "in this checkpoint" if seeds == 1 else f"in these {seeds} checkpoints"
    return "for this checkpoint of each arm" if seeds == 1 else f"for these {seeds} checkpoints of each arm"


def _numbers(verdict: Verdict) -> str:
    effect, claim = verdict.effect, verdict.claim
    told = f"{claim.treated} - {claim.control}"
    parts = [f"{told} = {points(effect.estimate, signed=True)}" if verdict.word == "equivalent" else told]
    if effect.problem:
        return f"{', '.join([*parts, _episodes(verdict)])}; {effect.problem}"
    low, high = (points(limit, signed=True) for limit in (effect.interval.low, effect.interval.high))
    parts.append(f"{100 * effect.levels.confidence:.4g}% interval {low} to {high}")
    if verdict.word == "helps" and effect.interval.low <= 0:
        parts.append(f"decided one-sided: at least {points(max(0.0, effect.bounds.low), signed=True)}")
    if verdict.word == "hurts" and effect.interval.high >= 0:
        parts.append(f"decided one-sided: at most {points(min(0.0, effect.bounds.high), signed=True)}")
    found = found_text(effect.detectable)
    return f"{', '.join([*parts, _counts(verdict)])}{f'; could find {found}' if found else ''}"


def _counts(verdict: Verdict) -> str:
    seeds = verdict.effect.seeds
    return f"{seeds} seed{'' if seeds == 1 else 's'}, {_episodes(verdict)}"


def _episodes(verdict: Verdict) -> str:
    effect = verdict.effect
    episodes, scenes = ("" if count == 1 else "s" for count in (effect.episodes, effect.clusters))
    return f"{effect.episodes:,} episode{episodes} per condition on {effect.clusters:,} scene{scenes}"


def headline(judgement: Judgement) -> str:
    """The verdict of a study, to be pasted into a paper: the primary claims, the gain first, and the plan's digest."""
    plan = judgement.plan
    if judgement.withheld:
        return f"{plan.label}: no verdict, since this does not hold: {judgement.withheld}. Plan {plan.digest}."
    ordered = [verdict for verdict in primary_first(judgement) if verdict.primary and verdict.claim.part]
    told = " ".join(sentence(verdict) for verdict in ordered)
    return f"{plan.label}: {told} Plan sealed before the first rollout: {plan.digest}."


def primary_first(judgement: Judgement) -> list[Verdict]:
    """Every verdict in the order in which it is told: the decided ones first, of those the recipe's."""
    return sorted(judgement.verdicts, key=lambda each: (not each.primary, each.effect.scope != "recipe"))
