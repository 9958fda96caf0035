"""Families of policies: how each starts, trains, loads and draws, and whether a world memory can be attached to it."""

from __future__ import annotations

from dataclasses import dataclass

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
            small=("smolvla-tiny",),
        ),
    ),
)
