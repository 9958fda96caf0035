"""Which of a dataset's episodes a codebook is fitted on, and which its tokens are judged on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from world_modality.data.episodes import held_out_episodes, read_episode_table
from world_modality.latents.windows import EpisodeBounds


@dataclass(frozen=True)
class Shares:
    """A dataset's episodes, in two parts."""

    held_out: tuple[int, ...]
    """Those that no arm is trained on."""
    trained: EpisodeBounds
    judged: EpisodeBounds
    """The held-out ones; if there are none, the training episodes."""

    @classmethod
    def of(cls, dataset: Path, share: float) -> Shares:
        """Of a dataset of which ``share`` of every task's episodes is held out; UserError if it is none."""
        table = read_episode_table(dataset)
        bounds = EpisodeBounds.of(table.starts, table.ends)
        held_out = held_out_episodes(table.tasks, share)
        trained = bounds.without(held_out)
        return cls(held_out, trained, bounds.only(held_out) if held_out else trained)
