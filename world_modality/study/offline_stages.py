"""Stages "offline": one for every training of a model of the discrete line, and what each depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from world_modality.facts.offline import FAMILY, MOST_FRAMES
from world_modality.facts.stages import STAGES
from world_modality.store.stage import Input, StageRequest
from world_modality.study.sources import Sources
from world_modality.study.specs import Device, PolicyFamilyName, Spec, TrainSpec
from world_modality.study.study import Study

if TYPE_CHECKING:
    from world_modality.study.graph import Graph

SEED = 0


class OfflineSpec(Spec):
    """An offline evaluation. Upstream: the checkpoint, the dataset, each camera's latents and, if the model knows any,
    world tokens."""

    family: PolicyFamilyName
    held_out: float  # share of every task's episodes that the checkpoint was not trained on; 0: judged on all
    frames: int  # of these that it is run on at most
    seed: int  # of what corrupts
    threads: int  # of the CPU: sums are rounded in an order that depends on it
    device: Device = "auto"


def plan(study: Study, _sources: Sources, graph: Graph) -> None:
    """Add the evaluation of every training of the family, after which the report reads it."""
    for name in study.trained:
        for seed in study.seeds:
            link = f"{name}-seed{seed}"
            training = graph.stages[graph.names[f"{STAGES['train'].links}/{link}"]]
            if isinstance(training.spec, TrainSpec) and training.spec.family == FAMILY:
                spec, inputs = offline_request(training, training.spec)
                graph.add("offline", spec, inputs, f"offline {name}/{seed}", f"{STAGES['offline'].links}/{link}")


def offline_request(training: StageRequest, spec: TrainSpec) -> tuple[OfflineSpec, tuple[Input, ...]]:
    """What the evaluation of a training depends on: its checkpoint, and what that was trained on."""
    checkpoint = Input("checkpoint", training.stage, training.key, "pretrained_model")
    read = tuple(each for each in training.inputs if each.role.startswith(("dataset", "latents_", "tokens_")))
    asked = OfflineSpec(
        family=spec.family,
        held_out=spec.held_out,
        frames=MOST_FRAMES,
        seed=SEED,
        threads=spec.threads,
        device=spec.device,
    )
    return asked, (checkpoint, *read)
