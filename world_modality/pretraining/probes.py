"""Ridge regressions from latents to what a scene holds, each judged on episodes that it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Episodes = NDArray[np.int64]
PENALTIES = tuple(10.0**power for power in range(-4, 5))  # per clip; 1 is as much as a standardised number's variance
CHOOSING = 4  # parts of the episodes that are fitted on, of which each in turn chooses the penalty


@dataclass(frozen=True)
class Errors:
    """Squared errors of targets over the clips of each episode."""

    probe: Numbers
    """Of the ridge [E, T],"""
    mean: Numbers
    """and of the mean over the clips that the ridge was fitted on [E, T]."""

    def __getitem__(self, columns: Sequence[int]) -> Errors:
        return Errors(self.probe[:, columns], self.mean[:, columns])

    def explained(self, weights: Numbers | None = None) -> float:
        """Share of the targets' variance that the ridge explains: 1 - sum of its errors / sum of the mean's.

        Targets of one unit count by how much they vary. ``weights`` [E] counts episodes several times or not at all.
        """
        times = np.ones(len(self.probe)) if weights is None else weights
        return float(1 - (times @ self.probe).sum() / (times @ self.mean).sum())


def probe(latents: Numbers, targets: Numbers, episodes: Episodes, folds: int, seed: int) -> Errors:
    """Errors of probing every episode with a ridge that was fitted on those of the other folds.

    Args:
        latents: [N, D] of N clips.
        targets: [N, T].
        episodes: which one each clip is of [N], 0 to E - 1.
        folds: so many parts of the episodes.
        seed: of the parts.
    """
    count = int(episodes.max()) + 1
    fold = np.random.default_rng(seed).permutation(np.arange(count) % folds)
    squared, beside_mean = np.zeros_like(targets), np.zeros_like(targets)
    for number in range(folds):
        held = fold[episodes] == number
        fit, other = latents[~held], latents[held]
        parts = (np.cumsum(fold != number) - 1)[episodes[~held]] % CHOOSING
        guessed = _Ridge(fit, targets[~held]).choose(parts).predict(other)
        squared[held] = (guessed - targets[held]) ** 2
        beside_mean[held] = (targets[~held].mean(axis=0) - targets[held]) ** 2
    return Errors(_per_episode(squared, episodes, count), _per_episode(beside_mean, episodes, count))


def _per_episode(values: Numbers, episodes: Episodes, count: int) -> Numbers:
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, episodes, values)
    return sums


class _Ridge:
    """Ridge regressions on standardised latents, with a penalty per target."""

    def __init__(self, latents: Numbers, targets: Numbers) -> None:
        self.latents, self.targets = latents, targets
        self.penalties = np.ones(targets.shape[1])

    def choose(self, parts: Episodes) -> _Ridge:
        """Take for each target the penalty with which the parts' clips [N] are foretold best from the others."""
        errors = np.zeros((len(PENALTIES), self.targets.shape[1]))
        for part in np.unique(parts):
            out = parts == part
            if out.all():
                return self
            fitted = _Fitted(self.latents[~out], self.targets[~out])
            for number, penalty in enumerate(PENALTIES):
                guessed = fitted.predict(self.latents[out], np.full(self.targets.shape[1], penalty))
                errors[number] += ((guessed - self.targets[out]) ** 2).sum(axis=0)
        self.penalties = np.array(PENALTIES)[errors.argmin(axis=0)]
        return self

    def predict(self, latents: Numbers) -> Numbers:
        """Targets of latents [N, D], [N, T]."""
        return _Fitted(self.latents, self.targets).predict(latents, self.penalties)


class _Fitted:
    """The same for any penalties, by one singular value decomposition."""

    def __init__(self, latents: Numbers, targets: Numbers) -> None:
        self._mean, scale = latents.mean(axis=0), latents.std(axis=0)
        self._scale = np.where(scale > 0, scale, 1.0)
        self._targets = targets.mean(axis=0)
        self._count = len(latents)
        left, self._values, self._right = np.linalg.svd((latents - self._mean) / self._scale, full_matrices=False)
        self._rotated = left.T @ (targets - self._targets)

    def predict(self, latents: Numbers, penalties: Numbers) -> Numbers:
        """With a penalty per target [T]."""
        shrunk = self._values[:, None] / (self._values[:, None] ** 2 + penalties * self._count)
        weights = self._right.T @ (shrunk * self._rotated)
        found: Numbers = (latents - self._mean) / self._scale @ weights + self._targets
        return found
