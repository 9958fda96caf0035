"""A checkpoint's ``config.json`` as it stands in its folder, without LeRobot."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from world_modality.errors import UserError


def read_config_file(folder: Path) -> dict[str, Any]:
    """The settings of the policy in a ``pretrained_model`` folder; UserError unless they name the policy's type."""
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        if not isinstance(config, dict) or not isinstance(config.get("type"), str):
            raise ValueError("config.json names no policy type")
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} is not a LeRobot checkpoint ({error}); give its pretrained_model folder") from error
    return config


def unknown_settings(folder: Path, names: Iterable[str]) -> UserError:
    """The error for a policy of type ``smolvla_world`` with settings that this package's does not have."""
    return UserError(
        f"{folder} has settings that this plugin does not know ({', '.join(sorted(names)[:3])}): it was made by "
        "another program or version; convert the SmolVLA that it was trained from"
    )
