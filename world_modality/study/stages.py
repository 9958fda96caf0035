"""The kinds of stages: version, spec, and which function runs them. The one place to bump a version."""

from __future__ import annotations

from dataclasses import dataclass

from world_modality.store.machine import versions
from world_modality.study.specs import (
    DatasetSpec,
    DemosSpec,
    EncoderSpec,
    FilmsSpec,
    LatentsSpec,
    PolicySpec,
    RelabelSpec,
    ReportSpec,
    RolloutSpec,
    Spec,
    TrainSpec,
)

SIMULATION = ("hf-libero", "mujoco", "robosuite")
LEARNING = ("lerobot", "torch", "transformers")


@dataclass(frozen=True)
class StageKind:
    """What all stages of a kind share."""

    version: int  # bumped by hand when the meaning of the result changes; every result of the kind is then made anew
    spec: type[Spec]
    runner: str  # module:function, imported only by the process that runs the stage
    packages: tuple[str, ...] = ()  # whose versions change the numbers, so they enter the key
    together: bool = False  # whether several processes may work on one stage at once

    @property
    def software(self) -> dict[str, str]:
        """Versions of ``packages`` as installed here."""
        return versions(self.packages)


KINDS: dict[str, StageKind] = {
    "policy": StageKind(1, PolicySpec, "world_modality.training.start:run", LEARNING),
    "encoder": StageKind(1, EncoderSpec, "world_modality.encoders.source:run", ("torch", "transformers")),
    "demos": StageKind(2, DemosSpec, "world_modality.data.demonstrations:run", SIMULATION),
    "relabel": StageKind(2, RelabelSpec, "world_modality.data.relabel:run", SIMULATION + LEARNING),
    "dataset": StageKind(1, DatasetSpec, "world_modality.data.dataset:run", ("lerobot",)),
    "latents": StageKind(1, LatentsSpec, "world_modality.latents.stage:run", ("torch", "transformers")),
    "train": StageKind(3, TrainSpec, "world_modality.training.stage:run", LEARNING),
    "rollout": StageKind(4, RolloutSpec, "world_modality.rollout.stage:run", SIMULATION + LEARNING, together=True),
    "films": StageKind(3, FilmsSpec, "world_modality.rollout.films_stage:run", SIMULATION + LEARNING),
    "report": StageKind(7, ReportSpec, "world_modality.report.stage:run"),
}
