"""A policy, its encoder, simulators and a ledger put together, for a stage of a study or without one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import torch

from world_modality.benchmarks.contract import open_assets
from world_modality.benchmarks.graphics import choose_opengl
from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.online import HistoryEncoder
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES, Suite
from world_modality.facts.memory import MODES
from world_modality.policies.contract import Policy, PolicyFacts
from world_modality.policies.precision import device_named
from world_modality.rollout.cell import Cell
from world_modality.rollout.history import LatentHistory
from world_modality.rollout.records import Ledger
from world_modality.rollout.scheduler import Scheduler
from world_modality.rollout.simulators import simulator_pool
from world_modality.rollout.timing import TimeAccount
from world_modality.store.machine import COMPUTING, versions
from world_modality.store.progress import Progress
from world_modality.study.specs import EncoderSpec

NewHistory = Callable[[], LatentHistory]


def described_device(asked: str = "auto") -> tuple[str, str]:
    """Where the policy computes, for torch and for records: ("cuda", "cuda NVIDIA H100") or ("cpu", "cpu").

    UserError if the machine does not have what is asked for.
    """
    device = device_named(asked, "rollouts.device")
    return device, f"cuda {torch.cuda.get_device_name()}" if device == "cuda" else device


def software(suite: Suite) -> dict[str, str]:
    """What else the outcome of an episode may depend on, down to the library that draws the pictures."""
    packages = versions((*COMPUTING, *suite.packages))
    return {**packages, **SUITES.distribution(suite.name), "opengl": choose_opengl()}


def roll_out(
    cell: Cell,
    ledger: Ledger,
    policy: Policy,
    new_history: NewHistory | None,
    cores: int,
    progress: Progress,
) -> TimeAccount | None:
    """Work until every episode of the ledger has a record; says what took how long, None if nothing was left to do.

    Raises:
        UserError: the assets are not the planned ones, an initial state does not exist, or as ``Scheduler.run``.
    """
    assets = open_assets(cell.sim)  # refuses other assets than planned before any simulator starts
    if len(ledger.done) == len(ledger.episodes):
        return None
    for episode in ledger.episodes:
        cell.suite.recorded(episode.init_state)
    with closing(simulator_pool(cell.sim, assets, min(cores, len(ledger.episodes)))) as pool:
        account = Scheduler(cell, ledger, policy, new_history, progress).run(pool)
    progress.say(f"{progress.label}  {account.summary(cores)}")
    return account


def require_picture_size(facts: PolicyFacts, size: int) -> None:
    """UserError unless the policy was trained on pictures of ``size`` x ``size`` pixels."""
    for name, (height, width) in facts.pictures.items():
        if (height, width) != (size, size):
            raise UserError(
                f"the simulator's pictures have {size}x{size} pixels, but the checkpoint was trained on {name} of "
                f"{height}x{width}; roll it out on pictures of that size, or train it on some of {size}x{size}."
            )


def require_actions(facts: PolicyFacts, suite: Suite) -> None:
    """UserError if the policy says that its actions are others than those the suite takes."""
    if facts.action is not None and facts.action != suite.action.names:
        raise UserError(
            f"{facts.kind} says that its actions are {', '.join(facts.action)}, but {suite.name} takes "
            f"{', '.join(suite.action.names)}: let its server order and name them so"
        )


def history_maker(config: Any, memory: str, spec: EncoderSpec, folder: Path, device: str) -> NewHistory:
    """What makes an episode's window of the encoder in ``folder``; UserError if the checkpoint was trained with
    another."""
    config.require_encoder(spec)
    encoder = HistoryEncoder(load_encoder(spec, folder, device), config.world_context)
    return partial(LatentHistory, encoder, config.cameras, MODES[memory].delay * config.world_prediction_horizon)
