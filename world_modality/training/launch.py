"""LeRobot's own training script, run in this process, with what is hooked into it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.training.arguments import command_line, replaced
from world_modality.training.checkpoints import KEEP, SaveClock, pointing_atomically, saving_atomically
from world_modality.training.frames import Shrink, keep_frames_in_memory
from world_modality.training.metrics import MetricsLog, log_interval
from world_modality.training.statistics import Statistics, keep_statistics


@dataclass(frozen=True)
class Hooks:
    """What is put in place of names that LeRobot's training script looks up in its own module."""

    log: MetricsLog
    clock: SaveClock
    statistics: Statistics
    threads: int
    """That torch uses: part of the result, since sums are rounded in an order that depends on it."""
    decoders: int
    """Of pictures, at a time."""

    def replacements(self, script: Any) -> Mapping[str, Callable[..., Any]]:
        """By name: our functions, which call LeRobot's.

        ``init_logging`` would clear all handlers; ``inside_slurm`` switches the progress bar off;
        ``should_save_checkpoint`` counts steps, where a crash costs time.
        """
        several = int(os.environ.get("WORLD_SIZE", "1")) > 1
        make_datasets, make_optimizer = script.make_train_eval_datasets, script.make_optimizer_and_scheduler

        def init_logging(**_: Any) -> None:
            root = logging.getLogger()
            root.setLevel(logging.INFO)
            root.addHandler(self.log)

        def should_save_checkpoint(step: int, save_freq: int, total_steps: int) -> bool:
            if several:  # they must agree, and their clocks do not
                return bool(step % save_freq == 0 or step == total_steps)
            # At log steps only, so that no window of averaged metrics is cut in two by a resume.
            return step == total_steps or (step % log_interval(total_steps) == 0 and self.clock.due())

        def make_train_eval_datasets(cfg: Any) -> tuple[Any, Any]:
            dataset, held_out = make_datasets(cfg)
            keep_statistics(dataset.meta, self.statistics)
            size = cfg.policy.resize_imgs_with_padding
            shrink = Shrink(*size) if size else None
            if cfg.num_workers == 0:
                keep_frames_in_memory(dataset, shrink, threads=self.decoders)
            else:  # loaders would each keep whatever frames they happen to meet
                keep_frames_in_memory(dataset, shrink, threads=1, budget=0)
            return dataset, held_out

        def make_optimizer_and_scheduler(cfg: Any, policy: Any) -> tuple[Any, Any]:
            optimizer, scheduler = make_optimizer(cfg, policy)
            self.log.more = optimizer.gradient_norms
            return optimizer, scheduler

        lasting = durable(script)
        return {
            **lasting,
            "init_logging": init_logging,
            "inside_slurm": lambda: True,
            "make_optimizer_and_scheduler": make_optimizer_and_scheduler,
            "make_train_eval_datasets": make_train_eval_datasets,
            "save_checkpoint": self.clock.timed(lasting["save_checkpoint"]),
            "should_save_checkpoint": should_save_checkpoint,
        }


def durable(script: Any, keep: int | None = KEEP) -> dict[str, Callable[..., Any]]:
    """The hooks that let any training of LeRobot's go on after a crash as if nothing had happened, by name.

    ``keep`` is how many checkpoints are kept, None for all.
    """
    return {
        "EpisodeAwareSampler": continuing(script.EpisodeAwareSampler),
        "save_checkpoint": saving_atomically(script.save_checkpoint, keep),
        "update_last_checkpoint": pointing_atomically(script.update_last_checkpoint),
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

    root, threads_before = logging.getLogger(), torch.get_num_threads()
    level, handlers = root.level, list(root.handlers)
    torch.set_num_threads(hooks.threads)
    try:
        with contextlib.ExitStack() as stack:
            for name, replacement in hooks.replacements(lerobot_train).items():
                stack.enter_context(replaced(lerobot_train, name, replacement))
            stack.enter_context(command_line([*arguments, f"--output_dir={output}"]))
            lerobot_train.main()
    finally:
        torch.set_num_threads(threads_before)
        root.setLevel(level)
        root.handlers[:] = handlers
