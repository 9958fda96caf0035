"""What an encoder can be trained by without a label: hidden parts of its own clip, or time.

``masked`` is V-JEPA 2's: the latents that a slowly following copy of the encoder gives to the hidden tokens are
foretold from the seen ones. ``temporal`` asks of the mean of all tokens, which is what a study reads by default, that
it tells a clip from the clips of other moments and scenes, but not from its neighbour one or two frames away.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from world_modality.pretraining.corpus import Corpus, Indices
from world_modality.pretraining.masks import KINDS, draw_masks
from world_modality.pretraining.networks import TUBELET, build_network, taken, visible_tokens
from world_modality.pretraining.specs import NetworkSpec, PretrainingSpec

TEMPERATURE = 0.1
PROJECTED = 64  # numbers by which clips are told apart
TASKS_AT_ONCE = 4  # that a batch of ``temporal`` is drawn from: most of what a clip is told from is of its own scene


class Masked(nn.Module):
    """Masked latent prediction with a target that follows as a moving average."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.network = build_network(spec)
        self.target = copy.deepcopy(self.network.encoder).requires_grad_(False)
        self._side, self._times = spec.image_size // spec.patch, spec.frames // TUBELET

    def loss(self, corpus: Corpus, rng: np.random.Generator, batch_size: int) -> tuple[Tensor, Tensor]:
        """Mean absolute error of the foretold latents, against targets of mean 0 and variance 1 per token.

        Of a batch that ``rng`` draws. With it come the clips' mean tokens [B, D], for a look at their spread.
        """
        videos = corpus.videos(rng.choice(len(corpus.clips), batch_size, replace=batch_size > len(corpus.clips)))
        drawn = draw_masks(rng, batch_size, self._side, self._times, KINDS[rng.integers(len(KINDS))])
        seen, hidden = (torch.from_numpy(numbers) for numbers in drawn)
        with torch.no_grad():
            tokens = self.target(videos).last_hidden_state
            wanted = taken(F.layer_norm(tokens, tokens.shape[-1:]), hidden)
        context = visible_tokens(self.network.encoder, videos, seen)
        places = seen[..., None].expand_as(context)
        whole = context.new_zeros(tokens.shape).scatter(
            1, places, context
        )  # of which the predictor takes the seen ones
        foretold = self.network.predictor(whole, [seen], [hidden]).last_hidden_state
        return (foretold - wanted).abs().mean(), tokens.mean(dim=1)

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """Move the target towards the encoder."""
        for own, other in zip(self.target.parameters(), self.network.encoder.parameters(), strict=True):
            own.lerp_(other, 1 - momentum)

    def trained(self) -> Any:
        """The network with the target as its encoder, as V-JEPA's authors use it."""
        self.network.encoder.load_state_dict(self.target.state_dict())
        return self.network


class Temporal(nn.Module):
    """Contrast of moments (InfoNCE): a clip's neighbour in its shot against clips of other shots."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.network = build_network(spec)
        self.network.predictor.requires_grad_(False)
        self.project = nn.Sequential(
            nn.Linear(spec.hidden, 2 * spec.hidden), nn.GELU(), nn.Linear(2 * spec.hidden, PROJECTED)
        )

    def loss(self, corpus: Corpus, rng: np.random.Generator, batch_size: int) -> tuple[Tensor, Tensor]:
        """Cross-entropy of finding each clip's neighbour among all others of the batch; and as of :class:`Masked`."""
        one, other = draw_pairs(corpus, rng, batch_size // 2)
        pooled = self.network.encoder(corpus.videos(np.concatenate([one, other]))).last_hidden_state.mean(dim=1)
        told = F.normalize(self.project(pooled), dim=-1)
        alike = (told @ told.T / TEMPERATURE).fill_diagonal_(-torch.inf)
        return F.cross_entropy(alike, torch.arange(len(told)).roll(len(one))), pooled.detach()

    def follow(self, momentum: float) -> None:
        """Nothing does."""

    def trained(self) -> Any:
        """The network as it is."""
        return self.network


def draw_pairs(corpus: Corpus, rng: np.random.Generator, count: int) -> tuple[Indices, Indices]:
    """Numbers of ``count`` clips of different shots of a few tasks, and of a neighbour of each in its shot."""
    present = np.unique(corpus.tasks)
    chosen = rng.choice(present, min(TASKS_AT_ONCE, len(present)), replace=False)
    rows = np.flatnonzero(np.isin(corpus.tasks, chosen))
    shots = np.unique(corpus.shots[rows])
    shots = rng.choice(shots, count, replace=count > len(shots))
    pairs = np.array([_pair(np.flatnonzero(corpus.shots == shot), rng) for shot in shots])
    return pairs[:, 0], pairs[:, 1]


def _pair(clips: Indices, rng: np.random.Generator) -> Indices:
    pair: Indices = rng.choice(clips, 2, replace=len(clips) < 2)
    return pair


type Objective = Masked | Temporal


def build_objective(spec: PretrainingSpec) -> Objective:
    """The objective that ``spec`` names, of weights that its seed draws."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        return Masked(spec.network) if spec.objective == "masked" else Temporal(spec.network)
