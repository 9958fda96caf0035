"""The roles in which a training reads what others made, where they are more than a word."""

from __future__ import annotations

BEFORE = "before"
"""The role in which a training reads its earlier part, which it goes on from."""


def latents_role(camera: str) -> str:
    """The role in which a training reads one camera's latents."""
    return f"latents_{camera}"


def tokens_role(camera: str) -> str:
    """The role in which a training reads one camera's world tokens."""
    return f"tokens_{camera}"
