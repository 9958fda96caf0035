"""LeRobot's own training script, run in this process, with what is hooked into it: frames' order, saving, metrics."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from world_modality.data.tables import readable_tables
from world_modality.facts.policies import family_of
from world_modality.imports import replaced
from world_modality.policies.config_file import read_config_file
from world_modality.policies.trusted import build_processors
from world_modality.training.arguments import command_line
from world_modality.training.checkpoints import KEEP, SaveClock, Saving, pointing_atomically, saving_atomically
from world_modality.training.frames import (
    MEMORY_SHARE,
    Shrink,
    available_memory,
    keep_frames_in_memory,
    leave_pictures_out,
)
from world_modality.training.metrics import Line, MetricsLog, log_interval
from world_modality.training.statistics import Statistics, keep_statistics, measure_trained, start_statistics


class Job(BaseModel):
    """One call of LeRobot's training script, in values that can be handed to other processes."""

    model_config = ConfigDict(frozen=True)

    arguments: tuple[str, ...]
    """LeRobot's command line."""
    metrics: Path
    """The file that metrics are appended to."""
    timings: Path
    """The file that the times of the same steps are appended to."""
    policy: Path
    """The policy that the training starts from, for its statistics."""
    processes: int
    """That share each batch."""
    threads: int
    """That torch uses in each process: part of the result, since sums are rounded in an order that depends on it."""
    decoders: int
    """Of pictures, at a time, in each process."""
    saving: Saving
    dtype: str = "float32"
    """In which the policy computes."""
    stop: int = 0
    """The step to end after, of a training whose schedule is longer; 0: the last."""


@dataclass(frozen=True)
class Hooks:
    """What is put in place of names that LeRobot's training script looks up in its own module."""

    log: MetricsLog
    saving: Saving
    statistics: Statistics
    decoders: int
    stop: int = 0

    def replacements(self, script: Any) -> Mapping[str, Callable[..., Any]]:
        """By name: our functions, which call LeRobot's.

        ``init_logging`` would clear all handlers; ``inside_slurm`` switches the progress bar off;
        ``should_save_checkpoint`` counts steps, where a crash costs time; ``make_pre_post_processors`` runs what a
        checkpoint's files name.
        """
        from lerobot_policy_world_modality.optimizer import GroupClippedAdamW
        from world_modality.policies.host import host_of

        clock = SaveClock(self.saving)
        make_datasets, make_optimizer = script.make_train_eval_datasets, script.make_optimizer_and_scheduler

        def init_logging(**_: Any) -> None:
            root = logging.getLogger()
            root.setLevel(logging.INFO)
            root.addHandler(self.log)

        def should_save_checkpoint(step: int, _save_freq: int, total_steps: int) -> bool:
            # At log steps only, so that no window of averaged metrics is cut in two by a resume.
            return step == total_steps or (step % log_interval(total_steps) == 0 and _agreed(clock.due()))

        def make_train_eval_datasets(cfg: Any) -> tuple[Any, Any]:
            dataset, held_out = make_datasets(cfg)
            measure_trained(dataset)
            keep_statistics(dataset.meta, self.statistics)
            size = host_of(cfg.policy.type).picture_size(cfg.policy)
            shrink = Shrink(*size) if size else None
            if family_of(cfg.policy.type).sees_latents:
                leave_pictures_out(dataset)
                return dataset, held_out
            if cfg.num_workers == 0:
                budget = int(available_memory() * MEMORY_SHARE / process_count())
                keep_frames_in_memory(dataset, shrink, threads=self.decoders, budget=budget)
            else:  # loaders would each keep whatever frames they happen to meet
                keep_frames_in_memory(dataset, shrink, threads=1, budget=0)
            return dataset, held_out

        def make_optimizer_and_scheduler(cfg: Any, policy: Any) -> tuple[Any, Any]:
            optimizer, scheduler = make_optimizer(cfg, policy)
            cfg.steps = self.stop or cfg.steps  # the schedule has been made for all of them
            if isinstance(optimizer, GroupClippedAdamW):
                optimizer.watch(getattr(policy, "watched_gradients", dict)())
                self.log.more = optimizer.gradient_norms
            return optimizer, scheduler

        lasting = durable(script, self.saving.keep, beside=(self.log.path,))
        return {
            **lasting,
            "init_logging": init_logging,
            "inside_slurm": lambda: True,
            "make_optimizer_and_scheduler": make_optimizer_and_scheduler,
            "make_pre_post_processors": build_processors,
            "make_train_eval_datasets": make_train_eval_datasets,
            "save_checkpoint": clock.timed(lasting["save_checkpoint"]),
            "should_save_checkpoint": should_save_checkpoint,
        }


def durable(script: Any, keep: int | None = KEEP, beside: Sequence[Path] = ()) -> dict[str, Callable[..., Any]]:
    """The hooks that let any training of LeRobot's go on after a crash as if nothing had happened, by name.

    ``keep`` is how many checkpoints are kept, None for all; ``beside`` are files that each of them has a copy of.
    """
    return {
        "EpisodeAwareSampler": endless(script.EpisodeAwareSampler),
        "compute_sampler_state": sampler_state,
        "cycle": drawing_nothing(script.cycle),
        "save_checkpoint": saving_atomically(script.save_checkpoint, keep, beside),
        "update_last_checkpoint": pointing_atomically(script.update_last_checkpoint),
    }


def process_count() -> int:
    """How many processes share this training, as torchrun tells each of them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _agreed(due: bool) -> bool:
    """What the first process says: the others' clocks differ, and all have to meet at a save."""
    if process_count() == 1:
        return due
    import torch.distributed

    decision = [due]
    torch.distributed.broadcast_object_list(decision, src=0)
    return decision[0]


def run_here(job: Job, on_line: Callable[[Line], None]) -> None:
    """Train in this process, which is the only one or one of those that torchrun started.

    LeRobot logs metrics and saves checkpoints in the first one; there ``on_line`` is called with each line of metrics.
    """
    log = MetricsLog(job.metrics, job.timings, on_line)
    hooks = Hooks(log, job.saving, start_statistics(job.policy), job.decoders, job.stop)
    from world_modality.policies.host import host_of
    from world_modality.policies.precision import casting_to

    host_of(read_config_file(job.policy)["type"])  # LeRobot knows its own plugins alone, and here is another package's
    with casting_to(job.dtype):
        train(job.arguments, hooks, job.threads)


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Meanwhile torch computes with ``count`` threads of the CPU."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(arguments: Sequence[str], hooks: Hooks, threads: int) -> None:
    """Run LeRobot's training script with ``hooks`` and ``threads`` of torch until its last step.

    LeRobot's, PyTorch's and the logging module's settings that it changes are put back afterwards.
    """
    from lerobot.scripts import lerobot_train

    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch_threads(threads))
            for name, replacement in hooks.replacements(lerobot_train).items():
                stack.enter_context(replaced(lerobot_train, name, replacement))
            stack.enter_context(command_line(list(arguments)))
            stack.enter_context(readable_tables())
            lerobot_train.main()
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


def endless(sampler: type[Any]) -> type[Any]:
    """LeRobot's sampler, going on with the next epoch's permutation where one ends.

    LeRobot ends an epoch with the batch that is left over: smaller in a single process, filled up with the epoch's
    first frames in several. Without an end, every batch is full, and the frames of a step are the same however
    many processes share them.
    """

    class EndlessSampler(sampler):  # type: ignore[misc]
        def __iter__(self) -> Iterator[int]:
            while True:
                yield from super().__iter__()

        def set_epoch(self, epoch: int) -> None:
            """Accelerate says 0 at the start of every process, also of one that resumes in a later epoch."""

    return EndlessSampler


def drawing_nothing(cycle: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
    """LeRobot's ``cycle`` of a loader, which leaves torch's global generator as it was.

    A loader draws a number when its iteration begins: once more in a training that was resumed. What a policy draws
    while it learns, such as ACT, would then be something else.
    """

    def batches(loader: Any) -> Iterator[Any]:
        import torch

        state = torch.get_rng_state()
        endless_batches = cycle(loader)
        first = next(endless_batches)
        torch.set_rng_state(state)
        yield first
        yield from endless_batches

    return batches


def sampler_state(step: int, num_frames: int, batch_size: int, num_processes: int) -> dict[str, int]:
    """Where an endless sampler of ``num_frames`` stands after ``step`` steps, in LeRobot's terms."""
    epoch, start = divmod(step * batch_size * num_processes, num_frames)
    return {"epoch": epoch, "start_index": start}
