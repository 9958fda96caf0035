"""What the outcomes of a study say, as plain, JSON-serialisable data: the judgement, task by task, by other analyses.

Fractions with six digits, which no machine disputes; None for what is not known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from world_modality.evidence.effect import Effect
from world_modality.evidence.gates import Gate
from world_modality.evidence.judge import Judgement, judge
from world_modality.evidence.outcomes import Outcomes, cell_rates, clusters_of, common_episodes, outcomes_of
from world_modality.evidence.per_task import task_effects
from world_modality.evidence.plan import Claim, Plan
from world_modality.evidence.rates import Interval
from world_modality.evidence.sensitivity import mixed_model, seed_task_blocks
from world_modality.evidence.sequential import of_looks
from world_modality.evidence.verdict import Verdict
from world_modality.evidence.wording import headline, primary_first, sentence
from world_modality.report.claims import task_number
from world_modality.report.gates import equality
from world_modality.report.results import Place, Results, Trial
from world_modality.study.specs import ReportSpec

Limits = dict[str, float | None]
NAMED = 40  # discordant episodes per claim that are listed; records.parquet has all


def conditions_of(spec: ReportSpec, results: Results) -> dict[str, Outcomes]:
    """The conditions that hold any record, as outcomes; tasks as the plan numbers them."""
    numbers = {place: task_number(spec, *place) for place in results.places}
    found = {}
    for condition in results.conditions:
        held = results.records[condition]
        if held:
            found[condition] = outcomes_of(
                [trial.seed for trial in held],
                [numbers[trial.place] for trial in held],
                [trial.init_state for trial in held],
                [trial.repeat for trial in held],
                [record.success for record in held.values()],
            )
    return found


def judged(plan: Plan, conditions: Mapping[str, Outcomes], gates: Sequence[Gate]) -> dict[str, Any]:
    """The judgement for table.json: headline, gates, verdicts per claim and scope, and the decision rule."""
    found = judge(plan, conditions, gates, _alike(plan, gates))
    return {
        "headline": headline(found),
        "sentences": [sentence(each) for each in primary_first(found) if each.primary and each.claim.part],
        "withheld": found.withheld,
        "accepted": found.accepted,
        "seeds": found.seeds,
        "looks": found.looks,
        "power": plan.levels.power,
        "gates": [gate_row(gate) for gate in found.gates],
        "verdicts": [_row(verdict, *_judged_episodes(found, verdict, conditions)) for verdict in primary_first(found)],
        "rule": [
            {
                "part": item.part,
                "claims": list(item.claims),
                "passed": item.passed,
                "detail": item.detail,
                "not_asked": list(item.not_asked),
            }
            for item in found.items
        ],
    }


def _alike(plan: Plan, gates: Sequence[Gate]) -> frozenset[tuple[str, str]]:
    """The pairs that the gates found to have gone alike in every episode, which may fail without fault on a GPU."""
    passed = {gate.name for gate in gates if gate.passed}
    pairs = [(claim.treated, claim.control) for claim in plan.claims]
    return frozenset(pair for pair in pairs if equality(*pair) in passed)


def gate_row(gate: Gate) -> dict[str, Any]:
    """One gate as data."""
    return {"name": gate.name, "passed": gate.passed, "detail": gate.detail}


def _judged_episodes(
    judgement: Judgement, verdict: Verdict, conditions: Mapping[str, Outcomes]
) -> tuple[Outcomes, Outcomes]:
    """The episodes of both conditions that a verdict rests on: those of its look, or all, where none is given."""
    pair = common_episodes(conditions[verdict.claim.treated], conditions[verdict.claim.control])
    if judgement.withheld:
        return pair
    if judgement.looks:
        plan, looks = judgement.plan, judgement.looks
        return of_looks(plan, pair[0], looks), of_looks(plan, pair[1], looks)
    treated, control = (each.of_seeds(judgement.plan.seeds[: verdict.effect.seeds]) for each in pair)
    return treated, control


def _row(verdict: Verdict, treated: Outcomes, control: Outcomes) -> dict[str, Any]:
    claim, effect = verdict.claim, verdict.effect
    pairs = clusters_of(treated, control)
    known = not effect.problem
    return {
        "claim": claim.name,
        "part": claim.part,
        "family": claim.family,
        "treated": claim.treated,
        "control": claim.control,
        "kind": claim.kind,
        "scope": effect.scope,
        "primary": verdict.primary,
        "step": verdict.step,
        "word": verdict.word,
        "reason": verdict.reason,
        "problem": effect.problem,
        "sentence": sentence(verdict),
        "identical": verdict.identical,
        "method": effect.method,
        **effect_limits(effect),
        "confidence": rounded(effect.levels.confidence),
        "bound_low": rounded(effect.bounds.low) if known else None,
        "bound_high": rounded(effect.bounds.high) if known else None,
        "alpha": rounded(effect.levels.alpha),
        "margin": claim.margin,
        "p_greater": probability(effect.p_greater) if known else None,
        "p_less": probability(effect.p_less) if known else None,
        "episodes": effect.episodes,
        "scenes": effect.clusters,
        "seeds": effect.seeds,
        "detectable": rounded(effect.detectable),
        "only_treated": int(pairs.only_treated.sum()),
        "only_control": int(pairs.only_control.sum()),
    }


def task_rows(
    plan: Plan, conditions: Mapping[str, Outcomes], names: Mapping[int, str], places: Mapping[int, Place]
) -> list[dict[str, Any]]:
    """Per claim and task the difference in both scopes: estimate, interval, Holm's p over the tasks, and the smallest
    difference that would be found; of the checkpoints' also the shrunk estimate.

    Secondary: no verdict hangs on it. ``names`` and ``places`` are the tasks' by their number in the plan. A study of
    one task has no rows, as its only one would repeat the verdict.
    """
    rows: list[dict[str, Any]] = []
    for claim in plan.claims:
        pair = _pair(claim, conditions)
        if pair is None or len(pair[0].tasks) < 2:
            continue
        for each in task_effects(*pair, claim.same_checkpoints, plan.levels, f"{plan.digest} {claim.name}"):
            suite, index = places[each.task]
            rows.append(
                {
                    "claim": claim.name,
                    "treated": claim.treated,
                    "control": claim.control,
                    "task": names[each.task],
                    "suite": suite,
                    "index": index,
                    **_task_numbers(each.checkpoint, each.checkpoint_p),
                    "shrunk": rounded(each.shrunk),
                    "recipe": _task_numbers(each.recipe, each.recipe_p),
                }
            )
    return rows


def _task_numbers(effect: Effect, p_holm: float) -> dict[str, Any]:
    """None for what is not known."""
    return {
        "scope": effect.scope,
        **effect_limits(effect),
        "p_holm": None if effect.problem else probability(p_holm),
        "detectable": rounded(effect.detectable),
        "episodes": effect.episodes,
        "scenes": effect.clusters,
        "seeds": effect.seeds,
        "confidence": rounded(effect.levels.confidence),
    }


def discordant_rows(claims: Sequence[Claim], results: Results) -> list[dict[str, Any]]:
    """Per claim the episodes in which one condition alone succeeded: how many, and the first of them by name."""
    rows = []
    for claim in claims:
        held = [results.records.get(name, {}) for name in (claim.treated, claim.control)]
        odd = [trial for trial in held[0] if trial in held[1] and held[0][trial].success != held[1][trial].success]
        for winner, first in ((claim.treated, 0), (claim.control, 1)):
            own = [trial for trial in odd if held[first][trial].success]
            named = [_named(trial, held[first][trial].steps) for trial in own[:NAMED]]
            rows.append({"claim": claim.name, "only": winner, "episodes": len(own), "named": named})
    return rows


def _pair(claim: Claim, conditions: Mapping[str, Outcomes]) -> tuple[Outcomes, Outcomes] | None:
    if claim.treated not in conditions or claim.control not in conditions:
        return None
    treated, control = common_episodes(conditions[claim.treated], conditions[claim.control])
    return (treated, control) if len(treated) else None


def _named(trial: Trial, steps: int | None) -> str:
    return str(trial) if steps is None else f"{trial} ({steps} steps)"


def other_analyses(plan: Plan, conditions: Mapping[str, Outcomes]) -> list[dict[str, Any]]:
    """Per claim the seed x task blocks and the mixed model: estimate and interval as fractions, and a note.

    They lean on more than seed means, so they need two seeds and two tasks, complete in both conditions, and as many
    scenes of every task; other claims have no rows. Two memories of the same checkpoints share their runs, so they have
    no mixed model. No verdict hangs on them.
    """
    rows: list[dict[str, Any]] = []
    for claim in plan.claims:
        if claim.treated not in conditions or claim.control not in conditions:
            continue
        treated, control = common_episodes(conditions[claim.treated], conditions[claim.control])
        one, two = cell_rates(treated), cell_rates(control)
        if min(one.rate.shape, default=0) < 2 or np.unique(one.scenes).size > 1:
            continue
        clusters = clusters_of(treated, control)
        counts = (clusters.pairs, len(clusters))
        rows.append(_other_row(claim.name, seed_task_blocks(one, two, plan.levels, *counts), ""))
        if not claim.same_checkpoints:
            model = mixed_model(one, two, plan.levels, *counts)
            rows.append(_other_row(claim.name, model.effect, "" if model.converged else "did not converge"))
    return rows


def _other_row(claim: str, effect: Effect, note: str) -> dict[str, Any]:
    return {"claim": claim, "method": effect.method, **effect_limits(effect), "note": note}


def rounded(value: float) -> float | None:
    """Six digits; None for NaN. Zero has no sign."""
    return None if math.isnan(value) else round(value, 6) + 0.0


def probability(p: float) -> float | None:
    """A p-value with three significant digits, since those that tell most are far below six decimals; None for NaN."""
    return None if math.isnan(p) else float(f"{p:.3g}")


def read_finite(file: Path) -> Any:
    """A file's JSON with None for NaN and infinities, which are of figures that could not be measured."""
    return json.loads(file.read_text(), parse_constant=lambda _: None)


def limits(interval: Interval) -> Limits:
    """``estimate``, ``low`` and ``high``."""
    return {name: rounded(getattr(interval, name)) for name in ("estimate", "low", "high")}


def effect_limits(effect: Effect) -> Limits:
    """``estimate``, ``low`` and ``high`` of a difference; only the estimate where nothing else is known."""
    unknown: Limits = {"low": None, "high": None} if effect.problem else {}
    return limits(effect.interval) | unknown
