"""Where each episode of a LeRobotDataset begins and ends, what identifies the dataset, and which are held out."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world_modality.errors import UserError
from world_modality.store.keys import keyed_seed


@dataclass(frozen=True)
class EpisodeTable:
    """A dataset's episodes in order; together they cover every frame exactly once.

    ``starts`` and ``ends`` (exclusive) are global frame indices, int64 [E]; ``tasks`` the instruction of each.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    tasks: tuple[str, ...]
    fps: int

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def frames(self) -> int:
        """Number of frames of the whole dataset, N."""
        return int(self.ends[-1])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Frames per episode, int64 [E]."""
        return self.ends - self.starts


def load_metadata(root: Path) -> Any:
    """LeRobot's metadata object of a dataset on disk, never fetched from the hub.

    Raises:
        UserError: the folder holds no LeRobotDataset with episodes.
    """
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

    if not (root / "meta" / "info.json").is_file():
        raise UserError(f"{root} holds no LeRobotDataset v3 (meta/info.json is missing): give a dataset's root folder")
    metadata = LeRobotDatasetMetadata(f"local/{root.name}", root=root)
    if not metadata.total_episodes:
        raise UserError(f"the LeRobotDataset in {root} has no episodes: record or fetch some first")
    return metadata


def read_episode_table(root: Path) -> EpisodeTable:
    """The episode table of a dataset on disk, from its metadata.

    Raises:
        UserError: no dataset there, or its metadata contradicts itself.
    """
    metadata = load_metadata(root)
    rows = metadata.episodes
    starts = np.asarray(rows["dataset_from_index"], dtype=np.int64)
    ends = np.asarray(rows["dataset_to_index"], dtype=np.int64)
    tiled = starts[0] == 0 and (starts[1:] == ends[:-1]).all() and ends[-1] == metadata.total_frames
    if not tiled or (starts >= ends).any():
        raise UserError(
            f"the episode bounds in {root / 'meta' / 'episodes'} do not cover its {metadata.total_frames} frames "
            "one after the other: the metadata is damaged, fetch or build the dataset again"
        )
    tasks = tuple(" / ".join(texts) for texts in rows["tasks"])
    return EpisodeTable(starts, ends, tasks, int(metadata.fps))


def dataset_fingerprint(root: Path) -> str:
    """16 hex digits over the metadata's content and the data files' names and sizes.

    Tells datasets apart without reading their pictures; the pictures' digests are in the dataset stage's DONE.json.
    """
    digest = hashlib.sha256()
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        relative = file.relative_to(root)
        if relative.parts[0] == "meta":
            digest.update(f"{relative.as_posix()}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
        elif relative.parts[0] in ("data", "videos"):
            digest.update(f"{relative.as_posix()}\0{file.stat().st_size}\n".encode())
    return digest.hexdigest()[:16]


def held_out_episodes(tasks: Sequence[str], share: float, purpose: str = "held-out") -> tuple[int, ...]:
    """Numbers of the episodes to hold out, ascending: about ``share`` of every task's, at least one, never all.

    A task with a single episode keeps it for training. Episodes are taken in the order of a seed keyed by ``purpose``
    and the episode's number, so the choice depends on nothing else and grows with ``share``.

    Args:
        tasks: the task of each episode.
        share: from 0 (none) to 0.5; a count half way between two is rounded up.
        purpose: tells one splitting of the same episodes from another.

    >>> held_out_episodes(["open", "open", "open", "close"], 0.1)
    (2,)
    """
    chosen: list[int] = []
    for task in dict.fromkeys(tasks) if share > 0 else ():
        own = [episode for episode, name in enumerate(tasks) if name == task]
        count = min(max(1, math.floor(share * len(own) + 0.5)), len(own) - 1)
        chosen += sorted(own, key=lambda episode: keyed_seed(purpose, episode))[:count]
    return tuple(sorted(chosen))
