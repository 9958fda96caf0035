"""Targets: what is predicted of the future and stored, with its loss, baselines and figures of merit."""

from __future__ import annotations

from dataclasses import dataclass

from world_modality.facts.table import Reference, Table


@dataclass(frozen=True)
class Target:
    """One kind of thing that a Prophet predicts."""

    name: str
    predicts: str
    """What, for tables."""
    code: Reference
    """A ``PredictionTarget``: its loss, baselines and figures."""


TARGETS: Table[Target] = Table(
    "target",
    "targets",
    (Target("latents", "the encoder's continuous latents", Reference("world_modality.memory.target:LATENTS")),),
)
