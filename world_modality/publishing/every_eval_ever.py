"""Records in the schema of Every Eval Ever: one evaluation per checkpoint and condition, one line per episode.

An evaluation is ``data/<collection>/<developer>/<model>/<uuid>.json``, its episodes ``<uuid>_samples.jsonl`` beside it.
Aggregates are one per suite and one per task; an episode belongs to its task's, since a line may belong to one alone.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.facts.memory import MODES
from world_modality.publishing.figures import Rate
from world_modality.publishing.instance_level import SCHEMA_VERSION, result_name, sample_lines
from world_modality.publishing.names import plain
from world_modality.publishing.publication import Publication
from world_modality.store.done import read_run
from world_modality.store.files import new_folder
from world_modality.store.layout import stage_folder
from world_modality.store.machine import versions
from world_modality.study.specs import RolloutSpec

LIBRARY = "world-modality"


@dataclass(frozen=True)
class Evaluator:
    """Who says all this."""

    organization: str
    developer: str  # of the checkpoints: the first part of their ids
    created_at: str  # seconds since 1970


def export(publication: Publication, output: Path, evaluator: Evaluator) -> list[str]:
    """Write every evaluation of a study into the new folder ``output``; lines that tell of it.

    UserError if there is no episode yet, or the folder exists.
    """
    evaluations = list(_evaluations(publication, evaluator))
    if not evaluations:
        raise UserError(f"the study {publication.graph.study} has no records yet: run it first")
    with new_folder(output) as draft:
        for each in evaluations:
            folder = draft / each.folder
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{each.name}_samples.jsonl").write_bytes(each.samples)
            text = json.dumps(each.log, indent=2, ensure_ascii=False, allow_nan=False)
            (folder / f"{each.name}.json").write_text(text + "\n")
    episodes = sum(each.log["detailed_evaluation_results"]["total_rows"] for each in evaluations)
    return [
        f"written      {output}: {len(evaluations)} evaluations, {episodes} episodes, schema {SCHEMA_VERSION}",
        f"next         cd {output}; every_eval_ever validate data/*/*/*/*   (of the package every-eval-ever)",
    ]


@dataclass(frozen=True)
class _Evaluation:
    folder: str  # data/<collection>/<developer>/<model>
    name: str  # a version 4 UUID, the same for the same episodes
    log: Mapping[str, Any]
    samples: bytes


def _evaluations(publication: Publication, evaluator: Evaluator) -> Iterator[_Evaluation]:
    names = _checkpoint_names(publication)
    for key in publication.figures.checkpoints:
        rates = list(publication.figures.rates(key, by_task=True))
        for _, own in groupby(rates, key=lambda rate: rate.condition.name):
            yield _evaluation(publication, evaluator, names.get(key, key), key, list(own))


def _checkpoint_names(publication: Publication) -> dict[str, str]:
    """``<study>-<arm>-seed<n>`` of every checkpoint, trained here or given, by its key."""
    spec, seeds = publication.spec, publication.material.results.seeds
    study = publication.graph.study
    named = {
        key: plain(f"{study}-{arm.name}-seed{seed}")
        for arm in spec.arms
        for seed, key in zip(seeds, arm.trainings or arm.checkpoints, strict=False)
    }
    return {each.key: plain(f"{study}-{publication.name_of(each)}") for each in publication.trainings()} | named


def _evaluation(
    publication: Publication, evaluator: Evaluator, name: str, key: str, rates: Sequence[Rate]
) -> _Evaluation:
    collection, model = plain(f"{LIBRARY}-{publication.graph.study}"), f"{plain(evaluator.developer)}/{name}"
    tasks = [rate for rate in rates if rate.task is not None]
    digest = hashlib.sha256("".join(_identity(rate) for rate in tasks).encode())
    condition = rates[0].condition
    identity = f"{collection}/{model}/{condition.name}/{digest.hexdigest()[:16]}"
    folder, own = f"data/{collection}/{model}", str(uuid.UUID(bytes=digest.digest()[:16], version=4))
    samples = "".join(line for rate in tasks for line in sample_lines(rate, identity, model)).encode()
    rollout, evaluated_at = _rollout(publication, tasks[0])
    log = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": identity,
        **({"evaluation_timestamp": evaluated_at} if evaluated_at else {}),
        "retrieved_timestamp": evaluator.created_at,
        "source_metadata": {
            "source_name": "World Modality",
            "source_type": "evaluation_run",
            "source_organization_name": evaluator.organization,
            "evaluator_relationship": "first_party" if not condition.given else "other",
            "additional_details": {"study": publication.graph.study, "condition": condition.name},
        },
        "eval_library": {
            "name": LIBRARY,
            "version": versions(["lerobot_policy_world_modality"])["lerobot_policy_world_modality"],
            "additional_details": {"software": tasks[0].episodes[0][1].software},
        },
        "model_info": {
            "name": name,
            "id": model,
            "developer": plain(evaluator.developer),
            "inference_engine": {"name": "lerobot", "version": versions(["lerobot"])["lerobot"]},
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "unknown",
                "checkpoint": key,
                "trained_memory": condition.trained,
            },
        },
        "evaluation_results": [_result(publication, rate, rollout) for rate in rates],
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": f"{folder}/{own}_samples.jsonl",
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(samples).hexdigest(),
            "total_rows": sum(len(rate.episodes) for rate in tasks),
        },
    }
    return _Evaluation(folder, own, log, samples)


def _identity(rate: Rate) -> str:
    """What tells these episodes from any others: which they are, and what trajectories they took."""
    name = rate.condition.name
    return "".join(f"{name} {trial} {each.trajectory_digest} {each.success}\n" for trial, each in rate.episodes)


def _result(publication: Publication, rate: Rate, rollout: RolloutSpec | None) -> dict[str, Any]:
    error = {} if rate.error is None else {"standard_error": {"value": rate.error, "method": _method(rate)}}
    one = rate.interval
    return {
        "evaluation_result_id": result_name(rate),
        "evaluation_name": result_name(rate),
        "source_data": _source(publication, rate),
        "metric_config": {
            "evaluation_description": f"share of simulated episodes that ended in success, {_where(rate)}",
            "metric_id": "success_rate",
            "metric_name": "Success rate",
            "metric_kind": "success_rate",
            "metric_unit": "proportion",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": {
            "score": one.estimate,
            "details": {
                "successes": str(rate.successes),
                "scenes": str(rate.scenes),
                "memory": MODES[rate.condition.rolled].noun,
            },
            "uncertainty": {
                **error,
                "confidence_interval": {
                    "lower": one.low,
                    "upper": one.high,
                    "confidence_level": rate.confidence,
                    "method": "Wilson's score interval, at the effective number of episodes where scenes repeat",
                },
                "standard_deviation": (one.estimate * (1 - one.estimate)) ** 0.5,
                "num_samples": len(rate.episodes),
            },
        },
        "generation_config": {"additional_details": _settings(rate, rollout)},
    }


def _method(rate: Rate) -> str:
    return "analytic" if rate.scenes == len(rate.episodes) else "analytic, cluster-robust over scenes"


def _where(rate: Rate) -> str:
    return f"{rate.suite}, {'all tasks that were rolled out' if rate.task is None else f'task {rate.task}'}"


def _source(publication: Publication, rate: Rate) -> dict[str, Any]:
    record = rate.episodes[0][1]
    return {
        "dataset_name": rate.suite,
        "source_type": "other",
        "source_id": f"{rate.suite}, object models {record.assets_digest or 'not told'}",
        "source_version": record.software_here or "unknown",
        "additional_details": {"label": publication.spec.label, "assets": record.assets},
    }


def _settings(rate: Rate, rollout: RolloutSpec | None) -> dict[str, str]:
    """What decides an episode, as texts: the schema takes no other values here."""
    told = {"memory_mode": rate.condition.rolled, "trained_memory": rate.condition.trained}
    if rollout is None:
        return told
    values = {
        "horizon": rollout.horizon,
        "n_action_steps": rollout.n_action_steps,
        "num_steps": rollout.num_steps,
        "settle_steps": rollout.sim.settle_steps,
        "render": rollout.sim.render,
        "camera_size": rollout.sim.camera_size,
        "dtype": rollout.dtype,
    }
    return told | {name: str(value) for name, value in values.items() if value is not None}


def _rollout(publication: Publication, rate: Rate) -> tuple[RolloutSpec | None, str]:
    """The settings of a condition's rollouts, and when the newest of them was sealed (ISO 8601, or "")."""
    keys = [cell.rollout for cell in publication.spec.cells if cell.condition == rate.condition.name]
    spec = publication.graph.stages[keys[0]].spec
    runs = [read_run(stage_folder(publication.root, "rollout", key).run) for key in keys]
    newest = max((run.sealed_at for run in runs if run), default="")
    return (spec if isinstance(spec, RolloutSpec) else None), newest
