"""Give a checkpoint a world memory: same weights and processors, world modules beside them, another policy type."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from draccus.utils import ParsingError
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lerobot_policy_world_modality.settings import config_class, require_settings
from lerobot_policy_world_modality.world_config import WorldConfig
from lerobot_policy_world_modality.world_policy import STEP, WorldPolicy
from world_modality.checks.checkpoint import weight_findings
from world_modality.checks.refusal import refuse_errors
from world_modality.data.hub import ENCODER
from world_modality.errors import UserError
from world_modality.facts.policies import POLICIES, family_of, has_memory
from world_modality.latents.joint import JointLatents, open_joint
from world_modality.latents.reader import read_description
from world_modality.memory.randomness import borrowed_generator
from world_modality.policies.config_file import read_config_file, unknown_settings
from world_modality.policies.weights import WEIGHTS, require_loaded

PROCESSOR_FILES = ("policy_preprocessor*", "policy_postprocessor*")


@dataclass(frozen=True)
class Conversion:
    """What became of a checkpoint's tensors."""

    kept: int  # how many were taken over
    added: tuple[str, ...]  # names of the new ones: the world modules' and the step counter


def convert(
    source: Path,
    target: Path,
    *,
    latents: Path | Sequence[Path] = (),
    encoder: Path | None = None,
    **settings: Any,
) -> Conversion:
    """Write the checkpoint with world memory ``target`` from the plain (or memory-less) checkpoint ``source``.

    Args:
        source: folder with config.json, model.safetensors and the processors.
        target: folder to write; files of an earlier attempt are replaced.
        latents: folders of the training set's latents, one per camera in the order of ``world_cameras``; with world
            modules they give width, encoder and statistics.
        encoder: folder of the encoder, whose content's digest is noted so that a rollout can tell it from another.
        settings: fields of the config with world memory to set; all others are the source's.

    Raises:
        UserError: the source is no such checkpoint, a setting does not exist, or the weights do not fit.
    """
    config = _world_config(source, settings)
    joint = _adopt(config, (latents,) if isinstance(latents, Path) else tuple(latents), encoder)
    policy = _build(config)
    if policy.world is not None and joint is not None:
        statistics = joint.statistics()
        policy.world.standardiser.fit(statistics.mean, statistics.factor)
    conversion = _load_base(policy, source)
    target.mkdir(parents=True, exist_ok=True)
    copy_processors(source, target)
    policy.save_pretrained(target)
    return conversion


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json of a checkpoint, with or without world memory.

    Raises:
        UserError: there is none, or it has settings that this plugin does not know, as a checkpoint of another program
            or version has whose policy type bears the same name.
    """
    config = read_config_file(folder)
    if has_memory(config["type"]):
        strange = config.keys() - {field.name for field in fields(config_class(config["type"]))} - {"type"}
        if strange:
            raise unknown_settings(folder, strange)
    return config


def world_type_of(source: Path) -> str:
    """The policy type with world memory that a checkpoint can be given; UserError if there is none."""
    kind = read_config(source)["type"]
    world_type = family_of(kind).world_type
    if world_type is None:
        able = ", ".join(family.label for family in POLICIES if family.world_type)
        raise UserError(f"{source} is a '{kind}', which takes no world memory: convert one of {able}")
    return world_type


def copy_processors(source: Path, target: Path) -> None:
    """Copy a checkpoint's saved processors; UserError if they are missing or incomplete."""
    for file in _processor_files(source):
        shutil.copyfile(file, target / file.name)


def _world_config(source: Path, settings: dict[str, Any]) -> Any:
    world_type = world_type_of(source)
    try:
        config = PreTrainedConfig.from_pretrained(source)
    except (OSError, ValueError, ParsingError) as error:
        raise UserError(f"{source} is not a LeRobot checkpoint ({error}); give its pretrained_model folder") from error
    trained = getattr(config, "world_memory_mode_train", "disabled")
    if trained != "disabled":
        raise UserError(
            f"{source} is a '{config.type}' with memory mode '{trained}': convert one without world modules"
        )
    require_settings(settings, world_type)
    inherited = {field.name: getattr(config, field.name) for field in fields(config) if field.init}
    # Where the source came from on some machine is no part of what it is.
    own = {"world_memory_mode_rollout": "", "pretrained_path": None, "pretrained_revision": None}
    return config_class(world_type)(**{**inherited, **own, **settings})


def _adopt(config: WorldConfig, latents: tuple[Path, ...], encoder: Path | None) -> JointLatents | None:
    if not config.train_mode.needs_world:
        return None
    if encoder is not None:
        config.world_encoder_digest = ENCODER.digest(encoder)
    if not latents:
        return None
    joint = open_joint(latents, frames=read_description(latents[0])["frames"])
    config.adopt_latents(joint)
    return joint


def _build(config: Any) -> WorldPolicy:
    device, config.device = config.device, "cpu"
    try:
        with borrowed_generator():  # the base's weights are overwritten, so their draws must cost the caller nothing
            policy: WorldPolicy = get_policy_class(config.type)(config)
            return policy
    finally:
        config.device = device


def _load_base(policy: WorldPolicy, source: Path) -> Conversion:
    """Load the source's weights; UserError unless exactly the world modules and the step counter are new."""
    file = source / WEIGHTS
    refuse_errors(weight_findings(source, read_config_file(source), "policy"))
    try:
        weights = policy.adapter.own_names(policy, load_file(file))
    except (OSError, SafetensorError) as error:
        raise UserError(f"the weights in {file} cannot be read ({error}); they are missing or damaged") from error
    weights.pop(STEP, None)  # the steps of the source's own training do not count towards the next one's
    try:
        policy.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise UserError(f"the weights in {source} do not fit its config.json ({error})") from error
    require_loaded(policy, file, _base_names, lambda name: name == STEP or name.startswith("world."))
    added = [name for name in policy.state_dict() if name == STEP or name.startswith("world.")]
    return Conversion(kept=len(policy.state_dict()) - len(added), added=tuple(sorted(added)))


def _base_names(policy: WorldPolicy, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    named = policy.adapter.own_names(policy, stored)
    return {name: tensor for name, tensor in named.items() if name != STEP}


def _processor_files(source: Path) -> list[Path]:
    found = sorted(file for pattern in PROCESSOR_FILES for file in source.glob(pattern))
    names = {file.name for file in found}
    for name in ("policy_preprocessor.json", "policy_postprocessor.json"):
        if name not in names:
            raise UserError(f"{source} has no {name}: migrate the checkpoint with LeRobot's processor migration first")
        steps = json.loads((source / name).read_text())["steps"]
        wanted = {step["state_file"] for step in steps if step.get("state_file")}
        if wanted - names:
            raise UserError(f"{source} lacks {', '.join(sorted(wanted - names))}, which {name} needs; copy it anew")
    return found
