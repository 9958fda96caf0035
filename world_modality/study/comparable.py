"""Do a study's trainings differ in anything but what the study says? Compared setting by setting, as nested mappings.

Said twice of every study: of the trainings' specs when it is planned, before anything runs (here), and of the
configurations that LeRobot resolved for them when a table is made (training/compare_arms.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from world_modality.errors import UserError
from world_modality.store.stage import StageRequest
from world_modality.study.instructions import INSTRUCTIONS
from world_modality.study.prophet import PROPHET_ROLE
from world_modality.study.slices import OPTIMISER
from world_modality.study.specs import BEFORE, ReportArm, latents_role, tokens_role
from world_modality.study.world import World

Description = Mapping[str, Any]
"""A training's settings: nested mappings of JSON values. A setting's key is dotted, ``optim.lr``."""

ABSENT = "(absent)"
LATENTS = f"inputs.{latents_role('')}"
"""What the keys of cameras' latents begin with, in a training's description,"""
TOKENS = f"inputs.{tokens_role('')}"
"""and those of their world tokens, which only some policies read."""


@dataclass(frozen=True)
class Difference:
    """One setting, by its dotted key, that two trainings do not share."""

    key: str
    a: Any
    b: Any


@dataclass(frozen=True)
class Trained:
    """A training that is compared, and whose it is."""

    arm: str
    settings: Description


@dataclass(frozen=True)
class Declared:
    """The settings in which two trainings of a study may differ; each covers what is below it."""

    mode: str
    """What the memory holds while training, ``disabled`` for none,"""
    follows: frozenset[str]
    """and what follows it."""
    words: Mapping[str, frozenset[str]]
    """What an arm declares (``world.fusion``, see :class:`ReportArm`) -> the settings that say so."""
    memory: frozenset[str]
    """Between an arm that has a memory and one that has none, besides the cameras' latents."""
    prophet: frozenset[str]
    """A Prophet that was trained beforehand. It follows the world memory's settings, encoder, cameras and seed."""
    cameras: str
    """Whose latents the memory is made of."""
    align: str
    """Whether an arm without memory learns to foretell latents; then it has what an arm with a memory has."""
    seed: str
    seeds: frozenset[str]
    """``seed`` and what follows it, between trainings with different seeds."""

    def between(self, a: Description, b: Description, words: Collection[str]) -> frozenset[str]:
        """What may differ between two trainings whose arms declare ``words``."""
        allowed = frozenset[str]().union(*(self.words[word] for word in words))
        latents = {key for each in (a, b) for key, _ in _flatten(each) if key.startswith(LATENTS)}
        if "encoder" in words:
            allowed |= latents
        if "policy" in words:  # of which one may see latents and the other pictures
            allowed |= {key for each in (a, b) for key, _ in _flatten(each) if key.startswith(TOKENS)}
            allowed |= {f"inputs.{INSTRUCTIONS}"}
            if any(ABSENT in (_setting(a, key), _setting(b, key)) for key in latents):
                allowed |= self.memory | latents | self.prophet
        if _differ(a, b, self.mode):
            allowed |= self.follows
        if _differ(a, b, self.seed) or any(word.startswith(("world.", "encoder", "cameras")) for word in words):
            allowed |= self.prophet
        without = "disabled" in (_setting(a, self.mode), _setting(b, self.mode)) and _differ(a, b, self.mode)
        if without or ("world.align" in words and _differ(a, b, self.align)):
            allowed |= self.memory | latents | self.prophet
        if "cameras" in words and _differ(a, b, self.cameras):
            allowed |= {key for key in latents if ABSENT in (_setting(a, key), _setting(b, key))}
        return allowed | self.seeds if _differ(a, b, self.seed) else allowed


SPECS = Declared(
    mode="memory",
    # Of a memory that is not the Prophet's there is nothing to detach, and only one passes from truth to prediction.
    follows=frozenset({"world.detach", "world.truth_steps"}),
    words={
        "memory": frozenset({"memory"}),
        "policy": frozenset({"family", "inputs.policy"}),
        "encoder": frozenset({"inputs.encoder"}),
        "cameras": frozenset({"world.cameras"}),
        "preset": frozenset({f"optim.{key}" for key in (*OPTIMISER, "world_lr", "train_vision", "preset")}),
        **{f"world.{key}": frozenset({f"world.{key}"}) for key in World.model_fields},
        # What the arm's training asks of a Prophet depends on whether it trains one.
        "world.prophet": frozenset({"world.prophet", "world.lambda_world", "world.detach"}),
        **{f"world.{key}": frozenset({f"inputs.{PROPHET_ROLE}"}) for key in ("prophet_rank", "prophet_steps")},
    },
    memory=frozenset({"world", "optim.world_lr", "inputs.encoder"}),
    prophet=frozenset({f"inputs.{PROPHET_ROLE}"}),
    cameras="world.cameras",
    align="world.align",
    seed="seed",
    seeds=frozenset({"seed"}),
)
"""For trainings as they are planned. Without memory, the world modules' learning rate is not used."""


def require_comparable_plan(arms: Sequence[ReportArm], trainings: Mapping[tuple[str, int], StageRequest]) -> None:
    """UserError unless planned trainings, by arm and seed, differ in nothing but the seed and what arms declare."""
    described = {f"train {arm}/{seed}": Trained(arm, _describe(request)) for (arm, seed), request in trainings.items()}
    require_comparable(described, arms, SPECS, "arms share every setting that they do not declare")


def require_comparable(
    trainings: Mapping[str, Trained], arms: Sequence[ReportArm], declared: Declared, advice: str
) -> None:
    """Compare trainings, by name, pair by pair: those of an arm with its control's and its siblings'.

    Arms of other policies that no one compares with each other may differ in anything. ``advice`` ends the error's
    sentence.

    Raises:
        UserError: two differ in more than their arms declare, or an arm lacks a seed that another one has.
    """
    by_name = {arm.name: arm for arm in arms}
    groups = dict[object, int]()
    alike = {
        name: groups.setdefault(_but_for_seeds(each.settings, declared), len(groups))
        for name, each in trainings.items()
    }
    passed = set[object]()  # of the many pairs of seeds of two arms one comparison tells all
    for (name_a, a), (name_b, b) in combinations(trainings.items(), 2):
        one, other = by_name[a.arm], by_name[b.arm]
        differing = tuple(_differ(a.settings, b.settings, key) for key in (declared.seed, *sorted(declared.seeds)))
        pair = (a.arm, b.arm, alike[name_a], alike[name_b], differing)
        if pair not in passed and are_compared(one, other):
            allowed = declared.between(a.settings, b.settings, {*one.declared, *other.declared})
            require_equal(name_a, a.settings, name_b, b.settings, allowed, advice)
            passed.add(pair)
    seeds: dict[str, set[Any]] = {}
    for training in trainings.values():
        seeds.setdefault(training.arm, set()).add(_setting(training.settings, declared.seed))
    every = set().union(*seeds.values())
    for arm, own in seeds.items():
        if own != every:
            lacking = ", ".join(map(str, sorted(every - own)))
            raise UserError(
                f"arm {arm} has no training with seed {lacking}, as others have: train every arm with the same seeds"
            )


def are_compared(one: ReportArm, other: ReportArm) -> bool:
    """Whether a study compares two arms: one is the other's control, or they have the same.

    Without any control, the arms of the study's policy belong together.
    """
    if one.name in (other.name, other.against) or one.against == other.name:
        return True
    return one.against == other.against and bool(one.against or "policy" not in {*one.declared, *other.declared})


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
    """A planned training's whole spec, and the keys of the results that it reads, by role.

    But for its own earlier part, which is as different as it is itself.
    """
    read = {each.role: each.key for each in request.inputs if each.role != BEFORE}
    return {**request.address, "inputs": read}


def _but_for_seeds(training: Description, declared: Declared) -> tuple[tuple[str, str], ...]:
    """Equal for trainings that differ in nothing but their seeds and what follows these."""
    return tuple(sorted((key, repr(value)) for key, value in _flatten(training) if key not in declared.seeds))


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
