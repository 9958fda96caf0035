"""Do two arms differ in anything but what the study says? Arms are compared by their resolved configurations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.store.files import file_digest

ABSENT = "(absent)"
ARM_FILE = "arm.json"
"""A training's description of itself, in its artifact."""

PER_MACHINE = ("output_dir", "num_workers")
"""Settings that depend on where a training runs and cannot change its result; they are not compared."""


@dataclass(frozen=True)
class Difference:
    """One setting, by its dotted key, that two arms do not share."""

    key: str
    a: Any
    b: Any


def memory_keys() -> frozenset[str]:
    """What may differ between an arm with a world memory and one without: the memory's mode, modules and latents.

    The learning rate of the world modules and the seed of all keyed draws are not among them.
    """
    from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

    from lerobot_policy_world_modality.configuration_smolvla_world import SmolVLAWorldConfig

    own = {field.name for field in fields(SmolVLAWorldConfig)} - {field.name for field in fields(SmolVLAConfig)}
    return frozenset({f"policy.{name}" for name in own - {"world_lr", "world_seed"}} | {"inputs.latents"})


MODE_KEYS = frozenset({"policy.world_memory_mode_train"})
"""What may differ between two arms that both have a world memory."""

SEED_KEYS = frozenset({"seed", "policy.world_seed"})
"""What may differ between two trainings of one arm."""


def describe_arm(config: Mapping[str, Any], inputs: Mapping[str, Path], places: Mapping[Path, str]) -> dict[str, Any]:
    """An arm as it is compared: LeRobot's resolved configuration without paths, and digests of what it is fed.

    Args:
        config: the resolved configuration, JSON values.
        inputs: role -> sealed folder.
        places: folder -> role; a path below one is written ``<role>/...``.
    """
    arm = {key: _without_paths(value, places) for key, value in config.items() if key not in PER_MACHINE}
    return {**arm, "inputs": {role: _input_digest(folder) for role, folder in inputs.items()}}


def undeclared_differences(
    arm_a: Mapping[str, Any], arm_b: Mapping[str, Any], declared: Collection[str]
) -> list[Difference]:
    """The settings in which two arms differ although no key in ``declared``, nor one above it, allows it; by key."""
    a, b = dict(_flatten(arm_a)), dict(_flatten(arm_b))
    different = [key for key in sorted({*a, *b}) if a.get(key, ABSENT) != b.get(key, ABSENT)]
    return [Difference(key, a.get(key, ABSENT), b.get(key, ABSENT)) for key in different if not _covered(key, declared)]


def require_equal_arms(
    name_a: str, arm_a: Mapping[str, Any], name_b: str, arm_b: Mapping[str, Any], declared: Collection[str]
) -> None:
    """UserError that names every undeclared difference with both values, if there is any; names as in "arm E0"."""
    found = undeclared_differences(arm_a, arm_b, declared)
    if found:
        listed = "; ".join(f"{each.key} is {each.a!r} against {each.b!r}" for each in found)
        raise UserError(f"{name_a} and {name_b} differ in more than was declared: {listed}; make them equal")


def require_comparable(arms: Mapping[str, Mapping[str, Any]]) -> None:
    """UserError unless the trainings of a study, name -> description, differ in their memory and seed alone."""
    (reference, first), *others = arms.items()
    for name, arm in others:
        both_have_memory = _has_memory(first) and _has_memory(arm)
        declared = (MODE_KEYS if both_have_memory else memory_keys()) | SEED_KEYS
        require_equal_arms(reference, first, name, arm, declared)


def _has_memory(arm: Mapping[str, Any]) -> bool:
    return bool(arm["policy"]["world_memory_mode_train"] != "disabled")


def _covered(key: str, declared: Collection[str]) -> bool:
    return any(key == allowed or key.startswith(f"{allowed}.") for allowed in declared)


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def _without_paths(value: Any, places: Mapping[Path, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_paths(inner, places) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(inner, places) for inner in value]
    if isinstance(value, str):
        for place, role in places.items():
            if value == str(place) or value.startswith(f"{place}/"):
                return f"<{role}>{value.removeprefix(str(place))}"
    return value


def _input_digest(folder: Path) -> str:
    """16 hex over the files that tell one input from another, without reading gigabytes of pictures."""
    telling = ("model.safetensors", "meta/info.json", "meta/stats.json", "latents.json", "statistics.npz")
    content = {name: file_digest(folder / name) for name in telling if (folder / name).is_file()}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
