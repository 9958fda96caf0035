"""What planning must know of modes and fusions without importing them; tests compare it with memory/'s registries."""

from __future__ import annotations

from world_modality.study.specs import Fusion, TrainMode

NEEDS_HISTORY: frozenset[TrainMode] = frozenset({"pred", "persistence", "stale", "time_shuffle"})
"""Modes whose rollout encodes what the policy sees, so that it reads the encoder."""
NEEDS_FUTURE: frozenset[TrainMode] = frozenset({"oracle"})
"""Modes that no rollout can be in."""
NEEDS_LEARNED: frozenset[TrainMode] = frozenset({"learned"})
"""Modes that only a checkpoint trained in them can be rolled out in."""
NEEDS_PROPHET: frozenset[TrainMode] = frozenset({"pred", "stale", "shuffle", "time_shuffle"})
"""Modes whose memory the Prophet makes, so that the policy's loss trains it too, unless the memory is detached."""
BEFORE_ACTIONS: frozenset[Fusion] = frozenset({"prefix_cross"})
"""Fusions that read the memory before the noisy actions are there."""
