"""What planning must know of modes and fusions, read off their tables."""

from __future__ import annotations

from world_modality.facts.memory import FUSIONS, MODES

NEEDS_HISTORY = frozenset(mode.name for mode in MODES if mode.needs_history)
"""Modes whose rollout encodes what the policy sees, so that it reads the encoder."""
NEEDS_FUTURE = frozenset(mode.name for mode in MODES if mode.needs_future)
"""Modes that no rollout can be in."""
NEEDS_LEARNED = frozenset(mode.name for mode in MODES if mode.needs_learned)
"""Modes that only a checkpoint trained in them can be rolled out in."""
NEEDS_PROPHET = frozenset(mode.name for mode in MODES if mode.needs_prophet)
"""Modes whose memory the Prophet makes, so that the policy's loss trains it too, unless the memory is detached."""
BEFORE_ACTIONS = frozenset(fusion.name for fusion in FUSIONS if fusion.before_actions)
"""Fusions that read the memory before the noisy actions are there."""
