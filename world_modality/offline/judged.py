"""A checkpoint of the discrete line with the frames that it is judged on, and what is known of these."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from lerobot_policy_world_modality.world_policy import INDEX, PADDING
from world_modality.data.episodes import EpisodeTable, load_metadata, read_episode_table
from world_modality.data.schema import ACTION, STATE
from world_modality.errors import UserError
from world_modality.facts.offline import FAMILY, MOST_FRAMES
from world_modality.latents.windows import EpisodeBounds
from world_modality.memory.randomness import borrowed_generator
from world_modality.offline.donors import Donors, Frames, judged_frames
from world_modality.policies.config_file import read_config_file
from world_modality.policies.trusted import build_processors
from world_modality.tokens.reader import TokenCache

OWN = "own"  # in a batch: the actions in their own units
TASK = "task"  # in a LeRobot batch: the instructions, a text per row


@dataclass(frozen=True)
class Demonstrated:
    """A dataset's states and actions in their own units, float32 [N, S] and [N, A], row = the frame's index."""

    state: Tensor
    action: Tensor

    def chunks(self, frames: Frames, ends: Frames, length: int) -> tuple[Tensor, Tensor]:
        """Actions [B, length, A] from each of ``frames`` on, and bool [B, length]: whether they are past the end.

        ``ends`` are their episodes'; past them the last action is repeated, as LeRobot does it.
        """
        rows = frames[:, None] + np.arange(length)
        padded = rows >= ends[:, None]
        return self.action[torch.from_numpy(np.minimum(rows, ends[:, None] - 1))], torch.from_numpy(padded)


@dataclass(frozen=True)
class Judged:
    """A loaded policy, its units, and the frames."""

    policy: Any
    before: Callable[[dict[str, Any]], dict[str, Any]]  # LeRobot's preprocessor of the checkpoint
    after: Callable[[Tensor], Tensor]  # its postprocessor: actions in their own units
    demonstrated: Demonstrated
    bounds: EpisodeBounds  # of all episodes
    episodes: tuple[int, ...]  # those judged, ascending
    donors: Donors  # all their frames
    frames: Frames  # of these the ones that the model is run on
    fitted: EpisodeBounds  # what baselines are fitted on: training episodes, or if there are none, the judged ones
    held_out: bool  # whether the checkpoint says that the judged episodes were not trained on
    tokens: TokenCache | None
    dimensions: tuple[str, ...]  # the action's, as the dataset names them

    @property
    def apart(self) -> bool:
        """Whether baselines are fitted on other episodes than the judged ones."""
        return not set(self.fitted.starts.tolist()) & set(self.donors.bounds.starts.tolist())

    def batch(self, frames: Frames) -> dict[str, Any]:
        """What a training batch would hold of them, normalised, on the policy's device; and their actions as they
        are, in the place ``OWN``."""
        ends = self.bounds.around(frames)[1]
        actions, padded = self.demonstrated.chunks(frames, ends, self.policy.config.chunk_size)
        normal = self.before({STATE: self.demonstrated.state[torch.from_numpy(frames)], ACTION: actions})
        device = self.policy.config.device
        batch = {
            INDEX: torch.from_numpy(frames),
            STATE: normal[STATE].to(device),
            ACTION: normal[ACTION].to(device),
            PADDING: padded.to(device),
            OWN: actions,
            TASK: [self.donors.tasks[episode] for episode in self.donors.bounds.find(frames)],
        }
        around: dict[str, Any] = self.policy._around(batch)
        return batch | around


def load_judged(
    checkpoint: Path,
    dataset: Path,
    latents: Sequence[Path],
    tokens: Path | None,
    *,
    episodes: Sequence[int] | None = None,
    seed: int = 0,
    most: int = MOST_FRAMES,
    device: str = "cpu",
) -> Judged:
    """Load a checkpoint with the frames of some episodes.

    Args:
        checkpoint: a ``pretrained_model`` folder of type ``world_transformer``.
        dataset: a LeRobotDataset.
        latents: folders of its latents, one per camera of the checkpoint, in its order.
        tokens: folder of its world tokens; None for a model that knows none.
        episodes: to judge; None: those that the checkpoint says were held out.
        seed: of the draws that corrupt.
        most: frames that the model is run on; of more a keyed draw.
        device: where to compute.

    Raises:
        UserError: they do not belong together, the checkpoint is of another type, or held no episode out.
    """
    table, settings = read_episode_table(dataset), read_config_file(checkpoint)
    if settings["type"] != FAMILY:
        raise UserError(
            f"{checkpoint} is a policy of type '{settings['type']}': offline evaluation is of the discrete line's, "
            f"of type '{FAMILY}'"
        )
    metadata = load_metadata(dataset)
    for name in (STATE, ACTION):
        if name not in metadata.features:
            raise UserError(f"{dataset} has no feature {name}: a world_transformer reads one of that name, rename it")
    policy = _load(checkpoint, metadata, latents, tokens, device)
    held_out = _held_out(policy, checkpoint, asked=episodes is None)
    chosen = _chosen(episodes, held_out, len(table), checkpoint)
    bounds = EpisodeBounds.of(table.starts, table.ends)
    apart = sorted(set(range(len(table))) - set(chosen) - set(held_out))
    before, after = _processors(policy.config, checkpoint)
    return Judged(
        policy=policy,
        before=before,
        after=after,
        demonstrated=_read(dataset, table),
        bounds=bounds,
        episodes=chosen,
        donors=Donors.of(bounds, chosen, table.tasks, seed),
        frames=judged_frames(bounds.only(chosen), most),
        fitted=bounds.only(apart or chosen),
        held_out=bool(held_out) and set(chosen) <= set(held_out),
        tokens=policy._tokens,
        dimensions=_dimensions(metadata.features[ACTION]),
    )


def _load(checkpoint: Path, metadata: Any, latents: Sequence[Path], tokens: Path | None, device: str) -> Any:
    """LeRobot's policy in evaluation mode; UserError if latents or tokens are others than it was trained with."""
    from lerobot.configs import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class

    config = PreTrainedConfig.from_pretrained(checkpoint)
    config.device = device
    config.world_latents = os.pathsep.join(map(str, latents))
    config.world_tokens = "" if tokens is None else str(tokens)
    config.world_instructions = ""  # what it knows of them is in its weights
    with borrowed_generator():
        policy = get_policy_class(FAMILY).from_pretrained(checkpoint, config=config, dataset_meta=metadata)
    return policy.eval().requires_grad_(False)


def _held_out(policy: Any, checkpoint: Path, *, asked: bool) -> tuple[int, ...]:
    """The episodes of this dataset that the checkpoint holds out; UserError if it means another one's and is asked."""
    config, lookup = policy.config, policy._latents
    if config.world_trained_on in ("", lookup.training_set):
        return tuple(sorted(set(config.world_held_out)))
    if config.world_held_out and asked:
        raise of_another_dataset(checkpoint, config.world_held_out)
    return ()


def of_another_dataset(checkpoint: Path, held_out: Sequence[int]) -> UserError:
    """The error for a checkpoint that is asked which of a dataset's episodes it was trained on, and was on none."""
    named = ", of which it names the episodes that it held out" if held_out else ""
    return UserError(
        f"{checkpoint} was trained on another dataset{named}: evaluate it on that one, or name the episodes"
    )


def _chosen(
    episodes: Sequence[int] | None, held_out: tuple[int, ...], number: int, checkpoint: Path
) -> tuple[int, ...]:
    if episodes is None:
        if not held_out:
            raise UserError(
                f"{checkpoint} was trained without held-out episodes: name the episodes to evaluate it on, or train "
                "it with some held out"
            )
        return held_out
    found = tuple(sorted(set(episodes)))
    strange = ", ".join(str(each) for each in found if not 0 <= each < number)
    if strange or not found:
        raise UserError(f"the dataset has no episode {strange or 'of none'}: choose from 0 to {number - 1}")
    return found


def _processors(config: Any, checkpoint: Path) -> tuple[Any, Any]:
    where = {"device_processor": {"device": config.device}}
    return build_processors(config, checkpoint, preprocessor_overrides=where)


def _read(dataset: Path, table: EpisodeTable) -> Demonstrated:
    columns = pq.read_table(sorted((dataset / "data").rglob("*.parquet")), columns=["index", STATE, ACTION])
    rows = columns["index"].to_numpy()

    def of(name: str) -> Tensor:
        flat: NDArray[np.float32] = columns[name].combine_chunks().flatten().to_numpy().astype(np.float32)
        found = torch.zeros(table.frames, len(flat) // max(1, len(rows)))
        found[torch.from_numpy(rows.astype(np.int64))] = torch.from_numpy(flat.reshape(len(rows), -1))
        return found

    return Demonstrated(of(STATE), of(ACTION))


def _dimensions(feature: dict[str, Any]) -> tuple[str, ...]:
    """LeRobot has names as a list, as lists by kind, or not at all."""
    names = feature.get("names") or ()
    flat = [name for kind in names.values() for name in kind] if isinstance(names, dict) else list(names)
    width = int(feature["shape"][0])
    return tuple(map(str, flat)) if len(flat) == width else tuple(map(str, range(width)))
