"""Turn a ``smolvla_world`` checkpoint into a plain SmolVLA one: the same base weights, without world modules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_file

from lerobot_policy_world_modality.backbone import resolved_backbone
from lerobot_policy_world_modality.convert import copy_processors, read_config
from lerobot_policy_world_modality.modeling_smolvla_world import STEP
from lerobot_policy_world_modality.processor_smolvla_world import TOKENIZER_STEP
from world_modality.embedded import BACKBONE_PREFIX
from world_modality.errors import UserError
from world_modality.memory.randomness import borrowed_generator
from world_modality.store.files import write_json
from world_modality.store.hub import split_pinned

WORLD = "world."  # how the names of the world modules' tensors begin
PREPROCESSOR = "policy_preprocessor.json"


@dataclass(frozen=True)
class Stripped:
    """What became of a checkpoint's tensors."""

    kept: int
    removed: tuple[str, ...]  # names of the world modules' and of the step counter
    needs_plugin: bool  # its backbone is packaged here, so that LeRobot alone cannot load it


def strip(source: Path, target: Path) -> Stripped:
    """Write the plain SmolVLA in ``source`` into the folder ``target``.

    It acts as ``source`` does with ``world_memory_mode_rollout=zero``, bit for bit: a memory of zeros adds exactly zero
    in every fusion. A backbone that is pinned to a hub's commit gets its plain name, which LeRobot knows.

    Raises:
        UserError: ``source`` is no ``smolvla_world`` checkpoint, or holds tensors that a SmolVLA does not.
    """
    config = read_config(source)
    if config.get("type") != "smolvla_world":
        raise UserError(f"{source} is a '{config.get('type')}': only a smolvla_world has world modules to strip")
    if config.get("use_peft"):
        raise UserError(f"{source} holds PEFT adapters: merge them into the policy first")
    removed = write_plain_weights(source / "model.safetensors", target / "model.safetensors")
    backbone = plain_name(config["vlm_model_name"])
    write_json(target / "config.json", {**plain_config(config), "vlm_model_name": backbone})
    copy_processors(source, target)
    _plain_tokenizer(target / PREPROCESSOR)
    kept = _require_smolvla(target)
    return Stripped(kept, removed, backbone.startswith(BACKBONE_PREFIX))


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A ``smolvla`` config.json: the same without the world memory's settings."""
    return {**{key: value for key, value in config.items() if not key.startswith("world_")}, "type": "smolvla"}


def plain_name(backbone: str) -> str:
    """A backbone's name as LeRobot knows it, if it does."""
    pinned = split_pinned(backbone)
    return backbone if pinned is None else pinned[0]


def write_plain_weights(source: Path, target: Path) -> tuple[str, ...]:
    """Write the weights but for the world modules' and the training's step counter; the names that were left out."""
    try:
        weights = load_file(source)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{source} cannot be read ({error}); it may be damaged") from error
    own = tuple(sorted(name for name in weights if name == STEP or name.startswith(WORLD)))
    save_file({name: weights[name] for name in weights.keys() - set(own)}, target, metadata={"format": "pt"})
    return own


def _plain_tokenizer(file: Path) -> None:
    """Give the tokenizer's step back to LeRobot, unless the name is one that only this package knows."""
    pipeline = json.loads(file.read_text())
    for step in pipeline["steps"]:
        name = str(step.get("config", {}).get("tokenizer_name", ""))
        if step.get("registry_name") == TOKENIZER_STEP and not name.startswith(BACKBONE_PREFIX):
            step["registry_name"] = "tokenizer_processor"
            step["config"]["tokenizer_name"] = plain_name(name)
    write_json(file, pipeline)


def _require_smolvla(target: Path) -> int:
    """How many tensors the SmolVLA in ``target`` has; UserError if they are not exactly those of its config."""
    config = SmolVLAConfig.from_pretrained(target)
    config.device = "cpu"
    with resolved_backbone(config), borrowed_generator():
        policy = SmolVLAPolicy(config)
    missing, stray = load_model(policy, target / "model.safetensors", strict=False)
    if stray or missing:
        raise UserError(
            f"stripped of its world modules, this is no SmolVLA: it lacks {sorted(missing)[:3] or 'nothing'}, "
            f"and has {sorted(stray)[:3] or 'nothing'} beside its own"
        )
    return len(policy.state_dict())
