"""A checkpoint folder as LeRobot's policy and processors, with what may be changed at rollout."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from draccus.utils import ParsingError
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors

import lerobot_policy_world_modality  # noqa: F401 - importing registers the policy type and its processor step
from lerobot_policy_world_modality.backbone import resolved_backbone
from world_modality.errors import UserError
from world_modality.policies.config_file import read_config_file
from world_modality.policies.precision import number_settings

FAMILY = ("smolvla", "smolvla_world")  # flow-matching policies that take their noise as an argument
MEMORY = "smolvla_world"
WITHOUT_CHUNKS = ("vqbet", "tdmpc", "multi_task_dit", "gaussian_actor")
"""Types whose ``predict_action_chunk`` reads what ``select_action`` gathers over control steps, or does not exist."""


def load_config(
    folder: Path,
    device: str,
    memory_mode: str | None,
    num_steps: int | None,
    n_action_steps: int | None,
    dtype: str | None = None,
) -> Any:
    """The checkpoint's LeRobot config with the given overrides; None keeps what the checkpoint says.

    ``num_steps`` is for SmolVLA's family alone. UserError when the folder is no LeRobot checkpoint, or one that cannot
    be rolled out in ``memory_mode``.
    """
    kind = read_config_file(folder)["type"]
    if kind not in PreTrainedConfig.get_known_choices():
        raise UserError(
            f"{folder} holds a '{kind}' policy, which neither LeRobot nor a plugin that is installed knows."
        )
    if kind in WITHOUT_CHUNKS:
        raise UserError(f"{folder} holds a '{kind}' policy, which plans no chunk from a view: use lerobot-eval")
    overrides = {
        "device": device,
        "num_steps": num_steps if kind in FAMILY else None,
        "n_action_steps": n_action_steps,
        "world_memory_mode_rollout": memory_mode if kind == MEMORY else None,
        **({} if dtype is None else number_settings(kind, dtype)),
    }
    if kind != MEMORY and memory_mode not in (None, "disabled"):
        raise UserError(f"{folder} has no world memory to fill with '{memory_mode}'; roll it out with 'disabled'.")
    flags = [f"--{name}={_flag(value)}" for name, value in overrides.items() if value is not None]
    try:
        config = PreTrainedConfig.from_pretrained(folder, cli_overrides=flags)
    except (ParsingError, ValueError) as error:
        said = str(error.__cause__ or error).strip().splitlines()
        raise UserError(f"{folder} cannot be rolled out like that: {said[0] if said else error}") from error
    if getattr(config, "temporal_ensemble_coeff", None) is not None:
        raise UserError(
            f"{folder} averages overlapping chunks (temporal_ensemble_coeff), which asks it for a chunk at every step: "
            "set it to null in config.json to roll its chunks out, or evaluate it with lerobot-eval"
        )
    return config


def _flag(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def load_model(folder: Path, config: Any) -> Any:
    """The policy with the folder's weights, in evaluation mode; UserError unless every weight is found and used.

    LeRobot itself loads leniently, so that a renamed module would silently keep its random weights.
    """
    try:
        # Plain SmolVLA does not know the packaged backbones.
        with resolved_backbone(config) if config.type in FAMILY else nullcontext():
            return get_policy_class(config.type).from_pretrained(folder, config=config, strict=True)
    except (RuntimeError, OSError) as error:
        raise UserError(f"the weights in {folder} do not fit its config.json ({error}); train it again.") from error


def load_processors(folder: Path, config: Any) -> tuple[Any, Any]:
    """The saved pre- and postprocessor: normalisation, task text, tokens; as LeRobot's own evaluation loads them."""
    processors: tuple[Any, Any] = make_pre_post_processors(
        policy_cfg=config,
        pretrained_path=str(folder),
        preprocessor_overrides={"device_processor": {"device": str(config.device)}},
    )
    return processors
