"""What is known of tokens without any model: how often they are used, how long they stay, and what follows them.

All of it is counted within episodes. A pair of tokens k frames apart never spans two of them, and what is fitted is
fitted on training episodes alone. Of P tokens per frame, each is paired with that of the same place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world_modality.latents.windows import EpisodeBounds

STEPS = 8
"""k goes from 1 to this."""
MOST_FREQUENT = 20

Tokens = NDArray[np.int32]


@dataclass(frozen=True)
class Usage:
    """How often each token occurs: ``counts`` [K]."""

    counts: NDArray[np.int64]

    @classmethod
    def of(cls, tokens: Tokens, size: int) -> Usage:
        """Of tokens [...], each below ``size``."""
        return cls(np.bincount(tokens.reshape(-1), minlength=size))

    @property
    def used(self) -> int:
        """Tokens that occur."""
        return int(np.count_nonzero(self.counts))

    @property
    def entropy(self) -> float:
        """-sum p ln p over the tokens, in nats."""
        shares = self.counts[self.counts > 0] / self.counts.sum()
        return float(-(shares * np.log(shares)).sum()) + 0.0  # no -0.0

    @property
    def perplexity(self) -> float:
        """exp(entropy): as many equally frequent tokens would be as uncertain."""
        return float(np.exp(self.entropy))

    def most_frequent(self, number: int = MOST_FREQUENT) -> list[tuple[int, int]]:
        """(token, how often) of the most frequent ones that occur, of equals the lower first."""
        order = np.argsort(-self.counts, kind="stable")[:number]
        return [(int(token), int(self.counts[token])) for token in order if self.counts[token]]


def frames_of(bounds: EpisodeBounds) -> NDArray[np.int64]:
    """All frames of some episodes, ascending."""
    return np.concatenate([np.arange(start, end) for start, end in zip(bounds.starts, bounds.ends, strict=True)])


def pairs(tokens: Tokens, bounds: EpisodeBounds, step: int) -> tuple[Tokens, Tokens]:
    """Tokens [N, P] of frames t and t + ``step`` of the same episode and place, of these episodes: [M] and [M]."""
    frames = frames_of(bounds)
    _, ends = bounds.around(frames)
    now = frames[frames + step < ends]
    return tokens[now].reshape(-1), tokens[now + step].reshape(-1)


def copy_accuracy(tokens: Tokens, bounds: EpisodeBounds, step: int) -> float | None:
    """How often a token is the same ``step`` frames later, P(w[t] = w[t+k]); None if no episode is that long."""
    now, later = pairs(tokens, bounds, step)
    return float((now == later).mean()) if now.size else None


def likeliest_followers(now: Tokens, later: Tokens, size: int) -> Tokens:
    """The likeliest of ``later`` [...] for each token of ``now`` [...]: int32 [size].

    Of equally frequent followers the lower wins; a token that was never followed follows itself.
    """
    kinds, counts = np.unique(now.astype(np.int64) * size + later, return_counts=True)
    before, after = np.divmod(kinds, size)
    order = np.lexsort((after, -counts, before))
    first, places = np.unique(before[order], return_index=True)
    following = np.arange(size, dtype=np.int32)
    following[first] = after[order][places]
    return following


@dataclass(frozen=True)
class Bigram:
    """The likeliest token some frames after each: ``following`` int32 [K]."""

    following: Tokens

    @classmethod
    def fit(cls, tokens: Tokens, size: int, bounds: EpisodeBounds, step: int) -> Bigram:
        """Count pairs in these episodes."""
        return cls(likeliest_followers(*pairs(tokens, bounds, step), size))

    def accuracy(self, tokens: Tokens, bounds: EpisodeBounds, step: int) -> float | None:
        """How often it is right in these episodes; None if none is that long."""
        now, later = pairs(tokens, bounds, step)
        return float((self.following[now] == later).mean()) if now.size else None


def token_figures(tokens: Tokens, size: int, trained: EpisodeBounds, judged: EpisodeBounds) -> dict[str, Any]:
    """Usage of all tokens int32 [N, P], and the baselines per k, fitted on ``trained`` and scored on ``judged``."""
    usage = Usage.of(tokens, size)
    steps = range(1, STEPS + 1)
    return {
        "used": usage.used,
        "dead": size - usage.used,
        "entropy": usage.entropy,
        "perplexity": usage.perplexity,
        "most_frequent": [list(each) for each in usage.most_frequent()],
        "counts": usage.counts.tolist(),
        "copy": [copy_accuracy(tokens, judged, step) for step in steps],
        "bigram": [Bigram.fit(tokens, size, trained, step).accuracy(tokens, judged, step) for step in steps],
    }
