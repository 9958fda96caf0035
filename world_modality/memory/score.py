"""How well futures were predicted: the Prophet's loss, and cosines with a baseline beside them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from world_modality.memory.processes import at_least_one

SMALLEST_CHANGE = 1e-6  # norm below which a change of the latent has no direction worth learning
SHARE_OF_ALL = 0.05  # of every hypothesis in the loss, so that one that never wins still learns


@dataclass(frozen=True)
class WorldScore:
    """How well a batch of futures was predicted. B samples, K frames ahead."""

    losses: Tensor  # [B, K], 0 where the future lies past the episode's end
    valid: Tensor  # bool [B, K]
    counts: Tensor  # [K]: valid samples; their mean over the processes that share a training batch
    cosine: Tensor  # [B, K]: predicted against true standardised token, mean over hypotheses and tokens
    persistence: Tensor  # [B, K]: the current against the true standardised token, the baseline to beat
    best: Tensor | None  # [B, K]: cosine of each sample's best hypothesis; None if there is but one
    diversity: Tensor | None  # [B, K]: 1 - mean cosine between the hypotheses' changes; None if there is but one

    def loss(self) -> Tensor:
        """Mean over all valid (sample, k): a scalar, 0 if none is valid."""
        return self.losses.sum() / at_least_one(self.counts.sum())

    def loss_per_sample(self) -> Tensor:
        """Mean over each sample's valid k: [B]."""
        return self.losses.sum(1) / self.valid.sum(1).clamp_min(1)

    def summary(self) -> dict[str, float]:
        """world_loss and the cosines, overall and per k, over the valid entries (0 where a batch has none).

        Cosines are taken between standardised latents, so a prediction that knows only the average scores near 0
        and persistence is the figure to compare with. One transfer from the device.
        """
        counts = self.counts
        names, values = ["world_loss", "world_valid"], [self.loss(), self.valid.float().mean()]
        for name, figure, per_step in (
            ("world_cos", self.cosine, True),
            ("world_cos_persistence", self.persistence, True),
            ("world_cos_best", self.best, False),
            ("world_diversity", self.diversity, False),
        ):
            if figure is not None:
                sums = (figure * self.valid).sum(0)
                names.append(name)
                values.append(sums.sum() / at_least_one(counts.sum()))
                if per_step:
                    names += [f"{name}_{k}" for k in range(1, len(sums) + 1)]
                    values += list(sums / at_least_one(counts))
        return dict(zip(names, torch.stack(values).tolist(), strict=True))


def score(prediction: Tensor, current: Tensor, future: Tensor, valid: Tensor, *, delta: bool) -> WorldScore:
    """Compare prediction [B, N, K, P, W] with future [B, K, P, W]; current [B, P, W] is z_t, valid bool [B, K].

    All are standardised. With y a token of z_{t+k} - z_t (or of z_{t+k} if not ``delta``) and y' its prediction, per
    valid (sample, k), as a mean over the P tokens:

        loss = (1 - cos(y', y)) + 1/W sum_d huber(y'_d - y_d)

    the direction, which alone would leave the length of y' free, and a magnitude term in units of each dimension's
    standard deviation (huber: quadratic up to 1, linear beyond). A y of length 0 has no direction; there only the
    second term counts. Of several hypotheses the best of each sample learns, over all its frames ahead, and the
    others by ``SHARE_OF_ALL`` (relaxed winner-takes-all, Rupprecht et al. 2017).
    """
    origin = (current if delta else torch.zeros_like(current))[:, None, None]
    guess, truth = prediction.float() - origin, future[:, None] - origin
    direction = 1 - F.cosine_similarity(guess, truth, dim=-1)
    magnitude = F.huber_loss(guess, truth.expand_as(guess), reduction="none").mean(-1)
    tokens = direction * (truth.norm(dim=-1) > SMALLEST_CHANGE) + magnitude  # [B, N, K, P]
    losses = tokens.mean(-1) * valid[:, None]  # [B, N, K]
    best = losses.detach().sum(2).argmin(1)
    rows = torch.arange(len(losses), device=losses.device)
    several = losses.shape[1] > 1
    with torch.no_grad():
        cosines = F.cosine_similarity(prediction.float(), future[:, None], dim=-1).mean(-1)
        persistence = F.cosine_similarity(current[:, None], future, dim=-1).mean(-1)
    return WorldScore(
        losses=(1 - SHARE_OF_ALL) * losses[rows, best] + SHARE_OF_ALL * losses.mean(1) if several else losses[:, 0],
        valid=valid,
        counts=valid.sum(0),
        cosine=cosines.mean(1),
        persistence=persistence,
        best=cosines[rows, best] if several else None,
        diversity=diversity(guess.detach()) if several else None,
    )


def diversity(changes: Tensor) -> Tensor:
    """1 - the mean cosine over all pairs of hypotheses: changes [B, N, K, P, W] -> [B, K]; 0 if all are the same."""
    count = changes.shape[1]
    directions = F.normalize(changes, dim=-1)
    total = directions.sum(1).square().sum(-1).mean(-1)  # count + twice the sum over pairs
    return 1 - (total - count) / (count * (count - 1))
