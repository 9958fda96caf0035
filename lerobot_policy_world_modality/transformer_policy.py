"""The discrete line's transformer as a LeRobot policy: it regresses a chunk from a batch that brings latents."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.constants import ACTION, OBS_STATE
from torch import Tensor

from lerobot_policy_world_modality.configuration_world_transformer import WorldTransformerConfig
from lerobot_policy_world_modality.instructions import TASK, KnownInstructions
from world_modality.discrete.instruction_table import InstructionTable
from world_modality.discrete.losses import action_errors, mean_of, mean_per_sample
from world_modality.discrete.transformer import Answer, Seen, WorldTransformer
from world_modality.errors import UserError
from world_modality.memory.standardiser import Standardiser
from world_modality.memory.target import target_of
from world_modality.tokens.codebook import Codebook

LATENTS = "observation.world_now"  # float32 [B, P, W] of the present frame, in their own units
FUTURE_LATENTS = "world_future"  # float32 [B, K, P, W], in training
FUTURE_TOKENS = "world_future_tokens"  # int64 [B, K, P], in training
NOW_TOKENS = "world_now_tokens"  # int64 [B, P], in training
VALID = "world_future_valid"  # bool [B, K]: whether the episode is that long
PADDING = "action_is_pad"

READ = {"tokens": (NOW_TOKENS, FUTURE_TOKENS), "latents": (LATENTS, FUTURE_LATENTS)}
"""What a target is of, now and in the future."""


class TransformerPolicy(PreTrainedPolicy):  # type: ignore[misc]  # LeRobot is not typed
    """Reads ``observation.state`` and the present frame's latents, which whoever calls puts into the batch, and the
    instruction, LeRobot's ``task``, if it was made for some.

    Checkpoints carry the latents' statistics, the codebook's centroids if the model knows world tokens, and the vectors
    of the instructions that they know.
    """

    config_class = WorldTransformerConfig
    name = "world_transformer"
    centroids: Tensor

    def __init__(self, config: WorldTransformerConfig, **_: Any) -> None:
        super().__init__(config)
        config.validate_features()
        self.model = WorldTransformer(config.row, config.sizes, config.world_input)
        self.standardised = Standardiser(config.world_latent_dim, config.world_latent_tokens)
        known = (config.world_vocabulary, config.world_latent_dim) if config.uses_tokens else (0, 0)
        self.register_buffer("centroids", torch.zeros(known))
        texts = config.world_texts
        self.instructions = KnownInstructions(texts, config.world_text_dim) if texts else None
        self._queue: deque[Tensor] = deque(maxlen=config.n_action_steps)

    def reset(self) -> None:
        """New episodes start."""
        self._queue = deque(maxlen=self.config.n_action_steps)

    def get_optim_params(self) -> Any:
        """All parameters."""
        return self.parameters()

    def take_codebook(self, codebook: Codebook) -> None:
        """From now on latents become tokens by this codebook; UserError if it was trained with another one."""
        given = torch.from_numpy(codebook.centroids).to(self.centroids)
        normalised = self.config.world_tokens_normalised
        if self.centroids.any() and not (torch.equal(self.centroids, given) and normalised == codebook.l2_normalised):
            raise UserError(
                "world_tokens: those are of another codebook than the policy was trained with: give the tokens that it "
                "was trained with, or start anew"
            )
        self.centroids.copy_(given)
        self.config.world_tokens_normalised = codebook.l2_normalised

    def take_instructions(self, table: InstructionTable) -> None:
        """From now on these texts are known by these vectors."""
        assert self.instructions is not None
        self.instructions.embeddings.copy_(torch.from_numpy(table.embeddings))

    def forward(
        self,
        batch: dict[str, Any],
        noise: Tensor | None = None,  # noqa: ARG002 - as its heirs are called
        time: Tensor | None = None,  # noqa: ARG002
        reduction: str = "mean",
    ) -> tuple[Tensor, dict[str, float]]:
        """Mean squared error of normalised actions + world_lambda * world loss; [B] with ``reduction="none"``.

        A chunk is regressed: noise and time of a flow are of no use.
        """
        answer = self._answer(batch)
        padded = batch.get(PADDING, torch.zeros(batch[ACTION].shape[:2], dtype=torch.bool, device=batch[ACTION].device))
        errors = action_errors(answer.actions, batch[ACTION], padded)
        loss = mean_per_sample(errors) if reduction == "none" else mean_of(errors, shared=self.training)
        figures = {"action_loss": float(loss.detach().mean())}
        if answer.world is not None:
            world, told = self._world_loss(answer.world, batch, reduction)
            loss = loss + self.config.world_lambda * world
            figures |= told
        return loss, {"loss": float(loss.detach().mean()), **figures}

    def predict_action_chunk(self, batch: dict[str, Tensor], noise: Tensor | None = None, **_: Any) -> Tensor:
        """Normalised actions [B, chunk_size, A]; a chunk that is regressed needs no noise."""
        return self._chunk(batch, noise)

    def select_action(self, batch: dict[str, Tensor], **_: Any) -> Tensor:
        """The next action [B, A] of the chunk under way, or the first of a new one."""
        if not self._queue:
            self._queue.extend(self._chunk(batch)[:, : self.config.n_action_steps].transpose(0, 1))
        return self._queue.popleft()

    def _chunk(self, batch: dict[str, Tensor], noise: Tensor | None = None) -> Tensor:  # noqa: ARG002
        self.eval()
        with torch.no_grad():
            return self._answer(batch).actions

    def _answer(self, batch: dict[str, Any]) -> Answer:
        """Predicted latents are standardised, and those themselves, be it their change that the network makes."""
        latents = batch[LATENTS].to(self.centroids.device)
        token = None
        if self.config.row.world_input == "token":
            token = batch[NOW_TOKENS].to(latents.device) if NOW_TOKENS in batch else self.tokens_of(latents)
        now = self.standardised(latents)
        answer: Answer = self.model(Seen(now, batch[OBS_STATE].float(), token, self._language(batch)))
        if answer.world is not None and self.config.row.predicts == "latents" and self.config.world_delta:
            return replace(answer, world=answer.world + now[:, None])
        return answer

    def _language(self, batch: dict[str, Any]) -> Tensor | None:
        """The instructions' vectors [B, E]; None if the model reads none."""
        if self.instructions is None:
            return None
        if TASK not in batch:
            raise UserError(f"the policy reads instructions: give batches with '{TASK}', a text per row")
        given = batch[TASK]
        vectors: Tensor = self.instructions([given] if isinstance(given, str) else given, self.config)
        return vectors

    def tokens_of(self, latents: Tensor) -> Tensor:
        """World tokens int64 [...] of latents [..., W] in their own units, by the rule of the tokens stage."""
        codebook = Codebook(self.centroids.cpu().numpy(), self.config.world_tokens_normalised)
        tokens = codebook.assign(latents.detach().cpu().numpy())
        return torch.from_numpy(tokens.astype(np.int64)).to(latents.device)

    def _world_loss(self, world: Tensor, batch: dict[str, Any], reduction: str) -> tuple[Tensor, dict[str, float]]:
        """The loss of what is predicted by the rule of its target, and what that logs."""
        kind = self.config.row.predicts
        now, future = (batch[name].to(world.device) for name in READ[kind])
        if kind == "latents":
            now, future = self.standardised(now), self.standardised(future)
        valid = batch[VALID].to(world.device)
        score = target_of(kind).score(world[:, None], now, future, valid, delta=self.config.world_delta)
        if self.training:
            score = score.over_processes()
        return score.loss_per_sample() if reduction == "none" else score.loss(), score.summary()
