"""From a study to its stages: what must exist, under which key, made from what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from world_modality.facts.benchmarks import SUITES
from world_modality.facts.memory import MODES
from world_modality.facts.stages import STAGES
from world_modality.store.keys import stage_key
from world_modality.store.stage import Input, StageRequest
from world_modality.study.arms import require_comparable_plan
from world_modality.study.parts import AnyPolicy, ScriptedData, without_cameras
from world_modality.study.rows import software_of
from world_modality.study.slices import (
    blocks,
    dataset_spec,
    declared,
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
    ReportArm,
    ReportCell,
    ReportCondition,
    ReportSpec,
    Spec,
    TrainSpec,
    VideosSpec,
    latents_role,
)
from world_modality.study.study import Arm, Study

Cell = tuple[str, int, str, int]
"""Condition, training seed, suite, task: what is rolled out in blocks and counted together."""
Trainings = dict[tuple[str, int], StageRequest]
"""By arm and seed."""


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
        """Add a stage, or find the equal one that is there under another name.

        ``inputs`` in the order in which the stage reads them; ``label`` for progress, ``name`` for links.
        """
        kind = STAGES[stage]
        address = spec.address() | ({"arithmetic": self.arithmetic} if spec.is_computed() else {})
        software = software_of(kind, spec)
        key = stage_key(stage, kind.version, software, address, [(each.role, each.key) for each in inputs])
        request = StageRequest(stage, key, kind.version, label, spec, address, software, inputs)
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
        self.sims = {suite: sim_spec(study, sources, suite) for suite in study.suites}

    def build(self) -> Graph:
        """See :func:`build_graph`."""
        start = self._pretrained(self._policy(self.study.policy, "policy"))
        dataset = self._dataset(start)
        trainings: Trainings = {}
        for name, arm in self.study.arms.items():
            own = self.study.policy_of(arm)
            policy = start if own == self.study.policy else self._policy(own, f"policy-{name}")
            inputs = (_read("policy", policy), _read("dataset", dataset), *self._memory_inputs(name, arm, dataset))
            for seed in self.study.training.seeds:
                spec = self._training(self.sources.policies[own].family, arm, seed)
                label, link = f"train {name}/{seed}", f"{STAGES['train'].links}/{name}-seed{seed}"
                trainings[name, seed] = self.graph.add("train", spec, inputs, label, link)
        arms = self._arms(trainings)
        require_comparable_plan(arms, trainings)
        for kind in STAGES:
            if kind.plan is not None:
                kind.plan.load()(self.study, self.sources, self.graph)
        self._report(arms, trainings)
        return self.graph

    def _policy(self, policy: AnyPolicy, name: str) -> StageRequest:
        return self.graph.add("policy", policy_spec(self.study, policy, self.sources), (), name.replace("-", " "), name)

    def _training(self, family: str, arm: Arm, seed: int) -> TrainSpec:
        settings = self.study.training
        return TrainSpec(
            family=family,
            memory=arm.memory,
            world=world_spec(self.study, arm),
            optim=optim_spec(self.study, arm.memory),
            seed=seed,
            threads=settings.threads,
            n_action_steps=settings.n_action_steps,
            processes=settings.processes,
            held_out=self.study.data.held_out,
            device=settings.device,
            dtype=settings.dtype,
        )

    def _pretrained(self, policy: StageRequest) -> StageRequest:
        """The policy that every arm starts from: the given one, or the last round's."""
        gathered: tuple[Input, ...] = ()
        for number, round_ in enumerate(self.study.pretrain):
            where = f"pretrain/round{number}/"
            gathered += self._demos(round_.demonstrations, number, where)
            gathered += self._relabel(round_.relabel, number, policy, where)
            dataset = self.graph.add(
                "dataset", dataset_spec(self.study, self.sources), gathered, f"dataset {number}", where + "dataset"
            )
            spec = TrainSpec(  # of all episodes: there is no Prophet to judge
                family=self.sources.policies[self.study.policy].family,
                memory="disabled",
                world=None,
                optim=round_optim_spec(self.study, round_),
                seed=getattr(self.study.policy, "seed", 0),
                threads=self.study.training.threads,
                n_action_steps=self.study.training.n_action_steps,
                processes=self.study.training.processes,
                device=self.study.training.device,
                dtype=self.study.training.dtype,
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
            inputs = self._demos(data.demonstrations.per_task, 0, "")
            if data.relabel:
                inputs += self._relabel(data.relabel.per_task, 0, start, "")
        return self.graph.add("dataset", dataset_spec(self.study, self.sources), inputs, "dataset", "dataset")

    def _demos(self, episodes: int, number: int, where: str) -> tuple[Input, ...]:
        several = len(self.study.data_suites) > 1
        return tuple(
            _read(
                "demos",
                self.graph.add(
                    "demos",
                    demos_spec(self.study, self.sims[suite], task, episodes, number),
                    (),
                    f"demos {_told(suite, several)}task {task}{_round(where)}",
                    f"{where}{STAGES['demos'].links}/{_below(suite, several)}task{task}",
                ),
            )
            for suite, task in (self.study.data_places if episodes else ())
        )

    def _relabel(self, episodes: int, number: int, policy: StageRequest, where: str) -> tuple[Input, ...]:
        several = len(self.study.data_suites) > 1
        return tuple(
            _read(
                "relabel",
                self.graph.add(
                    "relabel",
                    relabel_spec(self.study, self.sources, self.sims[suite], task, episodes, number),
                    (_read("policy", policy),),
                    f"relabel {_told(suite, several)}task {task}{_round(where)}",
                    f"{where}{STAGES['relabel'].links}/{_below(suite, several)}task{task}",
                ),
            )
            for suite, task in (self.study.data_places if episodes else ())
        )

    def _memory_inputs(self, name: str, arm: Arm, dataset: StageRequest) -> tuple[Input, ...]:
        """What an arm with a world memory reads besides policy and data: latents, one stage per camera."""
        encoder = self.study.encoder_of(arm)
        if encoder is None:
            return ()
        spec = encoder_spec(encoder, self.sources)
        shared = self.study.encoder is not None and encoder == without_cameras(self.study.encoder)
        told = "" if shared else f"-{name}"
        made = self.graph.add("encoder", spec, (), f"encoder{told.replace('-', ' ')}", f"encoder{told}")
        reads = tuple(
            _read(
                latents_role(camera),
                self.graph.add(
                    "latents",
                    latents_spec(spec, camera),
                    (_read("dataset", dataset), _read("encoder", made)),
                    f"latents{told.replace('-', ' ')} {camera}",
                    f"{STAGES['latents'].links}{told}/{camera}",
                ),
            )
            for camera in self.study.cameras(arm)
        )
        return *reads, _read("encoder", made)

    def _arms(self, trainings: Trainings) -> tuple[ReportArm, ...]:
        own = {name: training for (name, _), training in trainings.items()}
        return tuple(
            ReportArm(
                name=name,
                against=self.study.control_of(name) or "",
                declared=declared(self.study, name),
                trainings=tuple(trainings[name, seed].key for seed in self.study.training.seeds),
                policy=next(each.key for each in own[name].inputs if each.role == "policy"),
            )
            for name in self.study.arms
        )

    def _report(self, arms: tuple[ReportArm, ...], trainings: Trainings) -> None:
        study, cells = self.study, list[ReportCell]()
        rollouts: dict[Cell, list[StageRequest]] = {}
        conditions = _conditions(study)
        for condition in conditions:
            for seed in study.training.seeds:
                for (suite, task), request in self._cell(condition, trainings[condition.arm, seed], seed):
                    key = request.key
                    cells.append(ReportCell(condition=condition.name, seed=seed, suite=suite, task=task, rollout=key))
                    rollouts.setdefault((condition.name, seed, suite, task), []).append(request)
        inputs = [_read("rollout", request) for requests in rollouts.values() for request in requests]
        inputs += [_read("train", training) for training in trainings.values()]
        inputs += self._videos(rollouts, conditions)
        spec = ReportSpec(
            study=study.study,
            label=suite_label(study, self.sources),
            sources=_parts(study, self.sources),
            conditions=conditions,
            arms=arms,
            suites=study.rollout_suites,
            init_states=study.rollouts.init_states[: study.rollouts.episodes],
            repeats=max(1, study.rollouts.episodes // len(study.rollouts.init_states)),
            evidence=evidence_spec(study),
            cells=tuple(cells),
            labels=tuple((request.key, request.label) for request in self.graph.stages.values()),
        )
        self.graph.add("report", spec, tuple(inputs), "report", "report")

    def _videos(
        self, rollouts: Mapping[Cell, Sequence[StageRequest]], conditions: Sequence[ReportCondition]
    ) -> Iterator[Input]:
        """The videos of every cell, if the study wants any."""
        wanted, several = self.study.rollouts.videos, len(self.study.rollout_suites) > 1
        for (condition, seed, suite, task), requests in rollouts.items() if any(wanted.model_dump().values()) else ():
            compared = _compared_with(condition, conditions) if wanted.discordant else ()
            others = [request for other in compared for request in rollouts[other, seed, suite, task]]
            first = requests[0]
            spec = VideosSpec(rollout=first.spec, **wanted.model_dump())
            inputs = (
                *first.inputs,
                *(_read("records", request) for request in requests),
                *(_read("others", request) for request in others),
            )
            label = f"videos {condition}/{seed} {_told(suite, several)}task {task}"
            link = f"{STAGES['videos'].links}/{condition}/seed{seed}/{_below(suite, several)}task{task}"
            yield _read("videos", self.graph.add("videos", spec, inputs, label, link))

    def _cell(
        self, condition: ReportCondition, training: StageRequest, seed: int
    ) -> Iterator[tuple[tuple[str, int], StageRequest]]:
        """The rollout stages of one checkpoint in one memory mode: each task's blocks of episodes."""
        inputs = [_read("checkpoint", training)]
        if MODES[condition.rolled].needs_history:
            inputs += [each for each in training.inputs if each.role == "encoder"]
        cut, several = blocks(self.study.rollouts), len(self.study.rollout_suites) > 1
        for suite, task in self.study.rollout_places:
            for number, block in enumerate(cut):
                family = training.address["family"]
                spec = rollout_spec(self.study, self.sims[suite], task, family, condition.rolled, block)
                suffix = f" block {number}" if len(cut) > 1 else ""
                label = f"rollout {condition.name}/{seed} {_told(suite, several)}task {task}{suffix}"
                below = f"seed{seed}/{_below(suite, several)}task{task}{suffix.replace(' ', '-')}"
                link = f"{STAGES['rollout'].links}/{condition.name}/{below}"
                yield (suite, task), self.graph.add("rollout", spec, tuple(inputs), label, link)


def _told(suite: str, several: bool) -> str:
    """How labels name a suite where there are several."""
    return f"{suite} " if several else ""


def _below(suite: str, several: bool) -> str:
    """The same for links."""
    return f"{suite}/" if several else ""


def _conditions(study: Study) -> tuple[ReportCondition, ...]:
    """Every arm and its ablations. An arm is compared with its control, an ablation with its own arm."""
    return tuple(
        ReportCondition(name=condition, arm=name, trained=arm.memory, rolled=mode, against=against)
        for name, arm in study.arms.items()
        for condition, mode, against in (
            (name, arm.rollout or arm.memory, study.control_of(name) or ""),
            *((f"{name}-{mode}", mode, name) for mode in arm.ablations),
        )
    )


def _compared_with(condition: str, conditions: Sequence[ReportCondition]) -> tuple[str, ...]:
    """The conditions that a condition is compared with, from either side, so that both show the episodes they disagree
    on."""
    return tuple(
        each.against if each.name == condition else each.name
        for each in conditions
        if each.against and condition in (each.name, each.against)
    )


def _parts(study: Study, sources: Sources) -> tuple[tuple[str, str], ...]:
    """What was embedded and what was real; folders by their content, wherever they lie."""
    parts: list[tuple[str, str]] = []
    for suite, assets in sources.assets.items():
        if assets.source:
            word = assets.source.partition("@")[0]
            source = word if word in SUITES[suite].assets else "folder"
            parts.append(("simulator assets", _part(source, "", assets.digest)))
    parts.append(("data", _part(study.data.source, sources.dataset.name, sources.dataset.revision)))
    for policy in study.policies:
        found = sources.policies[policy]
        parts.append(("policy", _part(policy.source, found.name, found.revision)))
        if found.backbone:
            parts.append(("policy's backbone", f"hub {found.backbone}"))
    for encoder in study.encoders:
        made = sources.encoders[encoder]
        parts.append(("encoder", _part(encoder.source, made.name, made.revision)))
    return tuple(dict.fromkeys(parts))


def _part(source: str, name: str, revision: str) -> str:
    """``hub lerobot/smolvla_base main``, ``embedded smolvla-tiny 0123...``, ``folder 0123...``, ``scripted``."""
    shown = "" if source in ("folder", "scripted") else name
    return " ".join(part for part in (source, shown, revision) if part)
