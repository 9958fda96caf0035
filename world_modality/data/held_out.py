"""Which episodes of a dataset no training sees, so that what was learned can be judged on them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from world_modality.study.seeds import keyed_seed


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
