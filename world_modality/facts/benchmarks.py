"""Benchmark suites: what a policy sees and does there, how long an episode may take, who simulates it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from world_modality.facts.table import Reference, Table


@dataclass(frozen=True)
class ActionLayout:
    """The numbers of one action, in the units that a simulator takes."""

    names: tuple[str, ...]
    low: float
    """Smallest value of each number,"""
    high: float
    """and largest."""
    clip: bool
    """Whether an action is clipped to that range before it is executed, as the benchmark's own evaluation does."""
    no_op: tuple[float, ...]
    """The action that leaves the scene alone, for settling."""

    @property
    def size(self) -> int:
        """Numbers per action."""
        return len(self.names)


@dataclass(frozen=True)
class Suite:
    """A suite of tasks of a benchmark."""

    name: str
    benchmark: str
    """Name of the benchmark that it belongs to, as people know it."""
    tasks: int
    """Number of tasks; they are numbered from 0."""
    init_states: int | None
    """Recorded initial states per task; None where episodes start from a seed, of which there are any number."""
    horizon: int
    """Official length of an episode in control steps."""
    fps: int
    """Nominal frames per second of its data; one frame is one control step."""
    cameras: Mapping[str, str]
    """Name in datasets -> what the camera shows, for people."""
    state: tuple[str, ...]
    """Names of the numbers that a policy is told about the robot."""
    action: ActionLayout
    packages: tuple[str, ...]
    """Whose versions decide physics and pictures, so that they enter the keys of what is simulated."""
    simulator: Reference
    """``(spec, task, assets) -> Simulator``: opens one task."""
    assets: tuple[str, ...]
    """Sources that the suite's object models can come from."""
    expert: Reference | None = None
    """What demonstrates its tasks, if anything does."""


LIBERO_ACTION = ActionLayout(
    names=("x", "y", "z", "roll", "pitch", "yaw", "gripper"),
    low=-1.0,
    high=1.0,
    clip=True,
    no_op=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0),  # the arm stays, the gripper opens: LIBERO's settling action
)
LIBERO_STATE = ("x", "y", "z", "axis_angle_x", "axis_angle_y", "axis_angle_z", "finger_left", "finger_right")


def _libero(name: str, tasks: int, horizon: int, *, stand_ins: bool = False) -> Suite:
    return Suite(
        name=name,
        benchmark="LIBERO",
        tasks=tasks,
        init_states=50,
        horizon=horizon,
        fps=10,  # as the public data sets say, although LIBERO's control rate is 20
        cameras={"image": "scene camera", "image2": "wrist camera"},
        state=LIBERO_STATE,
        action=LIBERO_ACTION,
        packages=("hf-libero", "mujoco", "robosuite"),
        simulator=Reference("world_modality.benchmarks.libero.simulator:open_simulator"),
        assets=("embedded", "hub", "folder") if stand_ins else ("hub", "folder"),
        expert=Reference("world_modality.benchmarks.libero.expert:Expert") if stand_ins else None,
    )


SUITES: Table[Suite] = Table(
    "benchmark suite",
    "benchmarks",
    (
        _libero("libero_spatial", tasks=10, horizon=280, stand_ins=True),
        _libero("libero_object", tasks=10, horizon=280),
        _libero("libero_goal", tasks=10, horizon=300),
        _libero("libero_10", tasks=10, horizon=520),
        _libero("libero_90", tasks=90, horizon=400),
    ),
)
