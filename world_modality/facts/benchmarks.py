"""Benchmark suites: what a policy sees and does there, how long an episode may take, who simulates it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from world_modality.errors import UserError
from world_modality.facts.table import Reference, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Gripper:
    """The number of an action that opens and closes the hand."""

    index: int
    open: float
    """Its value for an open hand,"""
    closed: float
    """and for a closed one."""
    either: bool = True
    """Whether it is one or the other; an effort may be any between, and tasks without grasping never close."""


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
    gripper: Gripper | None = None
    """None where no number of the action is a gripper's."""

    @property
    def size(self) -> int:
        """Numbers per action."""
        return len(self.names)

    def executed(self, actions: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is executed of a policy's actions [..., A]: clipped, if the benchmark clips."""
        return actions.clip(self.low, self.high) if self.clip else actions


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
    control_rate: int
    """Control steps per second of simulated time."""
    cameras: Mapping[str, str]
    """Name in datasets -> what the camera shows, for people."""
    state: tuple[str, ...]
    """Names of the numbers that a policy is told about the robot."""
    action: ActionLayout
    packages: tuple[str, ...]
    """Whose versions decide physics and pictures, so that they enter the keys of what is simulated."""
    simulator: Reference
    """``(spec, task, assets) -> Simulator``: opens one task; see ``world_modality.benchmarks.contract``."""
    robot: str = "robot"
    """Type of the robot, as datasets name it."""
    renders: tuple[str, ...] = ("stock",)
    """Styles in which its pictures can be drawn, the first by default; stock is the benchmark's own."""
    assets: tuple[str, ...] = ()
    """Sources that the suite's object models can come from, the first by default; empty where its packages hold all it
    needs."""
    asset_tree: Reference | None = None
    """The ``world_modality.benchmarks.assets.AssetTree`` that finds them; None without assets."""
    expert: Reference | None = None
    """``(simulator, rng, noise) -> Expert``: what demonstrates its tasks, if anything does."""
    instructions: Reference | None = None
    """``(suite) -> {task: instruction}`` without opening a simulator; None where only its simulator knows."""
    perturbs: str | None = None
    """The suite whose tasks, number by number, it perturbs: its report tells how far rates drop."""
    perturbation: str = ""
    """What of them it perturbs, for people."""
    settle_steps: int = 0
    """No-op control steps that its own evaluation begins an episode with."""
    exact: bool = False
    """Whether it is simulated quicker than by the benchmark's own code, and ``simulator.exact`` asks for that one's
    states to the last bit."""
    restorable: bool = False
    """Whether its simulator can go back to a moment of an episode, as memories that look ahead need."""
    preload: tuple[str, ...] = ()
    """Modules that every simulator process needs, imported once and ahead."""
    n_action_steps: int | None = None
    """Actions that its evaluations usually execute per query; None if no number is usual."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of a dataset feature's numbers where the suite's public dataset names them otherwise than this row."""

    def recorded(self, number: int) -> int | None:
        """The recorded initial state that episodes numbered ``number`` start from; None if their seed decides it.

        UserError if there are recorded ones and this is none of them.
        """
        if self.init_states is not None and not 0 <= number < self.init_states:
            raise UserError(f"{self.name} has no initial state {number}; choose from 0 to {self.init_states - 1}")
        return None if self.init_states is None else number


LIBERO_ACTION = ActionLayout(
    names=("x", "y", "z", "roll", "pitch", "yaw", "gripper"),
    low=-1.0,
    high=1.0,
    clip=True,
    no_op=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0),  # the arm stays, the gripper opens: LIBERO's settling action
    gripper=Gripper(index=6, open=-1.0, closed=1.0),
)
LIBERO_STATE = ("x", "y", "z", "axis_angle_x", "axis_angle_y", "axis_angle_z", "finger_left", "finger_right")


def render_styles() -> tuple[str, ...]:
    """How suites can be drawn, each style once."""
    return tuple(dict.fromkeys(style for suite in SUITES for style in suite.renders))


def _libero(name: str, tasks: int, horizon: int) -> Suite:
    return Suite(
        name=name,
        benchmark="LIBERO",
        tasks=tasks,
        init_states=50,
        horizon=horizon,
        fps=10,  # as the public data sets say
        control_rate=20,
        cameras={"image": "scene camera", "image2": "wrist camera"},
        state=LIBERO_STATE,
        action=LIBERO_ACTION,
        packages=("hf-libero", "mujoco", "robosuite"),
        simulator=Reference("world_modality.benchmarks.libero.simulator:LiberoSimulator"),
        robot="panda",
        renders=("stock", "fast", "coarse"),
        assets=("package", "hub", "folder"),
        asset_tree=Reference("world_modality.benchmarks.libero.assets:ASSETS"),
        expert=Reference("world_modality.benchmarks.libero.expert:Expert"),
        instructions=Reference("world_modality.benchmarks.libero.tasks:instructions"),
        settle_steps=10,  # until objects lie where a recorded state lets them fall
        exact=True,
        restorable=True,
        preload=("world_modality.benchmarks.libero.preload",),
        n_action_steps=10,  # as in the evaluations that reproduce published rates
        labels={"observation.state": ("state",), "action": ("actions",)},  # as in HuggingFaceVLA/libero
    )


_PERTURBATIONS = {
    "lan": "the instruction's wording",
    "object": "the objects' looks and sizes",
    "swap": "where objects stand",
    "task": "the goal and its instruction",
}


def _libero_pro(base: Suite, short: str) -> Suite:
    """LIBERO-PRO's suite of a perturbation of ``base``."""
    return replace(
        base,
        name=f"{base.name}_{short}",
        benchmark="LIBERO-PRO",
        assets=("package", "folder"),
        asset_tree=Reference("world_modality.benchmarks.libero.assets:PERTURBED_ASSETS"),
        perturbs=base.name,
        perturbation=_PERTURBATIONS[short],
    )


_LIBERO = (
    _libero("libero_spatial", tasks=10, horizon=280),
    _libero("libero_object", tasks=10, horizon=280),
    _libero("libero_goal", tasks=10, horizon=300),
    _libero("libero_10", tasks=10, horizon=520),
)


def _moving() -> Suite:
    """The positive control: LIBERO's scenes, with goals that move. Other numbers would be another suite's."""
    return replace(
        _libero("moving", tasks=3, horizon=180),
        benchmark="Moving goals",
        simulator=Reference("world_modality.benchmarks.moving.simulator:MovingSimulator"),
        expert=Reference("world_modality.benchmarks.moving.expert:MovingExpert"),
        instructions=Reference("world_modality.benchmarks.moving.tasks:instructions"),
        exact=False,
    )


METAWORLD_ACTION = ActionLayout(
    names=("x", "y", "z", "gripper"),
    low=-1.0,
    high=1.0,
    clip=True,
    no_op=(0.0, 0.0, 0.0, -1.0),  # the hand stays, the fingers open, as at the end of MetaWorld's reset
    gripper=Gripper(index=3, open=-1.0, closed=1.0, either=False),
)
METAWORLD_CAMERA = "observation.image"  # as in lerobot/metaworld_mt50, whose one camera has no name


def _metaworld(name: str, tasks: int) -> Suite:
    return Suite(
        name=name,
        benchmark="MetaWorld",
        tasks=tasks,
        init_states=None,
        horizon=500,
        fps=80,
        control_rate=80,
        cameras={METAWORLD_CAMERA: "scene camera"},
        state=("x", "y", "z", "gripper"),
        action=METAWORLD_ACTION,
        packages=("gymnasium", "lerobot", "metaworld", "mujoco"),  # LeRobot numbers and words the tasks
        simulator=Reference("world_modality.benchmarks.metaworld.simulator:MetaWorldSimulator"),
        robot="sawyer",
        renders=("stock", "fast"),
        expert=Reference("world_modality.benchmarks.metaworld.expert:Expert"),
        instructions=Reference("world_modality.benchmarks.metaworld.tasks:instructions"),
        restorable=True,
        preload=("world_modality.benchmarks.metaworld.preload",),
    )


SUITES: Table[Suite] = Table(
    "benchmark suite",
    "benchmarks",
    (
        *_LIBERO,
        _libero("libero_90", tasks=90, horizon=400),
        *(_libero_pro(base, short) for base in _LIBERO for short in _PERTURBATIONS),
        _moving(),
        _metaworld("metaworld_mt50", tasks=50),
        _metaworld("metaworld_easy", tasks=28),  # LeRobot's groups of the fifty
        _metaworld("metaworld_medium", tasks=11),
        _metaworld("metaworld_hard", tasks=6),
        _metaworld("metaworld_very_hard", tasks=5),
    ),
)


def camera_names() -> tuple[str, ...]:
    """The cameras of all suites, each once, in the order of the table."""
    return tuple(dict.fromkeys(name for suite in SUITES for name in suite.cameras))
