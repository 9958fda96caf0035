"""The trainings that ``bench_overhead`` compares, each in a process of its own that waits for its turn."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from world_modality.imports import replaced
from world_modality.store.files import write_json
from world_modality.store.orphans import end_with_parent
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext
from world_modality.study.specs import TrainSpec
from world_modality.study.study import Arm
from world_modality.training.arguments import Places, command_line, fresh_arguments


@dataclass(frozen=True)
class Task:
    """What is trained, the same in every condition."""

    specs: dict[str, TrainSpec]
    inputs: dict[str, Path]
    """Role -> folder: policy, dataset, latents, encoder."""
    cores: int


@dataclass(frozen=True)
class Block:
    """Consecutive steps of one training, and the memory that its process has needed so far, in bytes."""

    steps: tuple[float, ...]  # seconds, from the end of one update to the end of the next
    updates: tuple[float, ...]  # of these, in LeRobot's update_policy; the rest is data and logging
    memory: int
    gpu_memory: int


@dataclass
class Pace:
    """Stands in for LeRobot's ``update_policy``: times the steps, and stops after a block until the next is asked for.

    The first step is a block of its own: then the training stands, ready.
    """

    update: Callable[..., Any]
    connection: Connection
    wanted: int = 1
    last: float = field(default_factory=time.perf_counter)
    steps: list[float] = field(default_factory=list)
    updates: list[float] = field(default_factory=list)

    def __call__(self, *given: Any, **named: Any) -> Any:
        """One update, and the wait for the next turn if it is over."""
        start = time.perf_counter()
        result = self.update(*given, **named)
        end = time.perf_counter()
        self.steps.append(end - self.last)
        self.updates.append(end - start)
        if len(self.steps) == self.wanted:
            self.connection.send(Block(tuple(self.steps), tuple(self.updates), _memory(), _gpu_memory()))
            self.wanted = self.connection.recv()
            self.steps.clear()
            self.updates.clear()
            end = time.perf_counter()
        self.last = end
        return result


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _gpu_memory() -> int:
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0


def run_condition(name: str, task: Task, folder: Path, parent: int, connection: Connection) -> None:
    """Train as the condition ``name`` in ``folder``, a turn at a time, until the process ``parent`` ends this one."""
    end_with_parent(parent)
    folder.mkdir(parents=True)
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT, 0o644)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    from lerobot.scripts import lerobot_train

    pace = Pace(lerobot_train.update_policy, connection)
    with replaced(lerobot_train, "update_policy", pace):
        CONDITIONS[name](task, folder)


def _ours(memory: str) -> Callable[[Task, Path], None]:
    """The stage itself."""

    def train(task: Task, folder: Path) -> None:
        from world_modality.training import stage

        context = StageContext(
            key="bench",
            artifact=folder / "artifact",
            volatile=folder / "volatile",
            work=folder / "work",
            inputs={role: (path,) for role, path in task.inputs.items()},
            progress=Progress(memory),
            cores=task.cores,
        )
        for place in (context.artifact, context.work):
            place.mkdir()
        stage.run(task.specs[memory], context)

    return train


def _stock(task: Task, folder: Path, *, frames: bool = False) -> None:
    """``lerobot-train`` on plain SmolVLA as one would call it: its own data loading, with its default of loaders.

    With ``frames``, pictures are read as by our trainings: decoded once, kept in memory.
    """
    import torch
    from lerobot.scripts import lerobot_train

    from world_modality.training.checkpoints import Saving
    from world_modality.training.launch import Hooks
    from world_modality.training.metrics import MetricsLog

    spec = task.specs["disabled"]
    _write_stock_policy(task.inputs["policy"], folder / "policy")
    places = Places(folder / "policy", task.inputs["dataset"], folder / "run", ())
    own = ("--policy.world_", "--seed=", "--cudnn_deterministic=", "--log_freq=", "--num_workers=")
    arguments = [each for each in fresh_arguments(spec, places, task.cores) if not each.startswith(own)]
    torch.set_num_threads(spec.threads)
    with contextlib.ExitStack() as stack:
        if frames:
            arguments.append("--num_workers=0")
            hooks = Hooks(MetricsLog(folder / "none", folder / "times", print), Saving(seconds=1e9), {}, task.cores)
            name = "make_train_eval_datasets"
            stack.enter_context(replaced(lerobot_train, name, hooks.replacements(lerobot_train)[name]))
        stack.enter_context(command_line([*arguments, f"--output_dir={places.output}"]))
        lerobot_train.main()


def _write_stock_policy(source: Path, target: Path) -> None:
    """A policy of type smolvla that LeRobot can load without this repository: its backbone by path."""
    from lerobot_policy_world_modality.backbone import resolve_backbone

    shutil.copytree(source, target)
    config = json.loads((target / "config.json").read_text())
    backbone = resolve_backbone(config["vlm_model_name"])
    write_json(target / "config.json", config | {"vlm_model_name": backbone})
    pipeline = json.loads((target / "policy_preprocessor.json").read_text())
    for step in pipeline["steps"]:
        if "tokenizer_name" in step.get("config", {}):
            step["registry_name"] = "tokenizer_processor"
            step["config"]["tokenizer_name"] = backbone
    write_json(target / "policy_preprocessor.json", pipeline)


STOCK, STOCK_FRAMES = "lerobot-train", "lerobot-train, our frames"
E0, E1, E2 = "E0 (no memory)", "E1 (zero)", "E2 (pred)"
CONDITIONS: dict[str, Callable[[Task, Path], None]] = {
    STOCK: _stock,
    STOCK_FRAMES: lambda task, folder: _stock(task, folder, frames=True),
    E0: _ours("disabled"),
    E1: _ours("zero"),
    E2: _ours("pred"),
}


def needed_arms() -> dict[str, Arm]:
    """The arms that the conditions train, by memory."""
    modes: tuple[str, ...] = ("disabled", "zero", "pred")
    return {mode: Arm(memory=mode) for mode in modes}
