"""From an effect to one of four words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from world_modality.evidence.effect import Effect
from world_modality.evidence.equivalence import is_equivalent
from world_modality.evidence.multiplicity import Step
from world_modality.evidence.plan import Claim
from world_modality.evidence.points import points

Word = Literal["helps", "hurts", "equivalent", "cannot tell"]


Place = Step | Literal["on its own", "secondary"]
"""A verdict's place in the plan: a step of the fixed sequence, beside it, or not what the claim is decided by."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the data say about one claim in one scope."""

    claim: Claim
    effect: Effect
    word: Word
    reason: str  # why nothing can be told, or what else the reader must know; may be empty
    step: Place
    identical: bool  # a claim of equality whose two columns had the same outcome in every unit

    @property
    def primary(self) -> bool:
        """Whether the claim is decided in this scope."""
        return self.step != "secondary"


def word_for(effect: Effect, claim: Claim, identical: bool) -> tuple[Word, str]:
    """The word that an effect earns by itself, and the reason where it is "cannot tell".

    helps: the one-sided test of "not better" rejects at the effect's alpha. hurts: that of "not worse" does.
    equivalent: both one-sided bounds lie within the claim's margin (TOST). A claim of equality is asked about
    equivalence first, any other last, so that a small but certain gain is called a gain.
    """
    if identical:
        return "equivalent", ""
    if effect.problem:
        return "cannot tell", effect.problem
    equal = is_equivalent(effect.bounds, claim.margin)
    if equal and claim.kind == "equal":
        return "equivalent", ""
    if effect.p_greater <= effect.levels.alpha:
        return "helps", ""
    if effect.p_less <= effect.levels.alpha:
        return "hurts", ""
    if equal:
        return "equivalent", ""
    low, high = (points(limit, signed=True) for limit in (effect.bounds.low, effect.bounds.high))
    return "cannot tell", (
        f"by its one-sided tests ({100 * (1 - 2 * effect.levels.alpha):.4g}% interval) differences from {low} "
        f"to {high} points remain possible, and less than {100 * claim.margin:g} points would count as none"
    )


@dataclass(frozen=True, slots=True)
class Item:
    """One part of the decision rule."""

    part: str
    claims: tuple[str, ...]
    passed: bool | None  # None: cannot tell, or not tested
    detail: str


def checklist(verdicts: tuple[Verdict, ...]) -> tuple[Item, ...]:
    """The decision rule, part by part, from the primary verdicts.

    A part is passed when each of its claims is confirmed, failed when one is refuted (a claim of gain by "hurts" or
    "equivalent", a claim of equality by "helps" or "hurts"), and open otherwise.
    """
    primary = [verdict for verdict in verdicts if verdict.primary and verdict.claim.part]
    items = []
    for part in dict.fromkeys(verdict.claim.part for verdict in primary):
        own = [verdict for verdict in primary if verdict.claim.part == part]
        states = [_state(verdict) for verdict in own]
        passed = False if False in states else (True if all(states) else None)
        detail = "; ".join(f"{verdict.claim.name}: {verdict.word}" for verdict in own)
        items.append(Item(part, tuple(verdict.claim.name for verdict in own), passed, detail))
    return tuple(items)


def _state(verdict: Verdict) -> bool | None:
    if verdict.word == "cannot tell":
        return None
    return verdict.word == ("equivalent" if verdict.claim.kind == "equal" else "helps")
