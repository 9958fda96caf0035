"""A study's slice for each kind of stage: exactly what that stage's result depends on."""

from __future__ import annotations

from typing import Any

from world_modality.facts.benchmarks import SUITES
from world_modality.study.sources import Sources
from world_modality.study.specs import (
    DatasetSpec,
    DemosSpec,
    EncoderSpec,
    EvidenceSpec,
    LatentsSpec,
    OptimSpec,
    PolicySpec,
    RelabelSpec,
    RolloutSpec,
    SimSpec,
    TrainMode,
    WorldSpec,
)
from world_modality.study.study import Arm, Relabel, Rollouts, Round, ScriptedData, Study, Training
from world_modality.study.suites import SuiteName

LR_DECAY = 40  # lr / decay_lr by default, SmolVLA's own ratio

_WITHOUT_MEMORY = {"world_lr": Training.model_fields["world_lr"].default}
"""A policy without world memory has nothing to train at that rate, so it must not depend on the study's."""

Block = tuple[tuple[int, ...], int]
"""(initial states, repeat): the units of one rollout stage."""


def sim_spec(study: Study, sources: Sources, suite: SuiteName) -> SimSpec:
    """A suite's simulator, the same for data and rollouts."""
    assets, digest = (sources.assets, sources.assets_digest) if SUITES[suite].assets else ("", "")
    return SimSpec(
        suite=suite,
        assets=assets,
        assets_digest=digest,
        camera_size=study.simulator.camera_size,
        render=study.simulator.render or ("fast" if assets == "embedded" else "stock"),
        settle_steps=study.simulator.settle_steps,
    )


def demos_spec(data: ScriptedData, sim: SimSpec, task: int, episodes: int, number: int, horizon: int) -> DemosSpec:
    """Demonstrations of one task; ``number``, the round of pretraining, gives each round scenes of its own."""
    settings = data.demonstrations
    return DemosSpec(
        sim=sim,
        task=task,
        episodes=episodes,
        init_states=settings.init_states,
        seed=settings.seed + number,
        noise=settings.noise,
        max_steps=settings.max_steps or horizon,
    )


def relabel_spec(data: ScriptedData, sim: SimSpec, task: int, episodes: int, number: int, horizon: int) -> RelabelSpec:
    """On-policy episodes of one task; ``number`` as for demonstrations."""
    settings = data.relabel or Relabel(per_task=episodes, init_states=data.demonstrations.init_states)
    return RelabelSpec(
        sim=sim,
        task=task,
        episodes=episodes,
        init_states=settings.init_states,
        seed=settings.seed + number,
        policy_share=settings.policy_share,
        block_steps=settings.block_steps,
        max_steps=settings.max_steps or horizon,
    )


def dataset_spec(study: Study, sources: Sources) -> DatasetSpec:
    """The data set; its episodes, if made here, are upstream."""
    return DatasetSpec(
        source=study.data.source,
        repo_id=sources.dataset_name,
        revision=sources.dataset_revision,
        fps=SUITES[study.suite[0]].fps if isinstance(study.data, ScriptedData) else None,
    )


def encoder_spec(study: Study, sources: Sources) -> EncoderSpec:
    """The encoder; only for studies that have one."""
    encoder = study.encoder
    assert encoder is not None  # checked when the study was read
    return EncoderSpec(
        kind=encoder.kind,
        source=encoder.source,
        name=sources.encoder_name,
        revision=sources.encoder_revision,
        seed=getattr(encoder, "seed", 0),
        frames=encoder.frames,
        image_size=encoder.image_size,
        pooling=encoder.pooling,
        dtype=encoder.dtype,
    )


def latents_spec(study: Study, sources: Sources, camera: str) -> LatentsSpec:
    """The latent cache of one camera."""
    return LatentsSpec(encoder=encoder_spec(study, sources), camera=camera, dtype="float16")


def policy_spec(study: Study, sources: Sources) -> PolicySpec:
    """The policy before any training."""
    return PolicySpec(
        source=study.policy.source,
        name=sources.policy_name,
        revision=sources.policy_revision,
        seed=getattr(study.policy, "seed", 0),
        backbone=sources.policy_backbone,
    )


def world_spec(study: Study, arm: Arm) -> WorldSpec | None:
    """An arm's world memory; None without memory."""
    if arm.memory == "disabled":
        return None
    settings = study.world_of(arm).model_dump()
    own = {"cameras": study.cameras(arm), "attention_width": settings["attention_width"] or 0}
    return WorldSpec(**settings | own)


def optim_spec(study: Study, memory: TrainMode) -> OptimSpec:
    """An arm's optimisation."""
    settings = study.training.model_dump(include=set(OptimSpec.model_fields))
    return _optim(settings | (_WITHOUT_MEMORY if memory == "disabled" else {}))


def round_optim_spec(study: Study, round_: Round) -> OptimSpec:
    """A pretraining round's optimisation: its own settings, and the arms' where it has none.

    The ends of warm-up and decay belong to a schedule, so they are not taken over from ``training``.
    """
    own = {name: value for name, value in round_.model_dump().items() if value is not None}
    shared = study.training.model_dump(include=set(OptimSpec.model_fields))
    schedule = {"warmup_steps": 0, "decay_steps": None, "decay_lr": None}
    return _optim({name: own.get(name, value) for name, value in (shared | schedule | _WITHOUT_MEMORY).items()})


def _optim(settings: dict[str, Any]) -> OptimSpec:
    defaults = {"decay_steps": settings["steps"], "decay_lr": settings["lr"] / LR_DECAY}
    return OptimSpec(**{name: defaults.get(name) if value is None else value for name, value in settings.items()})


def blocks(rollouts: Rollouts) -> tuple[Block, ...]:
    """A cell's units, cut into jobs: one repeat of at most ``block`` initial states each.

    Full blocks and whole repeats stay the same when ``episodes`` grows, so that no finished job is repeated.

    >>> blocks(Rollouts(init_states="0-4", episodes=10, block=3))[:3]
    (((0, 1, 2), 0), ((3, 4), 0), ((0, 1, 2), 1))
    """
    states = rollouts.init_states[: rollouts.episodes]
    repeats = rollouts.episodes // len(states)
    starts = range(0, len(states), rollouts.block)
    return tuple((states[start : start + rollouts.block], repeat) for repeat in range(repeats) for start in starts)


def rollout_spec(
    study: Study, sim: SimSpec, task: int, horizon: int, memory: TrainMode, states: tuple[int, ...], repeat: int
) -> RolloutSpec:
    """One block of one rollout cell."""
    return RolloutSpec(
        sim=sim,
        task=task,
        memory=memory,
        init_states=states,
        repeats=1,
        first_repeat=repeat,
        n_action_steps=study.rollouts.n_action_steps,
        num_steps=study.rollouts.num_steps,
        batch=study.rollouts.batch,
        horizon=horizon,
    )


def evidence_spec(study: Study) -> EvidenceSpec:
    """How the study's outcomes become verdicts. What it may cost is not in it."""
    settings, beliefs = study.evidence, study.evidence.noise
    independent = 2 * beliefs.rate * (1 - beliefs.rate)
    return EvidenceSpec(
        **settings.model_dump(exclude={"noise", "hours"}),
        **beliefs.model_dump(exclude={"disagree_runs", "disagree_memories"}),
        disagree_runs=beliefs.disagree_runs or independent,
        disagree_memories=beliefs.disagree_memories or independent,
    )


def suite_label(study: Study, sources: Sources) -> str:
    """The suites as tables name them; numbers on anything but LIBERO's own assets are marked."""
    kind = {"embedded": " (embedded assets)"}.get(sources.assets, f" (assets {sources.assets_digest})")
    return " ".join(study.suite) + ("" if sources.assets.split("@")[0] == "hub" else kind)
