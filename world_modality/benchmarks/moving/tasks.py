"""The tasks of the suite ``moving``: which of LIBERO's each is made of, what moves, where and how fast.

These numbers are the suite, as its name and horizon are: with others an episode is another one, and needs another name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from world_modality.benchmarks.libero.tasks import Task, load_task
from world_modality.benchmarks.moving.motion import Field, Pair

SPEEDS: Pair = (0.08, 0.12)
"""Of a goal (m/s): 4 to 6 cm in ten control steps."""
TOLERANCE = 0.02
"""m: the thing must lie so near the middle of its goal; LIBERO's own rule is 3 cm."""
HOLD_STEPS = 5
"""Control steps in a row for which the thing must be at its goal while the hand is told to be open."""


@dataclass(frozen=True)
class MovingTask:
    """A task of LIBERO, with its scenes, whose goal moves."""

    suite: str
    index: int
    """In LIBERO's suite."""
    language: str
    goal: str
    """The object that moves, on which the thing is to be put."""
    field: Field


TASKS = (
    MovingTask(
        suite="libero_spatial",
        index=3,  # the bowl on the cookie box
        language="put the black bowl on the moving plate",
        goal="plate_1",
        field=Field(low=(-0.08, 0.16), high=(0.07, 0.34), speeds=SPEEDS),
    ),
    MovingTask(
        suite="libero_90",
        index=9,  # KITCHEN_SCENE1_put_the_black_bowl_on_the_plate
        language="put the bowl on the plate that moves over the kitchen table",
        goal="plate_1",
        field=Field(low=(-0.24, 0.15), high=(0.04, 0.32), speeds=SPEEDS),
    ),
    MovingTask(
        suite="libero_90",
        index=36,  # KITCHEN_SCENE7_put_the_white_bowl_on_the_plate
        language="put the white bowl from the microwave on the moving plate",
        goal="plate_1",
        field=Field(low=(-0.22, 0.02), high=(0.06, 0.30), speeds=SPEEDS),
    ),
)


def instructions(suite: str) -> Mapping[int, str]:
    """The instruction of every task of ``suite``, of which there is one."""
    assert suite == "moving"
    return {number: task.language for number, task in enumerate(TASKS)}


def load_moving_task(suite: str, index: int) -> Task:
    """Task ``index`` of the suite: LIBERO's scene and recorded states under an instruction of its own."""
    moving = TASKS[index]
    return replace(load_task(moving.suite, moving.index), suite=suite, index=index, language=moving.language)
