"""LeRobot's own training script, run in this process: its command line, what is hooked into it, and where it starts."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.study.specs import TrainSpec
from world_modality.training.checkpoints import SaveClock, saving_atomically
from world_modality.training.frames import Shrink, keep_frames_in_memory
from world_modality.training.metrics import log_interval
from world_modality.training.statistics import Statistics, keep_statistics

SAVE_STEPS = 2000  # where several processes must agree on when to save


@dataclass(frozen=True)
class Places:
    """Where a training finds its inputs and leaves its output on this machine."""

    policy: Path
    """The converted start policy."""
    dataset: Path
    output: Path
    latents: Path | None


def device_name() -> str:
    """The device that trainings use here."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def fresh_arguments(spec: TrainSpec, places: Places, cores: int) -> list[str]:
    """LeRobot's command line for a training from the start; everything that decides the result is named."""
    optim, device = spec.optim, device_name()
    settings: dict[str, object] = {
        "policy.path": places.policy,
        "policy.device": device,
        "policy.push_to_hub": False,
        "policy.n_action_steps": spec.n_action_steps,
        "policy.optimizer_lr": optim.lr,
        "policy.optimizer_weight_decay": optim.weight_decay,
        "policy.optimizer_grad_clip_norm": optim.grad_clip,
        "policy.scheduler_warmup_steps": optim.warmup_steps,
        "policy.scheduler_decay_steps": optim.decay_steps,
        "policy.scheduler_decay_lr": optim.decay_lr,
        "policy.freeze_vision_encoder": not optim.train_vision,
        "policy.train_expert_only": not optim.train_vision,
        "policy.world_lr": optim.world_lr,
        "policy.world_seed": spec.seed,
        "dataset.repo_id": "local/study",
        "dataset.video_backend": "pyav",
        "dataset.use_imagenet_stats": False,
        "seed": spec.seed,
        "cudnn_deterministic": True,
        "steps": optim.steps,
        "batch_size": optim.batch_size,
        # No transform draws at random, so the number of loaders cannot change a batch. A CPU's cores are busy training.
        "num_workers": min(8, max(0, cores - 1)) if device == "cuda" else 0,
        "log_freq": log_interval(optim.steps),
        "save_freq": SAVE_STEPS,
        "env_eval_freq": 0,  # a rollout inside would draw from the training's random generators
        "eval.batch_size": 1,  # never used; by default it depends on the machine
        "eval.n_episodes": 1,
        "wandb.enable": False,
        "job_name": "train",
    }
    return [f"--{name}={_text(value)}" for name, value in settings.items()] + place_arguments(places)


def place_arguments(places: Places) -> list[str]:
    """Where things lie: the only settings that a resumed training may have otherwise than it began with."""
    latents = [] if places.latents is None else [f"--policy.world_latents={places.latents}"]
    return [f"--dataset.root={places.dataset}", *latents]


def resume_arguments(checkpoint: Path, places: Places) -> list[str]:
    """LeRobot's command line to go on from ``checkpoint``, with the settings that it was begun with."""
    config = checkpoint / "pretrained_model" / "train_config.json"
    return [f"--config_path={config}", "--resume=true", *place_arguments(places)]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Meanwhile ``owner.name`` is ``value``; AttributeError if there is no such name to replace."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextlib.contextmanager
def command_line(arguments: list[str]) -> Iterator[None]:
    """LeRobot reads ``sys.argv`` in several places; meanwhile it holds ``arguments``."""
    with replaced(sys, "argv", ["lerobot-train", *arguments]):
        yield


def resolve(arguments: list[str]) -> dict[str, Any]:
    """The training configuration that LeRobot makes of a command line, as plain JSON values; nothing is run."""
    from lerobot.configs import parser
    from lerobot.configs.train import TrainPipelineConfig
    from lerobot.utils.import_utils import register_third_party_plugins

    def capture(cfg: TrainPipelineConfig) -> dict[str, Any]:
        cfg.validate()
        config: dict[str, Any] = cfg.to_dict()
        return config

    # The parser asks for the annotation as a class, which postponed annotations would hide.
    capture.__annotations__["cfg"] = TrainPipelineConfig
    register_third_party_plugins()
    with command_line(arguments):
        resolved: dict[str, Any] = parser.wrap()(capture)()
    return resolved


@dataclass(frozen=True)
class Hooks:
    """What is put in place of names that LeRobot's training script looks up in its own module."""

    log: logging.Handler
    clock: SaveClock
    statistics: Statistics
    cores: int

    def replacements(self, script: Any) -> Mapping[str, Callable[..., Any]]:
        """By name: our functions, which call LeRobot's.

        ``init_logging`` would clear all handlers; ``inside_slurm`` switches the progress bar off;
        ``should_save_checkpoint`` counts steps, where a crash costs time.
        """
        alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
        save = self.clock.timed(saving_atomically(script.save_checkpoint))
        made, log_steps = script.make_train_eval_datasets, log_interval

        def init_logging(**_: Any) -> None:
            root = logging.getLogger()
            root.setLevel(logging.INFO)
            root.addHandler(self.log)

        def should_save_checkpoint(step: int, save_freq: int, total_steps: int) -> bool:
            if not alone:
                return bool(step % save_freq == 0 or step == total_steps)
            # At log steps only, so that no window of averaged metrics is cut in two by a resume.
            return step == total_steps or (step % log_steps(total_steps) == 0 and self.clock.due())

        def make_train_eval_datasets(cfg: Any) -> tuple[Any, Any]:
            dataset, held_out = made(cfg)
            keep_statistics(dataset.meta, self.statistics)
            size = cfg.policy.resize_imgs_with_padding
            # Several loaders would each keep the frames they happen to meet.
            alone = {"threads": self.cores} if cfg.num_workers == 0 else {"threads": 1, "budget": 0}
            keep_frames_in_memory(dataset, Shrink(*size) if size else None, **alone)
            return dataset, held_out

        return {
            "EpisodeAwareSampler": continuing(script.EpisodeAwareSampler),
            "init_logging": init_logging,
            "inside_slurm": lambda: True,
            "make_train_eval_datasets": make_train_eval_datasets,
            "save_checkpoint": save,
            "should_save_checkpoint": should_save_checkpoint,
        }


def continuing(sampler: type[Any]) -> type[Any]:
    """LeRobot's sampler, deaf to Accelerate's epoch numbers.

    LeRobot puts the sampler of a resumed training at the right epoch, and it counts on by itself; Accelerate then
    tells it to start at epoch 0, since that is how often its own loader has run in this process.
    """

    class ContinuingSampler(sampler):  # type: ignore[misc]
        def set_epoch(self, epoch: int) -> None:
            pass

    return ContinuingSampler


def train(arguments: list[str], output: Path, hooks: Hooks) -> None:
    """Run LeRobot's training script with ``hooks`` until its last step.

    LeRobot's, PyTorch's and the logging module's settings that it changes are put back afterwards.
    """
    import torch
    from lerobot.scripts import lerobot_train

    root, threads = logging.getLogger(), torch.get_num_threads()
    level, handlers = root.level, list(root.handlers)
    torch.set_num_threads(hooks.cores)
    try:
        with contextlib.ExitStack() as stack:
            for name, replacement in hooks.replacements(lerobot_train).items():
                stack.enter_context(replaced(lerobot_train, name, replacement))
            stack.enter_context(command_line([*arguments, f"--output_dir={output}"]))
            lerobot_train.main()
    finally:
        torch.set_num_threads(threads)
        root.setLevel(level)
        root.handlers[:] = handlers
