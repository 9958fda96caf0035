"""What a plan can expect to find, and what a study that finds enough would cost: for `wm plan`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from world_modality.evidence.noise import assume
from world_modality.evidence.outcomes import Outcomes
from world_modality.evidence.plan import Assumptions, Plan
from world_modality.evidence.planning import Costs, allocate, detectable_on_a_task, expect, expect_stops
from world_modality.evidence.points import points
from world_modality.facts.noise import RunNoise
from world_modality.report.text import grid

SHOWN = 5  # allocations for a terminal


@dataclass(frozen=True)
class Priced:
    """What a study takes, and where each figure comes from."""

    costs: Costs
    training_source: str
    rollout_source: str


def outlook(
    plan: Plan,
    conditions: Mapping[str, Outcomes],
    priced: Priced,
    states: int,
    published: Sequence[RunNoise] = (),
) -> dict[str, Any]:
    """The plan, its prospects under the noise assumed and under that of the study's own seeds, and what to run.

    Args:
        plan: of the study.
        conditions: outcomes at hand, if any; the noise is estimated from them as far as they suffice.
        priced: what trainings and rollouts take.
        states: initial states that each task offers.
        published: what is known of the noise of policies such as the study's.
    """
    found = estimated(plan, conditions)
    best = plan if found is None else with_noise(plan, found)
    episodes = [(many, 1) for many in sorted({*range(10, states, 10), states})] + [(states, n) for n in (2, 3, 4)]
    return {
        "study": plan.study,
        "label": plan.label,
        "digest": plan.digest,
        "plan": asdict(plan),
        "assumed": _prospects(plan),
        "estimated": None if found is None else _prospects(best),
        "stops": [asdict(each) for each in expect_stops(best)],
        "published": [asdict(row) for row in published],
        "costs": {**asdict(priced.costs), "sources": [priced.training_source, priced.rollout_source]},
        "allocations": [asdict(each) for each in allocate(best, priced.costs, episodes)],
    }


def with_noise(plan: Plan, noise: Assumptions) -> Plan:
    """The same plan under other beliefs."""
    return Plan(**{**{name: getattr(plan, name) for name in Plan.__slots__}, "assumptions": noise})


def estimated(plan: Plan, conditions: Mapping[str, Outcomes]) -> Assumptions | None:
    """The noise of the study's own seeds: the baseline's, and two memories' of one checkpoint. None with too few."""
    baseline = conditions.get(plan.baseline)
    if baseline is None:
        return None
    try:
        found = assume(plan.assumptions, baseline)
    except ValueError:  # one seed, or seeds that are not complete
        return None
    for claim in plan.claims:
        pair = conditions.get(claim.treated), conditions.get(claim.control)
        if claim.same_checkpoints and pair[0] and pair[1] and pair[0].same_episodes(pair[1]):
            return assume(plan.assumptions, baseline, (pair[0], pair[1]))
    return found


def _prospects(plan: Plan) -> dict[str, Any]:
    """What the plan expects of each claim; None for an effect that nothing could make detectable."""
    return {
        "noise": asdict(plan.assumptions),
        "claims": [
            {"claim": each.claim, "effect": each.effect, "power": each.power, "detectable": _known(each.detectable)}
            for each in expect(plan)
        ],
        "one_task": _known(detectable_on_a_task(plan)),
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def outlook_lines(data: Mapping[str, Any], sealed: str) -> list[str]:
    """For a terminal and, between code fences, for Markdown."""
    plan, levels = data["plan"], data["plan"]["levels"]
    episodes = len(plan["tasks"]) * len(plan["init_states"]) * plan["repeats"]
    seeds = len(plan["seeds"])
    lines = [
        f"plan         {data['digest']} of {data['study']}, {data['label']}: {sealed}",
        f"size         {seeds} seed{'s' * (seeds != 1)}, {episodes} episodes per seed and condition"
        + (f", looked at after {', '.join(map(str, plan['looks']))} seeds" if plan["looks"] else ""),
        f"wanted       to find {_points(plan['effect'])} with {100 * levels['power']:g}% power; one-sided alpha "
        f"{levels['alpha']:g}, intervals {100 * levels['confidence']:g}%",
    ]
    for name in ("assumed", "estimated"):
        if data[name] is not None:
            lines += ["", *_prospect_lines(name, data[name], plan["claims"])]
    for part in (_published_lines(data["published"]), _stop_lines(data)):
        lines += ["", *part] if part else []
    return [*lines, "", *_allocation_lines(data)]


def _published_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What others measured of such policies, and all of it together."""
    if not rows:
        return []
    freedom = sum(row["freedom"] for row in rows)
    together = math.sqrt(sum(row["freedom"] * row["run_sd"] ** 2 for row in rows) / freedom)
    header = ["policy and data", "run to run", "freedom", "one task", "episodes", "source"]
    told = [
        [
            row["what"],
            _points(row["run_sd"]),
            str(row["freedom"]),
            "" if row["task_sd"] is None else _points(row["task_sd"]),
            "" if row["episodes"] is None else str(row["episodes"]),
            row["source"],
        ]
        for row in rows
    ]
    return [
        f"published    from run to run, together {_points(together)} with {freedom} degrees of freedom, the luck of "
        "the episodes included",
        *grid([header, *told]),
    ]


def _stop_lines(data: Mapping[str, Any]) -> list[str]:
    """When a study that may stop early is likely to."""
    if not data["stops"]:
        return []
    plan = data["plan"]
    scenes = len(plan["tasks"]) * len(plan["init_states"])
    rows = [["true difference", "scenes (median)", "helps", "otherwise decided"]]
    rows += [
        [_points(each["effect"]), f"{each['scenes']:.0f} of {scenes}", *(f"{100 * each[name]:.0f}%" for name in _HOW)]
        for each in data["stops"]
    ]
    return [
        f"stop early   looks after every {plan['stop_early']} scenes of each task; the first claim, simulated, noise "
        f"as {'estimated' if data['estimated'] else 'assumed'}",
        *grid(rows),
    ]


_HOW = ("helps", "futile")


def _prospect_lines(name: str, found: Mapping[str, Any], claims: Sequence[Mapping[str, Any]]) -> list[str]:
    noise = found["noise"]
    told = (
        f"noise        {name}: success {100 * noise['rate']:.0f}%, from run to run {_points(noise['run_sd'])} "
        f"(one task {_points(noise['task_sd'])}), two runs differ in {100 * noise['disagree_runs']:.0f}% of episodes, "
        f"two memories in {100 * noise['disagree_memories']:.0f}%"
    )
    if name == "estimated":
        told += f"; {noise['source']}, run to run with the upper 80% limit"
    rows = [["claim", "decided in", "alpha", "power", "could find"]]
    for claim, each in zip(claims, found["claims"], strict=True):
        what = "margin" if claim["kind"] == "equal" else "difference"
        least = "none, however large" if each["detectable"] is None else f"{what} {_points(each['detectable'])}"
        share = "" if claim["share"] == 1 else f"{claim['share']:.2g} of it"
        rows.append([claim["name"], claim["scope"], share, f"{100 * each['power']:.0f}%", least])
    one = "none, however large" if found["one_task"] is None else _points(found["one_task"])
    return [told, *grid(rows), f"one task, Holm over all: could find {one}"]


def _allocation_lines(data: Mapping[str, Any]) -> list[str]:
    costs = data["costs"]
    lines = [
        f"costs        {costs['training']:.3g} h per training ({costs['sources'][0]}), "
        f"{3600 * costs['rollout']:.3g} s per episode ({costs['sources'][1]}); one machine, one thing after the other"
    ]
    found = data["allocations"]
    if not found:
        return [*lines, "cheapest     no study of up to 30 seeds finds the wanted effect with the wanted power"]
    rows = [["seeds", "episodes per task", "rollouts", "hours"]]
    rows += [
        [
            str(each["seeds"]),
            f"{each['init_states']} x {each['repeats']}",
            f"{each['rollouts']:,}",
            f"{each['hours']:.1f}",
        ]
        for each in found[:SHOWN]
    ]
    noise = "estimated" if data["estimated"] else "assumed"
    return [
        *lines,
        f"cheapest studies in which every claim of the decision rule has the power, noise as {noise}",
        *grid(rows),
    ]


def _points(fraction: float) -> str:
    return f"{points(fraction)} points"
