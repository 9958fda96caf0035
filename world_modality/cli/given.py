"""What given checkpoints say of themselves, and what of a study does not fit it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from world_modality.checks.rename import full
from world_modality.errors import UserError
from world_modality.facts.memory import MODES
from world_modality.facts.policies import family_of
from world_modality.study.arm_checks import rolled_out_problems
from world_modality.study.document import Location, Problem
from world_modality.study.parts import RemotePolicy
from world_modality.study.sources import UNRESOLVED, CheckpointSource, PolicySource
from world_modality.study.specs import EncoderSpec
from world_modality.study.study import GivenArm, Study

EMPTY_CAMERA = "empty_camera"
"""In the names of pictures that a policy of LeRobot's fills itself."""


def unknown(policy: PolicySource, arm: GivenArm) -> CheckpointSource:
    """A checkpoint whose config.json cannot be had now, so that the keys are not final; it has a memory if the study
    says what to roll that out with."""
    memory = "pred" if arm.rollout is not None or arm.ablations else "disabled"
    return CheckpointSource(policy, trained=memory, rolled=memory, known=False)


def served(policy: RemotePolicy, study: Study, *, lenient: bool) -> CheckpointSource:
    """A policy that a server holds, by what the study calls it or else by what its server says now.

    With ``lenient``, what only a server that is away could tell is unresolved. UserError if the server does not fit, or
    is away and has to be asked.
    """
    told = bool(policy.name and policy.revision)
    steps = study.rollouts.n_action_steps is not None or bool(study.trained)
    if told and steps:
        return CheckpointSource(PolicySource("", policy.name or "", policy.revision or ""))
    from world_modality.policies.remote import NoServer, ServedPolicy  # it brings numpy, and a client

    try:
        with ServedPolicy(policy, study.rollouts.batch) as found:
            name, revision = found.source.name, found.source.revision
            return CheckpointSource(PolicySource("", name, revision), n_action_steps=found.facts.n_action_steps)
    except NoServer as error:
        if lenient:
            return CheckpointSource(PolicySource("", policy.name or UNRESOLVED, UNRESOLVED), known=False)
        missing = [] if told else ["give name and revision"]
        missing += [] if steps else ["set rollouts.n_action_steps"]
        raise UserError(f"{error}; or {' and '.join(missing)}, and start it later") from error


def policy_at(address: str) -> RemotePolicy:
    """A policy of which its address alone is known, in this project's dialect; UserError if that is none."""
    try:
        return RemotePolicy(source="remote", address=address)
    except ValidationError:
        raise UserError(f"{address} is not an address ws://HOST:PORT") from None


def described(policy: PolicySource, config: Mapping[str, Any]) -> CheckpointSource:
    """A checkpoint by its config.json."""
    trained = str(config.get("world_memory_mode_train", "disabled"))
    return CheckpointSource(
        policy,
        trained=trained,
        rolled=str(config.get("world_memory_mode_rollout") or MODES[trained].rollout),
        n_action_steps=int(config["n_action_steps"]),
        encoder=encoder_of(config),
        moments=bool(config.get("world_moments", True)),
        aligned=bool(config.get("world_align")),
        bank=bool(config.get("world_bank_frames")),
    )


def encoder_of(config: Mapping[str, Any]) -> EncoderSpec | None:
    """How the frames were encoded that a checkpoint's latents come from; None if its config.json does not say."""
    if not config.get("world_encoder_kind"):
        return None
    prefix = "world_encoder_"
    fields = {name: config[prefix + name] for name in EncoderSpec.told() if prefix + name in config}
    try:
        return EncoderSpec.model_validate(fields)
    except ValidationError as error:
        raise UserError(f"its config.json describes no encoder ({error.errors()[0]['msg']})") from error


def given_problems(study: Study, found: Mapping[str, Sequence[CheckpointSource]]) -> Iterator[Problem]:
    """What does not fit together in the arms of given checkpoints, which are ``found`` by arm.

    Nothing is said of checkpoints that are not known yet.
    """
    known = {name: checkpoints for name, checkpoints in found.items() if all(each.known for each in checkpoints)}
    for name, checkpoints in known.items():
        first, at = checkpoints[0], ("arms", name, "checkpoint")
        for number, other in enumerate(checkpoints[1:], 1):
            for what in ("trained", "rolled", "encoder"):
                if getattr(first, what) != getattr(other, what):
                    message = f"its {WORDS[what]} is another than that of the first; give an arm only what is alike"
                    yield (*at, number), message
            if first.policy.family != other.policy.family:
                one, two = (each.policy.family or "a server" for each in (first, other))
                yield (*at, number), f"a policy of {two}, where the first is of {one}"
            if other.policy in [each.policy for each in checkpoints[:number]]:
                yield (*at, number), f"{other.policy.name} {other.policy.revision} is given twice"
        for mode in dict.fromkeys((first.trained, first.rolled)):
            if mode not in MODES:
                yield at, f"its memory is '{mode}', which is no memory mode here"
                return
        yield from rolled_out_problems(study, name, first.trained, first.rolled)
        yield from _without_encoder(study, name, first)
        yield from _without_moments(study, name, checkpoints)
        yield from _without_bank(study, name, checkpoints)
    yield from _executed(study, known)


WORDS = {"trained": "memory in training", "rolled": "memory in a rollout", "encoder": "encoder"}


def rolled_modes(arm: GivenArm, checkpoint: CheckpointSource) -> list[str]:
    """The memory modes that an arm's checkpoint is rolled out in."""
    return [arm.rollout or checkpoint.rolled, *arm.ablations]


def reads_latents(arm: GivenArm, checkpoint: CheckpointSource) -> bool:
    """Whether a rollout of it encodes what it sees."""
    if family_of(checkpoint.policy.family).sees_latents:
        return True
    return any(mode in MODES and MODES[mode].encodes for mode in rolled_modes(arm, checkpoint))


def _without_encoder(study: Study, name: str, checkpoint: CheckpointSource) -> Iterator[Problem]:
    """Memories that are made of latents, of a checkpoint that does not say what they come from."""
    arm = study.given[name]
    needy = next((mode for mode in rolled_modes(arm, checkpoint) if MODES[mode].encodes), None)
    if needy is not None and checkpoint.encoder is None:
        message = f"it does not say which encoder its latents come from, which memory {needy} is made of; convert it"
        yield ("arms", name, "checkpoint"), f"{message} anew with --encoder, or roll it out with zero"
    if arm.encoder is not None and checkpoint.encoder is None:
        yield ("arms", name, "encoder"), "the checkpoint names no encoder; remove this key"


def _without_moments(study: Study, name: str, checkpoints: Sequence[CheckpointSource]) -> Iterator[Problem]:
    """Memories that are drawn as the latents are, of checkpoints that do not know what those are like."""
    modes = rolled_modes(study.given[name], checkpoints[0])
    needy = next((mode for mode in modes if MODES[mode].needs_moments), None)
    if needy is not None and not all(each.moments for each in checkpoints):
        message = f"it does not know the latents' mean and covariance, which memory {needy} is drawn with; write"
        yield (
            ("arms", name, "checkpoint"),
            f"{message} standard_normal, or convert it with `wm convert --to earlier --latents FOLDER`",
        )


def _without_bank(study: Study, name: str, checkpoints: Sequence[CheckpointSource]) -> Iterator[Problem]:
    """Memories that are looked up among latents of the training, of checkpoints that do not carry them."""
    modes = rolled_modes(study.given[name], checkpoints[0])
    needy = next((mode for mode in modes if MODES[mode].needs_bank), None)
    if needy is not None and not all(each.bank for each in checkpoints):
        yield (
            ("arms", name, "checkpoint"),
            f"it does not carry the latents of its training episodes, among which memory {needy} is looked up; leave "
            f"{needy} out, or give a checkpoint that was trained with it",
        )


def _executed(study: Study, found: Mapping[str, Sequence[CheckpointSource]]) -> Iterator[Problem]:
    """Checkpoints that execute other numbers of actions, where the study does not say how many all of them do."""
    told = {name: {each.n_action_steps for each in checkpoints} for name, checkpoints in found.items()}
    if study.rollouts.n_action_steps is None and not study.trained and len(set().union(*told.values())) > 1:
        listed = ", ".join(f"{name} {' and '.join(map(str, sorted(own)))}" for name, own in told.items())
        yield (
            ("rollouts",),
            f"'n_action_steps' is missing, and the checkpoints say different numbers ({listed}); give the one that "
            "every arm executes",
        )


def trained_pictures(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Name, height and width of the pictures that a checkpoint was trained on."""
    for name, feature in dict(config.get("input_features") or {}).items():
        if feature.get("type") == "VISUAL" and EMPTY_CAMERA not in name:
            height, width = feature["shape"][-2:]
            yield name, (int(height), int(width))
    if family_of(str(config.get("type"))).sees_latents:  # whose encoder looks, not the policy
        sizes = str(config.get("world_frame_sizes") or "").split(",")
        for camera, size in zip(str(config.get("world_cameras")).split(","), filter(None, sizes), strict=False):
            height, width = size.split("x")
            yield full(camera), (int(height), int(width))


def picture_problems(config: Mapping[str, Any], size: int, at: Location) -> Iterator[Problem]:
    """Pictures that a checkpoint was trained on and that are no squares of ``size`` pixels."""
    for name, (height, width) in trained_pictures(config):
        if (height, width) != (size, size):
            message = f"it was trained on {name} of {height}x{width} pixels, but simulator.camera_size is {size}"
            yield at, f"{message}; write camera_size: {height}" if height == width else message
