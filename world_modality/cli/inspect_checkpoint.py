"""`wm inspect`: what a checkpoint is, from its files alone; no weights are loaded and no model is built."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from world_modality.checks.checkpoint import ADAPTER_CONFIG, checkpoint_findings
from world_modality.checks.finding import Finding, refuse_errors
from world_modality.checks.processors import trained_rename
from world_modality.checks.rename import own_rename, short, told_rename
from world_modality.checks.tensors import UNREADABLE, WEIGHTS, read_header
from world_modality.cli.earlier_flags import KNOWN
from world_modality.cli.given import policy_at
from world_modality.errors import UserError
from world_modality.facts.memory import MODES
from world_modality.facts.policies import BIAS_CONTROL, PolicyFamily, family_of, has_memory
from world_modality.policies.config_file import read_config_file, unknown_settings
from world_modality.policies.earlier import EARLIER_TYPE, is_earlier_folder, present_name
from world_modality.policies.served import read_served
from world_modality.store.done import DoneFile, read_run, stage_of
from world_modality.store.files import read_object
from world_modality.store.stage import TIMING

PROVENANCE = "provenance.json"  # this package's note on a checkpoint that no stage made
WORLD = ("world.", "alignment.")  # how the names of the world modules' tensors begin
BUFFERS = re.compile(
    r"keyed_step|world\.(donors|bank\.(latents|starts|ends))|(world|alignment)\.standardiser\.(mean|scale|factor)|"
    r"(.*\.)?(running_mean|running_var|num_batches_tracked)"
)
"""Names of tensors that are kept beside the parameters: this package's, and those of normalisation layers."""

TOLD: dict[str, type | tuple[type, ...]] = {
    "world_fusion": str,
    **{
        f"world_{name}": int
        for name in ("context", "prediction_horizon", "hypotheses", "prophet_layers", "prophet_width")
    },
    "world_latent_dim": int,
    "world_latent_tokens": int,
    "world_encoder_batch": int,
    "world_delta": bool,
    "world_lambda": (int, float),
    "world_cameras": str,
    **{f"world_encoder_{name}": str for name in ("kind", "source", "name", "revision", "pooling", "dtype", "digest")},
    **{f"world_encoder_{name}": int for name in ("frames", "image_size")},
}
"""The settings of a checkpoint with world memory that lines are made of, and their types."""


def inspect_lines(folder: Path) -> list[str]:
    """The checkpoint in ``folder`` (a ``pretrained_model``, or what holds one), a line per fact.

    Of a policy that another process serves, what a study knows of it.

    Raises:
        UserError: there is no checkpoint, or its files cannot be read.
    """
    served = read_served(folder)
    if served is not None:
        renames = [f"renames      {told_rename(served.rename)}"] if served.rename else []
        what = f"{served.name} {served.revision}, asked in dialect {served.dialect}"
        return [f"served       {what}", *renames, *_origin(folder)]
    places = (folder, folder / "pretrained_model")
    checkpoint = next((place for place in places if (place / "config.json").is_file()), None)
    if checkpoint is None:
        if (folder / ADAPTER_CONFIG).is_file():
            refuse_errors(checkpoint_findings(folder))
        raise UserError(f"{folder} holds no config.json; give a checkpoint's pretrained_model folder")
    config = read_config_file(checkpoint)
    _require_own(config, checkpoint)
    findings = checkpoint_findings(checkpoint)
    try:
        tensors = read_header(checkpoint / WEIGHTS)
    except UNREADABLE:
        refuse_errors(findings)
        raise
    tensors = {present_name(name): each for name, each in tensors.items()}
    return [
        *_policy(checkpoint, config, tensors),
        *_views(checkpoint, config),
        *_whole(findings),
        *_world(config, checkpoint),
        *_earlier(config, checkpoint),
        *_origin(checkpoint),
    ]


def served_lines(address: str) -> list[str]:
    """What a server in this project's dialect says of its policy, a line per fact; UserError if it cannot be asked."""
    from world_modality.policies.remote import ServedPolicy

    with ServedPolicy(policy_at(address)) as policy:
        facts, source, device = policy.facts, policy.source, policy.device
    cameras = ", ".join(f"{name} {height}x{width}" for name, (height, width) in facts.pictures.items())
    return [
        f"served       {source.name} {source.revision}",
        f"actions      chunks of {facts.chunk_size}, {facts.n_action_steps} executed: {', '.join(facts.action or ())}",
        f"sees         {cameras}",
        f"noise        {'by the seed that it is sent' if facts.seeded else 'its own, so no episode comes again'}",
        f"computed     {device}{', ' if facts.versions else ''}{_versions(facts.versions)}",
    ]


def _views(checkpoint: Path, config: Mapping[str, Any]) -> list[str]:
    """What it was trained to see and do, and by which names."""
    parts = [
        f"{short(name)} {'x'.join(map(str, feature.get('shape') or ['?']))}"
        for group in ("input_features", "output_features")
        for name, feature in dict(config.get(group) or {}).items()
    ]
    empty = config.get("empty_cameras")
    lines = [f"trained on   {', '.join(parts)}{f', {empty} cameras may be empty' if empty else ''}"]
    rename = {**trained_rename(checkpoint), **own_rename(checkpoint)}
    return [*lines, f"renames      {told_rename(rename)}"] if rename else lines


def _whole(findings: Sequence[Finding]) -> list[str]:
    """Whether weights, processors, statistics and backbone are there, a line per fault."""
    lines = [f"{'fault' if each.level == 'error' else 'warning':<12} {each.where}: {each.message}" for each in findings]
    if any(each.level == "error" for each in findings):
        return [*lines, "whole        no: it cannot be rolled out like that"]
    return [*lines, "whole        yes: weights, processors, statistics and backbone"]


def _require_own(config: Mapping[str, Any], checkpoint: Path) -> None:
    """UserError for a checkpoint of another program, or version, whose policy type bears the same name.

    As ``read_config`` of the plugin, but by what a line is made of and by names of earlier policies: the plugin's own
    list of its settings would cost importing LeRobot.
    """
    if not has_memory(config["type"]):
        return
    strange = config.keys() & KNOWN
    if strange:
        raise unknown_settings(checkpoint, strange)
    if config.get("world_memory_mode_train", "disabled") != "disabled":
        lacking = [name for name, kind in TOLD.items() if not isinstance(config.get(name), kind)]
        if lacking:
            raise UserError(
                f"{checkpoint / 'config.json'} has no {', '.join(lacking[:3])} as this plugin writes it: it is "
                "damaged, or was made by another program or version"
            )


def _policy(checkpoint: Path, config: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Any]]) -> list[str]:
    counts = {name: math.prod(each["shape"]) for name, each in tensors.items()}
    buffers = sum(count for name, count in counts.items() if BUFFERS.fullmatch(name))
    parameters = {name: count for name, count in counts.items() if not BUFFERS.fullmatch(name)}
    world = sum(count for name, count in parameters.items() if name.startswith(WORLD))
    base, beside = sum(parameters.values()) - world, f", and {buffers:,} numbers in buffers" if buffers else ""
    family = family_of(config["type"])
    dtypes = ", ".join(sorted({str(each["dtype"]) for each in tensors.values()}))
    return [
        f"checkpoint   {checkpoint}",
        f"policy       {config['type']}{_built_on(config, family)}",
        f"parameters   {base:,} of the base, {world:,} of the world memory ({dtypes}){beside}",
        f"actions      chunks of {config.get('chunk_size')}, {config.get('n_action_steps')} executed"
        + (f", {config.get(family.denoising_steps)} integration steps" if family.denoising_steps else ""),
    ]


def _built_on(config: Mapping[str, Any], family: PolicyFamily) -> str:
    if not family.sees_latents:
        return f" on {config.get(family.backbone, 'no backbone')}"
    tokens = f", knows {config.get('world_vocabulary')} world tokens" if config.get("world_vocabulary") else ""
    return f", model {config.get('model')}, which sees frames as latents{tokens}"


def _beforehand(config: Mapping[str, Any]) -> str:
    """What a Prophet has that was trained by itself; nothing of one that its policy's training made."""
    who = config.get("world_prophet", "joint")
    if who == "joint":
        return ""
    return f", trained beforehand and {who}, linear part of rank {config.get('world_prophet_rank', 0)}"


def _aligned(config: Mapping[str, Any]) -> list[str]:
    if not config.get("world_align"):
        return []
    depth, tokens = config.get("world_align_depth"), config.get("world_align_tokens")
    return [
        f"aligned      in training, hidden states at {depth} of the expert's depth ({tokens}) foretell "
        f"{config.get('world_prediction_horizon')} latents, loss weight {config.get('world_align_weight')}"
    ]


def _world(config: Mapping[str, Any], checkpoint: Path) -> list[str]:
    mode = config.get("world_memory_mode_train", "disabled")
    if mode == "disabled":
        sees = family_of(config["type"]).sees_latents or config.get("world_align")
        return ["memory       none", *_aligned(config), *(_encoded(config) if sees else [])]
    rollout = config.get("world_memory_mode_rollout") or (MODES[mode].rollout if mode in MODES else mode)
    lines = [
        f"memory       trained with {mode}, rolled out with {rollout}, fusion {config['world_fusion']}",
        f"prophet      T={config['world_context']}, K={config['world_prediction_horizon']}, "
        f"N={config['world_hypotheses']}, {config['world_prophet_layers']} layers of width "
        f"{config['world_prophet_width']}, "
        f"{'changes' if config['world_delta'] else 'latents'}, loss weight {config['world_lambda']}"
        + _beforehand(config)
        + (", memory detached" if config.get("world_detach") else "")
        + (", told the noisy actions" if config.get("world_actions") else ""),
        *_encoded(config),
    ]
    weights = checkpoint / "model.safetensors"
    gates = [name for name in read_header(weights) if present_name(name).startswith(WORLD) and name.endswith("gate")]
    values = ", ".join(f"{math.tanh(value):.4f}" for value in _scalars(weights, gates))
    return [*lines, f"gates        {values}"]


def _encoded(config: Mapping[str, Any]) -> list[str]:
    """What stands for a frame, and what made it of it."""
    lines = [f"latents      {config['world_latent_dim']} numbers of {_cameras(config['world_cameras'].split(','))}"]
    if config.get("world_encoder_kind"):
        version = config["world_encoder_revision"] or config["world_encoder_source"]
        lines.append(
            f"encoder      {config['world_encoder_kind']} {config['world_encoder_name']} {version}, "
            f"m={config['world_encoder_frames']}, "
            f"{config['world_encoder_image_size']} px, {config['world_encoder_pooling']} pooling, "
            f"{config['world_encoder_dtype']}, content {config['world_encoder_digest'] or 'not noted'}"
        )
    return lines


def _earlier(config: Mapping[str, Any], checkpoint: Path) -> list[str]:
    """What is otherwise in a memory of the earlier system's form, and what its own settings would do by default."""
    if config["type"] != EARLIER_TYPE:
        return []
    trained, rollout = config["world_memory_mode_train"], config["world_memory_mode_rollout"] or "as trained"
    own = "its own folder, read as it is" if is_earlier_folder(checkpoint) else "converted"
    lines = [
        f"form         of the earlier system ({own}): raw latents, {config['world_encoder_dtype']} encoder of pictures "
        f"enlarged to {config['world_encoder_padded_to']} px as SmolVLA does",
        f"zero memory  {BIAS_CONTROL}",
    ]
    if trained == "zero" and rollout == "pred":
        lines.append("rolled out   with pred by its own settings, though trained with zero: give --memory zero")
    return lines


def _cameras(names: list[str]) -> str:
    return f"camera{'s' * (len(names) > 1)} {' and '.join(names)}"


def _scalars(path: Path, names: list[str]) -> list[float]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return [float(file.get_tensor(name)) for name in names]


def _origin(checkpoint: Path) -> list[str]:
    """How it was made, as far as the files around it tell: a sealed stage, LeRobot's notes, this package's."""
    found = stage_of(checkpoint)
    if found is not None:
        stage, record = found
        run = read_run(stage.run)
        sealed = f", sealed {run.sealed_at}" if run else ""
        return [
            f"stage        {record.label} ({record.stage}/{record.key}){sealed}",
            *_stage_training(record, read_object(stage.volatile / TIMING)),
            f"made with    {_versions(record.versions)}",
        ]
    notes = read_object(checkpoint / PROVENANCE)
    lines = [*_lerobot_training(checkpoint)]
    if "made_by" in notes:
        origin = f" from {notes['from']}" if "from" in notes else ""
        lines.append(f"made by      {notes['made_by']}{origin}")
    return [*lines, f"made with    {_versions(notes['versions'])}"] if "versions" in notes else lines


def _stage_training(record: DoneFile, timing: Mapping[str, Any]) -> list[str]:
    """What a sealed training says of itself, and how fast it went."""
    optim = record.spec.get("optim")
    if not optim:
        return []
    seconds = f", {timing['seconds_per_step']} s a step" if "seconds_per_step" in timing else ""
    return [
        f"training     {optim['steps']} steps of {optim['batch_size']}, learning rate {optim['lr']:g}, seed "
        f"{record.spec['seed']}, on {record.facts.get('device', 'an unknown device')}{seconds}",
        f"made from    {', '.join(f'{source.role} {source.key}' for source in record.upstream)}",
    ]


def _lerobot_training(checkpoint: Path) -> list[str]:
    """What LeRobot notes beside the checkpoints of a training."""
    config = read_object(checkpoint / "train_config.json")
    if not config:
        return []
    step = read_object(checkpoint.parent / "training_state" / "training_step.json").get("step")
    done = f"step {step} of {config.get('steps')}" if step else f"{config.get('steps')} steps"
    dataset, start = config.get("dataset") or {}, (config.get("policy") or {}).get("pretrained_path")
    return [
        f"training     {done} of {config.get('batch_size')}, seed {config.get('seed')}, "
        f"dataset {dataset.get('repo_id')}",
        *([f"started from {start}"] if start else []),
    ]


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{package} {version}" for package, version in versions.items())
