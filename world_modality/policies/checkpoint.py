"""A checkpoint folder as LeRobot's policy and processors, with what may be changed at rollout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from draccus.utils import ParsingError
from lerobot.configs import PreTrainedConfig
from lerobot.processor import NormalizerProcessorStep, UnnormalizerProcessorStep
from safetensors import SafetensorError

import lerobot_policy_world_modality  # noqa: F401 - importing registers policy types and processor step
from world_modality.checks.backbone import FILES, backbone_names
from world_modality.checks.processors import renamed_statistic
from world_modality.checks.rename import Rename
from world_modality.errors import UserError, in_one_line
from world_modality.facts.policies import has_memory
from world_modality.policies.config_file import read_config_file
from world_modality.policies.earlier import readable
from world_modality.policies.host import host_of
from world_modality.policies.precision import number_settings
from world_modality.policies.trusted import build_processors
from world_modality.store.hub import fetch, is_cached, is_repository, split_pinned


def load_config(
    folder: Path,
    device: str,
    memory_mode: str | None,
    num_steps: int | None,
    n_action_steps: int | None,
    dtype: str | None = None,
) -> Any:
    """The checkpoint's LeRobot config with the given overrides; None keeps what the checkpoint says.

    ``num_steps`` is for families alone that make a chunk in steps. UserError when the folder is no LeRobot checkpoint,
    or one that cannot be rolled out in ``memory_mode``.
    """
    kind = read_config_file(folder)["type"]
    family = host_of(kind).family
    if kind not in PreTrainedConfig.get_known_choices():
        raise UserError(
            f"{folder} holds a '{kind}' policy, which neither LeRobot nor a plugin that is installed knows."
        )
    if not family.plans_chunks:
        raise UserError(f"{folder} holds a '{kind}' policy, which plans no chunk from a view: use lerobot-eval")
    overrides = {
        "device": device,
        "n_action_steps": n_action_steps,
        "world_memory_mode_rollout": memory_mode if has_memory(kind) else None,
        **({} if dtype is None else number_settings(kind, dtype)),
    }
    if family.denoising_steps:
        overrides[family.denoising_steps] = num_steps
    if not has_memory(kind) and memory_mode not in (None, "disabled"):
        raise UserError(f"{folder} has no world memory to fill with '{memory_mode}'; roll it out with 'disabled'.")
    flags = [f"--{name}={_flag(value)}" for name, value in overrides.items() if value is not None]
    try:
        with readable(folder) as place:
            config = PreTrainedConfig.from_pretrained(place, cli_overrides=flags)
    except (ParsingError, ValueError) as error:
        raise _not_like_that(folder, str(error.__cause__ or error)) from error
    if getattr(config, "temporal_ensemble_coeff", None) is not None:
        raise UserError(
            f"{folder} averages overlapping chunks (temporal_ensemble_coeff), which asks it for a chunk at every step: "
            "set it to null in config.json to roll its chunks out, or evaluate it with lerobot-eval"
        )
    return config


def _flag(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _not_like_that(folder: Path, said: str) -> UserError:
    """LeRobot lists settings that it does not know, and goes on for pages."""
    strange = re.search(r"fields? (.+?) (?:is|are) not valid for (\w+)", said)
    if strange is None:
        lines = said.strip().splitlines()
        return UserError(f"{folder} cannot be rolled out like that: {lines[0] if lines else said}")
    return UserError(
        f"{folder / 'config.json'} has {strange[1]}, which the {strange[2]} of the installed LeRobot does not know: a "
        "newer LeRobot or another plugin made it; take out what only trains, or roll it out where it was made"
    )


def require_backbone(folder: Path, config_file: dict[str, Any]) -> None:
    """UserError unless the hub's models that a checkpoint is built around are in the hub cache or can be fetched."""
    for name in backbone_names(folder, config_file):
        repo_id, revision = split_pinned(name) or (name, "main")
        if Path(name).expanduser().is_dir() or not is_repository(repo_id):
            continue
        if not any(is_cached(repo_id, revision, file) for file in FILES):
            try:
                fetch(repo_id, revision, patterns=FILES)
            except UserError as error:
                raise UserError(f"{folder} is built around {name}, and {error}") from error


def load_processors(folder: Path, config: Any, rename: Rename | None = None) -> tuple[Any, Any]:
    """The saved pre- and postprocessor: normalisation, task text, tokens; as LeRobot's own evaluation loads them.

    ``rename``: names of statistics that stand for a feature's. UserError if a step is not known or cannot be built.
    """
    try:
        with readable(folder) as place:
            where = {"device_processor": {"device": str(config.device)}}
            processors = build_processors(config, place, preprocessor_overrides=where)
    except (ImportError, KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
        raise UserError(
            f"the processors in {folder} cannot be loaded: {in_one_line(error)}; install what their steps are of, or "
            "copy the checkpoint anew"
        ) from error
    for step in (step for pipeline in processors for step in pipeline.steps if rename):
        if isinstance(step, NormalizerProcessorStep | UnnormalizerProcessorStep):
            step.load_state_dict({renamed_statistic(name, rename or {}): v for name, v in step.state_dict().items()})
    return processors
