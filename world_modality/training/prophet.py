"""How well a checkpoint's Prophet foresees episodes that were not trained on, beside the baselines it must beat.

One that follows the flow's noisy actions is told the demonstrated ones, as its policy has them where the flow ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch
from torch import Tensor

from world_modality.data.episodes import held_out_episodes, load_metadata
from world_modality.data.schema import ACTION
from world_modality.errors import UserError
from world_modality.facts.targets import TARGETS
from world_modality.latents.windows import EpisodeBounds
from world_modality.memory.action_conditioning import NoisyActions
from world_modality.memory.baselines import FEW
from world_modality.memory.lookup import LatentLookup, LatentWindow
from world_modality.memory.randomness import borrowed_generator
from world_modality.memory.world import WorldMemory
from world_modality.policies.trusted import build_processors
from world_modality.store.keys import keyed_seed

PROPHET = "prophet.json"
"""The evaluation, in the artifact of a training with world memory."""

MOST_FRAMES = 65536  # to fit on, and to judge on: more take hours and move no figure
CHOOSING = 0.2  # share of the training episodes that choose the ridge's penalty
BATCH = 256

FrameIndices = npt.NDArray[np.int64]


def evaluate_prophet(
    checkpoint: Path, dataset: Path, latents: Sequence[Path], *, device: str = "cpu"
) -> dict[str, Any]:
    """The target's figures of merit for a checkpoint's Prophet and the baselines, as JSON values.

    Judged on the episodes that the checkpoint says were held out, baselines fitted on the others; a checkpoint that
    held none out is judged on what it was trained on, and ``held_out`` is false. A Prophet that follows the noisy
    actions is told the demonstrated ones at flow time 0, and ``actions`` is "demonstrated".

    Args:
        checkpoint: a ``pretrained_model`` folder with world modules.
        dataset: the LeRobotDataset that it was trained on.
        latents: folders of that dataset's latents, one per camera of the checkpoint, in its order.
        device: where to compute.

    Raises:
        UserError: they do not belong together, or the checkpoint has no world memory.
    """
    world, lookup, told = _load(checkpoint, dataset, latents, device)
    context, prediction_horizon = world.sizes.context, world.sizes.prediction_horizon

    def windows(frames: FrameIndices) -> LatentWindow:
        found = lookup.window(torch.from_numpy(frames), context, prediction_horizon).to(torch.device(device))
        return LatentWindow(world.standardiser(found.history), world.standardiser(found.future), found.valid)

    judged = lookup.held_out or tuple(range(len(lookup.bounds.starts)))
    trained = _frames_with_future(lookup.trained, "fitted")
    start, end = lookup.trained.around(trained)
    target = world.target
    baselines = target.fit_baselines(
        windows, trained, np.minimum(end - 1 - trained, prediction_horizon), np.isin(start, _choosing(lookup.trained))
    )
    metrics = target.metrics(prediction_horizon)
    frames = _frames_with_future(lookup.bounds.only(judged), "judged")
    for batch in _batches(frames, world.sizes.tokens):
        window = windows(batch)
        noisy = None if told is None else told.of(batch, prediction_horizon)
        predictions = {"prophet": world.prophet(window.history, noisy)}
        if world.sizes.hypotheses > 1:
            predictions["prophet_best"] = target.best_hypothesis(predictions["prophet"], window.future, window.valid)
        predictions |= {name: each[:, None] for name, each in baselines.predict(window.history).items()}
        metrics.add(predictions, window.history[:, -1], window.future, window.valid)
    return {
        "target": world.sizes.target,
        "held_out": bool(lookup.held_out),
        "episodes": list(judged),
        "frames": len(frames),
        "frames_per_step": metrics.frames,
        "fitted_frames": len(trained),
        "hypotheses": world.sizes.hypotheses,
        "actions": "none" if told is None else "demonstrated",
        **baselines.facts(),
        "predictors": metrics.figures(),
    }


def describe(result: dict[str, Any]) -> str:
    """``prophet on 3 held-out episodes: change cosine k=1 0.44 (ridge 0.41), ...``: the first and the last step."""
    count, predictors = len(result["episodes"]), result["predictors"]
    target = TARGETS[result["target"]]
    kind = "held-out" if result["held_out"] else "training"
    given = " given the demonstrated actions" if result["actions"] == "demonstrated" else ""
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


def _load(
    checkpoint: Path, dataset: Path, latents: Sequence[Path], device: str
) -> tuple[WorldMemory, LatentLookup, DemonstratedActions | None]:
    """The world modules, the latents, and the actions if the Prophet follows them."""
    from lerobot.configs import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class

    from lerobot_policy_world_modality.world_parts import open_training_latents

    config = PreTrainedConfig.from_pretrained(checkpoint)
    if getattr(config, "world_memory_mode_train", "disabled") == "disabled":
        raise UserError(f"{checkpoint} has no world memory, so it has no Prophet to judge: give one that has")
    config.world_latents, config.device = os.pathsep.join(map(str, latents)), device
    lookup = open_training_latents(config, load_metadata(dataset))
    with borrowed_generator():
        policy = get_policy_class(config.type).from_pretrained(checkpoint, config=config)
    assert policy.world is not None
    world = policy.world.eval().requires_grad_(False)
    told = DemonstratedActions(policy, checkpoint, dataset, lookup.bounds) if world.sizes.actions else None
    return world, lookup, told


def _frames_with_future(bounds: EpisodeBounds, purpose: str) -> FrameIndices:
    """The frames of ``bounds`` but for each episode's last, ascending; a keyed draw of ``MOST_FRAMES`` if more."""
    spans = zip(bounds.starts, bounds.ends, strict=True)
    frames = np.concatenate([np.arange(start, end - 1, dtype=np.int64) for start, end in spans])
    if len(frames) <= MOST_FRAMES:
        return frames
    drawn = np.random.default_rng(keyed_seed("prophet", purpose)).choice(len(frames), MOST_FRAMES, replace=False)
    return frames[np.sort(drawn)]


def _choosing(bounds: EpisodeBounds) -> FrameIndices:
    """First frames of the episodes that choose the ridge's penalty."""
    return bounds.starts[list(held_out_episodes([""] * len(bounds.starts), CHOOSING, "ridge"))]


def _batches(frames: FrameIndices, tokens: int) -> Iterator[FrameIndices]:
    """Fewer frames at once where many tokens stand for each: bounds memory."""
    size = max(1, BATCH * FEW // max(FEW, tokens))
    return (frames[start : start + size] for start in range(0, len(frames), size))


class DemonstratedActions:
    """All actions of a dataset in the units of a policy."""

    def __init__(self, policy: Any, checkpoint: Path, dataset: Path, bounds: EpisodeBounds) -> None:
        """Read and convert them.

        Args:
            policy: LeRobot's, loaded from ``checkpoint``.
            checkpoint: folder with the processors.
            dataset: a LeRobotDataset.
            bounds: its episodes.
        """
        self._bounds = bounds
        self._actions = _in_units_of(policy, checkpoint, _read(dataset, bounds.frames))

    def of(self, frames: npt.NDArray[np.int64], length: int) -> NoisyActions:
        """``length`` actions from each of ``frames`` [B] on, at flow time 0; an episode's last one is repeated."""
        _, end = self._bounds.around(frames)
        rows = np.minimum(frames[:, None] + np.arange(length), end[:, None] - 1)
        return NoisyActions(self._actions[torch.from_numpy(rows)], self._actions.new_zeros(len(frames)))


def _read(dataset: Path, frames: int) -> Tensor:
    """float32 [frames, A], row = the frame's global index."""
    table = pq.read_table(sorted((dataset / "data").rglob("*.parquet")), columns=["index", ACTION])
    values = torch.tensor(table.column(ACTION).to_pylist(), dtype=torch.float32)
    actions = torch.zeros(frames, values.shape[1])
    actions[torch.tensor(table.column("index").to_pylist())] = values
    return actions


def _in_units_of(policy: Any, checkpoint: Path, actions: Tensor) -> Tensor:
    """As LeRobot's ``forward`` hands actions to its flow model: [N, max_action_dim], on the policy's device."""
    from lerobot.processor import NormalizerProcessorStep, TransitionKey
    from lerobot.processor.converters import create_transition

    device = policy.config.device
    overrides = {"device_processor": {"device": device}}
    preprocessor, _ = build_processors(policy.config, checkpoint, preprocessor_overrides=overrides)
    normalise = next(step for step in preprocessor.steps if isinstance(step, NormalizerProcessorStep))
    normal = normalise(create_transition(action=actions.to(device)))[TransitionKey.ACTION]
    if getattr(policy.config, "adapt_to_pi_aloha", False):  # a setting of SmolVLA alone
        normal = policy._pi_aloha_encode_actions_inv(normal[None])[0]
    padded: Tensor = policy.prepare_action({ACTION: normal})
    return padded.to(device)
