"""The start of a training with world memory from a plain SmolVLA checkpoint, converted on the way."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from world_modality.errors import UserError
from world_modality.facts.policies import POLICIES, has_memory
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


def start_from(source: str, arguments: Sequence[str], root: Path = STARTS) -> tuple[list[str], Path]:
    """A training's command line that starts from the plain policy ``source``, and the checkpoint that it names.

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
    checkpoint = _converted(source, {name: text for name, text in flags.items() if name.startswith(OWN)}, root)
    rest = without_policy_flag(arguments, "type")
    return [*rest, f"{POLICY_FLAG}path={checkpoint}"], checkpoint


def _converted(source: str, flags: Mapping[str, str], root: Path) -> Path:
    from lerobot_policy_world_modality.convert import convert, world_type_of
    from lerobot_policy_world_modality.settings import read_settings
    from world_modality.data.hub import ENCODER, POLICY

    folder, _ = find_folder(source, patterns=POLICY.patterns)
    settings = {"world_memory_mode_train": "pred", **read_settings(flags.items(), world_type_of(folder))}
    # Places on this machine stay on the command line, and out of the checkpoint.
    latents = [Path(each).expanduser() for each in settings.pop("world_latents", "").split(os.pathsep) if each]
    encoder = settings.pop("world_encoder_path", "")
    encoder = Path(encoder).expanduser() if encoder else None
    identity = {
        "source": POLICY.digest(folder),
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
                convert(folder, draft, latents=latents, encoder=encoder, **settings)
        except (OSError, UserError):
            if not target.is_dir():  # else another process of this training was faster
                raise
    return target


def _digests(latents: Path) -> Iterable[str]:
    """What of a latent cache enters a converted checkpoint: description and statistics."""
    return (file_digest(file) for name in ("latents.json", "statistics.npz") if (file := latents / name).is_file())
