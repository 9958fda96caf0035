"""Rules for a study's arms, one by one and beside each other."""

from __future__ import annotations

from collections.abc import Iterator

from world_modality.facts.benchmarks import SUITES
from world_modality.facts.memory import FUSIONS, MODES, SEES_THE_PRESENT
from world_modality.study.alignment import alignment_problems
from world_modality.study.document import Location, Problem
from world_modality.study.models import model_of, network_of, settings_problems
from world_modality.study.parts import AnyPolicy, NewPolicy, RemotePolicy, ScratchPolicy, without_cameras
from world_modality.study.study import Arm, Study


def policy_at(study: Study, policy: AnyPolicy) -> Location:
    """Where a study says what a policy is: in its own section, or in that of the first arm that has it."""
    arms = (name for name, arm in study.trained.items() if arm.policy == policy)
    return ("policy",) if policy == study.policy else ("arms", next(arms), "policy")


def arm_problems(study: Study) -> Iterator[Problem]:
    """What is wrong with arms, and arms that would be trained alike."""
    if study.world.truth_steps is not None:
        yield from _truthless(tuple(study.trained.values()), ("world", "truth_steps"))
    yield from alignment_problems(study)
    trained: dict[tuple[object, ...], str] = {}
    for name, arm in study.trained.items():
        policy, world = study.policy_of(arm), study.world_of(arm)
        how = () if arm.memory == "disabled" and not study.aligns(arm) else (world,)
        treatment = arm.memory, network_of(policy, world), how, study.encoder_of(arm), study.cameras(arm), arm.preset
        if treatment in trained:
            other = trained[treatment]
            same = policy == study.policy_of(study.trained[other])
            yield (
                ("arms", name, "memory") if same else (*policy_at(study, policy), "settings"),
                f"'{arm.memory}' is what arms.{other} trains too; they would be equal"
                if same
                else f"these settings make the network of arms.{other}; they would be equal",
            )
        trained.setdefault(treatment, name)
        if study.pretrain and isinstance(arm.policy, ScratchPolicy):
            message = "the rounds of pretrain train the study's policy alone; let the arm start from a trained policy"
            yield ("arms", name, "policy"), message
        yield from _following(name, arm, study)
        if arm.world is not None and arm.world.truth_steps != study.world.truth_steps:
            yield from _truthless((arm,), ("arms", name, "world", "truth_steps"))
        yield from _taught(name, arm, study)
        yield from _weighted(name, arm, study)
        yield from _seeing(name, arm, study)
        if not study.reads_latents(arm):
            for key in ("encoder", "world"):
                if getattr(arm, key) is not None:
                    message = "an arm whose memory is disabled has no world memory; remove this key"
                    yield ("arms", name, key), message
        if MODES[arm.memory].trainable:
            yield from rolled_out_problems(study, name, arm.memory, MODES[arm.memory].rollout)
        else:
            message = f"'{arm.memory}' looks ahead in rollouts, so nothing is trained in it; train with another memory"
            yield ("arms", name, "memory"), f"{message}, and name it under ablations"


def served_problems(study: Study) -> Iterator[Problem]:
    """What arms of served policies ask of a memory, which is none of this package's."""
    for name, arm in study.given.items():
        if any(isinstance(checkpoint, RemotePolicy) for checkpoint in arm.checkpoint):
            for key in ("rollout", "ablations", "encoder"):
                if getattr(arm, key):
                    message = "what a served policy remembers is its server's to decide; remove this key"
                    yield ("arms", name, key), message


def control_problems(study: Study) -> Iterator[Problem]:
    """Arms that are compared with what is no arm, or with themselves."""
    for name, arm in study.arms.items():
        if arm.against is None:
            continue
        at = ("arms", name, "against")
        others = [other for other in study.arms if other != name]
        if arm.against == name:
            yield at, "an arm cannot be its own control; name another arm, or remove this key"
        elif arm.against not in study.arms:
            choice = f"choose one of {', '.join(others)}" if others else "there is no other arm"
            yield at, f"'{arm.against}' is not an arm of this study; {choice}"
        else:
            seen = [name]
            while (control := study.control_of(seen[-1])) is not None and control in study.arms:
                if control in seen:
                    yield at, f"{' against '.join([*seen, control])} goes in a circle; one arm needs another control"
                    break
                seen.append(control)


def _truthless(arms: tuple[Arm, ...], at: Location) -> Iterator[Problem]:
    """Steps over which nobody's memory passes from the true future to the prediction."""
    if not any(MODES[arm.memory].needs_truth for arm in arms):
        modes = " or ".join(mode.name for mode in MODES if mode.needs_truth)
        yield at, f"is for memory {modes}, which no arm here has; remove this key"


def _following(name: str, arm: Arm, study: Study) -> Iterator[Problem]:
    """A fusion that comes too early for a memory made of the noisy actions."""
    world = study.world_of(arm)
    if arm.memory != "disabled" and world.actions and FUSIONS[world.fusion].before_actions:
        yield (
            world_at(name, arm, "fusion"),
            f"'{world.fusion}' reads the memory before the noisy actions that world.actions tells the Prophet are "
            "there; choose another fusion, or set world.actions to false",
        )


def _seeing(name: str, arm: Arm, study: Study) -> Iterator[Problem]:
    """What a policy that sees latents cannot do with a memory, or does not know of the world."""
    policy = study.policy_of(arm)
    if not study.sees_latents(arm):
        return
    modes: list[tuple[Location, str]] = [(("arms", name, "memory"), arm.memory)]
    modes += [(("arms", name, "rollout"), arm.rollout)] if arm.rollout else []
    modes += [(("arms", name, "ablations", position), mode) for position, mode in enumerate(arm.ablations)]
    for at, mode in modes:
        if MODES[mode].delay:
            yield at, SEES_THE_PRESENT.format(mode=mode)
    world = study.world_of(arm)
    if world.actions:
        yield world_at(name, arm, "actions"), "a world transformer makes its chunk at once: there are no noisy actions"
    if isinstance(policy, NewPolicy):
        at = policy_at(study, policy)
        yield from (((*at, "settings", *key), message) for key, message in settings_problems(policy))
        model = model_of(policy)
        if model is not None and model.knows_tokens:
            yield from token_problems(study, policy)


def token_problems(study: Study, policy: AnyPolicy) -> Iterator[Problem]:
    """What keeps a policy from the world tokens that it knows, by the first arm that has it; nothing if none has."""
    starting = ((name, arm) for name, arm in study.trained.items() if study.policy_of(arm) == policy)
    name, arm = next(starting, ("", None))
    if arm is None:
        return
    if study.tokens is None:
        yield (), f"'tokens' is missing, and arms.{name} knows world tokens; give it, such as tokens: {{size: 64}}"
    elif study.encoder is None or study.encoder_of(arm) != without_cameras(study.encoder):
        yield ("arms", name, "encoder"), "world tokens are of the study's encoder; remove this key"
    elif len(study.cameras(arm)) > 1:
        yield ("encoder", "cameras"), f"arms.{name} knows the world tokens of one camera; name one"


def _taught(name: str, arm: Arm, study: Study) -> Iterator[Problem]:
    """A Prophet that would learn from nothing, or is asked to learn and may not."""
    mode, world, said = MODES[arm.memory], study.world_of(arm), arm.world or study.world
    if arm.memory == "disabled":
        return
    if world.prophet != "kept":
        if mode.needs_prophet and world.detach and world.lambda_world == 0:
            yield (
                world_at(name, arm, "lambda_world"),
                f"the Prophet that makes memory {arm.memory} would learn from nothing: with lambda_world 0 it has no "
                "loss of its own and with detach true not the policy's either; change one of them",
            )
        return
    learns = "learns nothing in the arm; write world.prophet: joint, or tuned"
    if mode.trains_prophet_alone:
        yield (
            ("arms", name, "memory"),
            f"'{arm.memory}' trains the Prophet beside the policy, and one that is kept {learns}",
        )
    alone = not study.sees_latents(arm)
    if world.actions and alone:
        yield (
            world_at(name, arm, "actions"),
            f"noisy actions are known in the arm alone, and a Prophet that is kept {learns}",
        )
    for key, asked in (("detach", said.detach), ("lambda_world", alone and said.lambda_world == 0)):
        if asked and mode.needs_prophet:
            yield world_at(name, arm, key), f"says what the Prophet learns from, and one that is kept {learns}"


def _weighted(name: str, arm: Arm, study: Study) -> Iterator[Problem]:
    """Weights that are not one per frame ahead."""
    world = study.world_of(arm)
    weights, steps = world.step_weights, world.prediction_horizon
    if weights and (len(weights) != steps or not any(weights)):
        yield (
            world_at(name, arm, "step_weights"),
            f"{list(weights)} are not {steps} weights, one per frame ahead (prediction_horizon), of which one is not 0",
        )


def rolled_out_problems(study: Study, name: str, trained: str, rolled: str) -> Iterator[Problem]:
    """Problems with what an arm's checkpoints are rolled out with.

    ``trained`` is the memory that they were trained with, ``rolled`` what they are rolled out with by themselves.
    """
    arm = study.arms[name]
    if trained == "disabled":
        if arm.rollout is not None:
            yield ("arms", name, "rollout"), "an arm whose memory is disabled has no world memory; remove this key"
        for position in range(len(arm.ablations)):
            yield ("arms", name, "ablations", position), "an arm whose memory is disabled has no world memory to ablate"
        return
    own = arm.rollout or rolled
    if not MODES[own].rollable and arm.rollout is None:
        key = "memory" if isinstance(arm, Arm) else "checkpoint"
        yield ("arms", name, key), f"no rollout knows {own}'s future; say what to roll out with, as rollout: pred"
    elif arm.rollout is None and (refused := _cannot_look_ahead(study, own)):
        yield ("arms", name, "checkpoint"), f"{refused}; say what to roll out with, as rollout: pred"
    modes: list[tuple[Location, str]] = [
        (("arms", name, "ablations", position), mode) for position, mode in enumerate(arm.ablations)
    ]
    if arm.rollout is not None:
        modes.append((("arms", name, "rollout"), arm.rollout))
    for at, mode in modes:
        if mode == "disabled":
            kind = "the arm's own rollout" if at[2] == "rollout" else "an ablation"
            yield at, f"'disabled' cannot be {kind}; an arm with memory disabled is that comparison"
        elif not MODES[mode].rollable:
            yield at, f"no rollout knows {mode}'s future; choose another mode"
        elif refused := _cannot_look_ahead(study, mode):
            yield at, f"{refused}; choose another mode"
        elif MODES[mode].needs_learned and not MODES[trained].needs_learned:
            yield at, f"'{mode}' needs constants that only an arm with memory {mode} trains; choose another mode"
    for position, mode in enumerate(arm.ablations):
        if mode == own:
            yield (
                ("arms", name, "ablations", position),
                f"'{mode}' is what the arm is rolled out with anyway; an ablation must be another mode",
            )
        elif mode in arm.ablations[:position]:
            yield ("arms", name, "ablations", position), f"'{mode}' is given twice"


def _cannot_look_ahead(study: Study, mode: str) -> str:
    """Why a suite that is rolled out does not let a memory look ahead; "" if all do."""
    return next(filter(None, (MODES[mode].refused_by(SUITES[suite]) for suite in study.rollout_suites)), "")


def world_at(name: str, arm: Arm, key: str) -> Location:
    """Where a setting of an arm's world memory stands."""
    return ("world", key) if arm.world is None else ("arms", name, "world", key)


FEWEST_TRAININGS = 3
"""Checkpoints of an arm from which on its recipe is judged: evidence/recipe.py's, which planning does not import."""


def stop_problems(study: Study) -> Iterator[Problem]:
    """A study is decided episode by episode only where these checkpoints are what it asks about."""
    size, at = study.evidence.stop_early, ("evidence", "stop_early")
    if size is None:
        return
    first = next(iter(study.trained), None)
    if first is not None:
        yield (
            at,
            f"arms.{first} is trained here, and across trainings a training counts as one, however many episodes it "
            "has; remove this key",
        )
    for name, arm in study.given.items():
        if len(arm.checkpoint) >= FEWEST_TRAININGS:
            yield (
                at,
                f"arms.{name} has {len(arm.checkpoint)} checkpoints, and from {FEWEST_TRAININGS} on a study is about "
                "their recipe, across trainings; give fewer, or remove this key",
            )
            break
    if study.evidence.looks:
        yield at, "evidence.looks are at seeds, and these are at scenes; remove one of the two"
    states = len(study.rollouts.init_states[: study.rollouts.episodes])
    if size >= states:
        yield at, f"{size} is no less than the {states} initial states of a task, so nothing is left to save; lower it"
