"""Do latents tell moments apart? The training frame nearest to what a Prophet foresees, beside that of what came.

A latent that looks alike all along an episode has its nearest neighbour anywhere. So the neighbour's moment, its place
between the first and the last frame of its episode, from 0 to 1, is compared with the moment that was looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from world_modality.latents.windows import EpisodeBounds
from world_modality.memory.attachment import ProphetSizes
from world_modality.memory.ridge import FrameIndices, Windows
from world_modality.pretraining.spread import effective_rank
from world_modality.prophet.episodes import batch_size
from world_modality.prophet.judging import Predict
from world_modality.store.keys import keyed_seed

ASKED = 128  # frames whose future is looked for
CANDIDATES = 16_384  # training frames that it is looked for among
RANKED_FRAMES, RANKED_TASKS = 512, 20  # at most, for the effective rank: of each task, and tasks
EXAMPLES = 3
KINDS = ("true", "predicted", "present")
"""What is looked for: the latent that came, the predicted one, and the present one in its place."""

Latents = Callable[[FrameIndices], Tensor]
"""Frames [B] -> their standardised latents [B, P, W]."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class JudgedEpisodes:
    """The episodes of a dataset: their tasks, and which are held out. Judged are those, or all."""

    bounds: EpisodeBounds
    tasks: Sequence[str]
    held_out: tuple[int, ...] = ()

    def of(self, frames: FrameIndices) -> FrameIndices:
        """The episodes of some frames [n]."""
        return self.bounds.find(frames)

    def moment(self, frames: FrameIndices) -> Floats:
        """Their places in their episodes, from 0 to 1: [n]."""
        start, end = self.bounds.around(frames)
        moments: Floats = (frames - start) / np.maximum(1, end - 1 - start)
        return moments

    def task(self, frames: FrameIndices) -> NDArray[np.str_]:
        """Their tasks [n]."""
        return np.array(self.tasks)[self.of(frames)]

    def asked(self, step: int) -> FrameIndices:
        """Frames of judged episodes that have one so many steps later; a keyed draw of ``ASKED`` if there are more."""
        return _drawn(_frames(self.bounds.only(self.held_out or range(len(self.tasks))), step), ASKED, "asked")

    def candidates(self) -> FrameIndices:
        """Frames of the others, or of all if none is held out; a keyed draw of ``CANDIDATES`` if there are more."""
        return _drawn(_frames(self.bounds.without(self.held_out), 0), CANDIDATES, "candidates")


def nearest_frames(
    predict: Predict, sizes: ProphetSizes, episodes: JudgedEpisodes, windows: Windows, latents: Latents
) -> dict[str, Any] | None:
    """Where the nearest training frames lie, as JSON values; None where no judged episode has a frame K steps ahead, or
    none but its own episode is there to look in.

    ``by_episode`` has sums over the ``frames`` of each: the ``moment_gap`` between the neighbour and the frame that
    came, and how often both are of the ``same_task``, for what was looked for and for ``chance``, any of the
    candidates. ``rank`` is the effective rank of training latents within a task, the mean over tasks (Roy and Vetterli
    2007). ``examples`` name frames by their global index.

    Args:
        predict: the Prophet.
        sizes: its sizes; K frames ahead are looked at.
        episodes: of the dataset.
        windows: what gives standardised latents around frames.
        latents: what gives those of the frames themselves.
    """
    step = sizes.prediction_horizon
    asked, candidates = episodes.asked(step), episodes.candidates()
    own = episodes.of(asked)[:, None] == episodes.of(candidates)[None]
    possible = ~own.all(axis=1)
    asked, own = asked[possible], own[possible]
    if not len(asked):
        return None
    wanted = _wanted(predict, windows, asked, sizes)
    found = _nearest(wanted, candidates, own, latents, sizes.tokens)
    return {
        "step": step,
        "frames": len(asked),
        "candidates": len(candidates),
        "rank": _rank(candidates, latents, episodes, sizes),
        "by_episode": _by_episode(asked + step, found, candidates, own, episodes),
        "examples": _examples(asked, step, found, episodes),
    }


def _frames(bounds: EpisodeBounds, ahead: int) -> FrameIndices:
    """All frames, ascending, but for the last ``ahead`` ones of every episode."""
    spans = zip(bounds.starts, bounds.ends, strict=True)
    return np.concatenate([np.arange(start, max(start, end - ahead), dtype=np.int64) for start, end in spans])


def _drawn(frames: FrameIndices, most: int, purpose: str) -> FrameIndices:
    if len(frames) <= most:
        return frames
    drawn = np.random.default_rng(keyed_seed("nearest", purpose)).choice(len(frames), most, replace=False)
    return frames[np.sort(drawn)]


def _wanted(predict: Predict, windows: Windows, asked: FrameIndices, sizes: ProphetSizes) -> dict[str, Tensor]:
    """What is looked for, by kind: [n, P * W] each. Of several hypotheses their mean."""
    parts: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
    size = batch_size(sizes.tokens)
    for first in range(0, len(asked), size):
        batch = asked[first : first + size]
        window = windows(batch)
        parts["true"].append(window.future[:, -1])
        parts["predicted"].append(predict(window.history, batch)[:, :, -1].mean(1))
        parts["present"].append(window.history[:, -1])
    return {kind: torch.cat(each).flatten(1).float() for kind, each in parts.items()}


def _nearest(
    wanted: Mapping[str, Tensor], candidates: FrameIndices, own: NDArray[np.bool_], latents: Latents, tokens: int
) -> dict[str, FrameIndices]:
    """By kind, the candidate of the least Euclidean distance that is of another episode: [n]."""
    least = {kind: torch.full((len(own),), float("inf"), device=each.device) for kind, each in wanted.items()}
    place = {kind: torch.zeros(len(own), dtype=torch.int64, device=each.device) for kind, each in wanted.items()}
    size = batch_size(tokens)
    for first in range(0, len(candidates), size):
        there = latents(candidates[first : first + size]).flatten(1).float()
        barred = torch.from_numpy(own[:, first : first + size]).to(there.device)
        for kind, each in wanted.items():
            # number by number: products of matrices are rounded otherwise for another batch, and decide near ties
            distances = torch.cdist(each, there, compute_mode="donot_use_mm_for_euclid_dist")
            distance, at = distances.masked_fill(barred, float("inf")).min(dim=1)
            nearer = distance < least[kind]
            least[kind] = torch.where(nearer, distance, least[kind])
            place[kind] = torch.where(nearer, at + first, place[kind])
    return {kind: candidates[each.cpu().numpy()] for kind, each in place.items()}


def _by_episode(
    came: FrameIndices,
    found: Mapping[str, FrameIndices],
    candidates: FrameIndices,
    own: NDArray[np.bool_],
    episodes: JudgedEpisodes,
) -> dict[str, Any]:
    numbers, place = np.unique(episodes.of(came), return_inverse=True)

    def summed(values: NDArray[Any]) -> list[float]:
        return [float(f"{value:.7g}") for value in np.bincount(place, values.astype(np.float64), len(numbers))]

    when, what = episodes.moment(came), episodes.task(came)
    gaps = np.abs(episodes.moment(candidates)[None] - when[:, None])
    alike = episodes.task(candidates)[None] == what[:, None]
    others = (~own).sum(axis=1)
    return {
        "episodes": numbers.tolist(),
        "frames": np.bincount(place).tolist(),
        "moment_gap": {
            **{kind: summed(np.abs(episodes.moment(each) - when)) for kind, each in found.items()},
            "chance": summed((gaps * ~own).sum(axis=1) / others),
        },
        "same_task": {
            **{kind: summed(episodes.task(each) == what) for kind, each in found.items()},
            "chance": summed((alike & ~own).sum(axis=1) / others),
        },
    }


def _rank(candidates: FrameIndices, latents: Latents, episodes: JudgedEpisodes, sizes: ProphetSizes) -> dict[str, Any]:
    """The effective rank within tasks, of how many frames of a task at least, and of how many numbers."""
    task = episodes.task(candidates)
    ranks, fewest = [], RANKED_FRAMES
    for name in sorted(set(episodes.tasks))[:RANKED_TASKS]:
        frames = _drawn(candidates[task == name], RANKED_FRAMES, "rank")
        if len(frames) > 1:
            ranks.append(effective_rank(latents(frames).mean(dim=1).double().cpu().numpy()))
            fewest = min(fewest, len(frames))
    value = float(f"{np.mean(ranks):.5g}") if ranks else None
    return {"within_tasks": value, "fewest_frames": fewest if ranks else 0, "dimensions": sizes.dim}


def _examples(
    asked: FrameIndices, step: int, found: Mapping[str, FrameIndices], episodes: JudgedEpisodes
) -> list[dict[str, int]]:
    """Of the first judged episodes, the frame that is nearest to the middle, and its neighbours."""
    episode, moment = episodes.of(asked), episodes.moment(asked)
    rows = []
    for number in np.unique(episode)[:EXAMPLES]:
        own = np.flatnonzero(episode == number)
        at = own[np.abs(moment[own] - 0.5).argmin()]
        frames = {"present": asked[at], "true": asked[at] + step}
        frames |= {f"nearest_to_{kind}": found[kind][at] for kind in ("predicted", "true")}
        rows.append({name: int(frame) for name, frame in frames.items()})
    return rows
