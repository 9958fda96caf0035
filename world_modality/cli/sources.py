"""Content addresses of what a study takes from outside: asset trees, policies, data sets, encoders.

Folders are addressed by the files that are taken from them, hub repositories by commit: a branch or tag is looked up
here, once, and nothing behind the plan knows it. So is the backbone that a policy's config.json names. A policy that
another process serves is what the study calls it, or else what its server says now.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from world_modality.cli.assets import find_assets
from world_modality.cli.folder_shapes import encoder_patch, policy_shape
from world_modality.cli.given import described, given_problems, picture_problems, reads_latents, served, unknown
from world_modality.cli.given_encoder import leave_to_run, require_kind
from world_modality.cli.given_latents import find_latents
from world_modality.cli.text_model import find_text_model
from world_modality.data.hub import DATASET, ENCODER, POLICY
from world_modality.data.schema import camera_column, picture_sizes
from world_modality.embedded import BACKBONE_PREFIX, BASE_POLICY, TRAINED_ENCODER
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.facts.encoders import ENCODERS
from world_modality.facts.policies import POLICIES, known_family, small_policies
from world_modality.policies.config_file import read_config_file
from world_modality.store.hub import RepoType, fetch_file, pinned_name, resolve_commit, split_pinned
from world_modality.store.layout import digests_file
from world_modality.study.arm_checks import policy_at, token_problems
from world_modality.study.document import Location
from world_modality.study.encoder_checks import encoder_at
from world_modality.study.load import StudyFile
from world_modality.study.models import knows_tokens, model_of
from world_modality.study.parts import (
    AnyEncoderModel,
    AnyPolicy,
    EmbeddedEncoder,
    EmbeddedPolicy,
    EncoderWeights,
    FolderData,
    FolderEncoder,
    FolderPolicy,
    HubData,
    HubEncoder,
    HubPolicy,
    HubWeights,
    NewPolicy,
    RemotePolicy,
    ScratchPolicy,
)
from world_modality.study.sources import UNRESOLVED, CheckpointSource, PolicySource, Source, Sources
from world_modality.study.study import Study

if TYPE_CHECKING:
    from world_modality.checks.features import Asked

BASE_STUDY = "workflow/studies/embedded_base.yaml"


def resolve_sources(file: StudyFile, root: Path, *, lenient: bool = False) -> Sources:
    """Name and content address of every outside part of a study.

    Args:
        file: the study; folders in it are relative to the working folder.
        root: results tree, where digests of large folders are remembered.
        lenient: for a dry run, take what only a hub or a policy's server that is out of reach can tell as unresolved
            instead of failing.

    Raises:
        UserError: a folder is missing, the hub cannot say what it holds, or the study does not fit the policy, the
            data or the encoder.
    """
    finder = Finder(file, digests_file(root), lenient)
    study = file.study
    return Sources(
        assets={suite: find_assets(file, suite, digests_file(root), lenient=lenient) for suite in study.suites},
        policies={policy: finder.policy(policy) for policy in study.policies},
        dataset=finder.dataset() if study.data is not None else None,
        encoders={encoder: finder.encoder(encoder) for encoder in study.encoders},
        checkpoints=finder.given(),
        latents=find_latents(file, digests_file(root)),
        instructions=find_text_model(finder),
    )


@dataclass(frozen=True)
class Finder:
    """Looks up one study's sources; errors point at the line that names them."""

    file: StudyFile
    digests: Path  # remembered digests
    lenient: bool

    def policy(self, policy: AnyPolicy) -> PolicySource:
        """Family, name, revision and backbone, as in PolicySpec."""
        at = policy_at(self.file.study, policy)
        match policy:
            case ScratchPolicy():
                return PolicySource(small_policies()[policy.name].name, policy.name)
            case NewPolicy():
                model = model_of(policy)
                return PolicySource(policy.type, policy.type, knows_tokens=model is not None and model.knows_tokens)
            case EmbeddedPolicy():
                folder = self._base_policy(at)
                family, _ = self._fit_policy(policy, (*at, "source"), folder)
                return PolicySource(family, policy.name, POLICY.digest(folder))
            case FolderPolicy() | HubPolicy():
                source = self.checkpoint(policy, at)[0]
                if policy.type is None and POLICIES[source.family].sees_latents:
                    raise self.file.error(at, f"it sees frames as latents; say so, as type: {source.family}")
                if source.knows_tokens:
                    self.file.check(token_problems(self.file.study, policy))
                return source

    def checkpoint(self, policy: FolderPolicy | HubPolicy, at: Location) -> tuple[PolicySource, dict[str, Any] | None]:
        """A policy that the study names at ``at``, and its config.json; None if only the hub could have told it."""
        if isinstance(policy, FolderPolicy):
            folder = self.folder((*at, "path"), policy.path)
            family, config = self._fit_policy(policy, (*at, "path"), folder)
            backbone = self._backbone(at, config, policy.backbone_revision)
            source = PolicySource(family, str(folder), POLICY.digest(folder, self.digests), backbone)
            return replace(source, knows_tokens=knows_tokens(config)), config
        commit = self.commit((*at, "revision"), policy.repo_id, policy.revision)
        fetched = self._hub_folder((*at, "revision"), policy.repo_id, commit)
        if fetched is None:
            family = policy.type or POLICIES.names[0]  # the key is not final anyway
            return PolicySource(family, policy.repo_id, commit, UNRESOLVED), None
        family, config = self._fit_policy(policy, (*at, "repo_id"), fetched)
        backbone = self._backbone(at, config, policy.backbone_revision)
        return PolicySource(family, policy.repo_id, commit, backbone, knows_tokens(config)), config

    def given(self) -> dict[str, tuple[CheckpointSource, ...]]:
        """The given checkpoints by arm, after the study was compared with what they say."""
        found: dict[str, tuple[CheckpointSource, ...]] = {}
        for name, arm in self.file.study.given.items():
            several = len(arm.checkpoint) > 1
            sources = []
            for number, checkpoint in enumerate(arm.checkpoint):
                at: Location = ("arms", name, "checkpoint", number) if several else ("arms", name, "checkpoint")
                if isinstance(checkpoint, RemotePolicy):
                    try:
                        sources.append(served(checkpoint, self.file.study, lenient=self.lenient))
                    except UserError as error:
                        raise self.file.error(at, str(error)) from error
                    continue
                policy, config = self.checkpoint(checkpoint, at)
                if config is not None:
                    self.file.check(picture_problems(config, self.file.study.simulator.camera_size, at))
                try:
                    source = unknown(policy, arm) if config is None else described(policy, config)
                except (UserError, ValueError, KeyError, TypeError) as error:
                    raise self.file.error(at, f"{policy.name}: {error}") from error
                where: Location = ("arms", name, "encoder")
                if arm.encoder is not None or reads_latents(arm, source):
                    source = self._with_weights(source, arm.encoder, where)
                sources.append(source)
            found[name] = tuple(sources)
        self.file.check(given_problems(self.file.study, found))
        return found

    def _with_weights(self, source: CheckpointSource, own: EncoderWeights | None, at: Location) -> CheckpointSource:
        """A checkpoint whose encoder's weights lie where the study says, or where it says itself: then at a commit."""
        if source.encoder is None:
            return source
        if own is None or isinstance(own, HubWeights):
            leave_to_run(self.file, at, source.encoder.kind, own, None)
        if own is None:
            if source.encoder.source != "hub" or source.encoder.revision:
                return source
            place: dict[str, str | None] = {
                "revision": self.commit(at, source.encoder.name, "main")
            }  # an earlier checkpoint names none
            return replace(source, encoder=source.encoder.model_copy(update=place))
        if isinstance(own, HubWeights):
            place = {"name": own.repo_id, "revision": self.commit((*at, "revision"), own.repo_id, own.revision)}
        else:
            folder = self.folder((*at, "path"), own.path)
            run = leave_to_run(self.file, at, source.encoder.kind, own, folder)
            place = {"name": str(folder), "revision": ENCODER.digest(folder, self.digests), "torchscript": run}
        return replace(source, encoder=source.encoder.model_copy(update={"source": own.source, "seed": 0, **place}))

    def dataset(self) -> Source:
        """Id or path, and revision, as in DatasetSpec."""
        data = self.file.study.data
        match data:
            case HubData():
                commit = self.commit(("data", "revision"), data.repo_id, data.revision, "dataset")
                info = self._dataset_info(data.repo_id, commit)
                if info is not None:
                    self._fit_data(data.repo_id, info.parent.parent, whole=False)
                return Source(data.repo_id, commit)
            case FolderData():
                folder = self.folder(("data", "path"), data.path)
                self._fit_data(str(folder), folder, whole=True)
                return Source(str(folder), DATASET.digest(folder, self.digests))
            case _:
                return Source(f"local/{'_'.join(self.file.study.data_suites)}")

    def encoder(self, encoder: AnyEncoderModel) -> Source:
        """Name and revision, as in EncoderSpec."""
        at = encoder_at(self.file.study, encoder)
        match encoder:
            case EmbeddedEncoder():
                name, family = encoder.name, ENCODERS[encoder.kind]
                trained = name in family.trained
                return Source(name or family.small[0], ENCODER.digest(self._trained_encoder(at)) if trained else "")
            case HubEncoder():
                return Source(encoder.repo_id, self.commit((*at, "revision"), encoder.repo_id, encoder.revision))
            case FolderEncoder():
                folder = self.folder((*at, "path"), encoder.path)
                require_kind(self.file, (*at, "kind"), encoder.kind, folder)
                self.file.check_encoder(encoder, encoder_patch(folder) or 1)
                leave_to_run(self.file, at, encoder.kind, encoder, folder)
                return Source(str(folder), ENCODER.digest(folder, self.digests))

    def commit(self, location: Location, repo_id: str, revision: str, repo_type: RepoType = "model") -> str:
        """The commit that a revision stands for; UserError if the hub cannot say."""
        try:
            return resolve_commit(repo_id, revision, repo_type)
        except UserError as error:
            if self.lenient:
                return UNRESOLVED
            raise self.file.error(location, str(error)) from error

    def _hub_folder(self, location: Location, repo_id: str, commit: str) -> Path | None:
        """The folder with a hub policy's config.json, which is fetched if it has to be; None if it is unresolved."""
        if commit == UNRESOLVED:
            return None
        try:
            return fetch_file(repo_id, commit, "config.json").parent
        except UserError as error:
            if self.lenient:
                return None
            raise self.file.error(location, str(error)) from error

    def _dataset_info(self, repo_id: str, commit: str) -> Path | None:
        """A hub data set's info.json; None if it cannot be had now. Rollouts compare picture sizes once more."""
        if commit == UNRESOLVED:
            return None
        try:
            return fetch_file(repo_id, commit, "meta/info.json", "dataset")
        except UserError:
            return None

    def _backbone(self, at: Location, config: dict[str, Any], revision: str) -> str:
        """The policy's vision-language model as NAME@COMMIT; "" if it is packaged or lies in a folder."""
        name = str(config.get("vlm_model_name") or "")
        if not name or name.startswith(BACKBONE_PREFIX) or Path(name).expanduser().is_dir():
            return ""
        if split_pinned(name):
            return name
        commit = self.commit((*at, "backbone_revision"), name, revision)
        return commit if commit == UNRESOLVED else pinned_name(name, commit)

    def _fit_policy(self, policy: AnyPolicy, location: Location, folder: Path) -> tuple[str, dict[str, Any]]:
        """The policy's family and its config.json, after the study was compared with it."""
        try:
            config, shape = read_config_file(folder), policy_shape(folder)
        except UserError as error:
            raise self.file.error(location, str(error)) from error
        policy_type = str(config["type"])
        family = known_family(policy_type)
        if family is None:
            known = ", ".join(POLICIES.names)
            raise self.file.error(location, f"a policy of type {policy_type} is not known here; choose one of {known}")
        family = POLICIES[family.base] if family.base else family  # what arms start from
        asked = getattr(policy, "type", None)
        if asked not in (None, family.name):
            raise self.file.error((*location[:-1], "type"), f"'{asked}' is not what the policy is, {family.name}")
        self.file.check_policy(policy, family, shape)
        return family.name, config

    def _fit_data(self, shown: str, root: Path, *, whole: bool) -> None:
        """Refuse data with which no training, or no rollout, could succeed; ``whole`` if all of their files are there.

        This is what their metadata tell; what their numbers and pictures tell, `wm check` finds before a run starts.
        """
        from world_modality.checks.features import feature_findings
        from world_modality.checks.files import file_findings
        from world_modality.data.description import read_description
        from world_modality.data.renaming import renamed

        at: Location = ("data",)
        try:
            description = read_description(root, shown)
            rename = getattr(self.file.study.data, "rename", ())
            at = ("data", "rename") if rename else at
            description, at = renamed(description, rename), ("data",)
            self._fit_pictures(shown, description.features)
            asked = asked_of(self.file.study)
            found = [*feature_findings(description, asked), *(file_findings(description) if whole else ())]
        except UserError as error:
            raise self.file.error(at, str(error)) from None
        for finding in found:
            raise self.file.error(("data",), f"{shown}: {finding.where}: {finding.message}")

    def _fit_pictures(self, shown: str, features: Mapping[str, Mapping[str, Any]]) -> None:
        """Rollouts must show a policy pictures of the size that it was trained on."""
        try:
            sizes = picture_sizes(features)
        except (ValueError, TypeError) as error:
            message = f"{shown}: meta/info.json: {error}: correct the shapes"
            raise self.file.error(("data",), message) from None
        size = self.file.study.simulator.camera_size
        cameras = dict.fromkeys(name for suite in self.file.study.rollout_suites for name in SUITES[suite].cameras)
        for camera in map(camera_column, cameras):
            height, width = sizes.get(camera, (size, size))
            if (height, width) != (size, size):
                raise self.file.error(
                    ("simulator", "camera_size"),
                    f"is {size}, but the pictures of {camera} in {shown} are {height}x{width} pixels: a rollout must "
                    "show the policy pictures of the size that it was trained on",
                )

    def folder(self, location: Location, path: str) -> Path:
        """A folder that the study names; UserError if there is none."""
        folder = Path(path).expanduser().resolve()
        if not folder.is_dir():
            raise self.file.error(
                location, f"{path} is not a folder{'' if Path(path).is_absolute() else f' ({folder})'}"
            )
        return folder

    def _trained_encoder(self, at: Location) -> Path:
        if not (TRAINED_ENCODER / "config.json").is_file():
            raise self.file.error(
                (*at, "name"), "this copy of the package has no trained encoder; make it with `make embedded-encoder`"
            )
        return TRAINED_ENCODER

    def _base_policy(self, at: Location) -> Path:
        if not (BASE_POLICY / "config.json").is_file():
            raise self.file.error(
                (*at, "source"),
                f"the embedded base policy is missing; make it with `snakemake --configfile {BASE_STUDY} "
                "--cores all embedded_base`",
            )
        return BASE_POLICY


def asked_of(study: Study) -> Asked:
    """What a study asks of its data's features."""
    from world_modality.checks.features import Asked

    pictures = {}
    for policy in study.policies:
        taken = _pictures_of(policy)
        if taken is not None:
            pictures[".".join(map(str, policy_at(study, policy)))] = taken
    encoded = dict.fromkeys(camera_column(camera) for arm in study.trained.values() for camera in study.cameras(arm))
    if study.tokens is not None and study.encoder is not None:
        encoded |= dict.fromkeys(map(camera_column, study.cameras_of(study.encoder)))
    return Asked(tuple(SUITES[name] for name in study.rollout_suites), pictures, tuple(encoded))


def policy_folder(policy: AnyPolicy, source: PolicySource) -> Path | None:
    """Where a start policy's files are on this machine; None if it is not here, or not made yet."""
    match policy:
        case EmbeddedPolicy():
            return BASE_POLICY
        case FolderPolicy():
            return Path(source.name)
        case HubPolicy() if UNRESOLVED not in (source.revision, source.backbone):
            return fetch_file(policy.repo_id, source.revision, "config.json").parent
    return None


def _pictures_of(policy: AnyPolicy) -> tuple[str, ...] | None:
    """The columns of pictures that a policy on this machine takes; None if it does not say, or is not here."""
    match policy:
        case EmbeddedPolicy():
            folder = BASE_POLICY
        case FolderPolicy():
            folder = Path(policy.path).expanduser()
        case _:
            return None
    try:
        features = json.loads((folder / "config.json").read_text())["input_features"]
        return tuple(name for name, feature in features.items() if feature["type"] == "VISUAL")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
