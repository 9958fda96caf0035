"""Families of policies: how each starts, trains, loads and draws, and whether a world memory can be attached to it."""

from __future__ import annotations

from dataclasses import dataclass

from world_modality.errors import UserError
from world_modality.facts.table import Reference, Table


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
    small: tuple[str, ...] = ()
    """Small architectures of random weights that can be built here."""
    backbone: str = ""
    """The setting that names the pretrained model that it is built around, or that model's tokenizer; "" if none."""
    denoising_steps: str = ""
    """The setting of its checkpoints that says how many steps make a chunk out of noise; "" if there is none."""
    plans_chunks: bool = True
    """Whether it plans a chunk of actions from what it sees at one control step, and no more than it says it looks
    back to."""

    @property
    def types(self) -> tuple[str, ...]:
        """LeRobot's policy types of the family."""
        return (self.name,) if self.world_type is None else (self.name, self.world_type)


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
            small=("smolvla-tiny",),
            backbone="vlm_model_name",
            denoising_steps="num_steps",
        ),
        PolicyFamily(
            name="pi0",
            label="pi0",
            packages=LEROBOT,
            host=Reference("world_modality.policies.pi0:PI0Host"),
            world_type="pi0_world",
            fusions=FUSIONS_OF_FLOWS,
            small=("pi0-tiny",),
            backbone="tokenizer_name",
            denoising_steps="num_inference_steps",
        ),
        PolicyFamily(
            name="pi05",
            label="pi0.5",
            packages=LEROBOT,
            host=Reference("world_modality.policies.pi0:PI05Host"),
            denoising_steps="num_inference_steps",
        ),
        PolicyFamily(
            name="act",
            label="ACT",
            packages=("lerobot", "torch", "torchvision"),
            host=Reference("world_modality.policies.others:ACTHost"),
        ),
        PolicyFamily(
            name="diffusion",
            label="Diffusion Policy",
            packages=("diffusers", "lerobot", "torch", "torchvision"),
            host=Reference("world_modality.policies.others:DiffusionHost"),
            denoising_steps="num_inference_steps",
        ),
        PolicyFamily("vqbet", "VQ-BeT", LEROBOT, PLAIN, plans_chunks=False),
        PolicyFamily("tdmpc", "TD-MPC", LEROBOT, PLAIN, plans_chunks=False),
        PolicyFamily("multi_task_dit", "multi-task DiT", LEROBOT, PLAIN, plans_chunks=False),
        PolicyFamily("gaussian_actor", "Gaussian actor", LEROBOT, PLAIN, plans_chunks=False),
    ),
)


def family_of(policy_type: str) -> PolicyFamily:
    """The family of a LeRobot policy type; one that no row names is loaded and drawn as LeRobot does it by itself."""
    for family in POLICIES:
        if policy_type in family.types:
            return family
    return PolicyFamily(policy_type, policy_type, LEROBOT, PLAIN)


def small_family(architecture: str) -> PolicyFamily:
    """The family of a small architecture; UserError that lists all architectures if there is no such."""
    for family in POLICIES:
        if architecture in family.small:
            return family
    known = ", ".join(name for family in POLICIES for name in family.small)
    raise UserError(f"policy.name: there is no architecture '{architecture}'; choose one of {known}")


def has_memory(policy_type: str) -> bool:
    """Whether policies of that LeRobot type can hold a world memory."""
    return any(policy_type == family.world_type for family in POLICIES)
