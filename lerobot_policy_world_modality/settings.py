"""Settings of the policy as text, as a command line has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, get_type_hints

import draccus
import yaml
from draccus.utils import ParsingError
from lerobot.configs import PreTrainedConfig

from world_modality.errors import UserError
from world_modality.facts.world import WorldMemoryConfig


def config_class(policy_type: str) -> Any:
    """LeRobot's config class of a policy type of this plugin."""
    return PreTrainedConfig.get_choice_class(policy_type)


def knows_world(policy_type: str) -> bool:
    """Whether policies of that type have the settings ``world_*``."""
    known = policy_type in PreTrainedConfig.get_known_choices()
    return known and issubclass(config_class(policy_type), WorldMemoryConfig)


def require_settings(names: Iterable[str], policy_type: str) -> None:
    """UserError that names those of ``names`` that are no fields of the policy type's config to be set."""
    own = config_class(policy_type)
    unknown = sorted(set(names) - {field.name for field in fields(own) if field.init})
    if unknown:
        raise UserError(f"{policy_type} has no setting {', '.join(unknown)}; see {own.__name__} for those there are")


def read_settings(pairs: Iterable[tuple[str, str]], policy_type: str) -> dict[str, Any]:
    """Field -> value of (field, text) pairs, decoded as LeRobot decodes flags.

    UserError for a field that the policy type does not have, or a text that is no value of it.
    """
    pairs = list(pairs)
    require_settings((name for name, _ in pairs), policy_type)
    hints = get_type_hints(config_class(policy_type))
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
