"""Sizes of policies and encoders that bound a study's values, known before anything is built."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PolicyShape:
    """A policy's sizes, as far as a study's values must fit them."""

    chunk_size: int  # actions per prediction
    expert_width: int | None  # of the action expert, which the injector's heads share out; None if unknown


SCRATCH_SHAPES = {
    "smolvla-tiny": PolicyShape(chunk_size=10, expert_width=96),
    "pi0-tiny": PolicyShape(chunk_size=10, expert_width=64),
}
"""Of the small architectures of the policy families; a test compares them."""

EMBEDDED_PATCH = 16
"""Pixels along a patch's side, in every embedded encoder."""
