"""What a Prophet predicts: the contract of a target, and the one there is, the encoder's continuous latents.

A target is one row of ``facts/targets.py`` and one object here or in another package: loss, what the loss is told by in
metrics, baselines and the figures of merit. Nothing else knows how a prediction is compared with what came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import torch
import torch.distributed as distributed
import torch.nn.functional as F
from torch import Tensor

from world_modality.facts.targets import TARGETS
from world_modality.memory.baselines import LatentBaselines, Mask, fit_baselines
from world_modality.memory.ridge import FrameIndices, Windows

SMALLEST_CHANGE = 1e-6  # norm below which a change of the latent has no direction worth learning
SHARE_OF_ALL = 0.05  # of every hypothesis in the loss, so that one that never wins still learns

Figures = dict[str, list[float | None]]
"""Figure of merit -> its value for k = 1..K, None where there is nothing to measure."""


class Score(Protocol):
    """How well a batch of futures was predicted: what the Prophet learns from, and what its training logs."""

    def loss(self) -> Tensor:
        """Mean over all valid (sample, k): a scalar, 0 if none is valid."""

    def loss_per_sample(self) -> Tensor:
        """Mean over each sample's valid k: [B]."""

    def summary(self) -> dict[str, float]:
        """``world_loss``, ``world_valid`` and the metrics that the target's row names, over the valid entries."""

    def over_processes(self) -> Self:
        """The same, its means being over the batch that all processes of a training share."""

    def weighted(self, steps: Sequence[float]) -> Self:
        """The same, the loss at k = 1..K weighted by ``steps``, relative to their mean; unchanged if they are none."""


class Baselines(Protocol):
    """Predictions that take next to no learning, fitted."""

    def predict(self, history: Tensor) -> dict[str, Tensor]:
        """History [B, T, P, W] ending at t -> by name, as the row has them, what is predicted: each [B, K, P, W]."""

    def facts(self) -> dict[str, Any]:
        """What was fitted, as JSON values, for the record."""


class ForecastMetrics(Protocol):
    """Sums up the figures of merit of several predictors over batches of frames."""

    def add(self, predictions: Mapping[str, Tensor], now: Tensor, future: Tensor, valid: Tensor) -> None:
        """Take in a batch: predictions [B, N, K, P, W] by name, z_t [B, P, W], z_{t+1..t+K} [B, K, P, W], valid [B, K].

        Of N hypotheses each figure is the mean.
        """

    @property
    def frames(self) -> list[int]:
        """How many frames each step ahead was measured on, for k = 1..K."""

    def figures(self, digits: int = 4) -> dict[str, Figures]:
        """By predictor, rounded to ``digits`` decimals."""


class PredictionTarget(Protocol):
    """What is predicted and stored, and how a prediction is judged. B samples, N hypotheses, K frames ahead."""

    def score(self, prediction: Tensor, current: Tensor, future: Tensor, valid: Tensor, *, delta: bool) -> Score:
        """Compare prediction [B, N, K, P, W] with future [B, K, P, W]; current [B, P, W] is z_t, valid bool [B, K]."""

    def best_hypothesis(self, prediction: Tensor, future: Tensor, valid: Tensor) -> Tensor:
        """Of [B, N, K, P, W] each sample's best hypothesis in hindsight: [B, 1, K, P, W]."""

    def fit_baselines(self, windows: Windows, frames: FrameIndices, ahead: FrameIndices, choosing: Mask) -> Baselines:
        """Fit on ``frames`` [n], of which ``ahead`` [n] future frames exist, 1 to K; ``choosing`` [n] set penalties."""

    def metrics(self, prediction_horizon: int) -> ForecastMetrics:
        """No frames yet; K = ``prediction_horizon``."""


def target_of(name: str) -> PredictionTarget:
    """The code of the target of that name; UserError if there is none."""
    target: PredictionTarget = TARGETS[name].code.load()
    return target


@dataclass(frozen=True)
class LatentScore:
    """How well a batch of latents was predicted. B samples, K frames ahead."""

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

    def over_processes(self) -> LatentScore:
        """The same, its means being over the batch that all processes of a training share."""
        return replace(self, counts=mean_over_processes(self.counts))

    def weighted(self, steps: Sequence[float]) -> LatentScore:
        """The same, the loss at k = 1..K weighted by ``steps``, relative to their mean; unchanged if they are none."""
        return replace(self, losses=weighted_losses(self.losses, steps))

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


def score_latents(prediction: Tensor, current: Tensor, future: Tensor, valid: Tensor, *, delta: bool) -> LatentScore:
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
    return LatentScore(
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


class LatentMetrics:
    """Sums of every predictor's figures over batches of frames, in float64.

    Per step ahead k, over the tokens of the frames t whose t+k exists, z standardised and z' its prediction:

        cosine          mean of cos(z'_{t+k}, z_{t+k})
        change_cosine   mean of cos(z'_{t+k} - z_t, z_{t+k} - z_t), over the tokens that changed; a
                        prediction of no change scores 0
        skill           1 - MSE / MSE of persistence: 1 is perfect, 0 no better than to expect no change
    """

    def __init__(self, prediction_horizon: int) -> None:
        self._sums: dict[str, Tensor] = {}  # predictor -> [3, K]: squared error, cosine, cosine of the change
        self._still = torch.zeros(prediction_horizon, dtype=torch.float64)  # squared error of persistence
        self._frames = torch.zeros(prediction_horizon, dtype=torch.float64)
        self._counts = torch.zeros(2, prediction_horizon, dtype=torch.float64)  # tokens, tokens that changed

    def add(self, predictions: Mapping[str, Tensor], now: Tensor, future: Tensor, valid: Tensor) -> None:
        """Take in a batch: predictions [B, N, K, P, W] by name, z_t [B, P, W], z_{t+1..t+K} [B, K, P, W], valid [B, K].

        Of N hypotheses each figure is the mean.
        """
        change = future - now[:, None]
        there = valid[..., None].expand(change.shape[:-1])  # [B, K, P]
        moved = there & (change.norm(dim=-1) > SMALLEST_CHANGE)
        self._frames += valid.double().sum(0).cpu()
        self._counts += torch.stack([_total(torch.ones_like(there), counted) for counted in (there, moved)])
        self._still += _total(change.square().mean(-1), there)
        for name, prediction in predictions.items():
            guess = prediction - now[:, None, None]
            figures = (
                _total((prediction - future[:, None]).square().mean(-1).mean(1), there),
                _total(F.cosine_similarity(prediction, future[:, None], dim=-1).mean(1), there),
                _total(F.cosine_similarity(guess, change[:, None].expand_as(guess), dim=-1).mean(1), moved),
            )
            self._sums[name] = self._sums.get(name, 0) + torch.stack(figures)

    @property
    def frames(self) -> list[int]:
        """How many frames each step ahead was measured on, for k = 1..K."""
        return [int(count) for count in self._frames]

    def figures(self, digits: int = 4) -> dict[str, Figures]:
        """By predictor, rounded to ``digits`` decimals."""
        tokens, moved = self._counts
        return {
            name: {
                "cosine": _rounded(cosine, tokens, digits),
                "change_cosine": _rounded(change_cosine, moved, digits),
                "skill": _rounded(self._still - error, self._still, digits),
            }
            for name, (error, cosine, change_cosine) in self._sums.items()
        }


def best_hypothesis(prediction: Tensor, future: Tensor, valid: Tensor) -> Tensor:
    """Of [B, N, K, P, W] each sample's hypothesis of the least squared error over its frames ahead: [B, 1, K, P, W]."""
    errors = ((prediction - future[:, None]).square().mean(-1).mean(-1) * valid[:, None]).sum(2)
    return prediction[torch.arange(len(prediction), device=prediction.device), errors.argmin(1)][:, None]


def _total(figure: Tensor, counted: Tensor) -> Tensor:
    """Sum over the batch's tokens [B, K, P] -> [K]."""
    return (figure.double() * counted).movedim(-1, 1).flatten(0, 1).sum(0).cpu()


def _rounded(above: Tensor, below: Tensor, digits: int) -> list[float | None]:
    pairs = zip(above.tolist(), below.tolist(), strict=True)
    return [round(a / b, digits) + 0.0 if b > 0 else None for a, b in pairs]  # + 0.0: no negative zero


class Latents:
    """The encoder's continuous latents, stored in float16 and standardised where they are predicted and compared."""

    def score(self, prediction: Tensor, current: Tensor, future: Tensor, valid: Tensor, *, delta: bool) -> LatentScore:
        """Direction and magnitude: see :func:`score_latents`."""
        return score_latents(prediction, current, future, valid, delta=delta)

    def best_hypothesis(self, prediction: Tensor, future: Tensor, valid: Tensor) -> Tensor:
        """The one of the least squared error: see :func:`best_hypothesis`."""
        return best_hypothesis(prediction, future, valid)

    def fit_baselines(
        self, windows: Windows, frames: FrameIndices, ahead: FrameIndices, choosing: Mask
    ) -> LatentBaselines:
        """Persistence, mean reversion, velocity and ridge: see ``memory/baselines.py``."""
        return fit_baselines(windows, frames, ahead, choosing)

    def metrics(self, prediction_horizon: int) -> LatentMetrics:
        """Skill and cosines."""
        return LatentMetrics(prediction_horizon)


LATENTS = Latents()
"""The row "latents" of ``facts/targets.py``."""


def shares_batches() -> bool:
    """Whether this process is one of several of a training that torchrun started."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def mean_over_processes(counts: Tensor) -> Tensor:
    """The mean of ``counts`` over the processes of a training, all of which call this; ``counts`` in a single one.

    Gradients and metrics are averaged over processes. An average of means, each over what is valid in one process's
    part of the batch, is not the mean over the batch, since the parts do not have equally much that is valid. Sums
    divided by this mean count are: with sums s_p and counts n_p of P processes,

        1/P sum_p s_p / (1/P sum_q n_q) = sum_p s_p / sum_q n_q
    """
    if not shares_batches():
        return counts
    total = counts.double()
    distributed.all_reduce(total)
    return total.float() / distributed.get_world_size()


def weighted_losses(losses: Tensor, steps: Sequence[float]) -> Tensor:
    """Losses [B, K] times the weights of k = 1..K, divided by the weights' mean; as they are if ``steps`` is empty."""
    if not steps:
        return losses
    weights = losses.new_tensor(steps)
    return losses * (weights / weights.mean())


def at_least_one(counts: Tensor) -> Tensor:
    """``counts``, with 1 in place of 0, to divide a sum of nothing by."""
    return torch.where(counts > 0, counts, torch.ones_like(counts))
