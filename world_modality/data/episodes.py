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

from world_modality.data.consistency import bound_faults
from world_modality.data.description import Description, read_description
from world_modality.data.tables import readable_tables
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
        UserError: the folder holds no LeRobotDataset with episodes, or LeRobot has no place for its cache.
    """
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

    read_episode_table(root)
    with readable_tables():
        return LeRobotDatasetMetadata(f"local/{root.name}", root=root)


def read_episode_table(root: Path) -> EpisodeTable:
    """The episode table of a dataset on disk, from its metadata.

    Raises:
        UserError: no dataset there, or its metadata contradicts itself.
    """
    return table_of(read_description(root))


def table_of(description: Description) -> EpisodeTable:
    """The episode table of a dataset; UserError if its metadata contradicts itself."""
    for fault in bound_faults(description):
        raise UserError(f"{description.root / fault.where}: {fault.message}")
    starts = np.array([row["dataset_from_index"] for row in description.rows], np.int64)
    ends = np.array([row["dataset_to_index"] for row in description.rows], np.int64)
    return EpisodeTable(starts, ends, description.episode_texts(), int(description.fps))


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
