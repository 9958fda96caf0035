"""Environments that LeRobot knows by a type, as suites; light, as the modules of all rows."""

from world_modality.benchmarks.lerobot_env.environment import LeRobotEnv
from world_modality.facts.benchmarks import ActionLayout, Gripper, Suite
from world_modality.facts.table import Reference

SO101_ENV = LeRobotEnv(
    type="so101_pick_place",
    module="wm_extension.so101",
    tasks=(("put the cube down at the goal", {}),),
    cameras={"front": "pixels/front"},
    success="succeed",
    sized_by=("size",),
)
SO101 = Suite(
    name="so101_pick_place",
    benchmark="SO-101 in simulation",
    tasks=1,
    init_states=None,
    horizon=300,
    fps=10,
    control_rate=10,
    cameras={"front": "scene camera"},
    state=(*(f"{what}_{joint}" for what in ("position", "speed") for joint in range(5)), "gripper", "x", "y", "z"),
    action=ActionLayout(
        ("x", "y", "z", "gripper"), -1.0, 1.0, clip=True, no_op=(0.0, 0.0, 0.0, 1.0), gripper=Gripper(3, 1.0, 0.0)
    ),
    packages=("gymnasium", "lerobot", "lerobot-env-so101", "mujoco"),
    simulator=Reference("wm_extension.lerobot_rows:SO101_ENV"),
    robot="so101",
)

REACH_ENV = LeRobotEnv(
    type="metaworld",
    tasks=(("Reach a goal position", {"task": "reach-v3"}), ("Open a drawer", {"task": "drawer-open-v3"})),
    cameras={"observation.image": "pixels"},
)
"""MetaWorld as LeRobot's own environment."""
REACH = Suite(
    name="lerobot_reach",
    benchmark="MetaWorld",
    tasks=2,
    init_states=None,
    horizon=400,
    fps=80,
    control_rate=80,
    cameras={"observation.image": "scene camera"},
    state=("x", "y", "z", "gripper"),
    action=ActionLayout(("x", "y", "z", "gripper"), -1.0, 1.0, clip=True, no_op=(0.0, 0.0, 0.0, -1.0)),
    packages=("gymnasium", "lerobot", "metaworld", "mujoco"),
    simulator=Reference("wm_extension.lerobot_rows:REACH_ENV"),
)
