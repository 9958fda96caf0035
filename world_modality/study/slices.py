"""A study's slice for each kind of stage: exactly what that stage's result depends on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from world_modality.facts.benchmarks import SUITES
from world_modality.facts.memory import MODES
from world_modality.study.parts import (
    AnyEncoderModel,
    AnyPolicy,
    GivenCheckpoint,
    NewPolicy,
    Relabel,
    RemotePolicy,
    ScratchPolicy,
    ScriptedData,
    Tokens,
    without_cameras,
)
from world_modality.study.sources import PolicySource, Source, Sources
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
    ServerSpec,
    SimSpec,
    TokensSpec,
    WorldSpec,
)
from world_modality.study.study import Arm, Rollouts, Round, Study, Training
from world_modality.study.world import ALIGNMENT

LR_DECAY = 40  # lr / decay_lr by default, SmolVLA's own ratio

_WITHOUT_MEMORY = {"world_lr": Training.model_fields["world_lr"].default}
"""A policy without world memory has nothing to train at that rate, so it must not depend on the study's."""

OPTIMISER = ("lr", "warmup_steps", "decay_steps", "decay_lr", "weight_decay", "grad_clip")
"""What a preset decides by itself."""

Block = tuple[tuple[int, ...], int]
"""(initial states, repeat): the episodes of one rollout stage."""


def sim_spec(study: Study, sources: Sources, suite: str) -> SimSpec:
    """A suite's simulator, the same for data and rollouts."""
    assets, settling = sources.assets[suite], study.simulator.settle_steps
    return SimSpec(
        suite=suite,
        assets=assets.source,
        assets_digest=assets.digest,
        camera_size=study.simulator.camera_size,
        render=study.simulator.render or SUITES[suite].renders[0],
        settle_steps=SUITES[suite].settle_steps if settling is None else settling,
        exact=study.simulator.exact and SUITES[suite].exact,
    )


def scripted(study: Study) -> ScriptedData:
    """The data of a study that makes some, which was checked when it was read."""
    assert isinstance(study.data, ScriptedData)
    return study.data


def start_policy(study: Study) -> AnyPolicy:
    """The study's own start policy, of one that needs it, which was checked too."""
    assert study.policy is not None
    return study.policy


def demos_spec(study: Study, sim: SimSpec, task: int, episodes: int, number: int) -> DemosSpec:
    """Demonstrations of one task; ``number``, the round of pretraining, gives each round scenes of its own."""
    settings = scripted(study).demonstrations
    return DemosSpec(
        sim=sim,
        task=task,
        episodes=episodes,
        init_states=_recorded(settings.init_states),
        seed=settings.seed + number,
        noise=settings.noise,
        max_steps=settings.max_steps or study.horizon(sim.suite),
    )


def _recorded(states: tuple[int, ...] | Literal["sampled"]) -> tuple[int, ...]:
    """The recorded initial states that attempts start from; none if they draw their scenes."""
    return () if isinstance(states, str) else states


def relabel_spec(study: Study, sources: Sources, sim: SimSpec, task: int, episodes: int, number: int) -> RelabelSpec:
    """On-policy episodes of one task; ``number`` as for demonstrations."""
    data = scripted(study)
    settings = data.relabel or Relabel(per_task=episodes, init_states=data.demonstrations.init_states)
    return RelabelSpec(
        sim=sim,
        task=task,
        family=sources.policies[start_policy(study)].family,
        episodes=episodes,
        init_states=_recorded(settings.init_states),
        seed=settings.seed + number,
        policy_share=settings.policy_share,
        block_steps=settings.block_steps,
        max_steps=settings.max_steps or study.horizon(sim.suite),
        device=study.recipe.training.device,
    )


def dataset_spec(study: Study, source: Source) -> DatasetSpec:
    """The data set; its episodes, if made here, are upstream."""
    data = study.recipe.data
    return DatasetSpec(
        source=data.source,
        repo_id=source.name,
        revision=source.revision,
        fps=SUITES[study.data_suites[0]].fps if isinstance(data, ScriptedData) else None,
        rename=getattr(data, "rename", ()),
    )


def encoder_spec(encoder: AnyEncoderModel, sources: Sources) -> EncoderSpec:
    """An encoder."""
    source = sources.encoders[encoder]
    return EncoderSpec(
        kind=encoder.kind,
        source=encoder.source,
        name=source.name,
        revision=source.revision,
        seed=getattr(encoder, "seed", 0),
        frames=encoder.frames,
        image_size=encoder.image_size,
        pooling=encoder.pooling,
        dtype=encoder.dtype,
        torchscript=getattr(encoder, "torchscript", None),
        batch=encoder.batch,
    )


def latents_spec(encoder: EncoderSpec, camera: str, given: Source | None = None) -> LatentsSpec:
    """The latent cache of one camera, made here unless a file of it is ``given``."""
    found = given or Source("")
    return LatentsSpec(encoder=encoder, camera=camera, dtype="float16", file=found.name, digest=found.revision)


def tokens_spec(study: Study, tokens: Tokens) -> TokensSpec:
    """World tokens of one camera's latents."""
    return TokensSpec(**tokens.model_dump(), held_out=study.recipe.data.held_out)


def policy_spec(study: Study, policy: AnyPolicy, sources: Sources) -> PolicySpec:
    """A policy before any training."""
    source, scratch = sources.policies[policy], isinstance(policy, ScratchPolicy | NewPolicy)
    return PolicySpec(
        family=source.family,
        source=policy.source,
        name=source.name,
        revision=source.revision,
        seed=getattr(policy, "seed", 0),
        suite=study.suites[0] if scratch else "",
        pixels=study.simulator.camera_size if scratch else 0,
        settings=getattr(policy, "settings", ()),
        backbone=source.backbone,
        rename=getattr(policy, "rename", ()),
    )


def checkpoint_spec(checkpoint: GivenCheckpoint, source: PolicySource) -> PolicySpec:
    """A given checkpoint, as it is taken from where it lies or is served."""
    server = None
    if isinstance(checkpoint, RemotePolicy):
        server = ServerSpec(url=checkpoint.address, dialect=checkpoint.dialect, timeout=checkpoint.timeout)
    return PolicySpec(
        family=source.family,
        source=checkpoint.source,
        name=source.name,
        revision=source.revision,
        seed=0,
        backbone=source.backbone,
        rename=checkpoint.rename,
        server=server,
    )


def world_spec(study: Study, arm: Arm) -> WorldSpec | None:
    """An arm's world memory, or the latents that it sees without one; None if it reads none."""
    if not study.reads_latents(arm):
        return None
    settings = study.world_of(arm).model_dump(exclude={"prophet_rank", "prophet_steps"})
    own: dict[str, Any] = {"cameras": study.cameras(arm), "attention_width": settings["attention_width"] or 0}
    if MODES[arm.memory].needs_truth:
        own["truth_steps"] = settings["truth_steps"] or max(1, study.recipe.training.steps // 2)
    if not study.aligns(arm):
        own |= dict.fromkeys(("align", *ALIGNMENT), None)
    return WorldSpec(**settings | own)


def declared(study: Study, name: str) -> tuple[str, ...]:
    """What an arm has otherwise than the study says: ``memory``, ``policy``, ``encoder``, ``cameras``, ``world.heads``.

    Arms that are compared may differ in these settings of theirs and in no others.
    """
    arm = study.arms[name]
    if not isinstance(arm, Arm):
        return ()
    found = ["memory"]
    if study.policy_of(arm) != study.policy:
        found.append("policy")
    if arm.encoder is not None and study.encoder is not None:
        found += ["encoder"] * (without_cameras(arm.encoder) != without_cameras(study.encoder))
        found += ["cameras"] * (arm.encoder.cameras != study.encoder.cameras)
    elif arm.encoder is not None:
        found += ["encoder", "cameras"]
    if arm.world is not None:
        settings, ours = arm.world.model_dump(), study.world.model_dump()
        found += [f"world.{key}" for key in settings if settings[key] != ours[key]]
    found += ["preset"] * arm.preset
    return tuple(found)


def optim_spec(study: Study, memory: str, *, preset: bool = False, aligned: bool = False) -> OptimSpec:
    """An arm's optimisation; of a ``preset`` nothing is the study's but its length and its batches.

    One without memory that is not ``aligned`` either has nothing to train at the world modules' rate.
    """
    settings = study.recipe.training.model_dump(include=set(OptimSpec.model_fields))
    if preset:
        shared = {name: settings[name] for name in ("steps", "batch_size")}
        return OptimSpec(**dict.fromkeys(OPTIMISER, 0), **shared, **_WITHOUT_MEMORY, train_vision=True, preset=True)
    return _optim(settings | (_WITHOUT_MEMORY if memory == "disabled" and not aligned else {}))


def training_parts(optim: OptimSpec, checkpoints: Sequence[int]) -> Iterator[tuple[OptimSpec, int]]:
    """A training cut at ``checkpoints``: of each part its optimisation, and where it stops before that is over, or 0.

    A training whose learning rate comes to rest is the same up to there and beyond, however long it goes on. So its
    parts are those of the shortest such training, and a study that was made longer finds them. LeRobot shortens a decay
    that is longer than the training; a preset's schedule is not known here.
    """
    rests = max(optim.decay_steps, optim.warmup_steps)
    for step in checkpoints:
        if optim.preset or rests > optim.steps:
            yield optim, step
        else:
            yield optim.model_copy(update={"steps": max(step, rests)}), step if step < rests else 0
    yield optim, 0


def round_optim_spec(study: Study, round_: Round) -> OptimSpec:
    """A pretraining round's optimisation: its own settings, and the arms' where it has none.

    The ends of warm-up and decay belong to a schedule, so they are not taken over from ``training``.
    """
    own = {name: value for name, value in round_.model_dump().items() if value is not None}
    shared = study.recipe.training.model_dump(include=set(OptimSpec.model_fields))
    schedule = {"warmup_steps": 0, "decay_steps": None, "decay_lr": None}
    return _optim({name: own.get(name, value) for name, value in (shared | schedule | _WITHOUT_MEMORY).items()})


def _optim(settings: dict[str, Any]) -> OptimSpec:
    defaults = {"decay_steps": settings["steps"], "decay_lr": settings["lr"] / LR_DECAY}
    return OptimSpec(**{name: defaults.get(name) if value is None else value for name, value in settings.items()})


def blocks(rollouts: Rollouts) -> tuple[Block, ...]:
    """A cell's episodes, cut into jobs: one repeat of at most ``block`` initial states each.

    Full blocks and whole repeats stay the same when ``episodes`` grows, so that no finished job is repeated.

    >>> blocks(Rollouts(init_states="0-4", episodes=10, block=3))[:3]
    (((0, 1, 2), 0), ((3, 4), 0), ((0, 1, 2), 1))
    """
    states = rollouts.init_states[: rollouts.episodes]
    repeats = rollouts.episodes // len(states)
    starts = range(0, len(states), rollouts.block)
    return tuple((states[start : start + rollouts.block], repeat) for repeat in range(repeats) for start in starts)


def rollout_spec(
    study: Study,
    sim: SimSpec,
    task: int,
    family: str,
    memory: str,
    n_action_steps: int,
    block: Block,
    server: ServerSpec | None = None,
) -> RolloutSpec:
    """One block of one rollout cell, of a policy of ``family``, or one that ``server`` holds."""
    states, repeat = block
    own = {"num_steps", "device", "dtype"} if server is None else set[str]()  # else they are the server's to decide
    return RolloutSpec(
        **{"num_steps": None, **study.rollouts.model_dump(include=own)},
        sim=sim,
        task=task,
        family=family,
        memory=memory,
        init_states=states,
        repeats=1,
        first_repeat=repeat,
        n_action_steps=n_action_steps,
        batch=study.rollouts.batch,
        horizon=study.horizon(sim.suite),
        server=server,
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
