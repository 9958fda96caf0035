"""The start of a training with world memory from a plain SmolVLA checkpoint, converted on the way."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.facts.policies import POLICIES, has_memory
from world_modality.policies.config_file import read_config_file
from world_modality.policies.earlier import EARLIER_TYPE, THEIR_TYPE, is_earlier_folder
from world_modality.store.files import file_digest, new_folder
from world_modality.store.hub import find_folder
from world_modality.store.machine import source_digest

POLICY_FLAG = "--policy."
STARTS = Path("outputs") / "start"
OWN = "world_"  # how the names of the world memory's settings begin


def policy_flags(arguments: Sequence[str]) -> dict[str, str]:
    """A command line's policy flags by name, ``--policy.NAME=VALUE`` or ``--policy.NAME VALUE``; the last counts."""
    found: dict[str, str] = {}
    for place, argument in enumerate(arguments):
        if argument.startswith(POLICY_FLAG):
            name, equals, value = argument.removeprefix(POLICY_FLAG).partition("=")
            following = arguments[place + 1] if place + 1 < len(arguments) else "--"
            found[name] = value if equals or following.startswith("--") else following
    return found


def without_policy_flag(arguments: Sequence[str], name: str) -> list[str]:
    """A command line without ``--policy.<name>`` and its value."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if skip and not argument.startswith("--"):
            skip = False
            continue
        skip = argument == POLICY_FLAG + name
        if not skip and not argument.startswith(f"{POLICY_FLAG}{name}="):
            kept.append(argument)
    return kept


@dataclass(frozen=True)
class Start:
    """A command line that starts from, or evaluates, a checkpoint that was converted on the way."""

    arguments: list[str]
    checkpoint: Path  # the converted one, which they name
    told: str  # what of the source was taken, if that is not everything, or ""


def start_from(source: str, arguments: Sequence[str], root: Path = STARTS) -> Start:
    """A training's command line that starts from the policy ``source`` without world memory, or an earlier checkpoint.

    Args:
        source: folder, hub id or hub id@revision.
        arguments: ``lerobot-train``'s; its settings of the world memory shape the new modules.
        root: below which the converted checkpoint is kept; equal sources and settings share one.

    Raises:
        UserError: the command line names another start too, or ``source`` cannot be converted.
    """
    flags = policy_flags(arguments)
    if "path" in flags:
        raise UserError(f"--policy.init_from_policy_path={source} and --policy.path={flags['path']}: give one start")
    if "type" in flags and not has_memory(flags["type"]):
        able = ", ".join(family.world_type for family in POLICIES if family.world_type)
        raise UserError(f"--policy.init_from_policy_path is for --policy.type={able}, not '{flags['type']}'")
    own = {name: text for name, text in flags.items() if name.startswith(OWN)}
    checkpoint, told = _converted(source, own, flags.get("type"), root)
    rest = without_policy_flag(arguments, "type")
    return Start([*rest, f"{POLICY_FLAG}path={checkpoint}"], checkpoint, told)


def _converted(source: str, flags: Mapping[str, str], asked: str | None, root: Path) -> tuple[Path, str]:
    """The converted checkpoint, of the policy type ``asked`` or of the source's default, and what is told of it."""
    from lerobot_policy_world_modality.convert import convert, read_config, world_types_of
    from lerobot_policy_world_modality.settings import read_settings
    from world_modality.data.hub import ENCODER, POLICY
    from world_modality.policies.earlier import ALONE, WHOLE

    folder, _ = find_folder(source, patterns=POLICY.patterns)
    types = world_types_of(folder)
    if asked is not None and asked not in types:
        raise UserError(f"--policy.type={asked}: {source} can become {' or '.join(types)}")
    world_type = asked or types[0]
    kind = read_config(folder)["type"]
    keeps = kind == world_type == EARLIER_TYPE
    settings: dict[str, Any] = {} if keeps else {"world_memory_mode_train": "pred"}
    settings |= read_settings(flags.items(), world_type)
    # Places on this machine stay on the command line, and out of the checkpoint.
    latents = [Path(each).expanduser() for each in settings.pop("world_latents", "").split(os.pathsep) if each]
    encoder = settings.pop("world_encoder_path", "")
    encoder = Path(encoder).expanduser() if encoder else None
    identity = {
        "source": POLICY.digest(folder),
        "type": world_type,
        "settings": settings,
        "latents": [sorted(_digests(each)) for each in latents],
        "encoder": "" if encoder is None else ENCODER.digest(encoder),
        "library": source_digest(),
    }
    address = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    target = root / address
    if not target.is_dir():
        try:
            with new_folder(target) as draft:
                convert(folder, draft, latents=latents, encoder=encoder, world_type=world_type, **settings)
        except (OSError, UserError):
            if not target.is_dir():  # else another process of this training was faster
                raise
    return target, "" if kind != EARLIER_TYPE else WHOLE if keeps else ALONE


def evaluated(arguments: Sequence[str], root: Path = STARTS) -> Start | None:
    """An evaluation's command line whose earlier checkpoint was converted to what LeRobot loads; None if it has none.

    UserError if it cannot be converted.
    """
    source = policy_flags(arguments).get("path")
    folder = None if source is None else given_checkpoint(source)
    if source is None or folder is None or not is_earlier_folder(folder):
        return None
    checkpoint, _ = _converted(str(folder), {}, EARLIER_TYPE, root)
    return Start([*without_policy_flag(arguments, "path"), f"{POLICY_FLAG}path={checkpoint}"], checkpoint, "")


def given_checkpoint(source: str) -> Path | None:
    """The folder of a checkpoint on a command line, of the hub's as the hub cache has it; None if it cannot be had.

    Then it is LeRobot's to tell why.
    """
    from world_modality.data.hub import POLICY

    try:
        config = find_folder(source, patterns=("config.json",))[0]
        return find_folder(source, patterns=POLICY.patterns)[0] if is_earlier_folder(config) else config
    except UserError:
        return None


def without_known_type(arguments: Sequence[str], *, training: bool) -> tuple[list[str], str]:
    """A command line without a ``--policy.type`` that says what ``--policy.path`` holds, and the line that tells it.

    UserError if it says otherwise, or for a training that starts from an earlier checkpoint without saying of what.
    """
    flags = policy_flags(arguments)
    path, asked = flags.get("path"), flags.get("type")
    folder = None if path is None else given_checkpoint(path)
    if folder is None or not (folder / "config.json").is_file():
        return list(arguments), ""
    kind, earlier = read_config_file(folder)["type"], is_earlier_folder(folder)
    if earlier and training:
        raise UserError(
            f"--policy.path={path} is of the earlier system: give --policy.init_from_policy_path={path}, with "
            f"--policy.type={EARLIER_TYPE} to go on with its world memory, without to take its SmolVLA alone"
        )
    if asked is None:
        return list(arguments), ""
    if asked != kind and not (earlier and asked == THEIR_TYPE):
        instead = f"give it as --policy.init_from_policy_path={path}" if training else "leave --policy.type out"
        raise UserError(f"--policy.type={asked}: --policy.path={path} holds a '{kind}': {instead}")
    told = f"--policy.type={asked} is dropped: --policy.path={path} says itself what it is"
    return without_policy_flag(arguments, "type"), told


def _digests(latents: Path) -> Iterable[str]:
    """What of a latent cache enters a converted checkpoint: description and statistics."""
    return (file_digest(file) for name in ("latents.json", "statistics.npz") if (file := latents / name).is_file())
