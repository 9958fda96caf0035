"""Content addresses of what a study takes from outside: asset trees, policies, data sets, encoders.

Folders are addressed by the files that are taken from them, hub repositories by commit: a branch or tag is looked up
here, once, and nothing behind the plan knows it. So is the backbone that a policy's config.json names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.benchmarks.assets import asset_tree, hub_revision
from world_modality.cli.shapes import encoder_patch, policy_shape
from world_modality.data.hub import DATASET, ENCODER, POLICY
from world_modality.data.schema import camera_column, picture_sizes
from world_modality.embedded import BACKBONE_PREFIX, BASE_POLICY
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.store.hub import RepoType, fetch_file, pinned_name, resolve_commit, split_pinned
from world_modality.store.layout import digests_file
from world_modality.study.document import Location
from world_modality.study.load import StudyFile
from world_modality.study.sources import UNRESOLVED, Sources
from world_modality.study.study import (
    EmbeddedEncoder,
    EmbeddedPolicy,
    FolderData,
    FolderEncoder,
    FolderPolicy,
    HubData,
    HubEncoder,
    HubPolicy,
    ScratchPolicy,
)

BASE_STUDY = "workflow/studies/embedded_base.yaml"


def resolve_sources(file: StudyFile, root: Path, *, lenient: bool = False) -> Sources:
    """Name and content address of every outside part of a study.

    Args:
        file: the study; folders in it are relative to the working folder.
        root: results tree, where digests of large folders are remembered.
        lenient: for a dry run, take what only an unreachable hub can tell as unresolved instead of failing.

    Raises:
        UserError: a folder is missing, the hub cannot say what it holds, or the study does not fit the policy, the
            data or the encoder.
    """
    finder = _Finder(file, digests_file(root), lenient)
    assets, digest = finder.assets()
    policy_name, policy_revision, backbone = finder.policy()
    dataset_name, dataset_revision = finder.dataset()
    encoder_name, encoder_revision = finder.encoder()
    return Sources(
        assets=assets,
        assets_digest=digest,
        policy_name=policy_name,
        policy_revision=policy_revision,
        policy_backbone=backbone,
        dataset_name=dataset_name,
        dataset_revision=dataset_revision,
        encoder_name=encoder_name,
        encoder_revision=encoder_revision,
    )


@dataclass(frozen=True)
class _Finder:
    """Looks up one study's sources; errors point at the line that names them."""

    file: StudyFile
    digests: Path  # remembered digests
    lenient: bool

    def assets(self) -> tuple[str, str]:
        """Source and digest, as in SimSpec, of the first suite that needs assets."""
        source, location = self.file.study.simulator.assets, ("simulator", "assets")
        tree = next(filter(None, map(asset_tree, self.file.study.suite)), None)
        if tree is None:
            return "", ""
        revision = hub_revision(source)
        if revision is not None and tree.repository is not None:
            commit = self._commit(location, tree.repository, revision, "dataset")
            source = f"hub@{commit}"
            return source, UNRESOLVED if commit == UNRESOLVED else tree.digest(source)
        if source != "embedded":
            source = str(self._folder(location, source))
        return source, tree.digest(source, self.digests)

    def policy(self) -> tuple[str, str, str]:
        """Name, revision and backbone, as in PolicySpec."""
        policy = self.file.study.policy
        match policy:
            case ScratchPolicy():
                return policy.name, "", ""
            case EmbeddedPolicy():
                folder = self._base_policy()
                self._fit_policy(("policy", "source"), folder)
                return policy.name, POLICY.digest(folder), ""
            case FolderPolicy():
                location = ("policy", "path")
                folder = self._folder(location, policy.path)
                config = self._fit_policy(location, folder)
                backbone = self._backbone(config, policy.backbone_revision)
                return str(folder), POLICY.digest(folder, self.digests), backbone
            case HubPolicy():
                location = ("policy", "revision")
                commit = self._commit(location, policy.repo_id, policy.revision)
                fetched = self._hub_folder(location, policy.repo_id, commit)
                if fetched is None:
                    return policy.repo_id, commit, UNRESOLVED
                config = self._fit_policy(("policy", "repo_id"), fetched)
                return policy.repo_id, commit, self._backbone(config, policy.backbone_revision)

    def dataset(self) -> tuple[str, str]:
        """Id or path, and revision, as in DatasetSpec."""
        data = self.file.study.data
        match data:
            case HubData():
                commit = self._commit(("data", "revision"), data.repo_id, data.revision, "dataset")
                info = self._dataset_info(data.repo_id, commit)
                if info is not None:
                    self._fit_pictures(data.repo_id, info)
                return data.repo_id, commit
            case FolderData():
                folder = self._folder(("data", "path"), data.path)
                self._fit_pictures(str(folder), folder / "meta" / "info.json")
                return str(folder), DATASET.digest(folder, self.digests)
            case _:
                return f"local/{'_'.join(self.file.study.suite)}", ""

    def encoder(self) -> tuple[str, str]:
        """Name and revision, as in EncoderSpec."""
        encoder = self.file.study.encoder
        match encoder:
            case None:
                return "", ""
            case EmbeddedEncoder():
                return encoder.name or f"{encoder.kind}-small", ""
            case HubEncoder():
                return encoder.repo_id, self._commit(("encoder", "revision"), encoder.repo_id, encoder.revision)
            case FolderEncoder():
                folder = self._folder(("encoder", "path"), encoder.path)
                self.file.check_encoder(encoder_patch(folder) or 1)
                return str(folder), ENCODER.digest(folder, self.digests)

    def _commit(self, location: Location, repo_id: str, revision: str, repo_type: RepoType = "model") -> str:
        try:
            return resolve_commit(repo_id, revision, repo_type)
        except UserError as error:
            if self.lenient:
                return UNRESOLVED
            raise self.file.document.error(location, str(error)) from error

    def _hub_folder(self, location: Location, repo_id: str, commit: str) -> Path | None:
        """The folder with a hub policy's config.json, which is fetched if it has to be; None if it is unresolved."""
        if commit == UNRESOLVED:
            return None
        try:
            return fetch_file(repo_id, commit, "config.json").parent
        except UserError as error:
            if self.lenient:
                return None
            raise self.file.document.error(location, str(error)) from error

    def _dataset_info(self, repo_id: str, commit: str) -> Path | None:
        """A hub data set's info.json; None if it cannot be had now. Rollouts compare picture sizes once more."""
        if commit == UNRESOLVED:
            return None
        try:
            return fetch_file(repo_id, commit, "meta/info.json", "dataset")
        except UserError:
            return None

    def _backbone(self, config: dict[str, Any], revision: str) -> str:
        """The policy's vision-language model as NAME@COMMIT; "" if it is packaged or lies in a folder."""
        name = str(config.get("vlm_model_name") or "")
        if not name or name.startswith(BACKBONE_PREFIX) or Path(name).expanduser().is_dir():
            return ""
        if split_pinned(name):
            return name
        commit = self._commit(("policy", "backbone_revision"), name, revision)
        return commit if commit == UNRESOLVED else pinned_name(name, commit)

    def _fit_policy(self, location: Location, folder: Path) -> dict[str, Any]:
        """The policy's config.json, after the study was compared with it."""
        try:
            config: dict[str, Any] = json.loads((folder / "config.json").read_text())
            shape = policy_shape(folder)
        except (OSError, ValueError, KeyError, TypeError):
            raise self.file.document.error(location, f"{folder} is not a LeRobot pretrained_model folder") from None
        self.file.check_policy(shape)
        return config

    def _fit_pictures(self, shown: str, info: Path) -> None:
        """Rollouts must show a policy pictures of the size that it was trained on."""
        try:
            sizes = picture_sizes(json.loads(info.read_text())["features"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            message = f"{shown} is no LeRobotDataset v3: it has no meta/info.json that describes one"
            raise self.file.document.error(("data",), message) from None
        size = self.file.study.simulator.camera_size
        cameras = dict.fromkeys(name for suite in self.file.study.suite for name in SUITES[suite].cameras)
        for camera in map(camera_column, cameras):
            height, width = sizes.get(camera, (size, size))
            if (height, width) != (size, size):
                raise self.file.document.error(
                    ("simulator", "camera_size"),
                    f"is {size}, but the pictures of {camera} in {shown} are {height}x{width} pixels: a rollout must "
                    "show the policy pictures of the size that it was trained on",
                )

    def _folder(self, location: Location, path: str) -> Path:
        folder = Path(path).expanduser().resolve()
        if not folder.is_dir():
            raise self.file.document.error(location, f"{path} is not a folder")
        return folder

    def _base_policy(self) -> Path:
        if not (BASE_POLICY / "config.json").is_file():
            raise self.file.document.error(
                ("policy", "source"),
                f"the embedded base policy is missing; make it with `snakemake --configfile {BASE_STUDY} "
                "--cores all embedded_base`",
            )
        return BASE_POLICY
