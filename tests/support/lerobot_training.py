"""LeRobot's own training step on a small policy, without its script."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import Accelerator
from lerobot.configs import DatasetConfig
from lerobot.configs.train import TrainPipelineConfig
from lerobot.optim.factory import make_optimizer_and_scheduler
from lerobot.scripts.lerobot_train import update_policy
from lerobot.utils.logging_utils import AverageMeter, MetricsTracker
from support.tiny_policy import TinyWorld

BATCHES = [(0, 5, 13, 14), (44, 20, 21, 30), (1, 2, 3, 29), (7, 40, 15, 28), (9, 10, 11, 12), (33, 34, 35, 36)]


class Training:
    """A policy with LeRobot's optimiser, scheduler and metrics, as its training script makes them."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy
        self.config = TrainPipelineConfig(dataset=DatasetConfig(repo_id="local/tiny"), policy=policy.config, steps=100)
        self.config.optimizer = policy.config.get_optimizer_preset()
        self.config.scheduler = policy.config.get_scheduler_preset()
        self.optimizer, self.scheduler = make_optimizer_and_scheduler(self.config, policy)
        self.accelerator = Accelerator(step_scheduler_with_optimizer=False, cpu=True)

    def run(self, world: TinyWorld, first: int, last: int) -> list[dict[str, float]]:
        """Steps ``first`` to ``last`` (exclusive) and what each reported."""
        reports = []
        for step in range(first, last):
            tracker = MetricsTracker(
                4, 45, 3, {key: AverageMeter(key) for key in ("loss", "grad_norm", "lr", "update_s")}
            )
            _, report = update_policy(
                tracker,
                self.policy,
                world.batch(*BATCHES[step]),
                self.optimizer,
                self.config.optimizer.grad_clip_norm,
                self.accelerator,
                self.scheduler,
            )
            reports.append({**report, "tracked_loss": tracker.loss.avg})
        return reports


def base_weights(policy: Any) -> dict[str, torch.Tensor]:
    return {name: value for name, value in policy.state_dict().items() if not name.startswith("world.")}


def assert_equal(own: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert own.keys() == other.keys()
    for name, value in own.items():
        assert torch.equal(value, other[name]), name
