"""Prophet: from the latents seen so far to the latents to come."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from world_modality.memory.action_conditioning import ActionCondition, NoisyActions
from world_modality.memory.attachment import ProphetSizes
from world_modality.memory.embedding import GridEmbedding
from world_modality.memory.linear import LinearPart
from world_modality.memory.randomness import borrowed_generator
from world_modality.store.keys import keyed_seed


class Prophet(nn.Module):
    """Pre-norm transformer over the history's latents and learned slots, which are read out as the latents to come.

    Its sequence has one place per (frame, token, camera) of the history and per (frame ahead, hypothesis, token,
    camera) of the slots; embeddings tell each coordinate apart, so the prediction depends on the order of what was
    seen. Everything is in standardised latents.

    One with ``sizes.rank`` has a linear part and begins as that: the transformer's output starts at zero and is added,
    multiplied for every step ahead by its share ``residual_share`` [K].
    """

    residual_share: Tensor

    def __init__(self, sizes: ProphetSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width = sizes.prophet_width
        self.read = nn.Linear(sizes.latent, width)
        frame = {"token": sizes.tokens, "camera": sizes.cameras}
        self.history = GridEmbedding({"time": sizes.context, **frame}, width)
        self.slots = GridEmbedding({"time": sizes.prediction_horizon, "hypothesis": sizes.hypotheses, **frame}, width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, sizes.heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(sizes.prophet_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.write = nn.Linear(width, sizes.latent)
        self.linear: LinearPart | None = None
        if sizes.rank:
            self.linear = LinearPart(sizes)
            self.register_buffer("residual_share", torch.ones(sizes.prediction_horizon))
            nn.init.zeros_(self.write.weight)
            nn.init.zeros_(self.write.bias)
        self.condition: ActionCondition | None = None
        if sizes.actions:
            with borrowed_generator() as generator:  # so that whatever is built next begins as it does without
                generator.manual_seed(keyed_seed("world-actions", generator.initial_seed()))
                self.condition = ActionCondition(sizes.actions, sizes.prediction_horizon, width)

    def forward(self, history: Tensor, noisy: NoisyActions | None = None) -> Tensor:
        """History [B, T, P, W] ending at t -> predicted latents [B, N, K, P, W] at t+1..t+K, by each hypothesis.

        A Prophet with ``sizes.actions`` must be told the noisy actions of the velocity that it predicts for.
        """
        ahead, now = self.read_out(history, noisy), history[:, -1, None, None]
        if self.linear is not None:
            change: Tensor = self.linear(history)
            return now + change[:, None] + self.residual_share[:, None, None] * ahead
        return now + ahead if self.sizes.delta else ahead

    def read_out(self, history: Tensor, noisy: NoisyActions | None = None) -> Tensor:
        """What the transformer alone says of it: [B, N, K, P, W]."""
        count, sizes = len(history), self.sizes
        seen = self.read(history.reshape(count, -1, sizes.latent)) + self.history()
        slots = self.slots().expand(count, -1, -1)
        if self.condition is not None:
            if noisy is None:
                raise ValueError("this Prophet follows the noisy actions, so it predicts nothing without them")
            slots = slots + self.condition(noisy).repeat_interleave(sizes.hypotheses * sizes.tokens * sizes.cameras, 1)
        tokens = torch.cat([seen, slots], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        read: Tensor = self.write(self.norm(tokens[:, -slots.shape[1] :]))
        return read.view(count, sizes.prediction_horizon, sizes.hypotheses, sizes.tokens, sizes.dim).transpose(1, 2)
