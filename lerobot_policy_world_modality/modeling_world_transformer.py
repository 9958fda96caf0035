"""The policy type ``world_transformer``: where its latents and tokens come from, and where it is shown frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lerobot_policy_world_modality.adapters.transformer import TransformerAdapter
from lerobot_policy_world_modality.configuration_world_transformer import WorldTransformerConfig
from lerobot_policy_world_modality.instructions import open_training_instructions
from lerobot_policy_world_modality.transformer_policy import (
    FUTURE_LATENTS,
    FUTURE_TOKENS,
    LATENTS,
    NOW_TOKENS,
    VALID,
    TransformerPolicy,
)
from lerobot_policy_world_modality.world_parts import open_training_tokens
from lerobot_policy_world_modality.world_policy import INDEX, WORLD_HISTORY, WorldPolicy
from world_modality.errors import UserError
from world_modality.latents.cache import LatentStatistics
from world_modality.latents.windows import future_rows
from world_modality.tokens.reader import TokenCache


class WorldTransformerPolicy(WorldPolicy, TransformerPolicy):
    """The discrete line's models.

    In training the latents and tokens of a frame are those of the caches, found by the frame's index; in a rollout
    latents are given, or encoded from the pictures that the policy is shown, and tokens are made of them by the
    checkpoint's codebook.
    """

    config_class = WorldTransformerConfig
    name = "world_transformer"
    adapter = TransformerAdapter()
    _tokens: TokenCache | None = None

    def __init__(self, config: WorldTransformerConfig, dataset_meta: Any = None, **kwargs: Any) -> None:
        if dataset_meta is not None and config.uses_tokens:
            self._tokens = open_training_tokens(config, dataset_meta)
        instructions = open_training_instructions(config, dataset_meta) if dataset_meta is not None else None
        super().__init__(config, dataset_meta, **kwargs)
        if instructions is not None:
            self.take_instructions(instructions)

    def _fit_statistics(self) -> None:
        """And the codebook: called once the weights are there, be they new or a checkpoint's."""
        if self._tokens is not None:
            self.take_codebook(self._tokens.codebook)
        if self._latents is not None and not self.standardised.fitted:
            self.take_statistics(self._latents.statistics())

    def take_statistics(self, statistics: LatentStatistics) -> None:
        """Take over what the training latents are like."""
        self.standardised.fit(statistics.mean, statistics.factor)
        if self.world is not None:
            super().take_statistics(statistics)

    def select_action(self, batch: dict[str, Tensor], **_: Any) -> Tensor:
        """The action [B, A]. Every call shows the policy a frame, whether or not a new chunk is due."""
        self._see(batch)
        return super().select_action(batch)

    def predict_action_chunk(self, batch: dict[str, Tensor], noise: Tensor | None = None, **_: Any) -> Tensor:
        """The chunk [B, chunk_size, A]; noise is of use for a memory alone that draws, whose draws it keys."""
        self._see(batch)
        return self._chunk(batch, noise)

    def _chunk(self, batch: dict[str, Tensor], noise: Tensor | None = None) -> Tensor:
        if WORLD_HISTORY not in batch:
            assert self._online is not None
            batch = {**batch, WORLD_HISTORY: self._online.latents()}
        with self._reading(batch, noise):
            return super()._chunk({**batch, LATENTS: batch[WORLD_HISTORY][:, -1]})

    def forward(self, batch: dict[str, Any], *arguments: Any, **named: Any) -> tuple[Tensor, dict[str, float]]:
        """The loss and metrics of every policy with a world memory; the actions' own share stands for a flow's loss."""
        loss, info = super().forward(batch, *arguments, **named)
        return loss, {**info, "flow_loss": info["action_loss"]}

    def _plain_loss(
        self, batch: dict[str, Any], noise: Tensor | None, time: Tensor | None, reduction: str
    ) -> tuple[Tensor, dict[str, float]]:
        loss, info = super()._plain_loss({**batch, **self._around(batch)}, noise, time, reduction)
        if self.world is None:
            return loss, info
        # Beside a memory the plain names are those of what its Prophet predicts.
        return loss, {f"model_{name}" if name.startswith("world_") else name: value for name, value in info.items()}

    def _around(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """What a training batch lacks: the frames' latents, and what comes after them of what the model predicts."""
        if self._latents is None or INDEX not in batch:
            raise UserError(
                "a world_transformer learns from the latents of a dataset: build the policy with the dataset's "
                "metadata, set world_latents, and give batches with 'index'"
            )
        horizon = self.config.world_prediction_horizon
        window = self._latents.window(batch[INDEX], 1, horizon)
        found = {LATENTS: window.history[:, -1], FUTURE_LATENTS: window.future, VALID: window.valid}
        if self._tokens is not None:
            frames = batch[INDEX].cpu().numpy().astype(np.int64)
            rows, _ = future_rows(frames, self._latents.bounds.around(frames)[1], horizon)
            found[NOW_TOKENS] = torch.from_numpy(self._tokens.tokens[frames].astype(np.int64))
            found[FUTURE_TOKENS] = torch.from_numpy(self._tokens.tokens[rows].astype(np.int64))
        return {name: value.to(self.keyed_step.device) for name, value in found.items()}
