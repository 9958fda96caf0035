"""Rules that tie a study's keys to each other. Each returns the place to point at and what is wrong there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

from world_modality.facts.benchmarks import SUITES
from world_modality.facts.policies import POLICIES, PolicyFamily, PolicyShape, small_policies
from world_modality.study.alignment import unalignable
from world_modality.study.arm_checks import (
    arm_problems,
    control_problems,
    policy_at,
    served_problems,
    stop_problems,
    world_at,
)
from world_modality.study.document import Location, Problem
from world_modality.study.encoder_checks import settings_problems
from world_modality.study.models import settings_of
from world_modality.study.parts import AnyEncoderModel, AnyPolicy, NewPolicy, ScratchPolicy, ScriptedData
from world_modality.study.study import Arm, Study
from world_modality.study.values import SAMPLED
from world_modality.study.world import World


def problems(study: Study) -> Iterator[Problem]:
    """Everything that is wrong with a study whose keys are fine one by one, in the order of the file's sections."""
    missing = [*_places(study), *_needed(study), *_given(study)]
    if missing:  # nothing else can be judged without them
        yield from missing
        return
    yield from _suites(study)
    yield from _pretrain(study)
    yield from _init_states(study)
    yield from _memories(study)
    for policy in study.policies:
        if isinstance(policy, ScratchPolicy):
            family = small_policies()[policy.name]
            yield from policy_problems(study, policy, family, family.small[policy.name])
        elif isinstance(policy, NewPolicy):
            yield from _new_policy(study, policy)
    yield from _training(study)
    yield from _devices(study)
    yield from arm_problems(study)
    yield from served_problems(study)
    yield from control_problems(study)
    yield from _rollouts(study)
    yield from _looks(study)
    yield from stop_problems(study)


def policy_problems(study: Study, policy: AnyPolicy, family: PolicyFamily, shape: PolicyShape) -> Iterator[Problem]:
    """What does not fit one of the start policies; ``family`` and ``shape`` are known once files are read."""
    chunk = shape.chunk_size
    trained = None if study.training is None else study.training.n_action_steps
    for section, executed in (("training", trained), ("rollouts", study.rollouts.n_action_steps)):
        if chunk is not None and executed is not None and executed > chunk:
            yield (section, "n_action_steps"), f"{executed} exceeds the policy's chunk of {chunk} actions"
    relabel = study.data.relabel if isinstance(study.data, ScriptedData) and policy == study.policy else None
    if relabel and chunk is not None and relabel.block_steps > chunk:
        yield (
            ("data", "relabel", "block_steps"),
            f"{relabel.block_steps} exceeds the policy's chunk of {chunk} actions",
        )
    for name, arm in study.trained.items():
        if arm.preset and study.policy_of(arm) == policy and family.world_type is not None:
            message = f"{family.label} is trained with the optimiser that its arms with a memory share; remove this key"
            yield ("arms", name, "preset"), message
        if arm.memory != "disabled" and study.policy_of(arm) == policy:
            yield from _memory_problems(study, name, arm, family, shape)
        if study.aligns(arm) and study.policy_of(arm) == policy:
            yield from unalignable(study, name, family, chunk)


def _new_policy(study: Study, policy: NewPolicy) -> Iterator[Problem]:
    """What does not fit a policy that LeRobot builds anew."""
    family, known = POLICIES[policy.type], settings_of(policy)
    chunk = dict(policy.settings).get("chunk_size") if known is None else known.chunk_size
    if not family.plans_chunks:
        message = f"a policy of type {policy.type} plans no chunk from what it sees, as rollouts need"
        yield (*policy_at(study, policy), "type"), message
        return
    if family.sees_latents and policy == study.policy and isinstance(study.data, ScriptedData) and study.data.relabel:
        message = f"a new {family.label} has no weights before it is trained, and cannot drive; remove this key"
        yield ("data", "relabel"), message
    yield from policy_problems(study, policy, family, PolicyShape(chunk if isinstance(chunk, int) else None, None))


def _memory_problems(study: Study, name: str, arm: Arm, family: PolicyFamily, shape: PolicyShape) -> Iterator[Problem]:
    """What does not fit in the world memory of one arm that starts from a policy of ``family``."""
    world, chunk, width = study.world_of(arm), shape.chunk_size, shape.expert_width
    if family.world_type is None:
        yield (
            ("arms", name, "memory"),
            f"no world memory can be attached to {family.label}; write memory: disabled, or choose another policy",
        )
        return
    if world.fusion not in family.fusions:
        yield (
            world_at(name, arm, "fusion"),
            f"a memory cannot enter {family.label} at '{world.fusion}'; choose one of {', '.join(family.fusions)}",
        )
    if world.actions and chunk is not None and world.prediction_horizon > chunk:
        yield (
            world_at(name, arm, "prediction_horizon"),
            f"{world.prediction_horizon} exceeds the policy's chunk of {chunk} actions, which world.actions tells the "
            f"Prophet; choose at most {chunk}, or set world.actions to false",
        )
    if width and width % world.heads:
        common = math.gcd(width, world.prophet_width)
        fitting = ", ".join(str(number) for number in range(1, common + 1) if common % number == 0)
        yield (
            world_at(name, arm, "heads"),
            f"{world.heads} does not divide the width of the policy's action expert ({width}); choose one of {fitting}",
        )


def _needed(study: Study) -> Iterator[Problem]:
    """Sections that an arm needs which is trained here."""
    first = next(iter(study.trained), None)
    if first is None:
        for key in ("data", "training", "policy", "pretrain", "encoder", "tokens", "instructions"):
            if getattr(study, key):
                yield (key,), "nothing is trained here, since all arms are given checkpoints; remove this key"
        return
    for key in ("data", "training"):
        if getattr(study, key) is None:
            yield (), f"'{key}' is missing, and arms.{first} is trained here; give it, or a checkpoint of the arm"
    starting = [name for name, arm in study.trained.items() if arm.policy is None]
    scripted = study.data if isinstance(study.data, ScriptedData) else None
    if study.policy is None and (starting or study.pretrain or (scripted and scripted.relabel)):
        who = f"arms.{starting[0]} starts from it" if starting else "the data are made with it"
        yield (), f"'policy' is missing, and {who}"


def _given(study: Study) -> Iterator[Problem]:
    """Arms of other numbers of checkpoints than the study has seeds."""
    first = next(iter(study.given), None)
    number = len(study.training.seeds) if study.trained and study.training is not None else None
    for name, arm in study.given.items():
        yield from _twice("this checkpoint", ("arms", name, "checkpoint"), arm.checkpoint, told=False)
        wanted, whose = number, "training.seeds"
        if wanted is None and first is not None:
            wanted, whose = len(study.given[first].checkpoint), f"arms.{first}"
        if len(arm.checkpoint) != wanted:
            yield (
                ("arms", name, "checkpoint"),
                f"{len(arm.checkpoint)} of them, where {whose} has {wanted}; every arm needs as many, one per seed",
            )


def _places(study: Study) -> Iterator[Problem]:
    """Suites and tasks that nothing names."""
    scripted = study.data if isinstance(study.data, ScriptedData) else None
    for key, others in (("suite", "suites"), ("tasks", "tasks")):
        lacking = [
            f"{section}.{others}"
            for section, part in (("data", scripted), ("rollouts", study.rollouts))
            if part is not None and getattr(part, others) is None
        ]
        if getattr(study, key) is None and lacking:
            yield (), f"'{key}' is missing; give it, or {' and '.join(lacking)}"


def _suites(study: Study) -> Iterator[Problem]:
    if isinstance(study.data, ScriptedData):
        yield from _named(study, "data", study.data.suites, study.data.tasks)
        yield from _demonstrated(study, ("suite",) if study.data.suites is None else ("data", "suites"))
    yield from _named(study, "rollouts", study.rollouts.suites, study.rollouts.tasks)
    yield from _assets(study)
    for name in study.suites:
        styles, wanted = SUITES[name].renders, study.simulator.render
        if wanted is not None and wanted not in styles:
            yield ("simulator", "render"), f"{name} cannot be drawn {wanted}; choose {' or '.join(styles)}"
    if study.simulator.exact and not any(SUITES[name].exact for name in study.suites):
        yield ("simulator", "exact"), f"{', '.join(study.suites)} has no quicker step to turn off; remove this key"


def _named(
    study: Study, section: str, suites: tuple[str, ...] | None, tasks: tuple[int, ...] | Literal["all"] | None
) -> Iterator[Problem]:
    """What is wrong with the suites and tasks of a section, be they its own or the study's."""
    at, names = (("suite",), study.suite or ()) if suites is None else ((section, "suites"), suites)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        yield at, f"names {twice} twice"
    at_tasks, numbers = (("tasks",), study.tasks) if tasks is None else ((section, "tasks"), tasks)
    for name in dict.fromkeys(names):
        count = SUITES[name].tasks
        for position, task in enumerate(numbers if isinstance(numbers, tuple) else ()):
            if task >= count:
                yield (*at_tasks, position), f"{name} has no task {task}; choose from 0-{count - 1}"


def _demonstrated(study: Study, at: Location) -> Iterator[Problem]:
    """Suites, named at ``at``, whose demonstrations cannot be made or do not fit into one dataset."""
    for name in study.data_suites:
        if SUITES[name].expert is None:
            known = ", ".join(suite.name for suite in SUITES if suite.expert is not None)
            yield ("data", "source"), f"scripted experts know {known}, not {name}; choose hub or folder"
        first, suite = SUITES[study.data_suites[0]], SUITES[name]
        other = [what for what in ("fps", "cameras", "state", "action") if getattr(first, what) != getattr(suite, what)]
        if other:
            message = f"{first.name} and {name} differ in {', '.join(other)}, and one dataset has the same throughout"
            yield at, f"{message}; choose one of them"


def _assets(study: Study) -> Iterator[Problem]:
    """A source of object models that a suite does not know. Anything but a known word is a folder's path."""
    words = {word for suite in SUITES for word in suite.assets} - {"folder"}
    given = study.simulator.assets
    if given is None:
        return
    kind = given.partition("@")[0] if given.partition("@")[0] in words else "folder"
    needy = [SUITES[name] for name in study.suites if SUITES[name].assets]
    if not needy:
        yield ("simulator", "assets"), f"{', '.join(study.suites)} needs none; remove this key"
    for suite in needy:
        if kind not in suite.assets:
            fitting = " or ".join("a folder" if word == "folder" else word for word in suite.assets)
            yield ("simulator", "assets"), f"{suite.name} has no assets from {kind}; choose {fitting}"


def _pretrain(study: Study) -> Iterator[Problem]:
    for key, part, source in (("policy", study.policy, "scratch"), ("data", study.data, "scripted")):
        if study.pretrain and part is not None and part.source != source:
            yield ("pretrain",), f"needs {key}.source {source}, not {part.source}"
    for number, round_ in enumerate(study.pretrain):
        if number == 0 and round_.demonstrations == 0:
            yield ("pretrain", 0, "demonstrations"), "must be at least 1 in the first round, which has no other data"
        if number == 0 and round_.relabel > 0:
            yield ("pretrain", 0, "relabel"), "must be 0 in the first round, whose policy is random"
        if (round_.warmup_steps or 0) > round_.steps:
            yield ("pretrain", number, "warmup_steps"), f"must be at most steps ({round_.steps})"


def _init_states(study: Study) -> Iterator[Problem]:
    """Initial states that a suite does not have, and such as are both demonstrated and evaluated."""
    parts: list[tuple[Location, tuple[int, ...], tuple[str, ...]]] = []
    if isinstance(study.data, ScriptedData):
        for key in ("demonstrations", "relabel"):
            part = getattr(study.data, key)
            states = part.init_states if part and part.init_states != SAMPLED else ()
            parts.append((("data", key, "init_states"), states, study.data_suites))
    evaluated = study.rollouts.init_states
    for at, states, suites in (*parts, (("rollouts", "init_states"), evaluated, study.rollout_suites)):
        for name in suites:
            number = SUITES[name].init_states
            beyond = next((state for state in states if number is not None and state >= number), None)
            if beyond is not None and number is not None:
                yield at, f"{beyond} is not an initial state of {name}; choose from 0-{number - 1}"
                break
    if set(study.data_places) & set(study.rollout_places):
        for at, states, _ in parts:
            shared = sorted(set(evaluated) & set(states))
            if shared:
                yield (
                    ("rollouts", "init_states"),
                    f"initial state {shared[0]} is also in {'.'.join(map(str, at))}; evaluate on held-out ones",
                )


def _memories(study: Study) -> Iterator[Problem]:
    """What does not fit together in the sections of the world memory, the study's and the arms' own."""
    worlds: dict[Location, World] = {("world",): study.world}
    worlds |= {("arms", name, "world"): arm.world for name, arm in study.trained.items() if arm.world is not None}
    for at, world in worlds.items():
        if world.prophet_width % world.heads:
            key = "heads" if world.prophet_width == study.world.prophet_width and len(at) > 1 else "prophet_width"
            message = f"{world.prophet_width} is not a multiple of world.heads ({world.heads})"
            yield (*at, key), message if key == "prophet_width" else f"world.prophet_width, {message}"
    encoders: dict[Location, AnyEncoderModel] = {("encoder",): study.encoder} if study.encoder is not None else {}
    own = {name: arm.encoder for name, arm in study.trained.items()}
    encoders |= {("arms", name, "encoder"): encoder for name, encoder in own.items() if encoder is not None}
    for at, encoder in encoders.items():
        yield from _encoder(study, at, encoder)
    for name, arm in study.trained.items():
        if study.reads_latents(arm) and study.encoder_of(arm) is None:
            why = "is aligned with latents" if study.aligns(arm) else "has a world memory"
            why = "sees frames as latents" if study.sees_latents(arm) else why
            yield (), f"'encoder' is missing, and arms.{name} {why}"
            break
    yield from _tokens(study)
    if study.instructions is not None and not any(map(study.sees_latents, study.trained.values())):
        yield ("instructions",), "are read by policies that see latents alone, and no arm has one; remove this key"


def _tokens(study: Study) -> Iterator[Problem]:
    wanted = study.tokens
    if wanted is None:
        return
    if study.encoder is None:
        yield ("tokens",), "are made of latents, and 'encoder' is missing; give it, or remove this key"
    if wanted.sample < wanted.size:
        message = f"{wanted.sample} latents are too few for {wanted.size} codes; choose at least as many"
        yield ("tokens", "sample"), message


def _encoder(study: Study, at: Location, encoder: AnyEncoderModel) -> Iterator[Problem]:
    yield from settings_problems(at, encoder)
    cameras = encoder.cameras or ()
    read = study.cameras_of(encoder)
    for camera, _ in encoder.latents:
        if camera not in read:
            yield (*at, "latents", camera), f"no latents of {camera} are read; choose {' or '.join(read)}"
    yield from _twice("camera", (*at, "cameras"), cameras)
    for position, camera in enumerate(cameras):
        for suite in map(SUITES.__getitem__, study.suites):
            if camera not in suite.cameras:
                known = ", ".join(suite.cameras)
                yield (*at, "cameras", position), f"'{camera}' is not a camera of {suite.name}; choose one of {known}"
                break


def _twice(what: str, at: Location, values: Sequence[object], *, told: bool = True) -> Iterator[Problem]:
    """The values of the list at ``at`` that stand in it before."""
    for position, value in enumerate(values):
        if value in values[:position]:
            yield (*at, position), f"{what} {value} is given twice" if told else f"{what} is given twice"


def _devices(study: Study) -> Iterator[Problem]:
    for section, part in (("training", study.training), ("rollouts", study.rollouts)):
        if part is not None and part.device == "mps" and part.dtype == "bfloat16":
            yield (section, "dtype"), "LeRobot computes in float32 alone on mps; write float32, or another device"


def _training(study: Study) -> Iterator[Problem]:
    training = study.training
    if training is None:
        return
    yield from _twice("seed", ("training", "seeds"), training.seeds)
    processes = training.processes
    batches: list[tuple[Location, int]] = [(("training", "batch_size"), training.batch_size)]
    batches += [
        (("pretrain", number, "batch_size"), each.batch_size or 0) for number, each in enumerate(study.pretrain)
    ]
    for at, size in batches:
        if size % processes:
            yield at, f"{size} cannot be shared equally by training.processes ({processes}); choose a multiple of it"
    for position, (earlier, later) in enumerate(pairwise((*training.checkpoints, training.steps))):
        if later <= earlier:
            last = position + 1 == len(training.checkpoints)
            what = f"comes before the last step ({later})" if last else f"ascends to the next one ({later})"
            yield ("training", "checkpoints", position), f"{earlier} is no step that {what}; leave it out"
    if training.warmup_steps > training.steps:
        yield ("training", "warmup_steps"), f"must be at most training.steps ({training.steps})"


def _rollouts(study: Study) -> Iterator[Problem]:
    states, episodes = len(study.rollouts.init_states), study.rollouts.episodes
    if episodes > states and episodes % states:
        yield (
            ("rollouts", "episodes"),
            f"{episodes} episodes would visit some of the {states} initial states more often than others; "
            f"choose at most {states}, or a multiple of {states}",
        )


def _looks(study: Study) -> Iterator[Problem]:
    looks, seeds = study.evidence.looks, len(study.seeds)
    for position, (earlier, later) in enumerate(pairwise(looks), 1):
        if later <= earlier:
            yield ("evidence", "looks", position), f"{later} does not come after {earlier}; looks ascend"
    if looks and looks[-1] != seeds:
        yield (
            ("evidence", "looks", len(looks) - 1),
            f"the last look is after {looks[-1]} seeds, but every arm has {seeds}; end with {seeds}",
        )
