"""The network of a Prophet, trained on what its linear part leaves over, and kept as far as it helps.

It learns from training episodes beside linear maps that were not fitted on them, since what a map leaves over on its
own episodes is less than what it leaves over on others. Some training episodes choose: after every ``EVERY`` steps
its loss on them is taken, the best weights count, and after ``PATIENCE`` times without a better one it ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student
from torch import Tensor

from world_modality.errors import UserError
from world_modality.memory.linear import linear_change
from world_modality.memory.lookup import LatentWindow
from world_modality.memory.prophet import Prophet
from world_modality.memory.ridge import FrameIndices, Windows
from world_modality.memory.target import SMALLEST_CHANGE, PredictionTarget
from world_modality.prophet.episodes import TrainingFrames, batch_size, batches
from world_modality.prophet.linear import LinearFit
from world_modality.prophet.saves import read, save
from world_modality.store.keys import keyed_seed

LR = 1e-3
WARMUP_STEPS = 50
WEIGHT_DECAY = 0.05
GRAD_CLIP = 1.0
EVERY = 50
PATIENCE = 12
SAVE_SECONDS = 30.0
MOST_CHOOSING = 8192  # frames on which the loss of the episodes that choose is taken
CONFIDENCE = 0.8  # one-sided, that a step's share of the network is kept with

Tell = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Trained:
    """How the training went."""

    steps: int
    """Steps that were done,"""
    best_step: int
    """and the one after which the loss on the episodes that choose was least; 0: the linear part alone was best."""
    loss: float | None
    """That loss; None if no episode chooses."""
    linear_loss: float | None
    """The linear part's alone."""


class ResidualTraining:
    """Trains the network of a Prophet whose linear part is fitted; resumes at its last save, to the same weights."""

    def __init__(
        self,
        prophet: Prophet,
        target: PredictionTarget,
        windows: Windows,
        training: TrainingFrames,
        linear: LinearFit,
        seed: int,
    ) -> None:
        """``windows`` give standardised latents on the Prophet's device; ``training`` has the parts of ``linear``."""
        self.prophet, self.target, self.windows, self.linear, self.seed = prophet, target, windows, linear, seed
        self.training = training
        self.fitting = np.flatnonzero(training.part > 0)
        choosing = np.flatnonzero(training.part == 0)
        if len(choosing) > MOST_CHOOSING:
            generator = np.random.default_rng(keyed_seed("prophet", "choosing"))
            choosing = np.sort(generator.choice(choosing, MOST_CHOOSING, replace=False))
        self.choosing = choosing
        self.size = batch_size(prophet.sizes.tokens)
        self.factors = [
            (each.read.to(self.device), each.write.to(self.device))
            for each in linear.without  # by part
        ]

    @property
    def device(self) -> torch.device:
        """Where the Prophet lies."""
        return self.prophet.write.weight.device

    def run(self, steps: int, work: Path, tell: Tell) -> Trained:
        """Train at most ``steps``; the Prophet then has the weights that were best.

        ``work`` holds what a process that dies leaves to the next; ``tell`` is given (step, steps, the newest loss).

        Raises:
            UserError: the loss is not finite.
        """
        if not len(self.choosing) or not len(self.fitting):
            return Trained(0, 0, None, None)
        optimizer = torch.optim.AdamW(self._network(), lr=LR, weight_decay=WEIGHT_DECAY)
        linear_loss = self._loss_of_choosing()
        step, best_step, least, best = 0, 0, linear_loss, self._weights()
        if (saved := _newest(work, self.device)) is not None:
            step, best_step, least, best = (saved[name] for name in ("step", "best_step", "least", "best"))
            self.prophet.load_state_dict(saved["now"])
            optimizer.load_state_dict(saved["optimizer"])
        since = time.monotonic()
        while step < steps and step - best_step < PATIENCE * EVERY:
            self._step(step, optimizer, LR * _factor(step, steps))
            step += 1
            if step % EVERY == 0 or step == steps:
                loss = self._loss_of_choosing()
                if loss < least:
                    least, best_step, best = loss, step, self._weights()
                tell(step, steps, f"loss {loss:.4f} (linear part {linear_loss:.4f})")
            if time.monotonic() - since > SAVE_SECONDS:
                known = {"step": step, "best_step": best_step, "least": least, "best": best}
                self._save(work, {**known, "now": self._weights(), "optimizer": optimizer.state_dict()})
                since = time.monotonic()
        self.prophet.load_state_dict(best)
        return Trained(step, best_step, least, linear_loss)

    def shares(self) -> Tensor:
        """What of the network is kept for every step ahead: [K], from 0 to 1.

        Of the squared error on the episodes that choose the least is reached with some share of the network's output,
        by least squares. It is kept if, over these episodes, both the squared error and the cosine of the change are
        better with it than without at ``CONFIDENCE``; else that step keeps the linear part alone. Of several
        hypotheses all is kept, since each frame's best one is known in hindsight alone.
        """
        sizes = self.prophet.sizes
        if not len(self.choosing):
            return torch.zeros(sizes.prediction_horizon)
        if sizes.hypotheses > 1:
            return torch.ones(sizes.prediction_horizon)
        sums = self._per_episode(torch.ones(sizes.prediction_horizon))
        along, length = sums["along"].sum(0), sums["length"].sum(0)
        share = torch.where(length > 0, along / length.clamp_min(1e-12), 0).clamp(0, 1)
        gained = self._per_episode(share)
        frames = gained["frames"].clamp_min(1)
        squared = (2 * share * gained["along"] - share**2 * gained["length"]) / frames
        helps = _surely_positive(squared) & _surely_positive(gained["cosine"] / frames)
        return torch.where(helps, share, torch.zeros(())).float()

    def _per_episode(self, share: Tensor) -> dict[str, Tensor]:
        """Sums over each episode that chooses, float64 [E, K]: of <network, what is left>, of |network|^2, of the
        cosine of the change with ``share`` [K] of the network minus that without, and frames."""
        episodes = np.unique(self.training.episode[self.choosing])
        sums = {
            name: torch.zeros(len(episodes), len(share), dtype=torch.float64)
            for name in ("along", "length", "cosine", "frames")
        }
        with torch.no_grad():
            for rows in batches(self.choosing, self.prophet.sizes.tokens):
                window, change, network = self._parts(rows)
                network = network[:, 0]
                truth = window.future - window.history[:, -1:]
                left, valid = truth - change, window.valid
                moved = valid[..., None] & (truth.norm(dim=-1) > SMALLEST_CHANGE)
                scaled = change + share.to(network)[:, None, None] * network
                cosine = _cosine(scaled, truth) - _cosine(change, truth)
                found = {
                    "along": ((network * left).sum((2, 3)) * valid),
                    "length": (network.square().sum((2, 3)) * valid),
                    "cosine": (cosine * moved).sum(2) / max(1, truth.shape[2]),
                    "frames": valid.float(),
                }
                index = torch.from_numpy(np.searchsorted(episodes, self.training.episode[rows]))
                for name, values in found.items():
                    sums[name].index_add_(0, index, values.double().cpu())
        return sums

    def _parts(self, rows: FrameIndices) -> tuple[LatentWindow, Tensor, Tensor]:
        """Of training rows: their window, the linear part's change [B, K, P, W] and the network's [B, N, K, P, W]."""
        window = self.windows(self.training.frames[rows])
        parts = self.training.part[rows]
        change = torch.empty_like(window.future)
        for part in np.unique(parts):
            chosen = torch.from_numpy(np.flatnonzero(parts == part)).to(change.device)
            read, write = self.factors[part]
            change[chosen] = linear_change(window.history[chosen], read, write, alone=self.linear.alone)
        return window, change, self.prophet.read_out(window.history)

    def _loss(self, rows: FrameIndices) -> Tensor:
        window, change, network = self._parts(rows)
        now, sizes = window.history[:, -1], self.prophet.sizes
        prediction = now[:, None, None] + change[:, None] + network
        score = self.target.score(prediction, now, window.future, window.valid, delta=sizes.delta)
        return score.weighted(sizes.step_weights).loss()

    def _step(self, step: int, optimizer: torch.optim.Optimizer, rate: float) -> None:
        generator = np.random.default_rng(keyed_seed("prophet batch", self.seed, step))
        rows = generator.choice(self.fitting, min(self.size, len(self.fitting)), replace=False)
        loss = self._loss(np.sort(rows))
        if not torch.isfinite(loss):
            raise UserError(f"prophet: the loss is not finite after {step} steps: look at the latents it learns from")
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._network(), GRAD_CLIP)
        optimizer.step()

    def _loss_of_choosing(self) -> float:
        total = 0.0
        with torch.no_grad():
            for rows in batches(self.choosing, self.prophet.sizes.tokens):
                total += float(self._loss(rows)) * len(rows)
        return total / len(self.choosing)

    def _network(self) -> list[torch.nn.Parameter]:
        linear = set() if self.prophet.linear is None else {id(each) for each in self.prophet.linear.parameters()}
        return [each for each in self.prophet.parameters() if id(each) not in linear]

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.prophet.state_dict().items()}

    def _save(self, work: Path, state: Mapping[str, Any]) -> None:
        save(work / f"step-{state['step']:08d}.pt", state)
        for older in sorted(work.glob("step-*.pt"))[:-2]:
            older.unlink()


def _newest(work: Path, device: torch.device) -> dict[str, Any] | None:
    """The newest save that is as it was written."""
    saves = (read(path, device) for path in sorted(work.glob("step-*.pt"), reverse=True))
    return next((found for found in saves if found is not None), None)


def _factor(step: int, steps: int) -> float:
    """Of the learning rate: a linear warm-up, then half a cosine to 0."""
    warm = min(1.0, (step + 1) / WARMUP_STEPS)
    return warm * 0.5 * (1 + float(np.cos(np.pi * min(1.0, step / steps))))


def _cosine(change: Tensor, truth: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(change, truth, dim=-1)


def _surely_positive(values: Tensor) -> Tensor:
    """Whether the mean over episodes of [E, K] is above 0 at ``CONFIDENCE``, by Student's t; never of one episode."""
    count = len(values)
    if count < 2:
        return torch.zeros(values.shape[1], dtype=torch.bool)
    error = values.std(0) / count**0.5
    above: Tensor = values.mean(0) > float(student.ppf(CONFIDENCE, count - 1)) * error
    return above
