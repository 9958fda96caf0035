"""The rows that this package adds to the tables of facts; light, for they are read whenever a table is."""

from world_modality.facts.benchmarks import ActionLayout, Suite
from world_modality.facts.encoders import EncoderFamily
from world_modality.facts.memory import MemoryMode
from world_modality.facts.policies import PolicyFamily, PolicyShape
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
    restorable=True,
    expert=Reference("wm_extension.benchmark:PuckExpert"),
)

GLANCE = EncoderFamily(
    name="glance",
    model_type="glance",
    packages=("torch",),
    network=Reference("wm_extension.encoder:Glance"),
    image_size=Reference("wm_extension.encoder:image_size"),
    small=("glance-16",),
    build=Reference("wm_extension.encoder:build"),
    small_patch=8,
)

HALVED = MemoryMode(
    name="halved",
    holds="half of the Prophet's prediction",
    isolates="magnitude: the same direction, half as far",
    make=Reference("wm_extension.memory:halved"),
    words="half the prediction as memory",
    needs_history=True,
    needs_prophet=True,
)

REFLEX = PolicyFamily(
    name="reflex",
    label="Reflex",
    packages=("lerobot", "torch"),
    host=Reference("wm_extension.policy:ReflexHost"),
    small={"reflex-32": PolicyShape(chunk_size=5, expert_width=None)},
)
