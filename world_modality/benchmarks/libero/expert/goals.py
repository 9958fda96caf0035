"""From a parsed BDDL goal to errands in an order that works: what is only implied comes with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Verb = Literal["place", "open", "close", "turn"]
VERBS: Mapping[str, Verb] = {
    "on": "place",
    "in": "place",
    "open": "open",
    "close": "close",
    "turnon": "turn",
    "turnoff": "turn",
}


@dataclass(frozen=True)
class Errand:
    """One thing to be done."""

    verb: Verb
    condition: tuple[str, ...]
    """The conjunct that holds once it is done, e.g. ("in", "bowl_1", "cabinet_1_top_region")."""
    for_what: tuple[Errand, ...] = ()
    """What needs it, if nothing else asks for it: then it need not hold once that is done."""

    @property
    def thing(self) -> str:
        """What is moved, opened or turned."""
        return self.condition[1]

    @property
    def target(self) -> str:
        """Where it is put."""
        return self.condition[2]


def errands(goal: Sequence[Sequence[str]], doors: Mapping[str, str]) -> tuple[Errand, ...]:
    """The errands of a goal, in order.

    What is turned comes first, while the way to it is free. What is closed comes before whatever does not have to go
    in, what goes in after its opening and before its closing. What something is put on is put in its own place before.

    Args:
        goal: its conjuncts; every predicate is one of ``VERBS``.
        doors: target -> the name of what must be open while something is put in; targets without a door are missing.
    """
    parts = [Errand(VERBS[conjunct[0]], tuple(conjunct)) for conjunct in goal]
    placed = list(_bases_first([part for part in parts if part.verb == "place"]))
    inside = [part for part in placed if part.condition[0] == "in" and part.target in doors]
    opened_for = list(dict.fromkeys(doors[part.target] for part in inside))
    asked_open = [part for part in parts if part.verb == "open"]
    asked = {each.thing for each in asked_open}
    implied = [
        Errand("open", ("open", door), tuple(part for part in inside if doors[part.target] == door))
        for door in opened_for
        if door not in asked
    ]
    closed = [part for part in parts if part.verb == "close"]
    last = [part for part in closed if part.thing in opened_for]
    return (
        *(part for part in parts if part.verb == "turn"),
        *(part for part in closed if part not in last),
        *implied,
        *asked_open,
        *inside,
        *last,
        *(part for part in placed if part not in inside),
    )


def companions(goal: Iterable[Sequence[str]], condition: Sequence[str]) -> tuple[str, ...]:
    """Everything that the goal puts where ``condition`` puts its thing, in the goal's order."""
    return tuple(each[1] for each in goal if len(each) == 3 and each[0] == condition[0] and each[2] == condition[2])


def _bases_first(parts: Sequence[Errand]) -> Iterator[Errand]:
    left = list(parts)
    while left:
        waiting = {part.thing for part in left}
        free = next((part for part in left if part.target not in waiting), left[0])
        left.remove(free)
        yield free
