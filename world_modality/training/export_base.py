"""Turn a trained E0 into the package's embedded base policy: a plain LeRobot ``smolvla`` checkpoint with provenance."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from world_modality.embedded import BACKBONE_PREFIX, BASE_POLICY
from world_modality.errors import UserError
from world_modality.store.files import sync_folder, sync_tree, write_json
from world_modality.training.start import describe_policy

LARGEST = 20_000_000  # bytes: the base is part of the repository


def export(train_artifact: Path, provenance: Mapping[str, Any], target: Path = BASE_POLICY) -> dict[str, Any]:
    """Replace ``target`` by the policy of a train stage's artifact; returns the new policy's description.

    Args:
        train_artifact: sealed folder with ``pretrained_model``, trained without world memory.
        provenance: how it was made, JSON values; written to ``provenance.json``.
        target: folder to replace in one rename, or, after a crash in between, to write anew.

    Raises:
        UserError: the policy has world modules, its backbone is not packaged, or it is too large.
    """
    from lerobot_policy_world_modality.strip import plain_config, write_plain_weights

    source = train_artifact / "pretrained_model"
    config = json.loads((source / "config.json").read_text())
    _require_exportable(source, config)
    draft = target.with_name(f"{target.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for pattern in ("policy_preprocessor*", "policy_postprocessor*"):
        for file in source.glob(pattern):
            shutil.copyfile(file, draft / file.name)
    write_plain_weights(source / "model.safetensors", draft / "model.safetensors")
    write_json(draft / "config.json", plain_config(config))
    write_json(draft / "provenance.json", dict(provenance))
    size = sum(file.stat().st_size for file in draft.iterdir())
    if size > LARGEST:
        shutil.rmtree(draft)
        raise UserError(f"{source} takes {size:,} bytes: an embedded base may take {LARGEST:,}, make it smaller")
    sync_tree(draft)
    if target.exists():
        old = target.with_name(f"{target.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        draft.rename(target)
        shutil.rmtree(old)
    else:
        draft.rename(target)
    sync_folder(target.parent)
    return describe_policy(target)


def _require_exportable(source: Path, config: Mapping[str, Any]) -> None:
    mode = config.get("world_memory_mode_train", "disabled")
    if mode != "disabled":
        raise UserError(f"{source} was trained with memory {mode}: export a policy trained with memory disabled")
    if not str(config.get("vlm_model_name", "")).startswith(BACKBONE_PREFIX):
        raise UserError(
            f"{source} needs the backbone {config.get('vlm_model_name')}: export one with a packaged backbone"
        )
