"""The part of `wm check` that opens checkpoints, start policies and encoders: JSON files and headers of weights alone.

It takes a moment and asks what is in the hub's cache by now, so nothing of it is remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from world_modality.checks.backbone import backbone_findings
from world_modality.checks.checkpoint import checkpoint_findings, weight_findings
from world_modality.checks.encoder import encoder_findings
from world_modality.checks.finding import Finding
from world_modality.checks.rename import checked_rename
from world_modality.checks.tensors import WEIGHTS
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.policies.config_file import read_config_file
from world_modality.rollout.fit import require_chunk, require_fit, require_picture_size
from world_modality.store.hub import fetch_file, is_cached
from world_modality.study.arm_checks import policy_at
from world_modality.study.conditions import n_action_steps_of
from world_modality.study.parts import FolderPolicy, HubPolicy, RemotePolicy
from world_modality.study.sources import CheckpointSource, PolicySource, Sources
from world_modality.study.study import Study

Judged = Iterator[tuple[list[Finding], str]]
"""What was found of each model, and why it could not be opened, "" if it could."""


def judge_models(study: Study, sources: Sources) -> Judged:
    """Every model that a study takes from elsewhere; UserError where one has no configuration."""
    yield from _given(study, sources)
    yield from _started(study, sources)
    yield from _encoders(sources)


def _given(study: Study, sources: Sources) -> Judged:
    for name, arm in study.given.items():
        several = len(arm.checkpoint) > 1
        for number, (given, found) in enumerate(zip(arm.checkpoint, sources.checkpoints[name], strict=True)):
            part = f"arms.{name}{f'[{number}]' if several else ''}"
            if isinstance(given, RemotePolicy):
                yield _served(study, sources, given, found, part)
                continue
            folder = _policy_folder(given, found.policy)
            if folder is None:
                yield [], f"{part}: its weights are not in the local hub cache yet"
                continue
            rename = checked_rename(dict(given.rename), f"{part}.rename")
            steps = study.rollouts.n_action_steps
            every = [
                finding
                for suite in study.rollout_suites
                for finding in checkpoint_findings(folder, SUITES[suite], rename, part, steps)
            ]
            yield list(dict.fromkeys(every)), ""
            if found.encoder is not None and found.encoder.source == "folder":
                yield encoder_findings(Path(found.encoder.name), part), ""


def _served(
    study: Study, sources: Sources, policy: RemotePolicy, found: CheckpointSource, part: str
) -> tuple[list[Finding], str]:
    """What its server says of itself, if it is there; it need not be before the first rollout."""
    from world_modality.policies.remote import NoServer, ServedPolicy

    planned = policy
    if found.known:
        planned = policy.model_copy(update={"name": found.policy.name, "revision": found.policy.revision})
    try:
        with ServedPolicy(planned, study.rollouts.batch) as served:
            facts = served.facts
        require_picture_size(facts, study.simulator.camera_size)
        for suite in study.rollout_suites:
            require_fit(facts, SUITES[suite])
        require_chunk(facts, n_action_steps_of(study, sources), "n_action_steps")
    except NoServer as error:
        return [], f"{part}: {error}"
    except UserError as error:
        return [Finding("error", part, "checkpoint", str(error))], ""
    return [], ""


def _started(study: Study, sources: Sources) -> Judged:
    """Policies that are trained on may lack statistics: LeRobot takes the dataset's."""
    for policy, source in sources.policies.items():
        if not isinstance(policy, FolderPolicy | HubPolicy):
            continue
        part, folder = ".".join(map(str, policy_at(study, policy))), _policy_folder(policy, source)
        if folder is None:
            yield [], f"{part}: its weights are not in the local hub cache yet"
            continue
        config = read_config_file(folder)
        yield [*weight_findings(folder, config, part), *backbone_findings(folder, config, part)], ""


def _encoders(sources: Sources) -> Judged:
    for encoder, source in sources.encoders.items():
        if encoder.source == "folder":
            yield encoder_findings(Path(source.name)), ""
        elif encoder.source == "hub":
            if is_cached(source.name, source.revision, WEIGHTS):
                yield encoder_findings(fetch_file(source.name, source.revision, WEIGHTS).parent), ""
            else:
                yield [], "encoder: its weights are not in the local hub cache yet"


def _policy_folder(policy: FolderPolicy | HubPolicy, source: PolicySource) -> Path | None:
    """Where a policy's files are; None if they have to be fetched."""
    if isinstance(policy, FolderPolicy):
        return Path(source.name)
    if not is_cached(policy.repo_id, source.revision, WEIGHTS):
        return None
    return fetch_file(policy.repo_id, source.revision, WEIGHTS).parent
