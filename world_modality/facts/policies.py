"""Families of policies: how each starts, trains, loads and draws, and whether a world memory can be attached to it.

And the dialects in which policies of any other software are asked, where a process of its own serves them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from world_modality.errors import UserError
from world_modality.facts.table import Reference, Table


@dataclass(frozen=True)
class PolicyShape:
    """A policy's sizes, as far as a study's values must fit them."""

    chunk_size: int | None
    """Actions per prediction,"""
    expert_width: int | None
    """and width of the action expert, which the injector's heads share out; None without one, or if it is not known."""


@dataclass(frozen=True)
class PolicyFamily:
    """Policies of one LeRobot type, with and without a world memory."""

    name: str
    """LeRobot's policy type without memory."""
    label: str
    """As people write it: "SmolVLA"."""
    packages: tuple[str, ...]
    """Whose versions decide training and actions, so that they enter the keys of both."""
    host: Reference
    """A ``PolicyHost``: how it starts, trains, loads and takes memory."""
    world_type: str | None = None
    """LeRobot's policy type with a world memory; None if none can be attached."""
    fusions: tuple[str, ...] = ()
    """Where a memory can enter it."""
    aligns: bool = False
    """Whether its action expert's hidden states can be taught to foretell latents, without a memory."""
    small: Mapping[str, PolicyShape] = field(default_factory=dict)
    """Small architectures of random weights that can be built here, by name."""
    embedded: tuple[str, ...] = ()
    """Those of which trained weights come with this package."""
    width_tensor: str = ""
    """Tensor of its checkpoints whose first size is the width of the action expert; "" if there is none."""
    backbone: str = ""
    """The setting that names the pretrained model that it is built around, or that model's tokenizer; "" if none."""
    reads_instructions: bool = False
    """Whether it cannot act without the tokens that its preprocessor makes of an instruction."""
    denoising_steps: str = ""
    """The setting of its checkpoints that says how many steps make a chunk out of noise; "" if there is none."""
    base: str = ""
    """The family that it is with a memory of another form beside it: what it starts or becomes here is of that family;
    "" if it is none such."""
    exact_zero: bool = True
    """Whether a memory of zeros adds exactly nothing, and so is a control; otherwise it adds a constant, a bias."""
    sees_latents: bool = False
    """Whether it sees frames as an encoder's latents alone, whatever its memory: so it is built for them."""
    plans_chunks: bool = True
    """Whether it plans a chunk of actions from what it sees at one control step, and no more than it says it looks
    back to."""

    @property
    def types(self) -> tuple[str, ...]:
        """LeRobot's policy types of the family."""
        return tuple(dict.fromkeys((self.name, self.world_type or self.name)))


LEROBOT = ("lerobot", "torch", "transformers")
FUSIONS_OF_FLOWS = ("late", "suffix", "layers", "prefix_cross", "prefix_tokens")
PLAIN = Reference("world_modality.policies.host:PolicyHost")

POLICIES: Table[PolicyFamily] = Table(
    "policy family",
    "policies",
    (
        PolicyFamily(
            name="smolvla",
            label="SmolVLA",
            packages=LEROBOT,
            host=Reference("world_modality.policies.smolvla:SmolVLAHost"),
            world_type="smolvla_world",
            fusions=FUSIONS_OF_FLOWS,
            aligns=True,
            small={"smolvla-tiny": PolicyShape(chunk_size=10, expert_width=96)},
            embedded=("smolvla-tiny",),
            width_tensor="model.action_in_proj.weight",
            backbone="vlm_model_name",
            reads_instructions=True,
            denoising_steps="num_steps",
        ),
        PolicyFamily(
            name="smolvla_world_earlier",
            label="SmolVLA with the earlier world memory",
            packages=LEROBOT,
            host=Reference("world_modality.policies.smolvla_earlier:EarlierHost"),
            world_type="smolvla_world_earlier",
            width_tensor="model.action_in_proj.weight",
            backbone="vlm_model_name",
            reads_instructions=True,
            denoising_steps="num_steps",
            base="smolvla",
            exact_zero=False,
        ),
        PolicyFamily(
            name="pi0",
            label="pi0",
            packages=LEROBOT,
            host=Reference("world_modality.policies.pi0:PI0Host"),
            world_type="pi0_world",
            fusions=FUSIONS_OF_FLOWS,
            aligns=True,
            small={"pi0-tiny": PolicyShape(chunk_size=10, expert_width=64)},
            width_tensor="model.action_in_proj.weight",
            backbone="tokenizer_name",
            reads_instructions=True,
            denoising_steps="num_inference_steps",
        ),
        PolicyFamily(
            name="pi05",
            label="pi0.5",
            packages=LEROBOT,
            host=Reference("world_modality.policies.pi0:PI05Host"),
            reads_instructions=True,
            denoising_steps="num_inference_steps",
        ),
        PolicyFamily(
            name="world_transformer",
            label="world transformer",
            packages=LEROBOT,
            host=Reference("world_modality.policies.world_transformer:WorldTransformerHost"),
            world_type="world_transformer",
            fusions=("late",),
            sees_latents=True,
        ),
        PolicyFamily(
            name="act",
            label="ACT",
            packages=("lerobot", "torch", "torchvision"),
            host=Reference("world_modality.policies.host:ACTHost"),
        ),
        PolicyFamily(
            name="diffusion",
            label="Diffusion Policy",
            packages=("diffusers", "lerobot", "torch", "torchvision"),
            host=Reference("world_modality.policies.host:DiffusionHost"),
            denoising_steps="num_inference_steps",
        ),
        PolicyFamily("vqbet", "VQ-BeT", LEROBOT, PLAIN, plans_chunks=False),
        PolicyFamily("tdmpc", "TD-MPC", LEROBOT, PLAIN, plans_chunks=False),
        PolicyFamily("multi_task_dit", "multi-task DiT", LEROBOT, PLAIN, plans_chunks=False),
        PolicyFamily("gaussian_actor", "Gaussian actor", LEROBOT, PLAIN, plans_chunks=False),
    ),
)


def small_policies(*, embedded: bool = False) -> dict[str, PolicyFamily]:
    """The family of every small architecture, by that name; or of those with trained weights in this package alone."""
    return {name: family for family in POLICIES for name in (family.embedded if embedded else family.small)}


def known_family(policy_type: str) -> PolicyFamily | None:
    """The family of a LeRobot policy type, be it with or without a world memory; None if there is no row for it."""
    return next((family for family in POLICIES if policy_type in family.types), None)


def family_of(policy_type: str) -> PolicyFamily:
    """The family of a LeRobot policy type; one that no row names is loaded and drawn as LeRobot does it by itself."""
    return known_family(policy_type) or PolicyFamily(policy_type, policy_type, LEROBOT, PLAIN)


def small_family(architecture: str) -> PolicyFamily:
    """The family of a small architecture; UserError that lists all architectures if there is no such."""
    known = small_policies()
    if architecture not in known:
        raise UserError(f"policy.name: there is no architecture '{architecture}'; choose one of {', '.join(known)}")
    return known[architecture]


BIAS_CONTROL = "zero memory adds a constant in this format: it is a control of a bias, not of no memory"
"""The note on records of zero memory in a policy whose family is not of ``exact_zero``."""


def note_of(policy_type: str, memory: str) -> str:
    """What the records of a policy's rollouts in a memory mode must say of it; "" if nothing."""
    return BIAS_CONTROL if memory == "zero" and not family_of(policy_type).exact_zero else ""


def has_memory(policy_type: str) -> bool:
    """Whether policies of that LeRobot type can hold a world memory."""
    return any(policy_type == family.world_type for family in POLICIES)


@dataclass(frozen=True)
class Dialect:
    """How a policy that another process serves is spoken to, over a websocket."""

    name: str
    label: str
    """As people know it."""
    code: Reference
    """A ``world_modality.policies.dialects.Speech``: what is sent and how the answer is read."""


DIALECTS: Table[Dialect] = Table(
    "dialect of policy servers",
    "dialects",
    (
        Dialect(
            name="world_modality",
            label="this project's",
            code=Reference("world_modality.policies.dialects:Own"),
        ),
        Dialect(
            name="openpi",
            label="openpi's",
            code=Reference("world_modality.policies.dialects:OpenPI"),
        ),
    ),
)
