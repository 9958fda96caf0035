"""Whether a study that may stop early is decided: its decision rule, claim by claim, after the looks that are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from world_modality.evidence.gates import ALIVE, all_gates
from world_modality.evidence.outcomes import Outcomes
from world_modality.evidence.plan import Claim, Plan
from world_modality.evidence.points import points
from world_modality.evidence.sequential import complete_looks, is_futile, looked_at, sequential_effect
from world_modality.evidence.verdict import word_for

OPEN = "open"


@dataclass(frozen=True, slots=True)
class Standing:
    """How the decision rule stands."""

    looks: int  # complete
    of: int
    scenes: int  # of all tasks, in these looks
    all_scenes: int
    claims: tuple[tuple[str, str], ...]  # of the rule's sequence as far as it came: name, and what is known of it
    decided: bool

    def told(self) -> str:
        """In one line."""
        what = ", ".join(f"{name}: {word}" for name, word in self.claims)
        after = f"look {self.looks} of {self.of}, {self.scenes:,} of {self.all_scenes:,} scenes"
        return f"{after}{f'; {what}' if what else ''}"


def standing(plan: Plan, conditions: Mapping[str, Outcomes]) -> Standing:
    """The rule's claims of gain in their order, up to the first that is not confirmed, on the complete looks.

    A claim is decided when it is confirmed, refuted (hurts, equivalent), or futile: a gain of the wanted size is ruled
    out. Claims beside the rule, and those of equality, do not keep a study from stopping. While the baseline has never
    succeeded nothing is decided, since there would be no verdict.
    """
    held = looked_at(plan, conditions)
    looks = complete_looks(plan, held) if held else 0
    found: list[tuple[str, str]] = []
    decided = False
    alive = any(gate.name == ALIVE and gate.passed for gate in all_gates(plan, held, ()))
    for claim in plan.sequences[0] if looks and alive and plan.sequences else ():
        if claim.treated not in held or claim.control not in held:
            break
        word = _word(plan, claim, held)
        found.append((claim.name, word))
        decided = word != OPEN
        if word != "helps":
            break
    sizes = plan.look_sizes
    return Standing(looks, plan.number_of_looks, sum(sizes[:looks]), sum(sizes), tuple(found), decided)


def _word(plan: Plan, claim: Claim, conditions: Mapping[str, Outcomes]) -> str:
    effect = sequential_effect(plan, claim, conditions[claim.treated], conditions[claim.control])
    word, _ = word_for(effect, claim, identical=False)
    if word != "cannot tell":
        return word
    return f"no gain of {points(plan.effect)} points" if is_futile(plan, effect) else OPEN
