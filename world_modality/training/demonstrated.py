"""The demonstrated actions as a checkpoint's flow model has them where the flow ends: normalised, padded, noiseless."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch
from torch import Tensor

from world_modality.data.schema import ACTION
from world_modality.latents.windows import EpisodeBounds
from world_modality.memory.action_conditioning import NoisyActions


class DemonstratedActions:
    """All actions of a dataset in the units of a policy."""

    def __init__(self, policy: Any, checkpoint: Path, dataset: Path, bounds: EpisodeBounds) -> None:
        """Read and convert them.

        Args:
            policy: LeRobot's, loaded from ``checkpoint``.
            checkpoint: folder with the processors.
            dataset: a LeRobotDataset.
            bounds: its episodes.
        """
        self._bounds = bounds
        self._actions = _in_episodes_of(policy, checkpoint, _read(dataset, bounds.frames))

    def of(self, frames: npt.NDArray[np.int64], length: int) -> NoisyActions:
        """``length`` actions from each of ``frames`` [B] on, at flow time 0; an episode's last one is repeated."""
        _, end = self._bounds.around(frames)
        rows = np.minimum(frames[:, None] + np.arange(length), end[:, None] - 1)
        return NoisyActions(self._actions[torch.from_numpy(rows)], self._actions.new_zeros(len(frames)))


def _read(dataset: Path, frames: int) -> Tensor:
    """float32 [frames, A], row = the frame's global index."""
    table = pq.read_table(sorted((dataset / "data").rglob("*.parquet")), columns=["index", ACTION])
    values = torch.tensor(table.column(ACTION).to_pylist(), dtype=torch.float32)
    actions = torch.zeros(frames, values.shape[1])
    actions[torch.tensor(table.column("index").to_pylist())] = values
    return actions


def _in_episodes_of(policy: Any, checkpoint: Path, actions: Tensor) -> Tensor:
    """As LeRobot's ``forward`` hands actions to its flow model: [N, max_action_dim], on the policy's device."""
    from lerobot.policies.factory import make_pre_post_processors
    from lerobot.processor import NormalizerProcessorStep, TransitionKey
    from lerobot.processor.converters import create_transition

    device = policy.config.device
    overrides = {"device_processor": {"device": device}}
    preprocessor, _ = make_pre_post_processors(
        policy.config, pretrained_path=str(checkpoint), preprocessor_overrides=overrides
    )
    normalise = next(step for step in preprocessor.steps if isinstance(step, NormalizerProcessorStep))
    normal = normalise(create_transition(action=actions.to(device)))[TransitionKey.ACTION]
    if getattr(policy.config, "adapt_to_pi_aloha", False):  # a setting of SmolVLA alone
        normal = policy._pi_aloha_encode_actions_inv(normal[None])[0]
    padded: Tensor = policy.prepare_action({ACTION: normal})
    return padded.to(device)
