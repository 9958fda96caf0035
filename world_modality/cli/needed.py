"""What a study takes from a network, found without fetching more than planning does; and what of it lacks here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.benchmarks.assets import PACKAGE, AssetTree, asset_tree, hub_revision
from world_modality.checks.backbone import backbone_names
from world_modality.cli.given_latents import PATTERNS as LATENTS
from world_modality.cli.given_latents import latents_on_hub
from world_modality.data.hub import DATASET, ENCODER, POLICY, TEXT_FILES, TEXT_MODEL, WEIGHT_FILES
from world_modality.embedded import BACKBONE_PREFIX
from world_modality.errors import UserError
from world_modality.facts.encoders import ENCODERS
from world_modality.policies.config_file import read_config_file
from world_modality.store.fetched import FETCHED_VARIABLE
from world_modality.store.files import files_below, matches
from world_modality.store.hub import (
    RepoType,
    cached_folder,
    hub_answers,
    is_repository,
    resolve_commit,
    split_pinned,
)
from world_modality.study.load import StudyFile
from world_modality.study.parts import FolderPolicy, HubData, HubInstructions, HubPolicy, RemotePolicy
from world_modality.study.sources import UNRESOLVED, PolicySource, Sources

MOST_NAMED = 4


@dataclass(frozen=True)
class HubPart:
    """Files of a repository of the hub at a commit."""

    what: str
    repo_id: str
    commit: str
    repo_type: RepoType = "model"
    patterns: tuple[str, ...] = ("*",)
    """Which files are taken."""
    shows: tuple[str, ...] = ("config.json",)
    """Patterns of files of which each has some where the part is there."""

    @property
    def name(self) -> str:
        """For people."""
        at = "" if self.commit == UNRESOLVED else f"@{self.commit[:8]}"
        return f"{self.what} {self.repo_id}{at}"

    def is_here(self) -> bool:
        """Whether it is in the hub's cache, as far as can be told without asking the hub."""
        folder = None if self.commit == UNRESOLVED else cached_folder(self.repo_id, self.commit, self.repo_type)
        names = [] if folder is None else [name for name, path in files_below(folder) if path.is_file()]
        return all(any(matches(name, (pattern,)) for name in names) for pattern in self.shows)


@dataclass(frozen=True)
class PackagePart:
    """Object models of one or several suites that packages of the registry bring."""

    tree: AssetTree
    source: str
    digest: str

    @property
    def name(self) -> str:
        """For people."""
        return f"object models of {self.tree.benchmark}"

    def is_here(self) -> bool:
        """Whether they are in the cache."""
        own = self.tree.package if self.source == PACKAGE else None
        return all((each.kept / each.below).is_dir() for each in (own, self.tree.further) if each)


def hub_parts(file: StudyFile, sources: Sources) -> list[HubPart]:
    """Everything of the hub that a study names, each once; what policies load beside themselves, as far as their files
    are here (:func:`beside_policies`)."""
    return list(dict.fromkeys((*_named(file, sources), *beside_policies(file, sources))))


def _named(file: StudyFile, sources: Sources) -> Iterator[HubPart]:
    study = file.study
    for policy, found in _policies(file, sources):
        if isinstance(policy, HubPolicy):
            yield HubPart(
                "policy", policy.repo_id, found.revision, patterns=POLICY.patterns, shows=("config.json", *WEIGHT_FILES)
            )
    if isinstance(study.data, HubData) and sources.dataset is not None:
        data = sources.dataset
        yield HubPart("dataset", data.name, data.revision, "dataset", DATASET.patterns, ("meta/info.json", "data/*"))
    for encoder, source in sources.encoders.items():
        if encoder.source == "hub":
            yield _encoder(encoder.kind, source.name, source.revision)
    for checkpoints in sources.checkpoints.values():
        for spec in (each.encoder for each in checkpoints):
            if spec is not None and spec.source == "hub" and spec.revision:
                yield _encoder(spec.kind, spec.name, spec.revision)
    if isinstance(study.instructions, HubInstructions) and sources.instructions is not None:
        model = sources.instructions
        shows = ("config.json", *WEIGHT_FILES)
        yield HubPart("text model", model.name, model.revision, patterns=TEXT_MODEL.patterns, shows=shows)
    for name in latents_on_hub(file):
        repo_id, _, asked = name.partition("@")
        commit = resolve_commit(repo_id, asked or "main", "dataset")
        yield HubPart("latents", repo_id, commit, "dataset", LATENTS, ("*.npy",))
    for suite, assets in sources.assets.items():
        tree, pinned = asset_tree(suite), hub_revision(assets.source)
        if tree is not None and tree.repository is not None and pinned is not None:
            commit = UNRESOLVED if assets.digest == UNRESOLVED else pinned
            folders = tuple(f"{folder}/*" for folder in tree.folders)
            yield HubPart(f"object models of {tree.benchmark}", tree.repository, commit, "dataset", shows=folders)


def _encoder(kind: str, name: str, commit: str) -> HubPart:
    return HubPart("encoder", name, commit, patterns=ENCODER.patterns, shows=("config.json", ENCODERS[kind].weights))


def beside_policies(file: StudyFile, sources: Sources) -> Iterator[HubPart]:
    """Backbones and tokenizers that the study's policies are built around, of those whose files are here."""
    for policy, found in _policies(file, sources):
        folder = _folder(policy, found)
        if folder is None:
            continue
        config = read_config_file(folder)
        for name in dict.fromkeys((found.backbone, *backbone_names(folder, config))):
            part = _backbone(name, config) if name and name != UNRESOLVED else None
            if part is not None:
                yield part


def _backbone(name: str, config: dict[str, Any]) -> HubPart | None:
    """What is loaded by a name; None if that is packaged, or in a folder."""
    if name.startswith(BACKBONE_PREFIX) or Path(name).expanduser().is_dir():
        return None
    found = split_pinned(name)
    if found is None and not is_repository(name):
        return None
    repo_id, commit = found or (name, "")
    weights = WEIGHT_FILES if config.get("load_vlm_weights") else ()
    if not commit:
        try:
            commit = resolve_commit(repo_id, "main")
        except UserError:
            commit = UNRESOLVED
    return HubPart("backbone", repo_id, commit, patterns=(*TEXT_FILES, *weights), shows=("*.json", *weights))


def packages(sources: Sources) -> list[PackagePart]:
    """The object models that come from packages."""
    found = {}
    for suite, assets in sources.assets.items():
        tree = asset_tree(suite)
        if tree is not None and (assets.source == PACKAGE or tree.further):
            found[tree.benchmark, assets.source] = PackagePart(tree, assets.source, assets.digest)
    return list(found.values())


def not_on_hub(file: StudyFile, sources: Sources) -> list[str]:
    """What nobody can fetch for the user: served policies, and folders of this machine, a line each."""
    lines = []
    for policy, found in _policies(file, sources):
        if isinstance(policy, RemotePolicy):
            lines.append(f"{policy.address} serves a policy: it must be reached from where rollouts run")
        elif isinstance(policy, FolderPolicy):
            lines.append(f"policy {found.name} is a folder of this machine: bring it along")
    study = file.study
    if study.data is not None and study.data.source == "folder" and sources.dataset is not None:
        lines.append(f"dataset {sources.dataset.name} is a folder of this machine: bring it along")
    for encoder, source in sources.encoders.items():
        if encoder.source == "folder":
            lines.append(f"encoder {source.name} is a folder of this machine: bring it along")
    return list(dict.fromkeys(lines))


def missing_sentence(file: StudyFile, sources: Sources, study: Path) -> str:
    """What of a study is not on this machine, which reaches no hub, and what to do; "" if nothing lacks."""
    lacking = [part.name for part in hub_parts(file, sources) if not part.is_here()]
    if not lacking and not os.environ.get(FETCHED_VARIABLE):
        return ""
    lacking += [part.name for part in packages(sources) if not part.is_here()]
    if not lacking or hub_answers():
        return ""
    more = f" and {len(lacking) - MOST_NAMED} more" if len(lacking) > MOST_NAMED else ""
    return (
        f"{', '.join(lacking[:MOST_NAMED])}{more}: not on this machine, which reaches no network: run `wm fetch "
        f"{study} --to FOLDER` where there is one, and name that folder with --fetched"
    )


def _policies(file: StudyFile, sources: Sources) -> Iterator[tuple[Any, PolicySource]]:
    """Start policies and given checkpoints, as the study and as the sources have them."""
    yield from sources.policies.items()
    for name, arm in file.study.given.items():
        found = (each.policy for each in sources.checkpoints[name])
        yield from zip(arm.checkpoint, found, strict=True)


def _folder(policy: Any, found: PolicySource) -> Path | None:
    """Where a policy's files are; None if nothing of them is here."""
    if isinstance(policy, FolderPolicy):
        return Path(found.name)
    if isinstance(policy, HubPolicy) and found.revision != UNRESOLVED:
        folder = cached_folder(policy.repo_id, found.revision)
        return folder if folder is not None and (folder / "config.json").is_file() else None
    return None


def policy_configs(file: StudyFile, sources: Sources, kinds: tuple[type, ...]) -> Iterator[dict[str, Any]]:
    """The config.json of every policy and checkpoint of these kinds that is here."""
    for policy, found in _policies(file, sources):
        folder = _folder(policy, found) if isinstance(policy, kinds) else None
        if folder is not None:
            yield read_config_file(folder)
