"""Conditions without which there is no verdict, whatever the numbers say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from world_modality.evidence.outcomes import Outcomes
from world_modality.evidence.plan import Plan
from world_modality.evidence.sequential import complete_looks

PROMPTS = "prompts are not empty"
VERSIONS = "one set of software versions"
SCENES = "equal digests of the initial states"
ARMS = "arms differ only in what they declare"
ROLLOUT = "rollout"


def sealed_before(what: str) -> str:
    """The gate that asks whether the plan was there before the first of these."""
    return f"the plan was sealed before the first {what}"


SEALED = sealed_before(ROLLOUT)
GIVEN = (PROMPTS, VERSIONS, SCENES, ARMS, SEALED)
"""Gates that only the records and the study know; whoever asks for a verdict answers each."""
EPISODES = "every condition holds the planned episodes"
ALIVE = "the baseline succeeds at least once"


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition: ``passed`` is None where it does not apply."""

    name: str
    passed: bool | None
    detail: str


def all_gates(plan: Plan, conditions: Mapping[str, Outcomes], given: Sequence[Gate]) -> tuple[Gate, ...]:
    """The given gates in their order, one that fails for each that was not answered, and those that outcomes decide."""
    answers = {gate.name: gate for gate in given}
    if len(answers) < len(given):
        raise ValueError("a gate is answered twice")
    asked = tuple(answers.pop(name, Gate(name, False, "not checked")) for name in GIVEN)
    return (*asked, *answers.values(), _planned_episodes(plan, conditions), _alive(plan, conditions))


def withheld(gates: Sequence[Gate]) -> str:
    """Why there is no verdict, as one clause; empty when every gate passed."""
    return "; ".join(f"{gate.name}: {gate.detail}" for gate in gates if gate.passed is False)


def _planned_episodes(plan: Plan, conditions: Mapping[str, Outcomes]) -> Gate:
    """Every condition named by a claim holds the whole grid of the plan, for the seeds of the look that is due."""
    wanted = sorted({name for claim in plan.claims for name in (claim.treated, claim.control)})
    if missing := [name for name in wanted if name not in conditions]:
        return Gate(EPISODES, False, f"no outcomes of {', '.join(missing)}")
    if plan.stop_early:
        return _planned_looks(plan, conditions, len(wanted))
    seeds = plan.seeds[: due(plan, conditions)]
    if not seeds:
        which = "the first look" if plan.looks else "the verdict"
        need, complete = plan.sizes[0], complete_seeds(plan, conditions)
        seeds_needed = f"{need} complete seed{'s' if need != 1 else ''}"
        return Gate(
            EPISODES, False, f"{which} needs {seeds_needed} in every condition, and {complete or 'none'} so far"
        )
    return Gate(EPISODES, True, f"{len(seeds) * plan.episodes_per_seed} in each of {len(wanted)} conditions")


def _planned_looks(plan: Plan, conditions: Mapping[str, Outcomes], wanted: int) -> Gate:
    """Every condition holds all episodes of the first looks at scenes."""
    looks = complete_looks(plan, conditions)
    if not looks:
        return Gate(EPISODES, False, "the first look needs its scenes of every task in every condition")
    episodes = sum(plan.look_sizes[:looks]) * plan.repeats * len(plan.seeds)
    return Gate(EPISODES, True, f"{episodes} in each of {wanted} conditions, look {looks} of {plan.number_of_looks}")


def due(plan: Plan, conditions: Mapping[str, Outcomes]) -> int:
    """The number of seeds of the latest look whose seeds are complete in every condition; 0 when none is.

    A plan that stops early looks at scenes, each of which all seeds meet.
    """
    if plan.stop_early:
        return len(plan.seeds) if complete_looks(plan, conditions) else 0
    complete = complete_seeds(plan, conditions)
    return max((size for size in plan.sizes if size <= complete), default=0)


def complete_seeds(plan: Plan, conditions: Mapping[str, Outcomes]) -> int:
    """How many of the plan's first seeds hold every planned episode in every condition that a claim names."""
    names = {name for claim in plan.claims for name in (claim.treated, claim.control)}
    complete = 0
    counts = [_complete_episodes(plan, conditions[name]) for name in names if name in conditions]
    for seed in plan.seeds:
        if any(count.get(seed, 0) < plan.episodes_per_seed for count in counts):
            break
        complete += 1
    return complete


def _complete_episodes(plan: Plan, outcomes: Outcomes) -> dict[int, int]:
    """Seed -> how many of the planned episodes it holds; episodes come once, so a full count is the whole grid."""
    planned = planned_episodes(plan, outcomes)
    return {seed: int((planned.seed == seed).sum()) for seed in planned.seeds}


def planned_episodes(plan: Plan, outcomes: Outcomes) -> Outcomes:
    """The episodes that the plan names."""
    within = (outcomes.repeat >= 0) & (outcomes.repeat < plan.repeats)
    for name, values in (("seed", plan.seeds), ("task", plan.tasks), ("init_state", plan.init_states)):
        within = within & np.isin(getattr(outcomes, name), values)
    return outcomes if within.all() else outcomes.where(within)


def _alive(plan: Plan, conditions: Mapping[str, Outcomes]) -> Gate:
    if plan.baseline not in conditions:
        return Gate(ALIVE, False, f"no outcomes of {plan.baseline}")
    outcomes = conditions[plan.baseline]
    wins = int(outcomes.success.sum())
    return Gate(ALIVE, wins > 0, f"{wins} of {len(outcomes)} episodes of {plan.baseline} succeed")
