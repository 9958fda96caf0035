"""From an effect to one of four words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from world_modality.evidence.effect import Effect, is_equivalent
from world_modality.evidence.multiplicity import Step
from world_modality.evidence.plan import Claim, not_asked, rule_parts
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
    identical: bool  # a claim of equality whose two conditions took the same trajectory in every episode

    @property
    def primary(self) -> bool:
        """Whether the claim is decided in this scope."""
        return self.step != "secondary"


def word_for(effect: Effect, claim: Claim, identical: bool) -> tuple[Word, str]:
    """The word that an effect earns by itself, and why nothing can be told where the interval alone does not show it.

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
    if effect.interval.low <= 0 <= effect.interval.high:
        return "cannot tell", ""
    low, high = (points(limit, signed=True) for limit in (effect.bounds.low, effect.bounds.high))
    sure = f"{100 * (1 - 2 * effect.levels.alpha):.4g}% interval"
    return "cannot tell", f"its one-sided tests still allow {low} to {high} points ({sure})"


@dataclass(frozen=True, slots=True)
class Item:
    """One part of the decision rule."""

    part: str
    claims: tuple[str, ...]
    passed: bool | None  # None: cannot tell, not tested, or not asked
    detail: str
    not_asked: tuple[str, ...] = ()  # what the part needs and the plan does not claim


def checklist(claims: Sequence[Claim], verdicts: Sequence[Verdict]) -> tuple[Item, ...]:
    """The decision rule, part by part, from a plan's claims and their primary verdicts; every part, asked or not.

    A part is refuted when one of its claims is (a claim of gain by "hurts" or "equivalent", a claim of equality by
    "helps" or "hurts"), passed when all it needs is claimed and confirmed, and open otherwise.
    """
    found = {verdict.claim.name: verdict for verdict in verdicts if verdict.primary}
    parts = dict.fromkeys((*rule_parts(claims), *(claim.part for claim in claims if claim.part)))
    return tuple(_item(part, claims, found) for part in parts)


def _item(part: str, claims: Sequence[Claim], found: Mapping[str, Verdict]) -> Item:
    names = tuple(claim.name for claim in claims if claim.part == part)
    states = [_state(found[name]) if name in found else None for name in names]
    lacking = not_asked(part, claims)
    passed = False if False in states else (True if all(states) and not lacking else None)
    told = [f"{name}: {found[name].word if name in found else 'no outcomes'}" for name in names]
    return Item(part, names, passed, "; ".join([*told, *(f"not asked: {need}" for need in lacking)]), lacking)


def _state(verdict: Verdict) -> bool | None:
    if verdict.word == "cannot tell":
        return None
    return verdict.word == ("equivalent" if verdict.claim.kind == "equal" else "helps")
