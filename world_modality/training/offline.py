"""What each memory does to a checkpoint's actions on demonstrated frames: teacher-forced, and so with oracle too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lerobot.utils.constants import ACTION
from torch import Tensor

from lerobot_policy_world_modality.world_policy import PADDING, WORLD_FUTURE, WORLD_HISTORY
from world_modality.data.episodes import EpisodeTable, load_metadata, read_episode_table
from world_modality.data.tables import readable_tables
from world_modality.facts.memory import MODES, MemoryMode
from world_modality.facts.policies import family_of
from world_modality.memory.lookup import LatentLookup
from world_modality.memory.randomness import borrowed_generator, keyed_normal
from world_modality.policies.trusted import build_processors
from world_modality.store.keys import keyed_seed
from world_modality.training.arguments import Places, read_fields
from world_modality.training.frames import keep_frames_in_memory

OFFLINE = "offline.json"
"""The evaluation, in the artifact of a training."""

FRAMES = 128  # judged: a drawn sample, since every memory takes a whole chunk's denoising per frame
BATCH = 32
NOISE, OTHER_NOISE = "offline", "offline other noise"  # purposes of the chunks' noise


@dataclass(frozen=True)
class _Judged:
    """A checkpoint with the frames that it is judged on."""

    policy: Any
    lookup: LatentLookup | None
    batches: tuple[dict[str, Any], ...]
    episodes: npt.NDArray[np.int64]  # of every frame: [N]
    held_out: bool

    @property
    def inside(self) -> Tensor:
        """Which actions of every frame's chunk lie inside its episode: bool [N, chunk_size]."""
        return torch.cat([~batch[PADDING].cpu() for batch in self.batches])

    @property
    def actions(self) -> Tensor:
        """The demonstrated chunks [N, chunk_size, A], in the policy's normalised units."""
        return torch.cat([batch[ACTION].cpu() for batch in self.batches])


@dataclass(frozen=True)
class _Answers:
    """What a checkpoint makes of all judged frames with one memory."""

    losses: Tensor  # [N]: the policy's own; of the actions inside the episode, where the policy masks the others
    chunks: Tensor  # [N, chunk_size, A]: denoised, in the policy's normalised units


def evaluate_offline(
    checkpoint: Path,
    dataset: Path,
    latents: Sequence[Path],
    *,
    tokens: Sequence[Path] = (),
    instructions: Sequence[Path] = (),
    device: str = "cpu",
) -> dict[str, Any]:
    """Loss and error of a checkpoint's actions with every memory it can be given, as JSON values.

    Judged on the episodes that the checkpoint says were held out; one that held none out is judged on all.
    All memories meet the same frames, flow noise and times. ``flow_loss`` is the policy's own loss, ``action_rmse``
    the root mean squared error of denoised chunks, in the policy's normalised units, over actions inside the episode.

    ``by_episode`` has what intervals are made of, as sums over the ``actions`` of each episode: the loss; squares of
    ``dimensions`` numbers each of the error, and of ``action_change``, what the memory changes of the chunk with zero
    memory and the same noise; and ``noise_change``, what other noise changes of that chunk.

    Args:
        checkpoint: a ``pretrained_model`` folder, with or without world modules.
        dataset: the LeRobotDataset that it was trained on.
        latents: folders of that dataset's latents, one per camera of the checkpoint, in its order; none if it reads
            none.
        tokens: the same of its world tokens, if the checkpoint knows any.
        instructions: the one folder of its instructions' vectors, if the checkpoint reads them.
        device: where to compute.

    Raises:
        UserError: they do not belong together.
    """
    read = read_fields(Places(checkpoint, dataset, checkpoint, *map(tuple, (latents, tokens, instructions))))
    judged = _load(checkpoint, dataset, read, device)
    modes = _modes(judged)
    with torch.no_grad(), borrowed_generator():
        answers = {mode.name: _answers(judged, mode) for mode in modes}
        renoised = _chunks(judged, MODES["zero"], OTHER_NOISE) if "zero" in answers else None
    return {
        "held_out": judged.held_out,
        "frames": len(judged.episodes),
        "memories": {name: _figures(judged, each) for name, each in answers.items()},
        "by_episode": _by_episode(judged, answers, renoised),
    }


def describe(result: Mapping[str, Any]) -> str:
    """``offline on 128 held-out frames: action loss zero 0.152, pred 0.148``; without memory the number alone."""
    kind = "held-out" if result["held_out"] else "training"
    losses = {name: f"{figures['flow_loss']:.3f}" for name, figures in result["memories"].items()}
    told = ", ".join(loss if name == "disabled" else f"{name} {loss}" for name, loss in losses.items())
    return f"offline on {result['frames']} {kind} frames: action loss {told}"


def _modes(judged: _Judged) -> tuple[MemoryMode, ...]:
    """The memories that the checkpoint can be given, as their table orders them.

    Of other packages' only the one that it was trained with: what is installed beside us is not in a training's key.
    """
    config = judged.policy.config
    trained = config.train_mode
    if judged.policy.world is None:
        return (trained,)
    assert judged.lookup is not None  # of whatever has a memory
    donors = len(judged.lookup.trained.starts) > 1 and judged.policy.world.has_donors
    return tuple(
        mode
        for mode in MODES
        if mode.needs_world
        and mode.trainable  # what looks ahead needs a simulator
        and not mode.rolled  # judged by what it leads to
        and (mode == trained or not MODES.distribution(mode.name))
        and (trained.needs_learned or not mode.needs_learned)
        and (trained.needs_bank or not mode.needs_bank)  # the others do not carry it
        and (donors or not mode.needs_donors)
        and not (mode.delay and family_of(config.type).sees_latents)
    )


def _answers(judged: _Judged, mode: MemoryMode) -> _Answers:
    losses = torch.cat([_losses(judged.policy, mode, batch) for batch in judged.batches])
    return _Answers(losses, _chunks(judged, mode))


def _figures(judged: _Judged, answers: _Answers) -> dict[str, float]:
    """Means over all actions that lie inside their episode."""
    inside = judged.inside
    count, width = int(inside.sum()), judged.actions.shape[-1]
    loss = float((answers.losses.double() * inside.sum(1)).sum())
    squares = float((answers.chunks - judged.actions).square()[inside].double().sum())
    return {"flow_loss": round(loss / count, 6), "action_rmse": round((squares / (count * width)) ** 0.5, 6)}


def _by_episode(judged: _Judged, answers: Mapping[str, _Answers], renoised: Tensor | None) -> dict[str, Any]:
    inside, actions = judged.inside, judged.actions
    episodes, place = np.unique(judged.episodes, return_inverse=True)

    def summed(frames: Tensor) -> list[float]:
        """Of a number per frame [N], by episode."""
        return [float(f"{value:.7g}") for value in np.bincount(place, frames.double().numpy(), len(episodes))]

    def squares(one: Tensor, other: Tensor) -> list[float]:
        return summed(((one - other).square().sum(-1) * inside).sum(1))

    plain = answers["zero"].chunks if "zero" in answers else None
    return {
        "episodes": episodes.tolist(),
        "actions": [int(count) for count in summed(inside.sum(1))],
        "dimensions": actions.shape[-1],
        "memories": {
            name: {
                "flow_loss": summed(each.losses * inside.sum(1)),
                "action_error": squares(each.chunks, actions),
                **({} if plain is None else {"action_change": squares(each.chunks, plain)}),
            }
            for name, each in answers.items()
        },
        **({} if renoised is None or plain is None else {"noise_change": squares(renoised, plain)}),
    }


def _losses(policy: Any, mode: MemoryMode, batch: dict[str, Any]) -> Tensor:
    """The policy's own loss of every frame of a batch [B]; noise and times are keyed by the frames."""
    policy.config.world_memory_mode_train = mode.name
    losses: Tensor = policy.forward(dict(batch), reduction="none")[0]
    return losses.float().cpu()


def _chunks(judged: _Judged, mode: MemoryMode, purpose: str = NOISE) -> Tensor:
    """Denoised chunks of all frames, [N, chunk_size, A]; noise is keyed by the frames and its purpose."""
    policy = judged.policy
    policy.config.world_memory_mode_rollout = mode.name
    found = []
    for batch in judged.batches:
        policy.reset()
        seeds = [keyed_seed(purpose, frame) for frame in batch["index"].tolist()]
        noise = keyed_normal(seeds, (policy.config.chunk_size, policy.config.max_action_dim)).to(policy.config.device)
        chunk = policy.predict_action_chunk({**batch, **_shown(judged, mode, batch["index"])}, noise=noise)
        found.append(chunk.float().cpu())
    return torch.cat(found)


def _shown(judged: _Judged, mode: MemoryMode, index: Tensor) -> dict[str, Tensor]:
    """What an evaluator gives a policy to read, with the future that no rollout knows."""
    if judged.lookup is None:
        return {}
    config = judged.policy.config
    history = judged.lookup.history(index, config.world_context, mode.delay * config.world_prediction_horizon)
    future = judged.lookup.window(index, config.world_context, config.world_prediction_horizon).future
    return {WORLD_HISTORY: history.to(config.device), WORLD_FUTURE: future.to(config.device)}


def _load(checkpoint: Path, dataset: Path, read: Mapping[str, str], device: str) -> _Judged:
    """``read``: the fields of the config that say where what the policy reads lies."""
    from lerobot.configs import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class

    config, metadata = PreTrainedConfig.from_pretrained(checkpoint), load_metadata(dataset)
    config.device = device
    for field, folders in read.items():
        setattr(config, field, folders)
    with borrowed_generator():
        policy = get_policy_class(config.type).from_pretrained(checkpoint, config=config, dataset_meta=metadata)
    policy.config.world_lambda = policy.config.world_align_weight = 0.0  # its losses are then of the actions alone
    held_out, table = tuple(config.world_held_out), read_episode_table(dataset)
    frames = _sample(table, held_out)
    batches = _batches(policy.eval(), checkpoint, metadata, frames)
    episodes = np.searchsorted(table.starts, np.array(frames, np.int64), side="right") - 1
    return _Judged(policy, policy._latents, batches, episodes, bool(held_out))


def _sample(episodes: EpisodeTable, held_out: Sequence[int]) -> list[int]:
    """Global indices of the frames to judge, ascending: a keyed draw without return from the judged episodes."""
    judged = held_out or range(len(episodes))
    frames = np.concatenate([np.arange(episodes.starts[each], episodes.ends[each]) for each in judged])
    if len(frames) > FRAMES:
        frames = np.random.default_rng(keyed_seed("offline", "frames")).choice(frames, FRAMES, replace=False)
    return [int(frame) for frame in np.sort(frames)]


def _batches(policy: Any, checkpoint: Path, metadata: Any, frames: Sequence[int]) -> tuple[dict[str, Any], ...]:
    """The frames as training would show them, on the policy's device."""
    from lerobot.datasets.factory import resolve_delta_timestamps
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from torch.utils.data import default_collate

    config = policy.config
    with readable_tables():
        dataset = LeRobotDataset(
            metadata.repo_id,
            root=metadata.root,
            delta_timestamps=resolve_delta_timestamps(config, metadata),
            video_backend="pyav",
        )
    keep_frames_in_memory(dataset, None, threads=1)
    overrides = {"device_processor": {"device": config.device}}
    preprocessor, _ = build_processors(config, checkpoint, preprocessor_overrides=overrides)
    parts = (frames[start : start + BATCH] for start in range(0, len(frames), BATCH))
    return tuple(preprocessor(_as_floats(default_collate([dataset[frame] for frame in part]))) for part in parts)


def _as_floats(batch: dict[str, Any]) -> dict[str, Any]:
    """Pictures as LeRobot's training loop hands them on: floats in [0, 1]."""
    return {
        name: value.float() / 255 if isinstance(value, Tensor) and value.dtype == torch.uint8 else value
        for name, value in batch.items()
    }
