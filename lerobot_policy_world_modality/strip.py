"""Turn a checkpoint with world memory into LeRobot's own type: the same base weights, without world modules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_file

from lerobot_policy_world_modality.backbone import TOKENIZER_STEP, resolved_backbone
from lerobot_policy_world_modality.convert import WORLD, copy_processors, read_config
from lerobot_policy_world_modality.world_policy import STEP
from world_modality.embedded import BACKBONE_PREFIX
from world_modality.errors import UserError
from world_modality.facts.policies import POLICIES, PolicyFamily, family_of, has_memory
from world_modality.memory.randomness import borrowed_generator
from world_modality.policies.earlier import present_name
from world_modality.policies.weights import WEIGHTS
from world_modality.store.files import write_json
from world_modality.store.hub import split_pinned

PREPROCESSOR = "policy_preprocessor.json"


@dataclass(frozen=True)
class Stripped:
    """What became of a checkpoint's tensors."""

    label: str  # of the family, as people write it
    kept: int
    removed: tuple[str, ...]  # names of the world modules' and of the step counter
    needs_plugin: bool  # its backbone is packaged here, so that LeRobot alone cannot load it


def strip(source: Path, target: Path) -> Stripped:
    """Write the plain policy in ``source`` into the folder ``target``.

    It acts as ``source`` does with ``world_memory_mode_rollout=disabled``, bit for bit; and with ``zero``, where a
    memory of zeros adds exactly zero, which it does in every fusion of this package's own.

    A backbone that is pinned to a hub's commit gets its plain name, which LeRobot knows.

    Raises:
        UserError: ``source`` is no checkpoint with world memory, its networks have sizes that LeRobot's own type
            cannot have, or it holds tensors that type does not.
    """
    config = read_config(source)
    if not has_memory(config["type"]):
        raise UserError(f"{source} is a '{config['type']}': it has no world modules to strip")
    family = plain_family(config["type"])
    if family.sees_latents:
        raise UserError(f"{source} is a '{config['type']}', of which LeRobot has no type of its own")
    if config.get("small_architecture"):
        raise UserError(
            f"{source} is a {config['small_architecture']}: LeRobot's own '{family.name}' cannot have its sizes"
        )
    if config.get("use_peft"):
        raise UserError(f"{source} holds PEFT adapters: merge them into the policy first")
    removed = write_plain_weights(source / WEIGHTS, target / WEIGHTS)
    backbone = plain_name(str(config[family.backbone]))
    plain = plain_config(config)
    write_json(target / "config.json", plain | ({family.backbone: backbone} if family.backbone in plain else {}))
    copy_processors(source, target)
    _plain_tokenizer(target / PREPROCESSOR)
    kept = _require_plain(target, family)
    return Stripped(family.label, kept, removed, backbone.startswith(BACKBONE_PREFIX))


def plain_family(policy_type: str) -> PolicyFamily:
    """The family that a policy with world memory is of without it."""
    family = family_of(policy_type)
    return POLICIES[family.base] if family.base else family


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config.json of LeRobot's own type: the same without the plugin's settings."""
    family = plain_family(config["type"])
    known = {field.name for field in fields(PreTrainedConfig.get_choice_class(family.name))}
    return {**{key: value for key, value in config.items() if key in known}, "type": family.name}


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
    own = tuple(sorted(name for name in weights if name == STEP or present_name(name).startswith(WORLD)))
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


def _require_plain(target: Path, family: PolicyFamily) -> int:
    """How many tensors the policy in ``target`` has; UserError if they are not exactly those of its config."""
    config = PreTrainedConfig.from_pretrained(target)
    config.device = "cpu"
    with _building(family, config), borrowed_generator():
        policy = get_policy_class(family.name)(config)
    missing, stray = load_model(policy, target / WEIGHTS, strict=False)
    if stray or missing:
        raise UserError(
            f"stripped of its world modules, this is no {family.label}: it lacks {sorted(missing)[:3] or 'nothing'}, "
            f"and has {sorted(stray)[:3] or 'nothing'} beside its own"
        )
    return len(policy.state_dict())


def _building(family: PolicyFamily, config: Any) -> AbstractContextManager[None]:
    """A packaged backbone, of which LeRobot knows nothing, may stand in a plain config too."""
    return resolved_backbone(config) if family.backbone == "vlm_model_name" else nullcontext()
