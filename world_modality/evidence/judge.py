"""The whole judgement of a study: plan and outcomes in, verdicts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from world_modality.evidence.contrast import at_level, contrast, watched_contrast
from world_modality.evidence.effect import Effect, Levels, Scope
from world_modality.evidence.gates import Gate, all_gates, due, planned_episodes, withheld
from world_modality.evidence.multiplicity import fixed_sequence
from world_modality.evidence.outcomes import Outcomes, common_episodes
from world_modality.evidence.plan import Claim, Plan
from world_modality.evidence.points import points
from world_modality.evidence.sequential import complete_looks, is_futile, looked_at, sequential_effect
from world_modality.evidence.spending import plan_looks
from world_modality.evidence.verdict import Item, Place, Verdict, checklist, word_for

SCOPES: tuple[Scope, ...] = ("checkpoint", "recipe")


@dataclass(frozen=True, slots=True)
class Judgement:
    """Everything that was decided."""

    plan: Plan
    gates: tuple[Gate, ...]
    withheld: str  # why there is no verdict, as one clause; empty when there is one
    seeds: int  # training seeds per arm that the verdicts rest on
    verdicts: tuple[Verdict, ...]  # per claim and scope; those of the planned scope are primary
    items: tuple[Item, ...]  # the decision rule
    looks: int = 0  # at scenes, that the verdicts rest on, of a plan that stops early

    @property
    def accepted(self) -> bool | None:
        """Whether the whole decision rule is met: False when a part is refuted, None when one is open or not asked."""
        states = [item.passed for item in self.items]
        return False if False in states else (True if all(states) else None)

    def of(self, claim: str, scope: Scope) -> Verdict:
        """One verdict; KeyError when there is none (a condition is missing)."""
        for verdict in self.verdicts:
            if (verdict.claim.name, verdict.effect.scope) == (claim, scope):
                return verdict
        raise KeyError(f"no verdict on {claim} in the scope {scope}")


def judge(
    plan: Plan,
    conditions: Mapping[str, Outcomes],
    gates: Sequence[Gate],
    alike: frozenset[tuple[str, str]] = frozenset(),
) -> Judgement:
    """Judge a study by its plan.

    The planned episodes of the latest complete look count. With several looks a gain or harm found at an earlier one
    stands; that two conditions are equivalent is said early of a claim of equality alone. Where a gate failed, effects
    are
    reported on whatever episodes both conditions of a claim hold, and no verdict is given.

    Args:
        plan: sealed before the first rollout.
        conditions: outcomes by condition of the table, e.g. "E0", "E2-zero".
        gates: answers to ``gates.GIVEN``, and any further condition; one that is not answered counts as failed.
        alike: pairs (treated, control) whose episodes are proven to have gone alike, step by step; equal outcomes alone
            may be chance, so they are no proof of equality.
    """
    held = {name: planned_episodes(plan, outcomes) for name, outcomes in conditions.items()}
    looks = complete_looks(plan, held) if plan.stop_early else 0
    planned = looked_at(plan, held) if looks else held
    answered = all_gates(plan, planned, gates)
    why = withheld(answered)
    size = due(plan, planned)
    if why:
        verdicts = tuple(_undecided(plan, claim, scope, held, why) for claim, scope in _asked(plan, held))
        found = tuple(verdict for verdict in verdicts if verdict is not None)
        return Judgement(plan, answered, why, size, found, checklist(plan.claims, found), looks)
    verdicts = _through_looks(plan, planned, size, alike)
    return Judgement(plan, answered, "", size, verdicts, checklist(plan.claims, verdicts), looks)


def _asked(plan: Plan, conditions: Mapping[str, Outcomes]) -> list[tuple[Claim, Scope]]:
    there = [claim for claim in plan.claims if claim.treated in conditions and claim.control in conditions]
    return [(claim, scope) for claim in there for scope in SCOPES]


def _undecided(plan: Plan, claim: Claim, scope: Scope, conditions: Mapping[str, Outcomes], why: str) -> Verdict | None:
    """An effect without a verdict, on the episodes that both conditions hold; None when they share none."""
    treated, control = common_episodes(conditions[claim.treated], conditions[claim.control])
    if not len(treated):
        return None
    effect = contrast(treated, control, scope, claim.same_checkpoints, plan.levels, f"{plan.digest} {claim.name}")
    step: Place = "not tested" if scope == claim.scope else "secondary"
    return Verdict(claim, effect, "cannot tell", f"no verdict: {why}", step, False)


def _through_looks(
    plan: Plan, conditions: Mapping[str, Outcomes], size: int, alike: frozenset[tuple[str, str]]
) -> tuple[Verdict, ...]:
    decided: dict[tuple[str, Scope], Verdict] = {}
    for look, seeds in enumerate(plan.sizes):
        if seeds > size:
            break
        chosen = {name: outcomes.of_seeds(plan.seeds[:seeds]) for name, outcomes in conditions.items()}
        for claim, scope in _asked(plan, chosen):
            earlier = decided.get((claim.name, scope))
            if earlier is None or not _final(earlier):
                decided[claim.name, scope] = _verdict(plan, claim, scope, chosen, look, alike)
    return _gatekept(plan, tuple(decided.values()))


def _final(verdict: Verdict) -> bool:
    """Whether later looks leave the verdict alone. A gain within the margin looks equivalent before it is certain."""
    return verdict.word in (("helps", "hurts", "equivalent") if verdict.claim.kind == "equal" else ("helps", "hurts"))


def _verdict(
    plan: Plan,
    claim: Claim,
    scope: Scope,
    conditions: Mapping[str, Outcomes],
    look: int,
    alike: frozenset[tuple[str, str]],
) -> Verdict:
    treated, control = conditions[claim.treated], conditions[claim.control]
    effect = _effect(plan, claim, scope, treated, control, look)
    proven = claim.kind == "equal" and (claim.treated, claim.control) in alike
    identical = proven and bool((treated.success == control.success).all())
    word, reason = word_for(effect, claim, identical)
    if word == "cannot tell" and plan.stop_early and scope == claim.scope and is_futile(plan, effect):
        reason = f"a gain of {points(plan.effect)} points, which it was to find, is ruled out"
    step: Place = "on its own" if scope == claim.scope else "secondary"
    return Verdict(claim, effect, word, reason, step, identical)


def _effect(plan: Plan, claim: Claim, scope: Scope, treated: Outcomes, control: Outcomes, look: int) -> Effect:
    """The effect at one look."""
    levels, key = plan.levels, f"{plan.digest} {claim.name}"
    if plan.stop_early and scope == "checkpoint":
        return sequential_effect(plan, claim, treated, control)
    if len(plan.sizes) > 1 and scope == "checkpoint" and claim.same_checkpoints:
        own = replace(levels, alpha=levels.alpha * claim.share)
        return watched_contrast(treated, control, plan.seeds[: plan.sizes[look]], own, key)
    return contrast(treated, control, scope, claim.same_checkpoints, _levels_at(plan, claim, look), key)


def _levels_at(plan: Plan, claim: Claim, look: int) -> Levels:
    levels, shares = plan.levels, [size / len(plan.seeds) for size in plan.sizes]
    tests = plan_looks(shares, levels.alpha * claim.share, plan.spending).level[look]
    tails = plan_looks(shares, (1 - levels.confidence) / 2, plan.spending).level[look]
    return at_level(levels, tests, tails)


def _gatekept(plan: Plan, verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """The same verdicts, a gain, or that there is none, taken back where its family's sequence did not come so far.

    Harm is stated wherever its own test finds it: it is not what the sequence guards.
    """
    primary = {verdict.claim.name: verdict for verdict in verdicts if verdict.primary}
    for family in plan.sequences:
        sequence = [primary[claim.name] for claim in family if claim.name in primary]
        steps = fixed_sequence([verdict.word == "helps" for verdict in sequence])
        for verdict, step in zip(sequence, steps, strict=True):
            if step == "not tested" and verdict.word in ("helps", "equivalent"):
                first = next(each.claim.name for each in sequence if each.word != "helps")
                reason = f"the plan tests this only after {first} is confirmed, and it was not"
                primary[verdict.claim.name] = replace(verdict, word="cannot tell", reason=reason, step=step)
            else:
                primary[verdict.claim.name] = replace(verdict, step=step)
    return tuple(primary[each.claim.name] if each.primary else each for each in verdicts)
