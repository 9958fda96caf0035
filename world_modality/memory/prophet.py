"""Prophet: from the latents seen so far to the latents to come, and the loss that teaches it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST_CHANGE = 1e-6  # norm below which a change of the latent has no direction worth learning


class Prophet(nn.Module):
    """Pre-norm transformer over T history latents and K learned slots; slot k is read out as the latent at t+k.

    Everything is in standardised latents. Time embeddings tell the history's frames and the slots apart, so the
    prediction depends on the order of what was seen.
    """

    def __init__(
        self, *, dim: int, context: int, horizon: int, width: int, layers: int, heads: int, delta: bool
    ) -> None:
        super().__init__()
        self.delta = delta
        self.read = nn.Linear(dim, width)
        self.history_time = nn.Parameter(torch.randn(context, width) * 0.02)
        self.slots = nn.Parameter(torch.randn(horizon, width) * 0.02)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.write = nn.Linear(width, dim)

    def forward(self, history: Tensor) -> Tensor:
        """History [B, T, D] ending at t -> predicted latents [B, K, D] at t+1..t+K."""
        seen = self.read(history) + self.history_time
        tokens = torch.cat([seen, self.slots.expand(len(history), -1, -1)], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        ahead: Tensor = self.write(self.norm(tokens[:, -len(self.slots) :]))
        return history[:, -1:] + ahead if self.delta else ahead


@dataclass(frozen=True)
class WorldScore:
    """How well a batch of futures was predicted."""

    losses: Tensor  # [B, K], 0 where the future lies past the episode's end
    valid: Tensor  # bool [B, K]
    cosine: Tensor  # [B, K]: predicted against true standardised latent
    persistence: Tensor  # [B, K]: the current against the true standardised latent, the baseline to beat

    def loss(self) -> Tensor:
        """Mean over all valid (sample, k): a scalar, 0 if none is valid."""
        return self.losses.sum() / self.valid.sum().clamp_min(1)

    def loss_per_sample(self) -> Tensor:
        """Mean over each sample's valid k: [B]."""
        return self.losses.sum(1) / self.valid.sum(1).clamp_min(1)

    def summary(self) -> dict[str, float]:
        """world_loss and the cosines, overall and per k, over the valid entries (0 where a batch has none).

        Cosines are taken between standardised latents, so a prediction that knows only the average scores near 0
        and persistence is the figure to compare with. One transfer from the device.
        """
        counts = self.valid.sum(0)
        names, values = ["world_loss", "world_valid"], [self.loss(), self.valid.float().mean()]
        for name, cosine in (("world_cos", self.cosine), ("world_cos_persistence", self.persistence)):
            sums = (cosine * self.valid).sum(0)
            names.append(name)
            values.append(sums.sum() / counts.sum().clamp_min(1))
            names += [f"{name}_{k}" for k in range(1, len(sums) + 1)]
            values += list(sums / counts.clamp_min(1))
        return dict(zip(names, torch.stack(values).tolist(), strict=True))


def score(prediction: Tensor, current: Tensor, future: Tensor, valid: Tensor, *, delta: bool) -> WorldScore:
    """Compare prediction [B, K, D] with future [B, K, D]; current [B, D] is z_t, valid bool [B, K]. Standardised.

    With y = z_{t+k} - z_t (or z_{t+k} if not ``delta``) and y' its prediction, per valid (sample, k):

        loss = (1 - cos(y', y)) + 1/D sum_d huber(y'_d - y_d)

    the direction, which alone would leave the length of y' free, and a magnitude term in units of each dimension's
    standard deviation (huber: quadratic up to 1, linear beyond). A y of length 0 has no direction; there only the
    second term counts.
    """
    origin = current[:, None] if delta else torch.zeros_like(current)[:, None]
    guess, truth = prediction.float() - origin, future - origin
    direction = 1 - F.cosine_similarity(guess, truth, dim=-1)
    magnitude = F.huber_loss(guess, truth, reduction="none").mean(-1)
    losses = direction * (truth.norm(dim=-1) > SMALLEST_CHANGE) + magnitude
    with torch.no_grad():
        cosine = F.cosine_similarity(prediction.float(), future, dim=-1)
        persistence = F.cosine_similarity(current[:, None], future, dim=-1)
    return WorldScore(losses * valid, valid, cosine, persistence)
