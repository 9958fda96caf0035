"""The rows that this package adds to the tables of facts; light, for they are read whenever a table is."""

from world_modality.facts.benchmarks import ActionLayout, Suite
from world_modality.facts.table import Reference

PUCKS = Suite(
    name="pucks",
    benchmark="Pucks",
    tasks=2,
    init_states=None,
    horizon=160,
    fps=20,
    control_rate=20,
    cameras={"top": "the table from above", "side": "the table from its edge"},
    state=("x", "y", "z"),
    action=ActionLayout(("x", "y", "z"), low=-0.03, high=0.03, clip=True, no_op=(0.0, 0.0, 0.0)),
    packages=("mujoco",),
    simulator=Reference("wm_extension.benchmark:Pucks"),
    robot="pusher",
    expert=Reference("wm_extension.benchmark:PuckExpert"),
)
