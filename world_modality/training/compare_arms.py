"""An arm as its training describes it, to be compared with the others: LeRobot's resolved configuration and inputs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from world_modality.facts.world import WorldMemoryConfig
from world_modality.store.files import file_digest
from world_modality.study.comparable import Declared
from world_modality.study.prophet import PROPHET_ROLE
from world_modality.study.world import World

ARM_FILE = "arm.json"
"""A training's description of itself, in its artifact."""

PER_MACHINE = ("output_dir", "num_workers")
"""Settings that depend on where a training runs and cannot change its result; they are not compared."""


def memory_keys() -> frozenset[str]:
    """What may differ between an arm with a world memory and one without: the memory's mode and modules.

    The learning rate of the world modules is among them, since an arm without memory has nothing to train at it; the
    seed of all keyed draws and the episodes held out are not.
    """
    own = {field.name for field in fields(WorldMemoryConfig)}
    return frozenset({f"policy.{name}" for name in own - {"world_seed", "world_held_out"}})


def resolved_settings() -> Declared:
    """What two trainings' descriptions of themselves may differ in."""
    encoder = {name for name in memory_keys() if name.startswith("policy.world_encoder_")}
    of_cameras = {
        f"policy.world_{name}" for name in ("trained_cameras", "latents", "latent_dim", "latent_tokens", "frame_sizes")
    }
    renamed = {"lambda_world": "lambda"}
    prophet = frozenset({"policy.world_prophet_rank", "policy.world_prophet_trained_on", f"inputs.{PROPHET_ROLE}"})
    return Declared(
        mode="policy.world_memory_mode_train",
        follows=frozenset({"policy.world_detach", "policy.world_truth_steps"}),
        words={
            "memory": frozenset({"policy.world_memory_mode_train"}),
            "policy": frozenset({"policy", "inputs.policy"}),
            "encoder": frozenset({*encoder, *of_cameras, "inputs.encoder"}),
            "cameras": frozenset({*of_cameras, "policy.world_cameras"}),
            "preset": frozenset({"optimizer", "scheduler", "use_policy_training_preset"}),
            **{f"world.{key}": frozenset({f"policy.world_{renamed.get(key, key)}"}) for key in World.model_fields},
            "world.prophet": frozenset({"policy.world_prophet", "policy.world_lambda", "policy.world_detach"}),
            **dict.fromkeys(("world.prophet_rank", "world.prophet_steps"), prophet),
        },
        memory=memory_keys() | {"inputs.encoder"},
        prophet=prophet,
        cameras="policy.world_cameras",
        align="policy.world_align",
        seed="seed",
        seeds=frozenset({"seed", "policy.world_seed"}),
    )


def describe_arm(config: Mapping[str, Any], inputs: Mapping[str, Path], places: Mapping[Path, str]) -> dict[str, Any]:
    """An arm as it is compared: LeRobot's resolved configuration without paths, and digests of what it is fed.

    Args:
        config: the resolved configuration, JSON values.
        inputs: role -> sealed folder.
        places: folder -> role; a path below one is written ``<role>/...``.
    """
    arm = {key: _without_paths(value, places) for key, value in config.items() if key not in PER_MACHINE}
    return {**arm, "inputs": {role: _input_digest(folder) for role, folder in inputs.items()}}


def _without_paths(value: Any, places: Mapping[Path, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_paths(inner, places) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(inner, places) for inner in value]
    if isinstance(value, str):
        whole = _without_path(value, places)  # a folder's name may hold the separator
        parts = [_without_path(part, places) for part in value.split(os.pathsep)]
        return whole if whole != value else os.pathsep.join(parts)
    return value


def _without_path(value: str, places: Mapping[Path, str]) -> str:
    for place, role in places.items():
        if value == str(place) or value.startswith(f"{place}/"):
            return f"<{role}>{value.removeprefix(str(place))}"
    return value


def _input_digest(folder: Path) -> str:
    """16 hex over the files that tell one input from another, without reading gigabytes of pictures."""
    read = ("latents.json", "statistics.npz", "tokens.json", "tokens.npy", "embeddings.npy")
    telling = ("model.safetensors", "prophet.safetensors", "meta/info.json", "meta/stats.json", *read)
    content = {name: file_digest(folder / name) for name in telling if (folder / name).is_file()}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
