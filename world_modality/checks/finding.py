"""What a check found: nothing, or what is wrong, where, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """An error stops a study before its first stage; a warning is printed, and the study goes on."""

    level: Literal["error", "warning"]
    part: str
    """What is judged: data, simulator, encoder, or the arm whose policy it is."""
    where: str
    """The file, key, feature or tensor."""
    message: str
    """What was found, its evidence, and the remedy: one sentence."""
