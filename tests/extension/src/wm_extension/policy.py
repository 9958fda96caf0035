"""A LeRobot policy type of this package, ``reflex``, and how World Modality builds and draws it.

LeRobot finds policy and processors in the module of the config, by their names.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import NormalizationMode
from lerobot.optim import AdamWConfig
from lerobot.policies.act.processor_act import make_act_pre_post_processors
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.constants import ACTION, OBS_STATE
from torch import Tensor, nn

from world_modality.facts.benchmarks import Suite
from world_modality.policies.host import PolicyHost, features_of, no_noise


@PreTrainedConfig.register_subclass("reflex")
@dataclass
class ReflexConfig(PreTrainedConfig):
    chunk_size: int = 5
    n_action_steps: int = 5
    width: int = 32
    grid: int = 4
    normalization_mapping: dict[str, NormalizationMode] = field(
        default_factory=lambda: {
            "VISUAL": NormalizationMode.IDENTITY,
            "STATE": NormalizationMode.MEAN_STD,
            "ACTION": NormalizationMode.MEAN_STD,
        }
    )

    @property
    def observation_delta_indices(self) -> None:
        return None

    @property
    def action_delta_indices(self) -> list[int]:
        return list(range(self.chunk_size))

    @property
    def reward_delta_indices(self) -> None:
        return None

    def get_optimizer_preset(self) -> AdamWConfig:
        return AdamWConfig(lr=1e-3)

    def get_scheduler_preset(self) -> None:
        return None

    def validate_features(self) -> None:
        pass


class ReflexPolicy(PreTrainedPolicy):
    """State and coarse pictures -> a chunk of actions, by two layers."""

    config_class = ReflexConfig
    name = "reflex"

    def __init__(self, config: ReflexConfig, **_: Any) -> None:
        super().__init__(config)
        self._size = config.action_feature.shape[0]
        inputs = config.robot_state_feature.shape[0] + len(config.image_features) * 3 * config.grid**2
        self.layers = nn.Sequential(
            nn.Linear(inputs, config.width), nn.ReLU(), nn.Linear(config.width, config.chunk_size * self._size)
        )
        self.reset()

    def get_optim_params(self) -> Any:
        return self.parameters()

    def reset(self) -> None:
        self._queue: deque[Tensor] = deque()

    def _chunk(self, batch: dict[str, Tensor]) -> Tensor:
        pictures = [batch[name] for name in self.config.image_features]
        coarse = [nn.functional.adaptive_avg_pool2d(each, self.config.grid).flatten(1) for each in pictures]
        return self.layers(torch.cat([batch[OBS_STATE], *coarse], 1)).view(-1, self.config.chunk_size, self._size)

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        inside = ~batch["action_is_pad"][..., None]
        loss = ((self._chunk(batch) - batch[ACTION]).abs() * inside).mean()
        return loss, {"l1_loss": loss.item()}

    def predict_action_chunk(self, batch: dict[str, Tensor], **_: Any) -> Tensor:
        return self._chunk(batch)

    def select_action(self, batch: dict[str, Tensor], **_: Any) -> Tensor:
        if not self._queue:
            self._queue.extend(self._chunk(batch)[:, : self.config.n_action_steps].unbind(1))
        return self._queue.popleft()


def make_reflex_pre_post_processors(config: ReflexConfig, dataset_stats: Any = None) -> tuple[Any, Any]:
    return make_act_pre_post_processors(config, dataset_stats)


class ReflexHost(PolicyHost):
    """It draws nothing."""

    noise = staticmethod(no_noise)

    def small_config(self, architecture: str, suite: Suite, pixels: int) -> ReflexConfig:
        return ReflexConfig(**features_of(suite, pixels))
