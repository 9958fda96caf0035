"""What distinguishes a stage from the nearest one that is sealed: everything in the key, setting by setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from world_modality.facts.stages import STAGES
from world_modality.store.done import DoneFile
from world_modality.store.stage import StageRequest
from world_modality.study.specs import BEFORE, latents_role

DIFFERENCES = 3  # a sealed stage that differs in more is no relative

Leaves = Mapping[str, Any]
"""Everything in a key, flat: dotted spec fields, package versions, and the keys of every upstream role."""


@dataclass(frozen=True)
class Relative:
    """A sealed stage that others are compared with."""

    record: DoneFile

    @cached_property
    def leaves(self) -> Leaves:
        """Everything in its key."""
        inputs = [(each.role, each.key) for each in self.record.upstream]
        return _leaves(self.record.version, self.record.software, self.record.address, inputs)

    @cached_property
    def items(self) -> frozenset[tuple[str, Any]]:
        """The same, to be compared at once with thousands of others."""
        return frozenset(self.leaves.items())


def nearest(request: StageRequest, sealed: Sequence[Relative], earlier: frozenset[str]) -> tuple[Relative, str] | None:
    """The sealed stage of the same kind that differs in the fewest settings, and how it is related.

    One in the same ``place`` of the same study comes first, whose keys are ``earlier``, however much it differs; then,
    if it differs in few settings, one of the same ``label``; then any ``other``.
    """
    mine = frozenset(leaves_of(request).items())
    others = [each for each in sealed if each.record.key != request.key]
    groups = {
        "place": [each for each in others if each.record.key in earlier],
        "label": [each for each in others if each.record.label == request.label],
        "other": others,
    }
    for name, relatives in groups.items():
        found = min(relatives, key=lambda each: _distance(each.items, mine), default=None)
        if found is not None and (name == "place" or 0 < _distance(found.items, mine) <= DIFFERENCES):
            return found, name
    return None


def changed(request: StageRequest, sealed: Sequence[Relative], earlier: frozenset[str]) -> str:
    """What distinguishes a stage from its nearest sealed relative, in a few words; ``new`` if it has none."""
    found = nearest(request, sealed, earlier)
    if found is None:
        return "new"
    (relative, relation), mine = found, leaves_of(request)
    told = differences(relative.leaves, mine)
    if len(told) > DIFFERENCES:
        return f"{', '.join(told[:DIFFERENCES])} and {len(told) - DIFFERENCES} more settings"
    label = relative.record.label
    text = ", ".join(told) + _longer(relative.leaves, mine)
    return text if label == request.label or relation == "place" else f"like {label}, but {text}"


def differences(before: Leaves, after: Leaves) -> list[str]:
    """What distinguishes a stage from a sealed relative, as ``name old -> new``."""
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if _is_role(name) and old != new:
            found.append("other earlier part" if name == BEFORE else f"other {name.replace('_', ' ')}")
        elif name not in before or name not in after:  # sealed before there was such a setting, or while there was
            found.append(f"{name} is {'no setting any more' if name in before else 'a new setting'}")
        elif old != new:
            found.append(f"{name} {shown(old)} -> {shown(new)}")
    return found


def leaves_of(request: StageRequest) -> Leaves:
    """Everything in the key of a stage to be run."""
    inputs = [(each.role, each.key) for each in request.inputs]
    return _leaves(request.version, request.software, request.address, inputs)


def shown(value: Any) -> str:
    """A setting's value in a few characters."""
    if isinstance(value, list | tuple) and len(value) > 4:
        return f"{value[0]}..{value[-1]} ({len(value)})"
    return "none" if value in (None, "") else str(list(value) if isinstance(value, tuple) else value)


def _distance(one: frozenset[tuple[str, Any]], other: frozenset[tuple[str, Any]]) -> int:
    """In how many settings two stages differ."""
    return len({name for name, _ in one ^ other})


def _longer(before: Leaves, after: Leaves) -> str:
    """Of a training that differs from a sealed one in nothing but being longer: whether it can go on from that one."""
    different = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} - {"stop"}
    if not {"optim.steps"} <= different <= {"optim.steps", "optim.decay_steps", BEFORE}:
        return ""
    steps, decay = before["optim.steps"], before["optim.decay_steps"]
    if after["optim.steps"] < steps or before["optim.preset"]:
        return ""
    if decay > steps or before["optim.warmup_steps"] > steps:
        return f" (not gone on from: its schedule was shortened to {steps} steps)"
    if "optim.decay_steps" in different:
        return f" (not gone on from: its learning rate has decayed by step {decay}; with decay_steps {decay} it is)"
    return f" (to go on from it, name {steps} in training.checkpoints)"


def _is_role(name: str) -> bool:
    """Whether a leaf is what a stage reads in some role rather than a setting, whose value would mean something."""
    return name in _ROLES or name.startswith(latents_role(""))


_ROLES = frozenset({*STAGES.names, "checkpoint", BEFORE})


def _leaves(
    version: int, software: Mapping[str, str], address: Mapping[str, Any], inputs: Iterable[tuple[str, str]]
) -> Leaves:
    leaves: dict[str, Any] = {"stage version": version} | dict(software)
    for role, key in inputs:
        leaves[role] = (*leaves.get(role, ()), key)
    _flatten("", address, leaves)
    return leaves


def _flatten(prefix: str, value: Mapping[str, Any], into: dict[str, Any]) -> None:
    for name, item in value.items():
        if isinstance(item, Mapping):
            _flatten(f"{prefix}{name}.", item, into)
        else:
            into[prefix + name] = _frozen(item)


def _frozen(value: Any) -> Any:
    """Lists as tuples, which can be in a set."""
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, Mapping):
        return tuple((name, _frozen(item)) for name, item in sorted(value.items()))
    return value
