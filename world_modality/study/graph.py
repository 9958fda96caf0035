"""From a study to its stages: what must exist, under which key, made from what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from world_modality.store.keys import stage_key
from world_modality.store.request import Input, StageRequest
from world_modality.study.arms import require_comparable_plan
from world_modality.study.modes import NEEDS_HISTORY
from world_modality.study.slices import (
    blocks,
    dataset_spec,
    demos_spec,
    encoder_spec,
    evidence_spec,
    latents_spec,
    optim_spec,
    policy_spec,
    relabel_spec,
    rollout_spec,
    round_optim_spec,
    sim_spec,
    suite_label,
    world_spec,
)
from world_modality.study.sources import Sources
from world_modality.study.specs import (
    Arithmetic,
    Camera,
    FilmsSpec,
    ReportCell,
    ReportColumn,
    ReportSpec,
    Spec,
    TrainMode,
    TrainSpec,
    latents_role,
)
from world_modality.study.stages import KINDS
from world_modality.study.study import ScriptedData, Study
from world_modality.study.suites import SuiteName

Cell = tuple[str, int, SuiteName, int]
"""Column, training seed, suite, task: what is rolled out in blocks and counted together."""


@dataclass
class Graph:
    """The stages of a study, by key, in an order in which they can be made."""

    study: str
    stages: dict[str, StageRequest] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # name for people ("train/E2-seed0") -> key
    pretrained: str = ""  # key of the last pretraining round
    arithmetic: Arithmetic = "native"

    def of(self, stage: str) -> Iterator[StageRequest]:
        """All stages of a kind."""
        return (request for request in self.stages.values() if request.stage == stage)

    @property
    def report(self) -> StageRequest:
        """The table's stage, on which all others converge."""
        return next(self.of("report"))

    def add(self, stage: str, spec: Spec, inputs: tuple[Input, ...], label: str, name: str) -> StageRequest:
        """Add a stage, or find the equal one that is there under another name."""
        kind = KINDS[stage]
        address = spec.address() | ({"arithmetic": self.arithmetic} if spec.is_computed() else {})
        upstream: dict[str, list[str]] = {}
        for each in inputs:
            upstream.setdefault(each.role, []).append(each.key)
        key = stage_key(stage, kind.version, kind.software, address, upstream)
        request = StageRequest(stage, key, kind.version, label, spec, address, kind.software, inputs)
        self.names[name] = key
        return self.stages.setdefault(key, request)


def build_graph(study: Study, sources: Sources) -> Graph:
    """The stages of ``study``. Arm names reach only labels, links and the report, never the key of other stages.

    Raises:
        UserError: the arms' trainings differ in more than they declare.
    """
    return _Builder(study, sources).build()


def _read(role: str, request: StageRequest) -> Input:
    """``request`` as an input; a training in the role of a policy hands over its checkpoint."""
    checkpoint = role == "policy" and request.stage == "train"
    return Input(role, request.stage, request.key, "pretrained_model" if checkpoint else "")


def _round(where: str) -> str:
    """``" round 1"`` for the links below ``pretrain/round1/``, for labels."""
    return where.removeprefix("pretrain/").replace("round", " round ").rstrip("/")


class _Builder:
    """Adds a study's stages in the order in which the data flows."""

    def __init__(self, study: Study, sources: Sources) -> None:
        self.study = study
        self.sources = sources
        self.graph = Graph(study.study, arithmetic=study.arithmetic)
        self.sims = {suite: sim_spec(study, sources, suite) for suite in study.suite}

    def build(self) -> Graph:
        """See :func:`build_graph`."""
        start = self._pretrained(
            self.graph.add("policy", policy_spec(self.study, self.sources), (), "policy", "policy")
        )
        dataset = self._dataset(start)
        trainings: dict[tuple[str, int], StageRequest] = {}
        for name, arm in self.study.arms.items():
            for seed in self.study.training.seeds:
                spec = TrainSpec(
                    memory=arm.memory,
                    world=world_spec(self.study, arm),
                    optim=optim_spec(self.study, arm.memory),
                    seed=seed,
                    threads=self.study.training.threads,
                    n_action_steps=self.study.training.n_action_steps,
                    processes=self.study.training.processes,
                    held_out=self.study.data.held_out,
                )
                inputs: tuple[Input, ...] = (_read("policy", start), _read("dataset", dataset))
                if arm.memory != "disabled":
                    inputs = (*inputs, *self._memory_inputs(dataset, self.study.cameras(arm)))
                label, link = f"train {name}/{seed}", f"train/{name}-seed{seed}"
                trainings[name, seed] = self.graph.add("train", spec, inputs, label, link)
        require_comparable_plan({f"train {name}/{seed}": each for (name, seed), each in trainings.items()})
        self._report(trainings)
        return self.graph

    def _pretrained(self, policy: StageRequest) -> StageRequest:
        """The policy that every arm starts from: the given one, or the last round's."""
        gathered: tuple[Input, ...] = ()
        data = self.study.data
        for number, round_ in enumerate(self.study.pretrain):
            assert isinstance(data, ScriptedData)  # checked when the study was read
            where = f"pretrain/round{number}/"
            gathered += self._demos(data, round_.demonstrations, number, where)
            gathered += self._relabel(data, round_.relabel, number, policy, where)
            dataset = self.graph.add(
                "dataset", dataset_spec(self.study, self.sources), gathered, f"dataset {number}", where + "dataset"
            )
            spec = TrainSpec(  # of all episodes: there is no Prophet to judge
                memory="disabled",
                world=None,
                optim=round_optim_spec(self.study, round_),
                seed=getattr(self.study.policy, "seed", 0),
                threads=self.study.training.threads,
                n_action_steps=self.study.training.n_action_steps,
                processes=self.study.training.processes,
            )
            inputs = (_read("policy", policy), _read("dataset", dataset))
            policy = self.graph.add("train", spec, inputs, f"pretrain {number}", where + "train")
            self.graph.pretrained = policy.key
        return policy

    def _dataset(self, start: StageRequest) -> StageRequest:
        """The data that every arm trains on."""
        inputs: tuple[Input, ...] = ()
        data = self.study.data
        if isinstance(data, ScriptedData):
            inputs = self._demos(data, data.demonstrations.per_task, 0, "")
            if data.relabel:
                inputs += self._relabel(data, data.relabel.per_task, 0, start, "")
        return self.graph.add("dataset", dataset_spec(self.study, self.sources), inputs, "dataset", "dataset")

    def _demos(self, data: ScriptedData, episodes: int, number: int, where: str) -> tuple[Input, ...]:
        return tuple(
            _read(
                "demos",
                self.graph.add(
                    "demos",
                    demos_spec(data, self.sims[suite], task, episodes, number, self.study.horizon(suite)),
                    (),
                    f"demos {self._told(suite)}task {task}{_round(where)}",
                    f"{where}demos/{self._below(suite)}task{task}",
                ),
            )
            for suite, task in (self.study.places if episodes else ())
        )

    def _relabel(
        self, data: ScriptedData, episodes: int, number: int, policy: StageRequest, where: str
    ) -> tuple[Input, ...]:
        return tuple(
            _read(
                "relabel",
                self.graph.add(
                    "relabel",
                    relabel_spec(data, self.sims[suite], task, episodes, number, self.study.horizon(suite)),
                    (_read("policy", policy),),
                    f"relabel {self._told(suite)}task {task}{_round(where)}",
                    f"{where}relabel/{self._below(suite)}task{task}",
                ),
            )
            for suite, task in (self.study.places if episodes else ())
        )

    def _told(self, suite: SuiteName) -> str:
        """How labels name a suite where there are several."""
        return f"{suite} " if len(self.study.suite) > 1 else ""

    def _below(self, suite: SuiteName) -> str:
        """The same for links."""
        return f"{suite}/" if len(self.study.suite) > 1 else ""

    def _memory_inputs(self, dataset: StageRequest, cameras: tuple[Camera, ...]) -> tuple[Input, ...]:
        """What a training with a world memory reads besides policy and data: latents, one stage per camera."""
        encoder = self.graph.add("encoder", encoder_spec(self.study, self.sources), (), "encoder", "encoder")
        latents = {
            camera: self.graph.add(
                "latents",
                latents_spec(self.study, self.sources, camera),
                (_read("dataset", dataset), _read("encoder", encoder)),
                f"latents {camera}",
                f"latents/{camera}",
            )
            for camera in cameras
        }
        reads = tuple(_read(latents_role(camera), request) for camera, request in latents.items())
        return *reads, _read("encoder", encoder)

    def _report(self, trainings: dict[tuple[str, int], StageRequest]) -> None:
        cells: list[ReportCell] = []
        rollouts: dict[Cell, list[StageRequest]] = {}
        columns: list[ReportColumn] = []
        for name, arm in self.study.arms.items():
            modes = {name: arm.rollout or arm.memory} | {f"{name}-{mode}": mode for mode in arm.ablations}
            for column, mode in modes.items():
                columns.append(ReportColumn(name=column, arm=name, trained=arm.memory, rolled=mode))
                for seed in self.study.training.seeds:
                    for (suite, task), request in self._cell(column, mode, trainings[name, seed], seed):
                        cells.append(ReportCell(column=column, seed=seed, suite=suite, task=task, rollout=request.key))
                        rollouts.setdefault((column, seed, suite, task), []).append(request)
        inputs = [_read("rollout", request) for requests in rollouts.values() for request in requests]
        inputs += [_read("train", training) for training in trainings.values()]
        inputs += self._films(rollouts, _differences(self.study))
        spec = ReportSpec(
            study=self.study.study,
            label=suite_label(self.study, self.sources),
            sources=_parts(self.study, self.sources),
            columns=tuple(columns),
            suites=self.study.suite,
            init_states=self.study.rollouts.init_states[: self.study.rollouts.episodes],
            repeats=max(1, self.study.rollouts.episodes // len(self.study.rollouts.init_states)),
            evidence=evidence_spec(self.study),
            cells=tuple(cells),
            labels=tuple((request.key, request.label) for request in self.graph.stages.values()),
        )
        self.graph.add("report", spec, tuple(inputs), "report", "report")

    def _films(
        self, rollouts: Mapping[Cell, Sequence[StageRequest]], differences: Sequence[tuple[str, str]]
    ) -> Iterator[Input]:
        """The films of every cell, if the study wants any."""
        wanted = self.study.rollouts.films
        for (column, seed, suite, task), requests in rollouts.items() if any(wanted.model_dump().values()) else ():
            compared = _compared_with(column, differences) if wanted.discordant else ()
            others = [request for other in compared for request in rollouts[other, seed, suite, task]]
            first = requests[0]
            spec = FilmsSpec(rollout=first.spec, **wanted.model_dump())
            inputs = (
                *first.inputs,
                *(_read("records", request) for request in requests),
                *(_read("others", request) for request in others),
            )
            label = f"films {column}/{seed} {self._told(suite)}task {task}"
            link = f"films/{column}/seed{seed}/{self._below(suite)}task{task}"
            yield _read("films", self.graph.add("films", spec, inputs, label, link))

    def _cell(
        self, column: str, mode: TrainMode, training: StageRequest, seed: int
    ) -> Iterator[tuple[tuple[SuiteName, int], StageRequest]]:
        """The rollout stages of one checkpoint in one memory mode: each task's blocks of units."""
        inputs = [_read("checkpoint", training)]
        if mode in NEEDS_HISTORY:
            inputs += [each for each in training.inputs if each.role == "encoder"]
        cut = blocks(self.study.rollouts)
        for suite, task in self.study.places:
            horizon = self.study.horizon(suite)
            for number, (states, repeat) in enumerate(cut):
                spec = rollout_spec(self.study, self.sims[suite], task, horizon, mode, states, repeat)
                suffix = f" block {number}" if len(cut) > 1 else ""
                yield (
                    (suite, task),
                    self.graph.add(
                        "rollout",
                        spec,
                        tuple(inputs),
                        f"rollout {column}/{seed} {self._told(suite)}task {task}{suffix}",
                        f"rollouts/{column}/seed{seed}/{self._below(suite)}task{task}{suffix.replace(' ', '-')}",
                    ),
                )


def _differences(study: Study) -> tuple[tuple[str, str], ...]:
    """(treated, control) columns: every arm against the one without memory, every ablation against its own arm."""
    baseline = next(name for name, arm in study.arms.items() if arm.memory == "disabled")
    arms = [(name, baseline) for name in study.arms if name != baseline]
    ablations = [(name, f"{name}-{mode}") for name, arm in study.arms.items() for mode in arm.ablations]
    return (*arms, *ablations)


def _compared_with(column: str, differences: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The columns that a column is compared with, from either side, so that both film the units they disagree on."""
    pairs = [(treated, control) for treated, control in differences if column in (treated, control)]
    return tuple(control if treated == column else treated for treated, control in pairs)


def _parts(study: Study, sources: Sources) -> tuple[tuple[str, str], ...]:
    """What was embedded and what was real; folders by their content, wherever they lie."""
    assets = sources.assets.split("@")[0]
    parts = [
        ("simulator assets", _part(assets if assets in ("embedded", "hub") else "folder", "", sources.assets_digest)),
        ("data", _part(study.data.source, sources.dataset_name, sources.dataset_revision)),
        ("policy", _part(study.policy.source, sources.policy_name, sources.policy_revision)),
    ]
    if sources.policy_backbone:
        parts.append(("policy's backbone", f"hub {sources.policy_backbone}"))
    if study.encoder is not None and study.needs_encoder:
        parts.append(("encoder", _part(study.encoder.source, sources.encoder_name, sources.encoder_revision)))
    return tuple(parts)


def _part(source: str, name: str, revision: str) -> str:
    """``hub lerobot/smolvla_base main``, ``embedded smolvla-tiny 0123...``, ``folder 0123...``, ``scripted``."""
    shown = "" if source in ("folder", "scripted") else name
    return " ".join(part for part in (source, shown, revision) if part)
