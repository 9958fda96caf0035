"""Families of policies: how each starts, trains, loads and draws, and whether a world memory can be attached to it."""

from __future__ import annotations

from dataclasses import dataclass

from world_modality.facts.table import Reference, Table


@dataclass(frozen=True)
class PolicyShape:
    """A policy's sizes, as far as a study's values must fit them."""

    chunk_size: int
    """Actions per prediction."""
    expert_width: int | None
    """Of the action expert, which the injector's heads share out; None if it is not known, or there is none."""


@dataclass(frozen=True)
class SmallPolicy:
    """A small architecture that can be built here with random weights."""

    name: str
    shape: PolicyShape
    embedded: bool = False
    """Whether trained weights of it come with this package."""


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
    small: tuple[SmallPolicy, ...] = ()


LEROBOT = ("lerobot", "torch", "transformers")

POLICIES: Table[PolicyFamily] = Table(
    "policy family",
    "policies",
    (
        PolicyFamily(
            name="smolvla",
            label="SmolVLA",
            packages=LEROBOT,
            host=Reference("world_modality.policies.smolvla:HOST"),
            world_type="smolvla_world",
            fusions=("late", "suffix", "layers", "prefix_cross", "prefix_tokens"),
            small=(SmallPolicy("smolvla-tiny", PolicyShape(chunk_size=10, expert_width=96), embedded=True),),
        ),
    ),
)


def small_policies(*, embedded: bool = False) -> dict[str, tuple[PolicyFamily, SmallPolicy]]:
    """Every small architecture with its family, by name; or those with trained weights in this package alone."""
    return {
        small.name: (family, small) for family in POLICIES for small in family.small if small.embedded or not embedded
    }


def family_of_type(policy_type: str) -> PolicyFamily | None:
    """The family of a LeRobot policy type, be it with or without a world memory; None if there is no row for it."""
    return next((family for family in POLICIES if policy_type in (family.name, family.world_type)), None)
