"""Where a difference comes from: every claim task by task, and the units on which two columns disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from world_modality.evidence.effect import Effect
from world_modality.evidence.outcomes import Outcomes, common_units
from world_modality.evidence.per_task import task_effects
from world_modality.evidence.plan import Claim, Plan
from world_modality.evidence.points import points
from world_modality.report.console import detectable_text, p_text, points_text
from world_modality.report.numbers import effect_limits, probability, rounded
from world_modality.report.results import Place, Results, Trial

NAMED = 40  # discordant units per claim that are listed; records.parquet has all


def task_rows(
    plan: Plan, columns: Mapping[str, Outcomes], names: Mapping[int, str], places: Mapping[int, Place]
) -> list[dict[str, Any]]:
    """Per claim and task the difference in both scopes: estimate, interval, Holm's p over the tasks, and the smallest
    difference that would be found; of the checkpoints' also the shrunk estimate.

    Secondary: no verdict hangs on it. ``names`` and ``places`` are the tasks' by their number in the plan. A study of
    one task has no rows, as its only one would repeat the verdict.
    """
    rows: list[dict[str, Any]] = []
    for claim in plan.claims:
        pair = _pair(claim, columns)
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
                    **_numbers(each.checkpoint, each.checkpoint_p),
                    "shrunk": rounded(each.shrunk),
                    "recipe": _numbers(each.recipe, each.recipe_p),
                }
            )
    return rows


def _numbers(effect: Effect, p_holm: float) -> dict[str, Any]:
    """None for what is not known."""
    return {
        "scope": effect.scope,
        **effect_limits(effect),
        "p_holm": None if effect.problem else probability(p_holm),
        "detectable": rounded(effect.detectable),
        "units": effect.units,
        "scenes": effect.clusters,
        "seeds": effect.seeds,
        "confidence": rounded(effect.levels.confidence),
    }


def task_table(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """For people, under ``TASK_HEADER``; an empty cell where nothing is known."""
    return [
        [row["claim"], row["task"], *_told(row), points(row["shrunk"], signed=True), *_told(row["recipe"])]
        for row in rows
    ]


TASK_HEADER = (
    *("claim", "task", "points [interval], these checkpoints", "p (Holm)", "smallest detectable", "shrunk"),
    *("points [interval], trained anew", "p (Holm)", "smallest detectable"),
)


def _told(numbers: Mapping[str, Any]) -> list[str]:
    return [points_text(numbers), p_text(numbers["p_holm"]), detectable_text(numbers)]


def discordant_rows(claims: Sequence[Claim], results: Results) -> list[dict[str, Any]]:
    """Per claim the units in which one column alone succeeded: how many, and the first of them by name."""
    rows = []
    for claim in claims:
        held = [results.records.get(name, {}) for name in (claim.treated, claim.control)]
        odd = [trial for trial in held[0] if trial in held[1] and held[0][trial].success != held[1][trial].success]
        for winner, first in ((claim.treated, 0), (claim.control, 1)):
            own = [trial for trial in odd if held[first][trial].success]
            named = [_named(trial, held[first][trial].steps) for trial in own[:NAMED]]
            rows.append({"claim": claim.name, "only": winner, "units": len(own), "named": named})
    return rows


def _pair(claim: Claim, columns: Mapping[str, Outcomes]) -> tuple[Outcomes, Outcomes] | None:
    if claim.treated not in columns or claim.control not in columns:
        return None
    treated, control = common_units(columns[claim.treated], columns[claim.control])
    return (treated, control) if len(treated) else None


def _named(trial: Trial, steps: int | None) -> str:
    return str(trial) if steps is None else f"{trial} ({steps} steps)"
