"""Stages "prophet": a Prophet that is trained by itself before the arms that start from it, one per training seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from world_modality.facts.stages import STAGES
from world_modality.store.stage import Input
from world_modality.study.specs import Device, Spec, latents_role
from world_modality.study.study import Arm, Study

if TYPE_CHECKING:
    from world_modality.study.graph import Graph

PROPHET_ROLE = "prophet"
"""The role in which a training reads a Prophet that was trained beforehand."""


class ProphetSpec(Spec):
    """A Prophet that is trained on latents alone. Upstream: dataset, and the latents of each of its cameras."""

    cameras: tuple[str, ...]  # whose latents stand for a frame, side by side in this order
    context: int  # T: latents of history, ending at t
    prediction_horizon: int  # K: latents predicted, t+1..t+K
    heads: int
    prophet_layers: int
    prophet_width: int
    hypotheses: int  # N: predictions per history
    delta: bool  # its loss is on z_{t+k} - z_t rather than on z_{t+k}
    prophet_rank: int | None  # of its linear part; None: episodes that are held back choose it
    prophet_steps: int  # of its network, at most
    step_weights: tuple[float, ...]  # of the loss at k = 1..K, relative to each other; empty: equal
    seed: int
    threads: int  # of the CPU: sums are rounded in an order that depends on it
    held_out: float  # share of every task's episodes that no arm is trained on, and neither is it
    device: Device = "auto"


def prophet_spec(study: Study, arm: Arm, seed: int) -> ProphetSpec | None:
    """The Prophet that an arm's training starts from; None if it begins by itself, or has none."""
    world = study.world_of(arm)
    if not study.reads_latents(arm) or world.prophet == "joint":
        return None
    data, settings = study.recipe
    shared = world.model_dump(include=set(ProphetSpec.model_fields))
    return ProphetSpec(
        **shared,
        cameras=study.cameras(arm),
        seed=seed,
        threads=settings.threads,
        held_out=data.held_out,
        device=settings.device,
    )


def prophet_inputs(graph: Graph, study: Study, name: str, seed: int, inputs: tuple[Input, ...]) -> tuple[Input, ...]:
    """The Prophet that an arm's training with a seed starts from, as an input of it; none if it needs none.

    It is made of the dataset and the latents among the training's other ``inputs``.
    """
    spec = prophet_spec(study, study.trained[name], seed)
    if spec is None:
        return ()
    roles = {"dataset", *map(latents_role, spec.cameras)}
    read = tuple(each for each in inputs if each.role in roles)
    told = "" if _is_the_studys(study, name, spec) else f"-{name}"
    links = f"{STAGES['prophet'].links}{told}/seed{seed}"
    made = graph.add("prophet", spec, read, f"prophet{told.replace('-', ' ')} {seed}", links)
    return (Input(PROPHET_ROLE, made.stage, made.key),)


def _is_the_studys(study: Study, name: str, spec: ProphetSpec) -> bool:
    """Whether an arm's Prophet is that of every arm which says nothing about it."""
    arm = study.trained[name]
    plain = Arm(memory=arm.memory, policy=arm.policy)
    return study.encoder_of(arm) == study.encoder_of(plain) and prophet_spec(study, plain, spec.seed) == spec
