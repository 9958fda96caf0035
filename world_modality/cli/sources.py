"""Content addresses of what a study takes from outside: asset trees, policies, data sets, encoders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import world_modality
from world_modality.errors import UserError
from world_modality.sim.assets import assets_digest
from world_modality.store.files import folder_digest
from world_modality.store.layout import digests_file
from world_modality.study.load import StudyFile
from world_modality.study.sources import Sources
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

BASE_POLICY = Path(world_modality.__file__).parent / "embedded" / "base_policy"
ABOUT = frozenset({"provenance.json", "README.md"})  # tell where a policy comes from, not what it does
BASE_STUDY = "workflow/studies/embedded_base.yaml"


def resolve_sources(file: StudyFile, root: Path, *, lenient: bool = False) -> Sources:
    """Name and content address of every outside part of a study.

    Args:
        file: the study; folders in it are relative to the working folder.
        root: results tree, where digests of large folders are remembered.
        lenient: for a dry run, take an unreachable hub's assets as unresolved instead of failing.

    Raises:
        UserError: a folder is missing, the hub cannot say what it holds, or the study executes more actions than
            the policy predicts at once.
    """
    study = file.study
    if isinstance(study.policy, EmbeddedPolicy | FolderPolicy):
        file.check_chunk(_chunk_size(file))
    assets = study.simulator.assets
    if assets != "embedded" and assets.split("@")[0] != "hub":
        assets = str(_folder(file, ("simulator", "assets"), assets))
    policy_name, policy_revision = _policy(file, root)
    dataset_name, dataset_revision = _dataset(file, root)
    encoder_name, encoder_revision = _encoder(file, root)
    return Sources(
        assets=assets,
        assets_digest=_assets_digest(assets, lenient),
        policy_name=policy_name,
        policy_revision=policy_revision,
        dataset_name=dataset_name,
        dataset_revision=dataset_revision,
        encoder_name=encoder_name,
        encoder_revision=encoder_revision,
    )


def _assets_digest(assets: str, lenient: bool) -> str:
    try:
        return assets_digest(assets)
    except UserError:
        if lenient and assets.split("@")[0] == "hub":
            return "unresolved"
        raise


def _policy(file: StudyFile, root: Path) -> tuple[str, str]:
    policy = file.study.policy
    match policy:
        case EmbeddedPolicy():
            return policy.name, folder_digest(_base_policy(file), exclude=ABOUT)
        case HubPolicy():
            return policy.repo_id, policy.revision
        case FolderPolicy():
            folder = _folder(file, ("policy", "path"), policy.path)
            return str(folder), folder_digest(folder, exclude=ABOUT, cache=digests_file(root))
        case ScratchPolicy():
            return policy.name, ""


def _dataset(file: StudyFile, root: Path) -> tuple[str, str]:
    data = file.study.data
    match data:
        case HubData():
            return data.repo_id, data.revision
        case FolderData():
            folder = _folder(file, ("data", "path"), data.path)
            return str(folder), folder_digest(folder, cache=digests_file(root))
        case _:
            return f"local/{file.study.suite}", ""


def _encoder(file: StudyFile, root: Path) -> tuple[str, str]:
    encoder = file.study.encoder
    match encoder:
        case EmbeddedEncoder():
            return encoder.name or f"{encoder.kind}-small", ""
        case HubEncoder():
            return encoder.repo_id, encoder.revision
        case FolderEncoder():
            folder = _folder(file, ("encoder", "path"), encoder.path)
            return str(folder), folder_digest(folder, cache=digests_file(root))
        case None:
            return "", ""


def _folder(file: StudyFile, location: tuple[str, ...], path: str) -> Path:
    folder = Path(path).expanduser().resolve()
    if not folder.is_dir():
        raise file.document.error(location, f"{path} is not a folder")
    return folder


def _base_policy(file: StudyFile) -> Path:
    if not (BASE_POLICY / "config.json").is_file():
        raise file.document.error(
            ("policy", "source"),
            f"the embedded base policy is missing; make it with `snakemake --configfile {BASE_STUDY} "
            "--cores all embedded_base`",
        )
    return BASE_POLICY


def _chunk_size(file: StudyFile) -> int:
    """Actions per prediction, from the policy's config.json."""
    policy = file.study.policy
    assert isinstance(policy, EmbeddedPolicy | FolderPolicy)
    location = ("policy", "source") if isinstance(policy, EmbeddedPolicy) else ("policy", "path")
    folder = _base_policy(file) if isinstance(policy, EmbeddedPolicy) else _folder(file, location, policy.path)
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        return int(config["chunk_size"])
    except (OSError, ValueError, KeyError, TypeError):
        raise file.document.error(location, f"{folder} is not a LeRobot pretrained_model folder") from None
