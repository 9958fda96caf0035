"""What will be claimed, in which order and how it will be decided: written and sealed before the first rollout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from typing import Any, Literal

from world_modality.evidence.effect import Levels, Scope
from world_modality.evidence.resampling import canonical_json, digest_of
from world_modality.evidence.spending import Spending

Kind = Literal["better", "equal"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement about two conditions of the study's table."""

    name: str  # e.g. "pred > zero"
    part: str  # of the decision rule that it belongs to; "" for a claim beside it
    treated: str  # condition, e.g. "E2"
    control: str
    treated_words: str  # what a sentence calls it, e.g. "predicted memory"
    control_words: str
    kind: Kind  # better: treated > control; equal: they differ by less than the margin
    scope: Scope  # in which the claim is decided
    same_checkpoints: bool  # whether the two conditions are rollouts of the same checkpoints
    margin: float  # smallest difference that would matter, as a fraction
    family: str = ""  # claims of a family are tested one after the other; "" is the decision rule's
    share: float = 1.0  # of alpha, at which the claim is tested


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is believed about the noise before it is measured. Fractions; the defaults are published or cautious."""

    rate: float = 0.85  # success of the control arm
    run_sd: float = 0.03  # of a suite's mean success from one training run to the next (facts/noise.py)
    task_sd: float = 0.05  # the same of one task's success, published as 3.3 to 6.7 points
    disagree_runs: float = 0.255  # share of episodes on which two runs differ; 2 p (1-p) as if they were independent
    disagree_memories: float = 0.255  # the same of two memories of one checkpoint
    source: str = "prior"  # where the numbers come from, for the reader


@dataclass(frozen=True, slots=True)
class Plan:
    """The pre-registered plan of one study. ValueError where it contradicts itself."""

    study: str
    label: str  # of the suite, e.g. "libero_spatial", or with other assets "libero_spatial (assets DIGEST)"
    claims: tuple[Claim, ...]  # those of kind "better" in the order of testing, family by family
    seeds: tuple[int, ...]  # training seeds, in the order they are trained
    tasks: tuple[int, ...]
    init_states: tuple[int, ...]
    repeats: int
    baseline: str = "E0"  # condition that must succeed at least once
    looks: tuple[int, ...] = ()  # numbers of seeds at which the data are looked at; empty: once, with all
    spending: Spending = "obrien_fleming"
    effect: float = 0.05  # difference the study should be able to find
    design: str = ""  # digest of everything that is trained and rolled out, by whoever knows it
    stop_early: int = 0  # scenes of each task that every look adds, of a plan that stops once it is decided; 0: none
    order: tuple[tuple[int, ...], ...] = ()  # then, of every task, its initial states in the order they are met
    levels: Levels = field(default_factory=Levels)
    assumptions: Assumptions = field(default_factory=Assumptions)

    def __post_init__(self) -> None:
        names = [claim.name for claim in self.claims]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"a plan needs claims with names of their own, got {names}")
        for name in ("seeds", "tasks", "init_states"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name} must be named, and each only once, got {values}")
        ascending = all(one < two for one, two in pairwise((0, *self.looks)))
        if self.looks and (self.looks[-1] != len(self.seeds) or not ascending):
            raise ValueError(f"looks must ascend to all {len(self.seeds)} seeds, got {self.looks}")
        if any(not 0 < claim.share <= 1 for claim in self.claims):
            raise ValueError("a claim's share of alpha must lie between 0 and 1")
        self._check_order()
        if self.repeats < 1 or self.effect <= 0 or any(claim.margin <= 0 for claim in self.claims):
            raise ValueError("repeats, effect and margins must be positive")

    def _check_order(self) -> None:
        """A plan that stops early meets every scene once, and claims nothing about trainings."""
        if not self.stop_early:
            if self.order:
                raise ValueError("an order of scenes belongs to a plan that stops early")
            return
        if self.stop_early < 0 or self.looks or any(claim.scope == "recipe" for claim in self.claims):
            raise ValueError("only claims about checkpoints, without looks at seeds, can be decided early")
        if len(self.order) != len(self.tasks) or any(sorted(each) != sorted(self.init_states) for each in self.order):
            raise ValueError("the order must hold every initial state of every task once")

    @property
    def number_of_looks(self) -> int:
        """Looks at scenes, of a plan that stops early; 0 of any other."""
        return len(self.look_sizes)

    @property
    def look_sizes(self) -> tuple[int, ...]:
        """Scenes of all tasks that every look adds; empty of a plan that does not stop early."""
        if not self.stop_early:
            return ()
        states, tasks = len(self.init_states), len(self.tasks)
        return tuple(tasks * min(self.stop_early, states - start) for start in range(0, states, self.stop_early))

    @property
    def episodes_per_seed(self) -> int:
        """Episodes of one checkpoint in one condition."""
        return len(self.tasks) * len(self.init_states) * self.repeats

    @property
    def sequences(self) -> tuple[tuple[Claim, ...], ...]:
        """Per family the claims of gain, each tested only after those before it in the family were confirmed."""
        gains = [claim for claim in self.claims if claim.kind == "better"]
        families = dict.fromkeys(claim.family for claim in gains)
        return tuple(tuple(claim for claim in gains if claim.family == family) for family in families)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of seeds at each look; one entry when the data are looked at once."""
        return self.looks or (len(self.seeds),)

    @property
    def digest(self) -> str:
        """16 hex digits that any change of the plan changes."""
        return digest_of(self.content)

    @property
    def content(self) -> dict[str, Any]:
        """All that it says, as plain data. Of stopping early only where it does, so that other plans stay the same."""
        silent = () if self.stop_early else ("stop_early", "order")
        return {name: value for name, value in asdict(self).items() if name not in silent}

    def to_json(self) -> str:
        """Canonical JSON; ``from_json`` reads it back."""
        return canonical_json(self.content)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that ``to_json`` wrote. ValueError for anything else, unknown keys included."""
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError("a plan is a JSON object")
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        try:
            values["claims"] = tuple(Claim(**claim) for claim in data["claims"])
            values["order"] = tuple(tuple(states) for states in data.get("order", ()))
            values["levels"] = Levels(**data["levels"])
            values["assumptions"] = Assumptions(**data["assumptions"])
            return cls(**values)
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a plan: {error}") from error


def changes(before: Plan, after: Plan) -> tuple[tuple[str, Any, Any], ...]:
    """The fields in which two plans differ, with both values."""
    return tuple(
        (each.name, getattr(before, each.name), getattr(after, each.name))
        for each in fields(Plan)
        if getattr(before, each.name) != getattr(after, each.name)
    )


HARMLESS, BETTER = "the machinery alone changes nothing", "predicted memory helps"
OTHER_BETTER = "the memory helps"
"""In place of ``BETTER`` where the rule is that of another memory than a prediction."""
CONTENT = "the memory's content is used"
PLACEBOS = "zero memory", "random memory"
"""How claims speak of memories without content."""
RULE = {
    CONTENT: ("a comparison with zero memory", "a comparison with random memory"),
    BETTER: ("an arm with predicted memory",),
    HARMLESS: ("an arm with zero memory",),
}
"""The decision rule's parts, and what a study must hold for each to be asked."""


def beats(treated: str, control: str) -> str:
    """The only part of the decision rule of a study in which no arm has a memory: it asks about the policies."""
    return f"{treated} beats {control}"


def rule_parts(claims: Sequence[Claim]) -> tuple[str, ...]:
    """The parts that the decision rule has for these claims, asked or not; none of a memory's if none is claimed."""
    asked = {claim.part for claim in claims}
    if not asked & {*RULE, OTHER_BETTER}:
        return tuple(dict.fromkeys(claim.part for claim in claims if claim.part))
    other = OTHER_BETTER in asked
    return tuple(OTHER_BETTER if other and part == BETTER else part for part in RULE)


def not_asked(part: str, claims: Sequence[Claim]) -> tuple[str, ...]:
    """What a part of the decision rule needs and these claims do not ask; nothing for a part beside the rule."""
    own = [claim for claim in claims if claim.part == part]
    if part == CONTENT:
        placebos = {claim.control_words for claim in own}
        return tuple(need for need, words in zip(RULE[part], PLACEBOS, strict=True) if words not in placebos)
    return () if own else RULE.get(part, ())
