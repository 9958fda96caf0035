"""The judgement of a study as plain, JSON-serialisable data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from world_modality.evidence.gates import Gate
from world_modality.evidence.judge import Judgement, judge
from world_modality.evidence.outcomes import Outcomes, clusters_of, common_units, outcomes_of
from world_modality.evidence.plan import Plan
from world_modality.evidence.verdict import Verdict
from world_modality.evidence.wording import headline, primary_first, sentence
from world_modality.report.checks import equality
from world_modality.report.numbers import effect_limits, probability, rounded
from world_modality.report.plan_of import task_number
from world_modality.report.results import Results
from world_modality.study.specs import ReportSpec


def columns_of(spec: ReportSpec, results: Results) -> dict[str, Outcomes]:
    """The columns that hold any record, as outcomes; tasks as the plan numbers them."""
    numbers = {place: task_number(spec, *place) for place in results.places}
    found = {}
    for column in results.columns:
        held = results.records[column]
        if held:
            found[column] = outcomes_of(
                [trial.seed for trial in held],
                [numbers[trial.place] for trial in held],
                [trial.init_state for trial in held],
                [trial.repeat for trial in held],
                [record.success for record in held.values()],
            )
    return found


def judged(plan: Plan, columns: Mapping[str, Outcomes], gates: Sequence[Gate]) -> dict[str, Any]:
    """The judgement for table.json: headline, gates, verdicts per claim and scope, and the decision rule."""
    found = judge(plan, columns, gates, _alike(plan, gates))
    return {
        "headline": headline(found),
        "sentences": [sentence(each) for each in primary_first(found) if each.primary and each.claim.part],
        "withheld": found.withheld,
        "accepted": found.accepted,
        "seeds": found.seeds,
        "gates": [gate_row(gate) for gate in found.gates],
        "verdicts": [_row(verdict, *_judged_units(found, verdict, columns)) for verdict in primary_first(found)],
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
    """The pairs that the gates found to have gone alike in every unit, which may fail without fault on a GPU."""
    passed = {gate.name for gate in gates if gate.passed}
    pairs = [(claim.treated, claim.control) for claim in plan.claims]
    return frozenset(pair for pair in pairs if equality(*pair) in passed)


def gate_row(gate: Gate) -> dict[str, Any]:
    """One gate as data."""
    return {"name": gate.name, "passed": gate.passed, "detail": gate.detail}


def _judged_units(judgement: Judgement, verdict: Verdict, columns: Mapping[str, Outcomes]) -> tuple[Outcomes, Outcomes]:
    """The units of both columns that a verdict rests on: those of its look, or all, where none is given."""
    pair = common_units(columns[verdict.claim.treated], columns[verdict.claim.control])
    if judgement.withheld:
        return pair
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
        "units": effect.units,
        "scenes": effect.clusters,
        "seeds": effect.seeds,
        "detectable": rounded(effect.detectable),
        "only_treated": int(pairs.only_treated.sum()),
        "only_control": int(pairs.only_control.sum()),
    }
