"""Figures as ratios of two sums, kept episode by episode: what a mean is of, and what an interval is drawn from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from world_modality.memory.target import SMALLEST_CHANGE

Floats = NDArray[np.float64]
Part = tuple[Tensor, Tensor]
"""Of a batch [B, ...]: what is summed, and of how much, in the same shape."""


def action_part(actions: Tensor, wanted: Tensor, padded: Tensor) -> Part:
    """Squared errors of chunks [B, H, A], of actions inside the episode: ``padded`` bool [B, H] are past its end."""
    inside = (~padded)[..., None].expand(actions.shape)
    return (actions.double() - wanted.double()).square() * inside, inside


def right_part(guess: Tensor, tokens: Tensor, valid: Tensor) -> Part:
    """How often a guess int64 [B, K, P] is the token that came, a mean over P: [B, K], where ``valid`` bool [B, K]."""
    return (guess == tokens).double().mean(-1) * valid, valid


def latent_parts(prediction: Tensor, now: Tensor, future: Tensor, valid: Tensor) -> dict[str, Part]:
    """Skill and cosine of the change, as the target of latents has them, per step ahead: [B, K].

    Predictions and future are [B, K, P, W] standardised, ``now`` [B, P, W], ``valid`` bool [B, K]. Skill is 1 - MSE /
    MSE of persistence; the cosine is that of predicted and true change, over the tokens that changed.
    """
    change, guess = future - now[:, None], prediction - now[:, None]
    there = valid[..., None].expand(change.shape[:-1])
    moved = there & (change.norm(dim=-1) > SMALLEST_CHANGE)
    still = (change.double().square().mean(-1) * there).sum(-1)
    error = ((prediction - future).double().square().mean(-1) * there).sum(-1)
    cosine = (F.cosine_similarity(guess, change, dim=-1).double() * moved).sum(-1)
    return {"skill": (still - error, still), "change_cosine": (cosine, moved.sum(-1))}


class EpisodeSums:
    """Of one way to run a model: by figure, the two sums of every episode."""

    def __init__(self, episodes: int) -> None:
        """Of so many episodes, E; nothing is summed yet."""
        self._episodes = episodes
        self._sums: dict[str, tuple[Floats, Floats]] = {}

    def add(self, places: NDArray[np.int64], parts: Mapping[str, Part]) -> None:
        """Take in a batch, whose samples [B] are of the episodes ``places`` [B], from 0 to E - 1."""
        for name, part in parts.items():
            values = [each.detach().to("cpu", torch.float64).numpy() for each in part]
            if name not in self._sums:
                above, below = (np.zeros((self._episodes, *each.shape[1:])) for each in values)
                self._sums[name] = above, below
            for sums, each in zip(self._sums[name], values, strict=True):
                np.add.at(sums, places, each)

    @property
    def sums(self) -> Mapping[str, tuple[Floats, Floats]]:
        """float64 [E, ...] each."""
        return self._sums
