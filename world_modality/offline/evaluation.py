"""Offline evaluation of a model of the discrete line: its errors on demonstrated frames, and what corruption does.

Every figure is a ratio of two sums over frames, and its interval is over episodes: other episodes might have been
judged. A corrupted run differs from the clean one in what is corrupted, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lerobot_policy_world_modality.transformer_policy import FUTURE_LATENTS, FUTURE_TOKENS, LATENTS, PADDING, VALID
from world_modality.data.schema import ACTION
from world_modality.discrete.transformer import Answer
from world_modality.facts.offline import Corruption
from world_modality.offline.donors import Frames
from world_modality.offline.interventions import Interventions, answer
from world_modality.offline.judged import OWN, Judged
from world_modality.offline.result import (
    CLEAN,
    EPISODES,
    FORM,
    LIMITS,
    RESULT,
    ActionErrors,
    Estimate,
    Floats,
    Intervention,
    LatentForecast,
    LeftOut,
    OfflineResult,
    Sums,
    TokenForecast,
    estimate,
    write_episodes,
)
from world_modality.offline.sums import EpisodeSums, Part, action_part, latent_parts, right_part
from world_modality.store.files import write_json
from world_modality.tokens.baselines import Bigram
from world_modality.tokens.target import BEST, hits

BATCH = 256
FEW = 4  # tokens of a frame up to which so many frames are run at once
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Evaluation:
    """A checkpoint's figures, and the sums that they and their intervals are made of."""

    result: OfflineResult
    runs: Mapping[str, Sums]
    tasks: tuple[str, ...]  # of the judged episodes

    def write(self, folder: Path) -> None:
        """Write ``offline.json`` and ``episodes.parquet`` into a folder."""
        write_episodes(folder / EPISODES, self.runs, self.result.episodes, self.tasks)
        write_json(folder / RESULT, self.result.model_dump(mode="json"))


def evaluate(
    judged: Judged,
    *,
    training: str = "",
    wanted: Callable[[Corruption], bool] = lambda _: True,
    batch: int = BATCH,
    tell: Callable[[int, int], None] = lambda *_: None,
) -> Evaluation:
    """Run the model on the judged frames, as it is and with every ``wanted`` corruption that means something to it.

    Args:
        judged: the checkpoint and its frames.
        training: key of the stage that trained it, for the record.
        wanted: which corruptions.
        batch: frames at once.
        tell: called with how many frames are done, and of how many.
    """
    run = _Run(judged, wanted)
    frames = judged.frames
    step = max(1, batch * FEW // max(FEW, judged.policy.config.world_latent_tokens))
    for start in range(0, len(frames), step):
        run.add(frames[start : start + step])
        tell(min(start + step, len(frames)), len(frames))
    return Evaluation(_result(run, training), {name: sums.sums for name, sums in run.sums.items()}, judged.donors.tasks)


class _Run:
    """Sums of the clean run and of the corrupted ones."""

    def __init__(self, judged: Judged, wanted: Callable[[Corruption], bool]) -> None:
        self.judged, self.interventions = judged, Interventions(judged)
        self.corruptions = tuple(each for each in self.interventions.possible if wanted(each))
        runs = (CLEAN, *(each.name for each in self.corruptions))
        self.sums = {name: EpisodeSums(len(judged.episodes)) for name in runs}

    def add(self, frames: Frames) -> None:
        """Run all of it on some frames."""
        judged, policy = self.judged, self.judged.policy
        batch, places = judged.batch(frames), judged.donors.bounds.find(frames)
        memory = self.interventions.memory(frames)
        clean = answer(policy, batch, memory=memory)
        parts = {**self._read(clean, batch), **self._known(clean, batch, frames)}
        own = judged.after(clean.actions).float().cpu()
        parts["action_own"] = action_part(own, batch[OWN], batch[PADDING].cpu())
        self.sums[CLEAN].add(places, parts)
        for corruption in self.corruptions:
            if corruption.of == "token":
                other = answer(policy, batch, token=self.interventions.token(corruption, frames), memory=memory)
            else:
                assert memory is not None
                other = answer(policy, batch, memory=self.interventions.corrupted_memory(corruption, frames, memory))
            self.sums[corruption.name].add(places, self._read(other, batch))

    def _read(self, found: Answer, batch: dict[str, Any]) -> dict[str, Part]:
        """What any run is judged by."""
        parts = {"action": action_part(found.actions, batch[ACTION], batch[PADDING])}
        if found.world is not None and self.judged.policy.config.row.predicts == "tokens":
            tokens, valid = batch[FUTURE_TOKENS], batch[VALID]
            for best in BEST:
                parts[f"top{best}"] = hits(found.world, tokens, best) * valid, valid
        return parts

    def _known(self, found: Answer, batch: dict[str, Any], frames: Frames) -> dict[str, Part]:
        """What is told of the clean run alone: the baselines of tokens, and how latents are foreseen."""
        policy, valid = self.judged.policy, batch[VALID]
        if policy.config.row.predicts == "tokens":
            tokens = batch[FUTURE_TOKENS]
            assert self.judged.tokens is not None
            now = self.judged.tokens.tokens[frames].astype(np.int64)
            guesses = {"copied": np.repeat(now[:, None], tokens.shape[1], axis=1)}
            guesses["bigram"] = np.stack([each.following[now] for each in self._bigrams], axis=1)
            return {
                name: right_part(torch.from_numpy(guess).to(tokens.device), tokens, valid)
                for name, guess in guesses.items()
            }
        if policy.config.row.predicts == "latents":
            assert found.world is not None
            now, future = (policy.standardised(batch[name]) for name in (LATENTS, FUTURE_LATENTS))
            return latent_parts(found.world.float(), now, future, valid)
        return {}

    @cached_property
    def _bigrams(self) -> tuple[Bigram, ...]:
        """Per step ahead, fitted on the episodes for that."""
        cache, horizon = self.judged.tokens, self.judged.policy.config.world_prediction_horizon
        assert cache is not None
        size, fitted = cache.codebook.size, self.judged.fitted
        return tuple(Bigram.fit(cache.tokens, size, fitted, step) for step in range(1, horizon + 1))


def _result(run: _Run, training: str) -> OfflineResult:
    judged, clean = run.judged, run.sums[CLEAN].sums
    config = judged.policy.config
    predicts = config.row.predicts
    return OfflineResult(
        form=FORM,
        model=config.row.name,
        memory=config.world_memory_mode_train,
        training=training,
        training_seed=config.world_seed,
        dataset_fingerprint=judged.policy._latents.latents.dataset_fingerprint,
        held_out=judged.held_out,
        episodes=judged.episodes,
        tasks=len(set(judged.donors.tasks)),
        frames=len(judged.frames),
        frames_there=len(judged.donors.frames),
        chunk_size=config.chunk_size,
        prediction_horizon=config.world_prediction_horizon,
        dimensions=judged.dimensions,
        seed=judged.donors.seed,
        confidence=CONFIDENCE,
        actions=_actions(clean),
        tokens=_tokens(clean, judged) if predicts == "tokens" else None,
        latents=_latents(clean) if predicts == "latents" else None,
        interventions=tuple(_intervention(each, run.sums[each.name].sums, clean) for each in run.corruptions),
        left_out=tuple(LeftOut(name=name, why=why) for name, why in run.interventions.left_out.items()),
    )


def _actions(sums: Sums) -> ActionErrors:
    return ActionErrors(
        all=_all(sums, "action"),
        steps=_along(sums, "action", 1),
        dimensions=_along(sums, "action", 2),
        table=_table(sums["action"]),
        own_dimensions=_along(sums, "action_own", 2),
        own_table=_table(sums["action_own"]),
    )


def _tokens(sums: Sums, judged: Judged) -> TokenForecast:
    names = ("top1", "top5", "copied", "bigram")
    return TokenForecast(
        **{name: _along(sums, name, 1) for name in names},
        all={name: _all(sums, name) for name in names},
        fitted_on=len(judged.fitted.starts),
        fitted_apart=judged.apart,
    )


def _latents(sums: Sums) -> LatentForecast:
    names = ("skill", "change_cosine")
    return LatentForecast(
        **{name: _along(sums, name, 1) for name in names}, all={name: _all(sums, name) for name in names}
    )


def _intervention(corruption: Corruption, sums: Sums, clean: Sums) -> Intervention:
    (error, counted), (before, _) = sums["action"], clean["action"]
    top1 = sums.get("top1")
    return Intervention(
        name=corruption.name,
        error=_all(sums, "action"),
        change=estimate(error - before, counted, CONFIDENCE),
        relative=estimate(error - before, before, CONFIDENCE),
        top1=None if top1 is None else _all(sums, "top1"),
        top1_change=None if top1 is None else estimate(top1[0] - clean["top1"][0], top1[1], CONFIDENCE),
    )


def _all(sums: Sums, figure: str) -> Estimate:
    return estimate(*sums[figure], CONFIDENCE, LIMITS[figure])


def _along(sums: Sums, figure: str, axis: int) -> tuple[Estimate, ...]:
    """An estimate per place of an axis of [E, ...], over all others."""
    above, below = (np.moveaxis(each, axis, 0) for each in sums[figure])
    return tuple(estimate(one, other, CONFIDENCE, LIMITS[figure]) for one, other in zip(above, below, strict=True))


def _table(pair: tuple[Floats, Floats]) -> tuple[tuple[float | None, ...], ...]:
    """Without intervals: of an episode alone, the estimate of a place is its value."""
    above, below = (each.sum(axis=0, keepdims=True) for each in pair)
    steps, dimensions = above.shape[1:]
    return tuple(
        tuple(estimate(above[:, k, d], below[:, k, d], CONFIDENCE).value for d in range(dimensions))
        for k in range(steps)
    )
