"""A checkpoint's ``config.json`` as it stands in its folder, without LeRobot."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.policies.earlier import is_earlier, present_config


def read_config_file(folder: Path) -> dict[str, Any]:
    """The settings of the policy in a ``pretrained_model`` folder, an earlier checkpoint's by their present names.

    UserError unless they name the policy's type, or if those of an earlier checkpoint cannot be understood.
    """
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        if not isinstance(config, dict) or not isinstance(config.get("type"), str):
            raise ValueError("config.json names no policy type")
    except (OSError, ValueError) as error:
        absent = isinstance(error, FileNotFoundError)
        why = "it holds no config.json" if absent else f"config.json is damaged or of no policy: {error}"
        remedy = "give its pretrained_model folder" if absent else "copy it anew, or give its pretrained_model folder"
        raise UserError(f"{folder} is not a LeRobot checkpoint ({why}); {remedy}") from error
    return present_config(folder, config) if is_earlier(config) else config


def unknown_settings(folder: Path, names: Iterable[str]) -> UserError:
    """The error for a policy of type ``smolvla_world`` with settings that this package's does not have."""
    return UserError(
        f"{folder} has settings that this plugin does not know ({', '.join(sorted(names)[:3])}): it was made by "
        "another program or version; convert the SmolVLA that it was trained from"
    )
