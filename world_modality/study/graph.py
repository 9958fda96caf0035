"""From a study to its stages: what must exist, under which key, made from what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from world_modality.facts.memory import MODES
from world_modality.facts.policies import POLICIES
from world_modality.facts.stages import STAGES
from world_modality.store.keys import stage_key
from world_modality.store.stage import Input, StageRequest
from world_modality.study.comparable import require_comparable_plan
from world_modality.study.conditions import compared_with, conditions_of, control_of, is_aligned, n_action_steps_of
from world_modality.study.labels import parts_of, suite_label
from world_modality.study.latent_stages import instructions_inputs, latents_inputs, looked_up_inputs, tokens_inputs
from world_modality.study.looks import blocks_of, looks_of
from world_modality.study.parts import AnyPolicy, ScriptedData
from world_modality.study.prophet import prophet_inputs
from world_modality.study.rows import software_of
from world_modality.study.slices import (
    checkpoint_spec,
    dataset_spec,
    declared,
    demos_spec,
    evidence_spec,
    optim_spec,
    policy_spec,
    relabel_spec,
    rollout_spec,
    round_optim_spec,
    sim_spec,
    start_policy,
    training_parts,
    world_spec,
)
from world_modality.study.sources import Sources
from world_modality.study.specs import (
    BEFORE,
    Arithmetic,
    DatasetSpec,
    ReportArm,
    ReportCell,
    ReportCondition,
    ReportSpec,
    Spec,
    TrainSpec,
    VideosSpec,
)
from world_modality.study.study import Arm, Study

Cell = tuple[str, int, str, int]
"""Condition, training seed, suite, task: what is rolled out in blocks and counted together."""
Checkpoints = dict[tuple[str, int], StageRequest]
"""By arm and seed: trainings, or the stages that fetch given checkpoints."""


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

    def add(
        self, stage: str, spec: Spec, inputs: tuple[Input, ...], label: str, name: str, *, asked: bool = True
    ) -> StageRequest:
        """Add a stage, or find the equal one that is there under another name; one that is not ``asked`` for is told.

        ``inputs`` in the order in which the stage reads them; ``label`` for progress, ``name`` for links.
        """
        kind = STAGES[stage]
        address = spec.address() | ({"arithmetic": self.arithmetic} if spec.is_computed() else {})
        software = software_of(kind, spec)
        key = stage_key(stage, kind.version, software, address, [(each.role, each.key) for each in inputs])
        request = StageRequest(stage, key, kind.version, label, spec, address, software, inputs)
        if not asked:
            return request
        self.names[name] = key
        return self.stages.setdefault(key, request)


def build_graph(study: Study, sources: Sources, looks: int | None = None) -> Graph:
    """The stages of ``study``. Arm names reach only labels, links and the report, never the key of other stages.

    Of a study that may stop early, the rollouts of the first so many ``looks``, and a report of these; by default all.

    Raises:
        UserError: the arms' trainings differ in more than they declare.
    """
    return _Builder(study, sources, looks_of(study) if looks is None else looks).build()


def _read(role: str, request: StageRequest) -> Input:
    """``request`` as an input; a training in the role of a policy hands over its checkpoint."""
    checkpoint = role in ("policy", "checkpoint") and request.stage == "train"
    return Input(role, request.stage, request.key, "pretrained_model" if checkpoint else "")


def _round(where: str) -> str:
    """``" round 1"`` for the links below ``pretrain/round1/``, for labels."""
    return where.removeprefix("pretrain/").replace("round", " round ").rstrip("/")


class _Builder:
    """Adds a study's stages in the order in which the data flows."""

    def __init__(self, study: Study, sources: Sources, looks: int) -> None:
        self.study = study
        self.looks = looks
        self.sources = sources
        self.graph = Graph(study.study, arithmetic=study.arithmetic)
        self.sims = {suite: sim_spec(study, sources, suite) for suite in study.suites}
        self.early: dict[int, Checkpoints] = {step: {} for step in study.early_steps}
        self.tokens: tuple[Input, ...] = ()
        self.instructions: tuple[Input, ...] = ()

    def build(self) -> Graph:
        """See :func:`build_graph`."""
        trainings = self._trainings() if self.study.trained else {}
        given = self._given()
        arms = self._arms(trainings, given)
        require_comparable_plan(arms, trainings)
        for kind in STAGES:
            if kind.plan is not None:
                kind.plan.load()(self.study, self.sources, self.graph)
        self._report(arms, {**trainings, **given})
        return self.graph

    def _trainings(self) -> Checkpoints:
        """Those of the arms that are trained here, and what they need."""
        study = self.study
        start = None if study.policy is None else self._pretrained(self._policy(study.policy, "policy"))
        dataset = self._dataset(start)
        self.tokens = tokens_inputs(self.graph, study, self.sources, dataset)
        self.instructions = instructions_inputs(self.graph, study, self.sources, dataset)
        trainings: Checkpoints = {}
        for name, arm in study.trained.items():
            own = study.policy_of(arm)
            policy = start if start and own == study.policy else self._policy(own, f"policy-{name}")
            inputs = (_read("policy", policy), _read("dataset", dataset), *self._memory_inputs(name, arm, dataset))
            for seed in study.seeds:
                spec = self._training(self.sources.policies[own].family, arm, seed)
                read = (*inputs, *prophet_inputs(self.graph, study, name, seed, inputs))
                trainings[name, seed] = self._in_parts(name, spec, read)
        return trainings

    def _in_parts(self, name: str, spec: TrainSpec, inputs: tuple[Input, ...]) -> StageRequest:
        """An arm's training with one seed, whose earlier checkpoints are stages that it goes on from."""
        label, link = f"train {name}/{spec.seed}", f"{STAGES['train'].links}/{name}-seed{spec.seed}"
        before: tuple[Input, ...] = ()
        *early, last = training_parts(spec.optim, self.study.early_steps)
        for step, (optim, stop) in zip(self.study.early_steps, early, strict=True):
            part = spec.model_copy(update={"optim": optim, "stop": stop})
            made = self.graph.add("train", part, (*inputs, *before), f"{label} step {step}", f"{link}-step{step}")
            self.early[step][name, spec.seed] = made
            before = (_read(BEFORE, made),)
        return self.graph.add("train", spec.model_copy(update={"optim": last[0]}), (*inputs, *before), label, link)

    def _given(self) -> Checkpoints:
        """The given checkpoints, and the encoders that they name, each at the seed that it stands for."""
        found: Checkpoints = {}
        for name, arm in self.study.given.items():
            sources = self.sources.checkpoints[name]
            for seed, checkpoint, source in zip(self.study.seeds, arm.checkpoint, sources, strict=True):
                spec = checkpoint_spec(checkpoint, source.policy)
                found[name, seed] = self.graph.add(
                    "policy", spec, (), f"checkpoint {name}/{seed}", f"checkpoints/{name}-seed{seed}"
                )
        return found

    def _policy(self, policy: AnyPolicy, name: str) -> StageRequest:
        return self.graph.add("policy", policy_spec(self.study, policy, self.sources), (), name.replace("-", " "), name)

    def _training(self, family: str, arm: Arm, seed: int) -> TrainSpec:
        data, settings = self.study.recipe
        return TrainSpec(
            family=family,
            memory=arm.memory,
            world=world_spec(self.study, arm),
            optim=optim_spec(self.study, arm.memory, preset=arm.preset, aligned=self.study.aligns(arm)),
            seed=seed,
            threads=settings.threads,
            n_action_steps=settings.n_action_steps,
            processes=settings.processes,
            held_out=data.held_out,
            device=settings.device,
            dtype=settings.dtype,
        )

    def _pretrained(self, policy: StageRequest) -> StageRequest:
        """The policy that every arm starts from: the given one, or the last round's."""
        gathered: tuple[Input, ...] = ()
        settings = self.study.recipe.training
        for number, round_ in enumerate(self.study.pretrain):
            where = f"pretrain/round{number}/"
            gathered += self._demos(round_.demonstrations, number, where)
            gathered += self._relabel(round_.relabel, number, policy, where)
            dataset = self.graph.add("dataset", self._dataset_spec(), gathered, f"dataset {number}", where + "dataset")
            spec = TrainSpec(  # of all episodes: there is no Prophet to judge
                family=self.sources.policies[start_policy(self.study)].family,
                memory="disabled",
                world=None,
                optim=round_optim_spec(self.study, round_),
                seed=getattr(self.study.policy, "seed", 0),
                threads=settings.threads,
                n_action_steps=settings.n_action_steps,
                processes=settings.processes,
                device=settings.device,
                dtype=settings.dtype,
            )
            inputs = (_read("policy", policy), _read("dataset", dataset))
            policy = self.graph.add("train", spec, inputs, f"pretrain {number}", where + "train")
            self.graph.pretrained = policy.key
        return policy

    def _dataset(self, start: StageRequest | None) -> StageRequest:
        """The data that every arm trains on."""
        inputs: tuple[Input, ...] = ()
        data = self.study.data
        if isinstance(data, ScriptedData):
            inputs = self._demos(data.demonstrations.per_task, 0, "")
            if data.relabel and start is not None:
                inputs += self._relabel(data.relabel.per_task, 0, start, "")
        return self.graph.add("dataset", self._dataset_spec(), inputs, "dataset", "dataset")

    def _dataset_spec(self) -> DatasetSpec:
        assert self.sources.dataset is not None  # of a study that trains
        return dataset_spec(self.study, self.sources.dataset)

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
        """What an arm reads besides policy and data: latents and encoder; one that sees latents, tokens and texts."""
        encoder = arm.encoder or self.study.encoder if self.study.reads_latents(arm) else None
        if encoder is None:
            return ()
        reads, made = latents_inputs(self.graph, self.study, self.sources, encoder, dataset, name)
        if not self.study.sees_latents(arm):
            return *reads, made
        tokens = self.tokens if self.sources.policies[self.study.policy_of(arm)].knows_tokens else ()
        return *reads, made, *tokens, *self.instructions

    def _arms(self, trainings: Checkpoints, given: Checkpoints) -> tuple[ReportArm, ...]:
        starts = {
            name: next(each.key for each in training.inputs if each.role == "policy")
            for (name, _), training in reversed(trainings.items())
        }
        starts |= {name: checkpoint.key for (name, _), checkpoint in reversed(given.items())}
        return tuple(
            ReportArm(
                name=name,
                against=control_of(self.study, self.sources, name) or "",
                declared=declared(self.study, name),
                trainings=tuple(each.key for (arm, _), each in trainings.items() if arm == name),
                policy=starts[name],
                checkpoints=tuple(each.key for (arm, _), each in given.items() if arm == name),
                aligned=is_aligned(self.study, self.sources, name),
            )
            for name in self.study.arms
        )

    def _report(self, arms: tuple[ReportArm, ...], checkpoints: Checkpoints) -> None:
        study, cells, later = self.study, list[ReportCell](), list[ReportCell]()
        rollouts: dict[Cell, list[StageRequest]] = {}
        conditions = conditions_of(study, self.sources)
        for condition in conditions:
            for seed in study.seeds:
                held = self.early[condition.step] if condition.step else checkpoints
                for (suite, task), request in self._cell(condition, held[condition.arm, seed], seed):
                    key, asked = request.key, request.key in self.graph.stages
                    cell = ReportCell(condition=condition.name, seed=seed, suite=suite, task=task, rollout=key)
                    (cells if asked else later).append(cell)
                    if asked:
                        rollouts.setdefault((condition.name, seed, suite, task), []).append(request)
        inputs = [_read("rollout", request) for requests in rollouts.values() for request in requests]
        inputs += [_read("train" if each.stage == "train" else "given", each) for each in checkpoints.values()]
        inputs += self._videos(rollouts, conditions)
        inputs += [Input("tokens", each.stage, each.key) for each in self.tokens]
        inputs += [_read("offline", each) for each in self.graph.of("offline")]
        spec = ReportSpec(
            study=study.study,
            label=suite_label(study, self.sources),
            sources=parts_of(study, self.sources),
            conditions=conditions,
            arms=arms,
            suites=study.rollout_suites,
            init_states=study.rollouts.init_states[: study.rollouts.episodes],
            repeats=max(1, study.rollouts.episodes // len(study.rollouts.init_states)),
            evidence=evidence_spec(study),
            cells=tuple(cells),
            labels=tuple((request.key, request.label) for request in self.graph.stages.values()),
            looks=None if study.evidence.stop_early is None else self.looks,
            later=tuple(later),
        )
        self.graph.add("report", spec, tuple(inputs), "report", "report")

    def _videos(
        self, rollouts: Mapping[Cell, Sequence[StageRequest]], conditions: tuple[ReportCondition, ...]
    ) -> Iterator[Input]:
        """The videos of every cell, if the study wants any."""
        wanted, several = self.study.rollouts.videos, len(self.study.rollout_suites) > 1
        for (condition, seed, suite, task), requests in rollouts.items() if any(wanted.model_dump().values()) else ():
            compared = compared_with(condition, conditions) if wanted.discordant else ()
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
        self, condition: ReportCondition, checkpoint: StageRequest, seed: int
    ) -> Iterator[tuple[tuple[str, int], StageRequest]]:
        """One checkpoint's rollout stages in one memory mode: each task's blocks; of later looks not in the graph."""
        inputs = [_read("checkpoint", checkpoint)]
        sees = POLICIES[checkpoint.address["family"]].sees_latents if checkpoint.address["family"] else False
        if sees or MODES[condition.rolled].encodes:
            inputs += [each for each in checkpoint.inputs if each.role == "encoder"] or self._encoder_of(condition)
        inputs += looked_up_inputs(condition, checkpoint)
        executed = n_action_steps_of(self.study, self.sources)
        several = len(self.study.rollout_suites) > 1
        for suite, task in self.study.rollout_places:
            cut = tuple(blocks_of(self.study, suite, task))
            for number, (look, block) in enumerate(cut):
                family, server = checkpoint.address["family"], getattr(checkpoint.spec, "server", None)
                spec = rollout_spec(
                    self.study, self.sims[suite], task, family, condition.rolled, executed, block, server
                )
                suffix = f" block {number}" if len(cut) > 1 else ""
                label = f"rollout {condition.name}/{seed} {_told(suite, several)}task {task}{suffix}"
                below = f"seed{seed}/{_below(suite, several)}task{task}{suffix.replace(' ', '-')}"
                link = f"{STAGES['rollout'].links}/{condition.name}/{below}"
                yield (
                    (suite, task),
                    self.graph.add("rollout", spec, tuple(inputs), label, link, asked=look < self.looks),
                )

    def _encoder_of(self, condition: ReportCondition) -> list[Input]:
        """The encoder that a given checkpoint says its latents come from; none while that is not known."""
        spec, name = self.sources.checkpoints[condition.arm][0].encoder, condition.arm
        made = [] if spec is None else [self.graph.add("encoder", spec, (), f"encoder {name}", f"encoder-{name}")]
        return [_read("encoder", each) for each in made]


def _told(suite: str, several: bool) -> str:
    """How labels name a suite where there are several."""
    return f"{suite} " if several else ""


def _below(suite: str, several: bool) -> str:
    """The same for links."""
    return f"{suite}/" if several else ""
