"""What planning must know of the memory modes without importing them; a test compares it with memory/'s registry."""

from __future__ import annotations

from world_modality.study.specs import TrainMode

NEEDS_HISTORY: frozenset[TrainMode] = frozenset({"pred", "persistence", "stale", "time_shuffle"})
"""Modes whose rollout encodes what the policy sees, so that it reads the encoder."""
NEEDS_FUTURE: frozenset[TrainMode] = frozenset({"oracle"})
"""Modes that no rollout can be in."""
NEEDS_LEARNED: frozenset[TrainMode] = frozenset({"learned"})
"""Modes that only a checkpoint trained in them can be rolled out in."""
