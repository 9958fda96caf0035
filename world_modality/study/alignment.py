"""Rules for arms without memory whose action expert learns to foretell latents (``world.align``)."""

from __future__ import annotations

from collections.abc import Iterator

from world_modality.facts.policies import POLICIES, PolicyFamily
from world_modality.study.document import Problem
from world_modality.study.study import Study
from world_modality.study.world import ALIGNMENT, World


def alignment_problems(study: Study) -> Iterator[Problem]:
    """Arms that are aligned and cannot be, and settings of an alignment that no arm has."""
    if study.world.align:
        message = "is a treatment, which an arm has and its control has not; write it below arms.NAME.world"
        yield ("world", "align"), message
        return
    if not any(map(study.aligns, study.trained.values())):
        for key in _said(study.world, World()):
            yield ("world", key), "says how an arm is aligned, and none is; remove this key, or set an arm's align"
    for name, arm in study.trained.items():
        if arm.world is None or arm.memory == "disabled":
            continue
        at = ("arms", name, "world")
        if arm.world.align:
            yield (
                (*at, "align"),
                f"an arm is aligned in place of a memory, and this one has memory {arm.memory}; write memory: "
                "disabled, or remove this key",
            )
        for key in _said(arm.world, study.world):
            yield (*at, key), f"says how an arm is aligned, which one with memory {arm.memory} is not; remove this key"


def unalignable(study: Study, name: str, family: PolicyFamily, chunk: int | None) -> Iterator[Problem]:
    """Why the arm ``name`` cannot be aligned, whose policy is of ``family``; None: its ``chunk`` is not known."""
    world, at = study.world_of(study.trained[name]), ("arms", name, "world")
    if not family.aligns:
        able = " or ".join(each.label for each in POLICIES if each.aligns)
        message = f"no hidden states of {family.label} can be taught to foretell latents; choose {able}"
        yield (*at, "align"), f"{message}, or remove this key"
    elif world.align_tokens == "steps" and chunk is not None and world.prediction_horizon > chunk:
        yield (
            (*at, "align"),
            f"{world.prediction_horizon} frames ahead exceed the policy's chunk of {chunk} actions, of which the k-th "
            f"foretells frame k; choose a prediction_horizon of at most {chunk}, or align_tokens: mean",
        )


def _said(world: World, other: World) -> list[str]:
    return [key for key in ALIGNMENT if getattr(world, key) != getattr(other, key)]
