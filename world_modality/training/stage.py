"""Stage "train": an arm with a seed, by LeRobot's own training script; resumes after any crash."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lerobot.utils.constants import PRETRAINED_MODEL_DIR, TRAINING_STATE_DIR

from lerobot_policy_world_modality.world_config import world_fields
from world_modality.data.episodes import dataset_fingerprint
from world_modality.data.schema import camera_column
from world_modality.errors import UserError
from world_modality.facts.policies import family_of, has_memory
from world_modality.facts.targets import TARGETS
from world_modality.policies.config_file import read_config_file
from world_modality.policies.earlier import ALONE
from world_modality.policies.host import LatentInputs, host_of
from world_modality.policies.trusted import require_known_steps
from world_modality.prophet.judging import PROPHET, describe
from world_modality.store.digests import is_intact, note_digests
from world_modality.store.files import read_object, sync_tree, write_atomically, write_json
from world_modality.store.notes import note_text, read_note
from world_modality.store.stage import TIMING, Facts, StageContext
from world_modality.study.comparable import require_equal
from world_modality.study.instructions import INSTRUCTIONS
from world_modality.study.prophet import PROPHET_ROLE
from world_modality.study.specs import BEFORE, TrainSpec, latents_role, tokens_role
from world_modality.training import checkpoints, offline
from world_modality.training.arguments import (
    PLACES,
    TRAIN_CONFIG,
    Places,
    device_name,
    fresh_arguments,
    require_training_alone,
    resolve,
    resume_arguments,
)
from world_modality.training.checkpoints import (
    Saving,
    kept_checkpoints,
    recover,
    require_finite,
)
from world_modality.training.compare_arms import ARM_FILE, describe_arm, memory_keys
from world_modality.training.earlier_part import go_on_from
from world_modality.training.launch import Job, run_here, torch_threads
from world_modality.training.metrics import Line, read_metrics, rewind, summarise
from world_modality.training.offline import OFFLINE
from world_modality.training.processes import run_in_processes
from world_modality.training.prophet import NEAREST, evaluate_prophet, picture_examples

SAVE_SECONDS = 45.0
METRICS = "metrics.jsonl"


def run(spec: TrainSpec, context: StageContext) -> Facts:
    """Train the arm to its last step, from the newest complete checkpoint if there is one, or from its earlier part.

    Raises:
        UserError: the arm differs from one without memory in more than the memory, inputs do not fit together, the
            training diverges, or it was begun on a device that is not here.
    """
    start = _convert_once(spec, context)
    places = Places(start, context.one("dataset"), context.work / "run", *_read(spec, context))
    checkpoint = recover(places.output / "checkpoints")
    _require_harmless(places.policy, checkpoint)
    device = _describe_arm_once(spec, context, places, begun=checkpoint is not None)
    if checkpoint is None:
        shutil.rmtree(places.output, ignore_errors=True)
        if BEFORE in context.inputs:
            shutil.copyfile(context.one(BEFORE) / METRICS, context.artifact / METRICS)
            checkpoint = go_on_from(context.one(BEFORE), spec, places, device, context.cores)
    if checkpoint is not None and (checkpoint / METRICS).is_file():
        shutil.copyfile(checkpoint / METRICS, context.artifact / METRICS)  # whatever became of the lines meanwhile
    done = 0 if checkpoint is None else int(checkpoint.name)
    for lines in (context.artifact / METRICS, context.volatile / METRICS):
        rewind(lines, done)
    if done < spec.last_step:
        arguments = (
            fresh_arguments(spec, places, context.cores)
            if checkpoint is None
            else resume_arguments(spec, checkpoint, places)
        )
        job = _job(spec, context, [*arguments, f"--output_dir={places.output}"])
        _train(job, context, spec.last_step, device)
        checkpoint = recover(places.output / "checkpoints")
    assert checkpoint is not None
    require_finite(checkpoint / PRETRAINED_MODEL_DIR / "model.safetensors")
    _export(checkpoint / PRETRAINED_MODEL_DIR, context.artifact / PRETRAINED_MODEL_DIR, spec, places.dataset)
    shutil.rmtree(context.artifact / TRAINING_STATE_DIR, ignore_errors=True)
    shutil.copytree(checkpoint / TRAINING_STATE_DIR, context.artifact / TRAINING_STATE_DIR)
    _judge(spec, context, device)
    _note_speed(context)
    return _facts(spec, read_metrics(context.artifact / METRICS), device)


def _require_harmless(start: Path, checkpoint: Path | None) -> None:
    """UserError if what a training goes on from, which may have come from elsewhere, names code to run, or work that
    no training here does."""
    require_known_steps(start)
    if checkpoint is not None:
        require_known_steps(checkpoint / PRETRAINED_MODEL_DIR)
        require_training_alone(checkpoint / PRETRAINED_MODEL_DIR / TRAIN_CONFIG)


def _describe_arm_once(spec: TrainSpec, context: StageContext, places: Places, *, begun: bool) -> str:
    """Describe the arm when its training begins; the device that the training uses from then on.

    LeRobot goes on with the configuration that a checkpoint holds, so the description of a begun training stays true,
    and is written again as it was noted beside the checkpoints. Where the note is damaged it is made anew.
    """
    arm = (_begun_arm(context) if begun else None) or _checked_arm(spec, context, places)
    write_atomically(context.work / ARM_FILE, note_text(arm).encode())
    write_json(context.artifact / ARM_FILE, arm)
    device: str = arm["policy"]["device"]
    if device not in ("cpu", device_name(spec.device)):
        raise UserError(
            f"training: it was begun on {device}, which is not here: go on where it is, or remove {context.work} to "
            "train from the start"
        )
    return device


def _begun_arm(context: StageContext) -> dict[str, Any] | None:
    """The description with which a training was begun; None if it is damaged, or gone from a training of a version that
    noted none."""
    try:
        return read_note(context.work / ARM_FILE)
    except FileNotFoundError:
        return read_object(context.artifact / ARM_FILE) or None


def _job(spec: TrainSpec, context: StageContext, arguments: list[str]) -> Job:
    return Job(
        arguments=tuple(arguments),
        metrics=context.artifact / METRICS,
        timings=context.volatile / METRICS,
        policy=context.one("policy"),
        processes=spec.processes,
        threads=spec.threads,
        decoders=max(1, context.cores // spec.processes),
        stop=spec.stop,
        saving=Saving(seconds=SAVE_SECONDS, work_per_save=checkpoints.WORK_PER_SAVE, keep=kept_checkpoints(os.environ)),
        dtype=spec.dtype,
    )


def _train(job: Job, context: StageContext, steps: int, device: str) -> None:
    def show(line: Line) -> None:
        context.progress.update(line["step"], steps, "steps", summarise(line))

    if job.processes == 1:
        run_here(job, show)
    else:
        run_in_processes(job, context.work / "processes", device, show)


def _convert_once(spec: TrainSpec, context: StageContext) -> Path:
    """The start policy as it is trained in the arm's memory mode, below ``context.work``; anew if it was damaged."""
    target = context.work / "start"
    if target.is_dir() and not is_intact(target):
        shutil.rmtree(target)
    if not target.is_dir():
        draft = context.work / "start.part"
        shutil.rmtree(draft, ignore_errors=True)
        _convert(spec, context, draft)
        if family_of(read_config_file(context.one("policy"))["type"]).base:
            context.progress.say(f"{context.progress.label}: of its start policy {ALONE}")
        note_digests(draft)
        sync_tree(draft)
        draft.rename(target)
    return target


def _convert(spec: TrainSpec, context: StageContext, target: Path) -> None:
    source = context.one("policy")
    # The seed is also where the world modules' first weights come from.
    settings: dict[str, Any] = {"world_seed": spec.seed, "world_memory_mode_train": spec.memory}
    memory = None
    if spec.memory != "disabled" and spec.world is None:
        raise UserError(f"training: memory mode '{spec.memory}' needs the settings of the world memory: set world")
    if spec.world is not None:
        settings |= world_fields(spec.world)
        latents, tokens, texts = _read(spec, context)
        prophet = context.one(PROPHET_ROLE) if PROPHET_ROLE in context.inputs else None
        memory = LatentInputs(latents, context.one("encoder"), tokens, texts, prophet)
    # Where the pictures are others, LeRobot takes the dataset's cameras and state, in the dataset's order.
    renew = not _cameras(source) <= _dataset_features(context.one("dataset"))
    host_of(read_config_file(source)["type"]).prepare(source, target, settings, memory, renew=renew)


def _latents(spec: TrainSpec, context: StageContext) -> dict[str, Path]:
    """Role and folder of each camera's latents, in the memory's order; none if it reads none."""
    roles = () if spec.world is None else map(latents_role, spec.world.cameras)
    return {role: context.one(role) for role in roles}


def _tokens(spec: TrainSpec, context: StageContext) -> dict[str, Path]:
    """The same of world tokens, of which only some policies know any."""
    roles = () if spec.world is None else map(tokens_role, spec.world.cameras)
    return {role: context.one(role) for role in roles if role in context.inputs}


def _instructions(_spec: TrainSpec, context: StageContext) -> dict[str, Path]:
    """The same of the instructions' vectors, which only some policies read."""
    return {INSTRUCTIONS: context.one(INSTRUCTIONS)} if INSTRUCTIONS in context.inputs else {}


def _read(spec: TrainSpec, context: StageContext) -> list[tuple[Path, ...]]:
    """Folders of latents, of world tokens and of instructions."""
    return [tuple(found(spec, context).values()) for found in (_latents, _tokens, _instructions)]


def _cameras(policy: Path) -> set[str]:
    features = json.loads((policy / "config.json").read_text())["input_features"] or {}
    return {name for name, feature in features.items() if feature["type"] == "VISUAL"}


def _dataset_features(dataset: Path) -> set[str]:
    return set(json.loads((dataset / "meta" / "info.json").read_text())["features"])


def _checked_arm(spec: TrainSpec, context: StageContext, places: Places) -> dict[str, Any]:
    """The arm's description, after it was compared with that of the same spec without world memory.

    The arms of a study were compared with each other when it was planned; this is about what LeRobot makes of a spec.

    Raises:
        UserError: they differ in more than the memory.
    """
    arm = _describe(spec, context, places)
    aligned = spec.world is not None and bool(spec.world.align)
    if spec.memory != "disabled" or aligned:
        sees = family_of(spec.family).sees_latents
        plain = spec.model_copy(update={"memory": "disabled", "world": spec.world if sees else None})
        reference = context.work / "reference"
        shutil.rmtree(reference, ignore_errors=True)
        _convert(plain, context, reference)
        without = replace(places, policy=reference) if sees else Places(reference, places.dataset, places.output, ())
        how = "aligned" if aligned else f"with memory {spec.memory}"
        named = f"the arm {how}", "the same arm without" + (" alignment" if aligned else " memory")
        plain_arm = _describe(plain, context, without)
        declared = memory_keys() | {f"inputs.{role}" for role in (*_latents(spec, context), PROPHET_ROLE)}
        require_equal(named[0], arm, named[1], plain_arm, declared, "make them equal")
        shutil.rmtree(reference)
    return arm


def _describe(spec: TrainSpec, context: StageContext, places: Places) -> dict[str, Any]:
    roles = {"policy": context.one("policy"), "dataset": places.dataset}
    roles |= _latents(spec, context) | _tokens(spec, context) | _instructions(spec, context)
    roles |= {PROPHET_ROLE: context.one(PROPHET_ROLE)} if spec.world and PROPHET_ROLE in context.inputs else {}
    by_place = {places.policy: "policy", **{folder: role for role, folder in roles.items()}}
    arm = describe_arm(resolve(fresh_arguments(spec, places, context.cores)), roles, by_place)
    return {**arm, "threads": spec.threads, "processes": spec.processes}


def _export(checkpoint: Path, target: Path, spec: TrainSpec, dataset: Path) -> None:
    """Copy a checkpoint, without what only means something on this machine; its data are named by their fingerprint."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(checkpoint, target)
    config = json.loads((target / "config.json").read_text())
    config |= {key: PLACES[key] for key in PLACES & config.keys()}
    write_json(target / "config.json", config)
    training = json.loads((target / TRAIN_CONFIG).read_text())
    training |= {"output_dir": None, "checkpoint_path": None, "resume": False, "num_workers": 0}
    training["dataset"] |= {"root": None, "repo_id": f"local/{dataset_fingerprint(dataset)}"}
    write_json(target / TRAIN_CONFIG, training | {"policy": config, "steps": spec.optim.steps})


def _judge(spec: TrainSpec, context: StageContext, device: str) -> None:
    """Judge the trained policy, and its Prophet beside the baselines, on held-out frames; tell it and keep it."""
    checkpoint, latents = context.artifact / PRETRAINED_MODEL_DIR, tuple(_latents(spec, context).values())
    judges: list[tuple[str, Any, Any]] = []
    if has_memory(read_config_file(checkpoint)["type"]):  # even disabled: it knows the frames' own noise
        _, tokens, texts = _read(spec, context)
        beside = partial(offline.evaluate_offline, tokens=tokens, instructions=texts)
        judges.append((OFFLINE, beside, offline.describe))
    if spec.memory != "disabled":
        judges.append((PROPHET, partial(evaluate_prophet, judged=_judged_beforehand(spec, context)), describe))
    for name, evaluate, told in judges:
        with torch_threads(spec.threads):
            result = evaluate(checkpoint, context.one("dataset"), latents, device=device)
        context.progress.say(f"{context.progress.label}: {told(result)}")
        write_json(context.artifact / name, result)
        if name == PROPHET:
            _picture_examples(spec, context, result)


def _judged_beforehand(spec: TrainSpec, context: StageContext) -> dict[str, Any] | None:
    """What was said of the arm's Prophet when it was trained, if the arm has kept it as it was."""
    if spec.world is None or spec.world.prophet != "kept" or PROPHET_ROLE not in context.inputs:
        return None
    return read_object(context.one(PROPHET_ROLE) / PROPHET) or None


def _picture_examples(spec: TrainSpec, context: StageContext, judged: Mapping[str, Any]) -> None:
    """Show the nearest frames of the memory's first camera, if the dataset has its pictures."""
    folder, dataset = context.artifact / NEAREST, context.one("dataset")
    shutil.rmtree(folder, ignore_errors=True)
    cameras = () if spec.world is None else spec.world.cameras[:1]
    for camera in cameras:
        if camera_column(camera) in _dataset_features(dataset):
            picture_examples(judged, dataset, camera, folder)


def _note_speed(context: StageContext) -> None:
    """Keep the median duration of a step."""
    lines = read_metrics(context.volatile / METRICS)
    seconds = sorted(line["update_s"] + line["dataloading_s"] for line in lines)
    write_json(context.volatile / TIMING, {"seconds_per_step": round(seconds[len(seconds) // 2], 4)})


def _facts(spec: TrainSpec, lines: list[Line], device: str) -> dict[str, Any]:
    last = lines[-1]
    predicted = (f"{target.logged}{ending}" for target in TARGETS for ending in ("", target.logged_baseline))
    aligned = ("align_loss", "align_cos", "align_cos_persistence")
    keys = ("loss", "world_loss", *predicted, "world_gate", *aligned)
    return {
        "steps": spec.last_step,
        **{f"last_{key}": round(last[key], 6) for key in keys if key in last},
        "threads": spec.threads,
        "processes": spec.processes,
        "device": device,
    }
