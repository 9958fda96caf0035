"""The command line of LeRobot's training script for a training, and the configuration that LeRobot makes of it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.data.episodes import held_out_episodes, read_episode_table
from world_modality.errors import UserError
from world_modality.imports import replaced
from world_modality.policies.config_file import read_config_file
from world_modality.policies.host import PolicyHost, host_of
from world_modality.store.files import read_object
from world_modality.study.specs import TrainSpec
from world_modality.training.metrics import log_interval

PLACES = {
    "pretrained_path": None,
    "repo_id": None,
    "world_latents": "",
    "world_tokens": "",
    "world_instructions": "",
    "world_encoder_path": "",
    "world_text_path": "",
}
"""Fields of a policy's config.json that name places on a machine, and what they hold in an artifact."""
TRAIN_CONFIG = "train_config.json"
"""LeRobot's name of the settings that a checkpoint was trained with."""
ABSENT: Mapping[str, tuple[object, ...]] = {
    "env": (),
    "reward_model": (),
    "peft": (),
    "sample_weighting": (),
    "job.target": ("local",),
    "policy.push_to_hub": (False,),
    "policy.use_peft": (False,),
    "save_checkpoint_to_hub": (False,),
    "wandb.enable": (False,),
}
"""Settings by which LeRobot's script would run, fetch or send something else, and what they may be beside null."""


@dataclass(frozen=True)
class Places:
    """Where a training finds its inputs and leaves its output on this machine."""

    policy: Path
    """The start policy as the arm trains it."""
    dataset: Path
    output: Path
    latents: tuple[Path, ...]
    """Each camera's, in the memory's order; none if it reads none."""
    tokens: tuple[Path, ...] = ()
    """The same of world tokens."""
    instructions: tuple[Path, ...] = ()
    """The one folder of the instructions' vectors, or none."""


def device_name(asked: str = "auto") -> str:
    """The device that trainings use here; UserError if there is none as the study asks for."""
    from world_modality.policies.precision import device_named

    return device_named(asked, "training.device")


def fresh_arguments(spec: TrainSpec, places: Places, cores: int) -> list[str]:
    """LeRobot's command line for a training from the start; everything that decides the result is named."""
    optim, device = spec.optim, device_name(spec.device)
    host = host_of(read_config_file(places.policy)["type"])
    settings: dict[str, object] = {
        "policy.path": places.policy,
        "policy.device": device,
        "policy.push_to_hub": False,
        "policy.n_action_steps": spec.n_action_steps,
        "dataset.repo_id": "local/study",
        "dataset.video_backend": "pyav",
        "dataset.use_imagenet_stats": False,
        "seed": spec.seed,
        "cudnn_deterministic": True,
        "steps": optim.steps,
        "batch_size": optim.batch_size // spec.processes,  # LeRobot counts what one process takes
        # No transform draws at random, so the number of loaders cannot change a batch. A CPU's cores are busy training.
        "num_workers": min(8, max(0, cores // spec.processes - 1)) if device == "cuda" else 0,
        "log_freq": log_interval(spec.last_step),
        "env_eval_freq": 0,  # a rollout inside would draw from the training's random generators
        "eval.batch_size": 1,  # never used; by default it depends on the machine
        "eval.n_episodes": 1,
        "wandb.enable": False,
        "job_name": "train",
    }
    settings |= _numbers(spec, places.policy)
    own = {"use_policy_training_preset": True} if optim.preset else host.training_settings(optim, spec.seed)
    settings |= own | _episodes(spec, places.dataset, host)
    return [f"--{name}={_text(value)}" for name, value in settings.items()] + place_arguments(places)


def _numbers(spec: TrainSpec, policy: Path) -> dict[str, object]:
    """In which numbers the start policy computes."""
    from world_modality.policies.precision import number_settings

    found = number_settings(read_config_file(policy)["type"], spec.dtype)
    return {f"policy.{name}": value for name, value in found.items()}


def _episodes(spec: TrainSpec, dataset: Path, host: PolicyHost) -> dict[str, object]:
    """The episodes that are trained on, and for the checkpoint those that are not; nothing if all are."""
    if not spec.held_out:
        return {}
    tasks = read_episode_table(dataset).tasks
    held_out = held_out_episodes(tasks, spec.held_out)
    trained = [episode for episode in range(len(tasks)) if episode not in set(held_out)]
    if not held_out:
        return {}
    return {"dataset.episodes": trained, **host.held_out_settings(held_out)}


def place_arguments(places: Places) -> list[str]:
    """Where things lie: the only settings that a resumed training may have otherwise than it began with."""
    read = [f"--policy.{name}={folders}" for name, folders in read_fields(places).items()]
    return [f"--dataset.root={places.dataset}", *read]


def read_fields(places: Places) -> dict[str, str]:
    """The fields of a policy's config that say where what it reads lies, for what it does read."""
    read = {
        "world_latents": places.latents,
        "world_tokens": places.tokens,
        "world_instructions": places.instructions,
    }
    return {name: os.pathsep.join(map(str, folders)) for name, folders in read.items() if folders}


def resume_arguments(spec: TrainSpec, checkpoint: Path, places: Places) -> list[str]:
    """LeRobot's command line to go on from ``checkpoint``, with the settings that it was begun with."""
    config = checkpoint / "pretrained_model" / TRAIN_CONFIG
    # Of a part, the file has the step that it stops at.
    return [f"--config_path={config}", "--resume=true", f"--steps={spec.optim.steps}", *place_arguments(places)]


def require_training_alone(file: Path) -> None:
    """UserError if a checkpoint's ``train_config.json`` asks for more than a training here does: LeRobot follows it."""
    settings = read_object(file)
    if not settings:
        raise UserError(f"{file} holds no settings of a training: remove {file.parents[1]} to go on without it")
    for name, allowed in ABSENT.items():
        found: Any = settings
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if found is not None and found not in allowed:
            raise UserError(
                f"{file}: {name} is {json.dumps(found)}, which no training here sets: remove {file.parents[1]} to go "
                "on from the checkpoint before, or from the start"
            )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@contextlib.contextmanager
def command_line(arguments: list[str], program: str = "lerobot-train") -> Iterator[None]:
    """LeRobot reads ``sys.argv`` in several places; meanwhile it holds ``arguments``."""
    with replaced(sys, "argv", [program, *arguments]):
        yield


def resolve(arguments: list[str], keep_in: Path | None = None) -> dict[str, Any]:
    """The training configuration that LeRobot makes of a command line, as plain JSON values; nothing is run.

    LeRobot's own file of it is written into the folder ``keep_in``, as beside a checkpoint.
    """
    from lerobot.configs import parser
    from lerobot.configs.train import TrainPipelineConfig
    from lerobot.utils.import_utils import register_third_party_plugins

    def capture(cfg: TrainPipelineConfig) -> dict[str, Any]:
        cfg.validate()
        if keep_in is not None:
            cfg.save_pretrained(keep_in)
        config: dict[str, Any] = cfg.to_dict()
        return config

    # The parser asks for the annotation as a class, which postponed annotations would hide.
    capture.__annotations__["cfg"] = TrainPipelineConfig
    register_third_party_plugins()
    with command_line(arguments):
        resolved: dict[str, Any] = parser.wrap()(capture)()
    return resolved
