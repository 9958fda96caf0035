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
from world_modality.checks.finding import refuse_errors
from world_modality.data.hub import ENCODER
from world_modality.errors import UserError
from world_modality.facts.policies import POLICIES, family_of, has_memory
from world_modality.facts.world import WorldMemoryConfig
from world_modality.latents.joint import JointLatents, open_joint
from world_modality.latents.reader import read_description
from world_modality.memory.fitted_prophet import FittedProphet, read_prophet
from world_modality.memory.randomness import borrowed_generator
from world_modality.policies.config_file import read_config_file, unknown_settings
from world_modality.policies.earlier import present_name, readable
from world_modality.policies.weights import WEIGHTS, require_loaded

WORLD = ("world.", "alignment.")  # how the names of the world modules' tensors begin
WORLD_SETTINGS = frozenset(field.name for field in fields(WorldMemoryConfig))
PROCESSOR_FILES = ("policy_preprocessor*", "policy_postprocessor*")


@dataclass(frozen=True)
class Conversion:
    """What became of a checkpoint's tensors."""

    kept: int  # how many were taken over
    added: tuple[str, ...]  # names of the new ones: the world modules' and the step counter
    left_out: tuple[str, ...] = ()  # names of the source's own world memory, where the new one is of another form


def convert(
    source: Path,
    target: Path,
    *,
    latents: Path | Sequence[Path] = (),
    encoder: Path | None = None,
    prophet: Path | None = None,
    world_type: str | None = None,
    **settings: Any,
) -> Conversion:
    """Write the checkpoint with world memory ``target`` from the plain (or memory-less) checkpoint ``source``.

    Of one with the earlier system's memory, that memory stays if ``target`` is of its form; else it is left out.

    Args:
        source: folder with config.json, model.safetensors and the processors.
        target: folder to write; files of an earlier attempt are replaced.
        latents: folders of the training set's latents, one per camera in the order of ``world_cameras``; with world
            modules they give width, encoder and statistics.
        encoder: folder of the encoder, whose content's digest is noted so that a rollout can tell it from another.
        prophet: folder of a Prophet that was trained on these latents alone; ``world_prophet`` says whether the
            policy's training goes on with it ("tuned") or keeps it, as by default.
        world_type: policy type of ``target``; by default the one that a study's arms of the source's family have.
        settings: fields of the config with world memory to set; all others are the source's.

    Raises:
        UserError: the source is no such checkpoint, a setting does not exist, or the weights do not fit.
    """
    fitted = None if prophet is None else read_prophet(prophet)
    settings = prophet_settings(fitted, settings)
    config = _world_config(source, world_type or world_type_of(source), settings)
    joint = _adopt(config, (latents,) if isinstance(latents, Path) else tuple(latents), encoder)
    policy = _build(config)
    conversion = load_weights(policy, source)
    if joint is not None:
        statistics = joint.statistics()
        policy.take_statistics(statistics)
    if policy.world is not None and fitted is not None:
        fitted.load_into(policy.world.prophet)
    target.mkdir(parents=True, exist_ok=True)
    copy_processors(source, target)
    policy.save_pretrained(target)
    return conversion


def prophet_settings(fitted: FittedProphet | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` with what a Prophet that was trained beforehand says; UserError if it is missing, or not wanted."""
    who = settings.get("world_prophet", "joint" if fitted is None else "kept")
    if (fitted is None) != (who == "joint"):
        needs = "needs a Prophet that was trained beforehand, and none is given" if fitted is None else "has none"
        raise UserError(f"world_prophet: '{who}' {needs}: choose joint without one, kept or tuned with one")
    if fitted is None:
        return {**settings, "world_prophet": who}
    shapes = ("context", "prediction_horizon", "heads", "prophet_layers", "prophet_width", "hypotheses", "delta")
    own = {f"world_{name}": getattr(fitted.sizes, name) for name in shapes}
    known = {"world_prophet_rank": fitted.sizes.rank, "world_prophet_trained_on": fitted.trained_on}
    return {**own, **settings, **known, "world_prophet": who}


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
    """The policy type with world memory that a checkpoint is given by default; UserError if it can have none."""
    kind = read_config(source)["type"]
    family = family_of(kind)
    world_type = (POLICIES[family.base] if family.base else family).world_type
    if family.sees_latents:
        raise UserError(
            f"{source} is a '{kind}', which is built for the latents that it is trained on: train it with a memory, as "
            "an arm with memory: pred or with --policy.world_memory_mode_train=pred"
        )
    if world_type is None:
        able = ", ".join(
            family.label for family in POLICIES if family.world_type and not family.base and not family.sees_latents
        )
        raise UserError(f"{source} is a '{kind}', which takes no world memory: convert one of {able}")
    return world_type


def world_types_of(source: Path) -> tuple[str, ...]:
    """All policy types with world memory that a checkpoint can be given, the default first; UserError as there."""
    default = world_type_of(source)
    base = family_of(default).name
    return default, *(family.world_type for family in POLICIES if family.base == base and family.world_type)


def copy_processors(source: Path, target: Path) -> None:
    """Copy a checkpoint's saved processors; UserError if they are missing or incomplete."""
    with readable(source) as place:
        for file in _processor_files(place, source):
            shutil.copyfile(file, target / file.name)


def _world_config(source: Path, world_type: str, settings: dict[str, Any]) -> Any:
    try:
        with readable(source) as place:
            config = PreTrainedConfig.from_pretrained(place)
    except (OSError, ValueError, ParsingError) as error:
        raise UserError(f"{source} is not a LeRobot checkpoint ({error}); give its pretrained_model folder") from error
    trained = getattr(config, "world_memory_mode_train", "disabled")
    family = family_of(config.type)
    if trained != "disabled" and not family.base:
        raise UserError(
            f"{source} is a '{config.type}' with memory mode '{trained}': convert one without world modules"
        )
    require_settings(settings, world_type)
    keeps = bool(family.base) and config.type == world_type  # the source's own memory
    taken = config if keeps or not family.base else config_class(family.base)
    # What hidden states were taught to foretell, and of which latents, is the source's own affair.
    left = WORLD_SETTINGS if getattr(config, "world_align", False) else ()
    inherited = {each.name: getattr(config, each.name) for each in fields(taken) if each.init and each.name not in left}
    # Where the source came from on some machine is no part of what it is.
    own = {"pretrained_path": None, "pretrained_revision": None}
    rollout = {} if keeps else {"world_memory_mode_rollout": ""}
    return config_class(world_type)(**{**inherited, **own, **rollout, **settings})


def _adopt(config: WorldConfig, latents: tuple[Path, ...], encoder: Path | None) -> JointLatents | None:
    if not config.reads_latents:
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


def load_weights(policy: WorldPolicy, source: Path) -> Conversion:
    """Load the source's weights; UserError unless exactly the world modules and the step counter are new.

    A world memory in the source is loaded too if the policy is of its form, with or without what it may lack: the
    latents' statistics and the donors.
    """
    file = source / WEIGHTS
    refuse_errors(weight_findings(source, read_config_file(source), "policy"))
    kind = read_config(source)["type"]
    keeps = bool(family_of(kind).base) and policy.config.type == kind

    def own(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
        named = policy.adapter.own_names(policy, {present_name(name): tensor for name, tensor in stored.items()})
        # The steps of the source's own training do not count towards the next one's.
        return {name: each for name, each in named.items() if name != STEP and (keeps or not name.startswith(WORLD))}

    try:
        stored = load_file(file)
    except (OSError, SafetensorError) as error:
        raise UserError(f"the weights in {file} cannot be read ({error}); they are missing or damaged") from error
    weights = own(stored)
    # Of a memory that stays, statistics and donors alone may be new.
    new_world = [name for name, _ in policy.named_buffers()] if keeps else list(policy.state_dict())
    added = {STEP} | {name for name in new_world if name.startswith(WORLD) and name not in weights}
    try:
        policy.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise UserError(f"the weights in {source} do not fit its config.json ({error})") from error
    require_loaded(policy, file, lambda _, header: own(header), added.__contains__)
    left = tuple(sorted(name for name in stored if present_name(name).startswith(WORLD))) if not keeps else ()
    return Conversion(kept=len(policy.state_dict()) - len(added), added=tuple(sorted(added)), left_out=left)


def _processor_files(place: Path, source: Path) -> list[Path]:
    """The processors' files in ``place``, which are those of the checkpoint ``source``."""
    found = sorted(file for pattern in PROCESSOR_FILES for file in place.glob(pattern))
    names = {file.name for file in found}
    for name in ("policy_preprocessor.json", "policy_postprocessor.json"):
        if name not in names:
            raise UserError(f"{source} has no {name}: migrate the checkpoint with LeRobot's processor migration first")
        steps = json.loads((place / name).read_text())["steps"]
        wanted = {step["state_file"] for step in steps if step.get("state_file")}
        if wanted - names:
            raise UserError(f"{source} lacks {', '.join(sorted(wanted - names))}, which {name} needs; copy it anew")
    return found
