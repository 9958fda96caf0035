"""Kinds of stages: what each is called, what it is asked with, who runs it, and what its job needs of a machine.

The one place to bump a version. A kind is one row here and one code file that runs it. Rules, targets, links for
people, `wm plan` and `wm verify` read the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from world_modality.facts.table import Reference, Table


@dataclass(frozen=True)
class Needs:
    """What a stage's job asks of a machine, unless a profile or the command line says otherwise."""

    cores: int = 1
    """CPU cores, which a job in a queue asks for."""
    all_cores: bool = False
    """Whether it takes every core of a machine that it does not share with a queue, so that nothing runs beside it."""
    gpu: bool = False
    """Whether a GPU makes it faster where there is one. No stage needs one."""
    memory_mb: int = 4_000
    """Main memory in megabytes,"""
    minutes: int = 60
    """and wall time, for queues that must be told. A stage that is stopped goes on where it was."""


@dataclass(frozen=True)
class StageKind:
    """What all stages of a kind share."""

    name: str
    """Also its folder: ``results/<name>/<key>``. Letters, digits and _."""
    version: int
    """Bumped by hand when the meaning of the result changes; every result of the kind is then made anew."""
    spec: Reference
    """The :class:`~world_modality.study.specs.Spec` of what it depends on."""
    runner: Reference
    """``(spec, StageContext) -> facts``; imported only by the process that runs the stage."""
    packages: tuple[str, ...] = ()
    """Whose versions change the numbers of every such stage. Those of the rows that a stage uses (suite, policy family,
    encoder family) are added to them by whoever plans it."""
    target: str = ""
    """The word after ``snakemake`` that makes all such stages of a study; several kinds may share one. "" for none."""
    folder: str = ""
    """Where links for people lie below ``results/by-name/<study>``; the kind's name by default."""
    unfold: bool = False
    """Whether the artifact's files are linked directly below ``results/by-name/<study>`` too."""
    shared: bool = False
    """Whether several processes may work on one stage at once, each on a part of it."""
    needs: Needs = Needs()
    together: Reference | None = None
    """``() -> context manager`` in which one job runs several such stages, one after the other: what they share is
    imported and opened once. None for kinds of which every stage has a job of its own."""
    plan: Reference | None = None
    """``(study, sources, graph) -> None``: adds such stages to a study's graph, by ``graph.add``, after all kinds that
    come before it. None for the kinds that every study has, which study/graph.py adds."""

    def gpus(self, spec: Any, here: int | None) -> int:
        """How many GPUs a job of such a stage is given: none, one, or one per process of a training.

        No more than there are ``here``, where that is known. A stage that takes all cores and shares its work out by
        itself takes all of them. ``spec`` is the stage's, or None.
        """
        if not self.needs.gpu or getattr(spec, "device", "auto") == "cpu":
            return 0
        wanted = int(getattr(spec, "processes", 1))
        if here is None:
            return wanted
        return here if self.shared and self.needs.all_cores else min(wanted, here)

    @property
    def links(self) -> str:
        """First part of the names of links to such stages."""
        return self.folder or self.name


def targets() -> tuple[str, ...]:
    """The words after ``snakemake`` that make stages of a kind, in the order of the table."""
    return tuple(dict.fromkeys(kind.target for kind in STAGES if kind.target))


_SPECS = "world_modality.study.specs"
_PRETRAINING = "world_modality.pretraining"

STAGES: Table[StageKind] = Table(
    "stage",
    "stages",
    (
        StageKind(
            name="policy",
            version=1,
            spec=Reference(f"{_SPECS}:PolicySpec"),
            runner=Reference("world_modality.training.start:run"),
        ),
        StageKind(
            name="encoder",
            version=1,
            spec=Reference(f"{_SPECS}:EncoderSpec"),
            runner=Reference("world_modality.encoders.source:run"),
        ),
        StageKind(
            name="footage",
            version=1,
            spec=Reference(f"{_PRETRAINING}.specs:FootageSpec"),
            runner=Reference(f"{_PRETRAINING}.footage:run"),
            packages=("pillow",),
            together=Reference("contextlib:nullcontext"),
        ),
        StageKind(
            name="pretraining",
            version=1,
            spec=Reference(f"{_PRETRAINING}.specs:PretrainingSpec"),
            runner=Reference(f"{_PRETRAINING}.stage:run"),
            packages=("numpy", "torch", "torchvision", "transformers"),
            needs=Needs(cores=8, all_cores=True, memory_mb=8_000, minutes=1440),
        ),
        StageKind(
            name="probes",
            version=1,
            spec=Reference(f"{_PRETRAINING}.specs:ProbesSpec"),
            runner=Reference(f"{_PRETRAINING}.probing:run"),
            packages=("numpy",),
        ),
        StageKind(
            name="demos",
            version=3,
            spec=Reference(f"{_SPECS}:DemosSpec"),
            runner=Reference("world_modality.data.demonstrations:run"),
            target="data",
            together=Reference("contextlib:nullcontext"),
        ),
        StageKind(
            name="relabel",
            version=3,
            spec=Reference(f"{_SPECS}:RelabelSpec"),
            runner=Reference("world_modality.data.relabel:run"),
            target="data",
            together=Reference("contextlib:nullcontext"),
            needs=Needs(gpu=True, memory_mb=8_000, minutes=240),
        ),
        StageKind(
            name="dataset",
            version=2,
            spec=Reference(f"{_SPECS}:DatasetSpec"),
            runner=Reference("world_modality.data.dataset:run"),
            packages=("lerobot",),
            target="data",
            needs=Needs(minutes=240),
        ),
        StageKind(
            name="latents",
            version=2,
            spec=Reference(f"{_SPECS}:LatentsSpec"),
            runner=Reference("world_modality.latents.stage:run"),
            target="latents",
            shared=True,
            needs=Needs(cores=8, all_cores=True, gpu=True, memory_mb=16_000, minutes=720),
        ),
        StageKind(
            name="tokens",
            version=1,
            spec=Reference(f"{_SPECS}:TokensSpec"),
            runner=Reference("world_modality.tokens.stage:run"),
            packages=("faiss-cpu", "numpy", "scipy"),
            target="tokens",
            needs=Needs(cores=8, all_cores=True, memory_mb=16_000, minutes=240),
        ),
        StageKind(
            name="instructions",
            version=1,
            spec=Reference("world_modality.study.instructions:InstructionsSpec"),
            runner=Reference("world_modality.discrete.instruction_table:run"),
            packages=("torch", "transformers"),
            target="instructions",
        ),
        StageKind(
            name="prophet",
            version=2,
            spec=Reference("world_modality.study.prophet:ProphetSpec"),
            runner=Reference("world_modality.prophet.stage:run"),
            packages=("numpy", "scipy", "torch"),
            target="prophet",
            needs=Needs(cores=8, all_cores=True, gpu=True, memory_mb=16_000, minutes=240),
        ),
        StageKind(
            name="train",
            version=7,
            spec=Reference(f"{_SPECS}:TrainSpec"),
            runner=Reference("world_modality.training.stage:run"),
            target="train",
            # Never beside a simulation: on two cores that made it 15 times slower.
            needs=Needs(cores=8, all_cores=True, gpu=True, memory_mb=32_000, minutes=1440),
        ),
        StageKind(
            name="offline",
            version=1,
            spec=Reference("world_modality.study.offline_stages:OfflineSpec"),
            runner=Reference("world_modality.offline.stage:run"),
            packages=("numpy", "pyarrow", "scipy"),
            target="offline",
            together=Reference("contextlib:nullcontext"),
            needs=Needs(cores=4, all_cores=True, gpu=True, memory_mb=16_000),
            plan=Reference("world_modality.study.offline_stages:plan"),
        ),
        StageKind(
            name="rollout",
            version=9,
            spec=Reference(f"{_SPECS}:RolloutSpec"),
            runner=Reference("world_modality.rollout.stage:run"),
            target="rollouts",
            folder="rollouts",
            shared=True,
            together=Reference("world_modality.rollout.pool:kept_simulators"),
            # Four processes of LIBERO's simulators at their largest; with less memory fewer are started.
            needs=Needs(cores=4, gpu=True, memory_mb=36_000, minutes=240),
        ),
        StageKind(
            name="videos",
            version=4,
            spec=Reference(f"{_SPECS}:VideosSpec"),
            runner=Reference("world_modality.rollout.videos_stage:run"),
            target="videos",
            needs=Needs(gpu=True, memory_mb=8_000),
        ),
        StageKind(
            name="report",
            version=14,
            spec=Reference(f"{_SPECS}:ReportSpec"),
            runner=Reference("world_modality.report.stage:run"),
            target="report",
            unfold=True,
        ),
    ),
)
