"""World tokens as a prediction target: logits of the next frames' tokens, against those that came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from world_modality.memory.baselines import Mask
from world_modality.memory.ridge import FrameIndices, Windows
from world_modality.memory.target import Figures, at_least_one, mean_over_processes, weighted_losses
from world_modality.tokens.baselines import likeliest_followers

BEST = (1, 5)
"""Top-1 and top-5."""
ROWS = 256
"""Frames whose windows are read at once."""


def hits(logits: Tensor, tokens: Tensor, best: int) -> Tensor:
    """Share of a frame's tokens int64 [..., P] that are among the ``best`` likeliest of logits [..., P, V]: [...]."""
    likeliest = logits.topk(min(best, logits.shape[-1]), dim=-1).indices
    return (likeliest == tokens[..., None]).any(-1).float().mean(-1)


@dataclass(frozen=True)
class TokenScore:
    """How well a batch of world tokens was predicted. B samples, K frames ahead."""

    losses: Tensor  # [B, K]: cross-entropy in nats, mean over hypotheses and tokens; 0 past the episode's end
    valid: Tensor  # bool [B, K]
    counts: Tensor  # [K]: valid samples; their mean over the processes that share a training batch
    accuracies: Mapping[str, Tensor]  # [B, K]: "top1" and "top5" of the prediction, "top1_copy" of the present token

    def loss(self) -> Tensor:
        """Mean over all valid (sample, k): a scalar, 0 if none is valid."""
        return self.losses.sum() / at_least_one(self.counts.sum())

    def loss_per_sample(self) -> Tensor:
        """Mean over each sample's valid k: [B]."""
        return self.losses.sum(1) / self.valid.sum(1).clamp_min(1)

    def over_processes(self) -> TokenScore:
        """The same, its means being over the batch that all processes of a training share."""
        return replace(self, counts=mean_over_processes(self.counts))

    def weighted(self, steps: Sequence[float]) -> TokenScore:
        """The same, the loss at k = 1..K weighted by ``steps``, relative to their mean; unchanged if they are none."""
        return replace(self, losses=weighted_losses(self.losses, steps))

    def summary(self) -> dict[str, float]:
        """``world_loss``, ``world_valid``, and ``world_top1``, ``world_top5`` and ``world_top1_copy``, overall and per
        k, over the valid entries; 0 where a batch has none."""
        names, values = ["world_loss", "world_valid"], [self.loss(), self.valid.float().mean()]
        for name, figure in self.accuracies.items():
            sums = (figure * self.valid).sum(0)
            names += [f"world_{name}", *(f"world_{name}_{k}" for k in range(1, len(sums) + 1))]
            values += [sums.sum() / at_least_one(self.counts.sum()), *(sums / at_least_one(self.counts))]
        return dict(zip(names, torch.stack(values).tolist(), strict=True))


@dataclass(frozen=True)
class TokenBaselines:
    """The present token again, and the likeliest follower of each token k frames later."""

    size: int  # V
    following: NDArray[np.int64]  # [K, V]

    def predict(self, history: Tensor) -> dict[str, Tensor]:
        """Tokens int64 [B, T, P] ending at t -> logits [B, K, P, V] of "copy" and "bigram": 0 of one, else -inf."""
        now, steps = history[:, -1], len(self.following)
        guesses = {
            "copy": now[:, None].expand(-1, steps, -1),
            "bigram": torch.from_numpy(self.following).to(now.device)[:, now].transpose(0, 1),
        }
        return {name: F.one_hot(guess, self.size).float().log() for name, guess in guesses.items()}

    def facts(self) -> dict[str, Any]:
        """How many tokens there are."""
        return {"tokens": self.size}


class TokenMetrics:
    """Sums of every predictor's top-1 and top-5 accuracy over batches of frames, in float64."""

    def __init__(self, prediction_horizon: int) -> None:
        self._sums: dict[str, Tensor] = {}  # predictor -> [len(BEST), K]
        self._frames = torch.zeros(prediction_horizon, dtype=torch.float64)

    def add(
        self,
        predictions: Mapping[str, Tensor],
        now: Tensor,  # noqa: ARG002 - accuracy is not measured against it
        future: Tensor,
        valid: Tensor,
    ) -> None:
        """Take in a batch: logits [B, N, K, P, V] by name, tokens now [B, P] and future [B, K, P], valid [B, K]."""
        self._frames += valid.double().sum(0).cpu()
        for name, logits in predictions.items():
            found = [hits(logits, future[:, None], best).mean(1).double() * valid for best in BEST]
            self._sums[name] = self._sums.get(name, 0) + torch.stack([each.sum(0) for each in found]).cpu()

    @property
    def frames(self) -> list[int]:
        """How many frames each step ahead was measured on, for k = 1..K."""
        return [int(count) for count in self._frames]

    def figures(self, digits: int = 4) -> dict[str, Figures]:
        """By predictor, rounded to ``digits`` decimals."""
        counts = self._frames.tolist()
        return {
            name: {
                f"top{best}": [round(a / b, digits) if b else None for a, b in zip(row.tolist(), counts, strict=True)]
                for best, row in zip(BEST, sums, strict=True)
            }
            for name, sums in self._sums.items()
        }


class Tokens:
    """World tokens, stored as numbers of centroids. A prediction is logits [B, N, K, P, V] of the V that there are."""

    def score(
        self,
        prediction: Tensor,
        current: Tensor,
        future: Tensor,
        valid: Tensor,
        *,
        delta: bool,  # noqa: ARG002 - a token has no change
    ) -> TokenScore:
        """Cross-entropy of logits [B, N, K, P, V] and tokens int64 [B, K, P]; ``current`` int64 [B, P] is w_t."""
        truth = future[:, None].expand(prediction.shape[:-1])
        losses = F.cross_entropy(prediction.float().flatten(0, -2), truth.flatten(), reduction="none")
        with torch.no_grad():
            found = {f"top{best}": hits(prediction, future[:, None], best).mean(1) for best in BEST}
            found["top1_copy"] = (current[:, None] == future).float().mean(-1)
        losses = losses.reshape(truth.shape).mean((1, -1)) * valid
        return TokenScore(losses, valid, valid.sum(0), found)

    def best_hypothesis(self, prediction: Tensor, future: Tensor, valid: Tensor) -> Tensor:
        """Of logits [B, N, K, P, V] each sample's hypothesis that gives what came the most probability: [B, 1, ...]."""
        chance = prediction.log_softmax(-1).gather(-1, future[:, None, ..., None].expand(*prediction.shape[:-1], 1))
        best = (chance.squeeze(-1).mean(-1) * valid[:, None]).sum(2).argmax(1)
        return prediction[torch.arange(len(prediction), device=prediction.device), best][:, None]

    def fit_baselines(
        self,
        windows: Windows,
        frames: FrameIndices,
        ahead: FrameIndices,
        choosing: Mask,  # noqa: ARG002 - there is no penalty to choose
    ) -> TokenBaselines:
        """The token that follows each most often, k frames later: see :func:`likeliest_followers`."""
        found = [windows(frames[start : start + ROWS]) for start in range(0, len(frames), ROWS)]
        now = np.concatenate([each.history[:, -1].cpu().numpy() for each in found]).astype(np.int32)
        future = np.concatenate([each.future.cpu().numpy() for each in found]).astype(np.int32)
        size = 1 + int(max(now.max(), future.max()))
        there = [ahead > k for k in range(future.shape[1])]
        following = [likeliest_followers(now[each], future[each, k], size) for k, each in enumerate(there)]
        return TokenBaselines(size, np.stack(following).astype(np.int64))

    def metrics(self, prediction_horizon: int) -> TokenMetrics:
        """Top-1 and top-5 accuracy."""
        return TokenMetrics(prediction_horizon)


TOKENS = Tokens()
"""The row "tokens" of ``facts/targets.py``."""
