"""Do a study's trainings differ in anything but what the study says? Compared setting by setting, as nested mappings.

Said twice of every study: of the trainings' specs when it is planned, before anything runs (here), and of the
configurations that LeRobot resolved for them when a table is made (training/compare_arms.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from world_modality.errors import UserError
from world_modality.facts.benchmarks import camera_names
from world_modality.store.request import StageRequest
from world_modality.study.specs import latents_role

Description = Mapping[str, Any]
"""A training's settings: nested mappings of JSON values. A setting's key is dotted, ``optim.lr``."""

ABSENT = "(absent)"


@dataclass(frozen=True)
class Difference:
    """One setting, by its dotted key, that two trainings do not share."""

    key: str
    a: Any
    b: Any


@dataclass(frozen=True)
class Declared:
    """The settings in which two trainings of a study may differ; each covers what is below it."""

    mode: str
    """What the memory holds while training, ``disabled`` for none."""
    treatments: frozenset[str]
    """``mode`` and what else tells arms apart."""
    memory: frozenset[str]
    """Of the memory: besides ``treatments``, between an arm that has one and one that has none."""
    cameras: str
    """Whose latents the memory is made of, one of ``treatments``."""
    latents: frozenset[str]
    """One per camera: what an arm lacks that does without the camera, and what is equal in all others."""
    camera_settings: frozenset[str]
    """What follows ``cameras``, between two arms that have others."""
    seed: str
    seeds: frozenset[str]
    """``seed`` and what follows it, between trainings with different seeds."""

    def between(self, a: Description, b: Description) -> frozenset[str]:
        """What may differ between two trainings."""
        allowed = self.treatments
        if "disabled" in (_setting(a, self.mode), _setting(b, self.mode)) and _differ(a, b, self.mode):
            allowed |= self.memory
        if _differ(a, b, self.cameras):
            lacking = {key for key in self.latents if ABSENT in (_setting(a, key), _setting(b, key))}
            allowed |= self.camera_settings | lacking
        return allowed | self.seeds if _differ(a, b, self.seed) else allowed


LATENTS = frozenset(f"inputs.{latents_role(camera)}" for camera in camera_names())
"""Each camera's latents, in a training's description."""

SPECS = Declared(
    mode="memory",
    treatments=frozenset({"memory", "world.fusion", "world.cameras", "world.lambda_world", "world.detach"}),
    memory=frozenset({"world", "optim.world_lr", "inputs.encoder"}) | LATENTS,
    cameras="world.cameras",
    latents=LATENTS,
    camera_settings=frozenset(),
    seed="seed",
    seeds=frozenset({"seed"}),
)
"""For trainings as they are planned. Without memory, the world modules' learning rate is not used."""


def require_comparable_plan(trainings: Mapping[str, StageRequest]) -> None:
    """UserError unless the planned trainings of a study, by name, differ in nothing but their treatment and seed."""
    described = {name: _describe(request) for name, request in trainings.items()}
    require_comparable(described, SPECS, "arms share every setting but their memory")


def require_comparable(trainings: Mapping[str, Description], declared: Declared, advice: str) -> None:
    """Compare all trainings of a study, name -> settings, pair by pair; ``advice`` ends the error's sentence.

    Raises:
        UserError: two differ in more than ``declared`` allows, or an arm lacks a seed that another one has.
    """
    for (name_a, a), (name_b, b) in combinations(trainings.items(), 2):
        require_equal(name_a, a, name_b, b, declared.between(a, b), advice)
    seeds: dict[tuple[Any, ...], set[Any]] = {}
    for training in trainings.values():
        arm = tuple(str(_setting(training, key)) for key in (declared.mode, *sorted(declared.treatments)))
        seeds.setdefault(arm, set()).add(_setting(training, declared.seed))
    every = set().union(*seeds.values())
    for (mode, *_), own in seeds.items():
        if own != every:
            lacking = ", ".join(map(str, sorted(every - own)))
            raise UserError(
                f"the arm with memory {mode} has no training with seed {lacking}, as others have: "
                "train every arm with the same seeds"
            )


def require_equal(
    name_a: str, a: Description, name_b: str, b: Description, declared: Collection[str], advice: str
) -> None:
    """UserError that names every undeclared difference with both values, if there is any, and ends with ``advice``."""
    found = undeclared_differences(a, b, declared)
    if found:
        listed = "; ".join(f"{each.key} is {each.a!r} against {each.b!r}" for each in found)
        raise UserError(f"{name_a} and {name_b} differ in more than was declared: {listed}; {advice}")


def undeclared_differences(a: Description, b: Description, declared: Collection[str]) -> list[Difference]:
    """The settings in which two trainings differ although no key in ``declared``, nor one above it, allows it."""
    one, other = dict(_flatten(a)), dict(_flatten(b))
    different = [key for key in sorted({*one, *other}) if one.get(key, ABSENT) != other.get(key, ABSENT)]
    return [
        Difference(key, one.get(key, ABSENT), other.get(key, ABSENT))
        for key in different
        if not any(key == allowed or key.startswith(f"{allowed}.") for allowed in declared)
    ]


def _describe(request: StageRequest) -> Description:
    """A planned training's whole spec, and the keys of the results that it reads, by role."""
    return {**request.address, "inputs": {each.role: each.key for each in request.inputs}}


def _setting(training: Description, key: str) -> Any:
    value: Any = training
    for part in key.split("."):
        value = value.get(part, ABSENT) if isinstance(value, Mapping) else ABSENT
    return value


def _differ(a: Description, b: Description, key: str) -> bool:
    return bool(_setting(a, key) != _setting(b, key))


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value
