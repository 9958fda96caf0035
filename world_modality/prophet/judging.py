"""How well a Prophet foresees episodes that were not trained on, beside the baselines it must beat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from world_modality.facts.targets import TARGETS
from world_modality.memory.attachment import ProphetSizes
from world_modality.memory.lookup import LatentLookup
from world_modality.memory.ridge import FrameIndices, Windows
from world_modality.memory.target import target_of
from world_modality.prophet.episodes import TrainingFrames, batches, frames_with_future

PROPHET = "prophet.json"
"""The judgement, in the artifact of a Prophet, and of a training with world memory."""
MOST_EPISODES = 200
"""Judged episodes whose figures are kept one by one."""

Predict = Callable[[Tensor, FrameIndices], Tensor]
"""(standardised history [B, T, P, W], the frames [B] that it ends at) -> predictions [B, N, K, P, W]."""


def judge(predict: Predict, sizes: ProphetSizes, lookup: LatentLookup, windows: Windows) -> dict[str, Any]:
    """The target's figures of merit for a Prophet and the baselines, as JSON values.

    Judged on the episodes that are held out, baselines fitted on the others; if none is held out on what was trained
    on, and ``held_out`` is false. ``by_episode`` has the first two figures of the target of each judged episode.
    """
    judged = lookup.held_out or tuple(range(len(lookup.bounds.starts)))
    steps, target = sizes.prediction_horizon, target_of(sizes.target)
    training = TrainingFrames.of(lookup.trained, steps, 1)
    baselines = target.fit_baselines(windows, training.frames, training.ahead, training.part == 0)
    bounds = lookup.bounds.only(judged)
    frames = frames_with_future(bounds, "judged")
    start, _ = bounds.around(frames)
    metrics = target.metrics(steps)
    kept = tuple(figure.name for figure in TARGETS[sizes.target].figures[:2])
    single: dict[int, dict[str, Any]] = {}
    for first in np.unique(start):
        of_episode = target.metrics(steps)
        for batch in batches(frames[start == first], sizes.tokens):
            window = windows(batch)
            predictions = {"prophet": predict(window.history, batch)}
            if sizes.hypotheses > 1:
                predictions["prophet_best"] = target.best_hypothesis(
                    predictions["prophet"], window.future, window.valid
                )
            predictions |= {name: each[:, None] for name, each in baselines.predict(window.history).items()}
            for each in (metrics, of_episode):
                each.add(predictions, window.history[:, -1], window.future, window.valid)
        if len(single) < MOST_EPISODES:
            single[int(np.searchsorted(lookup.bounds.starts, first))] = of_episode.figures()
    return {
        "target": sizes.target,
        "held_out": bool(lookup.held_out),
        "episodes": list(judged),
        "frames": len(frames),
        "frames_per_step": metrics.frames,
        "fitted_frames": len(training.frames),
        "hypotheses": sizes.hypotheses,
        **baselines.facts(),
        "predictors": metrics.figures(),
        "by_episode": {
            "episodes": list(single),
            "predictors": {
                name: {figure: [found[name][figure] for found in single.values()] for figure in kept}
                for name in metrics.figures()
            },
        },
    }


def describe(result: dict[str, Any]) -> str:
    """``prophet on 3 held-out episodes: change cosine k=1 0.44 (ridge 0.41), ...``: the first and the last step."""
    count, predictors = len(result["episodes"]), result["predictors"]
    target = TARGETS[result["target"]]
    kind = "held-out" if result["held_out"] else "training"
    given = " given the demonstrated actions" if result.get("actions") == "demonstrated" else ""
    told = []
    for figure in (each.name for each in reversed(target.figures[:2])):
        values = []
        for k in sorted({1, len(result["frames_per_step"])}):
            known = {name: predictors[name][figure][k - 1] for name in ("prophet", *target.baselines)}
            if None not in known.values():
                best = max(target.baselines, key=lambda name: known[name])
                values.append(f"k={k} {known['prophet']:.2f} ({best.replace('_', ' ')} {known[best]:.2f})")
        told += [f"{figure.replace('_', ' ')} {', '.join(values)}"] if values else []
    figures = "; ".join(told) or "no frame has a future"
    return f"prophet on {count} {kind} episode{'s' * (count != 1)}{given}: {figures}"
