"""Rules that tie a study's keys to each other. Each returns the place to point at and what is wrong there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from world_modality.study.document import Location
from world_modality.study.modes import BEFORE_ACTIONS, NEEDS_FUTURE, NEEDS_LEARNED, NEEDS_PROPHET
from world_modality.study.shapes import EMBEDDED_PATCH, SCRATCH_SHAPES, PolicyShape
from world_modality.study.specs import TrainMode
from world_modality.study.study import Arm, EmbeddedEncoder, ScratchPolicy, ScriptedData, Study
from world_modality.study.suites import SUITES

Problem = tuple[Location, str]


def problems(study: Study) -> Iterator[Problem]:
    """Everything that is wrong with a study whose keys are fine one by one, in the order of the file's sections."""
    yield from _suite(study)
    yield from _pretrain(study)
    yield from _held_out(study)
    yield from _world(study)
    if isinstance(study.encoder, EmbeddedEncoder):
        yield from encoder_problems(study, EMBEDDED_PATCH)
    if isinstance(study.policy, ScratchPolicy):
        yield from policy_problems(study, SCRATCH_SHAPES[study.policy.name])
    yield from _training(study)
    yield from _arms(study)
    yield from _rollouts(study)
    yield from _looks(study)


def policy_problems(study: Study, shape: PolicyShape) -> Iterator[Problem]:
    """What does not fit the start policy; ``shape`` is known once files are read."""
    chunk = shape.chunk_size
    for section, executed in (("training", study.training.n_action_steps), ("rollouts", study.rollouts.n_action_steps)):
        if executed > chunk:
            yield (section, "n_action_steps"), f"{executed} exceeds the policy's chunk of {chunk} actions"
    relabel = study.data.relabel if isinstance(study.data, ScriptedData) else None
    if relabel and relabel.block_steps > chunk:
        yield (
            ("data", "relabel", "block_steps"),
            f"{relabel.block_steps} exceeds the policy's chunk of {chunk} actions",
        )
    if study.needs_encoder and study.world.actions and study.world.horizon > chunk:
        yield (
            ("world", "horizon"),
            f"{study.world.horizon} exceeds the policy's chunk of {chunk} actions, which world.actions tells the "
            f"Prophet; choose at most {chunk}, or set world.actions to false",
        )
    heads, width = study.world.heads, shape.expert_width
    if study.needs_encoder and width and width % heads:
        common = math.gcd(width, study.world.prophet_width)
        fitting = ", ".join(str(number) for number in range(1, common + 1) if common % number == 0)
        yield (
            ("world", "heads"),
            f"{heads} does not divide the width of the policy's action expert ({width}); choose one of {fitting}",
        )


def encoder_problems(study: Study, patch: int) -> Iterator[Problem]:
    """A picture that the encoder's patches, ``patch`` pixels wide, do not tile."""
    size = study.encoder.image_size if study.encoder else 0
    if size % patch:
        nearest = f"{size - size % patch} or {size - size % patch + patch}" if size > patch else f"{patch}"
        yield ("encoder", "image_size"), f"{size} is not a multiple of the encoder's patch of {patch}; choose {nearest}"


def _suite(study: Study) -> Iterator[Problem]:
    twice = next((suite for suite in study.suite if study.suite.count(suite) > 1), None)
    if twice is not None:
        yield ("suite",), f"names {twice} twice"
    for name in dict.fromkeys(study.suite):
        suite = SUITES[name]
        for position, task in enumerate(() if study.tasks == "all" else study.tasks):
            if task >= suite.tasks:
                yield ("tasks", position), f"{name} has no task {task}; choose from 0-{suite.tasks - 1}"
        with_assets = ", ".join(other for other, facts in SUITES.items() if facts.embedded)
        if study.simulator.assets == "embedded" and not suite.embedded:
            yield (
                ("simulator", "assets"),
                f"no assets are embedded for {name}, only for {with_assets}; choose hub or a folder",
            )
        if isinstance(study.data, ScriptedData) and not suite.scripted:
            known = ", ".join(other for other, facts in SUITES.items() if facts.scripted)
            yield ("data", "source"), f"the scripted expert knows {known} alone, not {name}; choose hub or folder"


def _pretrain(study: Study) -> Iterator[Problem]:
    if study.pretrain and study.policy.source != "scratch":
        yield ("pretrain",), f"needs policy.source scratch, not {study.policy.source}"
    if study.pretrain and study.data.source != "scripted":
        yield ("pretrain",), f"needs data.source scripted, not {study.data.source}"
    for number, round_ in enumerate(study.pretrain):
        if number == 0 and round_.demonstrations == 0:
            yield ("pretrain", 0, "demonstrations"), "must be at least 1 in the first round, which has no other data"
        if number == 0 and round_.relabel > 0:
            yield ("pretrain", 0, "relabel"), "must be 0 in the first round, whose policy is random"
        if (round_.warmup_steps or 0) > round_.steps:
            yield ("pretrain", number, "warmup_steps"), f"must be at most steps ({round_.steps})"


def _held_out(study: Study) -> Iterator[Problem]:
    if not isinstance(study.data, ScriptedData):
        return
    for key in ("demonstrations", "relabel"):
        part = getattr(study.data, key)
        shared = sorted(set(study.rollouts.init_states) & set(part.init_states if part else ()))
        if shared:
            yield (
                ("rollouts", "init_states"),
                f"initial state {shared[0]} is also in data.{key}.init_states; evaluate on held-out ones",
            )


def _world(study: Study) -> Iterator[Problem]:
    if study.world.prophet_width % study.world.heads:
        yield (
            ("world", "prophet_width"),
            f"{study.world.prophet_width} is not a multiple of world.heads ({study.world.heads})",
        )
    name = getattr(study.encoder, "name", None)
    if study.encoder is not None and name and not name.startswith(study.encoder.kind):
        yield ("encoder", "name"), f"'{name}' is no {study.encoder.kind} encoder; choose {study.encoder.kind}-small"
    if study.encoder is not None:
        yield from _twice("camera", ("encoder", "cameras"), study.encoder.cameras)
    if study.needs_encoder and study.encoder is None:
        arm = next(name for name, arm in study.arms.items() if arm.memory != "disabled")
        yield (), f"'encoder' is missing, and arms.{arm} has a world memory"


def _twice(what: str, at: Location, values: Sequence[object]) -> Iterator[Problem]:
    """The values of the list at ``at`` that stand in it before."""
    for position, value in enumerate(values):
        if value in values[:position]:
            yield (*at, position), f"{what} {value} is given twice"


def _training(study: Study) -> Iterator[Problem]:
    yield from _twice("seed", ("training", "seeds"), study.training.seeds)
    processes = study.training.processes
    batches: list[tuple[Location, int]] = [(("training", "batch_size"), study.training.batch_size)]
    batches += [
        (("pretrain", number, "batch_size"), each.batch_size or 0) for number, each in enumerate(study.pretrain)
    ]
    for at, size in batches:
        if size % processes:
            yield at, f"{size} cannot be shared equally by training.processes ({processes}); choose a multiple of it"
    if study.training.warmup_steps > study.training.steps:
        yield ("training", "warmup_steps"), f"must be at most training.steps ({study.training.steps})"


def _arms(study: Study) -> Iterator[Problem]:
    trained: dict[tuple[object, ...], str] = {}
    for name, arm in study.arms.items():
        world = study.world_of(arm)
        how = () if arm.memory == "disabled" else (world.fusion, world.lambda_world, world.detach)
        treatment = arm.memory, how, study.cameras(arm)
        if treatment in trained:
            yield (
                ("arms", name, "memory"),
                f"'{arm.memory}' is what arms.{trained[treatment]} trains too; they would be equal",
            )
        trained.setdefault(treatment, name)
        yield from _twice("camera", ("arms", name, "cameras"), arm.cameras or ())
        yield from _following(name, arm, study)
        yield from _taught(name, arm, study)
        yield from _rolled_out(name, arm)
    if not any(memory == "disabled" for memory, *_ in trained):
        yield ("arms",), "no arm has memory disabled, which every difference is measured against"


def _following(name: str, arm: Arm, study: Study) -> Iterator[Problem]:
    """A fusion that comes too early for a memory made of the noisy actions."""
    fusion = study.world_of(arm).fusion
    if study.world.actions and arm.memory != "disabled" and fusion in BEFORE_ACTIONS:
        yield (
            ("arms", name, "fusion") if arm.fusion else ("world", "fusion"),
            f"'{fusion}' reads the memory before the noisy actions that world.actions tells the Prophet are there; "
            "choose another fusion, or set world.actions to false",
        )


def _taught(name: str, arm: Arm, study: Study) -> Iterator[Problem]:
    """A Prophet that makes the memory and would learn from nothing."""
    world = study.world_of(arm)
    if arm.memory in NEEDS_PROPHET and world.detach and world.lambda_world == 0:
        key = next((key for key in ("lambda_world", "detach") if getattr(arm, key) is not None), None)
        yield (
            ("arms", name, key) if key else ("world", "lambda_world"),
            f"the Prophet that makes memory {arm.memory} would learn from nothing: with lambda_world 0 it has no loss "
            "of its own and with detach true not the policy's either; change one of them",
        )


def _rolled_out(name: str, arm: Arm) -> Iterator[Problem]:
    """Problems with what an arm's checkpoint is rolled out with."""
    if arm.memory == "disabled":
        for key in ("fusion", "cameras", "lambda_world", "detach", "rollout"):
            if getattr(arm, key) is not None:
                yield ("arms", name, key), "an arm whose memory is disabled has no world memory; remove this key"
        for position in range(len(arm.ablations)):
            yield ("arms", name, "ablations", position), "an arm whose memory is disabled has no world memory to ablate"
        return
    own = arm.rollout or arm.memory
    if own in NEEDS_FUTURE and arm.rollout is None:
        yield ("arms", name, "memory"), f"no rollout knows {own}'s future; say what to roll out with, as rollout: pred"
    modes: list[tuple[Location, TrainMode]] = [
        (("arms", name, "ablations", position), mode) for position, mode in enumerate(arm.ablations)
    ]
    if arm.rollout is not None:
        modes.append((("arms", name, "rollout"), arm.rollout))
    for at, mode in modes:
        if mode == "disabled":
            kind = "the arm's own rollout" if at[2] == "rollout" else "an ablation"
            yield at, f"'disabled' cannot be {kind}; an arm with memory disabled is that comparison"
        elif mode in NEEDS_FUTURE:
            yield at, f"no rollout knows {mode}'s future; choose another mode"
        elif mode in NEEDS_LEARNED and arm.memory not in NEEDS_LEARNED:
            yield at, f"'{mode}' needs constants that only an arm with memory {mode} trains; choose another mode"
    for position, mode in enumerate(arm.ablations):
        if mode == own:
            yield (
                ("arms", name, "ablations", position),
                f"'{mode}' is what the arm is rolled out with anyway; an ablation must be another mode",
            )
        elif mode in arm.ablations[:position]:
            yield ("arms", name, "ablations", position), f"'{mode}' is given twice"


def _rollouts(study: Study) -> Iterator[Problem]:
    states, episodes = len(study.rollouts.init_states), study.rollouts.episodes
    if episodes > states and episodes % states:
        yield (
            ("rollouts", "episodes"),
            f"{episodes} episodes would visit some of the {states} initial states more often than others; "
            f"choose at most {states}, or a multiple of {states}",
        )


def _looks(study: Study) -> Iterator[Problem]:
    looks, seeds = study.evidence.looks, len(study.training.seeds)
    for position, (earlier, later) in enumerate(pairwise(looks), 1):
        if later <= earlier:
            yield ("evidence", "looks", position), f"{later} does not come after {earlier}; looks ascend"
    if looks and looks[-1] != seeds:
        yield (
            ("evidence", "looks", len(looks) - 1),
            f"the last look is after {looks[-1]} seeds, but training.seeds has {seeds}; end with {seeds}",
        )
