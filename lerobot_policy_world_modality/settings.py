"""Settings of the policy as text, as a command line has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, get_type_hints

import draccus
import yaml
from draccus.utils import ParsingError

from lerobot_policy_world_modality.configuration_smolvla_world import SmolVLAWorldConfig
from world_modality.errors import UserError


def require_settings(names: Iterable[str]) -> None:
    """UserError that names those of ``names`` that are no fields of :class:`SmolVLAWorldConfig` to be set."""
    unknown = sorted(set(names) - {field.name for field in fields(SmolVLAWorldConfig) if field.init})
    if unknown:
        raise UserError(
            f"smolvla_world has no setting {', '.join(unknown)}; see SmolVLAWorldConfig for those there are"
        )


def read_settings(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Field -> value of (field, text) pairs, decoded as LeRobot decodes flags.

    UserError for a field that the policy does not have, or a text that is no value of it.
    """
    pairs = list(pairs)
    require_settings(name for name, _ in pairs)
    hints = get_type_hints(SmolVLAWorldConfig)
    return {name: _decode(name, hints[name], text) for name, text in pairs}


def _decode(name: str, hint: Any, text: str) -> Any:
    if hint is str:
        return text
    try:
        return draccus.decode(hint, yaml.safe_load(text))
    except (ParsingError, yaml.YAMLError, ValueError, TypeError) as error:
        raise UserError(
            f"{name}: '{text}' is no value for it, which is of type {getattr(hint, '__name__', hint)}"
        ) from error
