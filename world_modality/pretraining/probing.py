"""Stage "probes": what linear probes read from an encoder's latents on tasks that it was not trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from world_modality.encoders.encoder import Encoder, load_encoder
from world_modality.errors import UserError
from world_modality.pretraining.labels import GROUPS, Labels, label, varying
from world_modality.pretraining.probes import Errors, Numbers, probe
from world_modality.pretraining.specs import ENCODER, FOOTAGE, ProbesSpec
from world_modality.pretraining.spread import effective_rank, spectrum
from world_modality.pretraining.takes import EPISODES, Take, clips_of, read_take
from world_modality.store.files import empty_folder, write_json
from world_modality.store.stage import Facts, StageContext

PROBES = "probes.json"
DEAD = 1e-6  # standard deviation below which a number of the latents says nothing


def run(spec: ProbesSpec, context: StageContext) -> Facts:
    """Encode every clip of one camera as a study would, and probe each task by itself; writes ``probes.json``.

    Raises:
        UserError: the encoder does not fit the spec, or a task's reels hold too few episodes of that camera.
    """
    torch.set_num_threads(1)
    encoder = load_encoder(spec.encoder, context.one(ENCODER))
    takes = _takes(context.inputs[FOOTAGE])
    tasks: dict[str, Any] = {}
    latents: list[Numbers] = []
    for number, (name, own) in enumerate(takes.items()):
        context.progress.update(number, len(takes), "tasks probed")
        found, labels, episodes = _encoded(encoder, spec, own)
        latents.append(found)
        tasks[name] = _probed(found, labels, episodes, spec)
    empty_folder(context.artifact)
    together = np.concatenate(latents)
    told = {"width": together.shape[1], "latents": _spread(together, latents), "tasks": tasks}
    write_json(context.artifact / PROBES, told)
    return {"tasks": len(tasks), "clips": len(together)}


def _takes(reels: Sequence[Path]) -> dict[str, list[Take]]:
    """All takes of the reels by task, in order."""
    found: dict[str, list[Take]] = defaultdict(list)
    for reel in reels:
        for path in sorted((reel / EPISODES).glob("take_*.parquet")):
            take = read_take(path)
            found[f"{take.info.suite} {take.info.task}"].append(take)
    return found


def _encoded(encoder: Encoder, spec: ProbesSpec, takes: Sequence[Take]) -> tuple[Numbers, Labels, NDArray[np.int64]]:
    """Latents [N, P * D] of the camera's clips in a task's takes, their labels, and each one's episode [N]."""
    latents: list[Numbers] = []
    labels: list[Labels] = []
    episodes: list[int] = []
    for take in takes:
        clips = clips_of(take.shots, spec.encoder.frames)
        clips = clips[[take.cameras[end] == spec.camera for end in clips[:, -1]]]
        if len(clips):
            found = encoder.encode_prepared(encoder.prepare(take.decoded()), clips)
            latents.append(found.reshape(len(clips), -1).astype(np.float64))
            episodes += [len(labels)] * len(clips)
            labels.append(label(take, clips))
    if len(labels) < 2 * spec.folds:
        told = takes[0].info
        raise UserError(
            f"the probes of {told.suite} {told.task} need {2 * spec.folds} episodes filmed by {spec.camera} and have "
            f"{len(labels)}: raise held_out.episodes"
        )
    first = labels[0]
    values = np.concatenate([each.values for each in labels])
    return np.concatenate(latents), varying(Labels(values, first.groups, first.names)), np.array(episodes)


def _probed(latents: Numbers, labels: Labels, episodes: NDArray[np.int64], spec: ProbesSpec) -> dict[str, Any]:
    errors = probe(latents, labels.values, episodes, spec.folds, spec.seed)
    groups: dict[str, Any] = {}
    for group in GROUPS:
        columns = [number for number, own in enumerate(labels.groups) if own == group]
        if columns:
            groups[group] = {
                "explained": round(errors[columns].explained(), 4),
                "targets": {labels.names[each]: round(errors[[each]].explained(), 4) for each in columns},
                "errors": _sums(errors[columns]),
            }
    return {"clips": len(latents), "episodes": int(episodes.max()) + 1, "groups": groups}


def _sums(errors: Errors) -> dict[str, list[float]]:
    """Per episode, over a group's targets."""
    return {"probe": errors.probe.sum(axis=1).tolist(), "mean": errors.mean.sum(axis=1).tolist()}


def _spread(together: Numbers, tasks: Sequence[Numbers]) -> dict[str, float]:
    """What tells a collapse: ranks, the widest axis, numbers that never change, and how alike any two clips are."""
    lengths = np.linalg.norm(together, axis=1, keepdims=True)
    mean = (together / np.where(lengths > 0, lengths, 1.0)).mean(axis=0)
    told = {
        "effective_rank": effective_rank(together),
        "effective_rank_within_tasks": float(np.mean([effective_rank(each) for each in tasks])),
        "first_axis": float(spectrum(together)[0]),
        "dead": float((together.std(axis=0) < DEAD).mean()),
        "mean_cosine": float(mean @ mean),  # of all pairs, a clip with itself included
    }
    return {name: round(value, 4) for name, value in told.items()}
