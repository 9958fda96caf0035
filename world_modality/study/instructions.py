"""The stage that makes vectors of instructions: what it depends on, and the role in which a training reads it."""

from __future__ import annotations

from typing import Literal

from world_modality.study.parts import AnyInstructions
from world_modality.study.sources import Source
from world_modality.study.specs import Spec

INSTRUCTIONS = "instructions"
"""The role in which a training reads them."""


class InstructionsSpec(Spec):
    """A vector per text of a dataset's tasks. Upstream: dataset."""

    place = "name"

    source: Literal["embedded", "hub", "folder"]
    name: str  # of the language model: embedded architecture, hub id, or a folder's path
    revision: str  # hub commit, or digest of a folder's files
    seed: int  # of the random weights; embedded only
    max_length: int  # tokens of a text


def instructions_spec(instructions: AnyInstructions, model: Source) -> InstructionsSpec:
    """A study's, whose language model is ``model``."""
    return InstructionsSpec(
        source=instructions.source,
        name=model.name,
        revision=model.revision,
        seed=getattr(instructions, "seed", 0),
        max_length=instructions.max_length,
    )
