"""LIBERO's suites, as far as a study must know them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SuiteName = Literal["libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90"]

INIT_STATES = 50  # per task, in every suite


@dataclass(frozen=True)
class Suite:
    """A suite's size and its official episode length."""

    tasks: int
    horizon: int  # control steps
    embedded: bool  # whether this package holds stand-in assets for it
    scripted: bool = False  # whether the expert can demonstrate its tasks


SUITES: dict[SuiteName, Suite] = {
    "libero_spatial": Suite(tasks=10, horizon=280, embedded=True, scripted=True),
    "libero_object": Suite(tasks=10, horizon=280, embedded=False),
    "libero_goal": Suite(tasks=10, horizon=300, embedded=False),
    "libero_10": Suite(tasks=10, horizon=520, embedded=False),
    "libero_90": Suite(tasks=90, horizon=400, embedded=False),
}
