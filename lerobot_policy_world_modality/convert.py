"""Turn a SmolVLA checkpoint into a ``smolvla_world`` one: same weights, same processors, world modules beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from draccus.utils import ParsingError
from lerobot.configs import PreTrainedConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from safetensors.torch import load_model

from lerobot_policy_world_modality.configuration_smolvla_world import SmolVLAWorldConfig
from lerobot_policy_world_modality.modeling_smolvla_world import STEP, SmolVLAWorldPolicy
from lerobot_policy_world_modality.settings import require_settings
from world_modality.data.hub import ENCODER
from world_modality.errors import UserError
from world_modality.latents.joint import JointLatents, open_joint
from world_modality.latents.reader import read_description
from world_modality.memory.randomness import borrowed_generator
from world_modality.policies.config_file import read_config_file, unknown_settings

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
    """Write the ``smolvla_world`` checkpoint ``target`` from the SmolVLA (or memory-less) checkpoint ``source``.

    Args:
        source: folder with config.json, model.safetensors and the processors.
        target: folder to write; files of an earlier attempt are replaced.
        latents: folders of the training set's latents, one per camera in the order of ``world_cameras``; with world
            modules they give width, encoder and statistics.
        encoder: folder of the encoder, whose content's digest is noted so that a rollout can tell it from another.
        settings: fields of :class:`SmolVLAWorldConfig` to set; all others are the source's.

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
    """The config.json of a checkpoint of SmolVLA's family.

    Raises:
        UserError: there is none, or it has settings that this plugin does not know, as a checkpoint of another program
            or version has whose policy type bears the same name.
    """
    config = read_config_file(folder)
    strange = config.keys() - {field.name for field in fields(SmolVLAWorldConfig)} - {"type"}
    if config["type"] == "smolvla_world" and strange:
        raise unknown_settings(folder, strange)
    return config


def copy_processors(source: Path, target: Path) -> None:
    """Copy a checkpoint's saved processors; UserError if they are missing or incomplete."""
    for file in _processor_files(source):
        shutil.copyfile(file, target / file.name)


def _world_config(source: Path, settings: dict[str, Any]) -> SmolVLAWorldConfig:
    read_config(source)
    try:
        config = PreTrainedConfig.from_pretrained(source)
    except (OSError, ValueError, ParsingError) as error:
        raise UserError(f"{source} is not a LeRobot checkpoint ({error}); give its pretrained_model folder") from error
    trained = getattr(config, "world_memory_mode_train", "disabled")
    if not isinstance(config, SmolVLAConfig) or trained != "disabled":
        raise UserError(
            f"{source} is a '{config.type}' with memory mode '{trained}': convert a SmolVLA without world modules"
        )
    require_settings(settings)
    inherited = {field.name: getattr(config, field.name) for field in fields(config) if field.init}
    # Where the source came from on some machine is no part of what it is.
    own = {"world_memory_mode_rollout": "", "pretrained_path": None, "pretrained_revision": None}
    return SmolVLAWorldConfig(**{**inherited, **own, **settings})


def _adopt(config: SmolVLAWorldConfig, latents: tuple[Path, ...], encoder: Path | None) -> JointLatents | None:
    if not config.train_mode.needs_world:
        return None
    if encoder is not None:
        config.world_encoder_digest = ENCODER.digest(encoder)
    if not latents:
        return None
    joint = open_joint(latents, frames=read_description(latents[0])["frames"])
    config.adopt_latents(joint)
    return joint


def _build(config: SmolVLAWorldConfig) -> SmolVLAWorldPolicy:
    device, config.device = config.device, "cpu"
    try:
        with borrowed_generator():  # the base's weights are overwritten, so their draws must cost the caller nothing
            return SmolVLAWorldPolicy(config)
    finally:
        config.device = device


def _load_base(policy: SmolVLAWorldPolicy, source: Path) -> Conversion:
    """Load the source's weights; UserError unless exactly the world modules and the step counter are new."""
    size = len(policy.state_dict())
    missing, unexpected = load_model(policy, source / "model.safetensors", strict=False)
    stray = [name for name in missing if name != STEP and not name.startswith("world.")]
    if stray or unexpected:
        raise UserError(
            f"the weights in {source} do not fit its config.json: "
            f"missing {stray[:3] or 'none'}, unexpected {unexpected[:3] or 'none'}"
        )
    policy.keyed_step.zero_()  # the steps of the source's own training do not count towards the next one's
    added = {*missing, STEP}
    return Conversion(kept=size - len(added), added=tuple(sorted(added)))


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
